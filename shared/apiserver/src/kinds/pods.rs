//! New Pods: phase and quality-of-service class.

use serde_json::{Map, Value, json};

use crate::object;
use crate::schema::Quantity;

/// Sets the initial status.
pub(super) fn prepare_create(v: &mut Value, now: &str) {
    let class = qos_class(v);
    let mut status = json!({"phase": "Pending", "qosClass": class});
    if v["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": now,
        }]);
    }
    object::members(v).insert("status".into(), status);
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from the requests and limits of all containers.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    let level = [&spec["resources"]];
    let of_containers: Vec<&Value> = ["containers", "initContainers"]
        .iter()
        .flat_map(|l| spec[*l].as_array().into_iter().flatten())
        .map(|c| &c["resources"])
        .collect();
    let pod_level = spec["resources"]["limits"].is_object() || spec["resources"]["requests"].is_object();
    let all: &[&Value] = if pod_level { &level } else { &of_containers };
    let mut any = false;
    let mut guaranteed = true;
    for r in all {
        let (requests, limits) = (amounts(&r["requests"]), amounts(&r["limits"]));
        any |= !requests.is_empty() || !limits.is_empty();
        for name in ["cpu", "memory"] {
            match (requests.get(name), limits.get(name)) {
                (Some(a), Some(b)) if a == b => {}
                _ => guaranteed = false,
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The CPU and memory amounts that are more than nothing.
fn amounts(list: &Value) -> Map<String, Value> {
    let counts = |k: &str, q: &Value| {
        matches!(k, "cpu" | "memory")
            && q.as_str().and_then(|q| Quantity::parse(q).ok()).is_some_and(|q| !q.is_zero())
    };
    list.as_object()
        .into_iter()
        .flatten()
        .filter(|(k, q)| counts(k, q))
        .map(|(k, q)| (k.clone(), q.clone()))
        .collect()
}

/// The one address of old clients and the list of addresses say the same.
pub(super) fn complete_addresses(v: &mut Value) {
    let status = crate::object::child(v, "status");
    let first = status.get("podIPs").and_then(|ips| ips[0]["ip"].as_str()).unwrap_or_default().to_owned();
    match status.get("podIP").and_then(Value::as_str).unwrap_or_default().to_owned() {
        ip if ip.is_empty() && !first.is_empty() => {
            status.insert("podIP".into(), first.into());
        }
        ip if !ip.is_empty() && ip != first => {
            status.insert("podIPs".into(), serde_json::json!([{"ip": ip}]));
        }
        _ => {}
    }
}
