//! Pods: phase and quality-of-service class of new ones, and what writes to their subresources leave alone.

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
fn complete_addresses(v: &mut Value) {
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

/// Completes a status that a kubelet wrote.
pub(super) fn prepare_status(new: &mut Value, live: &Value) {
    complete_addresses(new);
    let class = object::text(live, &["status", "qosClass"]);
    if object::text(new, &["status", "qosClass"]).is_empty() && !class.is_empty() {
        object::child(new, "status").insert("qosClass".into(), class.into());
    }
    keep_observed_generations(new, live);
}

/// A status that does not say which generation it is about is about the one that it was about before.
fn keep_observed_generations(new: &mut Value, live: &Value) {
    const MEMBER: &str = "observedGeneration";
    let generation = |v: &Value| v[MEMBER].as_i64().filter(|generation| *generation != 0);
    if let (None, Some(before)) = (generation(&new["status"]), generation(&live["status"])) {
        object::child(new, "status").insert(MEMBER.into(), before.into());
    }
    let mut before: Vec<&Value> = live["status"]["conditions"].as_array().into_iter().flatten().collect();
    let conditions = new.get_mut("status").and_then(|status| status.get_mut("conditions"));
    for condition in conditions.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(index) = before.iter().position(|old| old["type"] == condition["type"]) else { continue };
        let old = before.remove(index);
        if let (None, Some(before)) = (generation(condition), generation(old)) {
            object::members(condition).insert(MEMBER.into(), before.into());
        }
    }
}

/// Limits a write to the ephemeral containers.
pub(super) fn keep_all_but_ephemeral_containers(new: &mut Value, live: &Value) {
    let containers = object::at(new, &["spec", "ephemeralContainers"]).cloned();
    keep_all_but_managers(new, live);
    match containers {
        Some(containers) => object::child(new, "spec").insert("ephemeralContainers".into(), containers),
        None => object::child(new, "spec").remove("ephemeralContainers"),
    };
}

/// Limits a write to the resources of the pod and of its containers; other containers are left to be refused.
pub(super) fn keep_all_but_resources(new: &mut Value, live: &Value) {
    let containers = |v: &Value, list: &str| v["spec"][list].as_array().cloned().unwrap_or_default();
    let lists = ["containers", "initContainers"];
    if lists.iter().any(|list| containers(new, list).len() != containers(live, list).len()) {
        return;
    }
    let resized = lists.map(|list| (list, resized(containers(new, list), containers(live, list))));
    let of_pod = object::at(new, &["spec", "resources"]).cloned();
    keep_all_but_managers(new, live);
    let spec = object::child(new, "spec");
    for (list, containers) in resized.into_iter().filter(|(_, containers)| !containers.is_empty()) {
        spec.insert(list.to_owned(), containers.into());
    }
    match of_pod {
        Some(resources) => spec.insert("resources".into(), resources),
        None => spec.remove("resources"),
    };
}

fn resized(new: Vec<Value>, live: Vec<Value>) -> Vec<Value> {
    if new.iter().zip(&live).any(|(new, live)| new["name"] != live["name"]) {
        return new;
    }
    let resized = live.into_iter().zip(&new).map(|(mut container, new)| {
        for member in ["resources", "resizePolicy"] {
            match new.get(member) {
                Some(value) => object::members(&mut container).insert(member.to_owned(), value.clone()),
                None => object::members(&mut container).remove(member),
            };
        }
        container
    });
    resized.collect()
}

/// Everything as it was, except for the managed fields and the version that the client named.
fn keep_all_but_managers(new: &mut Value, live: &Value) {
    let metadata = object::metadata(new).clone();
    *new = live.clone();
    let kept = object::metadata(new);
    for (name, value) in metadata {
        let is_reset = matches!(
            name.as_str(),
            "labels" | "annotations" | "finalizers" | "ownerReferences" | "deletionTimestamp" | "selfLink"
        );
        if !is_reset {
            kept.insert(name, value);
        }
    }
}
