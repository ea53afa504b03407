//! One attempt at a delivery: the provider as it is now, its Secrets, and the message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fluxide_notification_api::Provider;
use fluxide_runtime::client::message;
use fluxide_runtime::{Key, Store};
use kube::{Api, ResourceExt};

use super::Delivery;
use crate::events::dispatch::{not_found, object_path};
use crate::notifier::{self, Connections, Message, Settings, settings};

/// How long the Secrets of a provider are taken to be the same.
const SETTINGS_AGE: Duration = Duration::from_secs(10);

/// What came of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// The type of the provider; empty when it is not known.
    pub provider_type: String,
    /// Whether there was nothing to send.
    pub skipped: bool,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// A failed attempt.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, without credentials.
    pub message: String,
    /// Whether to try again.
    pub transient: bool,
}

impl Failure {
    /// What went wrong, without credentials.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Outcome {
    /// Nothing was sent because there was nothing to send.
    pub fn skipped() -> Self {
        Self { provider_type: String::new(), skipped: true, failure: None }
    }
}

/// Sends messages with the settings of their providers.
#[derive(Clone)]
pub struct Sender {
    providers: Store<Provider>,
    connections: Connections,
    settings: Arc<Mutex<HashMap<Key, Known>>>,
}

#[derive(Clone)]
struct Known {
    uid: Option<String>,
    version: Option<String>,
    since: Instant,
    settings: Arc<Settings>,
}

impl Sender {
    /// Looks providers up in a store.
    pub fn new(providers: Store<Provider>, connections: Connections) -> Self {
        Self { providers, connections, settings: Arc::default() }
    }

    /// Waits until providers are known.
    pub async fn ready(&self) {
        self.providers.wait_ready().await;
    }

    /// Tries to deliver.
    pub async fn send(&self, delivery: &Delivery) -> Outcome {
        let object = object_path(&delivery.event);
        let not_dispatched = |provider_type: &str, error: String, transient: bool| Outcome {
            provider_type: provider_type.to_owned(),
            skipped: false,
            failure: Some(Failure {
                message: format!("failed to dispatch notification for {object}: {error}"),
                transient,
            }),
        };
        let provider = match self.provider(delivery).await {
            Ok(provider) => provider,
            Err((error, transient)) => return not_dispatched("", error, transient),
        };
        let kind = provider.spec.provider_type.as_str().to_owned();
        if provider.spec.suspend {
            return Outcome::skipped();
        }
        let (settings, fresh) = match self.settings(&provider).await {
            Ok(settings) => settings,
            Err(error) => {
                return not_dispatched(&kind, not_initialized(&provider, &error), error.is_transient());
            }
        };
        let mut tried = self.attempt(&settings, delivery).await;
        let mut used = settings;
        if tried.is_err() && !fresh {
            // The Secrets may have changed since they were read.
            self.forget(&Key::of(provider.as_ref()));
            match self.settings(&provider).await {
                Ok((settings, _)) => {
                    tried = self.attempt(&settings, delivery).await;
                    used = settings;
                }
                Err(error) => {
                    return not_dispatched(&kind, not_initialized(&provider, &error), error.is_transient());
                }
            }
        }
        let failure = match tried {
            Ok(()) => None,
            Err(error @ notifier::Error::Settings(_)) => {
                let message = used.redactor().redact(&not_initialized(&provider, &error));
                return not_dispatched(&kind, message, false);
            }
            Err(notifier::Error::Send { message, transient }) => {
                let message = format!("failed to send notification for {object}: {message}");
                Some(Failure { message: used.redactor().redact(&message), transient })
            }
        };
        if failure.is_some() {
            self.forget(&Key::of(provider.as_ref()));
        }
        Outcome { provider_type: kind, skipped: false, failure }
    }

    async fn attempt(&self, settings: &Settings, delivery: &Delivery) -> Result<(), notifier::Error> {
        let message =
            Message { event: &delivery.event, alert: &delivery.alert, status_id: &delivery.status_id };
        // The deadline of the settings holds for every request; this is for whatever else may hang.
        let limit = settings.timeout + Duration::from_secs(5);
        match tokio::time::timeout(limit, notifier::send(&self.connections, settings, &message)).await {
            Ok(sent) => sent,
            Err(_) => Err(notifier::Error::Send {
                message: "context deadline exceeded".to_owned(),
                transient: true,
            }),
        }
    }

    async fn provider(&self, delivery: &Delivery) -> Result<Arc<Provider>, (String, bool)> {
        let key = delivery.provider_key();
        if let Some(provider) = self.providers.get(&key) {
            return Ok(provider);
        }
        let Some(client) = &self.connections.cluster else {
            return Err((format!("failed to read provider: {}", not_found(&key.name)), false));
        };
        let api = Api::<Provider>::namespaced(client.clone(), &key.namespace);
        match api.get_opt(&key.name).await {
            Ok(Some(provider)) => Ok(Arc::new(provider)),
            Ok(None) => Err((format!("failed to read provider: {}", not_found(&key.name)), false)),
            Err(error) => Err((format!("failed to read provider: {}", message(&error)), true)),
        }
    }

    /// The settings, and whether they were read just now.
    async fn settings(&self, provider: &Arc<Provider>) -> Result<(Arc<Settings>, bool), settings::Error> {
        let key = Key::of(provider.as_ref());
        let (uid, version) = (provider.uid(), provider.resource_version());
        {
            let known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = known.get(&key).filter(|known| {
                known.uid == uid && known.version == version && known.since.elapsed() < SETTINGS_AGE
            }) {
                return Ok((Arc::clone(&known.settings), false));
            }
        }
        let settings = match &self.connections.cluster {
            Some(client) => Settings::resolve(provider, client).await?,
            None => Settings::of_spec(provider),
        };
        let settings = Arc::new(settings);
        let known = Known { uid, version, since: Instant::now(), settings: Arc::clone(&settings) };
        let mut all = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| known.since.elapsed() < SETTINGS_AGE);
        all.insert(key, known);
        Ok((settings, true))
    }

    fn forget(&self, key: &Key) {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn not_initialized(provider: &Provider, error: &dyn std::fmt::Display) -> String {
    format!("failed to initialize notifier for provider '{}': {error}", provider.name_any())
}
