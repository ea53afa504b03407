//! Pods: readiness, the reason of their state, restarts.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Row, age_of, cells, items, number, or_none};
use crate::object::{self, text};

/// The row of a pod.
pub(super) fn row(pod: &Value, now: Timestamp) -> Row {
    let state = State::of(pod);
    let restarts = match state.last_restart {
        Some(when) if state.restarts != 0 => {
            let ago = super::human_duration(now.as_second() - when.as_second());
            format!("{} ({ago} ago)", state.restarts)
        }
        _ => state.restarts.to_string(),
    };
    let phase = text(pod, &["status", "phase"]);
    let finished = match phase {
        "Succeeded" => Some("The pod has completed successfully."),
        "Failed" => Some("The pod failed."),
        _ => None,
    };
    let first_ip = items(pod, &["status", "podIPs"]).next().map(|ip| text(ip, &["ip"]));
    let ip = first_ip.unwrap_or_else(|| text(pod, &["status", "podIP"]));
    Row {
        cells: cells![
            object::name(pod),
            format!("{}/{}", state.ready, state.containers),
            state.reason,
            restarts,
            age_of(pod, now),
            or_none(ip),
            or_none(text(pod, &["spec", "nodeName"])),
            or_none(text(pod, &["status", "nominatedNodeName"])),
            readiness_gates(pod),
        ],
        conditions: finished.map(
            |message| json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]),
        ),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates: Vec<&str> =
        items(pod, &["spec", "readinessGates"]).map(|g| text(g, &["conditionType"])).collect();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates.iter().filter(|g| condition(pod, g)).count();
    format!("{met}/{}", gates.len())
}

fn condition(pod: &Value, kind: &str) -> bool {
    items(pod, &["status", "conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
}

#[derive(Default)]
struct State {
    reason: String,
    ready: usize,
    containers: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl State {
    fn of(pod: &Value) -> Self {
        let status = &pod["status"];
        let mut state = State {
            reason: match text(status, &["reason"]) {
                "" => text(status, &["phase"]).to_owned(),
                reason => reason.to_owned(),
            },
            containers: items(pod, &["spec", "containers"]).count(),
            ..State::default()
        };
        let gated = items(status, &["conditions"])
            .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
        if gated {
            state.reason = "SchedulingGated".to_owned();
        }
        let initializing = state.read_init_containers(pod);
        if !initializing || condition(pod, "Initialized") {
            state.read_containers(pod);
        }
        let deleting = object::is_deleting(pod);
        if deleting && status["reason"] == "NodeLost" {
            state.reason = "Unknown".to_owned();
        } else if deleting && !matches!(text(status, &["phase"]), "Succeeded" | "Failed") {
            state.reason = "Terminating".to_owned();
        }
        state
    }

    /// True when an init container is what the pod waits for.
    fn read_init_containers(&mut self, pod: &Value) -> bool {
        let restartable: Vec<&str> = items(pod, &["spec", "initContainers"])
            .filter(|c| c["restartPolicy"] == "Always")
            .map(|c| text(c, &["name"]))
            .collect();
        self.containers += restartable.len();
        let total = items(pod, &["spec", "initContainers"]).count();
        let (mut all_restarts, mut all_last) = (0, None);
        let mut waits = None;
        for (i, container) in items(pod, &["status", "initContainerStatuses"]).enumerate() {
            let restarts = number(container, &["restartCount"]);
            let last = last_end(container);
            all_restarts += restarts;
            all_last = all_last.max(last);
            let is_restartable = restartable.contains(&text(container, &["name"]));
            if is_restartable {
                self.restarts += restarts;
                self.last_restart = self.last_restart.max(last);
            }
            let current = &container["state"];
            let (terminated, waiting) = (&current["terminated"], &current["waiting"]);
            if terminated.is_object() && number(terminated, &["exitCode"]) == 0 {
                continue;
            }
            if is_restartable && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waiting_for = text(waiting, &["reason"]);
            waits = Some(if terminated.is_object() {
                format!("Init:{}", end_reason(terminated))
            } else if !waiting_for.is_empty() && waiting_for != "PodInitializing" {
                format!("Init:{waiting_for}")
            } else {
                format!("Init:{i}/{total}")
            });
            break;
        }
        let Some(waits) = waits else { return false };
        self.reason = waits;
        if !condition(pod, "Initialized") {
            self.restarts = all_restarts;
            self.last_restart = all_last;
        }
        true
    }

    fn read_containers(&mut self, pod: &Value) {
        let mut has_running = false;
        let statuses: Vec<&Value> = items(pod, &["status", "containerStatuses"]).collect();
        for container in statuses.into_iter().rev() {
            self.restarts += number(container, &["restartCount"]);
            self.last_restart = self.last_restart.max(last_end(container));
            let current = &container["state"];
            let waiting = text(current, &["waiting", "reason"]);
            let terminated = &current["terminated"];
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if !text(terminated, &["reason"]).is_empty() {
                self.reason = text(terminated, &["reason"]).to_owned();
            } else if terminated.is_object() {
                self.reason = end_reason(terminated);
            } else if container["ready"] == true && current["running"].is_object() {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && has_running {
            self.reason = if condition(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

fn last_end(container: &Value) -> Option<Timestamp> {
    text(container, &["lastState", "terminated", "finishedAt"]).parse().ok()
}

fn end_reason(terminated: &Value) -> String {
    match (text(terminated, &["reason"]), number(terminated, &["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(terminated, &["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
