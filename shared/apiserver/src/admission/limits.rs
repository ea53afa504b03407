//! LimitRange defaults for the containers of new Pods.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::Core;
use crate::object;

/// Fills in the requests and limits that the namespace's LimitRanges give, and says so in an annotation.
pub(super) fn default_pod(core: &Core, pod: &mut Value) {
    let ranges = core.store.list("limitranges", Some(object::namespace(pod))).objects;
    let mut notes = Vec::new();
    for range in ranges {
        let mut requests = BTreeMap::new();
        let mut limits = BTreeMap::new();
        for item in range.value["spec"]["limits"].as_array().into_iter().flatten() {
            if item["type"] == "Container" {
                collect(&item["defaultRequest"], &mut requests);
                collect(&item["default"], &mut limits);
            }
        }
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            for c in pod
                .get_mut("spec")
                .and_then(|s| s.get_mut(list))
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let name = c["name"].as_str().unwrap_or_default().to_owned();
                for (kind, defaults) in [("requests", &requests), ("limits", &limits)] {
                    let set = fill(c, kind, defaults);
                    if !set.is_empty() {
                        let noun = kind.trim_end_matches('s');
                        notes.push(format!("{} {noun} for {what} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        object::set_at(pod, &["metadata", "annotations", "kubernetes.io/limit-ranger"], note.into());
    }
}

fn collect(from: &Value, into: &mut BTreeMap<String, Value>) {
    for (k, v) in from.as_object().into_iter().flatten() {
        into.insert(k.clone(), v.clone());
    }
}

fn fill(container: &mut Value, kind: &str, defaults: &BTreeMap<String, Value>) -> Vec<String> {
    if defaults.is_empty() {
        return Vec::new();
    }
    let resources = object::child(container, "resources")
        .entry(kind)
        .or_insert_with(|| Value::Object(Default::default()));
    let have = object::members(resources);
    let mut set = Vec::new();
    for (k, v) in defaults {
        if !have.contains_key(k) {
            have.insert(k.clone(), v.clone());
            set.push(k.clone());
        }
    }
    set
}
