//! The loop of one kind: take an object from the queue, run a pass over it, write what came of it.

use crate::{
    client,
    conditions::{self, READY},
    events::Recorder,
    jitter::Jitter,
    key::Key,
    metrics::{ControllerMetrics, PassResult},
    pass::Pass,
    patch::{self, StatusWriter, Written},
    predicate,
    queue::{self, Queue, Taken},
    reconciler::{Failure, Kind, Outcome, Reconciler},
    store::{Change, Store},
    watch::Watched,
};
use fluxide_meta::object::Object;
use futures::FutureExt;
use kube::{Api, Client, Resource, ResourceExt};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

type Subscription<K> = Box<dyn FnOnce(&Queue, &Store<K>) + Send>;
type Ready = futures::future::BoxFuture<'static, ()>;

/// What besides its own changes makes an object due.
pub struct Watches<K> {
    subscriptions: Vec<Subscription<K>>,
    ready: Vec<Ready>,
    sources: Vec<String>,
    workers: Option<usize>,
}

impl<K> Default for Watches<K> {
    fn default() -> Self {
        Self { subscriptions: Vec::new(), ready: Vec::new(), sources: Vec::new(), workers: None }
    }
}

impl<K: Kind> Watches<K> {
    /// Calls a mapping function at every change in a store; the objects it names become due, and
    /// running passes over them learn of the change. The function sees all objects of this kind.
    pub fn on<S: Watched>(
        mut self,
        store: &Store<S>,
        map: impl Fn(&Change<S>, &Store<K>) -> Vec<Key> + Send + Sync + 'static,
    ) -> Self {
        let store = store.clone();
        let secondary = store.clone();
        self.ready.push(async move { secondary.wait_ready().await }.boxed());
        self.sources.push(type_name::<S>());
        self.subscriptions.push(Box::new(move |queue, primaries| {
            let (queue, primaries) = (queue.clone(), primaries.clone());
            store.subscribe(move |change| {
                let keys = map(change, &primaries);
                if keys.is_empty() {
                    return;
                }
                let priority = priority(change);
                let kind = S::kind(&());
                for key in keys {
                    let cause = change.object().map(|object| crate::key::Cause::of(&kind, object.as_ref()));
                    queue.add(key, priority, cause);
                }
            });
        }));
        self
    }

    /// Makes objects due whenever the trigger says so.
    pub fn triggered_by(mut self, trigger: &Trigger) -> Self {
        let trigger = trigger.clone();
        self.subscriptions.push(Box::new(move |queue, _| trigger.connect(queue)));
        self
    }

    /// Another number of workers than `--concurrent`.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }
}

/// Makes objects due for reasons that are no change of a watched object. Cloning shares it.
#[derive(Clone, Default)]
pub struct Trigger(Arc<OnceLock<Queue>>);

impl Trigger {
    /// Makes an object due; nothing happens before the controller is set up.
    pub fn fire(&self, key: Key) {
        if let Some(queue) = self.0.get() {
            queue.add(key, 0, None);
        }
    }

    fn connect(&self, queue: &Queue) {
        // A second controller would be a mistake in the code; the first one stays connected.
        let _ = self.0.set(queue.clone());
    }
}

/// The workers of one kind, before they start.
pub(crate) struct Controller<R: Reconciler> {
    worker: Worker<R>,
    ready: Vec<Ready>,
    sources: Vec<String>,
    workers: usize,
}

/// What the passes of one kind share.
struct Worker<R: Reconciler> {
    reconciler: R,
    store: Store<R::Kind>,
    manager: &'static str,
    client: Client,
    recorder: Recorder,
    metrics: ControllerMetrics,
    queue: Queue,
    jitter: Jitter,
}

/// What a controller takes from its manager.
pub(crate) struct Setup<K> {
    pub(crate) store: Store<K>,
    pub(crate) manager: &'static str,
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: ControllerMetrics,
    pub(crate) backoff: queue::Backoff,
    pub(crate) jitter: Jitter,
    pub(crate) workers: usize,
}

impl<R: Reconciler> Controller<R> {
    pub(crate) fn new(reconciler: R, mut watches: Watches<R::Kind>, setup: Setup<R::Kind>) -> Self {
        let queue = Queue::new(setup.backoff, setup.metrics.clone());
        let own = queue.clone();
        setup.store.subscribe(move |change| {
            if let (None, Some(old)) = (&change.new, &change.old) {
                own.add(Key::of(old.as_ref()), 0, None);
            } else if let Some(new) = &change.new
                && predicate::primary(change)
            {
                let cause = crate::key::Cause::of(&R::Kind::kind(&()), new.as_ref());
                own.add(Key::of(new.as_ref()), priority(change), Some(cause));
            }
        });
        for subscribe in watches.subscriptions.drain(..) {
            subscribe(&queue, &setup.store);
        }
        Self {
            workers: watches.workers.unwrap_or(setup.workers).max(1),
            ready: watches.ready,
            sources: watches.sources,
            worker: Worker {
                reconciler,
                store: setup.store,
                manager: setup.manager,
                client: setup.client,
                recorder: setup.recorder,
                metrics: setup.metrics,
                queue,
                jitter: setup.jitter,
            },
        }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.worker.queue
    }

    /// Works until `stop`, then lets running passes end; `abort` tells them to hurry.
    pub(crate) async fn run(self, stop: CancellationToken, abort: CancellationToken) {
        let kind = R::Kind::kind(&()).into_owned();
        let group = R::Kind::group(&()).into_owned();
        let name = kind.to_lowercase();
        let span =
            info_span!("controller", controller = name, controllerGroup = group, controllerKind = kind);
        let own = type_name::<R::Kind>();
        for source in std::iter::once(&own).chain(self.sources.iter().filter(|source| **source != own)) {
            tracing::info!(parent: &span, source = format!("kind source: {source}"), "Starting EventSource");
        }
        let ready = self.ready;
        let store = self.worker.store.clone();
        let all_ready = async move {
            store.wait_ready().await;
            futures::future::join_all(ready).await;
        };
        tokio::select! {
            () = all_ready => {}
            () = stop.cancelled() => return,
        }
        tracing::info!(parent: &span, "Starting Controller");
        tracing::info!(parent: &span, worker_count = self.workers, "Starting workers");
        let queue = self.worker.queue.clone();
        let shared = Arc::new(self.worker);
        let mut tasks = JoinSet::new();
        for _ in 0..self.workers {
            let (shared, abort) = (Arc::clone(&shared), abort.clone());
            tasks.spawn(async move { shared.work(abort).await });
        }
        stop.cancelled().await;
        queue.close();
        tracing::info!(parent: &span, "Shutdown signal received, waiting for all workers to finish");
        while tasks.join_next().await.is_some() {}
        tracing::info!(parent: &span, "All workers finished");
    }
}

impl<R: Reconciler> Worker<R> {
    async fn work(&self, abort: CancellationToken) {
        while let Some(taken) = self.queue.take().await {
            let key = taken.key.clone();
            let span = info_span!(
                "reconcile",
                controller = R::Kind::kind(&()).to_lowercase(),
                controllerGroup = R::Kind::group(&()).as_ref(),
                controllerKind = R::Kind::kind(&()).as_ref(),
                namespace = key.namespace,
                name = key.name,
                reconcileID = %uuid::Uuid::new_v4(),
                otel.status_code = tracing::field::Empty,
                gitops.revision = tracing::field::Empty,
            );
            self.one(taken, &abort).instrument(span).await;
            self.queue.done(&key);
        }
    }

    /// One pass, and what follows from how it ended.
    async fn one(&self, taken: Taken, abort: &CancellationToken) {
        let (key, priority) = (taken.key.clone(), taken.priority);
        let started = Instant::now();
        self.metrics.started();
        let pass = AssertUnwindSafe(self.pass(taken, abort, started)).catch_unwind();
        let ended = match pass.await {
            Ok(ended) => ended,
            Err(panic) => {
                self.metrics.panicked();
                let text = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("unknown");
                Ended::Failed(format!("panic: {text} [recovered]"))
            }
        };
        let result = match ended {
            Ended::Gone => {
                self.queue.remove(&key);
                self.metrics.forget(&key);
                PassResult::Success
            }
            Ended::Skipped => {
                self.queue.forget(&key);
                PassResult::Success
            }
            Ended::Failed(error) => {
                tracing::error!(error, "Reconciler error");
                self.queue.add_failed(key, priority);
                PassResult::Error
            }
            Ended::Normal(Ok(Outcome::Done)) => {
                self.queue.forget(&key);
                PassResult::Success
            }
            Ended::Normal(Ok(Outcome::Requeue)) => {
                self.queue.add_failed(key, priority);
                PassResult::Requeue
            }
            Ended::Normal(Ok(Outcome::RequeueAfter { after, jitter })) => {
                self.requeue_after(key, priority, after, jitter);
                PassResult::RequeueAfter
            }
            Ended::Normal(Err(Failure::Wait { after, jitter, .. })) => {
                self.requeue_after(key, priority, after, jitter);
                PassResult::RequeueAfter
            }
            Ended::Normal(Err(Failure::Stalled { message, .. })) => {
                tracing::error!(error = message, "reconciliation stalled");
                self.metrics.stalled();
                self.queue.forget(&key);
                PassResult::Success
            }
            Ended::Normal(Err(Failure::Retry(error))) => {
                tracing::error!(error = %error, "Reconciler error");
                self.queue.add_failed(key, priority);
                PassResult::Error
            }
        };
        if result == PassResult::Error {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
        self.metrics.finished(result, started.elapsed());
    }

    /// Work that repeats keeps its priority: after a restart that of the initial list, which edits overtake.
    fn requeue_after(&self, key: Key, priority: i32, after: Duration, jitter: bool) {
        self.queue.forget(&key);
        let after = if jitter { self.jitter.apply(after) } else { after };
        self.queue.add_after(key, priority, after);
    }

    async fn pass(&self, taken: Taken, abort: &CancellationToken, started: Instant) -> Ended {
        let key = taken.key;
        let Some(object) = self.store.get(&key) else {
            return Ended::Gone;
        };
        let mut object = object.as_ref().clone();
        let api = Api::<R::Kind>::namespaced(self.client.clone(), &key.namespace);
        let finalizer = self.reconciler.finalizer();
        if let Some(legacy) = self.reconciler.legacy_finalizer()
            && has_finalizer(&object, legacy)
            && (object.meta().deletion_timestamp.is_some() || !object.suspended())
        {
            match patch::remove_finalizer(&api, &mut object, legacy, &field_manager(self.manager)).await {
                Ok(_) => self.store.written(object.clone()),
                Err(error) => return Ended::Failed(error.to_string()),
            }
        }
        if object.meta().deletion_timestamp.is_some() {
            if finalizer.is_some_and(|finalizer| has_finalizer(&object, finalizer)) {
                return self.delete(object, &api, key, taken.interrupted, abort, started).await;
            }
            self.metrics.forget(&key);
            return Ended::Skipped;
        }
        if let Some(finalizer) = finalizer {
            match patch::add_finalizer(&api, &mut object, finalizer, &field_manager(self.manager)).await {
                Ok(true) => self.store.written(object.clone()),
                Ok(false) => {}
                Err(error) => return Ended::Failed(error.to_string()),
            }
        }
        let suspended = object.suspended();
        if suspended {
            tracing::info!("{}", suspended_message(self.manager));
        }
        if suspended && !self.reconciler.settles_suspended() {
            self.observe(&key, &object);
            return Ended::Skipped;
        }
        let pass = match self.new_pass(&object, key.clone(), taken.interrupted, abort, started) {
            Ok(pass) => pass,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let result = match suspended {
            true => Ok(Outcome::Done),
            false => self.reconciler.reconcile(&mut object, &pass).await,
        };
        let result = self.reconciler.settle(&mut object, result);
        if let Some(requested) = predicate::requested_at(&object)
            && object.last_handled_reconcile_at() != Some(requested)
        {
            let requested = requested.to_owned();
            object.set_last_handled_reconcile_at(requested);
        }
        let written = pass.writer.lock().await.write(&api, &mut object).await;
        self.metrics.duration(&key, started.elapsed());
        if result.is_err() {
            self.metrics.failed(&key);
        }
        self.observe(&key, &object);
        match written {
            Ok(Written::InOrder) => self.store.written(object),
            Ok(Written::Nothing | Written::OverNewer) => {}
            Err(error) => return Ended::Failed(error.to_string()),
        }
        Ended::Normal(result)
    }

    async fn delete(
        &self,
        mut object: R::Kind,
        api: &Api<R::Kind>,
        key: Key,
        interrupted: tokio::sync::watch::Receiver<Option<crate::key::Cause>>,
        abort: &CancellationToken,
        started: Instant,
    ) -> Ended {
        let pass = match self.new_pass(&object, key.clone(), interrupted, abort, started) {
            Ok(pass) => pass,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        if let Err(failure) = self.reconciler.finalize(&mut object, &pass).await {
            if !conditions::is_false(&object, READY) {
                conditions::mark_false(&mut object, READY, conditions::FAILED, failure.message());
            }
            let written = pass.writer.lock().await.write(api, &mut object).await;
            self.metrics.failed(&key);
            if let Err(error) = written {
                tracing::error!(error = %error, "unable to write the status");
            }
            return Ended::Normal(Err(failure));
        }
        let Some(finalizer) = self.reconciler.finalizer() else {
            return Ended::Skipped;
        };
        match patch::remove_finalizer(api, &mut object, finalizer, &field_manager(self.manager)).await {
            Ok(_) => {
                self.metrics.forget(&key);
                Ended::Skipped
            }
            Err(patch::Error::Api(error)) => Ended::Failed(client::message(&error)),
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    fn new_pass(
        &self,
        object: &R::Kind,
        key: Key,
        interrupted: tokio::sync::watch::Receiver<Option<crate::key::Cause>>,
        abort: &CancellationToken,
        started: Instant,
    ) -> Result<Pass, patch::Error> {
        let owned = self.reconciler.owned_conditions();
        let field_manager = field_manager(self.manager);
        Ok(Pass {
            key,
            client: self.client.clone(),
            recorder: self.recorder.clone(),
            writer: Mutex::new(StatusWriter::new(object, field_manager, owned)?),
            store: Box::new(self.store.clone()),
            interrupted,
            shutdown: abort.clone(),
            started,
        })
    }

    fn observe(&self, key: &Key, object: &R::Kind) {
        let Ok(value) = serde_json::to_value(object) else {
            return;
        };
        let ready = conditions::get(object, READY).map_or("Unknown", |ready| ready.status.as_str());
        let (group, version) = (R::Kind::group(&()), R::Kind::version(&()));
        self.metrics.observe(key, &value, (&group, &version), ready, object.suspended());
    }
}

/// The type of an object as it is written in Go, which is how people know it from the logs.
fn type_name<K: Resource<DynamicType = ()>>() -> String {
    format!("*{}.{}", K::version(&()), K::kind(&()))
}

/// What is logged about a suspended object; two of Flux's controllers begin it with a capital letter.
fn suspended_message(controller: &str) -> &'static str {
    match controller {
        "kustomize-controller" | "notification-controller" => "Reconciliation is suspended for this object",
        _ => "reconciliation is suspended for this object",
    }
}

/// The field manager of a controller's writes; Flux has this prefix in kustomize-controller only.
fn field_manager(controller: &str) -> String {
    if controller == "kustomize-controller" { format!("gotk-{controller}") } else { controller.to_owned() }
}

enum Ended {
    /// The object does not exist any more.
    Gone,
    /// Nothing was to be done.
    Skipped,
    /// The manager's own work failed.
    Failed(String),
    Normal(Result<Outcome, Failure>),
}

fn has_finalizer<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|f| f == finalizer)
}

fn priority<K>(change: &Change<K>) -> i32 {
    if change.initial { queue::INITIAL_LIST_PRIORITY } else { 0 }
}
