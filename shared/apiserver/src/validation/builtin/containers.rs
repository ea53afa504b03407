//! Containers: names, images, ports, environment, mounts, resources, probes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::names;
use super::volumes::{Volumes, descending_path};
use super::{
    integer, items, label_name, member, not_negative, one_of, port, port_number, resources, security, string,
};
use crate::api_error::FieldError;

const ENVIRONMENT_FIELDS: [&str; 9] = [
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

/// Checks the containers of a pod.
pub(super) fn regular(spec: &Value, path: &str, volumes: &Volumes, errors: &mut Vec<FieldError>) {
    let containers = items(spec, "containers");
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        common(spec, container, &path, volumes, errors);
        let name = string(container, "name");
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        lifecycle_and_probes(spec, container, &path, errors);
        restart_policy(container, &path, errors);
    }
    host_ports(containers, path, errors);
}

/// Checks the init containers of a pod; they share names with the regular ones.
pub(super) fn init(spec: &Value, path: &str, volumes: &Volumes, errors: &mut Vec<FieldError>) {
    let mut seen: BTreeSet<&str> =
        items(spec, "containers").iter().map(|container| string(container, "name")).collect();
    for (index, container) in items(spec, "initContainers").iter().enumerate() {
        let at = format!("{path}[{index}]");
        common(spec, container, &at, volumes, errors);
        let name = string(container, "name");
        if !seen.insert(name) && !name.is_empty() {
            errors.push(FieldError::duplicate(format!("{at}.name"), name));
        }
        host_ports(std::slice::from_ref(container), path, errors);
        if member(container, "restartPolicy").is_some() {
            one_of(container, "restartPolicy", &at, &["Always", "Never", "OnFailure"], errors);
        }
        if string(container, "restartPolicy") == "Always" {
            lifecycle_and_probes(spec, container, &at, errors);
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

/// Checks the ephemeral containers of a pod, which share names with all others.
pub(super) fn ephemeral(spec: &Value, path: &str, volumes: &Volumes, errors: &mut Vec<FieldError>) {
    const REFUSED: [&str; 9] = [
        "ports",
        "resources",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ];
    let why = "cannot be set for an Ephemeral Container";
    let others: BTreeSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| items(spec, list))
        .map(|container| string(container, "name"))
        .collect();
    let mut seen = others.clone();
    for (index, container) in items(spec, "ephemeralContainers").iter().enumerate() {
        let path = format!("{path}[{index}]");
        common(spec, container, &path, volumes, errors);
        let image = string(container, "image");
        if !image.is_empty() && image.trim() != image {
            let why = "must not have leading or trailing whitespace";
            errors.push(FieldError::invalid(format!("{path}.image"), image, why));
        }
        let name = string(container, "name");
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let target = string(container, "targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(format!("{path}.targetContainerName"), target));
        }
        for refused in REFUSED {
            if container.get(refused).is_some_and(|value| !crate::go_value::is_empty(value)) {
                errors.push(FieldError::forbidden(format!("{path}.{refused}"), why));
            }
        }
        for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
            for refused in ["subPath", "subPathExpr"] {
                if !string(mount, refused).is_empty() {
                    let at = format!("{path}.volumeMounts[{index}].{refused}");
                    errors.push(FieldError::forbidden(at, why));
                }
            }
        }
    }
}

fn common(spec: &Value, container: &Value, path: &str, volumes: &Volumes, errors: &mut Vec<FieldError>) {
    let name = string(container, "name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        label_name(name, &format!("{path}.name"), errors);
    }
    if string(container, "image").is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    one_of(container, "terminationMessagePolicy", path, &["File", "FallbackToLogsOnError"], errors);
    ports(container, &format!("{path}.ports"), errors);
    env(container, &format!("{path}.env"), errors);
    env_from(container, &format!("{path}.envFrom"), errors);
    mounts(container, &format!("{path}.volumeMounts"), volumes, errors);
    devices(container, &format!("{path}.volumeDevices"), volumes, errors);
    one_of(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], errors);
    resources::requirements(&container["resources"], &format!("{path}.resources"), errors);
    resize_policy(container, spec, &format!("{path}.resizePolicy"), errors);
    security::container(container, path, spec.get("hostUsers") != Some(&Value::Bool(false)), errors);
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
            field_reference(reference, &ENVIRONMENT_FIELDS, &format!("{path}.fieldRef"), errors);
        }
        if let Some(reference) = member(from, "resourceFieldRef") {
            sources += 1;
            resource_field(reference, false, &format!("{path}.resourceFieldRef"), errors);
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

/// Checks a reference to a field of the pod.
pub(super) fn field_reference(reference: &Value, usable: &[&str], path: &str, errors: &mut Vec<FieldError>) {
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
    } else if !KNOWN.contains(&field) && !usable.contains(&field) {
        errors.push(FieldError::invalid(
            format!("{path}.fieldPath"),
            field,
            format!("error converting fieldPath: field label not supported: {field}"),
        ));
    } else if !usable.contains(&field) {
        errors.push(FieldError::not_supported(format!("{path}.fieldPath"), field, usable));
    }
}

/// Checks a reference to an amount that a container asks for or may use.
pub(super) fn resource_field(v: &Value, in_volume: bool, path: &str, errors: &mut Vec<FieldError>) {
    const KNOWN: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = string(v, "resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if in_volume && string(v, "containerName").is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !KNOWN.contains(&resource) && !huge {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, &KNOWN));
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
                let at = format!("{path}[{index}].{name}.name");
                match string(reference, "name") {
                    "" => errors.push(FieldError::required(at, "")),
                    name => super::subdomain_name(name, &at, errors),
                }
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

fn mounts(container: &Value, path: &str, volumes: &Volumes, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let at = format!("{path}[{index}]");
        let (name, mount_path) = (string(mount, "name"), string(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        if !volumes.contains_key(name) {
            errors.push(FieldError::not_found(format!("{at}.name"), name));
        }
        if mount_path.is_empty() {
            errors.push(FieldError::required(format!("{at}.mountPath"), ""));
        }
        if !seen.insert(mount_path) {
            errors.push(FieldError::invalid(format!("{at}.mountPath"), mount_path, "must be unique"));
        }
        device_conflicts(container, name, mount_path, &at, errors);
        let sub_path = string(mount, "subPath");
        descending_path(sub_path, &format!("{path}.subPath"), errors);
        let expression = string(mount, "subPathExpr");
        if !expression.is_empty() && !sub_path.is_empty() {
            errors.push(FieldError::invalid(
                format!("{at}.subPathExpr"),
                expression,
                "subPathExpr and subPath are mutually exclusive",
            ));
        }
        descending_path(expression, &format!("{path}.subPathExpr"), errors);
        propagation(mount, container, &format!("{path}.mountPropagation"), errors);
    }
}

fn device_conflicts(container: &Value, name: &str, mount_path: &str, at: &str, errors: &mut Vec<FieldError>) {
    let devices = items(container, "volumeDevices");
    if devices.iter().any(|device| string(device, "name") == name) {
        let why = "must not already exist in volumeDevices";
        errors.push(FieldError::invalid(format!("{at}.name"), name, why));
    }
    if devices.iter().any(|device| string(device, "devicePath") == mount_path) {
        let why = "must not already exist as a path in volumeDevices";
        errors.push(FieldError::invalid(format!("{at}.mountPath"), mount_path, why));
    }
}

fn propagation(mount: &Value, container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(mode) = member(mount, "mountPropagation").and_then(Value::as_str) else { return };
    let supported = ["Bidirectional", "HostToContainer", "None"];
    if !supported.contains(&mode) {
        errors.push(FieldError::not_supported(path, mode, &supported));
    }
    if mode == "Bidirectional" && container["securityContext"]["privileged"] != true {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn devices(container: &Value, path: &str, volumes: &Volumes, errors: &mut Vec<FieldError>) {
    let (mut paths, mut names_seen) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in items(container, "volumeDevices").iter().enumerate() {
        let at = format!("{path}[{index}]");
        let (name, device_path) = (string(device, "name"), string(device, "devicePath"));
        let mut wrong = |field: &str, value: &str, why: &str| {
            errors.push(FieldError::invalid(format!("{at}.{field}"), value, why));
        };
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        } else if !names_seen.insert(name) {
            wrong("name", name, "must be unique");
        }
        match volumes.get(name) {
            None => errors.push(FieldError::not_found(format!("{at}.name"), name)),
            Some(false) => {
                let why =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(format!("{at}.name"), name, why));
            }
            Some(true) => {}
        }
        let mut wrong = |field: &str, value: &str, why: &str| {
            errors.push(FieldError::invalid(format!("{at}.{field}"), value, why));
        };
        if paths.contains(device_path) {
            wrong("devicePath", device_path, "must be unique");
        }
        if device_path.split('/').any(|part| part == "..") {
            wrong("devicePath", device_path, "can not contain backsteps ('..')");
        } else {
            paths.insert(device_path);
        }
        let mounts = items(container, "volumeMounts");
        if mounts.iter().any(|mount| string(mount, "name") == name) {
            wrong("name", name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| string(mount, "mountPath") == device_path) {
            wrong("devicePath", device_path, "must not already exist as a path in volumeMounts");
        }
        if device_path.is_empty() {
            errors.push(FieldError::required(format!("{at}.devicePath"), ""));
        }
    }
}

fn resize_policy(container: &Value, spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, v) in items(container, "resizePolicy").iter().enumerate() {
        let (name, policy) = (string(v, "resourceName"), string(v, "restartPolicy"));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), name));
        }
        for (found, supported) in [(name, ["cpu", "memory"]), (policy, ["NotRequired", "RestartContainer"])] {
            if found.is_empty() {
                errors.push(FieldError::required(path, ""));
            } else if !supported.contains(&found) {
                errors.push(FieldError::not_supported(path, found, &supported));
            }
        }
        if string(spec, "restartPolicy") == "Never" && policy != "NotRequired" {
            let why = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, policy, why));
        }
    }
}

fn lifecycle_and_probes(spec: &Value, container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(lifecycle) = member(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(hook) = member(lifecycle, name) {
                handler(spec, hook, &format!("{path}.lifecycle.{name}"), errors);
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = member(container, name) else { continue };
        let path = format!("{path}.{name}");
        handler(spec, probe, &path, errors);
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
fn handler(spec: &Value, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
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
                for header in items(action, "httpHeaders") {
                    let name = string(header, "name");
                    for m in names::http_header(name) {
                        errors.push(FieldError::invalid(format!("{at}.httpHeaders"), name, m));
                    }
                }
            }
            "tcpSocket" => port(action.get("port"), &format!("{at}.port"), errors),
            "grpc" => port_number(integer(action, "port"), &format!("{at}.port"), errors),
            "sleep" => {
                let (seconds, grace) =
                    (integer(action, "seconds"), integer(spec, "terminationGracePeriodSeconds"));
                if !(0..=grace).contains(&seconds) {
                    let why =
                        format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    errors.push(FieldError::invalid(at, seconds, why));
                }
            }
            _ => {}
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn restart_policy(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(policy) = member(container, "restartPolicy").and_then(Value::as_str)
        && !matches!(policy, "Always" | "Never" | "OnFailure")
    {
        let supported = ["Always", "Never", "OnFailure"];
        errors.push(FieldError::not_supported(format!("{path}.restartPolicy"), policy, &supported));
    }
}
