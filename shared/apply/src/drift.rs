//! Compares what is in the cluster with what a dry-run apply would make of it.

use serde_json::{Map, Value};

use crate::object::Object;

/// True when applying would change something that matters: labels, annotations, or anything outside
/// of `metadata` and `status`.
///
/// Other metadata (finalizers, owner references) belongs to others and is not compared.
pub fn has_drifted(live: &Object, dry_run: &Object) -> bool {
    is_created_by(dry_run)
        || metadata_drifted(live, dry_run, "labels")
        || metadata_drifted(live, dry_run, "annotations")
        || content_drifted(live, dry_run)
}

/// True when a dry-run made a new object: those have no resource version.
pub fn is_created_by(dry_run: &Object) -> bool {
    dry_run.resource_version().is_empty()
}

fn metadata_drifted(live: &Object, dry_run: &Object, field: &str) -> bool {
    let value = |object: &Object| object.metadata(field).filter(|value| !is_empty(value)).cloned();
    match (value(live), value(dry_run)) {
        (Some(live), Some(dry_run)) => !equal(&live, &dry_run),
        (live, dry_run) => live.is_some() != dry_run.is_some(),
    }
}

fn content_drifted(live: &Object, dry_run: &Object) -> bool {
    let compared = |key: &&String| !matches!(key.as_str(), "metadata" | "status");
    let (live, dry_run) = (live.fields(), dry_run.fields());
    live.keys().filter(compared).count() != dry_run.keys().filter(compared).count()
        || live
            .keys()
            .filter(compared)
            .any(|key| !dry_run.get(key).is_some_and(|value| equal(&live[key], value)))
}

/// Deep equality in which null is equal to an empty list or map, and 1 to 1.0.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => maps_equal(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Null, other) | (other, Value::Null) => is_empty(other),
        _ => a == b,
    }
}

fn maps_equal(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
