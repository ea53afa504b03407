//! Everything that is checked on a custom resource besides its metadata.

use serde_json::Value;

use super::{CustomVersion, ScalePaths, embedded, list_types, value_validation};
use crate::api_error::{FieldError, FieldErrorKind};

/// What is wrong with a new custom resource, or with a changed one when `old` is given.
pub(crate) fn validate(
    custom: &CustomVersion,
    v: &Value,
    old: Option<&Value>,
    status: bool,
) -> Vec<FieldError> {
    let schema = &custom.schema;
    let mut errors = Vec::new();
    match schema.properties.get("status").filter(|_| status) {
        Some(schema) => {
            if let Some(now) = v.get("status") {
                errors =
                    value_validation::validate(schema, now, "status", old.and_then(|old| old.get("status")));
            }
        }
        None => errors = value_validation::validate(schema, v, "", old),
    }
    if let Some(scale) = &custom.scale {
        check_scale(scale, v, status, &mut errors);
    }
    if !status {
        errors.extend(embedded::validate(schema, v, ""));
    }
    let tolerated = old.is_some_and(|old| !list_types::validate(schema, old, "").is_empty());
    if !tolerated {
        errors.extend(list_types::validate(schema, v, ""));
    }
    if custom.has_rules {
        let blocking = [
            FieldErrorKind::NotSupported,
            FieldErrorKind::Required,
            FieldErrorKind::TooLong,
            FieldErrorKind::TooMany,
            FieldErrorKind::TypeInvalid,
        ];
        if errors.iter().any(|e| blocking.contains(&e.kind)) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors \
                       to complete validation";
            errors.push(FieldError::invalid("<nil>", Value::Null, why));
        } else {
            errors.extend(super::rules::validate(schema, v, old));
        }
    }
    errors
}

fn check_scale(scale: &ScalePaths, v: &Value, status: bool, errors: &mut Vec<FieldError>) {
    for path in if status { vec![&scale.status] } else { vec![&scale.spec] } {
        let shown = format!(".{}", path.join("."));
        let Some(found) = path.iter().try_fold(v, |v, name| v.get(name)) else { continue };
        let Some(replicas) = found.as_i64() else {
            let why = format!("{shown} accessor error: {}, expected int64", go_type(found));
            errors.push(FieldError::invalid(shown, 0, why));
            continue;
        };
        if replicas < 0 {
            errors.push(FieldError::invalid(shown, replicas, "should be a non-negative integer"));
        } else if replicas > i64::from(i32::MAX) {
            let why = format!("should be less than or equal to {}", i32::MAX);
            errors.push(FieldError::invalid(shown, replicas, why));
        }
    }
    let selector = scale.selector.as_ref().filter(|path| status == (path[0] == "status"));
    if let Some(path) = selector
        && let Some(found) = path.iter().try_fold(v, |v, name| v.get(name))
        && !found.is_string()
    {
        let shown = format!(".{}", path.join("."));
        let why = format!("{shown} accessor error: {}, expected string", go_type(found));
        errors.push(FieldError::invalid(shown, "", why));
    }
}

/// `V is of the type T`, as Go prints them.
fn go_type(v: &Value) -> String {
    let (shown, name) = match v {
        Value::Null => ("<nil>".to_owned(), "<nil>"),
        Value::Bool(flag) => (flag.to_string(), "bool"),
        Value::Number(n) if n.is_f64() => (n.to_string(), "float64"),
        Value::Number(n) => (n.to_string(), "int64"),
        Value::String(text) => (text.clone(), "string"),
        Value::Array(_) => (fluxide_structured_merge::go_format::plain(v), "[]interface {}"),
        Value::Object(_) => (fluxide_structured_merge::go_format::plain(v), "map[string]interface {}"),
    };
    format!("{shown} is of the type {name}")
}
