//! The rules that schemas state in CEL: compiled when a definition is written, held against objects when they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use fluxide_cel::{Outcome, Program, Type, escape};
use serde_json::Value;

use super::structural::{NodeType, Rule, Structural, correlated, join};
use crate::api_error::{FieldError, FieldErrorKind};

/// A rule ready to be held against values of its node.
#[derive(Clone)]
pub(crate) struct CompiledRule {
    rule: Arc<Program>,
    message: Option<Arc<Program>>,
}

impl std::fmt::Debug for CompiledRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CompiledRule")
    }
}

/// Compiles the rules of a node; `None` for those that do not compile, which older definitions may hold.
pub(super) fn compile(s: &Structural, root: bool) -> Vec<Option<CompiledRule>> {
    if s.rules.is_empty() {
        return Vec::new();
    }
    let kind = type_of(s, root);
    s.rules
        .iter()
        .map(|rule| {
            let program = compile_one(&rule.rule, &kind, rule.optional_old_self).ok()?;
            let message = rule.message_expression.as_deref();
            let message = message.and_then(|text| compile_one(text, &kind, rule.optional_old_self).ok());
            Some(CompiledRule { rule: Arc::new(program), message: message.map(Arc::new) })
        })
        .collect()
}

pub(super) fn compile_one(text: &str, kind: &Type, optional: bool) -> Result<Program, String> {
    let dialect = crate::cel::dialect().ok_or_else(|| "the CEL environment cannot be built".to_owned())?;
    dialect.compile(text, &variables(kind, optional))
}

/// The variables of a rule about values of a type.
pub(super) fn variables(kind: &Type, optional: bool) -> [(&'static str, Type); 2] {
    let old = if optional { Type::Optional(Box::new(kind.clone())) } else { kind.clone() };
    [("self", kind.clone()), ("oldSelf", old)]
}

/// The type that CEL sees for a node.
pub(super) fn type_of(s: &Structural, root: bool) -> Type {
    if s.int_or_string {
        return Type::Dyn;
    }
    match s.node_type {
        NodeType::Object => {
            if let Some(values) = &s.additional {
                return Type::Map(Box::new(Type::Simple("string")), Box::new(type_of(values, false)));
            }
            let mut fields: BTreeMap<String, Type> =
                s.properties.iter().map(|(name, s)| (escape(name), type_of(s, false))).collect();
            if root || s.embedded {
                let names = ["name", "generateName"].map(|name| (name.to_owned(), Type::Simple("string")));
                fields.insert("apiVersion".to_owned(), Type::Simple("string"));
                fields.insert("kind".to_owned(), Type::Simple("string"));
                fields.insert("metadata".to_owned(), Type::Object(Arc::new(names.into())));
            }
            Type::Object(Arc::new(fields))
        }
        NodeType::Array => {
            Type::List(Box::new(s.items.as_deref().map_or(Type::Dyn, |items| type_of(items, false))))
        }
        NodeType::String => Type::Simple(match s.limits.format.as_deref() {
            Some("byte") => "bytes",
            Some("duration") => "duration",
            Some("date" | "date-time") => "timestamp",
            _ => "string",
        }),
        NodeType::Integer => Type::Simple("int"),
        NodeType::Number => Type::Simple("double"),
        NodeType::Boolean => Type::Bool,
        NodeType::Any => Type::Dyn,
    }
}

/// What is wrong with `v` by the rules of its schema.
pub(crate) fn validate(schema: &Structural, v: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(schema, v, old, "", true, &mut errors);
    errors
}

fn check(
    s: &Structural,
    v: &Value,
    old: Option<&Value>,
    path: &str,
    root: bool,
    errors: &mut Vec<FieldError>,
) {
    if v.is_null() {
        return;
    }
    if !s.rules.is_empty() {
        let kind = type_of(s, root);
        let value = kind.value(v);
        let old_value = old.map(|old| kind.value(old));
        for (rule, compiled) in s.rules.iter().zip(&s.compiled) {
            let Some(compiled) = compiled else { continue };
            let transition = compiled.rule.uses("oldSelf");
            if transition && old.is_none() && !rule.optional_old_self || !transition && old == Some(v) {
                continue;
            }
            let old_self = match (rule.optional_old_self, &old_value) {
                (true, found) => fluxide_cel::optional(found.clone()),
                (false, Some(found)) => found.clone(),
                (false, None) => value.clone(),
            };
            hold(s, rule, compiled, v, &[("self", value.clone()), ("oldSelf", old_self)], path, errors);
        }
    }
    match v {
        Value::Object(members) => {
            for (name, child) in members {
                if let Some(schema) = s.properties.get(name).or(s.additional.as_deref()) {
                    let old = old.and_then(|old| old.get(name));
                    check(schema, child, old, &join(path, name), false, errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = &s.items else { return };
            for (index, item) in items.iter().enumerate() {
                let old = old.and_then(|old| correlated(s, old, item));
                check(schema, item, old, &format!("{path}[{index}]"), false, errors);
            }
        }
        _ => {}
    }
}

fn hold(
    s: &Structural,
    rule: &Rule,
    compiled: &CompiledRule,
    v: &Value,
    variables: &[(&str, fluxide_cel::Value)],
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let field = if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() };
    let said = || rule.message.clone().filter(|m| !m.is_empty());
    match compiled.rule.evaluate(variables) {
        Ok(Outcome::Bool(true)) => {}
        Err(why) if why == "no such overload" => {
            let why = format!(
                "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                said().unwrap_or_else(|| rule.rule.clone())
            );
            errors.push(FieldError::invalid(field, s.node_type.name(), why));
        }
        Err(why) if why.contains("actual cost limit exceeded") => {
            let shown = said().unwrap_or_else(|| rule.rule.clone());
            errors.push(FieldError::invalid(
                field,
                s.node_type.name(),
                format!("'{why}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"),
            ));
        }
        Err(why) => {
            let shown = said().unwrap_or_else(|| rule.rule.clone());
            errors.push(FieldError::invalid(
                field,
                s.node_type.name(),
                format!("{why} evaluating rule: {shown}"),
            ));
        }
        Ok(_) => {
            let from_expression = compiled.message.as_ref().and_then(|m| match m.evaluate(variables) {
                Ok(Outcome::Text(text)) if !text.trim().is_empty() && !text.contains('\n') => Some(text),
                _ => None,
            });
            let message =
                from_expression.or_else(said).unwrap_or_else(|| format!("failed rule: {}", rule.rule.trim()));
            let field = match rule.field_path.as_deref() {
                Some(below) if !below.is_empty() => join(path, below.trim_start_matches('.')),
                _ => field,
            };
            errors.push(failure(rule.reason.as_deref(), field, v, message));
        }
    }
}

fn failure(reason: Option<&str>, field: String, v: &Value, message: String) -> FieldError {
    let scalar = !(v.is_object() || v.is_array());
    let kind = match reason {
        Some("FieldValueForbidden") => return FieldError::forbidden(field, message),
        Some("FieldValueRequired") => return FieldError::required(field, message),
        Some("FieldValueDuplicate") => FieldErrorKind::Duplicate,
        _ => FieldErrorKind::Invalid,
    };
    FieldError { kind, field, value: scalar.then(|| v.clone()), detail: message }
}
