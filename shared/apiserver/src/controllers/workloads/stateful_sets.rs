//! StatefulSets: pods with ordinals, claims from templates, revisions.

use serde_json::{Value, json};

use super::events::Source;
use super::writing::{
    Name, counts, create, delete, is_active, is_ready, owned, owner_reference, pod_from_template, set_status,
    template_hash,
};
use super::{Again, Item, note_created};
use crate::object::{self, text};
use crate::store::ObjectKey;

const REVISION: &str = "controller-revision-hash";

/// Brings pods, claims, revision and status in line.
pub(super) fn reconcile(item: &Item) -> Again {
    let s = item.value();
    if object::is_deleting(s) {
        return None;
    }
    let wanted = usize::try_from(s["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
    let revision = format!("{}-{}", object::name(s), template_hash(&s["spec"]["template"]));
    ensure_revision(item, &revision);
    let ordered = text(s, &["spec", "podManagementPolicy"]) != "Parallel";
    let pods = owned(item.core, "pods", s);
    let find = |i: usize| pods.iter().find(|p| object::name(&p.value) == pod_name(s, i));
    for i in 0..wanted {
        match find(i) {
            None => {
                claims(item, i);
                let labels = [
                    (REVISION, revision.as_str()),
                    ("statefulset.kubernetes.io/pod-name", &pod_name(s, i)),
                    ("apps.kubernetes.io/pod-index", &i.to_string()),
                ];
                let mut pod =
                    pod_from_template(s, &s["spec"]["template"], Name::Exact(pod_name(s, i)), &labels);
                mount_claims(s, &mut pod, i);
                let pod = create(item.core, "pods", pod);
                note_created(item, Source::StatefulSets, pod);
                if ordered {
                    break;
                }
            }
            Some(p) if ordered && !is_ready(&p.value) => break,
            Some(_) => {}
        }
    }
    for p in &pods {
        if ordinal(&p.value).is_none_or(|i| i >= wanted) && is_active(&p.value) {
            delete(item.core, "pods", p);
        }
    }
    update_pods(item, &revision, wanted);
    write_status(item, &revision)
}

fn pod_name(s: &Value, i: usize) -> String {
    let start = s["spec"]["ordinals"]["start"].as_u64().unwrap_or(0) as usize;
    format!("{}-{}", object::name(s), start + i)
}

fn ordinal(pod: &Value) -> Option<usize> {
    text(pod, &["metadata", "labels", "apps.kubernetes.io/pod-index"]).parse().ok()
}

/// Replaces the highest pod of an older revision while all others are ready.
fn update_pods(item: &Item, revision: &str, wanted: usize) {
    let s = item.value();
    if text(s, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        return;
    }
    let partition = s["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or(0) as usize;
    let pods = owned(item.core, "pods", s);
    let mut old: Vec<_> = pods
        .iter()
        .filter(|p| text(&p.value, &["metadata", "labels", REVISION]) != revision && is_active(&p.value))
        .filter(|p| ordinal(&p.value).is_some_and(|i| i >= partition))
        .collect();
    old.sort_by_key(|p| std::cmp::Reverse(ordinal(&p.value)));
    let fresh_ready = pods
        .iter()
        .filter(|p| text(&p.value, &["metadata", "labels", REVISION]) == revision)
        .all(|p| is_ready(&p.value));
    if pods.len() >= wanted
        && fresh_ready
        && let Some(p) = old.first()
    {
        delete(item.core, "pods", p);
    }
}

fn ensure_revision(item: &Item, name: &str) {
    let s = item.value();
    let table = "controllerrevisions.apps";
    if item.core.store.get(table, &ObjectKey::new(object::namespace(s), name)).is_some() {
        return;
    }
    let number =
        owned(item.core, table, s).iter().filter_map(|r| r.value["revision"].as_i64()).max().unwrap_or(0) + 1;
    create(
        item.core,
        table,
        json!({
            "kind": "ControllerRevision", "apiVersion": "apps/v1",
            "metadata": {
                "name": name, "namespace": object::namespace(s), "labels": s["spec"]["template"]["metadata"]["labels"],
                "ownerReferences": [owner_reference(s)],
            },
            "data": {"spec": {"template": s["spec"]["template"]}}, "revision": number,
        }),
    );
}

fn claim_name(s: &Value, template: &Value, i: usize) -> String {
    format!("{}-{}", object::name(template), pod_name(s, i))
}

fn claims(item: &Item, i: usize) {
    let s = item.value();
    for t in s["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let name = claim_name(s, t, i);
        let mut v = json!({
            "kind": "PersistentVolumeClaim", "apiVersion": "v1",
            "metadata": {
                "name": name, "namespace": object::namespace(s), "finalizers": ["kubernetes.io/pvc-protection"],
                "labels": s["spec"]["selector"]["matchLabels"],
            },
            "spec": t["spec"],
        });
        if let Some(a) = t["metadata"].get("annotations") {
            object::metadata(&mut v).insert("annotations".into(), a.clone());
        }
        super::volumes::default_class(item.core, &mut v);
        create(item.core, "persistentvolumeclaims", v);
    }
}

fn mount_claims(s: &Value, pod: &mut Value, i: usize) {
    let Some(templates) = s["spec"]["volumeClaimTemplates"].as_array() else { return };
    let spec = object::child(pod, "spec");
    let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
    for t in templates {
        let v = json!({"name": object::name(t), "persistentVolumeClaim": {"claimName": claim_name(s, t, i)}});
        if let Some(list) = volumes.as_array_mut() {
            list.retain(|x| x["name"] != v["name"]);
            list.push(v);
        }
    }
}

fn write_status(item: &Item, revision: &str) -> Again {
    let s = item.value();
    let pods = owned(item.core, "pods", s);
    let active: Vec<&Value> = pods.iter().map(|p| &p.value).filter(|p| is_active(p)).collect();
    let ready = active.iter().filter(|p| is_ready(p)).count() as i64;
    let of =
        |r: &str| active.iter().filter(|p| text(p, &["metadata", "labels", REVISION]) == r).count() as i64;
    let before = text(s, &["status", "currentRevision"]).to_owned();
    let updated = of(revision);
    let done = updated == s["spec"]["replicas"].as_i64().unwrap_or(1);
    let current = if done || before.is_empty() { revision.to_owned() } else { before };
    let mut status = s["status"].as_object().cloned().unwrap_or_default();
    status.insert("replicas".into(), json!(active.len()));
    status.insert("availableReplicas".into(), ready.into());
    counts(
        &mut status,
        &[
            ("observedGeneration", s["metadata"]["generation"].as_i64().unwrap_or(0)),
            ("readyReplicas", ready),
            ("currentReplicas", of(&current)),
            ("updatedReplicas", updated),
        ],
    );
    status.insert("currentRevision".into(), current.into());
    status.insert("updateRevision".into(), revision.into());
    status.entry("collisionCount").or_insert(json!(0));
    set_status(item, status.into());
    None
}
