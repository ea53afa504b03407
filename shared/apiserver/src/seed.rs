//! The objects that a fresh server has.

use serde_json::json;

use crate::core::Core;

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
