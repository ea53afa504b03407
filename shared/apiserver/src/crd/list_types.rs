//! Lists that stand for sets and maps: no value and no key twice.

use serde_json::{Map, Value};

use super::structural::{Structural, join};
use crate::api_error::FieldError;

/// The duplicates in all lists of `v`.
pub(crate) fn validate(schema: &Structural, v: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(schema, v, path, &mut errors);
    errors
}

fn check(s: &Structural, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match v {
        Value::Array(items) => {
            let keys: Vec<Value> = match s.list_type.as_deref() {
                Some("set") => items.clone(),
                Some("map") => items.iter().map(|item| key_of(s, item)).collect(),
                _ => Vec::new(),
            };
            for (index, key) in keys.iter().enumerate().filter(|(index, key)| keys[..*index].contains(key)) {
                errors.push(FieldError::duplicate(format!("{path}[{index}]"), key.clone()));
            }
            if let Some(schema) = &s.items {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        Value::Object(members) => {
            for (name, child) in members {
                if let Some(schema) = s.properties.get(name).or(s.additional.as_deref()) {
                    check(schema, child, &join(path, name), errors);
                }
            }
        }
        _ => {}
    }
}

/// The members of an item that tell it from the others.
pub(super) fn key_of(s: &Structural, item: &Value) -> Value {
    let members = s.list_keys.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone())));
    Value::Object(members.collect::<Map<_, _>>())
}
