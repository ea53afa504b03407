//! Deployments: a ReplicaSet for each template, rolled over when the new one is ready.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour;
use super::events::{self, Source};
use super::writing::{
    change_stored, counts, create, delete, owned, owner_reference, set_condition, set_status, template_hash,
};
use super::{Again, Item};
use crate::object::{self, text};
use crate::store::{ObjectKey, Stored};

const SETS: &str = "replicasets.apps";
const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Brings ReplicaSets and status in line.
pub(super) fn reconcile(item: &Item) -> Again {
    let d = item.value();
    if object::is_deleting(d) {
        return None;
    }
    let sets = owned(item.core, SETS, d);
    let template = &d["spec"]["template"];
    let newest = sets.iter().find(|s| same_template(&s.value["spec"]["template"], template)).cloned();
    let paused = d["spec"]["paused"] == true;
    let wanted = d["spec"]["replicas"].as_i64().unwrap_or(1);
    let revision = match &newest {
        Some(s) => number(&s.value).max(1),
        None => sets.iter().map(|s| number(&s.value)).max().unwrap_or(0) + 1,
    };
    let newest = match newest {
        Some(s) => Some(s),
        None if paused => None,
        None => {
            let set =
                create(item.core, SETS, replica_set(d, wanted, revision, recreates(d) && any_pods(&sets)));
            if let Some(set) = &set {
                note_scaled(item, &set.value, 0, set.value["spec"]["replicas"].as_i64().unwrap_or(0));
            }
            set
        }
    };
    if let Some(new) = &newest {
        roll(item, &sets, new, wanted);
    }
    if newest.is_some() && text(d, &["metadata", "annotations", REVISION]) != revision.to_string() {
        super::writing::change(item, "", |v| {
            object::set_at(v, &["metadata", "annotations", REVISION], revision.to_string().into());
        });
        return Some(Duration::ZERO);
    }
    clean_up(item, &sets, newest.as_deref());
    write_status(item, newest.as_deref())
}

fn recreates(d: &Value) -> bool {
    text(d, &["spec", "strategy", "type"]) == "Recreate"
}

fn any_pods(sets: &[Arc<Stored>]) -> bool {
    sets.iter().any(|s| s.value["status"]["replicas"].as_i64().unwrap_or(0) > 0)
}

fn number(set: &Value) -> i64 {
    text(set, &["metadata", "annotations", REVISION]).parse().unwrap_or(0)
}

fn same_template(of_set: &Value, template: &Value) -> bool {
    let mut a = of_set.clone();
    object::remove_at(&mut a, &["metadata", "labels", HASH]);
    a == *template
}

fn replica_set(d: &Value, wanted: i64, revision: i64, held_back: bool) -> Value {
    let hash = template_hash(&d["spec"]["template"]);
    let mut template = d["spec"]["template"].clone();
    object::set_at(&mut template, &["metadata", "labels", HASH], hash.clone().into());
    let mut selector = d["spec"]["selector"].clone();
    object::set_at(&mut selector, &["matchLabels", HASH], hash.clone().into());
    let mut annotations = behaviour::inherited(d);
    annotations.insert(REVISION.into(), revision.to_string().into());
    annotations.insert("deployment.kubernetes.io/desired-replicas".into(), wanted.to_string().into());
    annotations.insert("deployment.kubernetes.io/max-replicas".into(), (wanted + 1).to_string().into());
    let name = format!("{}-{hash}", object::name(d));
    json!({
        "kind": "ReplicaSet", "apiVersion": "apps/v1",
        "metadata": {
            "name": name, "namespace": object::namespace(d), "labels": template["metadata"]["labels"],
            "annotations": annotations, "ownerReferences": [owner_reference(d)],
        },
        "spec": {
            "replicas": if held_back { 0 } else { wanted },
            "minReadySeconds": d["spec"]["minReadySeconds"], "selector": selector, "template": template,
        },
    })
}

/// Scales the new set up, and the old ones down once the new one is ready.
fn roll(item: &Item, sets: &[Arc<Stored>], new: &Stored, wanted: i64) {
    let d = item.value();
    let ready = new.value["status"]["readyReplicas"].as_i64().unwrap_or(0);
    let others: Vec<&Arc<Stored>> =
        sets.iter().filter(|s| object::uid(&s.value) != object::uid(&new.value)).collect();
    let old_gone = others.iter().all(|s| s.value["status"]["replicas"].as_i64().unwrap_or(0) == 0);
    let down = recreates(d) || ready >= wanted;
    if down && !d["spec"]["paused"].as_bool().unwrap_or(false) {
        for s in others.iter().filter(|s| s.value["spec"]["replicas"].as_i64().unwrap_or(0) != 0) {
            scale(item, s, 0);
        }
    }
    let target = if recreates(d) && !old_gone { 0 } else { wanted };
    scale(item, new, target);
}

fn scale(item: &Item, set: &Stored, replicas: i64) {
    if set.value["spec"]["replicas"].as_i64() == Some(replicas) {
        return;
    }
    let key = ObjectKey::new(object::namespace(&set.value), object::name(&set.value));
    let before = set.value["spec"]["replicas"].as_i64().unwrap_or(0);
    let changed = change_stored(item.core, SETS, &key, set, "", |v| {
        object::set_at(v, &["spec", "replicas"], replicas.into())
    });
    if changed.is_some() {
        note_scaled(item, &set.value, before, replicas);
    }
}

fn note_scaled(item: &Item, set: &Value, before: i64, after: i64) {
    if before == after {
        return;
    }
    let direction = if after > before { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {} from {before} to {after}", object::name(set));
    events::normal(item.core, Source::Deployments, item.value(), "ScalingReplicaSet", message);
}

fn clean_up(item: &Item, sets: &[Arc<Stored>], newest: Option<&Stored>) {
    let limit =
        usize::try_from(item.value()["spec"]["revisionHistoryLimit"].as_i64().unwrap_or(10)).unwrap_or(0);
    let mut old: Vec<&Arc<Stored>> = sets
        .iter()
        .filter(|s| newest.is_none_or(|n| object::uid(&n.value) != object::uid(&s.value)))
        .filter(|s| {
            s.value["spec"]["replicas"] == 0 && s.value["status"]["replicas"].as_i64().unwrap_or(0) == 0
        })
        .collect();
    old.sort_by_key(|s| number(&s.value));
    for s in old.iter().take(old.len().saturating_sub(limit)) {
        delete(item.core, SETS, s);
    }
}

fn write_status(item: &Item, newest: Option<&Stored>) -> Again {
    let d = item.value();
    let sets = owned(item.core, SETS, d);
    let sum = |key: &str| sets.iter().map(|s| s.value["status"][key].as_i64().unwrap_or(0)).sum::<i64>();
    let (total, ready, available) = (sum("replicas"), sum("readyReplicas"), sum("availableReplicas"));
    let new = newest.and_then(|n| sets.iter().find(|s| object::uid(&s.value) == object::uid(&n.value)));
    let of_new = |key: &str| new.map_or(0, |s| s.value["status"][key].as_i64().unwrap_or(0));
    let updated = of_new("replicas");
    let wanted = d["spec"]["replicas"].as_i64().unwrap_or(1);
    let mut status = d["status"].as_object().cloned().unwrap_or_default();
    counts(
        &mut status,
        &[
            ("observedGeneration", d["metadata"]["generation"].as_i64().unwrap_or(0)),
            ("replicas", total),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", available),
            ("unavailableReplicas", (wanted.max(total) - available).max(0)),
        ],
    );
    let now = item.core.clock.now_text();
    let complete = updated == wanted && total == wanted && of_new("availableReplicas") == wanted;
    let mut list = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let enough = available >= wanted - unavailable_allowed(d, wanted);
    let available_condition = if enough {
        json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability."})
    } else {
        json!({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
            "message": "Deployment does not have minimum availability."})
    };
    set_updated(&mut list, available_condition, &now);
    let again = progress(item, &mut list, new.map(|s| &s.value), complete, &now);
    status.insert("conditions".into(), list.into());
    set_status(item, status.into());
    again
}

fn unavailable_allowed(d: &Value, wanted: i64) -> i64 {
    if recreates(d) {
        return 0;
    }
    match &d["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] {
        Value::Number(n) => n.as_i64().unwrap_or(0),
        Value::String(s) => s.trim_end_matches('%').parse::<i64>().unwrap_or(0) * wanted / 100,
        _ => 0,
    }
}

/// The Progressing condition, and when its deadline has to be looked at.
fn progress(item: &Item, list: &mut Vec<Value>, new: Option<&Value>, complete: bool, now: &str) -> Again {
    let d = item.value();
    let name = new.map(object::name).unwrap_or_default().to_owned();
    let condition = |status: &str, reason: &str, message: String| json!({"type": "Progressing", "status": status, "reason": reason, "message": message});
    let old = list.iter().find(|c| c["type"] == "Progressing").cloned();
    if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        set_updated(list, condition("True", "NewReplicaSetAvailable", message), now);
        return None;
    }
    let current = old.as_ref().filter(|o| text(o, &["message"]).contains(&format!("\"{name}\"")));
    let deadline = d["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
    if let Some(o) = current
        && matches!(
            text(o, &["reason"]),
            "ReplicaSetUpdated" | "NewReplicaSetCreated" | "ProgressDeadlineExceeded"
        )
    {
        let since = text(o, &["lastUpdateTime"]).parse::<jiff::Timestamp>();
        let passed = since.map_or(0, |s| item.core.clock.now().as_second() - s.as_second());
        if passed >= deadline || o["reason"] == "ProgressDeadlineExceeded" {
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            set_updated(list, condition("False", "ProgressDeadlineExceeded", message), now);
            return None;
        }
        return u64::try_from(deadline - passed).ok().map(|s| Duration::from_secs(s.min(1)));
    }
    let message = format!("ReplicaSet \"{name}\" is progressing.");
    set_updated(list, condition("True", "ReplicaSetUpdated", message), now);
    Some(Duration::from_secs(u64::try_from(deadline).unwrap_or(0).min(1)))
}

/// Sets a condition; `lastUpdateTime` moves when reason or status change.
fn set_updated(list: &mut Vec<Value>, mut condition: Value, now: &str) {
    let old = list.iter().find(|c| c["type"] == condition["type"]);
    let same = old.filter(|o| ["status", "reason", "message"].iter().all(|k| o[*k] == condition[*k]));
    let time = same.map_or_else(|| now.into(), |o| o["lastUpdateTime"].clone());
    object::members(&mut condition).insert("lastUpdateTime".into(), time);
    set_condition(list, condition, now, "lastTransitionTime");
}
