//! The security contexts of pods and containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{internal, invalid_text};
use super::{items, member, string};
use crate::api_error::FieldError;

const LARGEST_ID: i64 = i32::MAX as i64;
const SYSCTL_LENGTH: usize = 253;
const SYSCTL: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// Checks the security context of a pod.
pub(super) fn pod(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let path = format!("{path}.securityContext");
    let context = &spec["securityContext"];
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(member(context, name), &format!("{path}.{name}"), errors);
    }
    for (index, group) in items(context, "supplementalGroups").iter().enumerate() {
        id(Some(group), &format!("{path}.supplementalGroups[{index}]"), errors);
    }
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        errors.push(FieldError::invalid(
            format!("{path}.shareProcessNamespace"),
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    sysctls(spec, context, &format!("{path}.sysctls"), errors);
    choice(context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], &path, errors);
    profiles(context, &path, errors);
    choice(context, "supplementalGroupsPolicy", &["Merge", "Strict"], &path, errors);
    choice(context, "seLinuxChangePolicy", &["MountOption", "Recursive"], &path, errors);
}

/// Checks the security context of a container.
pub(super) fn container(v: &Value, path: &str, host_users: bool, errors: &mut Vec<FieldError>) {
    let Some(context) = member(v, "securityContext") else { return };
    let path = format!("{path}.securityContext");
    id(member(context, "runAsUser"), &format!("{path}.runAsUser"), errors);
    id(member(context, "runAsGroup"), &format!("{path}.runAsGroup"), errors);
    if let Some(mount) = member(context, "procMount").and_then(Value::as_str) {
        let at = format!("{path}.procMount");
        if !matches!(mount, "Default" | "Unmasked") {
            errors.push(FieldError::not_supported(&at, mount, &["Default", "Unmasked"]));
        }
        if host_users && mount == "Unmasked" {
            errors.push(FieldError::invalid(at, mount, "`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp(context, &path, errors);
    if context["allowPrivilegeEscalation"] == false {
        let shown = || internal::text("core.SecurityContext", context);
        if context["privileged"] == true {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(invalid_text(&path, &shown(), why));
        }
        for _ in items(&context["capabilities"], "add").iter().filter(|name| *name == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(invalid_text(&path, &shown(), why));
        }
    }
    app_armor(context, &path, errors);
}

fn id(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(id) = v.and_then(Value::as_i64)
        && !(0..=LARGEST_ID).contains(&id)
    {
        errors.push(FieldError::invalid(path, id, "must be between 0 and 2147483647, inclusive"));
    }
}

fn choice(v: &Value, name: &str, supported: &[&str], path: &str, errors: &mut Vec<FieldError>) {
    if let Some(found) = member(v, name).and_then(Value::as_str)
        && !supported.contains(&found)
    {
        errors.push(FieldError::not_supported(format!("{path}.{name}"), found, supported));
    }
}

fn sysctls(spec: &Value, context: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, v) in items(context, "sysctls").iter().enumerate() {
        let (at, name) = (format!("{path}[{index}].name"), string(v, "name"));
        if name.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if !is_sysctl(name) {
            let why = format!("must have at most {SYSCTL_LENGTH} characters and match regex {SYSCTL}");
            errors.push(FieldError::invalid(&at, name, why));
        } else if seen.contains(name) {
            errors.push(FieldError::duplicate(&at, name));
        }
        seen.insert(name);
        let dotted = name.replace('/', ".");
        if dotted.starts_with("net.") && spec["hostNetwork"] == true {
            errors.push(FieldError::invalid(&at, name, "may not be specified when 'hostNetwork' is true"));
        }
        let ipc = dotted.starts_with("fs.mqueue.")
            || ["kernel.shm", "kernel.msg", "kernel.sem"].iter().any(|prefix| dotted.starts_with(prefix));
        if ipc && spec["hostIPC"] == true {
            errors.push(FieldError::invalid(&at, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= SYSCTL_LENGTH
        && name.split(['.', '/']).all(|part| {
            edge(part.chars().next())
                && edge(part.chars().last())
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        })
}

fn profiles(context: &Value, path: &str, errors: &mut Vec<FieldError>) {
    seccomp(context, path, errors);
    app_armor(context, path, errors);
}

fn seccomp(context: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(profile) = member(context, "seccompProfile") else { return };
    let path = format!("{path}.seccompProfile");
    let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
    let kind = string(profile, "type");
    if kind.is_empty() {
        let why = "type is required when seccompProfile is set";
        errors.push(FieldError::required(format!("{path}.type"), why));
    } else if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &kinds));
    }
    let at = format!("{path}.localhostProfile");
    match (kind == "Localhost", member(profile, "localhostProfile").and_then(Value::as_str)) {
        (true, None) => {
            errors.push(FieldError::required(at, "must be set when seccomp type is Localhost"));
        }
        (true, Some(file)) => super::volumes::descending_path(file, &at, errors),
        (false, Some(_)) => {
            let shown = internal::text("core.SeccompProfile", profile);
            errors.push(invalid_text(at, &shown, "can only be set when seccomp type is Localhost"));
        }
        (false, None) => {}
    }
}

fn app_armor(context: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(profile) = member(context, "appArmorProfile") else { return };
    let path = format!("{path}.appArmorProfile");
    let at = format!("{path}.localhostProfile");
    let file = member(profile, "localhostProfile").and_then(Value::as_str);
    let missing = "must be set when AppArmor type is Localhost";
    match string(profile, "type") {
        "Localhost" => match file {
            None => errors.push(FieldError::required(at, missing)),
            Some(file) if file.trim() != file => {
                errors.push(FieldError::invalid(at, file, "must not be padded with whitespace"));
            }
            Some("") => errors.push(FieldError::required(at, missing)),
            Some(file) if file.len() > 4095 => errors.push(FieldError::too_long(at, 4095)),
            Some(_) => {}
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(file) = file {
                errors.push(FieldError::invalid(at, file, "can only be set when AppArmor type is Localhost"));
            }
        }
        "" => errors.push(FieldError::required(
            format!("{path}.type"),
            "type is required when appArmorProfile is set",
        )),
        other => {
            let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(format!("{path}.type"), other, &kinds));
        }
    }
}
