//! Containers: names, images, ports, environment, mounts, resources, probes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::names;
use super::{integer, items, label_name, member, not_negative, one_of, port, port_number, string};
use crate::api_error::FieldError;
use crate::schema::Quantity;

/// Checks the containers of a pod.
pub(super) fn regular(
    spec: &Value,
    path: &str,
    volumes: &BTreeSet<String>,
    errors: &mut Vec<FieldError>,
) {
    let containers = items(spec, "containers");
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        common(container, &path, volumes, errors);
        let name = string(container, "name");
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        lifecycle_and_probes(container, &path, errors);
    }
    host_ports(containers, path, errors);
}

/// Checks the init containers of a pod; they share names with the regular ones.
pub(super) fn init(spec: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let mut seen: BTreeSet<&str> =
        items(spec, "containers").iter().map(|container| string(container, "name")).collect();
    for (index, container) in items(spec, "initContainers").iter().enumerate() {
        let at = format!("{path}[{index}]");
        common(container, &at, volumes, errors);
        let name = string(container, "name");
        if !seen.insert(name) && !name.is_empty() {
            errors.push(FieldError::duplicate(format!("{at}.name"), name));
        }
        host_ports(std::slice::from_ref(container), path, errors);
        if string(container, "restartPolicy") == "Always" {
            lifecycle_and_probes(container, &at, errors);
            continue;
        }
        for member_name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if member(container, member_name).is_some() {
                errors.push(FieldError::forbidden(
                    format!("{at}.{member_name}"),
                    "may not be set for init containers without restartPolicy=Always",
                ));
            }
        }
    }
}

fn common(container: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let name = string(container, "name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        label_name(name, &format!("{path}.name"), errors);
    }
    if string(container, "image").is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    one_of(container, "terminationMessagePolicy", path, &["FallbackToLogsOnError", "File"], errors);
    ports(container, &format!("{path}.ports"), errors);
    env(container, &format!("{path}.env"), errors);
    env_from(container, &format!("{path}.envFrom"), errors);
    mounts(container, &format!("{path}.volumeMounts"), volumes, errors);
    one_of(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], errors);
    resources(&container["resources"], &format!("{path}.resources"), errors);
}

fn ports(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, v) in items(container, "ports").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = string(v, "name");
        if !name.is_empty() {
            let problems = names::port_name(name);
            if problems.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            for m in problems {
                errors.push(FieldError::invalid(format!("{path}.name"), name, m));
            }
        }
        match integer(v, "containerPort") {
            0 => errors.push(FieldError::required(format!("{path}.containerPort"), "")),
            number => port_number(number, &format!("{path}.containerPort"), errors),
        }
        if integer(v, "hostPort") != 0 {
            port_number(integer(v, "hostPort"), &format!("{path}.hostPort"), errors);
        }
        one_of(v, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
    }
}

fn host_ports(containers: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, v) in items(container, "ports").iter().enumerate() {
            let host = integer(v, "hostPort");
            if host == 0 {
                continue;
            }
            let key = format!("{}/{}/{host}", string(v, "protocol"), string(v, "hostIP"));
            if !seen.insert(key.clone()) {
                let at = format!("{path}[{index}].ports[{port_index}].hostPort");
                errors.push(FieldError::duplicate(at, key));
            }
        }
    }
}

fn env(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, v) in items(container, "env").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = string(v, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        for m in names::env_var_name(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, m));
        }
        let Some(from) = member(v, "valueFrom") else { continue };
        let path = format!("{path}.valueFrom");
        let mut sources = 0;
        if let Some(reference) = member(from, "fieldRef") {
            sources += 1;
            field_reference(reference, &format!("{path}.fieldRef"), errors);
        }
        if let Some(reference) = member(from, "resourceFieldRef") {
            sources += 1;
            if string(reference, "resource").is_empty() {
                errors.push(FieldError::required(format!("{path}.resourceFieldRef.resource"), ""));
            }
        }
        for name in ["configMapKeyRef", "secretKeyRef"] {
            if let Some(reference) = member(from, name) {
                sources += 1;
                key_reference(reference, &format!("{path}.{name}"), errors);
            }
        }
        sources += usize::from(member(from, "fileKeyRef").is_some());
        let why = if sources == 0 {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        } else if !string(v, "value").is_empty() {
            "may not be specified when `value` is not empty"
        } else if sources > 1 {
            "may not have more than one field specified at a time"
        } else {
            continue;
        };
        errors.push(FieldError::invalid(path, "", why));
    }
}

fn field_reference(reference: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const KNOWN: [&str; 12] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.labels",
        "metadata.annotations",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.phase",
        "status.hostIP",
        "status.podIP",
    ];
    const USABLE: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let field = string(reference, "fieldPath");
    if string(reference, "apiVersion").is_empty() {
        errors.push(FieldError::required(format!("{path}.apiVersion"), ""));
        return;
    }
    if field.is_empty() {
        errors.push(FieldError::required(format!("{path}.fieldPath"), ""));
        return;
    }
    if let Some((map, rest)) = field.split_once('[') {
        let key = rest.trim_end_matches(']').trim_matches('\'');
        let problems = match map {
            "metadata.annotations" => names::qualified_name(&key.to_lowercase()),
            "metadata.labels" => names::qualified_name(key),
            _ => {
                errors.push(FieldError::invalid(
                    format!("{path}.fieldPath"),
                    field,
                    format!("error converting fieldPath: field label does not support subscript: {map}"),
                ));
                return;
            }
        };
        errors.extend(problems.into_iter().map(|m| FieldError::invalid(path, key, m)));
    } else if !KNOWN.contains(&field) && !USABLE.contains(&field) {
        errors.push(FieldError::invalid(
            format!("{path}.fieldPath"),
            field,
            format!("error converting fieldPath: field label not supported: {field}"),
        ));
    } else if !USABLE.contains(&field) {
        errors.push(FieldError::not_supported(format!("{path}.fieldPath"), field, &USABLE));
    }
}

fn key_reference(reference: &Value, path: &str, errors: &mut Vec<FieldError>) {
    super::subdomain_name(string(reference, "name"), &format!("{path}.name"), errors);
    let key = string(reference, "key");
    if key.is_empty() {
        errors.push(FieldError::required(format!("{path}.key"), ""));
        return;
    }
    for m in names::config_map_key(key) {
        errors.push(FieldError::invalid(format!("{path}.key"), key, m));
    }
}

fn env_from(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, v) in items(container, "envFrom").iter().enumerate() {
        let prefix = string(v, "prefix");
        for m in names::env_var_name(prefix) {
            errors.push(FieldError::invalid(format!("{path}[{index}].prefix"), prefix, m));
        }
        let mut sources = 0;
        for name in ["configMapRef", "secretRef"] {
            if let Some(reference) = member(v, name) {
                sources += 1;
                super::subdomain_name(
                    string(reference, "name"),
                    &format!("{path}[{index}].{name}.name"),
                    errors,
                );
            }
        }
        match sources {
            0 => {
                let why = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, "", why));
            }
            1 => {}
            _ => {
                let why = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(path, "", why));
            }
        }
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let at = format!("{path}[{index}]");
        let (name, mount_path) = (string(mount, "name"), string(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        if !volumes.contains(name) {
            errors.push(FieldError::not_found(format!("{at}.name"), name));
        }
        if mount_path.is_empty() {
            errors.push(FieldError::required(format!("{at}.mountPath"), ""));
        }
        if !seen.insert(mount_path) {
            errors.push(FieldError::invalid(format!("{at}.mountPath"), mount_path, "must be unique"));
        }
        let sub_path = string(mount, "subPath");
        if sub_path.starts_with('/') {
            errors.push(FieldError::invalid(format!("{path}.subPath"), sub_path, "must be a relative path"));
        }
        if sub_path.split('/').any(|part| part == "..") {
            errors.push(FieldError::invalid(format!("{path}.subPath"), sub_path, "must not contain '..'"));
        }
        let expression = string(mount, "subPathExpr");
        if !expression.is_empty() && !sub_path.is_empty() {
            errors.push(FieldError::invalid(
                format!("{at}.subPathExpr"),
                expression,
                "subPathExpr and subPath are mutually exclusive",
            ));
        }
    }
}

/// Checks requests and limits.
fn resources(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let amounts = |name: &str| v.get(name).and_then(Value::as_object);
    for list in ["limits", "requests"] {
        for (name, amount) in amounts(list).into_iter().flatten() {
            let at = format!("{path}.{list}[{name}]");
            resource_name(name, &at, errors);
            let text = amount.as_str().unwrap_or_default();
            let Ok(quantity) = Quantity::parse(text) else { continue };
            if quantity.is_negative() {
                errors.push(FieldError::invalid(&at, text, super::NOT_NEGATIVE));
            }
            if list == "limits" {
                continue;
            }
            let limit = amounts("limits").and_then(|limits| limits.get(name)).and_then(Value::as_str);
            let overcommitted = !name.contains('/') && !name.starts_with("hugepages-");
            match limit.and_then(|limit| Some((limit, Quantity::parse(limit).ok()?))) {
                Some((limit, most)) if !overcommitted && most != quantity => {
                    let why = format!("must be equal to {name} limit of {limit}");
                    errors.push(FieldError::invalid(format!("{path}.requests"), text, why));
                }
                Some((limit, most)) if quantity > most => {
                    let why = format!("must be less than or equal to {name} limit of {limit}");
                    errors.push(FieldError::invalid(format!("{path}.requests"), text, why));
                }
                None if !overcommitted => errors.push(FieldError::required(
                    format!("{path}.limits"),
                    "Limit must be set for non overcommitable resources",
                )),
                _ => {}
            }
        }
    }
}

fn resource_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    const STANDARD: [&str; 21] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "services.nodeports",
        "services.loadbalancers",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "count",
    ];
    let problems = names::qualified_name(name);
    if !problems.is_empty() {
        errors.extend(problems.into_iter().map(|m| FieldError::invalid(path, name, m)));
        return;
    }
    if name.contains('/') || name.starts_with("hugepages-") {
        return;
    }
    if !STANDARD.contains(&name) {
        let why = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, why));
    }
    if !["cpu", "memory", "ephemeral-storage"].contains(&name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
}

fn lifecycle_and_probes(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(lifecycle) = member(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(hook) = member(lifecycle, name) {
                handler(hook, &format!("{path}.lifecycle.{name}"), errors);
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = member(container, name) else { continue };
        let path = format!("{path}.{name}");
        handler(probe, &path, errors);
        for number in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            not_negative(probe, number, &path, errors);
        }
        let grace = member(probe, "terminationGracePeriodSeconds").and_then(Value::as_i64);
        if let Some(grace) = grace.filter(|grace| *grace <= 0) {
            let at = format!("{path}.terminationGracePeriodSeconds");
            errors.push(FieldError::invalid(at, grace, "must be greater than 0"));
        }
        if name == "readinessProbe" {
            if let Some(grace) = grace {
                let at = format!("{path}.terminationGracePeriodSeconds");
                errors.push(FieldError::invalid(at, grace, "must not be set for readinessProbes"));
            }
        } else if integer(probe, "successThreshold") != 1 {
            let threshold = integer(probe, "successThreshold");
            errors.push(FieldError::invalid(format!("{path}.successThreshold"), threshold, "must be 1"));
        }
    }
}

/// What a probe or hook does; exactly one of several.
fn handler(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut found = false;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = member(v, name) else { continue };
        let at = format!("{path}.{name}");
        if found {
            errors.push(FieldError::forbidden(at, "may not specify more than 1 handler type"));
            continue;
        }
        found = true;
        match name {
            "exec" if items(action, "command").is_empty() => {
                errors.push(FieldError::required(format!("{at}.command"), ""));
            }
            "httpGet" => {
                if string(action, "path").is_empty() {
                    errors.push(FieldError::required(format!("{at}.path"), ""));
                }
                port(action.get("port"), &format!("{at}.port"), errors);
                let scheme = string(action, "scheme");
                if !["HTTP", "HTTPS"].contains(&scheme) {
                    let supported = ["HTTP", "HTTPS"];
                    errors.push(FieldError::not_supported(format!("{at}.scheme"), scheme, &supported));
                }
            }
            "tcpSocket" | "grpc" => port(action.get("port"), &format!("{at}.port"), errors),
            _ => {}
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}
