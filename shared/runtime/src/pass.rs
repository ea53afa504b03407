//! One pass over one object: what a reconciler can use while it works.

use crate::{
    events::{Recorder, Severity},
    key::{Cause, Key},
    patch::{self, StatusWriter, Written},
    reconciler::Kind,
    store::Store,
};
use kube::{Api, Client};
use std::{
    any::Any,
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

/// One pass over one object.
pub struct Pass {
    pub(crate) key: Key,
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) writer: Mutex<StatusWriter>,
    pub(crate) store: Box<dyn Any + Send + Sync>,
    pub(crate) interrupted: watch::Receiver<Option<Cause>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) started: Instant,
}

impl Pass {
    /// Namespace and name of the object.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A client with the controller's own identity.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Writes the object's status as it is now, for work that takes a while. Nothing changed,
    /// nothing written. The manager writes the final status by itself.
    pub async fn patch_progress<K: Kind>(&self, object: &mut K) -> Result<(), patch::Error> {
        let api = Api::<K>::namespaced(self.client.clone(), &self.key.namespace);
        let mut writer = self.writer.lock().await;
        if writer.write(&api, object).await? == Written::InOrder
            && let Some(store) = self.store.downcast_ref::<Store<K>>()
        {
            store.written(object.clone());
        }
        Ok(())
    }

    /// Emits an event about the object: to Kubernetes and to the notification controller.
    ///
    /// Metadata keys without a `/` get the object's API group as prefix.
    pub fn event<K: Kind>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
        metadata: BTreeMap<String, String>,
    ) {
        self.recorder.event(object, severity, reason, message, metadata);
    }

    /// Tells the notification controller alone about the object: for what happens again and again
    /// and is not worth a Kubernetes event each time.
    pub fn notify<K: Kind>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
        metadata: BTreeMap<String, String>,
    ) {
        self.recorder.notify(object, severity, reason, message, metadata);
    }

    /// Notes the revision this pass is about in the trace of the pass.
    pub fn trace_revision(&self, revision: &str) {
        tracing::Span::current().record("gitops.revision", revision);
    }

    /// How long this pass has been running.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until the object becomes due again, and says why: its spec changed or there is a newer
    /// revision. Work whose result would be stale can stop then. Never ends otherwise.
    pub async fn superseded(&self) -> Cause {
        let mut interrupted = self.interrupted.clone();
        if let Ok(cause) = interrupted.wait_for(Option::is_some).await
            && let Some(cause) = cause.clone()
        {
            return cause;
        }
        std::future::pending().await
    }

    /// Why the object became due again while this pass runs, if it did.
    pub fn superseded_by(&self) -> Option<Cause> {
        self.interrupted.borrow().clone()
    }

    /// Cancelled when the process is asked to end and the time to finish running passes is over.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }
}
