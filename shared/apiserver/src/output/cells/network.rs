//! Services, ingresses, policies and endpoints.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{abbreviated, age_of, cells, items, joined, labels, number, or_none, or_unset, scalar, selector};
use crate::object::{self, text};

const MOST: usize = 3;

pub(super) fn cells(plural: &str, o: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let spec = &o["spec"];
    let name = object::name(o);
    let age = age_of(o, now);
    Some(match plural {
        "services" => {
            let first = items(spec, &["clusterIPs"]).next().and_then(Value::as_str);
            let cluster_ip = first.unwrap_or_else(|| text(spec, &["clusterIP"]));
            cells![
                name,
                text(spec, &["type"]),
                or_none(cluster_ip),
                external_ip(o),
                service_ports(spec),
                age,
                labels(spec.get("selector")),
            ]
        }
        "ingresses" => {
            let tls = items(spec, &["tls"]).next().is_some();
            cells![
                name,
                or_none(text(spec, &["ingressClassName"])),
                hosts(spec),
                balancers(o),
                if tls { "80, 443" } else { "80" },
                age,
            ]
        }
        "ingressclasses" => {
            let parameters = &spec["parameters"];
            let shown = match parameters {
                Value::Null => "<none>".to_owned(),
                p => {
                    let kind = crate::api_error::qualified(text(p, &["kind"]), text(p, &["apiGroup"]));
                    format!("{kind}/{}", text(p, &["name"]))
                }
            };
            cells![name, text(spec, &["controller"]), shown, age]
        }
        "networkpolicies" => cells![name, selector(spec.get("podSelector")), age],
        "ipaddresses" => {
            let parent = &spec["parentRef"];
            let resource = crate::api_error::qualified(text(parent, &["resource"]), text(parent, &["group"]));
            let parts = [resource.as_str(), text(parent, &["namespace"]), text(parent, &["name"])];
            cells![name, joined(parts.into_iter().filter(|p| !p.is_empty()), "/"), age]
        }
        "servicecidrs" => {
            cells![name, joined(items(spec, &["cidrs"]).filter_map(Value::as_str), ","), age]
        }
        "endpoints" => cells![name, endpoints(o), age],
        "endpointslices" => {
            let ports: Vec<String> = items(o, &["ports"])
                .map(|p| match (&p["port"], &p["name"]) {
                    (Value::Number(n), _) => n.to_string(),
                    (_, Value::String(name)) => name.clone(),
                    _ => "*".to_owned(),
                })
                .collect();
            let addresses: Vec<String> =
                items(o, &["endpoints"]).flat_map(|e| items(e, &["addresses"])).map(scalar).collect();
            cells![
                name,
                text(o, &["addressType"]),
                or_unset(&abbreviated(&ports, MOST)),
                or_unset(&abbreviated(&addresses, MOST)),
                age,
            ]
        }
        _ => return None,
    })
}

fn external_ip(service: &Value) -> String {
    let spec = &service["spec"];
    let own: Vec<&str> = items(spec, &["externalIPs"]).filter_map(Value::as_str).collect();
    match text(spec, &["type"]) {
        "ClusterIP" | "NodePort" => or_none(&own.join(",")).to_owned(),
        "LoadBalancer" => {
            let given = balancers(service);
            let all = [given.as_str()].into_iter().filter(|g| !g.is_empty()).chain(own);
            match joined(all, ",").as_str() {
                "" => "<pending>".to_owned(),
                addresses => addresses.to_owned(),
            }
        }
        "ExternalName" => text(spec, &["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses of load balancers, sorted.
fn balancers(o: &Value) -> String {
    let addresses: BTreeSet<&str> = items(o, &["status", "loadBalancer", "ingress"])
        .map(|i| match text(i, &["ip"]) {
            "" => text(i, &["hostname"]),
            ip => ip,
        })
        .filter(|a| !a.is_empty())
        .collect();
    joined(addresses.into_iter(), ",")
}

fn service_ports(spec: &Value) -> String {
    let ports: Vec<String> = items(spec, &["ports"])
        .map(|p| match number(p, &["nodePort"]) {
            0 => format!("{}/{}", number(p, &["port"]), text(p, &["protocol"])),
            node => format!("{}:{node}/{}", number(p, &["port"]), text(p, &["protocol"])),
        })
        .collect();
    or_none(&ports.join(",")).to_owned()
}

fn hosts(spec: &Value) -> String {
    let hosts: Vec<String> =
        items(spec, &["rules"]).map(|r| text(r, &["host"]).to_owned()).filter(|h| !h.is_empty()).collect();
    if hosts.is_empty() { "*".to_owned() } else { abbreviated(&hosts, MOST) }
}

fn endpoints(o: &Value) -> String {
    let mut all = Vec::new();
    let mut any = false;
    for subset in items(o, &["subsets"]) {
        any = true;
        let addresses = || items(subset, &["addresses"]).map(|a| text(a, &["ip"]));
        let mut ports = items(subset, &["ports"]).map(|p| number(p, &["port"])).peekable();
        if ports.peek().is_none() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            all.extend(addresses().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            }));
        }
    }
    if any { abbreviated(&all, MOST) } else { "<none>".to_owned() }
}
