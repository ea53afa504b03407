//! Says in the status of a FlowSchema whether the priority level that it refers to exists.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};
use crate::typing;

/// Table of the FlowSchemas.
pub(crate) const SCHEMAS: &str = "flowschemas.flowcontrol.apiserver.k8s.io";
/// Table of the PriorityLevelConfigurations.
pub(crate) const LEVELS: &str = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io";
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";

/// Brings the condition `Dangling` of every FlowSchema up to date, which a change of a priority level may concern.
pub(crate) fn observe_all(core: &Core) {
    let catalog = core.catalog();
    let Some(resource) = catalog.by_table(SCHEMAS) else { return };
    for stored in core.store.list(SCHEMAS, None).objects {
        observe(core, resource, &stored);
    }
}

/// Brings the condition `Dangling` of a FlowSchema up to date.
pub(crate) fn observe(core: &Core, resource: &Resource, stored: &Stored) {
    let v = &stored.value;
    let level = text(v, &["spec", "priorityLevelConfiguration", "name"]);
    let quoted = fluxide_gotext::quote_str(level);
    let reference =
        format!("This FlowSchema references the PriorityLevelConfiguration object named {quoted}");
    let (status, reason, message) = match core.store.get(LEVELS, &ObjectKey::new("", level)) {
        Some(_) => ("False", "Found", format!("{reference} and it exists")),
        None => ("True", "NotFound", format!("{reference} but there is no such object")),
    };
    let conditions = v["status"]["conditions"].as_array().into_iter().flatten();
    let current = conditions.into_iter().find(|c| c["type"] == "Dangling").unwrap_or(&Value::Null);
    if current["status"] == status && current["reason"] == reason && current["message"] == message {
        return;
    }
    let now = core.clock.now_text();
    let status = json!({"conditions": [{
        "type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    }]});
    if let Some(new) = typing::apply_status(resource, v, status, MANAGER, &now) {
        let _ = core.store.update(SCHEMAS, &ObjectKey::new("", object::name(v)), stored.revision, new);
    }
}
