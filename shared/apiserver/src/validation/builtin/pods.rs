//! Pods and the templates of pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::names;
use super::{containers, integer, items, member, metadata, one_of, selector, string, volumes};
use crate::api_error::{FieldError, FieldErrorKind};

/// Checks a Pod; of a stored one only a little may change.
pub(super) fn pod(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    spec(&v["spec"], "spec", &[], errors);
    let Some(old) = old else { return };
    if frozen(v) != frozen(old) {
        errors.push(FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}

/// The spec without what an update may change.
fn frozen(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    if let Value::Object(members) = &mut spec {
        members.remove("activeDeadlineSeconds");
        members.remove("tolerations");
        members.remove("nodeName");
        for list in ["containers", "initContainers"] {
            for container in members.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Value::Object(container) = container {
                    container.remove("image");
                }
            }
        }
    }
    spec
}

/// Checks a pod template.
pub(super) fn template(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    template_with_claims(v, path, &[], errors);
}

/// Checks a pod template that may mount volumes of these names besides its own.
pub(super) fn template_with_claims(v: &Value, path: &str, claims: &[&str], errors: &mut Vec<FieldError>) {
    let meta = &v["metadata"];
    metadata::labels(meta.get("labels"), &format!("{path}.labels"), errors);
    metadata::annotations(meta.get("annotations"), &format!("{path}.annotations"), errors);
    spec(&v["spec"], &format!("{path}.spec"), claims, errors);
    if !items(&v["spec"], "ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden(
            format!("{path}.spec.ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
}

fn spec(v: &Value, path: &str, claims: &[&str], errors: &mut Vec<FieldError>) {
    let mut mountable = volumes::validate(v, &format!("{path}.volumes"), errors);
    mountable.extend(claims.iter().map(|name| (*name).to_owned()));
    containers::regular(v, &format!("{path}.containers"), &mountable, errors);
    containers::init(v, &format!("{path}.initContainers"), &mountable, errors);
    host_network(v, path, errors);
    one_of(v, "restartPolicy", path, &["Always", "OnFailure", "Never"], errors);
    one_of(v, "dnsPolicy", path, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    metadata::labels(v.get("nodeSelector"), &format!("{path}.nodeSelector"), errors);
    for (index, secret) in items(v, "imagePullSecrets").iter().enumerate() {
        if string(secret, "name").is_empty() {
            errors.push(FieldError::required(format!("{path}.imagePullSecrets[{index}].name"), ""));
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
        super::services::ip_address(string(alias, "ip"), &format!("{path}.ip"), errors);
        for (index, name) in items(alias, "hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            super::subdomain_name(name, &format!("{path}.hostnames[{index}]"), errors);
        }
    }
    for name in ["priorityClassName", "runtimeClassName"] {
        let value = string(v, name);
        if !value.is_empty() {
            super::subdomain_name(value, &format!("{path}.{name}"), errors);
        }
    }
}

/// On the host's network a container's port is the host's.
fn host_network(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if v.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for (index, container) in items(v, "containers").iter().enumerate() {
        for (port_index, port) in items(container, "ports").iter().enumerate() {
            let host = integer(port, "hostPort");
            if host != integer(port, "containerPort") {
                errors.push(FieldError::invalid(
                    format!("{path}.containers[{index}].ports[{port_index}].hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}

fn tolerations(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, toleration) in items(v, "tolerations").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (key, operator) = (string(toleration, "key"), string(toleration, "operator"));
        let (value, effect) = (string(toleration, "value"), string(toleration, "effect"));
        let at_operator = format!("{path}.operator");
        if !key.is_empty() {
            for m in names::label_key(key) {
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
    let mut seen = BTreeSet::new();
    for (index, constraint) in items(v, "topologySpreadConstraints").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let skew = integer(constraint, "maxSkew");
        if skew <= 0 {
            errors.push(FieldError::invalid(format!("{path}.maxSkew"), skew, "must be greater than zero"));
        }
        let (key, action) = (string(constraint, "topologyKey"), string(constraint, "whenUnsatisfiable"));
        if key.is_empty() {
            errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            errors.push(FieldError::not_supported(format!("{path}.whenUnsatisfiable"), action, &actions));
        }
        if !seen.insert((key, action)) {
            errors.push(FieldError {
                kind: FieldErrorKind::Duplicate,
                field: format!("{path}.{{topologyKey, whenUnsatisfiable}}"),
                value: Some(format!("{{{key}, {action}}}").into()),
                detail: String::new(),
            });
        }
        selector::validate(member(constraint, "labelSelector"), &format!("{path}.labelSelector"), errors);
    }
}
