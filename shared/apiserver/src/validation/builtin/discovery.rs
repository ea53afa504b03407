//! EndpointSlices, RuntimeClasses and CSIDrivers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::{addresses, internal, invalid_text, metadata, names};
use super::{immutable, items, label_name, member, pods, resources, string};
use crate::api_error::{FieldError, FieldErrorKind};

const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;
const MOST_HINTS: usize = 8;

/// Checks an EndpointSlice.
pub(super) fn endpoint_slice(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = string(v, "addressType");
    let kinds = ["FQDN", "IPv4", "IPv6"];
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported("addressType", kind, &kinds));
    }
    ports(items(v, "ports"), errors);
    let mut wrong = Vec::new();
    endpoints(items(v, "endpoints"), kind, &mut wrong);
    if old.is_none_or(|old| items(old, "endpoints") != items(v, "endpoints")) {
        errors.append(&mut wrong);
    }
    if let Some(old) = old {
        immutable(v, old, "addressType", "addressType", errors);
    }
}

fn ports(all: &[Value], errors: &mut Vec<FieldError>) {
    if all.len() > MOST_PORTS {
        errors.push(FieldError::too_many("ports", all.len(), MOST_PORTS));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, port) in all.iter().enumerate() {
        let path = format!("ports[{index}]");
        let name = string(port, "name");
        if !name.is_empty() {
            label_name(name, &format!("{path}.name"), errors);
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let at = format!("{path}.protocol");
        match member(port, "protocol").and_then(Value::as_str) {
            None => errors.push(FieldError::required(at, "")),
            Some("TCP" | "UDP" | "SCTP") => {}
            Some(other) => errors.push(FieldError::not_supported(at, other, &["SCTP", "TCP", "UDP"])),
        }
        if let Some(protocol) = member(port, "appProtocol").and_then(Value::as_str) {
            for m in names::qualified_name(protocol) {
                errors.push(FieldError::invalid(format!("{path}.appProtocol"), protocol, m));
            }
        }
    }
}

fn endpoints(all: &[Value], kind: &str, errors: &mut Vec<FieldError>) {
    if all.len() > MOST_ENDPOINTS {
        errors.push(FieldError::too_many("endpoints", all.len(), MOST_ENDPOINTS));
        return;
    }
    for (index, endpoint) in all.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        let at = format!("{path}.addresses");
        let found: Vec<&str> = items(endpoint, "addresses").iter().filter_map(Value::as_str).collect();
        if found.is_empty() {
            errors.push(FieldError::required(&at, "must contain at least 1 address"));
        } else if found.len() > MOST_ADDRESSES {
            errors.push(FieldError::too_many(&at, found.len(), MOST_ADDRESSES));
        }
        for (index, text) in found.iter().enumerate() {
            address(text, kind, &at, index, errors);
        }
        if let Some(node) = member(endpoint, "nodeName").and_then(Value::as_str) {
            super::subdomain_name(node, &format!("{path}.nodeName"), errors);
        }
        let topology = endpoint.get("deprecatedTopology");
        metadata::labels(topology, &format!("{path}.deprecatedTopology"), errors);
        if let Some(name) = member(endpoint, "hostname").and_then(Value::as_str) {
            label_name(name, &format!("{path}.hostname"), errors);
        }
        if let Some(found) = member(endpoint, "hints") {
            hints(found, &format!("{path}.hints"), errors);
        }
    }
}

fn address(text: &str, kind: &str, path: &str, index: usize, errors: &mut Vec<FieldError>) {
    let at = format!("{path}[{index}]");
    match kind {
        "IPv4" | "IPv6" => {
            if !addresses::address(text, &at, &[], errors) {
                return;
            }
            let fits = text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4() == (kind == "IPv4"));
            if !fits {
                errors.push(FieldError::invalid(path, text, format!("must be an {kind} address")));
            }
            addresses::endpoint(text, &at, errors);
        }
        "FQDN" => {
            let name = text.strip_suffix('.').unwrap_or(text);
            let problems = names::dns1123_subdomain(name);
            if text.is_empty() {
                errors.push(FieldError::required(at, ""));
            } else if !problems.is_empty() {
                errors.push(FieldError::invalid(at, name, problems.join(",")));
            } else if name.split('.').count() < 2 {
                let why = "should be a domain with at least two segments separated by dots";
                errors.push(FieldError::invalid(at, text, why));
            } else {
                for label in name.split('.') {
                    for m in names::dns1123_label(label) {
                        errors.push(FieldError::invalid(&at, label, m));
                    }
                }
            }
        }
        _ => {}
    }
}

fn hints(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (list, is_zone) in [("forZones", true), ("forNodes", false)] {
        let path = format!("{path}.{list}");
        let all = items(v, list);
        if all.len() > MOST_HINTS {
            errors.push(FieldError::too_many(&path, all.len(), MOST_HINTS));
            return;
        }
        let mut seen = BTreeSet::new();
        for (index, hint) in all.iter().enumerate() {
            let (name, at) = (string(hint, "name"), format!("{path}[{index}].name"));
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&at, name));
            }
            if !is_zone {
                super::subdomain_name(name, &at, errors);
            } else if let Some(m) = crate::selectors::validate_label_value(name) {
                errors.push(FieldError::invalid(&at, name, m));
            }
        }
    }
}

/// Checks a RuntimeClass; its handler never changes.
pub(super) fn runtime_class(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    new_runtime_class(v, errors);
    if let Some(old) = old {
        immutable(v, old, "handler", "handler", errors);
    }
}

/// Checks an APIService.
pub(super) fn api_service(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let (group, version) = (string(spec, "group"), string(spec, "version"));
    if group.is_empty() && version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        errors.push(FieldError::required("spec.group", why));
    }
    if !group.is_empty() {
        super::subdomain_name(group, "spec.group", errors);
    }
    for m in names::dns1035_label(version) {
        errors.push(FieldError::invalid("spec.version", version, m));
    }
    for (name, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let priority = super::integer(spec, name);
        if !(1..=most).contains(&priority) {
            let why = format!("must be positive and less than {most}");
            errors.push(FieldError::invalid(format!("spec.{name}"), priority, why));
        }
    }
    let bundle = string(spec, "caBundle");
    let insecure = spec["insecureSkipTLSVerify"] == true;
    let Some(service) = member(spec, "service") else {
        if !bundle.is_empty() {
            let bytes = bundle.trim_end_matches('=').len() * 3 / 4;
            let shown = format!("{bytes} bytes");
            errors.push(FieldError::invalid(
                "spec.caBundle",
                shown,
                "local APIServices may not have a caBundle",
            ));
        }
        if insecure {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, why));
        }
        return;
    };
    for name in ["namespace", "name"] {
        if string(service, name).is_empty() {
            errors.push(FieldError::required(format!("spec.service.{name}"), ""));
        }
    }
    if let Some(port) = member(service, "port").and_then(Value::as_i64)
        && !(1..=65535).contains(&port)
    {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid("spec.service.port", port, why));
    }
    if insecure && !bundle.is_empty() {
        let why = "may not be true if caBundle is present";
        errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, why));
    }
}

fn new_runtime_class(v: &Value, errors: &mut Vec<FieldError>) {
    let handler = string(v, "handler");
    if handler.is_empty() {
        errors.push(FieldError::required("handler", ""));
    } else {
        label_name(handler, "handler", errors);
    }
    if let Some(overhead) = member(v, "overhead") {
        let limits = overhead.get("podFixed").cloned().unwrap_or_default();
        resources::requirements(&json!({"limits": limits}), "overhead", errors);
    }
    let Some(scheduling) = member(v, "scheduling") else { return };
    metadata::labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector", errors);
    pods::tolerations(scheduling, "scheduling.tolerations", errors);
    let mut seen = BTreeSet::new();
    for (index, toleration) in items(scheduling, "tolerations").iter().enumerate() {
        if !seen.insert(["key", "operator", "value", "effect"].map(|name| string(toleration, name))) {
            let shown = internal::text("core.Toleration", toleration);
            let path = format!("scheduling.tolerations[{index}]");
            errors.push(FieldError { kind: FieldErrorKind::Duplicate, ..invalid_text(path, &shown, "") });
        }
    }
}

/// Checks a CSIDriver; how it attaches and what its volumes live by never change.
pub(super) fn driver(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    for (name, shown) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if member(spec, name).is_none() {
            errors.push(FieldError::required(format!("spec.{shown}"), ""));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    if let Some(policy) = member(spec, "fsGroupPolicy").and_then(Value::as_str)
        && !policies.contains(&policy)
    {
        errors.push(FieldError::not_supported("spec.fsGroupPolicy", policy, &policies));
    }
    let requests = items(spec, "tokenRequests");
    let mut seen = BTreeSet::new();
    for (index, request) in requests.iter().enumerate() {
        let path = format!("spec.tokenRequests[{index}]");
        let audience = string(request, "audience");
        if !seen.insert(audience) {
            errors.push(FieldError::duplicate(format!("{path}.audience"), audience));
            continue;
        }
        let seconds = member(request, "expirationSeconds").and_then(Value::as_i64);
        let why = match seconds {
            Some(seconds) if seconds < 600 => "may not specify a duration less than 10 minutes",
            Some(seconds) if seconds > 1 << 32 => "may not specify a duration larger than 2^32 seconds",
            _ => continue,
        };
        errors.push(FieldError::invalid(
            format!("{path}.expirationSeconds"),
            seconds.unwrap_or_default(),
            why,
        ));
    }
    let modes = ["Persistent", "Ephemeral"];
    for mode in items(spec, "volumeLifecycleModes").iter().filter_map(Value::as_str) {
        if !modes.contains(&mode) {
            errors.push(FieldError::not_supported("spec.volumeLifecycleModes", mode, &modes));
        }
    }
    if member(spec, "seLinuxMount").is_none() {
        errors.push(FieldError::required("spec.seLinuxMount", ""));
    }
    let period = member(spec, "nodeAllocatableUpdatePeriodSeconds").and_then(Value::as_i64);
    if let Some(period) = period.filter(|period| *period < 10) {
        let why = "must be greater than or equal to 10 seconds";
        errors.push(FieldError::invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, why));
    }
    if let Some(token) = member(spec, "serviceAccountTokenInSecrets")
        && requests.is_empty()
    {
        let why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.push(FieldError::invalid("spec.serviceAccountTokenInSecrets", token.clone(), why));
    }
    let Some(old) = old else { return };
    let then = &old["spec"];
    immutable(spec, then, "attachRequired", "spec.attachedRequired", errors);
    immutable(spec, then, "volumeLifecycleModes", "spec.volumeLifecycleModes", errors);
}
