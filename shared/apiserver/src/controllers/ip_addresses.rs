//! Keeps one IPAddress for each cluster address of a Service.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object::{self, text};
use crate::store::{ObjectKey, Stored};

const SERVICES: &str = "services";
const ADDRESSES: &str = "ipaddresses.networking.k8s.io";
const MANAGER: &str = "kube-apiserver";

/// Creates the addresses that a Service has, and removes those that it had, after it was written or deleted.
pub(crate) fn observe(core: &Core, stored: &Stored) {
    let key = ObjectKey::new(object::namespace(&stored.value), object::name(&stored.value));
    let live = core.store.get(SERVICES, &key);
    let wanted: Vec<&str> = live.as_ref().map(|live| cluster_addresses(&live.value)).unwrap_or_default();
    for address in &wanted {
        create(core, address, &key);
    }
    let mut had: Vec<String> = cluster_addresses(&stored.value).into_iter().map(str::to_owned).collect();
    if wanted.is_empty() && live.is_some() && !stored.untouched {
        // One that has no address any more does not say which it had.
        let all = core.store.list(ADDRESSES, None).objects;
        let own = all.iter().filter(|a| is_parent(&a.value, &key));
        had.extend(own.map(|a| object::name(&a.value).to_owned()));
    }
    for address in had.iter().filter(|address| !wanted.contains(&address.as_str())) {
        let at = ObjectKey::new("", address);
        if let Some(found) = core.store.get(ADDRESSES, &at).filter(|found| is_parent(&found.value, &key)) {
            let _ = core.store.delete(ADDRESSES, &at, found.revision, found.value.clone());
        }
    }
}

fn cluster_addresses(service: &Value) -> Vec<&str> {
    let all = service["spec"]["clusterIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.filter(|address| !address.is_empty() && *address != "None").collect()
}

fn create(core: &Core, address: &str, service: &ObjectKey) {
    let catalog = core.catalog();
    let Some(resource) = catalog.by_table(ADDRESSES) else { return };
    if core.store.get(ADDRESSES, &ObjectKey::new("", address)).is_some() {
        return;
    }
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    core.seed_by(
        resource,
        &json!({
            "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
            "metadata": {"name": address, "labels": {
                "ipaddress.kubernetes.io/ip-family": family,
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            }},
            "spec": {"parentRef": {
                "resource": "services", "namespace": service.namespace, "name": service.name,
            }},
        }),
        MANAGER,
    );
}

fn is_parent(address: &Value, service: &ObjectKey) -> bool {
    let of = |member: &str| text(address, &["spec", "parentRef", member]);
    of("resource") == SERVICES
        && of("group").is_empty()
        && of("namespace") == service.namespace
        && of("name") == service.name
}
