//! Resources inside of custom resources: they have a version, a kind and metadata like any other.

use serde_json::Value;

use super::structural::{Structural, join};
use crate::api_error::FieldError;
use crate::object::text;
use crate::validation::metadata;

/// What is wrong with the embedded resources of `v`.
pub(crate) fn validate(schema: &Structural, v: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(schema, v, path, &mut errors);
    errors
}

fn check(s: &Structural, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match v {
        Value::Object(members) => {
            if s.embedded {
                for name in ["apiVersion", "kind"] {
                    if text(v, &[name]).is_empty() {
                        errors.push(FieldError::required(join(path, name), ""));
                    }
                }
                let meta = join(path, "metadata");
                metadata::labels(v["metadata"].get("labels"), &format!("{meta}.labels"), errors);
                metadata::annotations(
                    v["metadata"].get("annotations"),
                    &format!("{meta}.annotations"),
                    errors,
                );
            }
            for (name, child) in members {
                if let Some(schema) = s.properties.get(name).or(s.additional.as_deref()) {
                    check(schema, child, &join(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &s.items {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}
