//! The Prometheus series of a controller, in a registry of its own.

mod process;
mod text;
mod tokens;

pub use text::Format;
pub use tokens::TokenEvents;

use crate::{key::Key, queue};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector, exponential_buckets,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const OBJECT: [&str; 3] = ["kind", "name", "namespace"];

/// The series of one manager.
pub struct Metrics {
    registry: Registry,
    per_object: bool,
    reconcile_duration: HistogramVec,
    reconcile_condition: GaugeVec,
    reconcile_errors_by_object: IntCounterVec,
    suspend_status: GaugeVec,
    pub(crate) resource_info: resource_info::ResourceInfo,
    reconcile_total: IntCounterVec,
    reconcile_errors: IntCounterVec,
    terminal_errors: IntCounterVec,
    panics: IntCounterVec,
    timeouts: IntCounterVec,
    max_concurrent: IntGaugeVec,
    active_workers: IntGaugeVec,
    reconcile_time: HistogramVec,
    queue_depth: IntGaugeVec,
    queue_adds: IntCounterVec,
    queue_retries: IntCounterVec,
    queue_unfinished: GaugeVec,
    queue_longest: GaugeVec,
    queue_duration: HistogramVec,
    work_duration: HistogramVec,
    rest_requests: IntCounterVec,
    leader: IntGaugeVec,
    pub(crate) dropped_events: IntCounterVec,
    cache_events: IntCounterVec,
    token_cache_events: IntCounterVec,
    token_cache_requests: IntCounterVec,
    token_cache_evictions: IntCounter,
    cached_tokens: IntGauge,
    queues: Mutex<Vec<(String, queue::Queue)>>,
}

pub mod resource_info;

impl Metrics {
    /// Registers all series. `per_object` says whether to keep those with one series per object.
    pub fn new(per_object: bool) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let controller = ["controller"];
        let queue = ["name", "controller"];
        let metrics = Self {
            per_object,
            reconcile_duration: histogram(
                r,
                "gotk_reconcile_duration_seconds",
                "The duration in seconds of a GitOps Toolkit resource reconciliation.",
                &OBJECT,
                (0..10).map(duration_bucket).collect(),
            )?,
            reconcile_condition: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "gotk_reconcile_condition",
                        "The current condition status of a GitOps Toolkit resource reconciliation.",
                    ),
                    &["kind", "name", "namespace", "type", "status"],
                )?,
            )?,
            reconcile_errors_by_object: counter(
                r,
                "gotk_reconcile_error_total",
                "The number of failed reconciliations of a GitOps Toolkit resource.",
                &OBJECT,
            )?,
            suspend_status: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "gotk_suspend_status",
                        "The current suspend status of a GitOps Toolkit resource.",
                    ),
                    &OBJECT,
                )?,
            )?,
            resource_info: register(r, resource_info::ResourceInfo::new()?)?,
            reconcile_total: counter(
                r,
                "controller_runtime_reconcile_total",
                "Total number of reconciliations per controller",
                &["controller", "result"],
            )?,
            reconcile_errors: counter(
                r,
                "controller_runtime_reconcile_errors_total",
                "Total number of reconciliation errors per controller",
                &controller,
            )?,
            terminal_errors: counter(
                r,
                "controller_runtime_terminal_reconcile_errors_total",
                "Total number of terminal reconciliation errors per controller",
                &controller,
            )?,
            panics: counter(
                r,
                "controller_runtime_reconcile_panics_total",
                "Total number of reconciliation panics per controller",
                &controller,
            )?,
            timeouts: counter(
                r,
                "controller_runtime_reconcile_timeouts_total",
                "Total number of reconciliation timeouts per controller",
                &controller,
            )?,
            max_concurrent: gauge(
                r,
                "controller_runtime_max_concurrent_reconciles",
                "Maximum number of concurrent reconciles per controller",
                &controller,
            )?,
            active_workers: gauge(
                r,
                "controller_runtime_active_workers",
                "Number of currently used workers per controller",
                &controller,
            )?,
            reconcile_time: histogram(
                r,
                "controller_runtime_reconcile_time_seconds",
                "Length of time per reconciliation per controller",
                &controller,
                RECONCILE_TIME.to_vec(),
            )?,
            queue_depth: gauge(
                r,
                "workqueue_depth",
                "Current depth of workqueue by workqueue and priority",
                &["name", "controller", "priority"],
            )?,
            queue_adds: counter(
                r,
                "workqueue_adds_total",
                "Total number of adds handled by workqueue",
                &queue,
            )?,
            queue_retries: counter(
                r,
                "workqueue_retries_total",
                "Total number of items added to the workqueue with a non-zero delay (rate-limited requeues, explicit RequeueAfter or AddAfter calls)",
                &queue,
            )?,
            queue_unfinished: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "workqueue_unfinished_work_seconds",
                        "How many seconds of work has been done that is in progress and hasn't been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
                    ),
                    &queue,
                )?,
            )?,
            queue_longest: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "workqueue_longest_running_processor_seconds",
                        "How many seconds has the longest running processor for workqueue been running.",
                    ),
                    &queue,
                )?,
            )?,
            queue_duration: histogram(
                r,
                "workqueue_queue_duration_seconds",
                "How long in seconds an item stays in workqueue before being requested",
                &queue,
                exponential_buckets(1e-8, 10.0, 12)?,
            )?,
            work_duration: histogram(
                r,
                "workqueue_work_duration_seconds",
                "How long in seconds processing an item from workqueue takes.",
                &queue,
                exponential_buckets(1e-8, 10.0, 12)?,
            )?,
            rest_requests: counter(
                r,
                "rest_client_requests_total",
                "Number of HTTP requests, partitioned by status code, method, and host.",
                &["code", "method", "host"],
            )?,
            leader: gauge(
                r,
                "leader_election_master_status",
                "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.",
                &["name"],
            )?,
            dropped_events: counter(
                r,
                "gotk_events_dropped_total",
                "The number of events lost because their queue was full.",
                &["sink"],
            )?,
            cache_events: counter(
                r,
                "gotk_cache_events_total",
                "Total number of cache retrieval events for a GitOps Toolkit resource reconciliation.",
                &["event_type", "name", "namespace"],
            )?,
            token_cache_events: counter(
                r,
                "gotk_token_cache_events_total",
                "Total number of cache retrieval events for a GitOps Toolkit resource reconciliation.",
                &["event_type", "kind", "name", "namespace", "operation"],
            )?,
            token_cache_requests: counter(
                r,
                "gotk_token_cache_requests_total",
                "Total number of cache requests partitioned by success or failure.",
                &["status"],
            )?,
            token_cache_evictions: register(
                r,
                IntCounter::new("gotk_token_cache_evictions_total", "Total number of cache evictions.")?,
            )?,
            cached_tokens: register(
                r,
                IntGauge::new("gotk_token_cached_items", "Total number of items in the cache.")?,
            )?,
            queues: Mutex::default(),
            registry,
        };
        // Nothing here serves admission or conversion, or watches certificates: dashboards find the series, at zero.
        for (name, help) in ABSENT {
            register(&metrics.registry, IntCounter::new(name, help)?)?;
        }
        metrics.registry.register(Box::new(process::ProcessCollector::new()?))?;
        Ok(Arc::new(metrics))
    }

    /// The registry, for series only one controller has.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All series as text.
    pub fn text(&self, format: Format) -> String {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, queue) in queues.iter() {
            let (unfinished, longest) = queue.unfinished();
            let labels = [name.as_str(), name.as_str()];
            self.queue_unfinished.with_label_values(&labels).set(unfinished.as_secs_f64());
            self.queue_longest.with_label_values(&labels).set(longest.as_secs_f64());
        }
        drop(queues);
        text::encode(&self.registry.gather(), format)
    }

    /// Counts a request to the API server.
    pub fn count_request(&self, code: &str, method: &str, host: &str) {
        self.rest_requests.with_label_values(&[code, method, host]).inc();
    }

    /// Counts a look into a cache on behalf of an object.
    pub fn count_cache_event(&self, hit: bool, object: &Key) {
        let labels = [cache_event(hit), &object.name, &object.namespace];
        self.cache_events.with_label_values(&labels).inc();
    }

    /// Counts a look into the token cache on behalf of an object and an operation on it.
    pub fn count_token_cache_event(&self, hit: bool, kind: &str, object: &Key, operation: &str) {
        let labels = [cache_event(hit), kind, &object.name, &object.namespace, operation];
        self.token_cache_events.with_label_values(&labels).inc();
    }

    /// Counts an answer of the token cache.
    pub fn count_token_cache_request(&self, success: bool) {
        let status = if success { "success" } else { "failure" };
        self.token_cache_requests.with_label_values(&[status]).inc();
    }

    /// Counts tokens that had to make room.
    pub fn count_token_cache_evictions(&self, evictions: u64) {
        self.token_cache_evictions.inc_by(evictions);
    }

    /// Says how many tokens are cached.
    pub fn set_cached_tokens(&self, tokens: usize) {
        self.cached_tokens.set(tokens as i64);
    }

    /// Says whether this process leads.
    pub fn set_leader(&self, lease: &str, leads: bool) {
        self.leader.with_label_values(&[lease]).set(leads.into());
    }

    /// The series of one kind's controller, its result counters at zero.
    pub(crate) fn controller(self: &Arc<Self>, kind: &str, workers: usize) -> ControllerMetrics {
        let name = kind.to_lowercase();
        for result in RESULTS {
            self.reconcile_total.with_label_values(&[name.as_str(), result]).inc_by(0);
        }
        for zero in [&self.reconcile_errors, &self.terminal_errors, &self.panics, &self.timeouts] {
            zero.with_label_values(&[&name]).inc_by(0);
        }
        self.max_concurrent.with_label_values(&[&name]).set(workers as i64);
        self.active_workers.with_label_values(&[&name]).set(0);
        self.reconcile_time.with_label_values(&[&name]);
        let labels = [name.as_str(), name.as_str()];
        self.queue_adds.with_label_values(&labels).inc_by(0);
        self.queue_retries.with_label_values(&labels).inc_by(0);
        self.queue_duration.with_label_values(&labels);
        self.work_duration.with_label_values(&labels);
        self.queue_depth.with_label_values(&[name.as_str(), name.as_str(), "0"]).set(0);
        ControllerMetrics { metrics: Arc::clone(self), kind: kind.to_owned(), name }
    }

    pub(crate) fn watch_queue(&self, kind: &str, queue: queue::Queue) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.push((kind.to_lowercase(), queue));
    }
}

/// How a pass ended, as `controller_runtime_reconcile_total` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassResult {
    Success,
    Error,
    Requeue,
    RequeueAfter,
}

/// Series of parts of Flux' runtime that this one does not have.
const ABSENT: [(&str, &str); 4] = [
    ("certwatcher_read_certificate_errors_total", "Total number of certificate read errors"),
    ("certwatcher_read_certificate_total", "Total number of certificate reads"),
    ("controller_runtime_conversion_webhook_panics_total", "Total number of conversion webhook panics"),
    ("controller_runtime_webhook_panics_total", "Total number of webhook panics"),
];

const RESULTS: [&str; 4] = ["success", "error", "requeue", "requeue_after"];

/// The series of one kind's controller.
#[derive(Clone)]
pub(crate) struct ControllerMetrics {
    metrics: Arc<Metrics>,
    kind: String,
    name: String,
}

impl ControllerMetrics {
    pub(crate) fn started(&self) {
        self.metrics.active_workers.with_label_values(&[&self.name]).inc();
    }

    pub(crate) fn finished(&self, result: PassResult, took: Duration) {
        let metrics = &self.metrics;
        let label = RESULTS[result as usize];
        metrics.active_workers.with_label_values(&[&self.name]).dec();
        metrics.reconcile_total.with_label_values(&[self.name.as_str(), label]).inc();
        metrics.reconcile_time.with_label_values(&[&self.name]).observe(took.as_secs_f64());
        if result == PassResult::Error {
            metrics.reconcile_errors.with_label_values(&[&self.name]).inc();
        }
    }

    pub(crate) fn stalled(&self) {
        self.metrics.terminal_errors.with_label_values(&[&self.name]).inc();
    }

    pub(crate) fn panicked(&self) {
        self.metrics.panics.with_label_values(&[&self.name]).inc();
    }

    pub(crate) fn duration(&self, key: &Key, took: Duration) {
        if self.metrics.per_object {
            let labels = self.object(key);
            self.metrics.reconcile_duration.with_label_values(&labels).observe(took.as_secs_f64());
        }
    }

    pub(crate) fn failed(&self, key: &Key) {
        if self.metrics.per_object {
            let labels = self.object(key);
            self.metrics.reconcile_errors_by_object.with_label_values(&labels).inc();
        }
    }

    /// Records an object's Ready condition, suspension and facts.
    pub(crate) fn observe(
        &self,
        key: &Key,
        object: &serde_json::Value,
        api: (&str, &str),
        ready: &str,
        suspended: bool,
    ) {
        if !self.metrics.per_object {
            return;
        }
        for status in ["True", "False", "Unknown"] {
            let labels = [self.kind.as_str(), &key.name, &key.namespace, "Ready", status];
            let value = f64::from(u8::from(status == ready));
            self.metrics.reconcile_condition.with_label_values(&labels).set(value);
        }
        let labels = self.object(key);
        self.metrics.suspend_status.with_label_values(&labels).set(suspended.into());
        let facts = resource_info::facts(object, &self.kind, api, ready, suspended);
        self.metrics.resource_info.set(&self.kind, key, facts);
    }

    /// Removes the series of an object that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        let metrics = &self.metrics;
        let labels = self.object(key);
        // Removing what is not there is fine.
        let _ = metrics.reconcile_duration.remove_label_values(&labels);
        let _ = metrics.suspend_status.remove_label_values(&labels);
        let _ = metrics.reconcile_errors_by_object.remove_label_values(&labels);
        for status in ["True", "False", "Unknown", "Deleted"] {
            let labels = [self.kind.as_str(), &key.name, &key.namespace, "Ready", status];
            let _ = metrics.reconcile_condition.remove_label_values(&labels);
        }
        self.forget_token_cache_events(key);
        metrics.resource_info.remove(&self.kind, key);
    }

    fn forget_token_cache_events(&self, key: &Key) {
        let events = &self.metrics.token_cache_events;
        for family in events.collect() {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value())
                };
                let of_object = (label("kind"), label("name"), label("namespace"));
                if of_object == (self.kind.as_str(), key.name.as_str(), key.namespace.as_str()) {
                    let labels =
                        [label("event_type"), &self.kind, &key.name, &key.namespace, label("operation")];
                    let _ = events.remove_label_values(&labels);
                }
            }
        }
    }

    fn object<'a>(&'a self, key: &'a Key) -> [&'a str; 3] {
        [&self.kind, &key.name, &key.namespace]
    }

    fn queue(&self) -> [&str; 2] {
        [&self.name, &self.name]
    }
}

impl queue::Observer for ControllerMetrics {
    fn added(&self) {
        self.metrics.queue_adds.with_label_values(&self.queue()).inc();
    }

    fn retried(&self) {
        self.metrics.queue_retries.with_label_values(&self.queue()).inc();
    }

    fn taken(&self, waited: Duration) {
        self.metrics.queue_duration.with_label_values(&self.queue()).observe(waited.as_secs_f64());
    }

    fn finished(&self, took: Duration) {
        self.metrics.work_duration.with_label_values(&self.queue()).observe(took.as_secs_f64());
    }

    fn depth(&self, priority: i32, depth: usize) {
        let priority = priority.to_string();
        let labels = [self.name.as_str(), self.name.as_str(), priority.as_str()];
        self.metrics.queue_depth.with_label_values(&labels).set(depth as i64);
    }
}

const RECONCILE_TIME: [f64; 40] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25,
    1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0,
    50.0, 60.0,
];

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauge(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: Vec<f64>,
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(name, help).buckets(buckets);
    register(registry, HistogramVec::new(options, labels)?)
}

fn cache_event(hit: bool) -> &'static str {
    if hit { "cache_hit" } else { "cache_miss" }
}

/// The bounds of reconcile durations: ten steps from 10 ms to half an hour.
fn duration_bucket(step: i32) -> f64 {
    0.01 * (1800.0f64 / 0.01).powf(1.0 / 9.0).powi(step)
}

/// Names and values of labels, in order.
pub(crate) type Labels = BTreeMap<&'static str, String>;

#[cfg(test)]
mod tests;
