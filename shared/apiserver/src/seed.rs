//! The objects that a fresh server has.

use serde_json::json;

use crate::core::Core;

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
            core.seed(
                r,
                json!({
                    "kind": "Namespace", "apiVersion": "v1",
                    "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                    "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
                }),
            );
        }
    }
}
