//! Gives new namespaces their ServiceAccount and CA certificate, and empties namespaces that are being deleted.

use std::collections::BTreeMap;
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
        core.seed_by(
            r,
            &json!({
                "kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"name": "kube-root-ca.crt", "namespace": namespace, "annotations": annotations},
                "data": {"ca.crt": core.ca_pem},
            }),
            "kube-controller-manager",
        );
    }
}

/// Deletes what is in a terminating namespace; removes the namespace when nothing is left.
fn terminate(core: &Core, ns: &Stored) -> bool {
    let name = object::name(&ns.value);
    let mut left = Remaining::default();
    let catalog = core.catalog();
    for table in core.store.tables() {
        let objects = core.store.list(&table, Some(name)).objects;
        if objects.is_empty() || name.is_empty() {
            continue;
        }
        let Some(resource) = catalog.by_table(&table) else { continue };
        for o in objects {
            if !remove(core, resource, &o) {
                *left.resources.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
                for finalizer in object::finalizers(&o.value) {
                    *left.finalizers.entry(finalizer.to_owned()).or_default() += 1;
                }
            }
        }
    }
    let key = ObjectKey::new("", name);
    let mut v = ns.value.clone();
    conditions(&mut v, &left, &core.clock.now_text());
    if !left.resources.is_empty() {
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

/// What a namespace still has: counts by resource and by finalizer.
#[derive(Default)]
struct Remaining {
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

fn conditions(v: &mut Value, left: &Remaining, now: &str) {
    let mut set = |kind, status, reason, message: &str| {
        crate::crd::establish::set_condition(v, kind, status, reason, message, now);
    };
    let kind = "NamespaceDeletionDiscoveryFailure";
    set(kind, "False", "ResourcesDiscovered", "All resources successfully discovered");
    let kind = "NamespaceDeletionGroupVersionParsingFailure";
    set(kind, "False", "ParsedGroupVersions", "All legacy kube types successfully parsed");
    let message = "All content successfully deleted, may be waiting on finalization";
    set("NamespaceDeletionContentFailure", "False", "ContentDeleted", message);
    if left.resources.is_empty() {
        set("NamespaceContentRemaining", "False", "ContentRemoved", "All content successfully removed");
    } else {
        let all: Vec<_> =
            left.resources.iter().map(|(what, n)| format!("{what} has {n} resource instances")).collect();
        let message = format!("Some resources are remaining: {}", all.join(", "));
        set("NamespaceContentRemaining", "True", "SomeResourcesRemain", &message);
    }
    if left.finalizers.is_empty() {
        let message = "All content-preserving finalizers finished";
        set("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", message);
    } else {
        let all: Vec<_> =
            left.finalizers.iter().map(|(what, n)| format!("{what} in {n} resource instances")).collect();
        let message = format!("Some content in the namespace has finalizers remaining: {}", all.join(", "));
        set("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", &message);
    }
}
