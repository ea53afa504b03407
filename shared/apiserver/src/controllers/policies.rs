//! Notes in the status of admission policies that they were looked at.

use serde_json::json;

use crate::core::Core;
use crate::object;
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};
use crate::typing;

/// Table of the policies.
pub(crate) const TABLE: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const MANAGER: &str = "validatingadmissionpolicy-status";

/// Writes the generation of a policy whose expressions compiled, which those of a stored one did.
pub(crate) fn observe(core: &Core, resource: &Resource, stored: &Stored) {
    let v = &stored.value;
    let generation = object::at(v, &["metadata", "generation"]).cloned().unwrap_or_default();
    if v["status"]["observedGeneration"] == generation || object::is_deleting(v) {
        return;
    }
    let status = json!({"observedGeneration": generation, "typeChecking": {}});
    if let Some(new) = typing::apply_status(resource, v, status, MANAGER, &core.clock.now_text()) {
        let _ = core.store.update(TABLE, &ObjectKey::new("", object::name(v)), stored.revision, new);
    }
}
