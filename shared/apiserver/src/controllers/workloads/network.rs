//! Services get endpoints and load balancers, Ingresses get addresses.

use serde_json::{Value, json};

use super::writing::{change_stored, create, is_ready, owner_reference, set_status};
use super::{Again, Item};
use crate::object::{self, text};
use crate::selectors::LabelSelector;
use crate::store::ObjectKey;

const SLICES: &str = "endpointslices.discovery.k8s.io";

/// The load balancer address and the EndpointSlice of a Service.
pub(super) fn reconcile_service(item: &Item) -> Again {
    let s = item.value();
    if object::is_deleting(s) {
        return None;
    }
    if text(s, &["spec", "type"]) == "LoadBalancer" && s["status"]["loadBalancer"].get("ingress").is_none() {
        set_status(
            item,
            json!({"loadBalancer": {"ingress": [{"ip": address(item.stored.revision), "ipMode": "VIP"}]}}),
        );
    }
    let selector = LabelSelector::from_map(s["spec"].get("selector"));
    if s["spec"]["selector"].as_object().is_none_or(|m| m.is_empty())
        || text(s, &["spec", "type"]) == "ExternalName"
    {
        return None;
    }
    let pods = item.core.store.list("pods", Some(object::namespace(s))).objects;
    let mut endpoints: Vec<Value> = Vec::new();
    for p in
        pods.iter().filter(|p| selector.matches(&p.value) && !text(&p.value, &["status", "podIP"]).is_empty())
    {
        let ready = is_ready(&p.value);
        endpoints.push(json!({
            "addresses": [p.value["status"]["podIP"]],
            "conditions": {"ready": ready, "serving": ready, "terminating": object::is_deleting(&p.value)},
            "nodeName": p.value["spec"]["nodeName"],
            "targetRef": {
                "kind": "Pod", "name": object::name(&p.value), "namespace": object::namespace(&p.value),
                "uid": object::uid(&p.value),
            },
        }));
    }
    let ports: Vec<Value> = s["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| {
            let port = if p["targetPort"].is_number() { p["targetPort"].clone() } else { p["port"].clone() };
            json!({"name": text(p, &["name"]), "port": port, "protocol": p["protocol"]})
        })
        .collect();
    write_slice(item, endpoints, ports);
    None
}

fn write_slice(item: &Item, endpoints: Vec<Value>, ports: Vec<Value>) {
    let s = item.value();
    let existing = super::writing::owned(item.core, SLICES, s);
    let endpoints = if endpoints.is_empty() { Value::Null } else { endpoints.into() };
    match existing.first() {
        Some(slice) => {
            let key = ObjectKey::new(object::namespace(&slice.value), object::name(&slice.value));
            change_stored(item.core, SLICES, &key, slice, "", |v| {
                object::members(v).insert("endpoints".into(), endpoints);
                object::members(v).insert("ports".into(), ports.into());
            });
        }
        None => {
            let name = object::name(s);
            create(
                item.core,
                SLICES,
                json!({
                    "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
                    "metadata": {
                        "generateName": format!("{name}-"), "namespace": object::namespace(s),
                        "labels": {
                            "kubernetes.io/service-name": name,
                            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                        },
                        "ownerReferences": [owner_reference(s)],
                    },
                    "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
                }),
            );
        }
    }
}

/// The address of an Ingress.
pub(super) fn reconcile_ingress(item: &Item) -> Again {
    let i = item.value();
    if !object::is_deleting(i) && i["status"]["loadBalancer"].get("ingress").is_none() {
        set_status(item, json!({"loadBalancer": {"ingress": [{"ip": address(item.stored.revision)}]}}));
    }
    None
}

fn address(revision: u64) -> String {
    format!("172.18.255.{}", revision % 250 + 1)
}
