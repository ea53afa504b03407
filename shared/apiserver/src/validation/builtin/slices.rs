//! ResourceSlices: the devices of nodes and pools.

use serde_json::Value;

use super::super::{IMMUTABLE, invalid_text, names};
use super::attachments::driver_name;
use super::devices::{EFFECTS, attribute_name, each, once};
use super::{affinity, immutable, integer, items, label_name, label_value, member, string, subdomain_name};
use crate::api_error::FieldError;

const LONGEST_POOL: usize = 253;
const MOST_DEVICES: usize = 128;
/// The limit where devices have taints, counters or lists of values.
const MOST_ADVANCED_DEVICES: usize = 64;
const MOST_COUNTER_SETS: usize = 8;
const MOST_COUNTERS: usize = 32;
const MOST_CONSUMPTIONS: usize = 2;
const MOST_PROPERTIES: usize = 32;
const MOST_VALUES: usize = 48;
const MOST_TAINTS: usize = 16;
const MOST_CONDITIONS: usize = 4;
const LONGEST_VALUE: usize = 64;
const LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

/// Checks a ResourceSlice.
pub(super) fn slice(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    driver_name(string(spec, "driver"), "spec.driver", errors);
    pool(&spec["pool"], errors);
    if let Some(old) = old {
        let old = &old["spec"];
        if string(&spec["pool"], "name") != string(&old["pool"], "name") {
            let name = string(&spec["pool"], "name");
            errors.push(FieldError::invalid("spec.pool.name", name, IMMUTABLE));
        }
        immutable(spec, old, "driver", "spec.driver", errors);
        immutable(spec, old, "nodeName", "spec.nodeName", errors);
    }
    nodes(spec, errors);
    if member(spec, "sharedCounters").is_some() && member(spec, "devices").is_some() {
        let why = "only one of `sharedCounters` or `devices` is allowed";
        errors.push(FieldError::invalid("spec", "", why));
    }
    let devices = items(spec, "devices");
    let most = if devices.iter().any(is_advanced) { MOST_ADVANCED_DEVICES } else { MOST_DEVICES };
    let own_nodes = spec["perDeviceNodeSelection"] == true;
    let checked = each(spec, "devices", most, "spec", errors, |v, path, errors| {
        let same = |before: &&Value| string(before, "name") == string(v, "name");
        let before = old.and_then(|old| items(&old["spec"], "devices").iter().find(same));
        device(v, before, own_nodes, path, errors);
    });
    if checked {
        once(devices.iter().map(|v| string(v, "name")), "spec.devices", errors);
    }
    if each(spec, "sharedCounters", MOST_COUNTER_SETS, "spec", errors, |v, path, errors| {
        counters(v, "name", path, errors);
    }) {
        let names = items(spec, "sharedCounters").iter().map(|v| string(v, "name"));
        once(names, "spec.sharedCounters", errors);
    }
}

fn pool(v: &Value, errors: &mut Vec<FieldError>) {
    let (name, path) = (string(v, "name"), "spec.pool.name");
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        if name.len() > LONGEST_POOL {
            errors.push(FieldError::too_long(path, LONGEST_POOL));
        }
        name.split('/').for_each(|part| subdomain_name(part, path, errors));
    }
    let (count, generation) = (integer(v, "resourceSliceCount"), integer(v, "generation"));
    if count <= 0 {
        let why = "must be greater than zero";
        errors.push(FieldError::invalid("spec.pool.resourceSliceCount", count, why));
    }
    if generation < 0 {
        let why = "must be greater than or equal to zero";
        errors.push(FieldError::invalid("spec.pool.generation", generation, why));
    }
}

/// Checks on which nodes the devices are.
fn nodes(spec: &Value, errors: &mut Vec<FieldError>) {
    let mut set = Vec::new();
    match member(spec, "nodeName").and_then(Value::as_str) {
        Some("") => {
            let why = "must be either unset or set to a non-empty string";
            errors.push(FieldError::invalid("spec.nodeName", "", why));
        }
        Some(name) => {
            set.push("`nodeName`");
            subdomain_name(name, "spec.nodeName", errors);
        }
        None => {}
    }
    if let Some(selector) = member(spec, "nodeSelector") {
        set.push("`nodeSelector`");
        affinity::node_selector(selector, "spec.nodeSelector", errors);
        let terms = items(selector, "nodeSelectorTerms");
        if terms.len() != 1 {
            let why = "must have exactly one node selector term";
            errors.push(FieldError::invalid("spec.nodeSelector.nodeSelectorTerms", terms.to_vec(), why));
        }
    }
    for (name, shown) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")]
    {
        match member(spec, name) {
            Some(Value::Bool(true)) => set.push(shown),
            Some(_) => {
                let why = "must be either unset or set to true";
                errors.push(FieldError::invalid(format!("spec.{name}"), false, why));
            }
            None => {}
        }
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => errors.push(FieldError::required("spec", one)),
        1 => {}
        _ => {
            let why = format!("{one}, but multiple fields are set");
            errors.push(FieldError::invalid("spec", format!("{{{}}}", set.join(", ")), why));
        }
    }
}

fn is_advanced(device: &Value) -> bool {
    let attributes = device["attributes"].as_object().into_iter().flatten();
    !items(device, "taints").is_empty()
        || !items(device, "consumesCounters").is_empty()
        || attributes.into_iter().any(|(_, v)| LISTS.iter().any(|list| member(v, list).is_some()))
}

fn device(v: &Value, before: Option<&Value>, own_nodes: bool, path: &str, errors: &mut Vec<FieldError>) {
    label_name(string(v, "name"), &format!("{path}.name"), errors);
    let none = serde_json::Map::new();
    let attributes = v["attributes"].as_object().unwrap_or(&none);
    let capacity = v["capacity"].as_object().unwrap_or(&none);
    let properties = attributes.len() + capacity.len();
    if properties > MOST_PROPERTIES {
        let why = format!("the total number of attributes and capacities must not exceed {MOST_PROPERTIES}");
        errors.push(FieldError::invalid(path, properties, why));
    }
    let count = |v: &Value| LISTS.iter().map(|list| items(v, list).len()).sum::<usize>().max(1);
    let values: usize = attributes.values().map(count).sum();
    if values > MOST_VALUES {
        let why = format!("the total number of attribute values must not exceed {MOST_VALUES}");
        errors.push(FieldError::invalid(path, values, why));
    }
    let at = format!("{path}.attributes");
    for (name, value) in attributes {
        attribute_name(name, &at, errors);
        attribute(value, &format!("{at}[{name}]"), errors);
    }
    let at = format!("{path}.capacity");
    for (name, value) in capacity {
        attribute_name(name, &at, errors);
        if member(value, "requestPolicy").is_some() && v["allowMultipleAllocations"] != true {
            let why = "allowMultipleAllocations must be true";
            errors.push(FieldError::forbidden(format!("{at}[{name}].requestPolicy"), why));
        }
    }
    if before.is_none_or(|before| before.get("taints") != v.get("taints")) {
        each(v, "taints", MOST_TAINTS, path, errors, taint);
    }
    if each(v, "consumesCounters", MOST_CONSUMPTIONS, path, errors, |v, path, errors| {
        counters(v, "counterSet", path, errors);
    }) {
        let sets = items(v, "consumesCounters").iter().map(|v| string(v, "counterSet"));
        once(sets, &format!("{path}.consumesCounters"), errors);
    }
    device_nodes(v, own_nodes, path, errors);
    binding_conditions(v, path, errors);
}

fn attribute(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut set = ["bool", "int"].iter().filter(|name| member(v, name).is_some()).count();
    let long = |text: &str, at: &str, errors: &mut Vec<FieldError>| {
        if text.len() > LONGEST_VALUE {
            errors.push(FieldError::too_long(at, LONGEST_VALUE));
        }
    };
    let version = |text: &str, at: &str, errors: &mut Vec<FieldError>| {
        if !is_version(text) {
            let why = "must be a string compatible with semver.org spec 2.0.0";
            errors.push(FieldError::invalid(at, text, why));
        }
        long(text, at, errors);
    };
    for name in ["string", "version"] {
        let Some(text) = member(v, name).and_then(Value::as_str) else { continue };
        set += 1;
        let at = format!("{path}.{name}");
        if name == "version" { version(text, &at, errors) } else { long(text, &at, errors) }
    }
    for name in LISTS {
        let Some(list) = member(v, name).and_then(Value::as_array) else { continue };
        set += 1;
        let at = format!("{path}.{name}");
        for (index, text) in list.iter().enumerate().filter_map(|(index, v)| Some((index, v.as_str()?))) {
            let at = format!("{at}[{index}]");
            if name == "versions" { version(text, &at, errors) } else { long(text, &at, errors) }
        }
    }
    let why = "exactly one value must be specified";
    match set {
        0 => errors.push(FieldError::invalid(path, "", why)),
        1 => {}
        _ => errors.push(invalid_text(path, &shown_attribute(v), why)),
    }
}

/// An attribute under the names of the server's own type.
fn shown_attribute(v: &Value) -> String {
    let kinds = [("int", "Int"), ("bool", "Bool"), ("string", "String"), ("version", "Version")];
    let one = kinds.iter().map(|(name, shown)| format!("\"{shown}Value\":{}", v[*name]));
    let many = kinds.iter().map(|(name, shown)| format!("\"{shown}Values\":{}", v[format!("{name}s")]));
    format!("{{{}}}", one.chain(many).collect::<Vec<_>>().join(","))
}

/// Whether a text is a version as semver.org has it, in its strict form.
fn is_version(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let number = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, before) = match rest.split_once('-') {
        Some((core, before)) => (core, Some(before)),
        None => (rest, None),
    };
    let identifier = |part: &str| plain(part) && (number(part) || !part.chars().all(|c| c.is_ascii_digit()));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|before| before.split('.').all(identifier))
        && build.is_none_or(|build| build.split('.').all(plain))
}

fn counters(v: &Value, name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{path}.{name}");
    match string(v, name) {
        "" => errors.push(FieldError::required(at, "")),
        name => label_name(name, &at, errors),
    }
    let at = format!("{path}.counters");
    match v["counters"].as_object() {
        Some(all) if all.len() > MOST_COUNTERS => {
            errors.push(FieldError::too_many(at, all.len(), MOST_COUNTERS));
        }
        Some(all) if !all.is_empty() => all.keys().for_each(|name| label_name(name, &at, errors)),
        _ => errors.push(FieldError::required(at, "")),
    }
}

fn taint(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (key, value) = (string(v, "key"), string(v, "value"));
    for m in names::qualified_name(key) {
        errors.push(FieldError::invalid(format!("{path}.key"), key, m));
    }
    if !value.is_empty() {
        label_value(value, &format!("{path}.value"), errors);
    }
    super::one_of(v, "effect", path, &EFFECTS, errors);
}

/// Checks on which nodes a device is that says so itself.
fn device_nodes(v: &Value, own_nodes: bool, path: &str, errors: &mut Vec<FieldError>) {
    let (name, selector, all) = (member(v, "nodeName"), member(v, "nodeSelector"), member(v, "allNodes"));
    if !own_nodes {
        if name.is_some() || selector.is_some() || all.is_some() {
            let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true \
                       in the ResourceSlice spec";
            errors.push(FieldError::invalid(path, Value::Null, why));
        }
        return;
    }
    let mut set = Vec::new();
    match name.and_then(Value::as_str) {
        Some("") => errors.push(FieldError::invalid(format!("{path}.nodeName"), "", "must not be empty")),
        Some(name) => {
            set.push("`nodeName`");
            subdomain_name(name, &format!("{path}.nodeName"), errors);
        }
        None => {}
    }
    if let Some(selector) = selector {
        set.push("`nodeSelector`");
        affinity::node_selector(selector, &format!("{path}.nodeSelector"), errors);
    }
    match all {
        Some(Value::Bool(true)) => set.push("`allNodes`"),
        Some(_) => {
            let why = "must be either unset or set to true";
            errors.push(FieldError::invalid(format!("{path}.allNodes"), false, why));
        }
        None => {}
    }
    let why = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to \
               true in the ResourceSlice spec";
    match set.len() {
        0 => errors.push(FieldError::required(path, why)),
        1 => {}
        _ => errors.push(FieldError::invalid(path, format!("{{{}}}", set.join(", ")), why)),
    }
}

fn binding_conditions(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const NAMES: [&str; 2] = ["bindingConditions", "bindingFailureConditions"];
    for name in NAMES {
        each(v, name, MOST_CONDITIONS, path, errors, |v, path, errors| {
            let name = v.as_str().unwrap_or_default();
            for m in names::qualified_name(name) {
                errors.push(FieldError::invalid(path, name, m));
            }
        });
    }
    let texts = |name: &str| -> Vec<&str> { items(v, name).iter().filter_map(Value::as_str).collect() };
    let (conditions, failures) = (texts(NAMES[0]), texts(NAMES[1]));
    once(conditions.iter().copied(), &format!("{path}.{}", NAMES[0]), errors);
    for (index, failure) in failures.iter().enumerate() {
        let at = format!("{path}.{}[{index}]", NAMES[1]);
        if failures[..index].contains(failure) {
            errors.push(FieldError::duplicate(&at, *failure));
        }
        if conditions.contains(failure) {
            let why = "bindingFailureConditions must not overlap with bindingConditions";
            errors.push(FieldError::invalid(at, *failure, why));
        }
    }
    for (own, other) in [(0, 1), (1, 0)] {
        let lists = [&conditions, &failures];
        if lists[own].is_empty() && !lists[other].is_empty() {
            let why = format!("{} are required to use {}", NAMES[own], NAMES[other]);
            errors.push(FieldError::invalid(format!("{path}.{}", NAMES[own]), Value::Null, why));
        }
    }
}
