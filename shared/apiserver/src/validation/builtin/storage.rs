//! PersistentVolumeClaims, PersistentVolumes and StorageClasses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{internal, names};
use super::{immutable, items, member, positive_quantity, quantity_value, selector, string, subdomain_name};
use crate::api_error::FieldError;
use crate::object;
use crate::schema::Quantity;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Checks a claim. Little of a stored one may change.
pub(super) fn claim(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    claim_spec(&v["spec"], "spec", errors);
    if let Some(old) = old {
        changed_claim(v, old, errors);
    }
}

/// Checks the spec of a claim or of a template of claims.
pub(super) fn claim_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if items(spec, "accessModes").is_empty() {
        let why = "at least 1 access mode is required";
        errors.push(FieldError::required(format!("{path}.accessModes"), why));
    }
    selector::validate(member(spec, "selector"), &format!("{path}.selector"), errors);
    access_modes(spec, path, errors);
    let at = format!("{path}.resources[storage]");
    match spec["resources"]["requests"].get("storage").and_then(Value::as_str) {
        None => errors.push(FieldError::required(at, "")),
        Some(amount) => {
            if positive_quantity(amount, &at, errors) {
                quantity_value("storage", amount, &at, errors);
            }
        }
    }
    for name in ["storageClassName", "volumeAttributesClassName"] {
        if name == "volumeAttributesClassName" {
            volume_mode(spec, path, errors);
            sources(spec, path, errors);
        }
        let class = string(spec, name);
        if !class.is_empty() {
            subdomain_name(class, &format!("{path}.{name}"), errors);
        }
    }
}

fn access_modes(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let path = format!("{path}.accessModes");
    let modes: Vec<&str> = items(spec, "accessModes").iter().filter_map(Value::as_str).collect();
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.push(FieldError::not_supported(&path, *mode, &ACCESS_MODES));
    }
    let shared = modes.iter().any(|mode| ACCESS_MODES[..3].contains(mode));
    if shared && modes.contains(&"ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn volume_mode(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(mode) = member(spec, "volumeMode").and_then(Value::as_str)
        && !matches!(mode, "Block" | "Filesystem")
    {
        let at = format!("{path}.volumeMode");
        errors.push(FieldError::not_supported(at, mode, &["Block", "Filesystem"]));
    }
}

fn sources(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (source, reference) = (member(spec, "dataSource"), member(spec, "dataSourceRef"));
    for (name, v) in [("dataSource", source), ("dataSourceRef", reference)] {
        let Some(v) = v else { continue };
        let at = format!("{path}.{name}");
        for part in ["name", "kind"] {
            if string(v, part).is_empty() {
                errors.push(FieldError::required(format!("{at}.{part}"), ""));
            }
        }
        let (group, kind) = (string(v, "apiGroup"), string(v, "kind"));
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(&at, kind, why));
        }
        if !group.is_empty() {
            subdomain_name(group, &format!("{at}.apiGroup"), errors);
        }
        if name == "dataSourceRef" && !string(v, "namespace").is_empty() {
            super::label_name(string(v, "namespace"), &format!("{at}.namespace"), errors);
        }
    }
    let (Some(source), Some(reference)) = (source, reference) else { return };
    let why = if !string(reference, "namespace").is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if source != reference {
        "must match dataSourceRef"
    } else {
        return;
    };
    // The server shows the path of the source in place of its value, and paths have nothing to show.
    errors.push(super::super::invalid_text(path, "{}", why));
}

fn changed_claim(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (mut now, mut then) = (v["spec"].clone(), old["spec"].clone());
    let members = object::members(&mut then);
    if members.get("volumeName").and_then(Value::as_str).unwrap_or_default().is_empty() {
        match now.get("volumeName") {
            Some(name) => members.insert("volumeName".into(), name.clone()),
            None => members.remove("volumeName"),
        };
    }
    let annotated = |v: &Value| v["metadata"]["annotations"][BETA_CLASS].as_str().map(str::to_owned);
    let class = |spec: &Value| member(spec, "storageClassName").and_then(Value::as_str).map(str::to_owned);
    let (old_note, new_note) = (annotated(old), annotated(v));
    let (old_class, new_class) = (class(&then), class(&now));
    let moved_to_field = old_note.is_some()
        && old_class.is_none()
        && new_class == old_note
        && (new_note.is_none() || new_note == old_note);
    if moved_to_field {
        object::members(&mut now).remove("storageClassName");
    } else {
        if old_note != new_note {
            errors.push(FieldError::invalid(
                format!("metadata.annotations[{BETA_CLASS}]"),
                new_note.unwrap_or_default(),
                super::IMMUTABLE,
            ));
        }
        if old_class.is_none()
            && let Some(class) = &new_class
            && old_note.is_none_or(|note| note == *class)
        {
            object::members(&mut now).remove("storageClassName");
        }
    }
    if string(&v["status"], "phase") == "Bound" {
        if now["resources"]["requests"].is_object() {
            let size = old["spec"]["resources"]["requests"]["storage"].clone();
            object::set_at(&mut now, &["resources", "requests", "storage"], size);
        }
        match then.get("volumeAttributesClassName") {
            Some(class) => object::set_at(&mut now, &["volumeAttributesClassName"], class.clone()),
            None => {
                object::members(&mut now).remove("volumeAttributesClassName");
            }
        }
    }
    if now != then {
        let difference = internal::diff("core.PersistentVolumeClaimSpec", &then, &now);
        errors.push(FieldError::forbidden(
            "spec",
            format!(
                "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                 claims\n{difference}"
            ),
        ));
    }
    let size = |v: &Value| Quantity::parse(v.as_str().unwrap_or("0")).ok();
    let (new_size, old_size) = (
        size(&v["spec"]["resources"]["requests"]["storage"]),
        size(&old["spec"]["resources"]["requests"]["storage"]),
    );
    if new_size < old_size && new_size <= size(&old["status"]["capacity"]["storage"]) {
        let why = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", why));
    }
    immutable(&v["spec"], &old["spec"], "volumeMode", "volumeMode", errors);
    attributes_class(v, old, errors);
}

fn attributes_class(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let class = |v: &Value| {
        member(&v["spec"], "volumeAttributesClassName").and_then(Value::as_str).map(str::to_owned)
    };
    if class(v) == class(old) || member(&old["status"], "currentVolumeAttributesClassName").is_none() {
        return;
    }
    let what = match class(v) {
        None => "nil",
        Some(class) if class.is_empty() => "empty string",
        Some(_) => return,
    };
    errors.push(FieldError::forbidden(
        "spec.volumeAttributesClassName",
        format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"),
    ));
}

/// The kinds of storage behind a volume in the order in which they are looked for, with the name errors give them.
const VOLUME_SOURCES: [(&str, &str); 22] = [
    ("hostPath", "hostPath"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("nfs", "nfs"),
    ("rbd", "rbd"),
    ("quobyte", "quobyte"),
    ("cephfs", "cephFS"),
    ("iscsi", "iscsi"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("scaleIO", "scaleIO"),
    ("local", "local"),
    ("storageos", "storageos"),
    ("csi", "csi"),
];

/// Checks a volume. What it is made of never changes.
pub(super) fn volume(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    volume_spec(spec, errors);
    if let Some(old) = old {
        // An update is checked like a create, and then once more with what was there.
        volume_spec(spec, errors);
        changed_volume(spec, &old["spec"], errors);
        changed_nodes(spec, &old["spec"], errors);
    }
}

fn volume_spec(spec: &Value, errors: &mut Vec<FieldError>) {
    if items(spec, "accessModes").is_empty() {
        errors.push(FieldError::required("spec.accessModes", ""));
    }
    access_modes(spec, "spec", errors);
    capacity(spec, errors);
    let policy = string(spec, "persistentVolumeReclaimPolicy");
    let policies = ["Delete", "Recycle", "Retain"];
    if !policy.is_empty() && !policies.contains(&policy) {
        errors.push(FieldError::not_supported("spec.persistentVolumeReclaimPolicy", policy, &policies));
    }
    let affinity = &spec["nodeAffinity"];
    if member(spec, "nodeAffinity").is_some() {
        match member(affinity, "required") {
            Some(required) => {
                super::affinity::node_selector(required, "spec.nodeAffinity.required", errors);
            }
            None => errors.push(FieldError::required(
                "spec.nodeAffinity.required",
                "must specify required node constraints",
            )),
        }
    }
    volume_source(spec, errors);
    if policy == "Recycle" && spec["hostPath"]["path"] == "/" {
        errors.push(FieldError::forbidden(
            "spec.persistentVolumeReclaimPolicy",
            "may not be 'recycle' for a hostPath mount of '/'",
        ));
    }
    if !string(spec, "storageClassName").is_empty() {
        subdomain_name(string(spec, "storageClassName"), "spec.storageClassName", errors);
    }
    volume_mode(spec, "spec", errors);
    if let Some(class) = member(spec, "volumeAttributesClassName").and_then(Value::as_str) {
        if class.is_empty() {
            let why = "an empty string is disallowed";
            errors.push(FieldError::required("spec.volumeAttributesClassName", why));
        } else {
            subdomain_name(class, "spec.volumeAttributesClassName", errors);
        }
        if member(spec, "csi").is_none() {
            let why = "has to be specified when using volumeAttributesClassName";
            errors.push(FieldError::required("spec.csi", why));
        }
    }
}

fn capacity(spec: &Value, errors: &mut Vec<FieldError>) {
    let amounts = spec.get("capacity").and_then(Value::as_object).filter(|amounts| !amounts.is_empty());
    let Some(amounts) = amounts else {
        errors.push(FieldError::required("spec.capacity", ""));
        let shown = spec.get("capacity").cloned().unwrap_or_default();
        errors.push(FieldError::not_supported("spec.capacity", shown, &["storage"]));
        return;
    };
    if amounts.len() > 1 || !amounts.contains_key("storage") {
        errors.push(FieldError::not_supported("spec.capacity", spec["capacity"].clone(), &["storage"]));
    }
    for (name, amount) in amounts {
        positive_quantity(amount.as_str().unwrap_or_default(), &format!("spec.capacity[{name}]"), errors);
    }
}

fn volume_source(spec: &Value, errors: &mut Vec<FieldError>) {
    let mut found = false;
    for (name, shown) in VOLUME_SOURCES {
        let Some(source) = member(spec, name) else { continue };
        if found {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(format!("spec.{shown}"), why));
            continue;
        }
        found = true;
        super::volumes::details(name, source, &format!("spec.{name}"), errors);
        if name == "local" {
            if string(source, "path").is_empty() {
                errors.push(FieldError::required("spec.local.path", ""));
            }
            if member(&spec["nodeAffinity"], "required").is_none() {
                errors.push(FieldError::required("spec.nodeAffinity", "Local volume requires node affinity"));
            }
        }
        if name == "csi" && string(source, "volumeHandle").is_empty() {
            errors.push(FieldError::required("spec.csi.volumeHandle", ""));
        }
    }
    if !found {
        errors.push(FieldError::required("spec", "must specify a volume type"));
    }
}

fn changed_volume(spec: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let source = |spec: &Value| {
        let mut members = spec.as_object().cloned().unwrap_or_default();
        members.retain(|name, _| VOLUME_SOURCES.iter().any(|(source, _)| source == name));
        Value::Object(members)
    };
    let (mut now, then) = (source(spec), source(old));
    if now.get("csi").is_some()
        && then["csi"].is_object()
        && then["csi"].get("controllerExpandSecretRef").is_none()
    {
        object::remove_at(&mut now, &["csi", "controllerExpandSecretRef"]);
    }
    if now != then {
        let difference = internal::diff("core.PersistentVolumeSource", &then, &now);
        errors.push(FieldError::forbidden(
            "spec.persistentvolumesource",
            format!("spec.persistentvolumesource is immutable after creation\n{difference}"),
        ));
    }
    immutable(spec, old, "volumeMode", "volumeMode", errors);
    if member(old, "volumeAttributesClassName").is_some()
        && member(spec, "volumeAttributesClassName").is_none()
    {
        let why = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", why));
    }
}

/// Labels that may become others where the nodes of a volume are selected.
const BETA_LABELS: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// The nodes of a volume stay the same, but for the names of their labels.
fn changed_nodes(spec: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let Some(then) = member(old, "nodeAffinity") else { return };
    let now = member(spec, "nodeAffinity").cloned().unwrap_or_default();
    if !same_nodes(&now, then) {
        let shown = if now.is_null() { Value::Null } else { shown_nodes(&now) };
        let why = "field is immutable, except for updating from beta label to GA";
        errors.push(FieldError::invalid("nodeAffinity", shown, why));
    }
}

fn same_nodes(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
            names.into_iter().all(|name| {
                let (now, then) = (now.get(name), then.get(name));
                let (now, then) = (now.unwrap_or(&Value::Null), then.unwrap_or(&Value::Null));
                let renamed = || BETA_LABELS.iter().any(|(beta, stable)| then == beta && now == stable);
                name == "key" && renamed() || same_nodes(now, then)
            })
        }
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| same_nodes(now, then))
        }
        _ => now == then,
    }
}

fn shown_nodes(affinity: &Value) -> Value {
    serde_json::from_str(&internal::text("core.VolumeNodeAffinity", affinity)).unwrap_or_default()
}

/// Checks a StorageClass; only its metadata and a few switches ever change.
pub(super) fn class(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let provisioner = string(v, "provisioner");
    if provisioner.is_empty() {
        errors.push(FieldError::required("provisioner", ""));
    } else {
        let lower = provisioner.to_lowercase();
        for m in names::qualified_name(&lower) {
            errors.push(FieldError::invalid("provisioner", lower.as_str(), m));
        }
    }
    parameters(v, errors);
    let policy = string(v, "reclaimPolicy");
    if !policy.is_empty() && !matches!(policy, "Delete" | "Retain") {
        errors.push(FieldError::not_supported("reclaimPolicy", policy, &["Delete", "Retain"]));
    }
    match member(v, "volumeBindingMode").and_then(Value::as_str) {
        None => errors.push(FieldError::required("volumeBindingMode", "")),
        Some("Immediate" | "WaitForFirstConsumer") => {}
        Some(other) => {
            let modes = ["Immediate", "WaitForFirstConsumer"];
            errors.push(FieldError::not_supported("volumeBindingMode", other, &modes));
        }
    }
    let topologies = items(v, "allowedTopologies");
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> = vec![BTreeMap::new(); topologies.len()];
    for (index, term) in topologies.iter().enumerate() {
        let path = format!("allowedTopologies[{index}].matchLabelExpressions");
        let wanted = topology(term, &path, errors);
        for _ in seen.iter().filter(|known| **known == wanted) {
            errors.push(FieldError::duplicate(&path, ""));
        }
        seen.push(wanted);
    }
    if let Some(old) = old {
        for name in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            immutable(v, old, name, name, errors);
        }
    }
}

/// Checks a term of topologies; what it wants of each label.
fn topology<'a>(
    term: &'a Value,
    path: &str,
    errors: &mut Vec<FieldError>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut wanted = BTreeMap::new();
    for (index, expression) in items(term, "matchLabelExpressions").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let values = items(expression, "values");
        if values.is_empty() {
            errors.push(FieldError::required(format!("{path}.values"), ""));
        }
        let mut set = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            if !set.insert(value) {
                errors.push(FieldError::duplicate(format!("{path}.values[{index}]"), value));
            }
        }
        let key = string(expression, "key");
        for m in names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, m));
        }
        if wanted.insert(key, set).is_some() {
            errors.push(FieldError::duplicate(format!("{path}.key"), key));
        }
    }
    wanted
}

/// Checks the parameters of a class.
pub(super) fn parameters(v: &Value, errors: &mut Vec<FieldError>) {
    const MOST: usize = 512;
    const LARGEST: usize = 256 * 1024;
    let Some(parameters) = v.get("parameters").and_then(Value::as_object) else { return };
    if parameters.len() > MOST {
        errors.push(FieldError::too_long("parameters", MOST));
        return;
    }
    if parameters.contains_key("") {
        errors.push(FieldError::invalid("parameters", "", "field can not be empty."));
    }
    let size: usize =
        parameters.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > LARGEST {
        errors.push(FieldError::too_long("parameters", LARGEST));
    }
}
