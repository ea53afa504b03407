//! Volumes, claims and the classes of storage.

use jiff::Timestamp;
use serde_json::Value;

use super::{age_of, cells, items, joined, or_unset, scalar};
use crate::object::{self, text};

pub(super) fn cells(plural: &str, o: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let name = object::name(o);
    let age = age_of(o, now);
    Some(match plural {
        "persistentvolumes" => {
            let claim = &spec["claimRef"];
            let claimed = if claim.is_object() {
                format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"]))
            } else {
                String::new()
            };
            cells![
                name,
                scalar(&spec["capacity"]["storage"]),
                access_modes(&spec["accessModes"]),
                text(spec, &["persistentVolumeReclaimPolicy"]),
                phase(o),
                claimed,
                class(o),
                or_unset(text(spec, &["volumeAttributesClassName"])),
                text(status, &["reason"]),
                age,
                or_unset(text(spec, &["volumeMode"])),
            ]
        }
        "persistentvolumeclaims" => {
            let volume = text(spec, &["volumeName"]);
            let (capacity, modes) = if volume.is_empty() {
                (String::new(), String::new())
            } else {
                // No amount is shown as the amount of nothing.
                let amount = scalar(&status["capacity"]["storage"]);
                let amount = if amount.is_empty() { "0".to_owned() } else { amount };
                (amount, access_modes(&status["accessModes"]))
            };
            cells![
                name,
                phase(o),
                volume,
                capacity,
                modes,
                class(o),
                or_unset(text(spec, &["volumeAttributesClassName"])),
                age,
                or_unset(text(spec, &["volumeMode"])),
            ]
        }
        "storageclasses" => cells![
            named_default(o, "storageclass.kubernetes.io/is-default-class"),
            text(o, &["provisioner"]),
            or(text(o, &["reclaimPolicy"]), "Delete"),
            or(text(o, &["volumeBindingMode"]), "Immediate"),
            o["allowVolumeExpansion"] == true,
            age,
        ],
        "volumeattributesclasses" => cells![
            named_default(o, "volumeattributesclass.kubernetes.io/is-default-class"),
            text(o, &["driverName"]),
            age,
        ],
        "volumeattachments" => cells![
            name,
            text(spec, &["attacher"]),
            text(spec, &["source", "persistentVolumeName"]),
            text(spec, &["nodeName"]),
            status["attached"] == true,
            age,
        ],
        "csinodes" => cells![name, items(spec, &["drivers"]).count(), age],
        "csidrivers" => {
            let audiences = joined(items(spec, &["tokenRequests"]).map(|t| text(t, &["audience"])), ",");
            cells![
                name,
                spec["attachRequired"] != false,
                spec["podInfoOnMount"] == true,
                spec["storageCapacity"] == true,
                or_unset(&audiences),
                spec["requiresRepublish"] == true,
                joined(items(spec, &["volumeLifecycleModes"]).filter_map(Value::as_str), ","),
                age,
            ]
        }
        _ => return None,
    })
}

fn or<'a>(s: &'a str, absent: &'a str) -> &'a str {
    if s.is_empty() { absent } else { s }
}

fn phase(o: &Value) -> &str {
    if object::is_deleting(o) { "Terminating" } else { text(o, &["status", "phase"]) }
}

fn class(o: &Value) -> &str {
    match text(o, &["metadata", "annotations", "volume.beta.kubernetes.io/storage-class"]) {
        "" => text(o, &["spec", "storageClassName"]),
        class => class,
    }
}

fn named_default(o: &Value, annotation: &str) -> String {
    match text(o, &["metadata", "annotations", annotation]) {
        "true" => format!("{} (default)", object::name(o)),
        _ => object::name(o).to_owned(),
    }
}

fn access_modes(modes: &Value) -> String {
    const NAMES: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| modes.as_array().is_some_and(|m| m.iter().any(|m| m == mode));
    joined(NAMES.into_iter().filter(|(mode, _)| has(mode)).map(|(_, short)| short), ",")
}
