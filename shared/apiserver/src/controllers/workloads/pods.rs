//! Pods: scheduled, started, ready, finished or failing, and gone when deleted.

use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour::{Failure, failure, never_ready, ready_after};
use super::events::{self, Source};
use super::writing::{change, set_condition, set_status};
use super::{Again, DELAY, Item};
use crate::object::{self, text};
use crate::store::ObjectKey;

/// One step of a pod's life.
pub(super) fn reconcile(item: &Item) -> Again {
    let pod = item.value();
    if object::is_deleting(pod) {
        return stop(item);
    }
    if text(pod, &["spec", "nodeName"]).is_empty() {
        return schedule(item);
    }
    match text(pod, &["status", "phase"]) {
        "Pending" => start(item),
        "Running" => finish(item),
        _ => None,
    }
}

/// The kubelet lets go of the pod.
fn stop(item: &Item) -> Again {
    if object::finalizers(item.value()).is_empty() {
        let _ = item.core.store.delete(item.table, item.key, item.stored.revision, item.value().clone());
    }
    None
}

fn schedule(item: &Item) -> Again {
    let pod = item.value();
    let account = match text(pod, &["spec", "serviceAccountName"]) {
        "" => "default",
        n => n,
    };
    let key = ObjectKey::new(object::namespace(pod), account);
    if item.core.store.get("serviceaccounts", &key).is_none() {
        return Some(Duration::from_millis(200));
    }
    let nodes = item.core.store.list("nodes", None).objects;
    let now = item.core.clock.now_text();
    if nodes.is_empty() {
        let mut status = pod["status"].clone();
        let message = "no nodes available to schedule pods";
        conditions(&mut status, &[("PodScheduled", "False", Some(("Unschedulable", message)))], &now);
        set_status(item, status);
        return Some(Duration::from_secs(1));
    }
    let index = item.stored.revision as usize % nodes.len();
    let node = object::name(&nodes[index].value).to_owned();
    let message = format!("Successfully assigned {}/{} to {node}", object::namespace(pod), object::name(pod));
    let changed = change(item, "", |v| {
        object::set_at(v, &["spec", "nodeName"], node.into());
        let status = object::members(v).entry("status").or_insert_with(|| json!({}));
        conditions(status, &[("PodScheduled", "True", None)], &now);
    });
    if changed.is_some() {
        events::normal(item.core, Source::Scheduler, pod, "Scheduled", message);
    }
    None
}

fn start(item: &Item) -> Again {
    let pod = item.value();
    let waited = age(item);
    let wait = ready_after(pod);
    if waited < wait && failure(pod).is_none() {
        return Some(wait - waited);
    }
    let now = item.core.clock.now_text();
    let mut status = pod["status"].clone();
    let ip = pod_ip(item.stored.revision);
    let m = object::members(&mut status);
    m.insert("hostIP".into(), "172.18.0.2".into());
    m.insert("hostIPs".into(), json!([{"ip": "172.18.0.2"}]));
    m.insert("podIP".into(), ip.clone().into());
    m.insert("podIPs".into(), json!([{"ip": ip}]));
    m.insert("startTime".into(), now.clone().into());
    let one_shot = matches!(text(pod, &["spec", "restartPolicy"]), "Never" | "OnFailure");
    match failure(pod) {
        Some(Failure::ImagePull) => {
            m.insert("phase".into(), "Pending".into());
            let waiting =
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}});
            m.insert("containerStatuses".into(), containers(pod, &waiting, false, 0));
            not_ready(&mut status, &now);
        }
        Some(Failure::CrashLoop) if !one_shot => {
            m.insert("phase".into(), "Running".into());
            let waiting = json!({"waiting": {
                "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container",
            }});
            m.insert("containerStatuses".into(), containers(pod, &waiting, false, 3));
            not_ready(&mut status, &now);
        }
        _ => {
            m.insert("phase".into(), "Running".into());
            let ready = !never_ready(pod);
            let running = json!({"running": {"startedAt": now}});
            m.insert("containerStatuses".into(), containers(pod, &running, ready, 0));
            if ready {
                let all = ["Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers"];
                let list: Vec<_> = all.iter().map(|c| (*c, "True", None)).collect();
                conditions(&mut status, &list, &now);
            } else {
                not_ready(&mut status, &now);
            }
        }
    }
    let init = containers_of(
        pod,
        "initContainers",
        &json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
        true,
        0,
    );
    if let Some(list) = init {
        object::members(&mut status).insert("initContainerStatuses".into(), list);
    }
    if set_status(item, status) {
        note_started(item, one_shot);
    }
    one_shot.then_some(DELAY)
}

/// What the kubelet says when it starts the containers of a pod, or cannot.
fn note_started(item: &Item, one_shot: bool) {
    let pod = item.value();
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        let (name, image) = (text(container, &["name"]), text(container, &["image"]));
        match failure(pod) {
            Some(Failure::ImagePull) => {
                let message = format!("Failed to pull image \"{image}\"");
                events::warning(item.core, Source::Kubelet, pod, "Failed", message);
                continue;
            }
            Some(Failure::CrashLoop) if !one_shot => {
                let message =
                    format!("Back-off restarting failed container {name} in pod {}", object::name(pod));
                events::warning(item.core, Source::Kubelet, pod, "BackOff", message);
                continue;
            }
            _ => {}
        }
        let pulled = format!("Container image \"{image}\" already present on machine");
        events::normal(item.core, Source::Kubelet, pod, "Pulled", pulled);
        events::normal(item.core, Source::Kubelet, pod, "Created", format!("Created container: {name}"));
        events::normal(item.core, Source::Kubelet, pod, "Started", format!("Started container {name}"));
    }
}

/// Pods that do not restart end by themselves.
fn finish(item: &Item) -> Again {
    let pod = item.value();
    if !matches!(text(pod, &["spec", "restartPolicy"]), "Never" | "OnFailure") || never_ready(pod) {
        return None;
    }
    let failed = matches!(failure(pod), Some(Failure::Failed | Failure::CrashLoop));
    if failure(pod) == Some(Failure::ImagePull) {
        return None;
    }
    let now = item.core.clock.now_text();
    let mut status = pod["status"].clone();
    let (phase, code, reason) = if failed { ("Failed", 1, "Error") } else { ("Succeeded", 0, "Completed") };
    let done =
        json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}});
    let m = object::members(&mut status);
    m.insert("phase".into(), phase.into());
    m.insert("containerStatuses".into(), containers(pod, &done, false, 0));
    let why = if failed { "PodFailed" } else { "PodCompleted" };
    conditions(
        &mut status,
        &[
            ("Initialized", "True", Some((why, ""))),
            ("Ready", "False", Some((why, ""))),
            ("ContainersReady", "False", Some((why, ""))),
        ],
        &now,
    );
    set_status(item, status);
    None
}

fn not_ready(status: &mut Value, now: &str) {
    let why = Some(("ContainersNotReady", "containers are not ready"));
    conditions(
        status,
        &[("Initialized", "True", None), ("Ready", "False", why), ("ContainersReady", "False", why)],
        now,
    );
}

/// A condition's type and status, and its reason and message if it has them.
type Wanted<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

fn conditions(status: &mut Value, wanted: &[Wanted<'_>], now: &str) {
    let mut list = status["conditions"].as_array().cloned().unwrap_or_default();
    for (kind, value, why) in wanted {
        let mut c = json!({"type": kind, "status": value, "lastProbeTime": null});
        if let Some((reason, message)) = why {
            let m = object::members(&mut c);
            m.insert("reason".into(), (*reason).into());
            if !message.is_empty() {
                m.insert("message".into(), (*message).into());
            }
        }
        set_condition(&mut list, c, now, "lastTransitionTime");
    }
    object::members(status).insert("conditions".into(), list.into());
}

fn containers(pod: &Value, state: &Value, ready: bool, restarts: i64) -> Value {
    containers_of(pod, "containers", state, ready, restarts).unwrap_or_else(|| json!([]))
}

fn containers_of(pod: &Value, list: &str, state: &Value, ready: bool, restarts: i64) -> Option<Value> {
    let containers = pod["spec"][list].as_array()?;
    let statuses = containers.iter().map(|c| {
        json!({
            "name": c["name"], "image": c["image"], "imageID": "", "containerID": "", "ready": ready,
            "started": state.get("running").is_some(), "restartCount": restarts, "state": state, "lastState": {},
        })
    });
    Some(statuses.collect())
}

fn age(item: &Item) -> Duration {
    let created = text(item.value(), &["metadata", "creationTimestamp"]).parse::<jiff::Timestamp>();
    let Ok(created) = created else { return Duration::ZERO };
    let millis = (item.core.clock.now().as_millisecond() - created.as_millisecond()).max(0);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn pod_ip(revision: u64) -> String {
    let n = revision % 65_000 + 256;
    format!("10.244.{}.{}", (n >> 8) & 0xff, n & 0xff)
}
