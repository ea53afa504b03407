//! The events that controllers, the scheduler and kubelets write about what they do.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object;

/// Who writes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Deployments,
    ReplicaSets,
    StatefulSets,
    DaemonSets,
    Jobs,
    Scheduler,
    Kubelet,
}

impl Source {
    fn component(self) -> &'static str {
        match self {
            Self::Deployments => "deployment-controller",
            Self::ReplicaSets => "replicaset-controller",
            Self::StatefulSets => "statefulset-controller",
            Self::DaemonSets => "daemonset-controller",
            Self::Jobs => "job-controller",
            Self::Scheduler => "default-scheduler",
            Self::Kubelet => "kubelet",
        }
    }
}

/// Records that something went as it should.
pub(super) fn normal(core: &Core, source: Source, about: &Value, reason: &str, message: String) {
    record(core, source, about, "Normal", reason, message);
}

/// Records that something is wrong.
pub(super) fn warning(core: &Core, source: Source, about: &Value, reason: &str, message: String) {
    record(core, source, about, "Warning", reason, message);
}

fn record(core: &Core, source: Source, about: &Value, kind: &str, reason: &str, message: String) {
    let now = core.clock.now_text();
    let namespace = match object::namespace(about) {
        "" => "default",
        namespace => namespace,
    };
    let name = format!("{}.{:016x}", object::name(about), rand::random::<u64>());
    let host = match source {
        Source::Kubelet => about["spec"]["nodeName"].as_str().unwrap_or_default(),
        _ => "",
    };
    let mut origin = json!({"component": source.component()});
    if !host.is_empty() {
        object::members(&mut origin).insert("host".into(), host.into());
    }
    let event = json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "kind": about["kind"], "apiVersion": about["apiVersion"], "namespace": object::namespace(about),
            "name": object::name(about), "uid": object::uid(about),
            "resourceVersion": object::resource_version(about),
        },
        "reason": reason, "message": message, "type": kind, "source": origin, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "reportingComponent": source.component(), "reportingInstance": host,
    });
    super::writing::create(core, "events", event);
}
