//! Gives new namespaces their ServiceAccount and CA certificate, and empties namespaces that are being deleted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::Core;
use crate::object;
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};

const RETRY: Duration = Duration::from_millis(250);

/// Follows every change until the server stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changes = core.store.watch_all();
    loop {
        changes.borrow_and_update();
        let unfinished = sync(&core);
        if unfinished {
            let _ = tokio::time::timeout(RETRY, changes.changed()).await;
            tokio::task::yield_now().await;
        } else if changes.changed().await.is_err() {
            return;
        }
    }
}

/// One pass over the namespaces. True when some namespace is still being emptied.
pub(crate) fn sync(core: &Core) -> bool {
    let mut unfinished = false;
    for ns in core.store.list("namespaces", None).objects {
        if object::is_deleting(&ns.value) {
            unfinished |= !terminate(core, &ns);
        } else {
            furnish(core, object::name(&ns.value));
        }
    }
    unfinished
}

fn furnish(core: &Core, namespace: &str) {
    let catalog = core.catalog();
    let missing = |table: &str, name: &str| core.store.get(table, &ObjectKey::new(namespace, name)).is_none();
    if missing("serviceaccounts", "default")
        && let Some(r) = catalog.find("", "v1", "serviceaccounts")
    {
        core.seed(
            r,
            json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": namespace}}),
        );
    }
    if missing("configmaps", "kube-root-ca.crt")
        && let Some(r) = catalog.find("", "v1", "configmaps")
    {
        let annotations = json!({
            "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using \
             internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
             distributions of Kubernetes clusters.",
        });
        core.seed(
            r,
            json!({
                "kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"name": "kube-root-ca.crt", "namespace": namespace, "annotations": annotations},
                "data": {"ca.crt": core.ca_pem},
            }),
        );
    }
}

/// Deletes what is in a terminating namespace; removes the namespace when nothing is left.
fn terminate(core: &Core, ns: &Stored) -> bool {
    let name = object::name(&ns.value);
    let mut left = false;
    let catalog = core.catalog();
    for table in core.store.tables() {
        let objects = core.store.list(&table, Some(name)).objects;
        if objects.is_empty() || name.is_empty() {
            continue;
        }
        let Some(resource) = catalog.by_table(&table) else { continue };
        for o in objects {
            left |= !remove(core, resource, &o);
        }
    }
    let key = ObjectKey::new("", name);
    let mut v = ns.value.clone();
    if left {
        conditions(&mut v, &core.clock.now_text());
        if v != ns.value {
            let _ = core.store.update("namespaces", &key, ns.revision, v);
        }
        return false;
    }
    let others: Vec<Value> = v["spec"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|f| *f != "kubernetes")
        .cloned()
        .collect();
    let empty = others.is_empty();
    if empty {
        object::remove_at(&mut v, &["spec", "finalizers"]);
    } else {
        object::set_at(&mut v, &["spec", "finalizers"], others.into());
    }
    if empty && object::finalizers(&v).is_empty() {
        return core.store.delete("namespaces", &key, ns.revision, v).is_ok();
    }
    if v != ns.value {
        let _ = core.store.update("namespaces", &key, ns.revision, v);
    }
    true
}

/// Deletes one object, honouring finalizers. True when it is gone.
fn remove(core: &Core, resource: &Resource, o: &Arc<Stored>) -> bool {
    crate::handlers::delete::delete_now(core, resource, o)
}

fn conditions(v: &mut Value, now: &str) {
    for (kind, status, reason, message) in [
        ("NamespaceContentRemaining", "True", "SomeResourcesRemain", "Some resources are remaining"),
        (
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining",
        ),
    ] {
        crate::crd::establish::set_condition(v, kind, status, reason, message, now);
    }
}
