//! One event through an alert, to see what its provider says to it.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use fluxide_notification_api::{Alert, Provider};
use fluxide_runtime::client::message;
use fluxide_runtime::events::{ANNOTATION_PREFIX, Event, InvolvedObject};
use fluxide_runtime::{Key, Store};
use kube::{Api, Client, ResourceExt};

use crate::complaint::Complaints;
use crate::delivery::Sender;
use crate::events::dispatch::{Dispatched, Dispatcher, not_found};
use crate::notifier::http::{Clients, Exchange, Transcript};
use crate::notifier::policy::AddressPolicy;
use crate::notifier::{Connections, Identities, Posted, TokenCache};

/// What to send.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The message of the event.
    pub message: String,
    /// `info` or `error`.
    pub severity: String,
    /// Metadata, as annotations of the object would give it.
    pub metadata: BTreeMap<String, String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The provider.
    pub provider: Key,
    /// Its type.
    pub provider_type: String,
    /// What was asked and answered on the way, without credentials.
    pub exchanges: Vec<Exchange>,
    /// Whether the provider has the message, or why not.
    pub result: Result<(), String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The alert cannot be read.
    #[error("alert '{alert}' cannot be read: {reason}")]
    Alert {
        /// Which.
        alert: Key,
        /// Why not.
        reason: String,
    },
    /// The alert is suspended.
    #[error("alert '{0}' is suspended; resume it first")]
    Suspended(Key),
    /// The alert selects nothing.
    #[error("alert '{0}' has no spec.eventSources; add one")]
    NoSources(Key),
    /// The provider cannot be read.
    #[error("failed to read provider: {0}")]
    Provider(String),
    /// The provider is suspended.
    #[error("provider '{0}' is suspended; resume it first")]
    ProviderSuspended(Key),
    /// Providers of this type need metadata.
    #[error("provider '{provider}' needs the metadata {key:?}; give it with --metadata {key}=...")]
    Metadata {
        /// Which.
        provider: Key,
        /// The key.
        key: &'static str,
    },
    /// The event cannot be sent.
    #[error("the event cannot be dispatched: {0}")]
    Dispatch(#[from] crate::events::dispatch::Error),
}

/// Sends an event through an alert from here, without the controller.
pub async fn run(client: &Client, alert: &Key, trial: &Trial) -> Result<Report, Error> {
    let alerts = Api::<Alert>::namespaced(client.clone(), &alert.namespace);
    let object = alerts
        .get(&alert.name)
        .await
        .map_err(|error| Error::Alert { alert: alert.clone(), reason: message(&error) })?;
    if object.spec.suspend {
        return Err(Error::Suspended(alert.clone()));
    }
    let source = object.spec.event_sources.first().ok_or_else(|| Error::NoSources(alert.clone()))?;
    let event = Event {
        involved_object: InvolvedObject {
            kind: source.kind.as_str().to_owned(),
            namespace: source.namespace_or(&alert.namespace).to_owned(),
            name: if source.name == "*" { "test".to_owned() } else { source.name.clone() },
            uid: "00000000-0000-0000-0000-000000000000".to_owned(),
            ..InvolvedObject::default()
        },
        severity: trial.severity.clone(),
        timestamp: fluxide_runtime::timestamp(jiff::Timestamp::now()),
        message: trial.message.clone(),
        reason: "Test".to_owned(),
        metadata: trial
            .metadata
            .iter()
            .map(|(key, value)| (format!("{ANNOTATION_PREFIX}{key}"), value.clone()))
            .collect(),
        reporting_controller: "fluxide".to_owned(),
        reporting_instance: fluxide_runtime::hostname(),
    };
    let name = Key::new(alert.namespace.clone(), object.spec.provider_ref.name.clone());
    let provider = Api::<Provider>::namespaced(client.clone(), &name.namespace).get_opt(&name.name).await;
    let provider = provider.map_err(|error| Error::Provider(message(&error)))?;
    let provider = provider.ok_or_else(|| Error::Provider(not_found(&name.name)))?;
    if provider.spec.suspend {
        return Err(Error::ProviderSuspended(name));
    }
    let provider_type = provider.spec.provider_type.as_str().to_owned();

    let providers = Store::new();
    providers.apply(provider);
    let dispatcher = Dispatcher {
        providers: providers.clone(),
        client: client.clone(),
        no_cross_namespace_refs: false,
        object_level_identity: true,
        complaints: Complaints::new(None),
    };
    let delivery = match dispatcher.prepare(&event, &object).await? {
        Dispatched::Delivery(delivery) => delivery,
        Dispatched::NoCommit => return Err(Error::Metadata { provider: name, key: "commit" }),
        Dispatched::NoChangeRequest => return Err(Error::Metadata { provider: name, key: "change_request" }),
        Dispatched::Skipped => return Err(Error::ProviderSuspended(name)),
    };
    let transcript = Transcript::default();
    let connections = Connections {
        clients: Clients::new(AddressPolicy::default()).with_transcript(transcript.clone()),
        tokens: TokenCache::new(0, Duration::ZERO, None),
        cluster: Some(client.clone()),
        posted: Posted::default(),
        identities: Identities::of_process(String::new()),
    };
    let started = Instant::now();
    let outcome = Sender::new(providers, connections).send(&delivery).await;
    let result = outcome.failure.map_or(Ok(()), |failure| Err(failure.message().to_owned()));
    tracing::debug!(alert = %Key::of(&object), provider = %name, uid = object.uid(), "sent a test");
    let exchanges = std::mem::take(&mut *transcript.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Report { provider: name, provider_type, exchanges, result, elapsed: started.elapsed() })
}
