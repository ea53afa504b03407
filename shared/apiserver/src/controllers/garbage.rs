//! Garbage collection by owner references: absent owners, background, foreground and orphan deletion.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::core::Core;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};
use crate::typing;

/// Collects after each batch of changes until the server stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changes = core.store.watch_all();
    loop {
        changes.borrow_and_update();
        while collect(&core) {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// One pass. True when something changed and another pass may find more.
pub(crate) fn collect(core: &Core) -> bool {
    let mut changed = false;
    for uid in core.store.owner_uids() {
        match core.store.by_uid(&uid) {
            None => {
                for (_, dependent) in core.store.dependents(&uid) {
                    changed |= owner_is_gone(core, &dependent, &uid);
                }
            }
            Some(((_, _), owner)) => {
                if !object::is_deleting(&owner.value) {
                    continue;
                }
                let finalizers = object::finalizers(&owner.value);
                if finalizers.contains(&"orphan") {
                    for (_, d) in core.store.dependents(&uid) {
                        changed |= drop_reference(core, &d, &uid);
                    }
                } else if finalizers.contains(&"foregroundDeletion") {
                    for (_, d) in core.store.dependents(&uid) {
                        if !object::is_deleting(&d.value) && only_owner(core, &d, &uid) {
                            changed |= delete_dependent(core, &d, true);
                        }
                    }
                }
            }
        }
    }
    changed | finish_owners(core)
}

/// Takes the collector's finalizers from owners that have nothing left to wait for.
fn finish_owners(core: &Core) -> bool {
    let mut changed = false;
    for ((table, _), owner) in core.store.deleting() {
        let finalizers = object::finalizers(&owner.value);
        let uid = object::uid(&owner.value);
        if finalizers.contains(&"orphan") && core.store.dependents(uid).is_empty() {
            changed |= remove_finalizer(core, &table, &owner, "orphan");
        } else if finalizers.contains(&"foregroundDeletion") {
            let blocking = core.store.dependents(uid).iter().any(|(_, d)| blocks(&d.value, uid));
            if !blocking {
                changed |= remove_finalizer(core, &table, &owner, "foregroundDeletion");
            }
        } else if let Some(finalizer) = protection_to_lift(core, &table, &owner.value, &finalizers) {
            changed |= remove_finalizer(core, &table, &owner, finalizer);
        }
    }
    changed
}

fn references(v: &Value) -> impl Iterator<Item = &Value> {
    object::at(v, &["metadata", "ownerReferences"]).and_then(Value::as_array).into_iter().flatten()
}

/// Puts the finalizer back that protects a claim or a volume, where a write took it away.
pub(super) fn protect(core: &Core, resource: &Resource, stored: &Stored) {
    let finalizer = match &*resource.table {
        "persistentvolumeclaims" => "kubernetes.io/pvc-protection",
        "persistentvolumes" => "kubernetes.io/pv-protection",
        _ => return,
    };
    let live = &stored.value;
    if object::is_deleting(live) || object::finalizers(live).contains(&finalizer) {
        return;
    }
    let mut new = live.clone();
    let all: Vec<Value> = object::finalizers(live).into_iter().chain([finalizer]).map(Value::from).collect();
    object::metadata(&mut new).insert("finalizers".into(), all.into());
    let manager = "kube-controller-manager";
    let new = typing::record_update(resource, "", Some(live), &new, manager, &core.clock.now_text());
    let key = ObjectKey::new(object::namespace(live), object::name(live));
    // Whoever wrote meanwhile comes here as well.
    let _ = core.store.update(&resource.table, &key, stored.revision, new);
}

/// The finalizer that keeps a claim while Pods use it, or a volume while it is bound, once nothing does.
fn protection_to_lift(core: &Core, table: &str, v: &Value, finalizers: &[&str]) -> Option<&'static str> {
    let (finalizer, in_use) = match table {
        "persistentvolumeclaims" => ("kubernetes.io/pvc-protection", is_mounted(core, v)),
        "persistentvolumes" => ("kubernetes.io/pv-protection", text(v, &["status", "phase"]) == "Bound"),
        _ => return None,
    };
    (finalizers.contains(&finalizer) && !in_use).then_some(finalizer)
}

fn is_mounted(core: &Core, claim: &Value) -> bool {
    let name = object::name(claim);
    let is_over = |pod: &Value| matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed");
    let uses = |volume: &Value| text(volume, &["persistentVolumeClaim", "claimName"]) == name;
    core.store.list("pods", Some(object::namespace(claim))).objects.iter().any(|pod| {
        let volumes = pod.value["spec"]["volumes"].as_array();
        !is_over(&pod.value) && volumes.into_iter().flatten().any(uses)
    })
}

fn blocks(dependent: &Value, uid: &str) -> bool {
    references(dependent).any(|r| text(r, &["uid"]) == uid && r["blockOwnerDeletion"] == true)
}

/// Whether an owner that is going away is the last one to keep the dependent.
fn only_owner(core: &Core, dependent: &Stored, uid: &str) -> bool {
    references(&dependent.value).all(|r| {
        let other = text(r, &["uid"]);
        other == uid || core.store.by_uid(other).is_none_or(|(_, o)| object::is_deleting(&o.value))
    })
}

fn owner_is_gone(core: &Core, dependent: &Arc<Stored>, uid: &str) -> bool {
    let solid = references(&dependent.value).any(|r| {
        let other = text(r, &["uid"]);
        other != uid && core.store.by_uid(other).is_some()
    });
    if solid {
        return drop_reference(core, dependent, uid);
    }
    if object::is_deleting(&dependent.value) {
        return false;
    }
    delete_dependent(core, dependent, false)
}

fn delete_dependent(core: &Core, dependent: &Arc<Stored>, foreground: bool) -> bool {
    let catalog = core.catalog();
    let api_version = text(&dependent.value, &["apiVersion"]);
    let kind = text(&dependent.value, &["kind"]);
    let Some(resource) = catalog.by_kind(api_version, kind) else { return false };
    if foreground && !core.store.dependents(object::uid(&dependent.value)).is_empty() {
        return crate::handlers::delete::mark_deleting(core, resource, dependent, &["foregroundDeletion"])
            .is_some();
    }
    crate::handlers::delete::delete_now(core, resource, dependent);
    core.store
        .get(
            &resource.table,
            &ObjectKey::new(object::namespace(&dependent.value), object::name(&dependent.value)),
        )
        .is_none_or(|now| now.revision != dependent.revision)
}

fn drop_reference(core: &Core, dependent: &Arc<Stored>, uid: &str) -> bool {
    let mut v = dependent.value.clone();
    let mut rest: Vec<Value> = references(&v).cloned().collect();
    rest.retain(|r| text(r, &["uid"]) != uid);
    let meta = object::metadata(&mut v);
    if rest.is_empty() {
        meta.remove("ownerReferences");
    } else {
        meta.insert("ownerReferences".into(), rest.into());
    }
    let Some((table, key)) = core.store.by_uid(object::uid(&v)).map(|(l, _)| l) else { return false };
    core.store.update(&table, &key, dependent.revision, v).is_ok()
}

fn remove_finalizer(core: &Core, table: &str, owner: &Arc<Stored>, finalizer: &str) -> bool {
    let mut v = owner.value.clone();
    let rest: Vec<Value> =
        object::finalizers(&v).into_iter().filter(|f| *f != finalizer).map(Value::from).collect();
    let key = ObjectKey::new(object::namespace(&v), object::name(&v));
    let empty = rest.is_empty();
    let meta = object::metadata(&mut v);
    if empty {
        meta.remove("finalizers");
        return core.store.delete(table, &key, owner.revision, v).is_ok();
    }
    meta.insert("finalizers".into(), rest.into());
    core.store.update(table, &key, owner.revision, v).is_ok()
}
