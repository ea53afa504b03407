//! Pods and the templates of pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{addresses, internal, names};
use super::{
    affinity, containers, integer, items, member, metadata, one_of, resources, security, selector, string,
    volumes,
};
use crate::api_error::{FieldError, FieldErrorKind};

/// Checks a Pod; of a stored one only a little may change, which is looked at here unless a subresource does.
pub(super) fn pod(v: &Value, old: Option<&Value>, looks_at_changes: bool, errors: &mut Vec<FieldError>) {
    let spec_now = &v["spec"];
    spec(spec_now, "spec", errors);
    let Some(old) = old else {
        if !items(spec_now, "ephemeralContainers").is_empty() {
            errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
        }
        if !string(spec_now, "nodeName").is_empty() && !items(spec_now, "schedulingGates").is_empty() {
            let why = "cannot be set until all schedulingGates have been cleared";
            errors.push(FieldError::forbidden("spec.nodeName", why));
        }
        return;
    };
    if looks_at_changes {
        changes(spec_now, &old["spec"], errors);
    }
}

fn changes(now: &Value, then: &Value, errors: &mut Vec<FieldError>) {
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        if items(now, list).len() != items(then, list).len() {
            let why = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(path, why));
            return;
        }
        for (index, container) in items(now, list).iter().enumerate() {
            if string(container, "image").trim().is_empty() {
                errors.push(FieldError::required(format!("{path}[{index}].image"), ""));
            } else if string(container, "image").trim() != string(container, "image") {
                let why = "must not have leading or trailing whitespace";
                let at = format!("{path}[{index}].image");
                errors.push(FieldError::invalid(at, string(container, "image"), why));
            }
        }
    }
    let deadline = |spec: &Value| member(spec, "activeDeadlineSeconds").and_then(Value::as_i64);
    let at = "spec.activeDeadlineSeconds";
    match (deadline(now), deadline(then)) {
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            errors.push(FieldError::invalid(at, now, "must be between 0 and 2147483647, inclusive"));
            return;
        }
        (Some(now), Some(then)) if then < now => {
            errors.push(FieldError::invalid(at, now, "must be less than or equal to previous value"));
            return;
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(at, Value::Null, why));
        }
        _ => {}
    }
    kept_tolerations(now, then, errors);
    let gates = |spec: &Value| -> Vec<String> {
        items(spec, "schedulingGates").iter().map(|gate| string(gate, "name").to_owned()).collect()
    };
    for (index, gate) in gates(now).iter().enumerate().filter(|(_, gate)| !gates(then).contains(gate)) {
        errors.push(FieldError::forbidden(
            format!("spec.schedulingGates[{index}]"),
            format!("only deletion is allowed, but found new scheduling gate '{gate}'"),
        ));
    }
    let settled = with_free_fields_of(now, then);
    if settled != *then {
        errors.push(FieldError::forbidden(
            "spec",
            format!(
                "pod updates may not change fields other than `spec.containers[*].image`,\
                 `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                 existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                 previously negative)\n{}",
                internal::diff("core.PodSpec", then, &settled)
            ),
        ));
    }
}

fn kept_tolerations(now: &Value, then: &Value, errors: &mut Vec<FieldError>) {
    let timeless = |v: &Value| {
        let mut v = v.as_object().cloned().unwrap_or_default();
        v.remove("tolerationSeconds");
        v
    };
    let kept = |old: &Value| items(now, "tolerations").iter().any(|new| timeless(new) == timeless(old));
    if items(then, "tolerations").iter().all(kept) {
        tolerations(now, "spec.tolerations", errors);
    } else {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden("spec.tolerations", why));
    }
}

/// The new spec with the fields that an update may change as they were.
fn with_free_fields_of(now: &Value, then: &Value) -> Value {
    let mut out = now.clone();
    let Value::Object(members) = &mut out else { return out };
    let mut free = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    let grace = |spec: &Value| spec["terminationGracePeriodSeconds"].as_i64();
    if grace(then).is_some_and(|seconds| seconds < 0) && grace(now) == Some(1) {
        free.push("terminationGracePeriodSeconds");
    }
    if !items(then, "schedulingGates").is_empty() {
        free.push("nodeSelector");
    }
    for name in free {
        match then.get(name) {
            Some(value) => members.insert(name.to_owned(), value.clone()),
            None => members.remove(name),
        };
    }
    for list in ["containers", "initContainers"] {
        let containers = members.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, old) in containers.zip(items(then, list)) {
            if let (Value::Object(container), Some(image)) = (container, old.get("image")) {
                container.insert("image".to_owned(), image.clone());
            }
        }
    }
    out
}

/// Checks a pod template.
pub(super) fn template(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let meta = &v["metadata"];
    metadata::labels(meta.get("labels"), &format!("{path}.labels"), errors);
    metadata::annotations(meta.get("annotations"), &format!("{path}.annotations"), errors);
    spec(&v["spec"], &format!("{path}.spec"), errors);
    if !items(&v["spec"], "ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden(
            format!("{path}.spec.ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
}

fn spec(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mountable = volumes::validate(v, &format!("{path}.volumes"), errors);
    containers::regular(v, &format!("{path}.containers"), &mountable, errors);
    containers::init(v, &format!("{path}.initContainers"), &mountable, errors);
    containers::ephemeral(v, &format!("{path}.ephemeralContainers"), &mountable, errors);
    host_network(v, path, errors);
    one_of(v, "restartPolicy", path, &["Always", "OnFailure", "Never"], errors);
    one_of(v, "dnsPolicy", path, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    metadata::labels(v.get("nodeSelector"), &format!("{path}.nodeSelector"), errors);
    security::pod(v, path, errors);
    affinity::validate(&v["affinity"], &format!("{path}.affinity"), errors);
    dns(v, &format!("{path}.dnsConfig"), errors);
    for (index, gate) in items(v, "readinessGates").iter().enumerate() {
        qualified(
            string(gate, "conditionType"),
            &format!("{path}.readinessGates[{index}].conditionType"),
            errors,
        );
    }
    let mut gates = BTreeSet::new();
    for (index, gate) in items(v, "schedulingGates").iter().enumerate() {
        let (at, name) = (format!("{path}.schedulingGates[{index}]"), string(gate, "name"));
        qualified(name, &at, errors);
        if !gates.insert(name) {
            errors.push(FieldError::duplicate(at, name));
        }
    }
    spread(v, &format!("{path}.topologySpreadConstraints"), errors);
    for (name, problems) in [
        ("serviceAccountName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
    ] {
        let value = string(v, name);
        if !value.is_empty() {
            errors.extend(
                problems(value).into_iter().map(|m| FieldError::invalid(format!("{path}.{name}"), value, m)),
            );
        }
    }
    if let Some(deadline) = member(v, "activeDeadlineSeconds").and_then(Value::as_i64)
        && !(1..=i64::from(i32::MAX)).contains(&deadline)
    {
        errors.push(FieldError::invalid(
            format!("{path}.activeDeadlineSeconds"),
            deadline,
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    for name in ["hostname", "subdomain"] {
        let value = string(v, name);
        if !value.is_empty() {
            super::label_name(value, &format!("{path}.{name}"), errors);
        }
    }
    tolerations(v, &format!("{path}.tolerations"), errors);
    for (index, alias) in items(v, "hostAliases").iter().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        addresses::address(string(alias, "ip"), &format!("{path}.ip"), &[], errors);
        for (index, name) in items(alias, "hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            super::subdomain_name(name, &format!("{path}.hostnames[{index}]"), errors);
        }
    }
    for name in ["priorityClassName", "runtimeClassName"] {
        let value = string(v, name);
        let set = if name == "runtimeClassName" { member(v, name).is_some() } else { !value.is_empty() };
        if set {
            super::subdomain_name(value, &format!("{path}.{name}"), errors);
        }
    }
    if let Some(policy) = member(v, "preemptionPolicy").and_then(Value::as_str) {
        super::cluster::preemption_policy(policy, &format!("{path}.preemptionPolicy"), errors);
    }
    if let Some(overhead) = member(v, "overhead") {
        let limits = serde_json::json!({"limits": overhead});
        resources::requirements(&limits, &format!("{path}.overhead"), errors);
    }
    if let Some(os) = member(v, "os") {
        match string(os, "name") {
            "" => errors.push(FieldError::required(format!("{path}.os.name"), "")),
            "linux" | "windows" => {}
            other => {
                errors.push(FieldError::not_supported(format!("{path}.os"), other, &["linux", "windows"]));
            }
        }
    }
}

fn qualified(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    errors.extend(names::qualified_name(name).into_iter().map(|m| FieldError::invalid(path, name, m)));
}

fn dns(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MOST_SERVERS: usize = 3;
    const MOST_PATHS: usize = 32;
    const MOST_CHARACTERS: usize = 2048;
    let config = member(v, "dnsConfig");
    if string(v, "dnsPolicy") == "None" {
        let Some(config) = config else {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        };
        if items(config, "nameservers").is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(format!("{path}.nameservers"), why));
            return;
        }
    }
    let Some(config) = config else { return };
    let servers = items(config, "nameservers");
    if servers.len() > MOST_SERVERS {
        let why = format!("must not have more than {MOST_SERVERS} nameservers");
        errors.push(FieldError::invalid(format!("{path}.nameservers"), servers.to_vec(), why));
    }
    for (index, server) in servers.iter().enumerate() {
        let at = format!("{path}.nameservers[{index}]");
        addresses::address(server.as_str().unwrap_or_default(), &at, &[], errors);
    }
    let searches = items(config, "searches");
    let texts: Vec<&str> = searches.iter().filter_map(Value::as_str).collect();
    let at = format!("{path}.searches");
    if searches.len() > MOST_PATHS {
        let why = format!("must not have more than {MOST_PATHS} search paths");
        errors.push(FieldError::invalid(&at, searches.to_vec(), why));
    }
    if texts.join(" ").len() > MOST_CHARACTERS {
        let why = format!(
            "must not have more than {MOST_CHARACTERS} characters (including spaces) in the search list"
        );
        errors.push(FieldError::invalid(&at, searches.to_vec(), why));
    }
    for (index, search) in texts.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        for m in names::subdomain_with_underscore(search) {
            errors.push(FieldError::invalid(format!("{at}[{index}]"), search, m));
        }
    }
    for (index, option) in items(config, "options").iter().enumerate() {
        if string(option, "name").is_empty() {
            errors.push(FieldError::required(format!("{path}.options[{index}]"), "must not be empty"));
        }
    }
}

/// On the host's network a container's port is the host's, which templates may leave open.
fn host_network(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if v.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for (index, container) in items(v, "containers").iter().enumerate() {
        for (port_index, port) in items(container, "ports").iter().enumerate() {
            let host = integer(port, "hostPort");
            let open = host == 0 && path != "spec";
            if !open && host != integer(port, "containerPort") {
                errors.push(FieldError::invalid(
                    format!("{path}.containers[{index}].ports[{port_index}].hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}

pub(super) fn tolerations(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, toleration) in items(v, "tolerations").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (key, operator) = (string(toleration, "key"), string(toleration, "operator"));
        let (value, effect) = (string(toleration, "value"), string(toleration, "effect"));
        let at_operator = format!("{path}.operator");
        if !key.is_empty() {
            for m in names::qualified_name(key) {
                errors.push(FieldError::invalid(format!("{path}.key"), key, m));
            }
        } else if operator != "Exists" {
            errors.push(FieldError::invalid(
                &at_operator,
                operator,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ));
        }
        if member(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(format!("{path}.effect"), effect, why));
        }
        match operator {
            "" | "Equal" => {
                if let Some(m) = crate::selectors::validate_label_value(value) {
                    errors.push(FieldError::invalid(at_operator, value, m));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let why = "value must be empty when `operator` is 'Exists'";
                    errors.push(FieldError::invalid(at_operator, value, why));
                }
            }
            other => errors.push(FieldError::not_supported(at_operator, other, &["Equal", "Exists"])),
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if !effect.is_empty() && !effects.contains(&effect) {
            errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &effects));
        }
    }
}

fn spread(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let constraints = items(v, "topologySpreadConstraints");
    for (index, constraint) in constraints.iter().enumerate() {
        let path = format!("{path}[{index}]");
        positive(integer(constraint, "maxSkew"), &format!("{path}.maxSkew"), errors);
        let identity =
            |v: &Value| (string(v, "topologyKey").to_owned(), string(v, "whenUnsatisfiable").to_owned());
        let (key, action) = identity(constraint);
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action.as_str()) {
            let at = format!("{path}.whenUnsatisfiable");
            errors.push(FieldError::not_supported(at, action.as_str(), &actions));
        }
        if constraints[index + 1..].iter().any(|later| identity(later) == (key.clone(), action.clone())) {
            errors.push(FieldError {
                kind: FieldErrorKind::Duplicate,
                field: format!("{path}.{{topologyKey, whenUnsatisfiable}}"),
                value: Some(format!("{{{key}, {action}}}").into()),
                detail: String::new(),
            });
        }
        if let Some(domains) = member(constraint, "minDomains").and_then(Value::as_i64) {
            let at = format!("{path}.minDomains");
            positive(domains, &at, errors);
            if action != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(at, domains, why));
            }
        }
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = member(constraint, name).and_then(Value::as_str)
                && !matches!(policy, "Honor" | "Ignore")
            {
                errors.push(FieldError::not_supported(
                    format!("{path}.{name}"),
                    policy,
                    &["Honor", "Ignore"],
                ));
            }
        }
        affinity::match_label_keys(constraint, &path, errors);
        selector::validate(member(constraint, "labelSelector"), &format!("{path}.labelSelector"), errors);
    }
}

fn positive(number: i64, path: &str, errors: &mut Vec<FieldError>) {
    if number <= 0 {
        errors.push(FieldError::invalid(path, number, "must be greater than zero"));
    }
}
