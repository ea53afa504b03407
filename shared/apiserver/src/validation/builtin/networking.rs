//! Ingresses, their classes, and NetworkPolicies.

use serde_json::Value;

use super::super::{IMMUTABLE, addresses, internal, invalid_text, names};
use super::{integer, items, member, port_number, segment, selector, string, subdomain_name};
use crate::api_error::FieldError;

const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

/// Checks an Ingress.
pub(super) fn ingress(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let (rules, default) = (items(spec, "rules"), member(spec, "defaultBackend"));
    if rules.is_empty() && default.is_none() {
        let why = "either `defaultBackend` or `rules` must be specified";
        let shown = spec.get("rules").cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec", shown, why));
    }
    if let Some(backend) = default {
        check_backend(backend, "spec.defaultBackend", errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        ingress_host(string(rule, "host"), &format!("{path}.host"), errors);
        if let Some(http) = member(rule, "http") {
            http_paths(http, &format!("{path}.http.paths"), errors);
        }
    }
    tls(spec, old, errors);
    if let Some(class) = member(spec, "ingressClassName").and_then(Value::as_str) {
        subdomain_name(class, "spec.ingressClassName", errors);
        let annotated = v["metadata"]["annotations"][INGRESS_CLASS].as_str();
        if let Some(annotated) = annotated.filter(|annotated| old.is_none() && *annotated != class) {
            errors.push(FieldError::invalid(
                format!("annotations.{INGRESS_CLASS}"),
                annotated,
                "must match `ingressClassName` when both are specified",
            ));
        }
    }
}

fn ingress_host(host: &str, path: &str, errors: &mut Vec<FieldError>) {
    if host.is_empty() {
        return;
    }
    if addresses::is_address(host) {
        errors.push(FieldError::invalid(path, host, "must be a DNS name, not an IP address"));
    }
    host_name(host, path, errors);
}

fn host_name(host: &str, path: &str, errors: &mut Vec<FieldError>) {
    if host.contains('*') {
        errors
            .extend(names::wildcard_subdomain(host).into_iter().map(|m| FieldError::invalid(path, host, m)));
    } else {
        subdomain_name(host, path, errors);
    }
}

fn http_paths(http: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let paths = items(http, "paths");
    if paths.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for (index, v) in paths.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let Some(kind) = member(v, "pathType").and_then(Value::as_str) else {
            errors.push(FieldError::required(format!("{at}.pathType"), "pathType must be specified"));
            continue;
        };
        let url = string(v, "path");
        let mut wrong = |why: String| errors.push(FieldError::invalid(format!("{at}.path"), url, why));
        match kind {
            "Exact" | "Prefix" => {
                if !url.starts_with('/') {
                    wrong("must be an absolute path".to_owned());
                }
                for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                    if url.contains(sequence) {
                        wrong(format!("must not contain '{sequence}'"));
                    }
                }
                for suffix in ["/..", "/."] {
                    if url.ends_with(suffix) {
                        wrong(format!("cannot end with '{suffix}'"));
                    }
                }
            }
            "ImplementationSpecific" => {
                if !url.is_empty() && !url.starts_with('/') {
                    wrong("must be an absolute path".to_owned());
                }
            }
            other => {
                let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
                errors.push(FieldError::not_supported(format!("{at}.pathType"), other, &kinds));
            }
        }
        check_backend(&v["backend"], &format!("{at}.backend"), errors);
    }
}

fn check_backend(backend: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match (member(backend, "resource"), member(backend, "service")) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (Some(resource), None) => local_reference(resource, &format!("{path}.resource"), errors),
        (None, Some(service)) => {
            let name = string(service, "name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{path}.service.name"), ""));
            } else {
                super::label_name(name, &format!("{path}.service.name"), errors);
            }
            let (port, number) = (string(&service["port"], "name"), integer(&service["port"], "number"));
            if !port.is_empty() && number != 0 {
                errors.push(FieldError::invalid(path, "", "cannot set both port name & port number"));
            } else if !port.is_empty() {
                for m in names::port_name(port) {
                    errors.push(FieldError::invalid(format!("{path}.service.port.name"), port, m));
                }
            } else if number != 0 {
                port_number(number, &format!("{path}.service.port.number"), errors);
            } else {
                errors.push(FieldError::required(path, "port name or number is required"));
            }
        }
        (None, None) => {
            errors.push(FieldError::invalid(path, "", "resource or service backend is required"));
        }
    }
}

fn local_reference(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(group) = member(v, "apiGroup").and_then(Value::as_str) {
        subdomain_name(group, &format!("{path}.apiGroup"), errors);
    }
    for name in ["kind", "name"] {
        super::segment(string(v, name), &format!("{path}.{name}"), errors);
    }
}

fn tls(spec: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let secret_is_wrong = |tls: &Value| {
        let name = string(tls, "secretName");
        !name.is_empty() && !names::dns1123_subdomain(name).is_empty()
    };
    let tolerated = old.is_some_and(|old| items(&old["spec"], "tls").iter().any(secret_is_wrong));
    for (index, tls) in items(spec, "tls").iter().enumerate() {
        let path = format!("spec.tls[{index}]");
        for (index, host) in items(tls, "hosts").iter().enumerate() {
            host_name(host.as_str().unwrap_or_default(), &format!("{path}.hosts[{index}]"), errors);
        }
        let secret = string(tls, "secretName");
        if !tolerated && !secret.is_empty() {
            subdomain_name(secret, &format!("{path}.secretName"), errors);
        }
    }
}

/// Checks the addresses that an Ingress reports.
pub(super) fn ingress_status(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let points = |v: &Value| items(&v["status"]["loadBalancer"], "ingress").to_vec();
    let before = points(old);
    let stored: Vec<&str> = before.iter().map(|point| string(point, "ip")).collect();
    for (index, point) in points(v).iter().enumerate() {
        super::services::load_balancer_point(
            point,
            &format!("status.loadBalancer.ingress[{index}]"),
            &stored,
            errors,
        );
    }
}

/// Checks an IngressClass; its controller never changes.
pub(super) fn ingress_class(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    if let Some(old) = old {
        let (now, then) = (string(spec, "controller"), string(&old["spec"], "controller"));
        if now != then {
            errors.push(FieldError::invalid("spec.controller", now, super::IMMUTABLE));
        }
    }
    let controller = string(spec, "controller");
    if controller.len() > 250 {
        errors.push(FieldError::too_long("spec.controller", 250));
    }
    for error in names::domain_prefixed_path(controller) {
        errors.push(match error.is_empty() {
            true => FieldError::required("spec.controller", ""),
            false => FieldError::invalid("spec.controller", controller, error),
        });
    }
    let Some(parameters) = member(spec, "parameters") else { return };
    let path = "spec.parameters";
    local_reference(parameters, path, errors);
    let namespace = member(parameters, "namespace").and_then(Value::as_str);
    match (member(parameters, "scope").and_then(Value::as_str), namespace) {
        (None, _) => errors.push(FieldError::required(format!("{path}.scope"), "")),
        (Some("Namespace"), None) => errors.push(FieldError::required(
            format!("{path}.namespace"),
            "`parameters.scope` is set to 'Namespace'",
        )),
        (Some("Namespace"), Some(namespace)) => {
            super::label_name(namespace, &format!("{path}.namespace"), errors);
        }
        (Some("Cluster"), Some(_)) => errors.push(FieldError::forbidden(
            format!("{path}.namespace"),
            "`parameters.scope` is set to 'Cluster'",
        )),
        (Some("Cluster"), None) => {}
        (Some(other), _) => {
            errors.push(FieldError::not_supported(format!("{path}.scope"), other, &["Cluster", "Namespace"]));
        }
    }
}

/// Checks a NetworkPolicy.
pub(super) fn policy(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let before = old.map(blocks_of).unwrap_or_default();
    let stored: Vec<&str> = before.iter().map(String::as_str).collect();
    selector::validate(member(spec, "podSelector"), "spec.podSelector", errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, direction).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (index, port) in items(rule, "ports").iter().enumerate() {
                policy_port(port, &format!("{path}.ports[{index}]"), errors);
            }
            for (index, peer) in items(rule, peers).iter().enumerate() {
                policy_peer(peer, &format!("{path}.{peers}[{index}]"), &stored, errors);
            }
        }
    }
    let types = items(spec, "policyTypes");
    if types.len() > 2 {
        let why = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid("spec.policyTypes", types.to_vec(), why));
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        let kind = kind.as_str().unwrap_or_default();
        if !matches!(kind, "Ingress" | "Egress") {
            let path = format!("spec.policyTypes[{index}]");
            errors.push(FieldError::not_supported(path, kind, &["Ingress", "Egress"]));
        }
    }
}

fn blocks_of(policy: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for peer in items(&policy["spec"], direction).iter().flat_map(|rule| items(rule, peers)) {
            let block = &peer["ipBlock"];
            let except = items(block, "except").iter().filter_map(Value::as_str);
            out.extend(block["cidr"].as_str().into_iter().chain(except).map(str::to_owned));
        }
    }
    out
}

fn policy_port(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(protocol) = member(v, "protocol").and_then(Value::as_str)
        && !matches!(protocol, "TCP" | "UDP" | "SCTP")
    {
        let supported = ["TCP", "UDP", "SCTP"];
        errors.push(FieldError::not_supported(format!("{path}.protocol"), protocol, &supported));
    }
    let end = member(v, "endPort").and_then(Value::as_i64);
    let at_end = format!("{path}.endPort");
    match member(v, "port") {
        Some(Value::String(name)) => {
            if let Some(end) = end {
                let why = "may not be specified when `port` is non-numeric";
                errors.push(FieldError::invalid(at_end, end, why));
            }
            for m in names::port_name(name) {
                errors.push(FieldError::invalid(format!("{path}.port"), name.as_str(), m));
            }
        }
        Some(number) => {
            let number = number.as_i64().unwrap_or(0);
            port_number(number, &format!("{path}.port"), errors);
            if let Some(end) = end {
                if end < number {
                    let why = "must be greater than or equal to `port`";
                    errors.push(FieldError::invalid(&at_end, number, why));
                }
                port_number(end, &at_end, errors);
            }
        }
        None => {
            if let Some(end) = end {
                let why = "may not be specified when `port` is not specified";
                errors.push(FieldError::invalid(at_end, end, why));
            }
        }
    }
}

fn policy_peer(peer: &Value, path: &str, stored: &[&str], errors: &mut Vec<FieldError>) {
    let mut peers = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if let Some(wanted) = member(peer, name) {
            peers += 1;
            selector::validate(Some(wanted), &format!("{path}.{name}"), errors);
        }
    }
    let block = member(peer, "ipBlock");
    if let Some(block) = block {
        ip_block(block, &format!("{path}.ipBlock"), stored, errors);
    }
    if peers == 0 && block.is_none() {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if peers > 0 && block.is_some() {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn ip_block(v: &Value, path: &str, stored: &[&str], errors: &mut Vec<FieldError>) {
    let cidr = string(v, "cidr");
    if cidr.is_empty() {
        errors.push(FieldError::required(format!("{path}.cidr"), ""));
        return;
    }
    let Some(whole) = addresses::block(cidr, &format!("{path}.cidr"), stored, errors) else { return };
    for (index, except) in items(v, "except").iter().enumerate() {
        let (at, text) = (format!("{path}.except[{index}]"), except.as_str().unwrap_or_default());
        if let Some(part) = addresses::block(text, &at, stored, errors)
            && (!whole.contains(&part) || whole.bits >= part.bits)
        {
            errors.push(FieldError::invalid(at, text, "must be a strict subset of `cidr`"));
        }
    }
}

/// Checks an IPAddress.
pub(super) fn ip_address(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "spec.parentRef";
    match member(&v["spec"], "parentRef") {
        None => errors.push(FieldError::required(path, "")),
        Some(parent) => {
            let group = string(parent, "group");
            if !group.is_empty() {
                subdomain_name(group, &format!("{path}.group"), errors);
            }
            for name in ["resource", "name"] {
                segment(string(parent, name), &format!("{path}.{name}"), errors);
            }
            let namespace = string(parent, "namespace");
            for m in names::path_segment(namespace) {
                errors.push(FieldError::invalid(format!("{path}.namespace"), namespace, m));
            }
        }
    }
    let parent = &v["spec"]["parentRef"];
    if old.is_some_and(|old| old["spec"]["parentRef"] != *parent) {
        let shown = internal::text("*networking.ParentReference", parent);
        errors.push(invalid_text(path, &shown, IMMUTABLE));
    }
}

/// Checks a ServiceCIDR.
pub(super) fn service_range(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "spec.cidrs";
    let Some(old) = old else {
        new_service_range(&v["spec"], errors);
        return;
    };
    let (blocks, before) = (items(&v["spec"], "cidrs"), items(&old["spec"], "cidrs"));
    let mut keep = |index: usize| {
        if blocks[index] != before[index] {
            let at = format!("{path}[{index}]");
            errors.push(FieldError::invalid(at, blocks[index].clone(), IMMUTABLE));
        }
    };
    match (before.len(), blocks.len()) {
        (before, now) if before == now => (0..now).for_each(keep),
        // A second family may come.
        (1, 2) => {
            keep(0);
            new_service_range(&v["spec"], errors);
        }
        _ => {
            let shown = v["spec"].get("cidrs").cloned().unwrap_or_default();
            errors.push(FieldError::invalid(path, shown, IMMUTABLE));
        }
    }
}

fn new_service_range(spec: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.cidrs";
    let blocks = items(spec, "cidrs");
    if blocks.is_empty() {
        errors.push(FieldError::required(path, "at least one CIDR required"));
        return;
    }
    if blocks.len() > 2 {
        let shown = serde_json::json!({"CIDRs": blocks});
        errors.push(FieldError::invalid(path, shown, "may only hold up to 2 values"));
        return;
    }
    let mut families = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let text = block.as_str().unwrap_or_default();
        let read = addresses::block(text, &format!("{path}[{index}]"), &[], errors);
        families.extend(read.map(|_| text.contains(':')));
    }
    if families.len() == 2 && families[0] == families[1] {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(FieldError::invalid(path, blocks.to_vec(), why));
    }
}
