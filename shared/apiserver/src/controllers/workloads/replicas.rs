//! ReplicaSets and ReplicationControllers: as many pods as asked for.

use serde_json::{Value, json};

use super::events::{self, Source};
use super::writing::{
    Name, counts, create, delete, is_active, is_ready, owned, pod_from_template, set_status,
};
use super::{Again, Item, note_created};
use crate::object;

const AT_ONCE: usize = 50;

/// Creates and deletes pods, and counts them.
pub(super) fn reconcile(item: &Item) -> Again {
    let v = item.value();
    if object::is_deleting(v) {
        return None;
    }
    let wanted = usize::try_from(v["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
    let pods = owned(item.core, "pods", v);
    let active: Vec<_> = pods.iter().filter(|p| is_active(&p.value)).collect();
    if active.len() < wanted {
        for _ in 0..(wanted - active.len()).min(AT_ONCE) {
            let name = Name::Generate(format!("{}-", object::name(v)));
            let pod = create(item.core, "pods", pod_from_template(v, &v["spec"]["template"], name, &[]));
            note_created(item, Source::ReplicaSets, pod);
        }
    } else {
        let mut victims = active.clone();
        victims.sort_by_key(|p| is_ready(&p.value));
        for p in victims.iter().take(active.len() - wanted) {
            delete(item.core, "pods", p);
            let message = format!("Deleted pod: {}", object::name(&p.value));
            events::normal(item.core, Source::ReplicaSets, v, "SuccessfulDelete", message);
        }
    }
    let labels = v["spec"]["template"]["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let pods = owned(item.core, "pods", v);
    let active: Vec<&Value> = pods.iter().map(|p| &p.value).filter(|p| is_active(p)).collect();
    let ready = active.iter().filter(|p| is_ready(p)).count() as i64;
    let labelled = active
        .iter()
        .filter(|p| labels.iter().all(|(k, l)| p["metadata"]["labels"].get(k) == Some(l)))
        .count() as i64;
    let mut status = v["status"].as_object().cloned().unwrap_or_default();
    status.insert("replicas".into(), json!(active.len()));
    counts(
        &mut status,
        &[
            ("fullyLabeledReplicas", labelled),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("observedGeneration", v["metadata"]["generation"].as_i64().unwrap_or(0)),
        ],
    );
    set_status(item, status.into());
    None
}
