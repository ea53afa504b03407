//! Workloads: what is wanted and what there is, and the containers.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    age_of, between, cells, items, joined, labels, number, or_none, or_unset, scalar, selector, since,
};
use crate::object::{self, text};

pub(super) fn cells(plural: &str, o: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let name = object::name(o);
    let age = age_of(o, now);
    let template = &spec["template"];
    Some(match plural {
        "deployments" => cells![
            name,
            format!("{}/{}", number(status, &["readyReplicas"]), number(spec, &["replicas"])),
            number(status, &["updatedReplicas"]),
            number(status, &["availableReplicas"]),
            age,
            containers(template),
            images(template),
            selector(spec.get("selector")),
        ],
        "statefulsets" => cells![
            name,
            format!("{}/{}", number(status, &["readyReplicas"]), number(spec, &["replicas"])),
            age,
            containers(template),
            images(template),
        ],
        "daemonsets" => cells![
            name,
            number(status, &["desiredNumberScheduled"]),
            number(status, &["currentNumberScheduled"]),
            number(status, &["numberReady"]),
            number(status, &["updatedNumberScheduled"]),
            number(status, &["numberAvailable"]),
            labels(object::at(template, &["spec", "nodeSelector"])),
            age,
            containers(template),
            images(template),
            selector(spec.get("selector")),
        ],
        "replicasets" | "replicationcontrollers" => cells![
            name,
            number(spec, &["replicas"]),
            number(status, &["replicas"]),
            number(status, &["readyReplicas"]),
            age,
            containers(template),
            images(template),
            if plural == "replicasets" {
                selector(spec.get("selector"))
            } else {
                labels(spec.get("selector"))
            },
        ],
        "podtemplates" => {
            let template = &o["template"];
            cells![
                name,
                containers(template),
                images(template),
                labels(object::at(template, &["metadata", "labels"])),
            ]
        }
        "controllerrevisions" => cells![name, controller(o), number(o, &["revision"]), age],
        "jobs" => cells![
            name,
            job_status(o),
            job_completions(spec, status),
            between(text(status, &["startTime"]), text(status, &["completionTime"]), now),
            age,
            containers(template),
            images(template),
            selector(spec.get("selector")),
        ],
        "cronjobs" => {
            let template = &spec["jobTemplate"]["spec"]["template"];
            let last = text(status, &["lastScheduleTime"]);
            let suspend = match spec.get("suspend").and_then(Value::as_bool) {
                Some(true) => "True",
                Some(false) => "False",
                None => "<unset>",
            };
            cells![
                name,
                text(spec, &["schedule"]),
                or_none(text(spec, &["timeZone"])),
                suspend,
                items(status, &["active"]).count(),
                if last.is_empty() { "<none>".to_owned() } else { since(last, now) },
                age,
                containers(template),
                images(template),
                selector(spec["jobTemplate"]["spec"].get("selector")),
            ]
        }
        "horizontalpodautoscalers" => {
            let minimum = spec.get("minReplicas").and_then(Value::as_i64);
            let reference = &spec["scaleTargetRef"];
            cells![
                name,
                format!("{}/{}", text(reference, &["kind"]), text(reference, &["name"])),
                metrics(o),
                or_unset(&minimum.map(|m| m.to_string()).unwrap_or_default()),
                number(spec, &["maxReplicas"]),
                number(status, &["currentReplicas"]),
                age,
            ]
        }
        "poddisruptionbudgets" => {
            let bound = |member: &str| spec.get(member).map_or("N/A".to_owned(), scalar);
            cells![
                name,
                bound("minAvailable"),
                bound("maxUnavailable"),
                number(status, &["disruptionsAllowed"]),
                age,
            ]
        }
        _ => return None,
    })
}

fn containers(template: &Value) -> String {
    joined(items(template, &["spec", "containers"]).map(|c| text(c, &["name"])), ",")
}

fn images(template: &Value) -> String {
    joined(items(template, &["spec", "containers"]).map(|c| text(c, &["image"])), ",")
}

/// `statefulset.apps/db`: the owner that controls the object.
fn controller(o: &Value) -> String {
    let owner = items(o, &["metadata", "ownerReferences"]).find(|r| r["controller"] == true);
    let Some(owner) = owner else { return "<none>".to_owned() };
    let (group, _) = crate::registry::split_group_version(text(owner, &["apiVersion"]));
    let kind = text(owner, &["kind"]).to_lowercase();
    format!("{}/{}", crate::api_error::qualified(&kind, group), text(owner, &["name"]))
}

fn job_status(job: &Value) -> &'static str {
    let holds = |kind: &str| {
        items(job, &["status", "conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
    };
    if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if object::is_deleting(job) {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn job_completions(spec: &Value, status: &Value) -> String {
    let succeeded = number(status, &["succeeded"]);
    if let Some(completions) = spec["completions"].as_i64() {
        return format!("{succeeded}/{completions}");
    }
    match number(spec, &["parallelism"]) {
        parallelism if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    }
}

/// `cpu: 40%/80%, ...`: current and wanted values of an autoscaler, of either version.
fn metrics(autoscaler: &Value) -> String {
    const MOST: usize = 2;
    let autoscaler = match text(autoscaler, &["apiVersion"]) {
        "autoscaling/v1" => crate::versions::convert_builtin(autoscaler, "autoscaling/v2"),
        _ => autoscaler.clone(),
    };
    let current: Vec<&Value> = items(&autoscaler, &["status", "currentMetrics"]).collect();
    let all: Vec<String> = items(&autoscaler, &["spec", "metrics"])
        .enumerate()
        .map(|(i, metric)| one_metric(metric, current.get(i).copied().unwrap_or(&Value::Null)))
        .collect();
    match all.len() {
        0 => "<none>".to_owned(),
        n if n > MOST => format!("{} + {} more...", all[..MOST].join(", "), n - MOST),
        _ => all.join(", "),
    }
}

fn one_metric(metric: &Value, current: &Value) -> String {
    let (member, prefix) = match text(metric, &["type"]) {
        "Resource" => ("resource", format!("{}: ", text(metric, &["resource", "name"]))),
        "ContainerResource" => {
            ("containerResource", format!("{}: ", text(metric, &["containerResource", "name"])))
        }
        "Pods" => ("pods", String::new()),
        "Object" => ("object", String::new()),
        "External" => ("external", String::new()),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, now) = (&metric[member]["target"], &current[member]["current"]);
    let known = |v: &Value| if v.is_null() { "<unknown>".to_owned() } else { scalar(v) };
    let averaged = matches!(member, "object" | "external");
    if !target["averageValue"].is_null() {
        let note = if averaged { " (avg)" } else { "" };
        return format!("{prefix}{}/{}{note}", known(&now["averageValue"]), scalar(&target["averageValue"]));
    }
    if averaged || member == "pods" {
        return format!("{prefix}{}/{}", known(&now["value"]), scalar(&target["value"]));
    }
    let percent = |v: &Value, absent: &str| v.as_i64().map_or(absent.to_owned(), |n| format!("{n}%"));
    format!(
        "{prefix}{}/{}",
        percent(&now["averageUtilization"], "<unknown>"),
        percent(&target["averageUtilization"], "<auto>")
    )
}
