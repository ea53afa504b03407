//! Field ownership: takes over what kubectl and earlier tools left in an object's `managedFields`,
//! so that the next apply removes what is no longer declared.

use serde_json::{Map, Value, json};

use crate::metadata::Owner;
use crate::object::Object;

/// Annotations of tools that applied the object before, removed on take-over.
const LEFTOVER_ANNOTATIONS: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
];

/// Labels of tools that applied the object before, removed on take-over.
const LEFTOVER_LABELS: [&str; 1] = ["fluxcd.io/sync-gc-mark"];

/// Whose fields are taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// Our field manager.
    pub field_manager: String,
    /// Further managers to replace, by exact name.
    pub override_managers: Vec<String>,
}

/// The JSON patch that takes over a live object, empty when there is nothing to take over.
///
/// The union of their fields and ours becomes ours; the apply that follows omits what is not
/// declared, so the API server removes it.
pub fn take_over(live: &Object, desired: &Object, owner: &Owner, rules: &TakeOver) -> Vec<Value> {
    if owner.is_merged(live) || owner.is_merged(desired) {
        return Vec::new();
    }
    let mut operations = Vec::new();
    remove_members(live, "annotations", &LEFTOVER_ANNOTATIONS, &mut operations);
    remove_members(live, "labels", &LEFTOVER_LABELS, &mut operations);
    if let Some(entries) = live.metadata("managedFields").and_then(Value::as_array)
        && let Some(replaced) = take_over_entries(entries, rules)
    {
        operations.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": replaced}));
    }
    operations
}

fn remove_members(live: &Object, field: &str, keys: &[&str], operations: &mut Vec<Value>) {
    let Some(members) = live.metadata(field).and_then(Value::as_object) else { return };
    for key in keys.iter().filter(|key| members.contains_key(**key)) {
        operations
            .push(json!({"op": "remove", "path": format!("/metadata/{field}/{}", escape_pointer(key))}));
    }
}

/// Escapes one segment of a JSON pointer.
pub fn escape_pointer(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// The entries after the take-over, or `None` when nobody has to be replaced.
fn take_over_entries(entries: &[Value], rules: &TakeOver) -> Option<Vec<Value>> {
    let is_taken = |entry: &&Value| subresource(entry).is_empty() && is_taken_over(entry, rules);
    if !entries.iter().any(|entry| is_taken(&entry)) {
        return None;
    }
    let is_ours = |entry: &&Value| {
        subresource(entry).is_empty() && manager(entry) == rules.field_manager && operation(entry) == "Apply"
    };
    let mut ours: Option<Value> = entries.iter().find(is_ours).cloned();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        if is_ours(&entry) {
            continue;
        }
        if !is_taken(&entry) {
            kept.push(entry.clone());
            continue;
        }
        match &mut ours {
            Some(ours) => {
                if let (Some(Value::Object(into)), Some(Value::Object(from))) =
                    (ours.get_mut("fieldsV1"), entry.get("fieldsV1"))
                {
                    merge_fields(into, from);
                }
            }
            None => {
                let mut renamed = entry.clone();
                renamed["manager"] = rules.field_manager.as_str().into();
                renamed["operation"] = "Apply".into();
                ours = Some(renamed);
            }
        }
    }
    kept.extend(ours);
    Some(kept)
}

/// True when the fields of a manager become ours.
pub(crate) fn is_taken_over(entry: &Value, rules: &TakeOver) -> bool {
    let (name, operation) = (manager(entry), operation(entry));
    name.starts_with("kubectl")
        || (operation == "Update" && (name == "before-first-apply" || name == rules.field_manager))
        || rules.override_managers.iter().any(|manager| manager == name)
}

/// Adds the fields of one set to another.
fn merge_fields(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge_fields(into, from),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The JSON patch that moves every manager's entry to the version that is applied now, empty when
/// they are all there. Old entries in a version that is no longer served block every apply.
pub fn migrate_api_version(live: &Object, api_version: &str) -> Vec<Value> {
    let Some(entries) = live.metadata("managedFields").and_then(Value::as_array) else { return Vec::new() };
    if entries.iter().all(|entry| entry["apiVersion"] == api_version) {
        return Vec::new();
    }
    let mut migrated = entries.clone();
    for entry in &mut migrated {
        entry["apiVersion"] = api_version.into();
    }
    vec![json!({"op": "replace", "path": "/metadata/managedFields", "value": migrated})]
}

fn manager(entry: &Value) -> &str {
    entry.get("manager").and_then(Value::as_str).unwrap_or_default()
}

fn operation(entry: &Value) -> &str {
    entry.get("operation").and_then(Value::as_str).unwrap_or_default()
}

fn subresource(entry: &Value) -> &str {
    entry.get("subresource").and_then(Value::as_str).unwrap_or_default()
}

/// True when another manager than `field_manager` has applied a field, or something that holds it.
pub fn is_applied_by_other(live: &Object, pointer: &[String], field_manager: &str) -> bool {
    let Some(entries) = live.metadata("managedFields").and_then(Value::as_array) else { return false };
    entries
        .iter()
        .filter(|entry| {
            operation(entry) == "Apply" && subresource(entry).is_empty() && manager(entry) != field_manager
        })
        .filter_map(|entry| entry.get("fieldsV1"))
        .any(|fields| owns(fields, live.fields(), pointer))
}

fn owns(fields: &Value, live: &Map<String, Value>, pointer: &[String]) -> bool {
    let (mut fields, mut at) = (fields, None::<&Value>);
    for segment in pointer {
        // The owner of a whole owns its parts.
        if fields.as_object().is_some_and(Map::is_empty) {
            return true;
        }
        let next = match at {
            None => live.get(segment),
            Some(Value::Object(members)) => members.get(segment),
            Some(Value::Array(items)) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
            Some(_) => None,
        };
        let owned = match (at, next) {
            (Some(Value::Array(_)), Some(item)) => item_fields(fields, item),
            (Some(Value::Array(_)), None) => None,
            _ => fields.get(format!("f:{segment}")),
        };
        let Some(owned) = owned else { return false };
        (fields, at) = (owned, next);
    }
    true
}

/// The fields of a list item, found by the values of its keys.
fn item_fields<'a>(fields: &'a Value, item: &Value) -> Option<&'a Value> {
    let entries = fields.as_object()?;
    entries.iter().find_map(|(key, owned)| {
        let is_item = if let Some(keys) = key.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            keys.iter().all(|(name, value)| item.get(name) == Some(value))
        } else if let Some(value) = key.strip_prefix("v:") {
            serde_json::from_str::<Value>(value).ok()? == *item
        } else {
            false
        };
        is_item.then_some(owned)
    })
}
