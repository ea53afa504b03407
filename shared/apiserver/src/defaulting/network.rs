//! Services, Endpoints, EndpointSlices, Ingresses and NetworkPolicies.

use serde_json::{Value, json};

use super::{each, is_empty, set};
use crate::object;

/// Fills in the defaults of a networking kind.
pub(super) fn default_object(kind: &str, v: &mut Value) {
    match kind {
        "Service" => service(v),
        "Endpoints" => {
            for s in each(v, "subsets") {
                for p in each(s, "ports") {
                    protocol(p);
                }
            }
        }
        "EndpointSlice" => {
            for p in each(v, "ports") {
                set(p, "name", "");
                protocol(p);
            }
        }
        "NetworkPolicy" => network_policy(v),
        "IngressClass" => {
            if let Some(p) = v.get_mut("spec").and_then(|s| s.get_mut("parameters")) {
                set(p, "scope", "Cluster");
            }
        }
        _ => {}
    }
}

fn protocol(port: &mut Value) {
    if is_empty(port, "protocol") {
        object::members(port).insert("protocol".into(), "TCP".into());
    }
}

fn service(v: &mut Value) {
    if v["spec"]["type"] == "LoadBalancer"
        && let Some(balancer) = v.get_mut("status").and_then(|status| status.get_mut("loadBalancer"))
    {
        for point in each(balancer, "ingress") {
            if !is_empty(point, "ip") {
                set(point, "ipMode", "VIP");
            }
        }
    }
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    if is_empty(spec, "sessionAffinity") {
        object::members(spec).insert("sessionAffinity".into(), "None".into());
    }
    match spec["sessionAffinity"].as_str() {
        Some("None") => {
            object::members(spec).remove("sessionAffinityConfig");
        }
        Some("ClientIP")
            if object::at(spec, &["sessionAffinityConfig", "clientIP", "timeoutSeconds"])
                .is_none_or(Value::is_null) =>
        {
            let config = json!({"clientIP": {"timeoutSeconds": 10800}});
            object::members(spec).insert("sessionAffinityConfig".into(), config);
        }
        _ => {}
    }
    if is_empty(spec, "type") {
        object::members(spec).insert("type".into(), "ClusterIP".into());
    }
    for p in each(spec, "ports") {
        protocol(p);
        if p.get("targetPort").is_none_or(|t| *t == json!(0) || t == "" || t.is_null()) {
            let port = p["port"].clone();
            object::members(p).insert("targetPort".into(), port);
        }
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || kind == "ClusterIP" && spec["externalIPs"].as_array().is_some_and(|a| !a.is_empty());
    if external && is_empty(spec, "externalTrafficPolicy") {
        object::members(spec).insert("externalTrafficPolicy".into(), "Cluster".into());
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn network_policy(v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            for p in each(rule, "ports") {
                protocol(p);
            }
        }
    }
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let mut types = vec!["Ingress"];
        if spec["egress"].as_array().is_some_and(|e| !e.is_empty()) {
            types.push("Egress");
        }
        object::members(spec).insert("policyTypes".into(), json!(types));
    }
}
