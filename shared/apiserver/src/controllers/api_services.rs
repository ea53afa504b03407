//! Says in the status of an APIService whether what answers for its version can be reached.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};
use crate::typing;

/// Table of the APIServices.
pub(crate) const TABLE: &str = "apiservices.apiregistration.k8s.io";

/// Writes the condition `Available`.
pub(crate) fn observe(core: &Core, resource: &Resource, stored: &Stored) {
    let v = &stored.value;
    if object::is_deleting(v) {
        return;
    }
    let (status, reason, message) = availability(core, v);
    let conditions = v["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let current = conditions.iter().find(|c| c["type"] == "Available");
    if current.is_some_and(|c| c["status"] == status && c["reason"] == reason && c["message"] == message) {
        return;
    }
    let now = core.clock.now_text();
    let since = match current {
        Some(c) if c["status"] == status => c["lastTransitionTime"].clone(),
        _ => now.clone().into(),
    };
    let mut conditions: Vec<Value> = conditions.into_iter().filter(|c| c["type"] != "Available").collect();
    conditions.push(json!({
        "type": "Available", "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    }));
    let mut new = v.clone();
    object::set_at(&mut new, &["status", "conditions"], conditions.into());
    let new = typing::record_update(resource, "status", Some(v), &new, "kube-apiserver", &now);
    let _ = core.store.update(TABLE, &ObjectKey::new("", object::name(v)), stored.revision, new);
}

/// Versions without a Service are the server's own; others would be asked through it, and nothing answers here.
fn availability(core: &Core, v: &Value) -> (&'static str, &'static str, String) {
    let service = &v["spec"]["service"];
    if !service.is_object() {
        return ("True", "Local", "Local APIServices are always available".to_owned());
    }
    let (namespace, name) = (text(service, &["namespace"]), text(service, &["name"]));
    if core.store.get("services", &ObjectKey::new(namespace, name)).is_none() {
        let message = format!("service/{name} in {namespace:?} is not present");
        return ("False", "ServiceNotFound", message);
    }
    let message = format!("endpoints for service/{name} in {namespace:?} have no addresses");
    ("False", "MissingEndpoints", message)
}
