//! Delivers messages to providers: accepted ones are kept, on disk if wanted, until a provider has
//! them or it is certain that it never will.

mod digest;
mod log;
mod metrics;
mod queue;
mod sender;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluxide_runtime::events::Event;
use fluxide_runtime::{CancellationToken, Key};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use log::Error;
pub use metrics::DeliveryMetrics;
pub use queue::Limits;
pub use sender::{Outcome, Sender};

use crate::complaint::{Complaints, Reason};
use crate::events::dispatch::object_path;
use crate::notifier::AlertIdentity;
use log::{Log, Record};
use queue::{Queue, Taken};

/// How many messages are on their way to one provider at the same time.
const CONCURRENCY: usize = 8;
/// The wait before a failed delivery is tried again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait before a failed delivery is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How often the log is made to survive the machine.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long messages on their way may take when the process ends.
const GRACE: Duration = Duration::from_secs(4);

/// A message for a provider, from the time it is accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Number of the delivery; they grow.
    pub id: u64,
    /// The alert that selected the event.
    pub alert: AlertIdentity,
    /// Name of the provider, in the alert's namespace.
    pub provider: String,
    /// The name of the commit status to set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_id: String,
    /// The event, with the metadata of the alert in it.
    pub event: Event,
    /// When it was accepted, in milliseconds.
    pub accepted: i64,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// When to try it, in milliseconds; 0 is now.
    #[serde(default)]
    pub not_before: i64,
    /// For how many milliseconds it is held back to be grouped with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
}

impl Delivery {
    /// Namespace and name of the provider.
    pub fn provider_key(&self) -> Key {
        Key::new(self.alert.namespace.clone(), self.provider.clone())
    }

    /// What deliveries must stay in order with this one.
    fn lane(&self) -> String {
        let alert = format!("{}/{}", self.alert.name, self.alert.uid);
        if self.digest.is_some() {
            let revision = self.event.metadata.get("revision").map_or("", String::as_str);
            return format!("digest {alert} {revision}");
        }
        format!("{alert} {}", object_path(&self.event))
    }
}

/// How deliveries are kept and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to keep them; in memory only when absent.
    pub directory: Option<PathBuf>,
    /// How many.
    pub limits: Limits,
    /// How long to try.
    pub max_age: Duration,
}

/// Accepts messages and delivers them. Cloning shares the queue.
#[derive(Clone)]
pub struct Deliverer {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    options: Options,
    sender: Sender,
    complaints: Complaints,
    metrics: DeliveryMetrics,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct State {
    queue: Queue,
    log: Option<Log>,
    next_id: u64,
    running: bool,
    workers: HashMap<Key, Arc<Notify>>,
}

impl Deliverer {
    /// Opens the queue; what is in it goes out when [`run`](Self::run) is called.
    pub fn open(
        options: Options,
        sender: Sender,
        complaints: Complaints,
        metrics: DeliveryMetrics,
    ) -> Result<Self, Error> {
        let mut queue = Queue::new(options.limits);
        let (mut next_id, mut log) = (1, None);
        if let Some(directory) = &options.directory {
            let opened = Log::open(directory)?;
            if opened.damaged > 0 {
                tracing::error!(
                    logger = "delivery",
                    error = format!("{} damaged records", opened.damaged),
                    "part of the delivery queue could not be read"
                );
            }
            if !opened.deliveries.is_empty() {
                tracing::info!(
                    logger = "delivery",
                    deliveries = opened.deliveries.len(),
                    "delivery queue restored"
                );
            }
            for delivery in opened.deliveries {
                next_id = next_id.max(delivery.id + 1);
                let bytes = log::size(&delivery);
                queue.push(Arc::new(delivery), bytes);
            }
            log = Some(opened.log);
        }
        metrics.waiting(&queue);
        let state = State { queue, log, next_id, running: false, workers: HashMap::new() };
        let inner = Inner {
            state: Mutex::new(state),
            options,
            sender,
            complaints,
            metrics,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Accepts messages: when this returns they survive the process, if the queue is on disk.
    pub fn accept(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let inner = &self.inner;
        let now = Timestamp::now().as_millisecond();
        let mut state = inner.lock();
        let mut accepted = Vec::new();
        for delivery in deliveries {
            let id = state.next_id;
            state.next_id += 1;
            let not_before = delivery.digest.map_or(0, |window| now + i64::try_from(window).unwrap_or(0));
            accepted.push(Arc::new(Delivery { id, accepted: now, not_before, ..delivery }));
        }
        let records: Vec<Record<'_>> =
            accepted.iter().map(|delivery| Record::Add(Box::new(Cow::Borrowed(delivery.as_ref())))).collect();
        inner.write(&mut state, &records);
        drop(records);
        let mut dropped = Vec::new();
        for delivery in &accepted {
            let bytes = log::size(delivery);
            dropped.extend(state.queue.push(Arc::clone(delivery), bytes));
        }
        inner.forget(&mut state, &dropped);
        inner.metrics.waiting(&state.queue);
        let keys: Vec<Key> = accepted.iter().map(|delivery| delivery.provider_key()).collect();
        for key in keys {
            self.wake(&mut state, key);
        }
        drop(state);
        for delivery in dropped {
            inner.metrics.dropped("queue full");
            tracing::error!(
                logger = "delivery",
                provider = %delivery.provider_key(),
                object = object_path(&delivery.event),
                error = "the queue is full",
                "notification dropped"
            );
        }
    }

    /// Delivers until `stop`, then lets messages on their way arrive.
    pub async fn run(self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        self.inner.sender.ready().await;
        {
            let mut state = self.inner.lock();
            state.running = true;
            for key in state.queue.providers() {
                self.wake(&mut state, key);
            }
        }
        let mut interval = tokio::time::interval(SYNC_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = interval.tick() => self.inner.look_after_log().await,
            }
        }
        self.inner.lock().running = false;
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(GRACE, self.inner.tasks.wait()).await.is_err() {
            tracing::info!(logger = "delivery", "not all messages on their way arrived in time");
        }
        self.inner.look_after_log().await;
        Ok(())
    }

    /// How many deliveries wait or are on their way.
    pub fn len(&self) -> usize {
        self.inner.lock().queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wake(&self, state: &mut State, key: Key) {
        if !state.running {
            return;
        }
        if let Some(worker) = state.workers.get(&key) {
            worker.notify_one();
            return;
        }
        let notify = Arc::new(Notify::new());
        state.workers.insert(key.clone(), Arc::clone(&notify));
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn(async move { inner.work(key, notify).await });
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers to one provider until nothing waits for it any more.
    async fn work(self: Arc<Self>, key: Key, notify: Arc<Notify>) {
        let mut sending = FuturesUnordered::new();
        loop {
            let now = Timestamp::now().as_millisecond();
            let due = {
                let mut state = self.lock();
                while sending.len() < CONCURRENCY && !self.stop.is_cancelled() {
                    let Some(taken) = state.queue.take(&key, now) else { break };
                    sending.push(self.send(taken));
                }
                if sending.is_empty() && (self.stop.is_cancelled() || state.queue.is_idle(&key)) {
                    state.workers.remove(&key);
                    return;
                }
                state.queue.next_due(&key)
            };
            let wait = async {
                match due {
                    Some(due) => {
                        let wait = u64::try_from(due.saturating_sub(now)).unwrap_or(0);
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((taken, outcome)) = sending.next(), if !sending.is_empty() => {
                    self.finished(&key, &taken, outcome);
                }
                () = notify.notified() => {}
                () = wait => {}
                () = self.stop.cancelled(), if sending.is_empty() => {}
            }
        }
    }

    async fn send(&self, taken: Taken) -> (Taken, Outcome) {
        let started = std::time::Instant::now();
        let Some(delivery) = digest::combine(&taken.deliveries) else {
            return (taken, Outcome::skipped());
        };
        let outcome = self.sender.send(&delivery).await;
        self.metrics.tried(&outcome, started.elapsed());
        (taken, outcome)
    }

    fn finished(&self, key: &Key, taken: &Taken, outcome: Outcome) {
        let Some(first) = taken.deliveries.first() else { return };
        let (now, attempts) = (Timestamp::now().as_millisecond(), first.attempts + 1);
        let age = Duration::from_millis(u64::try_from(now - first.accepted).unwrap_or(0));
        let wait = backoff(attempts);
        let mut state = self.lock();
        let failure = match outcome.failure {
            Some(failure) if failure.transient && age + wait <= self.options.max_age => {
                let until = now + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let changed = state.queue.retry(key, taken, attempts, until);
                let retries: Vec<Record<'_>> = changed
                    .iter()
                    .map(|delivery| Record::Retry { id: delivery.id, attempts, not_before: until })
                    .collect();
                self.write(&mut state, &retries);
                drop(state);
                tracing::info!(
                    logger = "delivery",
                    provider = %key,
                    attempts,
                    retry_in = ?wait,
                    error = failure.message.as_str(),
                    "delivery will be tried again"
                );
                // The first failure is told, as in Flux; further ones of the same message are not news.
                (attempts == 1).then_some(failure.message)
            }
            failure => {
                if failure.as_ref().is_some_and(|failure| failure.transient) {
                    self.metrics.dropped("too old");
                }
                self.forget(&mut state, &taken.deliveries);
                state.queue.finish(key, taken);
                self.metrics.waiting(&state.queue);
                drop(state);
                failure.map(|failure| failure.message)
            }
        };
        if let Some(message) = failure {
            tracing::error!(
                logger = "event-server",
                alert = %Key::new(first.alert.namespace.clone(), first.alert.name.clone()),
                error = message.as_str(),
                "failed to send notification"
            );
            self.complaints.about_identity(&first.alert, Reason::NotificationDispatchFailed, message);
        }
    }

    /// Notes that deliveries are done with.
    fn forget(&self, state: &mut State, deliveries: &[Arc<Delivery>]) {
        let records: Vec<Record<'_>> = deliveries.iter().map(|delivery| Record::Done(delivery.id)).collect();
        self.write(state, &records);
    }

    /// A log that cannot be written costs durability, not the message.
    fn write(&self, state: &mut State, records: &[Record<'_>]) {
        if let Some(log) = state.log.as_mut().filter(|_| !records.is_empty())
            && let Err(error) = log.append(records)
        {
            self.metrics.log_failed();
            tracing::error!(logger = "delivery", error = %error, "the delivery queue is not durable now");
        }
    }

    async fn look_after_log(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let looked_after = tokio::task::spawn_blocking(move || {
            let written = {
                let mut state = inner.lock();
                let State { queue, log, .. } = &mut *state;
                let Some(log) = log else { return Ok(()) };
                if log.is_wasteful(queue.bytes()) {
                    let mut live: Vec<_> = queue.iter().collect();
                    live.sort_by_key(|delivery| delivery.id);
                    return log.compact(live.into_iter().map(AsRef::as_ref));
                }
                log.written_since()?
            };
            // The disk may take its time; nobody waits for it.
            written.map_or(Ok(()), |written| written.sync())
        });
        if let Ok(Err(error)) = looked_after.await {
            self.metrics.log_failed();
            tracing::error!(logger = "delivery", error = %error, "the delivery queue is not durable now");
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_WAIT)
}
