//! What every write that is no apply does to `metadata.managedFields`.

use serde_json::Value;

use crate::apply::without_managed_fields;
use crate::managers::{ManagerId, Managers, Operation};
use crate::ownership::{Versioned, record_update};
use crate::versions::Versions;

/// A create, replacement or patch.
#[derive(Debug, Clone, Copy)]
pub struct UpdateRequest<'a> {
    /// The object as stored, at `api_version`; `None` for a create.
    pub live: Option<&'a Value>,
    /// The object as it is to be stored: patched and defaulted, but before the server sets what is its own.
    pub new: &'a Value,
    /// The name of the manager.
    pub manager: &'a str,
    /// The version of the request, as in `apps/v1`.
    pub api_version: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// The time of the request, RFC 3339 in UTC and whole seconds.
    pub now: &'a str,
}

/// The new object with its `metadata.managedFields`.
///
/// Clients may edit the entries; an empty list, or one with an empty entry, resets them. Where it cannot be worked out who
/// owns what, nobody does.
pub fn update(request: &UpdateRequest<'_>, versions: &dyn Versions) -> Value {
    let managers = managers_to_start_from(request);
    let mut new = without_managed_fields(request.new);
    let is_create = request
        .live
        .is_none_or(|live| live.pointer("/metadata/uid").and_then(Value::as_str).is_none_or(str::is_empty));
    if managers.is_empty() && !is_create {
        return new;
    }
    let live = match request.live {
        Some(live) => without_managed_fields(live),
        None => versions.empty(request.api_version),
    };
    let id = ManagerId::new(request.manager, Operation::Update, request.api_version, request.subresource);
    let mut updated = managers;
    let old = Versioned { object: &live, api_version: request.api_version };
    let recorded = record_update(
        &mut updated,
        old,
        Versioned { object: &new, api_version: request.api_version },
        id,
        request.now,
        versions,
    );
    let managers = match recorded {
        Ok(()) => updated,
        Err(_) => Managers::default(),
    };
    managers.write_to(&mut new);
    new
}

/// Puts back the times of the entries when nothing else than times differs between the stored and the new object.
///
/// To be called last, on applies and updates alike, so that writes without effect store nothing.
pub fn keep_times(old: &Value, new: &mut Value) {
    let entries = |object: &Value| -> Option<Vec<Value>> {
        object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned()
    };
    let (Some(old_entries), Some(new_entries)) = (entries(old), entries(new)) else { return };
    if old_entries.len() != new_entries.len() || old_entries == new_entries {
        return;
    }
    let same_entries =
        old_entries.iter().zip(&new_entries).all(|(old, new)| without_time(old) == without_time(new));
    if !same_entries || without_managed_fields(old) != without_managed_fields(new) {
        return;
    }
    if let Some(entries) = new.pointer_mut("/metadata/managedFields") {
        *entries = Value::Array(old_entries);
    }
}

fn managers_to_start_from(request: &UpdateRequest<'_>) -> Managers {
    let stored = || request.live.map(Managers::of_object).unwrap_or_default();
    if !request.subresource.is_empty() {
        return stored();
    }
    let Some(entries) = request.new.pointer("/metadata/managedFields") else { return stored() };
    if is_reset(entries) {
        return Managers::default();
    }
    match Managers::decode(entries) {
        Ok(managers) if !managers.is_empty() => managers,
        _ => stored(),
    }
}

fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

fn without_time(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Value::Object(members) = &mut entry {
        members.remove("time");
    }
    entry
}
