//! Events: to Kubernetes as core/v1 Events, and to the notification controller by HTTP.
//!
//! [`Recorder::event`] never waits: both ways have a bounded queue and a task of their own.

mod correlate;
mod kubernetes;
mod notification;

use crate::{metrics::Metrics, reconciler::Kind};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use notification::InvalidAddress;

/// Prefix of object annotations that become event metadata.
pub const ANNOTATION_PREFIX: &str = "event.toolkit.fluxcd.io/";
/// Longest message of an event, in bytes.
pub const MESSAGE_LIMIT: usize = 39000;
/// Metadata key of the revision, before the API group is put in front.
pub const META_REVISION: &str = "revision";
/// Metadata key of the origin revision.
pub const META_ORIGIN_REVISION: &str = "originRevision";
/// Metadata key that makes the notification controller post a commit status.
pub const META_COMMIT_STATUS: &str = "commit_status";
/// The value of [`META_COMMIT_STATUS`].
pub const META_COMMIT_STATUS_UPDATE: &str = "update";

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Only a Kubernetes event; not sent to the notification controller.
    Trace,
    /// Good or neutral.
    Info,
    /// Bad: a warning in Kubernetes.
    Error,
}

/// An event as it is sent to the notification controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// The object the event is about.
    pub involved_object: InvolvedObject,
    /// `info` or `error`.
    pub severity: String,
    /// When, in whole seconds; empty, which is null in JSON, when that is not known.
    #[serde(serialize_with = "null_if_empty", deserialize_with = "empty_if_null")]
    pub timestamp: String,
    /// What happened.
    pub message: String,
    /// What happened, in one word.
    pub reason: String,
    /// More about it, by keys with the API group as prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The controller.
    pub reporting_controller: String,
    /// The host the controller runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reporting_instance: String,
}

/// The object an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InvolvedObject {
    /// Its kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Its API version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Its resource version at that time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The part of it that the event is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

fn null_if_empty<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    (!text.is_empty()).then_some(text).serialize(serializer)
}

fn empty_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl InvolvedObject {
    /// The reference to an object.
    pub fn of<K: kube::Resource<DynamicType = ()>>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            kind: K::kind(&()).into_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            api_version: K::api_version(&()).into_owned(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            field_path: String::new(),
        }
    }

    fn to_reference(&self) -> ObjectReference {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        ObjectReference {
            api_version: some(&self.api_version),
            kind: some(&self.kind),
            name: some(&self.name),
            namespace: some(&self.namespace),
            resource_version: some(&self.resource_version),
            uid: some(&self.uid),
            field_path: some(&self.field_path),
        }
    }
}

/// One event on its way out.
#[derive(Clone, Debug)]
struct Recorded {
    event: Arc<Event>,
    severity: Severity,
}

/// Emits events about objects. Cloning shares the queues.
#[derive(Clone)]
pub struct Recorder {
    controller: &'static str,
    instance: String,
    kubernetes: mpsc::Sender<Recorded>,
    notification: Option<notification::Sender>,
    metrics: Arc<Metrics>,
}

/// The tasks behind a [`Recorder`].
pub(crate) struct Sinks {
    kubernetes: tokio::task::JoinHandle<()>,
    closing: CancellationToken,
    notification: Option<notification::Sink>,
}

impl Recorder {
    /// Starts a recorder. Without an address events go to Kubernetes only.
    pub(crate) fn start(
        controller: &'static str,
        client: Client,
        address: &str,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Sinks), InvalidAddress> {
        let (kubernetes, receiver) = mpsc::channel(1000);
        let closing = CancellationToken::new();
        let sink = kubernetes::run(client, controller, receiver, closing.clone());
        let sink = tokio::spawn(sink);
        let (notification, notification_sink) = if address.is_empty() {
            (None, None)
        } else {
            let (sender, sink) = notification::start(address, metrics.clone())?;
            (Some(sender), Some(sink))
        };
        let recorder = Self { controller, instance: crate::hostname(), kubernetes, notification, metrics };
        let sinks = Sinks { kubernetes: sink, closing, notification: notification_sink };
        Ok((recorder, sinks))
    }

    /// Emits an event about an object. Metadata keys without a `/` get the object's API group as
    /// prefix; the object's annotations under [`ANNOTATION_PREFIX`] are added.
    pub fn event<K: Kind>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
        metadata: BTreeMap<String, String>,
    ) {
        let group = K::group(&());
        let annotations = object.meta().annotations.as_ref();
        let metadata = merge_metadata(&group, metadata, annotations);
        self.emit(InvolvedObject::of(object), severity, reason, message.into(), metadata);
    }

    /// Sends an event about an object to the notification controller, and not to Kubernetes.
    pub fn notify<K: Kind>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
        metadata: BTreeMap<String, String>,
    ) {
        let metadata = merge_metadata(&K::group(&()), metadata, object.meta().annotations.as_ref());
        let event = self.new_event(InvolvedObject::of(object), severity, reason, message.into(), metadata);
        self.send(&event, severity);
    }

    /// Emits an event about any object, with its metadata as it is.
    pub fn emit(
        &self,
        involved_object: InvolvedObject,
        severity: Severity,
        reason: &str,
        message: String,
        metadata: BTreeMap<String, String>,
    ) {
        let event = self.new_event(involved_object, severity, reason, message, metadata);
        self.send(&event, severity);
        if self.kubernetes.try_send(Recorded { event, severity }).is_err() {
            self.metrics.dropped_events.with_label_values(&["kubernetes"]).inc();
        }
    }

    fn new_event(
        &self,
        involved_object: InvolvedObject,
        severity: Severity,
        reason: &str,
        message: String,
        metadata: BTreeMap<String, String>,
    ) -> Arc<Event> {
        Arc::new(Event {
            involved_object,
            severity: match severity {
                Severity::Error => "error".to_owned(),
                Severity::Info | Severity::Trace => "info".to_owned(),
            },
            timestamp: crate::timestamp(jiff::Timestamp::now()),
            message: truncate(message),
            reason: reason.to_owned(),
            metadata,
            reporting_controller: self.controller.to_owned(),
            reporting_instance: self.instance.clone(),
        })
    }

    /// Logs an event and hands it to the notification controller.
    fn send(&self, event: &Arc<Event>, severity: Severity) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let pairs = serde_json::json!({
                "type": if severity == Severity::Error { "Warning" } else { "Normal" },
                "object": event.involved_object,
                "reason": event.reason,
            });
            // Without the context of the pass: the line says itself which object it is about.
            tracing::debug!(parent: None, logger = "events", %pairs, "{}", event.message);
        }
        if severity != Severity::Trace
            && let Some(notification) = &self.notification
        {
            notification.send(Arc::clone(event));
        }
    }
}

impl Sinks {
    /// Sends what is queued, for as long as the timeout allows. What is emitted later is lost.
    pub(crate) async fn flush(self, timeout: Duration) {
        let notification = async {
            if let Some(sink) = self.notification {
                sink.flush().await;
            }
        };
        self.closing.cancel();
        let abort = self.kubernetes.abort_handle();
        let both = async { tokio::join!(self.kubernetes, notification) };
        if tokio::time::timeout(timeout, both).await.is_err() {
            abort.abort();
            tracing::info!("some events could not be delivered before shutdown");
        }
    }
}

/// The metadata of an event: the emitter's keys win over the object's annotations.
fn merge_metadata(
    group: &str,
    metadata: BTreeMap<String, String>,
    annotations: Option<&BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let prefixed = |key: &str| format!("{group}/{key}");
    let mut merged: BTreeMap<String, String> = annotations
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(ANNOTATION_PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in metadata {
        let key = if key.contains('/') { key } else { prefixed(&key) };
        merged.insert(key, value);
    }
    merged
}

fn truncate(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests;
