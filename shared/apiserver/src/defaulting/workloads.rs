//! Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs.

use serde_json::{Value, json};

use super::pods::{claim_spec, pod_spec};
use super::{each, is_empty, set};
use crate::object;

/// Kinds of the group `apps`.
pub(super) fn apps(kind: &str, v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    template(spec);
    match kind {
        "Deployment" => {
            set(spec, "replicas", 1);
            set(spec, "revisionHistoryLimit", 10);
            set(spec, "progressDeadlineSeconds", 600);
            let strategy = object::child(spec, "strategy");
            if strategy.get("type").is_none_or(|t| t == "") {
                strategy.insert("type".into(), "RollingUpdate".into());
            }
            if strategy["type"] == "RollingUpdate" {
                let rolling = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
                set(rolling, "maxUnavailable", "25%");
                set(rolling, "maxSurge", "25%");
            }
        }
        "DaemonSet" => {
            set(spec, "revisionHistoryLimit", 10);
            let strategy = object::child(spec, "updateStrategy");
            if strategy.get("type").is_none_or(|t| t == "") {
                strategy.insert("type".into(), "RollingUpdate".into());
            }
            if strategy["type"] == "RollingUpdate" {
                let rolling = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
                set(rolling, "maxUnavailable", 1);
                set(rolling, "maxSurge", 0);
            }
        }
        "StatefulSet" => stateful_set(spec),
        "ReplicaSet" => set(spec, "replicas", 1),
        _ => {}
    }
}

fn stateful_set(spec: &mut Value) {
    if is_empty(spec, "podManagementPolicy") {
        object::members(spec).insert("podManagementPolicy".into(), "OrderedReady".into());
    }
    let strategy = object::child(spec, "updateStrategy");
    if strategy.get("type").is_none_or(|t| t == "") {
        strategy.insert("type".into(), "RollingUpdate".into());
        set(strategy.entry("rollingUpdate").or_insert_with(|| json!({})), "partition", 0);
    } else if strategy["type"] == "RollingUpdate"
        && let Some(rolling) = strategy.get_mut("rollingUpdate")
    {
        set(rolling, "partition", 0);
    }
    let retention = object::child(spec, "persistentVolumeClaimRetentionPolicy");
    for key in ["whenDeleted", "whenScaled"] {
        if retention.get(key).is_none_or(|t| t == "") {
            retention.insert(key.into(), "Retain".into());
        }
    }
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    for claim in each(spec, "volumeClaimTemplates") {
        set(claim, "kind", "PersistentVolumeClaim");
        set(claim, "apiVersion", "v1");
        claim_spec(object::members(claim).entry("spec").or_insert_with(|| json!({})));
        let status = object::child(claim, "status");
        status.entry("phase").or_insert_with(|| "Pending".into());
    }
}

fn template(spec: &mut Value) {
    if let Some(s) = spec.get_mut("template").and_then(|t| t.get_mut("spec")) {
        pod_spec(s);
    }
}

/// ReplicationControllers select by the labels of their template.
pub(super) fn replication_controller(v: &mut Value) {
    let labels = object::at(v, &["spec", "template", "metadata", "labels"]).cloned();
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    template(spec);
    set(spec, "replicas", 1);
    if let Some(labels) = labels.filter(|l| l.as_object().is_some_and(|m| !m.is_empty())) {
        if spec.get("selector").and_then(Value::as_object).is_none_or(|m| m.is_empty()) {
            object::members(spec).insert("selector".into(), labels.clone());
        }
        let meta = object::metadata(v);
        meta.entry("labels").or_insert(labels);
    }
}

/// Kinds of the group `batch`.
pub(super) fn batch(kind: &str, v: &mut Value) {
    match kind {
        "Job" => job(v),
        "CronJob" => {
            let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
            if is_empty(spec, "concurrencyPolicy") {
                object::members(spec).insert("concurrencyPolicy".into(), "Allow".into());
            }
            set(spec, "suspend", false);
            set(spec, "successfulJobsHistoryLimit", 3);
            set(spec, "failedJobsHistoryLimit", 1);
            if let Some(job_spec) = spec.get_mut("jobTemplate").and_then(|t| t.get_mut("spec")) {
                template(job_spec);
                failure_policy(job_spec);
            }
        }
        _ => {}
    }
}

fn job(v: &mut Value) {
    let labels = object::at(v, &["spec", "template", "metadata", "labels"]).cloned();
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    template(spec);
    let absent = |s: &Value, k: &str| s.get(k).is_none_or(Value::is_null);
    if absent(spec, "completions") && absent(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let per_index = !absent(spec, "backoffLimitPerIndex");
    set(spec, "backoffLimit", if per_index { i64::from(i32::MAX) } else { 6 });
    if absent(spec, "completionMode") {
        set(spec, "completionMode", "NonIndexed");
    }
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    failure_policy(spec);
    let policy = if absent(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    set(spec, "podReplacementPolicy", policy);
    if let Some(labels) = labels.filter(|l| l.as_object().is_some_and(|m| !m.is_empty())) {
        let meta = object::metadata(v);
        if meta.get("labels").and_then(Value::as_object).is_none_or(|m| m.is_empty()) {
            meta.insert("labels".into(), labels);
        }
    }
}

fn failure_policy(spec: &mut Value) {
    let Some(policy) = spec.get_mut("podFailurePolicy") else { return };
    for rule in each(policy, "rules") {
        for pattern in each(rule, "onPodConditions") {
            if is_empty(pattern, "status") {
                object::members(pattern).insert("status".into(), "True".into());
            }
        }
    }
}
