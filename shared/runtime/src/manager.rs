//! The manager: what runs a controller's reconcilers, from start to graceful end.

use crate::{
    cached_reads::{self, Configs, Copies},
    client,
    controller::{Controller, Setup, Watches},
    events::{InvalidAddress, Recorder, Sinks},
    feature_gates::{CACHE_SECRETS_AND_CONFIG_MAPS, DISABLE_CONFIG_WATCHERS, FeatureGates},
    jitter::Jitter,
    leader,
    metrics::Metrics,
    options::{self, CommonOptions, Profile},
    reconciler::{Kind, Reconciler},
    server,
    store::Store,
    watch::{self, Watched},
};
use futures::{FutureExt, future::BoxFuture};
use kube::{Client, Resource, core::PartialObjectMeta, runtime::watcher};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a manager did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be honoured.
    #[error(transparent)]
    Options(#[from] options::Error),
    /// The events address is no URL.
    #[error(transparent)]
    EventsAddress(#[from] InvalidAddress),
    /// A metric cannot be registered.
    #[error("unable to register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A port cannot be listened on.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The leader election failed, or this process is no longer the leader.
    #[error(transparent)]
    Leader(#[from] leader::Error),
    /// A service of the controller failed.
    #[error("{name} failed: {error}")]
    Service {
        /// The service.
        name: String,
        /// What happened.
        error: String,
    },
    /// No client.
    #[error(transparent)]
    Client(#[from] client::Error),
}

type ControllerTask = Box<dyn FnOnce(CancellationToken, CancellationToken) -> BoxFuture<'static, ()> + Send>;
type ServiceTask = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, Result<(), String>> + Send>;
type WatchTask = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

struct Service {
    name: String,
    leader_only: bool,
    task: ServiceTask,
}

/// Runs the reconcilers of one controller.
///
/// Register stores, controllers and services, then call [`run`](Self::run).
pub struct Manager {
    profile: Profile,
    options: CommonOptions,
    gates: FeatureGates,
    jitter: Jitter,
    namespace: Option<String>,
    client: Client,
    /// The client of passes.
    reader: Client,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    sinks: Sinks,
    stores: HashMap<(TypeId, String), Box<dyn Any + Send + Sync>>,
    watches: Vec<WatchTask>,
    controllers: Vec<ControllerTask>,
    services: Vec<Service>,
    listening: Option<Box<dyn FnOnce(Listening) + Send>>,
}

/// The addresses a running manager listens on; of use when the ports were chosen by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Of `/metrics`, unless turned off by `--metrics-addr=0`.
    pub metrics: Option<SocketAddr>,
    /// Of the probes, unless turned off by `--health-addr=0`.
    pub health: Option<SocketAddr>,
}

impl Manager {
    /// A manager for a controller. Must be called inside a tokio runtime.
    pub fn new(profile: &Profile, options: &CommonOptions, client: Client) -> Result<Self, Error> {
        crate::tls::install_provider();
        let gates = options.gates(profile)?;
        for (name, on) in gates.explicit() {
            let pairs = serde_json::json!({ name: on });
            tracing::info!(logger = "setup", %pairs, "loading feature gate");
        }
        for name in gates.retired() {
            tracing::info!(
                logger = "setup",
                gate = name,
                "ignoring a feature gate that has no effect any more"
            );
        }
        let jitter = options.jitter()?;
        let namespace = options.watched_namespace()?.map(str::to_owned);
        let metrics = Metrics::new(options.object_metrics)?;
        let client = client::counted(client, Arc::clone(&metrics));
        let (recorder, sinks) =
            Recorder::start(profile.name, client.clone(), &options.events_addr, Arc::clone(&metrics))?;
        let caches_configs = gates.enabled(CACHE_SECRETS_AND_CONFIG_MAPS);
        let mut manager = Self {
            profile: profile.clone(),
            options: options.clone(),
            gates,
            jitter,
            namespace,
            reader: client.clone(),
            client,
            metrics,
            recorder,
            sinks,
            stores: HashMap::new(),
            watches: Vec::new(),
            controllers: Vec::new(),
            services: Vec::new(),
            listening: None,
        };
        if caches_configs {
            let configs = Configs { secrets: manager.copies(), config_maps: manager.copies() };
            manager.reader = cached_reads::client(manager.client.clone(), configs);
        }
        Ok(manager)
    }

    /// A client with the controller's identity, its requests counted. Unlike that of passes it reads Secrets and
    /// ConfigMaps from the API server whatever `CacheSecretsAndConfigMaps` says: objects that are managed must be seen as they
    /// are.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The metrics, to register series of one's own.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// The event recorder, for events outside of a pass.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// The state of the feature gates.
    pub fn gates(&self) -> &FeatureGates {
        &self.gates
    }

    /// A live copy of all objects of a kind, whatever their labels: what reconcilers look up
    /// references in. The same kind is watched once, however often this is called.
    pub fn store<K: Watched>(&mut self) -> Store<K> {
        self.watched::<K>(String::new())
    }

    /// A live copy of the metadata of ConfigMaps, Secrets and the like, of those with the labels of
    /// `--watch-configs-label-selector`: to reconcile what uses them when they change.
    pub fn config_store<K: Watched>(&mut self) -> Store<PartialObjectMeta<K>>
    where
        PartialObjectMeta<K>: Watched,
    {
        self.watched::<PartialObjectMeta<K>>(self.options.watch_configs_label_selector.clone())
    }

    /// Adds the reconciler of a kind. `watches` says what else makes its objects due.
    pub fn controller<R: Reconciler>(
        mut self,
        reconciler: R,
        watches: impl FnOnce(Watches<R::Kind>) -> Watches<R::Kind>,
    ) -> Self
    where
        R::Kind: Kind,
    {
        let store = self.primary_store::<R::Kind>();
        let kind = R::Kind::kind(&());
        let setup = Setup {
            store,
            manager: self.profile.name,
            client: self.reader.clone(),
            recorder: self.recorder.clone(),
            metrics: self.metrics.controller(&kind, self.options.concurrent.max(1)),
            backoff: self.options.backoff(),
            jitter: self.jitter,
            workers: self.options.concurrent.max(1),
        };
        let controller = Controller::new(reconciler, watches(Watches::default()), setup);
        self.metrics.watch_queue(&kind, controller.queue().clone());
        self.controllers.push(Box::new(move |stop, abort| controller.run(stop, abort).boxed()));
        self
    }

    /// The store of the objects this process reconciles: those of its shard.
    pub fn primary_store<K: Watched>(&mut self) -> Store<K> {
        self.watched::<K>(self.options.watch_label_selector.clone())
    }

    /// Adds something that runs beside the reconcilers from the start, leader or not, such as a
    /// server. When it ends before it is told to, the manager ends.
    pub fn service<F, E>(self, name: &str, task: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.add_service(name, false, task)
    }

    /// Adds something that runs beside the reconcilers, while this process is the leader.
    pub fn leader_service<F, E>(
        self,
        name: &str,
        task: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.add_service(name, true, task)
    }

    /// Calls a function once the metrics and probe ports are open.
    pub fn on_listening(mut self, f: impl FnOnce(Listening) + Send + 'static) -> Self {
        self.listening = Some(Box::new(f));
        self
    }

    /// Runs until `shutdown`, then lets running passes end, delivers queued events and gives the
    /// lease back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        tracing::info!(logger = "setup", "starting manager");
        let servers_stop = CancellationToken::new();
        let _servers_guard = servers_stop.clone().drop_guard();
        let listening = server::start(
            &self.options.metrics_addr,
            &self.options.health_addr,
            Arc::clone(&self.metrics),
            servers_stop.clone(),
        )
        .await?;
        if let Some(f) = self.listening {
            f(listening);
        }

        let stop = CancellationToken::new();
        let abort = CancellationToken::new();
        let _stop_guard = stop.clone().drop_guard();
        let _abort_guard = abort.clone().drop_guard();
        let mut services: JoinSet<Result<(), Error>> = JoinSet::new();
        let (everywhere, leader_only): (Vec<_>, Vec<_>) =
            self.services.into_iter().partition(|service| !service.leader_only);
        for service in everywhere {
            spawn_service(&mut services, service, stop.clone());
        }
        let mut watches = JoinSet::new();
        for watch in self.watches {
            watches.spawn(watch(stop.clone()));
        }

        let mut lease = None;
        if self.options.leader_election.enabled {
            let election = leader::Election::new(
                self.profile.name,
                &self.options,
                self.client.clone(),
                self.recorder.clone(),
                Arc::clone(&self.metrics),
            )?;
            tokio::select! {
                acquired = election.acquire() => lease = Some(acquired?),
                () = shutdown.cancelled() => {
                    self.sinks.flush(FLUSH_TIMEOUT).await;
                    return Ok(());
                }
                Some(ended) = services.join_next() => ended_early(ended)?,
            }
        }

        for service in leader_only {
            spawn_service(&mut services, service, stop.clone());
        }
        let mut controllers = JoinSet::new();
        for controller in self.controllers {
            controllers.spawn(controller(stop.clone(), abort.clone()));
        }

        let ended = {
            let lost = async {
                match &mut lease {
                    Some(lease) => lease.lost().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                error = lost => Err(Error::Leader(error)),
                Some(ended) = services.join_next() => ended_early(ended),
            }
        };
        stop.cancel();
        if matches!(ended, Err(Error::Leader(_))) {
            return ended;
        }
        let graceful = async { while controllers.join_next().await.is_some() {} };
        if tokio::time::timeout(self.profile.graceful_shutdown, graceful).await.is_err() {
            abort.cancel();
            tracing::info!("not all running reconciles ended in time");
            let hurry = async { while controllers.join_next().await.is_some() {} };
            if tokio::time::timeout(Duration::from_secs(1), hurry).await.is_err() {
                controllers.shutdown().await;
            }
        }
        let services_end = async { while services.join_next().await.is_some() {} };
        if tokio::time::timeout(FLUSH_TIMEOUT, services_end).await.is_err() {
            services.shutdown().await;
        }
        watches.shutdown().await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        drop(self.recorder);
        self.sinks.flush(FLUSH_TIMEOUT).await;
        ended
    }

    fn add_service<F, E>(
        mut self,
        name: &str,
        leader_only: bool,
        task: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.services.push(Service {
            name: name.to_owned(),
            leader_only,
            task: Box::new(move |stop| {
                let task = task(stop);
                async move { task.await.map_err(|error| error.to_string()) }.boxed()
            }),
        });
        self
    }

    fn copies<K: Watched>(&mut self) -> Copies<K>
    where
        PartialObjectMeta<K>: Watched,
    {
        let are_followed = !self.gates.enabled(DISABLE_CONFIG_WATCHERS);
        Copies { all: self.store(), labelled: are_followed.then(|| self.config_store::<K>()) }
    }

    fn watched<K: Watched>(&mut self, selector: String) -> Store<K> {
        let id = (TypeId::of::<K>(), selector.clone());
        if let Some(store) = self.stores.get(&id).and_then(|s| s.downcast_ref::<Store<K>>()) {
            return store.clone();
        }
        let store = Store::<K>::new();
        self.stores.insert(id, Box::new(store.clone()));
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        let mut config = watcher::Config::default();
        if !selector.is_empty() {
            config = config.labels(&selector);
        }
        let kept = store.clone();
        self.watches.push(Box::new(move |stop| watch::run(client, namespace, config, kept, stop).boxed()));
        store
    }
}

fn spawn_service(services: &mut JoinSet<Result<(), Error>>, service: Service, stop: CancellationToken) {
    let task = (service.task)(stop.clone());
    services.spawn(async move {
        let result = task.await;
        if stop.is_cancelled() {
            return Ok(());
        }
        let error = match result {
            Ok(()) => "it ended by itself".to_owned(),
            Err(error) => error,
        };
        Err(Error::Service { name: service.name, error })
    });
}

fn ended_early(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    match ended {
        Ok(result) => result,
        Err(error) => Err(Error::Service { name: "a service".to_owned(), error: error.to_string() }),
    }
}
