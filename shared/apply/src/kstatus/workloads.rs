//! Health rules of the kinds that Kubernetes itself has.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Condition, Error, Verdict, status_field};
use crate::object::Object;

/// How long a Pod may be unschedulable before it counts as failed.
const SCHEDULE_WINDOW: SignedDuration = SignedDuration::from_secs(15);

/// What a Job that has started and not ended counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RunningJob {
    /// Plain kstatus: it does what it should.
    Current,
    /// Flux: wait for its end.
    InProgress,
}

/// Judges the kinds that have rules of their own; `None` for all others.
pub(super) fn judge(
    object: &Object,
    conditions: &[Condition<'_>],
    now: Timestamp,
) -> Result<Option<Verdict>, Error> {
    let verdict = match (object.group(), object.kind()) {
        ("apps" | "extensions", "Deployment") => deployment(object, conditions),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object, conditions),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("", "Pod") => return pod(object, conditions, now).map(Some),
        ("", "PersistentVolumeClaim") => persistent_volume_claim(object),
        ("", "Service") => service(object),
        ("batch", "Job") => job(object, conditions, RunningJob::Current),
        ("", "ConfigMap" | "Secret") | ("batch", "CronJob") => Verdict::current("Resource is always ready"),
        ("policy", "PodDisruptionBudget") => Verdict::current("AllowedDisruptions has been computed."),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => custom_resource_definition(conditions),
        _ => return Ok(None),
    };
    Ok(Some(verdict))
}

fn deployment(object: &Object, conditions: &[Condition<'_>]) -> Verdict {
    let no_deadline = i64::from(i32::MAX);
    let mut progressing = spec_number(object, &["progressDeadlineSeconds"], no_deadline) == no_deadline;
    let mut available = false;
    for condition in conditions {
        match condition.kind {
            "Progressing" if condition.reason == "ProgressDeadlineExceeded" => {
                return Verdict::failed("Progress deadline exceeded");
            }
            "Progressing" if condition.status == "True" && condition.reason == "NewReplicaSetAvailable" => {
                progressing = true;
            }
            "Available" if condition.status == "True" => available = true,
            _ => {}
        }
    }
    let wanted = spec_number(object, &["replicas"], 1);
    let [replicas, updated, ready, available_replicas] =
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
            .map(|field| status_number(object, field, 0));
    if wanted > replicas {
        return Verdict::in_progress(format!("Replicas: {replicas}/{wanted}"));
    }
    if wanted > updated {
        return Verdict::in_progress(format!("Updated: {updated}/{wanted}"));
    }
    if replicas > wanted {
        return Verdict::in_progress(format!("Pending termination: {}", replicas - wanted));
    }
    if updated > available_replicas {
        return Verdict::in_progress(format!("Available: {available_replicas}/{updated}"));
    }
    if wanted > ready {
        return Verdict::in_progress(format!("Ready: {ready}/{wanted}"));
    }
    if !progressing {
        return Verdict::in_progress("ReplicaSet not Available");
    }
    if !available {
        return Verdict::in_progress("Deployment not Available");
    }
    Verdict::current(format!("Deployment is available. Replicas: {replicas}"))
}

fn stateful_set(object: &Object) -> Verdict {
    if spec_text(object, &["updateStrategy", "type"]) == "OnDelete" {
        return Verdict::current("StatefulSet is using the ondelete update strategy");
    }
    let wanted = spec_number(object, &["replicas"], 1);
    let [replicas, ready, current, updated] =
        ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas"]
            .map(|field| status_number(object, field, 0));
    if wanted > replicas {
        return Verdict::in_progress(format!("Replicas: {replicas}/{wanted}"));
    }
    if wanted > ready {
        return Verdict::in_progress(format!("Ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return Verdict::in_progress(format!("Pending termination: {}", replicas - wanted));
    }
    let partition = spec_number(object, &["updateStrategy", "rollingUpdate", "partition"], -1);
    if partition != -1 {
        let wanted = wanted.saturating_sub(partition);
        if updated < wanted {
            return Verdict::in_progress(format!("updated: {updated}/{wanted}"));
        }
        return Verdict::current(format!("Partition rollout complete. updated: {updated}"));
    }
    if wanted > current {
        return Verdict::in_progress(format!("current: {current}/{wanted}"));
    }
    if status_text(object, "currentRevision") != status_text(object, "updateRevision") {
        return Verdict::in_progress("Waiting for updated revision to match current");
    }
    Verdict::current(format!("All replicas scheduled as expected. Replicas: {replicas}"))
}

fn replica_set(object: &Object, conditions: &[Condition<'_>]) -> Verdict {
    if conditions.iter().any(|condition| condition.kind == "ReplicaFailure" && condition.status == "True") {
        return Verdict::in_progress("Replica Failure condition. Check Pods");
    }
    let wanted = spec_number(object, &["replicas"], 1);
    let [replicas, ready, available, labelled] =
        ["replicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas"]
            .map(|field| status_number(object, field, 0));
    if wanted > labelled {
        return Verdict::in_progress(format!("Labelled: {labelled}/{wanted}"));
    }
    if wanted > available {
        return Verdict::in_progress(format!("Available: {available}/{wanted}"));
    }
    if wanted > ready {
        return Verdict::in_progress(format!("Ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return Verdict::in_progress(format!("Pending termination: {}", replicas - wanted));
    }
    Verdict::current(format!("ReplicaSet is available. Replicas: {replicas}"))
}

fn daemon_set(object: &Object) -> Verdict {
    if object.metadata("generation").is_none() {
        return Verdict::in_progress("DaemonSet metadata.generation not found");
    }
    if status_field(object, "observedGeneration").is_none() {
        return Verdict::in_progress("DaemonSet status.observedGeneration not found");
    }
    let wanted = status_number(object, "desiredNumberScheduled", -1);
    let [current, updated, available, ready] =
        ["currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"]
            .map(|field| status_number(object, field, 0));
    if wanted == -1 {
        return Verdict::in_progress("Missing .status.desiredNumberScheduled");
    }
    for (what, number) in
        [("Current", current), ("Updated", updated), ("Available", available), ("Ready", ready)]
    {
        if wanted > number {
            return Verdict::in_progress(format!("{what}: {number}/{wanted}"));
        }
    }
    Verdict::current(format!("All replicas scheduled as expected. Replicas: {wanted}"))
}

fn pod(object: &Object, conditions: &[Condition<'_>], now: Timestamp) -> Result<Verdict, Error> {
    let has = |kind: &str, status: &str| {
        conditions.iter().find(|condition| condition.kind == kind && condition.status == status)
    };
    let verdict = match status_text(object, "phase") {
        "Succeeded" => Verdict::current("Pod has completed successfully"),
        "Failed" => Verdict::current("Pod has completed, but not successfully"),
        "Running" if has("Ready", "True").is_some() => Verdict::current("Pod is Ready"),
        "Running" => match crash_looping(object) {
            containers if containers.is_empty() => Verdict::in_progress("Pod is running but is not Ready"),
            containers => Verdict::failed(format!("Containers in CrashLoop state: {}", containers.join(","))),
        },
        "Pending" if has("PodScheduled", "False").is_some_and(|c| c.reason == "Unschedulable") => {
            if is_younger_than(object, SCHEDULE_WINDOW, now) {
                Verdict::in_progress("Pod has not been scheduled")
            } else {
                Verdict::failed("Pod could not be scheduled")
            }
        }
        "Pending" => Verdict::in_progress("Pod is in the Pending phase"),
        "" => Verdict::in_progress("Pod phase not available"),
        phase => return Err(Error::UnknownPhase(phase.to_owned())),
    };
    Ok(verdict)
}

/// Names of the containers that keep crashing.
fn crash_looping(object: &Object) -> Vec<&str> {
    let statuses = status_field(object, "containerStatuses").and_then(Value::as_array);
    statuses
        .into_iter()
        .flatten()
        .filter(|container| {
            container.pointer("/state/waiting/reason").and_then(Value::as_str) == Some("CrashLoopBackOff")
        })
        .map(|container| container.get("name").and_then(Value::as_str).unwrap_or_default())
        .collect()
}

fn is_younger_than(object: &Object, age: SignedDuration, now: Timestamp) -> bool {
    let created = object.metadata("creationTimestamp").and_then(Value::as_str);
    created
        .and_then(|time| time.parse::<Timestamp>().ok())
        .is_some_and(|created| now.duration_since(created) < age)
}

fn persistent_volume_claim(object: &Object) -> Verdict {
    match status_field(object, "phase").and_then(Value::as_str).unwrap_or("unknown") {
        "Bound" => Verdict::current("PVC is Bound"),
        phase => Verdict::in_progress(format!("PVC is not Bound. phase: {phase}")),
    }
}

fn service(object: &Object) -> Verdict {
    let kind = spec_text(object, &["type"]);
    if kind == "LoadBalancer" && spec_text(object, &["clusterIP"]).is_empty() {
        return Verdict::in_progress(format!("ClusterIP not set. Service type: {kind}"));
    }
    Verdict::current("Service is ready")
}

pub(super) fn job(object: &Object, conditions: &[Condition<'_>], running: RunningJob) -> Verdict {
    let parallelism = spec_number(object, &["parallelism"], 1);
    let completions = spec_number(object, &["completions"], parallelism);
    let [succeeded, active, failed] =
        ["succeeded", "active", "failed"].map(|field| status_number(object, field, 0));
    let is_suspended =
        object.fields().get("spec").and_then(|spec| spec.get("suspend")) == Some(&Value::Bool(true));
    if running == RunningJob::InProgress && is_suspended {
        return Verdict::current("Job is suspended");
    }
    for condition in conditions.iter().filter(|condition| condition.status == "True") {
        match condition.kind {
            "Complete" => {
                return Verdict::current(format!("Job Completed. succeeded: {succeeded}/{completions}"));
            }
            "Failed" => return Verdict::failed(format!("Job Failed. failed: {failed}/{completions}")),
            _ => {}
        }
    }
    let started = !status_text(object, "startTime").is_empty();
    let progress = format!("Job in progress. success:{succeeded}, active: {active}, failed: {failed}");
    match (running, started) {
        (RunningJob::Current, true) => Verdict::current(progress),
        (RunningJob::Current, false) => Verdict::in_progress("Job not started"),
        (RunningJob::InProgress, true) => Verdict::in_progress(progress),
        (RunningJob::InProgress, false) => {
            Verdict::in_progress(format!("Job not started. active: 0/{parallelism}"))
        }
    }
}

fn custom_resource_definition(conditions: &[Condition<'_>]) -> Verdict {
    for condition in conditions {
        match (condition.kind, condition.status) {
            ("NamesAccepted", "False") => return Verdict::failed(condition.message),
            ("Established", "False") if condition.reason != "Installing" => {
                return Verdict::failed(condition.message);
            }
            ("Established", "True") => return Verdict::current("CRD is established"),
            _ => {}
        }
    }
    Verdict::in_progress("Install in progress")
}

fn spec_field<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object.fields().get("spec")?, |value, key| value.get(key))
}

fn spec_number(object: &Object, path: &[&str], default: i64) -> i64 {
    spec_field(object, path).and_then(Value::as_i64).unwrap_or(default)
}

fn spec_text<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    spec_field(object, path).and_then(Value::as_str).unwrap_or_default()
}

fn status_number(object: &Object, field: &str, default: i64) -> i64 {
    status_field(object, field).and_then(Value::as_i64).unwrap_or(default)
}

fn status_text<'a>(object: &'a Object, field: &str) -> &'a str {
    status_field(object, field).and_then(Value::as_str).unwrap_or_default()
}
