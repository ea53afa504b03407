//! The objects that a fresh server has.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::core::Core;
use crate::object;
use crate::registry::{Catalog, Priorities, Resource, priorities};
use crate::store::ObjectKey;

/// Creates the nodes and the StorageClass that simulated workloads run on.
pub(crate) fn seed_simulation(core: &Core) {
    let catalog = core.catalog();
    if let Some(r) = catalog.find("", "v1", "nodes") {
        for (i, name) in ["fluxide-node-1", "fluxide-node-2"].iter().enumerate() {
            let now = core.clock.now_text();
            let resources =
                json!({"cpu": "16", "memory": "64Gi", "pods": "1000", "ephemeral-storage": "256Gi"});
            core.seed(
                r,
                json!({
                    "kind": "Node", "apiVersion": "v1",
                    "metadata": {
                        "name": name,
                        "labels": {
                            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                        },
                    },
                    "spec": {"podCIDR": format!("10.244.{i}.0/24"), "podCIDRs": [format!("10.244.{i}.0/24")]},
                    "status": {
                        "addresses": [
                            {"type": "InternalIP", "address": format!("172.18.0.{}", i + 2)},
                            {"type": "Hostname", "address": name},
                        ],
                        "capacity": resources, "allocatable": resources,
                        "conditions": [{
                            "type": "Ready", "status": "True", "reason": "KubeletReady",
                            "message": "kubelet is posting ready status", "lastHeartbeatTime": now, "lastTransitionTime": now,
                        }],
                        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                        "nodeInfo": {
                            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "containerd://2.1.0",
                            "kernelVersion": "6.12.0", "kubeProxyVersion": "", "kubeletVersion": "v1.36.2",
                            "machineID": "", "operatingSystem": "linux", "osImage": "Fluxide", "systemUUID": "",
                        },
                    },
                }),
            );
        }
    }
    if let Some(r) = catalog.find("storage.k8s.io", "v1", "storageclasses") {
        core.seed(
            r,
            json!({
                "kind": "StorageClass", "apiVersion": "storage.k8s.io/v1",
                "metadata": {
                    "name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "sim.fluxide.dev/provisioner", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
            }),
        );
    }
}

/// Creates what is missing of the objects that every cluster has.
pub(crate) fn seed(core: &Core) {
    let catalog = core.catalog();
    if let Some(r) = catalog.find("", "v1", "namespaces") {
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let written = json!({
                "kind": "Namespace", "apiVersion": "v1",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            });
            let mut v =
                crate::typing::record_update(r, "", None, &written, OWN_MANAGER, &core.clock.now_text());
            v["spec"] = json!({"finalizers": ["kubernetes"]});
            v["status"] = json!({"phase": "Active"});
            core.seed(r, v);
        }
    }
    bootstrap(core, &catalog);
    if let Some(r) = catalog.find("", "v1", "services") {
        let service = core.seed_by(
            r,
            &json!({
                "kind": "Service", "apiVersion": "v1",
                "metadata": {
                    "name": "kubernetes", "namespace": "default",
                    "labels": {"component": "apiserver", "provider": "kubernetes"},
                },
                "spec": {
                    "type": "ClusterIP", "clusterIP": FIRST_ADDRESS, "clusterIPs": [FIRST_ADDRESS],
                    "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
                    "sessionAffinity": "None",
                    "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
                },
                "status": {"loadBalancer": {}},
            }),
            OWN_MANAGER,
        );
        if let Some(service) = service {
            crate::controllers::ip_addresses::observe(core, &service);
        }
    }
    if let Some(r) = catalog.find("", "v1", "configmaps") {
        core.seed_by(
            r,
            &json!({
                "kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
                "data": {"client-ca-file": core.ca_pem},
            }),
            OWN_MANAGER,
        );
    }
    sync_api_services(core);
}

/// The manager of what the server writes for itself.
const OWN_MANAGER: &str = "kube-apiserver";
const FIRST_ADDRESS: &str = "10.96.0.1";
const BOOTSTRAP: &str = include_str!("../data/kubernetes-1.36-bootstrap.json");
const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";

/// Creates the roles, bindings, priorities and flow rules of a new cluster.
fn bootstrap(core: &Core, catalog: &Catalog) {
    let objects: Vec<Value> = serde_json::from_str(BOOTSTRAP).unwrap_or_default();
    let now = core.clock.now_text();
    for v in objects {
        let kind = object::text(&v, &["kind"]);
        let Some(resource) = catalog.by_kind(object::text(&v, &["apiVersion"]), kind) else { continue };
        let key = ObjectKey::new(object::namespace(&v), object::name(&v));
        if core.store.get(&resource.table, &key).is_some() {
            continue;
        }
        let manager = match resource.group.as_str() {
            "flowcontrol.apiserver.k8s.io" => "api-priority-and-fairness-config-producer-v1",
            _ => OWN_MANAGER,
        };
        let mut v = crate::typing::record_update(resource, "", None, &v, manager, &now);
        match resource.plural.as_str() {
            "flowschemas" | "prioritylevelconfigurations" => v["status"] = json!({}),
            "servicecidrs" => announce_range(resource, &mut v, &now),
            _ => {}
        }
        core.seed(resource, v);
    }
    crate::controllers::flow_schemas::observe_all(core);
}

/// The spec of an object that every cluster has from the start, within an object.
pub(crate) fn bootstrapped(kind: &str, name: &str) -> Option<&'static Value> {
    static ALL: LazyLock<Vec<Value>> = LazyLock::new(|| serde_json::from_str(BOOTSTRAP).unwrap_or_default());
    ALL.iter().find(|v| v["kind"] == kind && object::name(v) == name)
}

/// Says that Services get addresses from a range.
fn announce_range(resource: &Resource, v: &mut Value, now: &str) {
    let status = json!({"conditions": [{
        "type": "Ready", "status": "True", "message": "Kubernetes default Service CIDR is ready", "reason": "",
        "lastTransitionTime": now,
    }]});
    let manager = "kubernetes-service-cidr-controller";
    if let Some(new) = crate::typing::apply_status(resource, v, status, manager, now) {
        *v = new;
    }
}

/// Keeps one APIService for each served version of each group.
pub(crate) fn sync_api_services(core: &Core) {
    let catalog = core.catalog();
    let Some(resource) = catalog.find("apiregistration.k8s.io", "v1", "apiservices") else { return };
    let mut wanted = Vec::new();
    for (group, facts) in &catalog.groups {
        for version in &facts.versions {
            wanted.push(format!("{version}.{group}"));
            if group == "apiregistration.k8s.io" {
                continue;
            }
            let Priorities { group: minimum, version: priority } = priorities(group, version, facts.builtin);
            let managed = if facts.builtin { "onstart" } else { "true" };
            let mut spec =
                json!({"version": version, "groupPriorityMinimum": minimum, "versionPriority": priority});
            if !group.is_empty() {
                spec["group"] = group.as_str().into();
            }
            let name = format!("{version}.{group}");
            if core.store.get(API_SERVICES, &ObjectKey::new("", &name)).is_some() {
                continue;
            }
            core.seed(
                resource,
                json!({
                    "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
                    "metadata": {"name": name, "labels": {"kube-aggregator.kubernetes.io/automanaged": managed}},
                    "spec": spec,
                    "status": {"conditions": [{
                        "type": "Available", "status": "True", "reason": "Local",
                        "message": "Local APIServices are always available",
                        "lastTransitionTime": core.clock.now_text(),
                    }]},
                }),
            );
        }
    }
    for stored in core.store.list(API_SERVICES, None).objects {
        let name = object::name(&stored.value);
        let labels = &stored.value["metadata"]["labels"];
        if labels["kube-aggregator.kubernetes.io/automanaged"] == "true" && !wanted.iter().any(|w| w == name)
        {
            let key = ObjectKey::new("", name);
            let _ = core.store.delete(API_SERVICES, &key, stored.revision, stored.value.clone());
        }
    }
}
