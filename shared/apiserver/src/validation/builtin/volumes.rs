//! The volumes of a pod.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{integer, items, label_name, member, string};
use crate::api_error::FieldError;
use crate::schema::Quantity;

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

/// The volumes that may be mounted, and whether each can be used as a device.
pub(super) type Volumes = BTreeMap<String, bool>;

/// Checks the volumes, and returns those that may be mounted.
pub(super) fn validate(spec: &Value, path: &str, errors: &mut Vec<FieldError>) -> Volumes {
    let mut mountable = Volumes::new();
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
        if mountable.contains_key(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        if errors.len() == before {
            let is_device =
                ["persistentVolumeClaim", "ephemeral"].iter().any(|kind| member(volume, kind).is_some());
            mountable.insert(name.to_owned(), is_device);
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

/// Checks what a volume is made of.
pub(super) fn details(name: &str, source: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let required = |members: &[&str], errors: &mut Vec<FieldError>| {
        for member in members {
            if string(source, member).is_empty() {
                errors.push(FieldError::required(format!("{path}.{member}"), ""));
            }
        }
    };
    match name {
        "emptyDir" => {
            let limit = string(source, "sizeLimit");
            if Quantity::parse(limit).is_ok_and(|q| q.is_negative()) {
                let why = "SizeLimit field must be a valid resource quantity";
                errors.push(FieldError::forbidden(format!("{path}.sizeLimit"), why));
            }
        }
        "hostPath" => host_path(source, path, errors),
        "gitRepo" => required(&["repository"], errors),
        "gcePersistentDisk" => required(&["pdName"], errors),
        "awsElasticBlockStore" | "cinder" => required(&["volumeID"], errors),
        "secret" | "configMap" => {
            required(if name == "secret" { &["secretName"] } else { &["name"] }, errors);
            mode(source, "defaultMode", path, errors);
            for (index, item) in items(source, "items").iter().enumerate() {
                key_to_path(item, &format!("{path}.items[{index}]"), errors);
            }
        }
        "persistentVolumeClaim" => required(&["claimName"], errors),
        "nfs" => {
            required(&["server", "path"], errors);
            let exported = string(source, "path");
            if !exported.starts_with('/') {
                errors.push(FieldError::invalid(
                    format!("{path}.path"),
                    exported,
                    "must be an absolute path",
                ));
            }
        }
        "glusterfs" => required(&["endpoints", "path"], errors),
        "csi" => driver(source, path, errors),
        "downwardAPI" => {
            mode(source, "defaultMode", path, errors);
            for file in items(source, "items") {
                downward_file(file, path, errors);
            }
        }
        "projected" => projected(source, path, errors),
        "ephemeral" => match member(source, "volumeClaimTemplate") {
            None => errors.push(FieldError::required(format!("{path}.volumeClaimTemplate"), "")),
            Some(template) => {
                super::storage::claim_spec(
                    &template["spec"],
                    &format!("{path}.volumeClaimTemplate.spec"),
                    errors,
                );
            }
        },
        _ => {}
    }
}

fn host_path(source: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let host_path = string(source, "path");
    if host_path.is_empty() {
        errors.push(FieldError::required(format!("{path}.path"), ""));
        return;
    }
    no_backsteps(host_path, &format!("{path}.path"), errors);
    let kind = string(source, "type");
    if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
}

fn driver(source: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (at, name) = (format!("{path}.driver"), string(source, "driver"));
    if name.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        if name.len() > 63 {
            errors.push(FieldError::too_long(&at, 63));
        }
        for m in super::super::names::dns1123_subdomain(&name.to_lowercase()) {
            errors.push(FieldError::invalid(&at, name, m));
        }
    }
    if let Some(secret) = member(source, "nodePublishSecretRef") {
        match string(secret, "name") {
            "" => errors.push(FieldError::required(format!("{path}.nodePublishSecretRef.name"), "")),
            name => super::subdomain_name(name, &format!("{path}.name"), errors),
        }
    }
}

fn downward_file(file: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const FIELDS: [&str; 5] =
        ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
    if string(file, "path").is_empty() {
        errors.push(FieldError::required(format!("{path}.path"), ""));
    }
    local_path(string(file, "path"), &format!("{path}.path"), errors);
    match (member(file, "fieldRef"), member(file, "resourceFieldRef")) {
        (Some(field), resource) => {
            super::containers::field_reference(field, &FIELDS, &format!("{path}.fieldRef"), errors);
            if resource.is_some() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", why));
            }
        }
        (None, Some(resource)) => {
            super::containers::resource_field(resource, true, &format!("{path}.resourceFieldRef"), errors);
        }
        (None, None) => {
            errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    mode(file, "mode", path, errors);
}

fn projected(source: &Value, path: &str, errors: &mut Vec<FieldError>) {
    mode(source, "defaultMode", path, errors);
    let mut taken = BTreeSet::new();
    for (index, v) in items(source, "sources").iter().enumerate() {
        let at = format!("{path}.sources[{index}]");
        for kind in ["secret", "configMap"] {
            let Some(source) = member(v, kind) else { continue };
            let name = string(source, "name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.{kind}.name"), ""));
            }
            for (index, item) in items(source, "items").iter().enumerate() {
                key_to_path(item, &format!("{at}.{kind}.items[{index}]"), errors);
                let file = string(item, "path");
                if !file.is_empty() && !taken.insert(file) {
                    errors.push(FieldError::invalid(path, name, "conflicting duplicate paths"));
                }
            }
        }
        for file in items(&v["downwardAPI"], "items") {
            downward_file(file, &format!("{at}.downwardAPI"), errors);
            let file = string(file, "path");
            if !file.is_empty() && !taken.insert(file) {
                errors.push(FieldError::invalid(path, file, "conflicting duplicate paths"));
            }
        }
        if let Some(token) = member(v, "serviceAccountToken") {
            service_account_token(token, path, &at, errors);
        }
        let kinds = [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ];
        if kinds.iter().filter(|kind| member(v, kind).is_some()).count() > 1 {
            let why = "may not specify more than 1 volume type per source";
            errors.push(FieldError::forbidden(at, why));
        }
    }
}

fn service_account_token(token: &Value, path: &str, at: &str, errors: &mut Vec<FieldError>) {
    let seconds = integer(token, "expirationSeconds");
    let at = format!("{at}.serviceAccountToken.expirationSeconds");
    if seconds < 600 {
        errors.push(FieldError::invalid(at, seconds, "may not specify a duration less than 10 minutes"));
    } else if seconds > 1 << 32 {
        errors.push(FieldError::invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    match string(token, "path") {
        "" => errors.push(FieldError::required(format!("{path}.path"), "")),
        file => local_path(file, &format!("{path}.path"), errors),
    }
}

/// Checks a path that may not leave the directory it is in.
pub(super) fn descending_path(local: &str, path: &str, errors: &mut Vec<FieldError>) {
    if local.starts_with('/') {
        errors.push(FieldError::invalid(path, local, "must be a relative path"));
    }
    no_backsteps(local, path, errors);
}

fn no_backsteps(local: &str, path: &str, errors: &mut Vec<FieldError>) {
    if local.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, local, "must not contain '..'"));
    }
}

/// Checks a descending path that is no reserved name either.
fn local_path(local: &str, path: &str, errors: &mut Vec<FieldError>) {
    descending_path(local, path, errors);
    if local.starts_with("..") && !local.starts_with("../") {
        errors.push(FieldError::invalid(path, local, "must not start with '..'"));
    }
}

fn key_to_path(item: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for name in ["key", "path"] {
        if string(item, name).is_empty() {
            errors.push(FieldError::required(format!("{path}.{name}"), ""));
        }
    }
    local_path(string(item, "path"), &format!("{path}.path"), errors);
    mode(item, "mode", path, errors);
}

fn mode(v: &Value, name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let mode = integer(v, name);
    if !(0..=0o777).contains(&mode) {
        errors.push(FieldError::invalid(format!("{path}.{name}"), mode, MODE));
    }
}
