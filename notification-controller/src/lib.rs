//! Dispatches events and receives webhooks.
//!
//! Events come in by [`events`], wait in [`delivery`] and go out by [`notifier`]; webhooks come in by
//! [`hooks`]. Both servers run on every replica; only the reconcilers are the leader's.

mod complaint;
pub mod delivery;
pub mod events;
pub mod hooks;
mod http_server;
mod lenient_json;
pub mod notifier;
mod options;
pub mod receiver;
mod static_kind;
mod target;
pub mod trial;

use std::net::SocketAddr;
use std::sync::Arc;

use fluxide_notification_api::{Alert, Provider, Receiver};
use fluxide_runtime::feature_gates::OBJECT_LEVEL_WORKLOAD_IDENTITY;
use fluxide_runtime::{CancellationToken, Error, Manager, Store};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use tokio::net::TcpListener;

pub use options::{Options, PROFILE};

use complaint::Complaints;
use delivery::{Deliverer, DeliveryMetrics, Sender};
use events::{Dispatcher, EventServer, Matcher};
use hooks::{Google, Issuers, RateLimit, ReceiverServer, Verifier};
use http_server::{HttpMetrics, Server};
use notifier::http::Clients;
use notifier::policy::AddressPolicy;
use notifier::{Connections, Identities, Posted, TokenCache};
use receiver::ReceiverReconciler;
use static_kind::{AlertReconciler, ProviderReconciler};

/// A running controller: where it listens, and what it knows.
#[derive(Clone)]
pub struct Started {
    /// The address for events.
    pub events: Option<SocketAddr>,
    /// The address for webhooks.
    pub webhooks: Option<SocketAddr>,
    /// The alerts that events are selected for, as far as the watch has brought them.
    pub alerts: Store<Alert>,
    /// The providers of the alerts, as far as the watch has brought them.
    pub providers: Store<Provider>,
}

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    run_with(options, client, shutdown, |_| {}).await
}

/// Runs the controller until `shutdown`, and tells when it listens.
pub async fn run_with(
    options: Options,
    client: Client,
    shutdown: CancellationToken,
    started: impl FnOnce(Started),
) -> Result<(), Error> {
    let mut manager = Manager::new(&PROFILE, &options.manager_options(), client)?;
    let metrics = manager.metrics();
    let (alerts, providers) = (manager.store::<Alert>(), manager.store::<Provider>());
    let receivers = manager.primary_store::<Receiver>();
    let complaints = Complaints::new(Some(manager.recorder()));
    let client = manager.client();

    let policy =
        AddressPolicy::new(options.provider_address_policy, options.provider_address_exceptions.clone());
    let connections = Connections {
        clients: Clients::new(policy.clone()),
        tokens: TokenCache::new(
            options.common.token_cache_max_size,
            options.common.token_cache_max_duration.0,
            Some(Arc::clone(&metrics)),
        ),
        cluster: Some(client.clone()),
        posted: Posted::default(),
        identities: Identities::of_process(options.common.default_service_account.clone()),
    };
    let deliverer = Deliverer::open(
        options.delivery(),
        Sender::new(providers.clone(), connections),
        complaints.clone(),
        DeliveryMetrics::new(metrics.registry())?,
    )
    .map_err(|error| Error::Service { name: "delivery queue".to_owned(), error: error.to_string() })?;

    let dispatcher = Dispatcher {
        providers: providers.clone(),
        client: client.clone(),
        no_cross_namespace_refs: options.common.no_cross_namespace_refs,
        object_level_identity: manager.gates().enabled(OBJECT_LEVEL_WORKLOAD_IDENTITY),
        complaints: complaints.clone(),
    };
    let matcher = Matcher::new(alerts.clone(), client.clone(), complaints);
    let (known_alerts, known_providers) = (alerts.clone(), providers.clone());
    let ready = move || {
        let (alerts, providers) = (known_alerts.clone(), known_providers.clone());
        async move {
            alerts.wait_ready().await;
            providers.wait_ready().await;
        }
        .boxed()
    };
    let event_server = Arc::new(EventServer::new(
        options.rate_limit_interval.0,
        options.rate_limit_ignore_volatile,
        matcher,
        dispatcher,
        deliverer.clone(),
        Box::new(ready),
    ));
    let receiver_server = Arc::new(ReceiverServer {
        receivers,
        client,
        no_cross_namespace_refs: options.common.no_cross_namespace_refs,
        verifier: Verifier { oidc: Issuers::new(policy), google: Google::default() },
        rate_limit: RateLimit::new(options.receiver_rate_limit),
        evaluations: tokio::sync::Semaphore::new(hooks::EVALUATIONS),
    });

    let event_listener = fluxide_runtime::server::listen(&options.common.events_addr).await?;
    let webhook_listener = fluxide_runtime::server::listen(&options.receiver_addr).await?;
    let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
    let (events, webhooks) = (address(&event_listener), address(&webhook_listener));
    started(Started { events, webhooks, alerts, providers });
    if let Some(listener) = event_listener {
        let server = Server {
            name: "event server",
            metrics: HttpMetrics::new(metrics.registry(), "gotk_event")?,
            handler: "/",
            export_path: options.export_http_path_metrics,
            route: |_| None,
            wants_body: Box::new(|_| true),
        };
        manager = manager.service("event server", move |stop| {
            http_server::serve(listener, server, move |call| Arc::clone(&event_server).answer(call), stop)
        });
    }
    if let Some(listener) = webhook_listener {
        let handler = Arc::clone(&receiver_server);
        let server = Server {
            name: "webhook receiver server",
            metrics: HttpMetrics::new(metrics.registry(), "gotk_receiver")?,
            handler: receiver::HOOKS,
            export_path: options.export_http_path_metrics,
            route: hooks::route,
            wants_body: Box::new(move |uri| receiver_server.knows(uri)),
        };
        manager = manager.service("webhook receiver server", move |stop| {
            http_server::serve(listener, server, move |call| Arc::clone(&handler).answer(call), stop)
        });
    }
    manager = manager.service("delivery", move |stop| deliverer.run(stop));

    let watches_configs = !manager.gates().enabled("DisableConfigWatchers");
    let secrets = watches_configs.then(|| manager.config_store::<Secret>());
    manager
        .controller(AlertReconciler, |watches| watches)
        .controller(ProviderReconciler, |watches| watches)
        .controller(ReceiverReconciler, |watches| match &secrets {
            Some(secrets) => watches.on(secrets, receiver::using_secret),
            None => watches,
        })
        .run(shutdown)
        .await
}
