//! The volumes of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{integer, items, label_name, member, string};
use crate::api_error::FieldError;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// The sources of volumes in the order in which they are looked for, with the name that errors give them.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwarAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// Checks the volumes, and returns the names of those that may be mounted.
pub(super) fn validate(spec: &Value, path: &str, errors: &mut Vec<FieldError>) -> BTreeSet<String> {
    let mut mountable = BTreeSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let before = errors.len();
        source(volume, &path, errors);
        let name = string(volume, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            label_name(name, &format!("{path}.name"), errors);
        }
        if mountable.contains(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        if errors.len() == before {
            mountable.insert(name.to_owned());
        }
    }
    mountable
}

fn source(volume: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut found = false;
    for (name, shown) in SOURCES {
        let Some(source) = member(volume, name) else { continue };
        if found {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(format!("{path}.{shown}"), why));
            continue;
        }
        found = true;
        details(name, source, &format!("{path}.{name}"), errors);
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn details(name: &str, source: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let required = |member: &str, errors: &mut Vec<FieldError>| {
        if string(source, member).is_empty() {
            errors.push(FieldError::required(format!("{path}.{member}"), ""));
        }
    };
    match name {
        "hostPath" => {
            required("path", errors);
            let host_path = string(source, "path");
            if host_path.split('/').any(|part| part == "..") {
                errors.push(FieldError::invalid(
                    format!("{path}.path"),
                    host_path,
                    "must not contain '..'",
                ));
            }
        }
        "secret" | "configMap" => {
            required(if name == "secret" { "secretName" } else { "name" }, errors);
            mode(source, "defaultMode", path, errors);
            for (index, item) in items(source, "items").iter().enumerate() {
                key_to_path(item, &format!("{path}.items[{index}]"), errors);
            }
        }
        "persistentVolumeClaim" => required("claimName", errors),
        "nfs" => {
            required("server", errors);
            required("path", errors);
        }
        "csi" => required("driver", errors),
        "downwardAPI" | "projected" => mode(source, "defaultMode", path, errors),
        _ => {}
    }
}

fn key_to_path(item: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for name in ["key", "path"] {
        if string(item, name).is_empty() {
            errors.push(FieldError::required(format!("{path}.{name}"), ""));
        }
    }
    let local = string(item, "path");
    if local.starts_with('/') {
        errors.push(FieldError::invalid(format!("{path}.path"), local, "must be a relative path"));
    }
    if local.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(format!("{path}.path"), local, "must not contain '..'"));
    } else if local.starts_with("..") {
        errors.push(FieldError::invalid(format!("{path}.path"), local, "must not start with '..'"));
    }
    mode(item, "mode", path, errors);
}

fn mode(v: &Value, name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let mode = integer(v, name);
    if !(0..=0o777).contains(&mode) {
        errors.push(FieldError::invalid(format!("{path}.{name}"), mode, MODE));
    }
}
