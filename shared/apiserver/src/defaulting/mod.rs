//! Defaults of built-in kinds, as the versioned API types set them when an object is decoded.

mod autoscaling;
mod cluster;
mod network;
mod pods;
mod workloads;

use serde_json::{Map, Value};

/// Fills in the defaults of an object of a built-in kind.
pub(crate) fn default_builtin(group: &str, version: &str, kind: &str, v: &mut Value) {
    match (group, kind) {
        ("", "Pod") => pods::pod(v),
        ("", "PodTemplate") => {
            if let Some(spec) = v.get_mut("template").and_then(|t| t.get_mut("spec")) {
                pods::pod_spec(spec);
            }
        }
        ("apps", _) => workloads::apps(kind, v),
        ("", "ReplicationController") => workloads::replication_controller(v),
        ("batch", _) => workloads::batch(kind, v),
        ("", "Service" | "Endpoints") | ("networking.k8s.io" | "discovery.k8s.io", _) => {
            network::default_object(kind, v)
        }
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::autoscaler(version, v),
        _ => cluster::default_object(group, kind, v),
    }
}

/// Sets a member that is absent or null.
fn set(v: &mut Value, key: &str, default: impl Into<Value>) {
    if let Value::Object(m) = v {
        set_in(m, key, default);
    }
}

fn set_in(m: &mut Map<String, Value>, key: &str, default: impl Into<Value>) {
    if m.get(key).is_none_or(Value::is_null) {
        m.insert(key.to_owned(), default.into());
    }
}

/// The items of a list member.
fn each<'a>(v: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    v.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Whether a string member is absent, null or empty.
fn is_empty(v: &Value, key: &str) -> bool {
    v.get(key).is_none_or(|s| s.is_null() || s == "")
}
