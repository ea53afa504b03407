//! The series about deliveries.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets,
};

use super::queue::Queue;
use super::sender::Outcome;

/// Counts what is sent, dropped and failed.
#[derive(Clone)]
pub struct DeliveryMetrics {
    sent: IntCounterVec,
    dropped: IntCounterVec,
    duration: HistogramVec,
    waiting: IntGauge,
    bytes: IntGauge,
    log_failures: IntCounter,
}

impl DeliveryMetrics {
    /// Registers the series.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            sent: IntCounterVec::new(
                Opts::new(
                    "gotk_notification_sent_total",
                    "The number of attempts to send a notification, by what came of them.",
                ),
                &["provider_type", "result"],
            )?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "gotk_notification_dropped_total",
                    "The number of notifications that were given up.",
                ),
                &["reason"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "gotk_notification_send_duration_seconds",
                    "The duration in seconds of an attempt to send a notification.",
                )
                .buckets(exponential_buckets(0.01, 3.0, 9)?),
                &["provider_type"],
            )?,
            waiting: IntGauge::new(
                "gotk_notification_queue_length",
                "The number of notifications that wait or are on their way.",
            )?,
            bytes: IntGauge::new(
                "gotk_notification_queue_bytes",
                "The size of the notifications that wait or are on their way.",
            )?,
            log_failures: IntCounter::new(
                "gotk_notification_queue_write_failures_total",
                "The number of writes of the queue to disk that failed.",
            )?,
        };
        registry.register(Box::new(metrics.sent.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.log_failures.clone()))?;
        Ok(metrics)
    }

    pub(super) fn tried(&self, outcome: &Outcome, duration: Duration) {
        let result = match &outcome.failure {
            None if outcome.skipped => return,
            None => "success",
            Some(failure) if failure.transient => "retry",
            Some(_) => {
                self.dropped("refused");
                "failure"
            }
        };
        self.sent.with_label_values(&[outcome.provider_type.as_str(), result]).inc();
        self.duration.with_label_values(&[outcome.provider_type.as_str()]).observe(duration.as_secs_f64());
    }

    pub(super) fn dropped(&self, reason: &str) {
        self.dropped.with_label_values(&[reason]).inc();
    }

    pub(super) fn waiting(&self, queue: &Queue) {
        self.waiting.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(queue.bytes()).unwrap_or(i64::MAX));
    }

    pub(super) fn log_failed(&self) {
        self.log_failures.inc();
    }
}
