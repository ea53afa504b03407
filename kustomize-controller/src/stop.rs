//! How a pass over a Kustomization ends: what its conditions, its events and its log say, and when it
//! is due again.

use std::collections::BTreeMap;
use std::time::Duration;

use fluxide_kustomize_api::Kustomization;
use fluxide_meta::Artifact;
use fluxide_meta::condition::reasons;
use fluxide_meta::names::{META_COMMIT_STATUS, META_ORIGIN_REVISION, META_REVISION};
use fluxide_runtime::conditions::{self, READY};
use fluxide_runtime::{Failure, Outcome, Pass, Severity};

use crate::reconciler::KustomizationReconciler;
use crate::status::{self, Progress};

/// Why a pass ends before its end.
pub(crate) enum Stop {
    /// The spec has to change.
    Terminal { reason: &'static str, message: String },
    /// Something else has to happen first.
    Waiting { reason: &'static str, message: String, event: Option<String> },
    /// The source does not exist; its creation will be noticed.
    NoSource { message: String },
    /// Reading something failed for no fault of the object.
    Unreadable { message: String },
    /// A step failed and will be tried again.
    Failed { reason: &'static str, message: String },
    /// The cluster to work on cannot be reached.
    NoCluster { message: String },
    /// A newer state is waiting to be applied.
    Superseded { by: String },
}

impl Stop {
    pub(crate) fn failed(reason: &'static str, error: impl ToString) -> Self {
        Self::Failed { reason, message: error.to_string() }
    }
}

/// A pass that got to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Something is different than before, or was not known to be as it should.
    Changed,
    /// Everything was found as the last pass had left it.
    Unchanged,
    /// Everything is known to be as the last pass had left it, without a look.
    Untouched,
}

impl KustomizationReconciler {
    pub(crate) fn succeeded(
        &self,
        object: &Kustomization,
        pass: &Pass,
        done: Done,
        mut metadata: BTreeMap<String, String>,
    ) -> Outcome {
        let interval = status::interval(&object.spec);
        if done == Done::Untouched {
            tracing::debug!("no drift, next run in {}", status::go_duration(interval));
            return Outcome::interval(interval);
        }
        let message = format!(
            "Reconciliation finished in {}, next run in {}",
            status::go_duration(pass.elapsed()),
            status::go_duration(interval)
        );
        tracing::info!(revision = metadata.get(META_REVISION), "{message}");
        metadata.insert(META_COMMIT_STATUS.to_owned(), "update".to_owned());
        let reason = reasons::RECONCILIATION_SUCCEEDED;
        if done == Done::Unchanged {
            // Said at every interval, this would be most of what the API server stores of events.
            pass.notify(object, Severity::Info, reason, message, metadata);
        } else {
            self.event(object, pass, Severity::Info, reason, message, metadata);
        }
        Outcome::interval(interval)
    }

    pub(crate) fn stopped(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        progress: &Progress,
        stop: Stop,
        metadata: BTreeMap<String, String>,
    ) -> Failure {
        let retry = status::retry_interval(&object.spec);
        match stop {
            Stop::Terminal { reason, message } => {
                conditions::mark_false(object, READY, reason, message.clone());
                self.event(object, pass, Severity::Error, reason, message.clone(), metadata);
                Failure::stalled(reason, message)
            }
            Stop::Waiting { reason, message, event } => {
                conditions::mark_false(object, READY, reason, message.clone());
                tracing::info!("{}", event.as_deref().unwrap_or(&message));
                if let Some(event) = event {
                    self.event(object, pass, Severity::Info, reason, event, metadata);
                }
                Failure::wait(self.settings.requeue_dependency, message)
            }
            Stop::NoSource { message } => {
                conditions::mark_false(object, READY, reasons::ARTIFACT_FAILED, message.clone());
                tracing::info!("Source '{}' not found", object.spec.source_ref);
                Failure::wait(retry, message)
            }
            Stop::Unreadable { message } => {
                conditions::mark_false(object, READY, reasons::ARTIFACT_FAILED, message.clone());
                Failure::retry(message)
            }
            Stop::Failed { reason, message } => {
                conditions::mark_false(object, READY, reason, message.clone());
                progress.mark_retrying(object);
                tracing::error!(
                    revision = metadata.get(META_REVISION),
                    error = message,
                    "Reconciliation failed after {}, next try in {}",
                    status::go_duration(pass.elapsed()),
                    status::go_duration(retry)
                );
                self.event(object, pass, Severity::Error, reason, message.clone(), metadata);
                Failure::wait(retry, message)
            }
            Stop::NoCluster { message } => {
                conditions::mark_false(object, READY, reasons::RECONCILIATION_FAILED, message.clone());
                progress.mark_retrying(object);
                let event = format!("failed to build kube client: {message}");
                tracing::error!("{event}");
                let reason = reasons::RECONCILIATION_FAILED;
                self.event(object, pass, Severity::Error, reason, event, metadata);
                Failure::wait(retry, message)
            }
            Stop::Superseded { by } => {
                let message = format!("New reconciliation triggered by {by}");
                conditions::mark_false(object, READY, reasons::HEALTH_CHECK_CANCELED, message.clone());
                progress.mark_retrying(object);
                let event = format!("Health checks canceled due to new reconciliation triggered by {by}");
                tracing::info!("{event}");
                self.event(object, pass, Severity::Info, reasons::HEALTH_CHECK_CANCELED, event, metadata);
                Failure::wait(Duration::from_secs(1), message)
            }
        }
    }

    /// Emits an event.
    pub(crate) fn event(
        &self,
        object: &Kustomization,
        pass: &Pass,
        severity: Severity,
        reason: &str,
        message: String,
        metadata: BTreeMap<String, String>,
    ) {
        pass.event(object, severity, reason, message, metadata);
    }
}

/// What events about work on an artifact say of it.
pub(crate) fn event_metadata(artifact: &Artifact) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([(META_REVISION.to_owned(), artifact.revision.clone())]);
    if let Some(origin) = artifact.origin_revision() {
        metadata.insert(META_ORIGIN_REVISION.to_owned(), origin.to_owned());
    }
    metadata
}
