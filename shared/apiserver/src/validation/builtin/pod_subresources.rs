//! Changes of pods through their subresources: ephemeral containers, resources, and the status.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::{addresses, internal, names};
use super::{immutable, integer, items, member, string, subdomain_name};
use crate::api_error::FieldError;
use crate::kinds::pods::qos_class;

/// Marks pods that a node runs on its own.
const MIRROR: &str = "kubernetes.io/config.mirror";
const RESIZED: [&str; 2] = ["cpu", "memory"];

/// Checks that ephemeral containers were only added.
pub(super) fn ephemeral_containers(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    super::pods::pod(v, Some(old), false, errors);
    if is_mirror(old) {
        *errors = vec![FieldError::forbidden("[]", "static pods do not support ephemeral containers")];
        return;
    }
    let path = "spec.ephemeralContainers";
    for old in items(&old["spec"], "ephemeralContainers") {
        let name = fluxide_gotext::quote_str(string(old, "name"));
        let same = |new: &&Value| string(new, "name") == string(old, "name");
        match items(&v["spec"], "ephemeralContainers").iter().rfind(same) {
            None => {
                let why = format!("existing ephemeral containers {name} may not be removed\n");
                errors.push(FieldError::forbidden(path, why));
            }
            Some(new) if new != old => {
                let diff = internal::diff("core.EphemeralContainer", old, new);
                let why = format!("existing ephemeral containers {name} may not be changed\n{diff}");
                errors.push(FieldError::forbidden(path, why));
            }
            Some(_) => {}
        }
    }
}

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(MIRROR).is_some()
}

/// Checks that nothing but amounts of CPU and memory changed.
pub(super) fn resize(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    super::pods::pod(v, Some(old), false, errors);
    if is_mirror(old) {
        *errors = vec![FieldError::forbidden("[]", "static pods cannot be resized")];
        return;
    }
    if old["spec"]["os"]["name"] == "windows" {
        *errors = vec![FieldError::forbidden("[]", "windows pods cannot be resized")];
        return;
    }
    let (now, then) = (&v["spec"], &old["spec"]);
    let class = string(&old["status"], "qosClass");
    if qos_class(v) != if class.is_empty() { qos_class(old) } else { class } {
        let shown = string(&v["status"], "qosClass");
        errors.push(FieldError::invalid(
            "spec",
            shown,
            "Pod QOS Class may not change as a result of resizing",
        ));
    }
    let running = items(&old["status"], "containerStatuses")
        .iter()
        .find(|status| member(&status["state"], "running").is_some());
    if running.is_some_and(|status| member(status, "resources").is_none()) {
        errors.push(FieldError::forbidden("spec", "Pod running on node without support for resize"));
    }
    pod_level(now, then, errors);
    if !items(&old["status"], "nodeAllocatableResourceClaimStatuses").is_empty() {
        let why = "pods with node allocatable resource claims cannot be resized";
        errors.push(FieldError::forbidden("spec", why));
    }
    let before = errors.len();
    same_containers(now, then, errors);
    if errors.len() == before {
        containers(now, then, errors);
    }
}

fn pod_level(now: &Value, then: &Value, errors: &mut Vec<FieldError>) {
    let (new, old) = (member(now, "resources"), member(then, "resources"));
    let is_set = |resources: Option<&Value>| {
        resources.is_some_and(|r| ["requests", "limits"].iter().any(|list| !amounts(r, list).is_empty()))
    };
    if !is_set(new) && !is_set(old) {
        return;
    }
    let (new, old) = match (new, old) {
        (None, _) => {
            errors.push(FieldError::forbidden("spec.resources", "pod-level resources cannot be removed"));
            return;
        }
        (Some(new), old) => (new, old),
    };
    if let Some(old) = old {
        for list in ["requests", "limits"] {
            if removes(new, old, list) {
                let why = format!("pod-level resource {list} cannot be removed");
                errors.push(FieldError::forbidden(format!("spec.resources.{list}"), why));
            }
        }
    }
    let nothing = json!({});
    let old = old.unwrap_or(&nothing);
    if rest_of(new, old) != canonical(old) {
        let why = "only cpu and memory resources are mutable at pod-level";
        errors.push(FieldError::forbidden("spec", why));
    }
}

/// Containers may be neither added or removed, nor renamed or moved.
fn same_containers(now: &Value, then: &Value, errors: &mut Vec<FieldError>) {
    for list in ["containers", "initContainers"] {
        let (new, old) = (items(now, list), items(then, list));
        if new.len() != old.len() {
            let why = format!("{list} may not be added or removed on resize");
            errors.push(FieldError::forbidden(format!("spec.{list}"), why));
            continue;
        }
        for (index, (new, old)) in new.iter().zip(old).enumerate() {
            if string(new, "name") != string(old, "name") {
                let why = format!("{list} may not be renamed or reordered on resize");
                errors.push(FieldError::forbidden(format!("spec.{list}[{index}].name"), why));
            }
        }
    }
}

fn containers(now: &Value, then: &Value, errors: &mut Vec<FieldError>) {
    let pairs = |list: &'static str| items(now, list).iter().zip(items(then, list)).enumerate();
    let is_sidecar = |container: &Value| string(container, "restartPolicy") == "Always";
    for list in ["initContainers", "containers"] {
        for (index, (new, old)) in pairs(list) {
            for amounts in ["requests", "limits"] {
                if removes(&new["resources"], &old["resources"], amounts) {
                    let why = format!("resource {amounts} cannot be removed");
                    let at = format!("spec.{list}[{index}].resources.{amounts}");
                    errors.push(FieldError::forbidden(at, why));
                }
            }
        }
    }
    for (_, (new, old)) in pairs("containers") {
        if changes_more(new, old) {
            errors.push(FieldError::forbidden("spec", "only cpu and memory resources are mutable"));
        }
    }
    for (index, (new, old)) in pairs("initContainers") {
        let path = format!("spec.initContainers[{index}]");
        if changes_more(new, old) {
            let why = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.push(FieldError::forbidden(&path, why));
        }
        if new != old && !is_sidecar(new) {
            let restarts = |policy: &&Value| string(policy, "restartPolicy") == "RestartContainer";
            for _ in items(new, "resizePolicy").iter().filter(restarts) {
                let why =
                    "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
                errors.push(FieldError::forbidden(&path, why));
            }
        }
    }
}

/// Whether a container differs by more than its amounts of CPU and memory.
fn changes_more(new: &Value, old: &Value) -> bool {
    let with = |container: &Value, resources: Value| {
        let mut members = container.as_object().cloned().unwrap_or_default();
        members.insert("resources".to_owned(), resources);
        members
    };
    let mut masked = rest_of(&new["resources"], &old["resources"]);
    // Claims count as removed.
    if let Some(members) = masked.as_object_mut() {
        members.remove("claims");
    }
    with(new, masked) != with(old, canonical(&old["resources"]))
}

/// The new resources with the old amounts of CPU and memory.
fn rest_of(new: &Value, old: &Value) -> Value {
    let mut out = new.as_object().cloned().unwrap_or_default();
    for list in ["requests", "limits"] {
        let mut masked = amounts(new, list);
        let old = amounts(old, list);
        for name in RESIZED {
            match old.get(name) {
                Some(amount) => masked.insert(name.to_owned(), amount.clone()),
                None => masked.remove(name),
            };
        }
        out.insert(list.to_owned(), masked.into());
    }
    canonical(&Value::Object(out))
}

/// Resources without empty members.
fn canonical(resources: &Value) -> Value {
    let mut members = resources.as_object().cloned().unwrap_or_default();
    members.retain(|_, v| !crate::go_value::is_empty(v));
    Value::Object(members)
}

fn amounts(resources: &Value, list: &str) -> Map<String, Value> {
    resources.get(list).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn removes(new: &Value, old: &Value, list: &str) -> bool {
    let new = amounts(new, list);
    amounts(old, list).keys().any(|name| !new.contains_key(name))
}

/// Checks a status: conditions, what may not change, addresses, and what it says about each container.
pub(super) fn status(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (status, before, spec) = (&v["status"], &old["status"], &old["spec"]);
    conditions(status, errors);
    let nominated = string(status, "nominatedNodeName");
    if !nominated.is_empty() && nominated != string(before, "nominatedNodeName") {
        let at = "status.nominatedNodeName";
        subdomain_name(nominated, at, errors);
        if !string(spec, "nodeName").is_empty() {
            let why = "may not be set on pods that are already bound to a node";
            errors.push(FieldError::forbidden(at, why));
        }
    }
    generation(status, "status", errors);
    immutable(status, before, "qosClass", "status.qosClass", errors);
    for (list, containers) in STATUSES {
        restarts(status, before, spec, list, containers, errors);
    }
    claims(status, spec, errors);
    check_addresses(status, before, "podIPs", errors);
    host_addresses(status, before, errors);
    let os = match string(&spec["os"], "name") {
        "" => "linux",
        os => os,
    };
    for (list, _) in STATUSES {
        users(items(status, list), &format!("status.{list}"), os, errors);
    }
    for (list, containers) in STATUSES {
        allocated(items(status, list), items(spec, containers), &format!("status.{list}"), errors);
    }
}

/// The lists of a status, and which containers of the spec they are about.
const STATUSES: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

fn generation(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let generation = integer(v, "observedGeneration");
    if generation < 0 {
        let at = format!("{path}.observedGeneration");
        errors.push(FieldError::invalid(at, generation, "must be a non-negative integer"));
    }
}

fn conditions(status: &Value, errors: &mut Vec<FieldError>) {
    for (index, condition) in items(status, "conditions").iter().enumerate() {
        let path = format!("status.conditions[{index}]");
        generation(condition, &path, errors);
        let kind = string(condition, "type");
        if matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            continue;
        }
        for m in names::qualified_name(kind) {
            errors.push(FieldError::invalid(format!("{path}.Type"), kind, m));
        }
    }
}

/// Containers that ended run again only if they may.
fn restarts(
    status: &Value,
    before: &Value,
    spec: &Value,
    list: &str,
    containers: &str,
    errors: &mut Vec<FieldError>,
) {
    if containers != "ephemeralContainers" && restarts_all(spec) {
        return;
    }
    for (index, old) in items(before, list).iter().enumerate() {
        let Some(terminated) = member(&old["state"], "terminated") else { continue };
        let runs_again = |new: &&Value| {
            string(new, "name") == string(old, "name") && member(&new["state"], "terminated").is_none()
        };
        if !items(status, list).iter().any(|new| runs_again(&new)) {
            continue;
        }
        let container = items(spec, containers).iter().find(|c| string(c, "name") == string(old, "name"));
        let allowed = containers != "ephemeralContainers"
            && container.is_some_and(|c| may_restart(c, spec, integer(terminated, "exitCode")));
        if !allowed {
            let why = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(format!("status.{list}[{index}].state"), why));
        }
    }
}

/// Whether the end of some container may restart all of them.
fn restarts_all(spec: &Value) -> bool {
    let containers = ["initContainers", "containers"].iter().flat_map(|list| items(spec, list));
    let mut rules = containers.flat_map(|container| items(container, "restartPolicyRules"));
    rules.any(|rule| string(rule, "action") == "RestartAllContainers")
}

/// Whether a container that ended with this code may run again.
fn may_restart(container: &Value, spec: &Value, code: i64) -> bool {
    let of_policy = |policy: &str| match policy {
        "OnFailure" => code != 0,
        "Never" => false,
        _ => true,
    };
    let Some(policy) = member(container, "restartPolicy").and_then(Value::as_str) else {
        return of_policy(string(spec, "restartPolicy"));
    };
    let matches = |rule: &&Value| {
        let codes = &rule["exitCodes"];
        let listed = items(codes, "values").iter().any(|value| value.as_i64() == Some(code));
        match string(codes, "operator") {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    };
    let rule = items(container, "restartPolicyRules").iter().find(matches);
    if rule.is_some_and(|rule| matches!(string(rule, "action"), "Restart" | "RestartAllContainers")) {
        return true;
    }
    of_policy(policy)
}

fn claims(status: &Value, spec: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, claim) in items(status, "resourceClaimStatuses").iter().enumerate() {
        let path = format!("status.resourceClaimStatuses[{index}]");
        let name = string(claim, "name");
        if !items(spec, "resourceClaims").iter().any(|known| string(known, "name") == name) {
            let why = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(format!("{path}.name"), name, why));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        if let Some(claim) = member(claim, "resourceClaimName").and_then(Value::as_str) {
            subdomain_name(claim, &format!("{path}.resourceClaimName"), errors);
        }
    }
}

fn host_addresses(status: &Value, before: &Value, errors: &mut Vec<FieldError>) {
    let Some(first) = items(status, "hostIPs").first().map(|first| string(first, "ip")) else { return };
    if string(status, "hostIP") != first {
        errors.push(FieldError::invalid("status.hostIPs[0].ip", first, "must be equal to `hostIP`"));
    }
    check_addresses(status, before, "hostIPs", errors);
}

/// Checks a list of addresses: one of each family at most.
fn check_addresses(status: &Value, before: &Value, list: &str, errors: &mut Vec<FieldError>) {
    let path = format!("status.{list}");
    let texts = |v: &Value| -> Vec<String> {
        items(v, list).iter().map(|entry| string(entry, "ip").to_owned()).collect()
    };
    let (now, stored) = (texts(status), texts(before));
    let stored: Vec<&str> = stored.iter().map(String::as_str).collect();
    for (index, address) in now.iter().enumerate() {
        addresses::address(address, &format!("{path}[{index}]"), &stored, errors);
    }
    if now.len() < 2 {
        return;
    }
    let families: BTreeSet<bool> = now.iter().map(|address| address.contains(':')).collect();
    if families.len() < 2 || now.len() > 2 {
        let addresses: Vec<Value> = now.iter().map(|address| json!({"IP": address})).collect();
        let why = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, addresses, why));
    }
}

fn users(statuses: &[Value], path: &str, os: &str, errors: &mut Vec<FieldError>) {
    const RANGE: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;
    for (index, status) in statuses.iter().enumerate() {
        let Some(user) = member(&status["user"], "linux") else { continue };
        let path = format!("{path}[{index}].user.linux");
        if os == "windows" {
            errors.push(FieldError::forbidden(path, "cannot be set for a windows pod"));
            continue;
        }
        let mut id = |number: i64, at: String| {
            if !RANGE.contains(&number) {
                errors.push(FieldError::invalid(at, number, "must be between 0 and 2147483647, inclusive"));
            }
        };
        id(integer(user, "uid"), format!("{path}.uid"));
        id(integer(user, "gid"), format!("{path}.gid"));
        for (index, group) in items(user, "supplementalGroups").iter().enumerate() {
            id(group.as_i64().unwrap_or(0), format!("{path}.supplementalGroups[{index}]"));
        }
    }
}

fn allocated(statuses: &[Value], containers: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    const LONGEST_MESSAGE: usize = 1024;
    for (index, status) in statuses.iter().enumerate() {
        let path = format!("{path}[{index}].allocatedResourcesStatus");
        let resources = items(status, "allocatedResourcesStatus");
        if path.starts_with("status.ephemeral") {
            if !resources.is_empty() {
                errors.push(FieldError::forbidden(path, "must not be specified in container status"));
            }
            continue;
        }
        let container = containers.iter().find(|c| string(c, "name") == string(status, "name"));
        for (index, resource) in resources.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(why) =
                container.and_then(|container| not_asked_for(container, string(resource, "name")))
            {
                errors.push(FieldError::invalid(format!("{path}.name"), string(resource, "name"), why));
            }
            let mut seen = BTreeSet::new();
            for (index, device) in items(resource, "resources").iter().enumerate() {
                let path = format!("{path}.resources[{index}]");
                let health = string(device, "health");
                let known = ["Healthy", "Unhealthy", "Unknown"];
                if !known.contains(&health) {
                    errors.push(FieldError::not_supported(format!("{path}.health"), health, &known));
                }
                match member(device, "message").and_then(Value::as_str) {
                    Some("") => {
                        let why = "must be non-empty if specified";
                        errors.push(FieldError::required(format!("{path}.message"), why));
                    }
                    Some(message) if message.len() > LONGEST_MESSAGE => {
                        errors.push(FieldError::too_long(format!("{path}.message"), LONGEST_MESSAGE));
                    }
                    _ => {}
                }
                let id = string(device, "resourceID");
                if !seen.insert(id) {
                    errors.push(FieldError::duplicate(format!("{path}.resourceID"), id));
                }
            }
        }
    }
}

/// Why a container cannot have been given a resource or claim of this name.
fn not_asked_for(container: &Value, name: &str) -> Option<&'static str> {
    let resources = &container["resources"];
    if name.starts_with("claim:") {
        let asked = items(resources, "claims").iter().any(|claim| match string(claim, "request") {
            "" => name == format!("claim:{}", string(claim, "name")),
            request => name == format!("claim:{}/{request}", string(claim, "name")),
        });
        let why = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or \
                   'claim:<claimName>' if request is empty";
        return (!asked).then_some(why);
    }
    (!amounts(resources, "requests").contains_key(name))
        .then_some("must match one of the container's resource requests")
}
