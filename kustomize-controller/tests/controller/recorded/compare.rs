//! What is compared of the recorded scenario, and which differences are meant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Id, LEFT_OUT, UNSTABLE, data};
use crate::world::World;

/// All differences so far.
#[derive(Default)]
pub struct Report {
    compared: usize,
    differences: Vec<String>,
}

impl Report {
    pub fn compare(&mut self, step: &str, id: &Id, expected: &Value, got: &Value) {
        self.compared += 1;
        let mut found = Vec::new();
        differences("", expected, got, &mut found);
        let subject = format!("{step} {} {}/{}", id.kind, id.namespace, id.name);
        for difference in &found {
            println!("{subject}{difference}");
        }
        self.differences.extend(found.into_iter().map(|difference| format!("{subject}{difference}")));
    }

    pub fn check(&self) {
        println!("{} objects compared, {} differences", self.compared, self.differences.len());
        let unexpected: Vec<&String> = self
            .differences
            .iter()
            .filter(|difference| !ACCEPTED.iter().any(|(accepted, _)| difference.contains(accepted)))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }
}

/// Differences that are meant, and why.
const ACCEPTED: &[(&str, &str)] = &[
    ("Kustomization apps/immutable.conditions.Ready[2]", "every refused object is told, not only the first"),
    ("no event [\"immutable\",\"error\"", "every refused object is told, not only the first"),
    ("Kustomization apps/bad-health.history", "its pods are made to fail in another way here"),
    ("Kustomization apps/bad-job.history", "its pods are made to fail in another way here"),
    ("from 'absent.yaml': open /bad/build/absent.yaml", "other words for a file that is missing"),
    ("'../../orphan': read /orphan: is a directory", "other words for a directory in the place of a file"),
    ("no event [\"webapp\",\"info\",\"DependencyNotReady\"", "a dependency is followed at once here"),
    (
        "no write patch /api/v1/namespaces/prod/services/webapp fieldManager=kustomize-controller [{\"op\":\"replace\"",
        "it was edited by hand once more, between two recorded steps",
    ),
    ("no event [\"conflict\",", "it fights over an object, and who wins depends on the time"),
];

fn differences(path: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let keys: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
            for key in keys {
                let (expected, got) = (expected.get(key), got.get(key));
                let (expected, got) = (expected.unwrap_or(&Value::Null), got.unwrap_or(&Value::Null));
                differences(&format!("{path}.{key}"), expected, got, found);
            }
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                differences(&format!("{path}[{index}]"), expected, got, found);
            }
        }
        (expected, got) if expected == got => {}
        (expected, got) => found.push(format!("{path}: Flux {expected}, here {got}")),
    }
}

/// What is compared of a Kustomization.
pub fn status_of(object: &Value) -> Value {
    let status = &object["status"];
    let conditions: BTreeMap<String, Value> = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| {
            let message = stable(condition["message"].as_str().unwrap_or_default());
            let text = condition["type"].as_str().unwrap_or_default().to_owned();
            (text, json!([condition["status"], condition["reason"], message]))
        })
        .collect();
    let history: Vec<Value> = status["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| json!([entry["digest"], entry["lastReconciledStatus"], entry["metadata"]]))
        .collect();
    json!({
        "conditions": conditions,
        "history": history,
        "inventory": status["inventory"],
        "lastAppliedRevision": status["lastAppliedRevision"],
        "lastAttemptedRevision": status["lastAttemptedRevision"],
        "observedGeneration": status["observedGeneration"],
        "finalizers": object["metadata"]["finalizers"],
        "managers": managers(object, |entry| entry["manager"] == "gotk-kustomize-controller"),
    })
}

/// A message without durations and temporary paths.
fn stable(message: &str) -> String {
    let duration = regex::Regex::new(r"(in|after) [0-9][0-9.µnmsh]*s\b").unwrap();
    let directory = regex::Regex::new(r"TMPDIR/kustomization-[0-9]+").unwrap();
    let message = duration.replace_all(message, "$1 DURATION");
    directory.replace_all(&message, "").into_owned()
}

/// What is compared of an applied object.
pub fn content_of(object: &Value) -> Value {
    let mut content = object.clone();
    let managers = managers(object, |entry| entry["subresource"].is_null());
    if let Some(fields) = content.as_object_mut() {
        fields.remove("status");
        fields.remove("metadata");
    }
    let mut annotations = object["metadata"]["annotations"].clone();
    for volatile in [
        "deployment.kubernetes.io/revision",
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
    ] {
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove(volatile);
        }
    }
    if annotations.as_object().is_some_and(serde_json::Map::is_empty) {
        annotations = Value::Null;
    }
    for volatile in
        ["clusterIP", "clusterIPs", "ports", "volumeName", "storageClassName", "healthCheckNodePort"]
    {
        if let Some(spec) = content.get_mut("spec").and_then(Value::as_object_mut)
            && object["kind"] != "Deployment"
        {
            spec.remove(volatile);
        }
    }
    forget_uids(&mut content);
    json!({"content": content, "labels": object["metadata"]["labels"], "annotations": annotations, "managers": managers})
}

/// Removes the uids by which a Job finds its own pods.
fn forget_uids(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|key, _| !key.ends_with("controller-uid"));
        fields.values_mut().for_each(forget_uids);
    }
}

fn managers(object: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let entries: BTreeMap<String, Value> = entries
        .filter(|entry| wanted(entry))
        .filter(|entry| entry["manager"] != "kube-controller-manager")
        .map(|entry| {
            let key = format!("{} {} {}", entry["manager"], entry["operation"], entry["subresource"]);
            (key, entry["fieldsV1"].clone())
        })
        .collect();
    json!(entries)
}

/// Every kind of event that was posted is posted here too.
pub fn compare_events(world: &World, report: &mut Report) {
    let key = |name: &Value, event: &Value| {
        let metadata = &event["metadata"];
        let metadata = if metadata.is_null() { json!({}) } else { metadata.clone() };
        let message = stable(event["message"].as_str().unwrap_or_default());
        json!([name, event["severity"], event["reason"], message, metadata]).to_string()
    };
    let posted: BTreeSet<String> =
        world.posts().iter().map(|event| key(&event["involvedObject"]["name"], event)).collect();
    let recorded = std::fs::read_to_string(data().join("event-posts.jsonl")).unwrap();
    for line in recorded.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if LEFT_OUT.contains(&event["name"].as_str().unwrap()) {
            continue;
        }
        report.compared += 1;
        let wanted = key(&event["name"], &event);
        if !posted.contains(&wanted) {
            let close: Vec<&String> = posted
                .iter()
                .filter(|post| {
                    post.starts_with(&format!("[{},{},{}", event["name"], event["severity"], event["reason"]))
                })
                .collect();
            println!("no event {wanted}, only {close:#?}");
            report.differences.push(format!("no event {wanted}"));
        }
    }
}

/// Every write to an object that was recorded of Flux is made here too, to the letter. The recording leaves out the later
/// ones to an object, so nothing can be said of more.
pub fn compare_writes(world: &World, report: &mut Report) {
    let recorded = std::fs::read_to_string(data().join("api-writes.jsonl")).unwrap();
    let recorded: Vec<Value> = recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let wanted: BTreeSet<String> = recorded.iter().filter_map(write).collect();
    let made: BTreeSet<String> = writes(world).into_iter().collect();
    report.compared += wanted.len();
    for missing in wanted.difference(&made) {
        println!("no write {missing}");
        report.differences.push(format!("no write {missing}"));
    }
}

/// What the controller wrote to objects that are compared.
pub fn writes(world: &World) -> Vec<String> {
    world.writes().iter().filter_map(write).collect()
}

/// A write as one line without what is different each time; nothing for dry-runs, Kustomizations, and objects that are
/// not compared.
fn write(write: &Value) -> Option<String> {
    let uri = write["uri"].as_str()?;
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let name = path.rsplit('/').next()?;
    if query.contains("dryRun")
        || path.contains(".toolkit.fluxcd.io/")
        || path.ends_with("/status")
        || UNSTABLE.contains(&name)
    {
        return None;
    }
    let mut parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
    parameters.sort_unstable();
    let mut body = write["body"].clone();
    if write["verb"] == "delete" {
        body = body["propagationPolicy"].clone();
    }
    forget_times(&mut body);
    Some(format!("{} {path} {} {body}", write["verb"].as_str()?, parameters.join("&")))
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for volatile in ["time", "resourceVersion", "uid", "preconditions"] {
                fields.remove(volatile);
            }
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        _ => {}
    }
}
