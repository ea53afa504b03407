//! CEL expressions in webhooks and policies: which names they may use, and whether they compile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fluxide_cel::Type;
use serde_json::Value;

use super::super::names;
use super::{items, string};
use crate::api_error::{FieldError, FieldErrorKind};
use crate::cel::authorizer;

const MOST_CONDITIONS: usize = 64;

/// What an expression may name besides the objects of the write.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub params: bool,
    pub authorizer: bool,
    /// The fields of `variables`.
    pub variables: Option<Type>,
}

/// Compiles an expression that must have one of these types (none: any); an error is added when it does not.
pub(super) fn compiled(
    text: &str,
    scope: &Names,
    expected: &[&str],
    path: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Type> {
    let mut types = vec![
        ("object", Type::Dyn),
        ("oldObject", Type::Dyn),
        ("request", request_type()),
        ("namespaceObject", namespace_type()),
    ];
    if scope.params {
        types.push(("params", Type::Dyn));
    }
    if scope.authorizer {
        types.push(("authorizer", Type::Simple(authorizer::AUTHORIZER)));
        types.push(("authorizer.requestResource", Type::Simple(authorizer::RESOURCE)));
    }
    if let Some(variables) = &scope.variables {
        types.push(("variables", variables.clone()));
    }
    let dialect = crate::cel::dialect()?;
    let kind = match dialect.compile(text, &types) {
        Ok(program) => program.result().clone(),
        Err(why) => {
            errors.push(FieldError::invalid(path, text, format!("compilation failed: {why}")));
            return None;
        }
    };
    let found = match &kind {
        Type::Simple("null") => "null_type".to_owned(),
        kind => kind.to_string(),
    };
    if expected.is_empty() || expected.contains(&found.as_str()) {
        return Some(kind);
    }
    let why = match expected {
        [one] => format!("must evaluate to {one} but got {found}"),
        many => format!("must evaluate to one of [{}] but got {found}", many.join(" ")),
    };
    errors.push(FieldError::invalid(path, text, why));
    None
}

/// Checks the conditions under which a webhook or policy looks at a write.
pub(super) fn match_conditions(v: &Value, path: &str, params: bool, errors: &mut Vec<FieldError>) {
    let conditions = items(v, "matchConditions");
    if conditions.len() > MOST_CONDITIONS {
        errors.push(FieldError {
            kind: FieldErrorKind::TooMany,
            ..FieldError::too_many(path, conditions.len(), MOST_CONDITIONS)
        });
    }
    let scope = Names { params, authorizer: true, variables: None };
    let mut seen = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (name, text) = (string(condition, "name"), string(condition, "expression").trim());
        if text.is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), ""));
        } else {
            compiled(text, &scope, &["bool"], &format!("{path}.expression"), errors);
        }
        let at = format!("{path}.name");
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        for m in names::qualified_name(name) {
            errors.push(FieldError::invalid(&at, name, m));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(at, name));
        }
    }
}

const TEXT: Type = Type::Simple("string");

fn object_type<const N: usize>(fields: [(&str, Type); N]) -> Type {
    let fields: BTreeMap<String, Type> =
        fields.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
    Type::Object(Arc::new(fields))
}

fn list_of(kind: Type) -> Type {
    Type::List(Box::new(kind))
}

fn map_of(kind: Type) -> Type {
    Type::Map(Box::new(TEXT), Box::new(kind))
}

/// The type of `request`.
fn request_type() -> Type {
    let kind = || object_type([("group", TEXT), ("version", TEXT), ("kind", TEXT)]);
    let resource = || object_type([("group", TEXT), ("version", TEXT), ("resource", TEXT)]);
    let user = object_type([
        ("username", TEXT),
        ("uid", TEXT),
        ("groups", list_of(TEXT)),
        ("extra", map_of(list_of(TEXT))),
    ]);
    object_type([
        ("kind", kind()),
        ("resource", resource()),
        ("subResource", TEXT),
        ("requestKind", kind()),
        ("requestResource", resource()),
        ("requestSubResource", TEXT),
        ("name", TEXT),
        ("namespace", TEXT),
        ("operation", TEXT),
        ("userInfo", user),
        ("dryRun", Type::Bool),
        ("options", Type::Dyn),
    ])
}

/// The type of `namespaceObject`.
fn namespace_type() -> Type {
    let (time, number) = (Type::Simple("timestamp"), Type::Simple("int"));
    let condition = object_type([
        ("status", TEXT),
        ("type", TEXT),
        ("lastTransitionTime", time.clone()),
        ("message", TEXT),
        ("reason", TEXT),
    ]);
    let metadata = object_type([
        ("name", TEXT),
        ("generateName", TEXT),
        ("namespace", TEXT),
        ("labels", map_of(TEXT)),
        ("annotations", map_of(TEXT)),
        ("UID", TEXT),
        ("creationTimestamp", time.clone()),
        ("deletionGracePeriodSeconds", number.clone()),
        ("deletionTimestamp", time),
        ("generation", number),
        ("resourceVersion", TEXT),
        ("finalizers", list_of(TEXT)),
    ]);
    object_type([
        ("metadata", metadata),
        ("spec", object_type([("finalizers", list_of(TEXT))])),
        ("status", object_type([("conditions", list_of(condition)), ("phase", TEXT)])),
    ])
}
