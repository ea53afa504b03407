//! Services and Endpoints.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{addresses, internal, invalid_text, metadata, names};
use super::{integer, items, member, port, port_number, string, subdomain_name};
use crate::api_error::{FieldError, FieldErrorKind};

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const ONCE_SET: &str = "may not change once set";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

/// Checks a Service.
pub(super) fn service(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    if let Some(old) = old {
        changes(spec, &old["spec"], errors);
    }
    let annotations = &v["metadata"]["annotations"];
    let mode = annotations[TOPOLOGY_MODE].as_str();
    if let (Some(mode), Some(hints)) = (mode, annotations[TOPOLOGY_HINTS].as_str())
        && mode != hints
    {
        let path = format!("metadata.annotations[{TOPOLOGY_MODE}]");
        let why = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        errors.push(FieldError::invalid(path, mode, why));
    }
    if items(spec, "ports").is_empty() && !is_headless(spec) && kind(spec) != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    of_type(spec, errors);
    ports(spec, errors);
    metadata::labels(spec.get("selector"), "spec.selector", errors);
    session_affinity(spec, errors);
    cluster_ips(spec, old.map(|old| &old["spec"]), errors);
    external_ips(spec, old, errors);
    match kind(spec) {
        "" => errors.push(FieldError::required("spec.type", "")),
        "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort" => {}
        other => {
            let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            errors.push(FieldError::not_supported("spec.type", other, &supported));
        }
    }
    port_conflicts(spec, errors);
    source_ranges(v, old, errors);
    let allocates = member(spec, "allocateLoadBalancerNodePorts").is_some();
    if allocates && kind(spec) != "LoadBalancer" {
        errors.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", ONLY_LOAD_BALANCER));
    }
    if !allocates && kind(spec) == "LoadBalancer" {
        errors.push(FieldError::required("allocateLoadBalancerNodePorts", ""));
    }
    load_balancer_class(None, spec, errors);
    traffic_policies(spec, errors);
}

fn kind(spec: &Value) -> &str {
    string(spec, "type")
}

fn is_headless(spec: &Value) -> bool {
    matches!(items(spec, "clusterIPs"), [first] if first == "None")
}

fn needs_health_check(spec: &Value) -> bool {
    kind(spec) == "LoadBalancer" && string(spec, "externalTrafficPolicy") == "Local"
}

fn strings<'a>(v: &'a Value, name: &str) -> Vec<&'a str> {
    items(v, name).iter().filter_map(Value::as_str).collect()
}

fn list(v: &Value, name: &str) -> Value {
    v.get(name).cloned().unwrap_or(Value::Null)
}

/// What an update may not change.
fn changes(spec: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if kind(spec) != "ExternalName" && kind(old) != "ExternalName" {
        changed_cluster_ips(spec, old, errors);
        changed_families(spec, old, errors);
    }
    load_balancer_class(Some(old), spec, errors);
    if needs_health_check(old)
        && needs_health_check(spec)
        && integer(old, "healthCheckNodePort") != integer(spec, "healthCheckNodePort")
    {
        errors.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
}

fn changed_cluster_ips(spec: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if is_headless(spec) && is_headless(old) {
        return;
    }
    let (now, then) = (strings(spec, "clusterIPs"), strings(old, "clusterIPs"));
    let mut refuse = |index: usize, why: &str| {
        errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), list(spec, "clusterIPs"), why))
    };
    if now.len() == then.len() {
        for (index, _) in now.iter().zip(&then).enumerate().filter(|(_, (now, then))| now != then) {
            refuse(index, ONCE_SET);
        }
    } else if now.len() < then.len() {
        match now.first() {
            None => refuse(0, "primary clusterIP can not be unset"),
            Some(first) if *first != then[0] => refuse(0, ONCE_SET),
            Some(_) => {}
        }
        if now.len() == 1 && string(spec, "ipFamilyPolicy") != "SingleStack" {
            let why = "must be set to 'SingleStack' when releasing the secondary clusterIP";
            errors.push(FieldError::invalid("spec.ipFamilyPolicy", list(spec, "ipFamilyPolicy"), why));
        }
    } else if then.first().is_some_and(|first| *first != now[0]) {
        refuse(0, ONCE_SET);
    }
}

fn changed_families(spec: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if is_headless(spec) || is_headless(old) {
        return;
    }
    let (now, then) = (strings(spec, "ipFamilies"), strings(old, "ipFamilies"));
    let mut refuse = |shown: &str, why: &str| {
        errors.push(FieldError::invalid("spec.ipFamilies[0]", list(spec, shown), why))
    };
    if now.len() == then.len() {
        for _ in now.iter().zip(&then).filter(|(now, then)| now != then) {
            refuse("ipFamilies", ONCE_SET);
        }
    } else if now.len() < then.len() {
        if strings(spec, "clusterIPs").is_empty() {
            refuse("ipFamilies", "primary ipFamily can not be unset");
        }
        if now.first().is_some_and(|first| *first != then[0]) {
            refuse("clusterIPs", ONCE_SET);
        }
        if now.len() == 1 && string(spec, "ipFamilyPolicy") != "SingleStack" {
            let why = "must be set to 'SingleStack' when releasing the secondary ipFamily";
            errors.push(FieldError::invalid("spec.ipFamilyPolicy", list(spec, "ipFamilyPolicy"), why));
        }
    } else if then.first().is_some_and(|first| *first != now[0]) {
        refuse("clusterIPs", ONCE_SET);
    }
}

fn load_balancer_class(old: Option<&Value>, spec: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.loadBalancerClass";
    let class = member(spec, "loadBalancerClass");
    if let Some(old) = old
        && kind(old) == "LoadBalancer"
        && kind(spec) == "LoadBalancer"
        && member(old, "loadBalancerClass") != class
    {
        errors.push(FieldError::invalid(path, list(spec, "loadBalancerClass"), ONCE_SET));
    }
    let Some(class) = class.and_then(Value::as_str) else { return };
    if kind(spec) == "LoadBalancer" {
        errors.extend(names::qualified_name(class).into_iter().map(|m| FieldError::invalid(path, class, m)));
    } else {
        errors.push(FieldError::forbidden(path, ONLY_LOAD_BALANCER));
    }
}

fn of_type(spec: &Value, errors: &mut Vec<FieldError>) {
    match kind(spec) {
        kind @ ("LoadBalancer" | "NodePort") if is_headless(spec) => {
            let why = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid("spec.clusterIPs[0]", "None", why));
        }
        "ExternalName" => {
            for (name, set) in [
                ("clusterIPs", !items(spec, "clusterIPs").is_empty()),
                ("ipFamilies", !items(spec, "ipFamilies").is_empty()),
                ("ipFamilyPolicy", member(spec, "ipFamilyPolicy").is_some()),
            ] {
                if set {
                    let why = "may not be set for ExternalName services";
                    errors.push(FieldError::forbidden(format!("spec.{name}"), why));
                }
            }
            let name = string(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => errors.push(FieldError::required("spec.externalName", "")),
                name => subdomain_name(name, "spec.externalName", errors),
            }
        }
        _ => {}
    }
}

fn ports(spec: &Value, errors: &mut Vec<FieldError>) {
    let all = items(spec, "ports");
    let mut seen = BTreeSet::new();
    for (index, v) in all.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = string(v, "name");
        if name.is_empty() {
            if all.len() > 1 {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
        } else {
            super::label_name(name, &format!("{path}.name"), errors);
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        port_number(integer(v, "port"), &format!("{path}.port"), errors);
        super::one_of(v, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
        port(v.get("targetPort"), &format!("{path}.targetPort"), errors);
        app_protocol(v, &path, errors);
    }
}

fn app_protocol(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(protocol) = member(v, "appProtocol").and_then(Value::as_str) {
        for m in names::qualified_name(protocol) {
            errors.push(FieldError::invalid(format!("{path}.appProtocol"), protocol, m));
        }
    }
}

fn session_affinity(spec: &Value, errors: &mut Vec<FieldError>) {
    super::one_of(spec, "sessionAffinity", "spec", &["ClientIP", "None"], errors);
    let path = "spec.sessionAffinityConfig";
    let config = member(spec, "sessionAffinityConfig");
    match string(spec, "sessionAffinity") {
        "ClientIP" => {
            let why = "when session affinity type is ClientIP";
            let Some(config) = config else {
                errors.push(FieldError::required(path, why));
                return;
            };
            let Some(client) = member(config, "clientIP") else {
                errors.push(FieldError::required(format!("{path}.clientIP"), why));
                return;
            };
            let at = format!("{path}.clientIP.timeoutSeconds");
            match member(client, "timeoutSeconds").and_then(Value::as_i64) {
                None => errors.push(FieldError::required(at, why)),
                Some(seconds) if !(1..=86400).contains(&seconds) => {
                    let why = "must be greater than 0 and less than 86400";
                    errors.push(FieldError::invalid(at, seconds, why));
                }
                Some(_) => {}
            }
        }
        "None" if config.is_some() => {
            errors.push(FieldError::forbidden(path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

/// What is wrong with the addresses and address families of a Service; nothing is allocated before they are in order.
pub(crate) fn cluster_ips(spec: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if kind(spec) == "ExternalName" {
        return;
    }
    let path = "spec.clusterIPs";
    let (ip, ips) = (string(spec, "clusterIP"), strings(spec, "clusterIPs"));
    let all = || list(spec, "clusterIPs");
    match (ip.is_empty(), ips.first()) {
        (false, None) => errors.push(FieldError::required(path, "")),
        (false, Some(first)) if *first != ip => {
            errors.push(FieldError::invalid(path, all(), "first value must match `clusterIP`"));
        }
        (true, Some(_)) => {
            let why = "must be empty when `clusterIP` is not specified";
            errors.push(FieldError::invalid(path, all(), why));
        }
        _ => {}
    }
    let families = strings(spec, "ipFamilies");
    for (index, family) in families.iter().enumerate() {
        let at = format!("spec.ipFamilies[{index}]");
        if !matches!(*family, "IPv4" | "IPv6") {
            errors.push(FieldError::not_supported(&at, *family, &["IPv4", "IPv6"]));
        }
        if families[..index].contains(family) {
            errors.push(FieldError::duplicate(at, *family));
        }
    }
    if let Some(policy) = member(spec, "ipFamilyPolicy").and_then(Value::as_str) {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        if !supported.contains(&policy) {
            errors.push(FieldError::not_supported("spec.ipFamilyPolicy", policy, &supported));
        }
    }
    let stored = old.map(|old| strings(old, "clusterIPs")).unwrap_or_default();
    let mut invalid = false;
    for (index, ip) in ips.iter().enumerate() {
        if index == 0 && *ip == "None" {
            if ips.len() > 1 {
                invalid = true;
                let why = "'None' must be the first and only value";
                errors.push(FieldError::invalid(path, all(), why));
            }
            continue;
        }
        invalid |= !addresses::address(ip, &format!("{path}[{index}]"), &stored, errors);
    }
    if ips.len() > 2 {
        errors.push(FieldError::invalid(path, all(), "may only hold up to 2 values"));
    }
    if invalid {
        return;
    }
    let is_v6 = |ip: &str| ip.contains(':');
    if ips.len() > 1 && (ips.iter().all(|ip| is_v6(ip)) || !ips.iter().any(|ip| is_v6(ip))) {
        let why = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, all(), why));
    }
    if is_headless(spec) {
        return;
    }
    for (index, (ip, family)) in ips.iter().zip(&families).enumerate() {
        let matches = match *family {
            "IPv4" => !is_v6(ip),
            "IPv6" => is_v6(ip),
            _ => true,
        };
        if !matches {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(format!("{path}[{index}]"), *ip, why));
        }
    }
}

fn external_ips(spec: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let stored = old.map(|old| strings(&old["spec"], "externalIPs")).unwrap_or_default();
    for (index, ip) in strings(spec, "externalIPs").into_iter().enumerate() {
        let path = format!("spec.externalIPs[{index}]");
        if addresses::address(ip, &path, &stored, errors) {
            addresses::endpoint(ip, &path, errors);
        }
    }
}

fn port_conflicts(spec: &Value, errors: &mut Vec<FieldError>) {
    let all = items(spec, "ports");
    if kind(spec) == "ClusterIP" {
        for (index, _) in all.iter().enumerate().filter(|(_, port)| integer(port, "nodePort") != 0) {
            let why = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(format!("spec.ports[{index}].nodePort"), why));
        }
    }
    let mut node_ports = BTreeSet::new();
    for (index, port) in all.iter().enumerate() {
        let number = integer(port, "nodePort");
        if number != 0 && !node_ports.insert((string(port, "protocol"), number)) {
            errors.push(FieldError::duplicate(format!("spec.ports[{index}].nodePort"), number));
        }
    }
    let mut ports = BTreeSet::new();
    for (index, port) in all.iter().enumerate() {
        let (protocol, number) = (string(port, "protocol"), integer(port, "port"));
        if !ports.insert((protocol, number)) {
            let key = serde_json::json!({"protocol": protocol, "port": number});
            errors.push(FieldError {
                kind: FieldErrorKind::Duplicate,
                ..invalid_text(format!("spec.ports[{index}]"), &internal::text("core.ServicePort", &key), "")
            });
        }
    }
}

fn source_ranges(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let ranges = strings(spec, "loadBalancerSourceRanges");
    let balances = kind(spec) == "LoadBalancer";
    if !ranges.is_empty() {
        let path = "spec.LoadBalancerSourceRanges";
        if !balances {
            errors.push(FieldError::forbidden(path, ONLY_LOAD_BALANCER));
        }
        let stored = old.map(|old| strings(&old["spec"], "loadBalancerSourceRanges")).unwrap_or_default();
        let stored: Vec<&str> = stored.into_iter().map(str::trim).collect();
        for (index, range) in ranges.iter().enumerate() {
            addresses::block(range.trim(), &format!("{path}[{index}]"), &stored, errors);
        }
        return;
    }
    let annotation = |v: &Value| v["metadata"]["annotations"][SOURCE_RANGES].as_str().map(str::to_owned);
    let Some(ranges) = annotation(v) else { return };
    let path = format!("metadata.annotations[{SOURCE_RANGES}]");
    if !balances {
        errors.push(FieldError::forbidden(&path, ONLY_LOAD_BALANCER));
    }
    if old.and_then(annotation).is_none_or(|old| old != ranges) && !ranges.trim().is_empty() {
        for range in ranges.split(',') {
            addresses::block(range.trim(), &path, &[], errors);
        }
    }
}

fn traffic_policies(spec: &Value, errors: &mut Vec<FieldError>) {
    let external = string(spec, "externalTrafficPolicy");
    let path = "spec.externalTrafficPolicy";
    let reachable = matches!(kind(spec), "LoadBalancer" | "NodePort")
        || kind(spec) == "ClusterIP" && !items(spec, "externalIPs").is_empty();
    if !reachable {
        if !external.is_empty() {
            let why = "may only be set for externally-accessible services";
            errors.push(FieldError::invalid(path, external, why));
        }
    } else if external.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !matches!(external, "Cluster" | "Local") {
        errors.push(FieldError::not_supported(path, external, &["Cluster", "Local"]));
    }
    let (path, number) = ("spec.healthCheckNodePort", integer(spec, "healthCheckNodePort"));
    match (needs_health_check(spec), number) {
        (false, 0) => {}
        (false, _) => {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(path, number, why));
        }
        (true, 0) => errors.push(FieldError::required(path, "")),
        (true, _) => port_number(number, path, errors),
    }
    let path = "spec.internalTrafficPolicy";
    match member(spec, "internalTrafficPolicy").and_then(Value::as_str) {
        None if matches!(kind(spec), "NodePort" | "LoadBalancer" | "ClusterIP") => {
            errors.push(FieldError::required(path, ""));
        }
        None | Some("Cluster" | "Local") => {}
        Some(other) => errors.push(FieldError::not_supported(path, other, &["Cluster", "Local"])),
    }
    if let Some(distribution) = member(spec, "trafficDistribution").and_then(Value::as_str) {
        let supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        if !supported.contains(&distribution) {
            errors.push(FieldError::not_supported("spec.trafficDistribution", distribution, &supported));
        }
    }
}

/// Checks the addresses that a Service reports.
pub(super) fn service_status(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let path = "status.loadBalancer.ingress";
    let points = items(&v["status"]["loadBalancer"], "ingress");
    if kind(&v["spec"]) != "LoadBalancer" && !points.is_empty() {
        errors.push(FieldError::forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"));
        return;
    }
    let before = items(&old["status"]["loadBalancer"], "ingress");
    let stored: Vec<&str> = before.iter().map(|point| string(point, "ip")).collect();
    for (index, point) in points.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let has_ip = !string(point, "ip").is_empty();
        if has_ip {
            addresses::address(string(point, "ip"), &format!("{path}.ip"), &stored, errors);
        }
        let at = format!("{path}.ipMode");
        match member(point, "ipMode").and_then(Value::as_str) {
            None if has_ip => errors.push(FieldError::required(at, "must be specified when `ip` is set")),
            None => {}
            Some(_) if !has_ip => {
                errors.push(FieldError::forbidden(at, "may not be specified when `ip` is not set"));
            }
            Some("Proxy" | "VIP") => {}
            Some(other) => errors.push(FieldError::not_supported(at, other, &["Proxy", "VIP"])),
        }
        point_host(point, &path, errors);
    }
}

/// Checks one address at which a load balancer is reached.
pub(super) fn load_balancer_point(v: &Value, path: &str, stored: &[&str], errors: &mut Vec<FieldError>) {
    if !string(v, "ip").is_empty() {
        addresses::address(string(v, "ip"), &format!("{path}.ip"), stored, errors);
    }
    point_host(v, path, errors);
}

fn point_host(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let host = string(v, "hostname");
    if host.is_empty() {
        return;
    }
    let path = format!("{path}.hostname");
    subdomain_name(host, &path, errors);
    if addresses::is_address(host) {
        errors.push(FieldError::invalid(path, host, "must be a DNS name, not an IP address"));
    }
}

/// Checks Endpoints.
pub(super) fn endpoints(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if old.is_some_and(|old| old.get("subsets") == v.get("subsets")) {
        return;
    }
    for (index, subset) in items(v, "subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        if items(subset, "addresses").is_empty() && items(subset, "notReadyAddresses").is_empty() {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in items(subset, list).iter().enumerate() {
                endpoint_address(address, &format!("{path}.{list}[{index}]"), errors);
            }
        }
        let ports = items(subset, "ports");
        for (index, port) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{index}]");
            match string(port, "name") {
                "" if ports.len() > 1 => errors.push(FieldError::required(format!("{path}.name"), "")),
                "" => {}
                name => super::label_name(name, &format!("{path}.name"), errors),
            }
            port_number(integer(port, "port"), &format!("{path}.port"), errors);
            super::one_of(port, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
            app_protocol(port, &path, errors);
        }
    }
}

fn endpoint_address(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let ip = string(v, "ip");
    addresses::address(ip, &format!("{path}.ip"), &[], errors);
    if !string(v, "hostname").is_empty() {
        super::label_name(string(v, "hostname"), &format!("{path}.hostname"), errors);
    }
    if let Some(node) = member(v, "nodeName").and_then(Value::as_str) {
        subdomain_name(node, &format!("{path}.nodeName"), errors);
    }
    addresses::endpoint(ip, &format!("{path}.ip"), errors);
}
