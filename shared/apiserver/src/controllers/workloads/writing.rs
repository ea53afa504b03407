//! Writing as the controllers do: owned objects, statuses, conditions.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Item;
use crate::core::Core;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};
use crate::{defaulting, kinds, schema, typing};

const MANAGER: &str = "kube-controller-manager";

/// The reference that is marked as the controller.
pub(super) fn controller_of(v: &Value) -> Option<&Value> {
    object::at(v, &["metadata", "ownerReferences"])?.as_array()?.iter().find(|r| r["controller"] == true)
}

/// The objects of a table that `owner` controls.
pub(super) fn owned(core: &Core, table: &str, owner: &Value) -> Vec<Arc<Stored>> {
    let uid = object::uid(owner);
    let mut out: Vec<Arc<Stored>> = core
        .store
        .dependents(uid)
        .into_iter()
        .filter(|((t, _), s)| {
            **t == *table && controller_of(&s.value).is_some_and(|r| text(r, &["uid"]) == uid)
        })
        .map(|(_, s)| s)
        .collect();
    out.sort_by(|a, b| object::name(&a.value).cmp(object::name(&b.value)));
    out
}

/// A controller reference to `owner`.
pub(super) fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": object::name(owner), "uid": object::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Creates an object of a built-in kind with its defaults. `None` when the name is taken.
pub(super) fn create(core: &Core, table: &str, mut v: Value) -> Option<Arc<Stored>> {
    let catalog = core.catalog();
    let resource = catalog.by_table(table)?.clone();
    let namespace = object::namespace(&v).to_owned();
    if resource.namespaced {
        let ns = core.store.get("namespaces", &ObjectKey::new("", &namespace))?;
        if object::is_deleting(&ns.value) {
            return None;
        }
    }
    let generate = text(&v, &["metadata", "generateName"]).to_owned();
    if object::name(&v).is_empty() && !generate.is_empty() {
        let name = crate::strategy::generated_name(&generate);
        object::metadata(&mut v).insert("name".into(), name.into());
    }
    let status = v.get("status").cloned();
    complete(&resource, &mut v);
    let now = core.clock.now_text();
    v = typing::record_update(&resource, "", None, &v, MANAGER, &now);
    if resource.is("", "pods") {
        crate::admission::complete_pod(core, &mut v);
    }
    core.stamp_new(&mut v, &resource);
    kinds::prepare_create(core, &resource, &mut v, false).ok()?;
    if let Some(s) = status {
        object::members(&mut v).insert("status".into(), s);
    }
    let key = ObjectKey::new(&namespace, object::name(&v));
    core.store.create(table, &key, v).ok()
}

fn complete(resource: &Resource, v: &mut Value) {
    if let Some(ty) = schema::builtin().kind(&resource.group, &resource.version, &resource.kind) {
        let _ = schema::decode(v, ty);
    }
    defaulting::default_builtin(&resource.group, &resource.version, &resource.kind, v);
}

/// Writes the status of the item's object when it differs. True when something was written.
pub(super) fn set_status(item: &Item, status: Value) -> bool {
    if item.value().get("status") == Some(&status) {
        return false;
    }
    change(item, "status", |v| {
        object::members(v).insert("status".into(), status);
    })
    .is_some()
}

/// Changes the item's object as a controller does. `None` when nothing changed or someone else was first.
pub(super) fn change(item: &Item, subresource: &str, edit: impl FnOnce(&mut Value)) -> Option<Arc<Stored>> {
    change_stored(item.core, item.table, item.key, item.stored, subresource, edit)
}

/// Changes any stored object as a controller does.
pub(super) fn change_stored(
    core: &Core,
    table: &str,
    key: &ObjectKey,
    stored: &Stored,
    subresource: &str,
    edit: impl FnOnce(&mut Value),
) -> Option<Arc<Stored>> {
    let catalog = core.catalog();
    let resource = catalog.by_table(table)?;
    let mut new = stored.value.clone();
    edit(&mut new);
    if new == stored.value {
        return None;
    }
    let mut new = typing::record_update(
        resource,
        subresource,
        Some(&stored.value),
        &new,
        MANAGER,
        &core.clock.now_text(),
    );
    crate::strategy::count_generation(resource, &mut new, &stored.value, None);
    core.store.update(table, key, stored.revision, new).ok()
}

/// Removes an object at once.
pub(super) fn delete(core: &Core, table: &str, stored: &Arc<Stored>) -> bool {
    let catalog = core.catalog();
    catalog.by_table(table).is_some_and(|r| crate::handlers::delete::delete_now(core, r, stored))
}

/// A pod from a template.
pub(super) fn pod_from_template(
    owner: &Value,
    template: &Value,
    name: Name,
    labels: &[(&str, &str)],
) -> Value {
    let mut meta = Map::new();
    match name {
        Name::Exact(n) => meta.insert("name".into(), n.into()),
        Name::Generate(prefix) => meta.insert("generateName".into(), prefix.into()),
    };
    meta.insert("namespace".into(), object::namespace(owner).into());
    let mut all = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    for (k, v) in labels {
        all.insert((*k).to_owned(), (*v).into());
    }
    meta.insert("labels".into(), all.into());
    let mut annotations = super::behaviour::inherited(owner);
    annotations.extend(template["metadata"]["annotations"].as_object().cloned().unwrap_or_default());
    if !annotations.is_empty() {
        meta.insert("annotations".into(), annotations.into());
    }
    meta.insert("ownerReferences".into(), json!([owner_reference(owner)]));
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": template["spec"]})
}

/// The name of a new object.
pub(super) enum Name {
    Exact(String),
    Generate(String),
}

/// Sets a condition in a list, keeping the time of the last transition while the status stays.
pub(super) fn set_condition(list: &mut Vec<Value>, mut condition: Value, now: &str, transition: &str) {
    let kind = condition["type"].clone();
    let old = list.iter().position(|c| c["type"] == kind);
    let kept = old.filter(|i| list[*i]["status"] == condition["status"]).map(|i| list[i][transition].clone());
    let m = object::members(&mut condition);
    m.insert(transition.to_owned(), kept.filter(|t| !t.is_null()).unwrap_or_else(|| now.into()));
    match old {
        Some(i) => list[i] = condition,
        None => list.push(condition),
    }
}

/// Whether a pod counts as ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    !object::is_deleting(pod)
        && pod["status"]["conditions"]
            .as_array()
            .is_some_and(|l| l.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// Whether a pod is still there to count.
pub(super) fn is_active(pod: &Value) -> bool {
    !object::is_deleting(pod) && !matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed")
}

/// Ten letters and digits that name a template.
pub(super) fn template_hash(template: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for b in template.to_string().bytes() {
        hash ^= u64::from(b);
        hash = hash.wrapping_mul(0x0100_0000_01b3);
    }
    (0..10)
        .map(|_| {
            let c = ALPHABET[(hash % ALPHABET.len() as u64) as usize] as char;
            hash /= ALPHABET.len() as u64;
            c
        })
        .collect()
}

/// Puts counts into a status, leaving zeros out as Go's `omitempty` does.
pub(super) fn counts(status: &mut Map<String, Value>, pairs: &[(&str, i64)]) {
    for (k, n) in pairs {
        if *n == 0 {
            status.remove(*k);
        } else {
            status.insert((*k).to_owned(), (*n).into());
        }
    }
}
