//! Removes the objects of CustomResourceDefinitions that are being deleted, and then the definitions.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::crd::establish::{self, TABLE, condition, set_condition};
use crate::object::{self, text};
use crate::store::{ObjectKey, Stored};

/// Holds a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const RETRY: Duration = Duration::from_millis(250);

/// Follows every change until the server stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changes = core.store.watch_all();
    loop {
        changes.borrow_and_update();
        if sync(&core) {
            let _ = tokio::time::timeout(RETRY, changes.changed()).await;
            tokio::task::yield_now().await;
        } else if changes.changed().await.is_err() {
            return;
        }
    }
}

/// One pass. True when some definition still has objects.
fn sync(core: &Core) -> bool {
    let definitions = core.store.list(TABLE, None).objects;
    let held = definitions
        .iter()
        .filter(|crd| object::is_deleting(&crd.value) && object::finalizers(&crd.value).contains(&FINALIZER));
    let mut unfinished = false;
    for crd in held {
        unfinished |= !terminate(core, crd);
    }
    unfinished
}

/// Deletes the objects of a definition; lets the definition go when none is left.
fn terminate(core: &Core, crd: &Stored) -> bool {
    let now = core.clock.now_text();
    let mut v = crd.value.clone();
    let key = ObjectKey::new("", object::name(&v));
    let catalog = core.catalog();
    let mut left = false;
    if condition(&v, "Established") == Some("True") {
        let table = format!("{}.{}", text(&v, &["spec", "names", "plural"]), text(&v, &["spec", "group"]));
        if let Some(resource) = catalog.by_table(&table) {
            for object in core.store.list(&table, None).objects {
                left |= !crate::handlers::delete::delete_now(core, resource, &object);
            }
        }
        if left {
            let message = "CustomResource deletion is in progress";
            set_condition(&mut v, "Terminating", "True", "InstanceDeletionInProgress", message, &now);
        } else {
            set_condition(
                &mut v,
                "Terminating",
                "False",
                "InstanceDeletionCompleted",
                "removed all instances",
                &now,
            );
        }
    } else {
        set_condition(
            &mut v,
            "Terminating",
            "False",
            "NeverEstablished",
            "resource was never established",
            &now,
        );
    }
    if !left {
        let others: Vec<&str> =
            object::finalizers(&crd.value).into_iter().filter(|f| *f != FINALIZER).collect();
        if others.is_empty() {
            object::metadata(&mut v).remove("finalizers");
            let _ = core.store.delete(TABLE, &key, crd.revision, v);
            establish::reconcile(core);
            return true;
        }
        object::metadata(&mut v).insert("finalizers".into(), others.into());
    }
    if v != crd.value {
        let _ = core.store.update(TABLE, &key, crd.revision, v);
    }
    !left
}
