//! PersistentVolumeClaims: bound to a volume of their own.

use serde_json::{Value, json};

use super::writing::{change, create, set_status};
use super::{Again, Item};
use crate::core::Core;
use crate::object::{self, text};
use crate::store::ObjectKey;

const CLASSES: &str = "storageclasses.storage.k8s.io";

/// Binds a claim whose class exists; lets a deleted claim go.
pub(super) fn reconcile(item: &Item) -> Again {
    let c = item.value();
    if object::is_deleting(c) {
        return release(item);
    }
    let class = text(c, &["spec", "storageClassName"]);
    let bound = text(c, &["spec", "volumeName"]);
    if bound.is_empty() {
        if class.is_empty() || item.core.store.get(CLASSES, &ObjectKey::new("", class)).is_none() {
            return None;
        }
        let name = format!("pvc-{}", object::uid(c));
        create(item.core, "persistentvolumes", volume(c, &name, class));
        change(item, "", |v| object::set_at(v, &["spec", "volumeName"], name.into()));
        return None;
    }
    let mut status = c["status"].clone();
    let m = object::members(&mut status);
    m.insert("phase".into(), "Bound".into());
    m.insert("accessModes".into(), c["spec"]["accessModes"].clone());
    m.insert("capacity".into(), json!({"storage": c["spec"]["resources"]["requests"]["storage"]}));
    set_status(item, status);
    None
}

/// A claim that no pod uses goes, and its volume with it.
fn release(item: &Item) -> Again {
    let c = item.value();
    let name = object::name(c);
    let used = item.core.store.list("pods", Some(object::namespace(c))).objects.iter().any(|p| {
        p.value["spec"]["volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|v| text(v, &["persistentVolumeClaim", "claimName"]) == name)
    });
    if used {
        return Some(super::DELAY * 4);
    }
    let key = ObjectKey::new("", text(c, &["spec", "volumeName"]));
    if let Some(v) = item.core.store.get("persistentvolumes", &key)
        && text(&v.value, &["spec", "persistentVolumeReclaimPolicy"]) == "Delete"
    {
        let _ = item.core.store.delete("persistentvolumes", &key, v.revision, v.value.clone());
    }
    None
}

fn volume(c: &Value, name: &str, class: &str) -> Value {
    json!({
        "kind": "PersistentVolume", "apiVersion": "v1",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "sim.fluxide.dev/provisioner"}},
        "spec": {
            "capacity": {"storage": c["spec"]["resources"]["requests"]["storage"]},
            "accessModes": c["spec"]["accessModes"], "volumeMode": c["spec"]["volumeMode"],
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": class,
            "hostPath": {"path": format!("/var/local/{name}")},
            "claimRef": {
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": object::namespace(c),
                "name": object::name(c), "uid": object::uid(c),
            },
        },
        "status": {"phase": "Bound"},
    })
}

/// A claim that names no class gets the default one.
pub(super) fn default_class(core: &Core, claim: &mut Value) {
    if claim["spec"].get("storageClassName").is_some() {
        return;
    }
    let annotation = ["metadata", "annotations", "storageclass.kubernetes.io/is-default-class"];
    let class =
        core.store.list(CLASSES, None).objects.into_iter().find(|c| text(&c.value, &annotation) == "true");
    if let Some(c) = class {
        object::set_at(claim, &["spec", "storageClassName"], object::name(&c.value).into());
    }
}
