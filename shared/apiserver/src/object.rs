//! Reading and writing the metadata of an object held as JSON.

use serde_json::{Map, Value};

/// The value at a path of member names.
pub(crate) fn at<'a>(v: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(v, |v, k| v.get(k))
}

/// The string at a path, or "" when there is none.
pub(crate) fn text<'a>(v: &'a Value, path: &[&str]) -> &'a str {
    at(v, path).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.name`.
pub(crate) fn name(v: &Value) -> &str {
    text(v, &["metadata", "name"])
}

/// `metadata.namespace`.
pub(crate) fn namespace(v: &Value) -> &str {
    text(v, &["metadata", "namespace"])
}

/// `metadata.uid`.
pub(crate) fn uid(v: &Value) -> &str {
    text(v, &["metadata", "uid"])
}

/// `metadata.resourceVersion`.
pub(crate) fn resource_version(v: &Value) -> &str {
    text(v, &["metadata", "resourceVersion"])
}

/// `metadata.finalizers`, absent as empty.
pub(crate) fn finalizers(v: &Value) -> Vec<&str> {
    at(v, &["metadata", "finalizers"])
        .and_then(Value::as_array)
        .map(|a| a.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Whether `metadata.deletionTimestamp` is set.
pub(crate) fn is_deleting(v: &Value) -> bool {
    at(v, &["metadata", "deletionTimestamp"]).is_some_and(|t| !t.is_null())
}

/// The object's members; an object that is none becomes an empty one.
pub(crate) fn members(v: &mut Value) -> &mut Map<String, Value> {
    if !v.is_object() {
        *v = Value::Object(Map::new());
    }
    match v {
        Value::Object(m) => m,
        _ => unreachable!("made an object above"),
    }
}

/// The member `key` as an object, created when absent or of another type.
pub(crate) fn child<'a>(v: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    let slot = members(v).entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    members(slot)
}

/// `metadata`, created when absent.
pub(crate) fn metadata(v: &mut Value) -> &mut Map<String, Value> {
    child(v, "metadata")
}

/// Gives an object the managed fields of another, or none where that has none.
pub(crate) fn copy_managed_fields(from: &Value, to: &mut Value) {
    match at(from, &["metadata", "managedFields"]) {
        Some(fields) => metadata(to).insert("managedFields".into(), fields.clone()),
        None => metadata(to).remove("managedFields"),
    };
}

/// Removes the member at a path; empty parents stay.
pub(crate) fn remove_at(v: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut here = v;
    for p in parents {
        here = here.get_mut(*p)?;
    }
    here.as_object_mut()?.remove(*last)
}

/// Sets the member at a path, creating objects on the way.
pub(crate) fn set_at(v: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut here = v;
    for p in parents {
        here = members(here).entry((*p).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    }
    members(here).insert((*last).to_owned(), value);
}
