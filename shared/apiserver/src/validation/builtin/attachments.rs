//! Volumes on nodes: attachments, what drivers say about nodes and capacity, and classes of attributes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{IMMUTABLE, internal, invalid_text, names};
use super::{integer, items, member, not_negative_quantity, selector, storage, string, subdomain_name};
use crate::api_error::FieldError;

const LONGEST_DRIVER: usize = 63;
const LONGEST_NODE_ID: usize = 256;
const LARGEST_METADATA: usize = 256 * 1024;
const LONGEST_MESSAGE: usize = 1024;

/// Checks a VolumeAttachment with its status.
pub(super) fn attachment(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    driver_name(string(spec, "attacher"), "spec.attacher", errors);
    let source = &spec["source"];
    let volume = member(source, "persistentVolumeName").and_then(Value::as_str);
    let path = "spec.source";
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (member(source, "inlineVolumeSpec"), volume) {
        (None, None) => errors.push(FieldError::required(path, one)),
        (Some(_), Some(_)) => errors.push(FieldError::forbidden(path, one)),
        (None, Some("")) => {
            let why = "must specify non empty persistentVolumeName";
            errors.push(FieldError::required(format!("{path}.persistentVolumeName"), why));
        }
        _ => {}
    }
    subdomain_name(string(spec, "nodeName"), "spec.nodeName", errors);
    attachment_status(&v["status"], errors);
    if let Some(name) = volume {
        subdomain_name(name, "spec.source.persistentVolumeName", errors);
    }
    if old.is_some_and(|old| old["spec"] != *spec) {
        let shown = internal::text("storage.VolumeAttachmentSpec", spec);
        errors.push(invalid_text("spec", &shown, IMMUTABLE));
    }
}

fn attachment_status(status: &Value, errors: &mut Vec<FieldError>) {
    let metadata = status["attachmentMetadata"].as_object().into_iter().flatten();
    let size: usize = metadata.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > LARGEST_METADATA {
        errors.push(FieldError::too_long("status.attachmentMetadata", LARGEST_METADATA));
    }
    for name in ["attachError", "detachError"] {
        let Some(problem) = member(status, name) else { continue };
        if string(problem, "message").len() > LONGEST_MESSAGE {
            errors.push(FieldError::too_long(format!("status.{name}.message"), LARGEST_METADATA));
        }
        if integer(problem, "errorCode") < 0 {
            let why = "must be between 0 and 2147483647, inclusive";
            let at = format!("status.{name}.errorCode");
            errors.push(FieldError::invalid(at, integer(problem, "errorCode"), why));
        }
    }
}

/// Checks the name of a driver.
pub(super) fn driver_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name.len() > LONGEST_DRIVER {
        errors.push(FieldError::too_long(path, LONGEST_DRIVER));
    }
    for m in names::dns1123_subdomain(&name.to_lowercase()) {
        errors.push(FieldError::invalid(path, name, m));
    }
}

/// Checks a CSINode.
pub(super) fn node(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let drivers = items(&v["spec"], "drivers");
    let mut seen = BTreeSet::new();
    for (index, driver) in drivers.iter().enumerate() {
        let path = format!("spec.drivers[{index}]");
        node_driver(driver, &mut seen, &path, errors);
    }
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        crate::object::members(&mut driver).remove("allocatable");
        driver
    };
    for before in old.map(|old| items(&old["spec"], "drivers")).into_iter().flatten() {
        let same_name = drivers.iter().filter(|driver| string(driver, "name") == string(before, "name"));
        for driver in same_name.map(fixed).filter(|driver| *driver != fixed(before)) {
            let shown = internal::text("storage.CSINodeDriver", &driver);
            errors.push(invalid_text("spec.drivers", &shown, IMMUTABLE));
        }
    }
}

fn node_driver<'a>(
    driver: &'a Value,
    seen: &mut BTreeSet<&'a str>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let name = string(driver, "name");
    driver_name(name, &format!("{path}.name"), errors);
    let id = string(driver, "nodeID");
    let at = format!("{path}.nodeID");
    if id.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    if id.len() > LONGEST_NODE_ID {
        errors.push(FieldError::invalid(at, id, format!("must be {LONGEST_NODE_ID} characters or less")));
    }
    super::not_negative(&driver["allocatable"], "count", &format!("{path}.allocatable"), errors);
    if !seen.insert(name) {
        errors.push(FieldError::duplicate(format!("{path}.name"), name));
    }
    let mut keys = BTreeSet::new();
    for key in items(driver, "topologyKeys").iter().filter_map(Value::as_str) {
        if key.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
        if !keys.insert(key) {
            errors.push(FieldError::duplicate(path, key));
        }
        for m in names::qualified_name(key) {
            errors.push(FieldError::invalid(path, key, m));
        }
    }
}

/// Checks a CSIStorageCapacity.
pub(super) fn capacity(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    selector::validate(member(v, "nodeTopology"), "nodeTopology", errors);
    let class = string(v, "storageClassName");
    subdomain_name(class, "storageClassName", errors);
    if let Some(amount) = member(v, "capacity").and_then(Value::as_str) {
        not_negative_quantity(amount, "capacity", errors);
    }
    let Some(old) = old else { return };
    if member(v, "nodeTopology") != member(old, "nodeTopology") {
        let shown = internal::text("*metav1.LabelSelector", &v["nodeTopology"]);
        errors.push(invalid_text("nodeTopology", &shown, IMMUTABLE));
    }
    if class != string(old, "storageClassName") {
        errors.push(FieldError::invalid("storageClassName", class, IMMUTABLE));
    }
}

/// Checks a VolumeAttributesClass.
pub(super) fn attributes_class(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if let Some(old) = old {
        for name in ["driverName", "parameters"] {
            if member(v, name) != member(old, name) {
                errors.push(FieldError::forbidden(name, format!("updates to {name} are forbidden.")));
            }
        }
    }
    let driver = string(v, "driverName");
    if driver.is_empty() {
        errors.push(FieldError::required("driverName", ""));
    } else {
        for m in names::qualified_name(&driver.to_lowercase()) {
            errors.push(FieldError::invalid("driverName", driver.to_lowercase(), m));
        }
    }
    storage::parameters(v, errors);
    if v["parameters"].as_object().is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required("parameters", "must contain at least one key/value pair"));
    }
}
