//! Storage, RBAC, scheduling, admission and the remaining kinds.

use serde_json::{Value, json};

use super::pods::claim_spec;
use super::{each, is_empty, set};
use crate::object;

/// Fills in the defaults of a kind that has no module of its own.
pub(super) fn default_object(group: &str, kind: &str, v: &mut Value) {
    match (group, kind) {
        ("", "Secret") if is_empty(v, "type") => {
            object::members(v).insert("type".into(), "Opaque".into());
        }
        ("", "Namespace") => {
            let name = object::name(v).to_owned();
            if !name.is_empty() {
                let labels = object::metadata(v).entry("labels").or_insert_with(|| json!({}));
                object::members(labels).insert("kubernetes.io/metadata.name".into(), name.into());
            }
            let status = object::child(v, "status");
            if status.get("phase").is_none_or(|p| p == "") {
                status.insert("phase".into(), "Active".into());
            }
        }
        ("", "PersistentVolumeClaim") => {
            let status = object::child(v, "status");
            if status.get("phase").is_none_or(|p| p == "") {
                status.insert("phase".into(), "Pending".into());
            }
            if let Some(s) = v.get_mut("spec") {
                claim_spec(s);
            }
        }
        ("", "PersistentVolume") => {
            let status = object::child(v, "status");
            if status.get("phase").is_none_or(|p| p == "") {
                status.insert("phase".into(), "Pending".into());
            }
            if let Some(s) = v.get_mut("spec") {
                set(s, "persistentVolumeReclaimPolicy", "Retain");
                set(s, "volumeMode", "Filesystem");
                if let Some(h) = s.get_mut("hostPath") {
                    set(h, "type", "");
                }
            }
        }
        ("", "Node") => {
            let status = object::child(v, "status");
            if let (Some(capacity), None) = (status.get("capacity").cloned(), status.get("allocatable")) {
                status.insert("allocatable".into(), capacity);
            }
        }
        ("", "LimitRange") => limit_range(v),
        ("flowcontrol.apiserver.k8s.io", _) => flow_control(v),
        ("resource.k8s.io", _) => devices(v),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            if let Some(r) = v.get_mut("roleRef")
                && is_empty(r, "apiGroup")
            {
                object::members(r).insert("apiGroup".into(), "rbac.authorization.k8s.io".into());
            }
            for s in each(v, "subjects") {
                if matches!(s["kind"].as_str(), Some("User" | "Group")) && is_empty(s, "apiGroup") {
                    object::members(s).insert("apiGroup".into(), "rbac.authorization.k8s.io".into());
                }
            }
        }
        ("storage.k8s.io", "StorageClass") => {
            set(v, "reclaimPolicy", "Delete");
            set(v, "volumeBindingMode", "Immediate");
        }
        ("storage.k8s.io", "CSIDriver") => {
            if let Some(s) = v.get_mut("spec") {
                for (k, d) in [
                    ("attachRequired", json!(true)),
                    ("podInfoOnMount", json!(false)),
                    ("storageCapacity", json!(false)),
                    ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
                    ("volumeLifecycleModes", json!(["Persistent"])),
                    ("requiresRepublish", json!(false)),
                    ("seLinuxMount", json!(false)),
                ] {
                    set(s, k, d);
                }
            }
        }
        ("scheduling.k8s.io", "PriorityClass") => set(v, "preemptionPolicy", "PreemptLowerPriority"),
        ("admissionregistration.k8s.io", _) => admission(kind, v),
        ("apiregistration.k8s.io", "APIService") => {
            if let Some(s) = v.get_mut("spec").and_then(|s| s.get_mut("service")) {
                set(s, "port", 443);
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crate::crd::definition::default_definition(v),
        ("authentication.k8s.io", "TokenRequest") => {
            let spec = object::child(v, "spec");
            spec.entry("expirationSeconds").or_insert(json!(3600));
        }
        _ => {}
    }
}

fn flow_control(v: &mut Value) {
    let Some(spec) = v.get_mut("spec") else { return };
    if spec.get("priorityLevelConfiguration").is_some() {
        set_number(spec, "matchingPrecedence", 1000);
    }
    if let Some(exempt) = spec.get_mut("exempt").filter(|part| part.is_object()) {
        set(exempt, "nominalConcurrencyShares", 0);
        set(exempt, "lendablePercent", 0);
    }
    let Some(limited) = spec.get_mut("limited").filter(|part| part.is_object()) else { return };
    set(limited, "nominalConcurrencyShares", 30);
    set(limited, "lendablePercent", 0);
    if let Some(queuing) = limited.get_mut("limitResponse").and_then(|response| response.get_mut("queuing")) {
        set_number(queuing, "handSize", 8);
        set_number(queuing, "queues", 64);
        set_number(queuing, "queueLengthLimit", 50);
    }
}

/// Sets a number that is absent or zero.
fn set_number(v: &mut Value, key: &str, default: i64) {
    if v.get(key).and_then(Value::as_i64).unwrap_or(0) == 0
        && let Value::Object(members) = v
    {
        members.insert(key.to_owned(), default.into());
    }
}

/// Requests for devices in a claim, or in the template of one.
fn devices(v: &mut Value) {
    let spec = match v.get_mut("spec") {
        Some(spec) if spec.get("spec").is_some() => spec.get_mut("spec"),
        other => other,
    };
    let Some(devices) = spec.and_then(|spec| spec.get_mut("devices")) else { return };
    for request in each(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly").filter(|part| part.is_object()) {
            device_request(exactly);
        }
        each(request, "firstAvailable").for_each(device_request);
    }
}

fn device_request(v: &mut Value) {
    if is_empty(v, "allocationMode") {
        object::members(v).insert("allocationMode".into(), "ExactCount".into());
    }
    if v["allocationMode"] == "ExactCount" {
        set_number(v, "count", 1);
    }
    for toleration in each(v, "tolerations") {
        if is_empty(toleration, "operator") {
            object::members(toleration).insert("operator".into(), "Equal".into());
        }
    }
}

fn limit_range(v: &mut Value) {
    let Some(spec) = v.get_mut("spec") else { return };
    for item in each(spec, "limits") {
        if item["type"] != "Container" {
            continue;
        }
        let map = |item: &Value, k: &str| item[k].as_object().cloned().unwrap_or_default();
        let mut default = map(item, "default");
        for (k, q) in map(item, "max") {
            default.entry(k).or_insert(q);
        }
        let mut request = map(item, "defaultRequest");
        for source in [&default, &map(item, "min")] {
            for (k, q) in source {
                request.entry(k.clone()).or_insert_with(|| q.clone());
            }
        }
        let m = object::members(item);
        if !default.is_empty() {
            m.insert("default".into(), default.into());
        }
        if !request.is_empty() {
            m.insert("defaultRequest".into(), request.into());
        }
    }
}

fn admission(kind: &str, v: &mut Value) {
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            for w in each(v, "webhooks") {
                set(w, "failurePolicy", "Fail");
                set(w, "matchPolicy", "Equivalent");
                set(w, "namespaceSelector", json!({}));
                set(w, "objectSelector", json!({}));
                set(w, "timeoutSeconds", 10);
                if kind == "MutatingWebhookConfiguration" {
                    set(w, "reinvocationPolicy", "Never");
                }
                for r in each(w, "rules") {
                    set(r, "scope", "*");
                }
                if let Some(s) = w.get_mut("clientConfig").and_then(|c| c.get_mut("service")) {
                    set(s, "port", 443);
                }
            }
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
            let Some(spec) = v.get_mut("spec") else { return };
            set(spec, "failurePolicy", "Fail");
            if let Some(c) = spec.get_mut("matchConstraints") {
                match_resources(c);
            }
        }
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            if let Some(c) = v.get_mut("spec").and_then(|s| s.get_mut("matchResources")) {
                match_resources(c);
            }
        }
        _ => {}
    }
}

fn match_resources(c: &mut Value) {
    set(c, "matchPolicy", "Equivalent");
    set(c, "namespaceSelector", json!({}));
    set(c, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for r in each(c, list) {
            set(r, "scope", "*");
        }
    }
}
