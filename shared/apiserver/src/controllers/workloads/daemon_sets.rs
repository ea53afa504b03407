//! DaemonSets: one pod on every node.

use serde_json::{Value, json};

use super::events::Source;
use super::writing::{
    Name, create, delete, is_active, is_ready, owned, pod_from_template, set_status, template_hash,
};
use super::{Again, Item, note_created};
use crate::object::{self, text};

const REVISION: &str = "controller-revision-hash";

/// Brings pods and status in line.
pub(super) fn reconcile(item: &Item) -> Again {
    let d = item.value();
    if object::is_deleting(d) {
        return None;
    }
    let nodes = item.core.store.list("nodes", None).objects;
    let hash = template_hash(&d["spec"]["template"]);
    let pods = owned(item.core, "pods", d);
    let on_delete = text(d, &["spec", "updateStrategy", "type"]) == "OnDelete";
    let current = |p: &Value| text(p, &["metadata", "labels", REVISION]) == hash;
    let rolling = pods.iter().any(|p| is_active(&p.value) && current(&p.value) && !is_ready(&p.value));
    let mut replaced = false;
    for n in &nodes {
        let node = object::name(&n.value);
        let here: Vec<_> = pods.iter().filter(|p| text(&p.value, &["spec", "nodeName"]) == node).collect();
        let active: Vec<_> = here.iter().filter(|p| is_active(&p.value)).collect();
        match active.first() {
            None if here.is_empty() => {
                let name = Name::Generate(format!("{}-", object::name(d)));
                let generation =
                    text(d, &["metadata", "annotations", "deprecated.daemonset.template.generation"]);
                let labels = [(REVISION, hash.as_str()), ("pod-template-generation", generation)];
                let mut pod = pod_from_template(d, &d["spec"]["template"], name, &labels);
                object::set_at(&mut pod, &["spec", "nodeName"], node.into());
                let pod = create(item.core, "pods", pod);
                note_created(item, Source::DaemonSets, pod);
            }
            Some(p) if !current(&p.value) && !on_delete && !rolling && !replaced => {
                replaced = true;
                delete(item.core, "pods", p);
            }
            _ => {}
        }
    }
    write_status(item, nodes.len(), &hash)
}

fn write_status(item: &Item, nodes: usize, hash: &str) -> Again {
    let d = item.value();
    let pods = owned(item.core, "pods", d);
    let active: Vec<&Value> = pods.iter().map(|p| &p.value).filter(|p| is_active(p)).collect();
    let ready = active.iter().filter(|p| is_ready(p)).count();
    let updated = active.iter().filter(|p| text(p, &["metadata", "labels", REVISION]) == hash).count();
    let mut status = d["status"].as_object().cloned().unwrap_or_default();
    for (k, n) in [
        ("desiredNumberScheduled", nodes),
        ("currentNumberScheduled", active.len()),
        ("numberReady", ready),
        ("numberMisscheduled", 0),
    ] {
        status.insert(k.into(), json!(n));
    }
    for (k, n) in [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", ready),
        ("numberUnavailable", nodes.saturating_sub(ready)),
    ] {
        if n == 0 {
            status.remove(k);
        } else {
            status.insert(k.into(), json!(n));
        }
    }
    status.insert("observedGeneration".into(), d["metadata"]["generation"].clone());
    set_status(item, status.into());
    None
}
