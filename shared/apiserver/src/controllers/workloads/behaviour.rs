//! How a workload was asked to behave, by annotation or by the tag of its image.

use std::time::Duration;

use serde_json::{Map, Value};

use super::DELAY;
use crate::object::{at, text};
use crate::validation::formats::go_duration;

/// Prefix of the annotations.
pub(super) const PREFIX: &str = "sim.fluxide.dev/";

/// What a pod does when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    ImagePull,
    CrashLoop,
    Failed,
}

/// Time until the pod is ready.
pub(super) fn ready_after(pod: &Value) -> Duration {
    let given = annotation(pod, "ready-after");
    go_duration(given).and_then(|n| u64::try_from(n).ok()).map_or(DELAY, Duration::from_nanos)
}

/// Whether the pod runs but never becomes ready.
pub(super) fn never_ready(pod: &Value) -> bool {
    annotation(pod, "never-ready") == "true"
}

/// How the pod fails, if it does.
pub(super) fn failure(pod: &Value) -> Option<Failure> {
    match annotation(pod, "fail") {
        "ImagePullBackOff" | "ErrImagePull" => return Some(Failure::ImagePull),
        "CrashLoopBackOff" => return Some(Failure::CrashLoop),
        "JobFailed" | "Failed" => return Some(Failure::Failed),
        _ => {}
    }
    let broken = ["initContainers", "containers"].iter().any(|l| {
        let images = pod["spec"][*l].as_array().into_iter().flatten();
        images.map(|c| text(c, &["image"])).any(|i| i.ends_with("-broken"))
    });
    broken.then_some(Failure::ImagePull)
}

fn annotation<'a>(v: &'a Value, name: &str) -> &'a str {
    let key = format!("{PREFIX}{name}");
    at(v, &["metadata", "annotations", &key]).and_then(Value::as_str).unwrap_or_default()
}

/// The behaviour annotations of a workload, which its pods inherit.
pub(super) fn inherited(workload: &Value) -> Map<String, Value> {
    at(workload, &["metadata", "annotations"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(k, _)| k.starts_with(PREFIX))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}
