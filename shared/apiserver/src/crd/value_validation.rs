//! Validates custom resources against their schema, with the texts of kube-openapi.

use serde_json::Value;

use super::structural::{NodeType, Structural, join};
use crate::api_error::{FieldError, FieldErrorKind, go_quote};

/// Everything that is wrong with `v` against `schema`, in the server's order.
pub(crate) fn validate(schema: &Structural, v: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, v, "", true, &mut errors);
    errors
}

fn node(s: &Structural, v: &Value, path: &str, root: bool, errors: &mut Vec<FieldError>) {
    if v.is_null() && s.nullable {
        return;
    }
    if !type_matches(s, v) {
        errors.push(type_error(s, v, path));
        return;
    }
    match v {
        Value::String(text) => string(s, text, path, errors),
        Value::Number(_) => number(s, v, path, errors),
        Value::Array(items) => array(s, items, path, errors),
        Value::Object(_) => object(s, v, path, root, errors),
        _ => {}
    }
    if let Some(allowed) = &s.limits.enumeration
        && !allowed.contains(v)
    {
        let shown: Vec<String> = allowed.iter().map(enum_text).collect();
        errors.push(FieldError {
            kind: FieldErrorKind::NotSupported,
            field: shown_path(path),
            value: Some(v.clone()),
            detail: format!("supported values: {}", shown.join(", ")),
        });
    }
    combinators(s, v, path, errors);
}

fn enum_text(v: &Value) -> String {
    match v {
        Value::String(s) => go_quote(s),
        other => go_quote(&other.to_string()),
    }
}

fn shown_path(path: &str) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() }
}

fn type_matches(s: &Structural, v: &Value) -> bool {
    if s.int_or_string {
        return v.is_string() || v.is_i64() || v.is_u64();
    }
    match s.node_type {
        NodeType::Any => true,
        NodeType::Object => v.is_object(),
        NodeType::Array => v.is_array(),
        NodeType::String => v.is_string(),
        NodeType::Integer => v.is_i64() || v.is_u64() || v.as_f64().is_some_and(|f| f.fract() == 0.0),
        NodeType::Number => v.is_number(),
        NodeType::Boolean => v.is_boolean(),
    }
}

fn type_error(s: &Structural, v: &Value, path: &str) -> FieldError {
    let want = if s.int_or_string {
        "integer,string"
    } else {
        match s.node_type {
            NodeType::Object => "object",
            NodeType::Array => "array",
            NodeType::String => "string",
            NodeType::Integer => "integer",
            NodeType::Number => "number",
            NodeType::Boolean => "boolean",
            NodeType::Any => "any",
        }
    };
    let have = match v {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    FieldError {
        kind: FieldErrorKind::TypeInvalid,
        field: shown_path(path),
        value: Some(have.into()),
        detail: format!("{} in body must be of type {want}: {}", path, go_quote(have)),
    }
}

fn string(s: &Structural, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let l = &s.limits;
    let length = text.chars().count() as u64;
    if let Some(max) = l.max_length
        && length > max
    {
        errors.push(FieldError::too_long(shown_path(path), max as usize));
    }
    if let Some(min) = l.min_length
        && length < min
    {
        errors.push(FieldError::invalid(
            shown_path(path),
            text,
            format!("{path} in body should be at least {min} chars long"),
        ));
    }
    if let Some((pattern, Some(regex))) = &l.pattern
        && !regex.is_match(text)
    {
        errors.push(FieldError::invalid(
            shown_path(path),
            text,
            format!("{path} in body should match '{pattern}'"),
        ));
    }
    if let Some(format) = &l.format
        && !super::super::validation::formats::matches(format, text)
    {
        errors.push(FieldError::invalid(
            shown_path(path),
            text,
            format!("{path} in body must be of type {format}: {}", go_quote(text)),
        ));
    }
}

fn number(s: &Structural, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let l = &s.limits;
    let Some(n) = v.as_f64() else { return };
    let mut fail = |text: String| errors.push(FieldError::invalid(shown_path(path), v.clone(), text));
    if let Some(max) = l.maximum
        && (n > max || l.exclusive_maximum && n >= max)
    {
        let op = if l.exclusive_maximum { "less than" } else { "less than or equal to" };
        fail(format!("{path} in body should be {op} {}", plain(max)));
    }
    if let Some(min) = l.minimum
        && (n < min || l.exclusive_minimum && n <= min)
    {
        let op = if l.exclusive_minimum { "greater than" } else { "greater than or equal to" };
        fail(format!("{path} in body should be {op} {}", plain(min)));
    }
    if let Some(m) = l.multiple_of
        && m != 0.0
        && ((n / m).fract()).abs() > 1e-9
    {
        fail(format!("{path} in body should be a multiple of {}", plain(m)));
    }
}

fn plain(f: f64) -> String {
    if f.fract() == 0.0 && f.abs() < 1e15 { format!("{}", f as i64) } else { f.to_string() }
}

fn array(s: &Structural, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let l = &s.limits;
    let len = items.len() as u64;
    if let Some(min) = l.min_items
        && len < min
    {
        errors.push(FieldError::invalid(
            shown_path(path),
            len,
            format!("{path} in body should have at least {min} items"),
        ));
    }
    if let Some(max) = l.max_items
        && len > max
    {
        errors.push(FieldError::too_many(shown_path(path), items.len(), max as usize));
    }
    if let Some(s) = &s.items {
        for (i, item) in items.iter().enumerate() {
            node(s, item, &format!("{path}[{i}]"), false, errors);
        }
    }
}

fn object(s: &Structural, v: &Value, path: &str, root: bool, errors: &mut Vec<FieldError>) {
    let Some(m) = v.as_object() else { return };
    let l = &s.limits;
    let len = m.len() as u64;
    if let Some(min) = l.min_properties
        && len < min
    {
        errors.push(FieldError::invalid(
            shown_path(path),
            len,
            format!("{path} in body should have at least {min} properties"),
        ));
    }
    if let Some(max) = l.max_properties
        && len > max
    {
        errors.push(FieldError::too_many(shown_path(path), m.len(), max as usize));
    }
    for r in &s.required {
        if !m.contains_key(r) {
            errors.push(FieldError::required(join(path, r), ""));
        }
    }
    for (k, child) in m {
        if (root || s.embedded) && k == "metadata" {
            continue;
        }
        if let Some(p) = s.properties.get(k) {
            node(p, child, &join(path, k), false, errors);
        } else if let Some(a) = &s.additional {
            node(a, child, &join(path, k), false, errors);
        }
    }
}

fn combinators(s: &Structural, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let passes = |c: &Structural| {
        let mut e = Vec::new();
        node(c, v, path, false, &mut e);
        e.is_empty()
    };
    let mut fail = |text: String| errors.push(FieldError::invalid(shown_path(path), v.clone(), text));
    if !s.any_of.is_empty() && !s.any_of.iter().any(passes) {
        fail(format!("{} in body must validate at least one schema (anyOf)", quoted_path(path)));
    }
    if !s.one_of.is_empty() {
        let n = s.one_of.iter().filter(|c| passes(c)).count();
        if n != 1 {
            let found =
                if n == 0 { "Found none valid".to_owned() } else { format!("Found {n} valid alternatives") };
            fail(format!("{} must validate one and only one schema (oneOf). {found}", quoted_path(path)));
        }
    }
    if let Some(not) = &s.not
        && passes(not)
    {
        fail(format!("{} must not validate the schema (not)", quoted_path(path)));
    }
    for c in &s.all_of {
        node(c, v, path, false, errors);
    }
}

fn quoted_path(path: &str) -> String {
    go_quote(path)
}
