//! Admission of Pods: default tolerations and priority.

use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::object::{self, text};
use crate::store::ObjectKey;

/// Pods stay five minutes on a node that stopped answering, unless they say otherwise.
pub(super) fn tolerations(v: &mut Value) {
    let list = object::child(v, "spec").entry("tolerations").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list.iter().any(|t| {
            let same_key = t["key"] == key || text(t, &["key"]).is_empty();
            same_key && matches!(text(t, &["effect"]), "NoExecute" | "")
        });
        if !tolerated {
            list.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
}

/// The number and preemption policy of the priority class.
pub(super) fn priority(core: &Core, v: &mut Value) -> ApiResult<()> {
    let table = "priorityclasses.scheduling.k8s.io";
    let name = text(v, &["spec", "priorityClassName"]).to_owned();
    let class = if name.is_empty() {
        core.store.list(table, None).objects.into_iter().find(|c| c.value["globalDefault"] == true)
    } else {
        match core.store.get(table, &ObjectKey::new("", &name)) {
            Some(c) => Some(c),
            None if name.starts_with("system-") => {
                let value = if name == "system-node-critical" { 2_000_001_000 } else { 2_000_000_000 };
                let spec = object::child(v, "spec");
                spec.insert("priority".into(), json!(value));
                spec.entry("preemptionPolicy").or_insert_with(|| "PreemptLowerPriority".into());
                return Ok(());
            }
            None => {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(ApiError::forbidden("", "pods", object::name(v), &why));
            }
        }
    };
    let spec = object::child(v, "spec");
    let (value, policy) = match &class {
        Some(c) => (c.value["value"].clone(), text(&c.value, &["preemptionPolicy"]).to_owned()),
        None => (json!(0), String::new()),
    };
    if let Some(c) = &class {
        spec.insert("priorityClassName".into(), object::name(&c.value).into());
    }
    let policy = if policy.is_empty() { "PreemptLowerPriority".to_owned() } else { policy };
    spec.insert("priority".into(), value);
    spec.entry("preemptionPolicy").or_insert_with(|| policy.into());
    Ok(())
}
