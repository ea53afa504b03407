//! What goes wrong with an alert, told as an event about it.

use std::collections::BTreeMap;

use fluxide_notification_api::Alert;
use fluxide_runtime::events::InvolvedObject;
use fluxide_runtime::{Recorder, Severity};

use crate::notifier::AlertIdentity;

/// What went wrong, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A message cannot be sent.
    NotificationDispatchFailed,
    /// Something in the spec has no effect.
    InvalidConfig,
    /// The labels of an object cannot be read.
    SourceFetchFailed,
    /// A metadata key has several sources.
    MetadataAppendFailed,
}

impl Reason {
    /// The reason as events have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotificationDispatchFailed => "NotificationDispatchFailed",
            Self::InvalidConfig => "InvalidConfig",
            Self::SourceFetchFailed => "SourceFetchFailed",
            Self::MetadataAppendFailed => "MetadataAppendFailed",
        }
    }
}

/// Writes events about alerts.
#[derive(Clone)]
pub struct Complaints {
    recorder: Option<Recorder>,
    #[cfg(test)]
    heard: Option<std::sync::Arc<std::sync::Mutex<Vec<String>>>>,
}

impl Complaints {
    /// Writes with a recorder; without one nothing is written.
    pub fn new(recorder: Option<Recorder>) -> Self {
        Self {
            recorder,
            #[cfg(test)]
            heard: None,
        }
    }

    /// Keeps what it would write, as text.
    #[cfg(test)]
    pub(crate) fn heard() -> Self {
        Self { recorder: None, heard: Some(std::sync::Arc::default()) }
    }

    /// Keeps one more.
    #[cfg(test)]
    pub(crate) fn hear(&self, complaint: String) {
        self.heard.iter().for_each(|heard| {
            heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(complaint.clone())
        });
    }

    /// What was kept.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<String> {
        self.heard
            .iter()
            .flat_map(|heard| heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
            .collect()
    }

    /// Complains about an alert.
    pub fn about(&self, alert: &Alert, reason: Reason, message: String, details: BTreeMap<String, String>) {
        self.emit(InvolvedObject::of(alert), reason, message, details);
    }

    /// Complains about an alert that may be gone by now.
    pub fn about_identity(&self, alert: &AlertIdentity, reason: Reason, message: String) {
        use kube::Resource;
        let object = InvolvedObject {
            kind: Alert::kind(&()).into_owned(),
            api_version: Alert::api_version(&()).into_owned(),
            namespace: alert.namespace.clone(),
            name: alert.name.clone(),
            uid: alert.uid.clone(),
            resource_version: alert.resource_version.clone(),
            ..InvolvedObject::default()
        };
        self.emit(object, reason, message, BTreeMap::new());
    }

    fn emit(
        &self,
        object: InvolvedObject,
        reason: Reason,
        message: String,
        details: BTreeMap<String, String>,
    ) {
        #[cfg(test)]
        self.hear(told(reason, &message, &details));
        if let Some(recorder) = &self.recorder {
            recorder.emit(object, Severity::Error, reason.as_str(), message, details);
        }
    }
}

/// A complaint as Flux's tests see it.
#[cfg(test)]
fn told(reason: Reason, message: &str, details: &BTreeMap<String, String>) -> String {
    let text = format!("Warning {} {message}", reason.as_str());
    let details: Vec<String> = details.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    if details.is_empty() { text } else { format!("{text} map[{}]", details.join(" ")) }
}
