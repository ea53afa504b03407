//! Jobs: pods until enough succeeded or too many failed.

use std::time::Duration;

use serde_json::{Value, json};

use super::events::{self, Source};
use super::writing::{
    Name, create, delete, is_active, is_ready, owned, pod_from_template, set_condition, set_status,
};
use super::{Again, Item, note_created};
use crate::object::{self, text};

/// Brings pods and status in line.
pub(super) fn reconcile(item: &Item) -> Again {
    let j = item.value();
    if object::is_deleting(j) {
        return None;
    }
    if finished(j) {
        return expire(item);
    }
    let spec = &j["spec"];
    let pods = owned(item.core, "pods", j);
    let count =
        |phase: &str| pods.iter().filter(|p| text(&p.value, &["status", "phase"]) == phase).count() as i64;
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active: Vec<_> = pods.iter().filter(|p| is_active(&p.value)).collect();
    let parallelism = spec["parallelism"].as_i64().unwrap_or(1);
    let completions = spec["completions"].as_i64();
    let limit = spec["backoffLimit"].as_i64().unwrap_or(6);
    let suspended = spec["suspend"] == true;
    let exhausted = failed > limit;
    let complete = match completions {
        Some(n) => succeeded >= n,
        None => succeeded > 0 && active.is_empty(),
    };
    if suspended || exhausted {
        for p in &active {
            delete(item.core, "pods", p);
        }
    } else if !complete {
        let left = completions.map_or(parallelism, |n| n - succeeded).min(parallelism);
        let blocked = completions.is_none() && succeeded > 0;
        for i in 0..(left - active.len() as i64).max(0) {
            if blocked {
                break;
            }
            let mut pod =
                pod_from_template(j, &spec["template"], Name::Generate(format!("{}-", object::name(j))), &[]);
            if spec["completionMode"] == "Indexed" {
                let index = (succeeded + active.len() as i64 + i).to_string();
                let path = ["metadata", "annotations", "batch.kubernetes.io/job-completion-index"];
                object::set_at(&mut pod, &path, index.into());
            }
            let pod = create(item.core, "pods", pod);
            note_created(item, Source::Jobs, pod);
        }
    }
    write_status(item, succeeded, failed, Outcome { suspended, exhausted, complete });
    None
}

struct Outcome {
    suspended: bool,
    exhausted: bool,
    complete: bool,
}

fn finished(j: &Value) -> bool {
    j["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| matches!(text(c, &["type"]), "Complete" | "Failed") && c["status"] == "True")
}

/// Finished jobs go after their time to live.
fn expire(item: &Item) -> Again {
    let j = item.value();
    let ttl = j["spec"]["ttlSecondsAfterFinished"].as_i64()?;
    let conditions = j["status"]["conditions"].as_array()?;
    let end = conditions
        .iter()
        .rev()
        .find_map(|c| text(c, &["lastTransitionTime"]).parse::<jiff::Timestamp>().ok())?;
    let left = end.as_second() + ttl - item.core.clock.now().as_second();
    if left <= 0 {
        delete(item.core, item.table, item.stored);
        return None;
    }
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0).min(1)))
}

fn write_status(item: &Item, succeeded: i64, failed: i64, outcome: Outcome) {
    let j = item.value();
    let now = item.core.clock.now_text();
    let pods = owned(item.core, "pods", j);
    let active = pods.iter().filter(|p| is_active(&p.value)).count() as i64;
    let ready = pods.iter().filter(|p| is_ready(&p.value)).count() as i64;
    let mut status = j["status"].as_object().cloned().unwrap_or_default();
    super::writing::counts(&mut status, &[("succeeded", succeeded), ("failed", failed), ("active", active)]);
    status.insert("ready".into(), ready.into());
    status.entry("uncountedTerminatedPods").or_insert_with(|| json!({}));
    let mut list = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut add = |kind: &str, value: &str, reason: &str, message: &str| {
        let c = json!({"type": kind, "status": value, "reason": reason, "message": message, "lastProbeTime": now});
        set_condition(&mut list, c, &now, "lastTransitionTime");
    };
    if outcome.suspended {
        add("Suspended", "True", "JobSuspended", "Job suspended");
        status.remove("startTime");
    } else {
        status.entry("startTime").or_insert_with(|| now.clone().into());
        if outcome.complete {
            let message = "Reached expected number of succeeded pods";
            add("SuccessCriteriaMet", "True", "CompletionsReached", message);
            add("Complete", "True", "CompletionsReached", message);
            status.insert("completionTime".into(), now.clone().into());
        } else if outcome.exhausted {
            let message = "Job has reached the specified backoff limit";
            add("FailureTarget", "True", "BackoffLimitExceeded", message);
            add("Failed", "True", "BackoffLimitExceeded", message);
        }
    }
    if !list.is_empty() {
        status.insert("conditions".into(), list.into());
    }
    if !set_status(item, status.into()) {
        return;
    }
    if outcome.complete {
        events::normal(item.core, Source::Jobs, j, "Completed", "Job completed".to_owned());
    } else if outcome.exhausted {
        let message = "Job has reached the specified backoff limit".to_owned();
        events::warning(item.core, Source::Jobs, j, "BackoffLimitExceeded", message);
    }
}
