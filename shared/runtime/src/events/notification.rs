//! The way of events to the notification controller: HTTP POST from a bounded queue.
//!
//! When the receiver is slow or gone the oldest events are dropped and counted; a reconcile never
//! waits. One event is sent at a time, so an object's events arrive in order.

use super::Event;
use crate::metrics::Metrics;
use reqwest::{StatusCode, Url, header::CONTENT_TYPE};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};

const CAPACITY: usize = 1000;

/// How often and how long an event is tried.
#[derive(Clone, Copy, Debug)]
struct Patience {
    try_timeout: Duration,
    retries: u32,
    min_delay: Duration,
    max_delay: Duration,
}

const PATIENCE: Patience = Patience {
    try_timeout: Duration::from_secs(5),
    retries: 4,
    min_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(30),
};

/// An events address that is not an HTTP URL.
#[derive(Debug, thiserror::Error)]
#[error("--events-addr {address:?} is not an HTTP URL: {reason}")]
pub struct InvalidAddress {
    address: String,
    reason: String,
}

/// The filling end.
#[derive(Clone)]
pub(super) struct Sender {
    shared: Arc<Shared>,
}

/// The task that empties the queue.
pub(super) struct Sink {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    closed: bool,
}

/// Starts sending to an address.
pub(super) fn start(address: &str, metrics: Arc<Metrics>) -> Result<(Sender, Sink), InvalidAddress> {
    start_with(address, metrics, PATIENCE)
}

fn start_with(
    address: &str,
    metrics: Arc<Metrics>,
    patience: Patience,
) -> Result<(Sender, Sink), InvalidAddress> {
    let invalid = |reason: String| InvalidAddress { address: address.to_owned(), reason };
    let url = Url::parse(address).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("the scheme must be http or https".to_owned()));
    }
    crate::tls::install_provider();
    let client = reqwest::Client::builder()
        .timeout(patience.try_timeout)
        .build()
        .map_err(|error| invalid(error.to_string()))?;
    let shared = Arc::new(Shared { queue: Mutex::default(), changed: Notify::new(), metrics });
    let task = tokio::spawn(run(Arc::clone(&shared), client, url, patience));
    let sender = Sender { shared: Arc::clone(&shared) };
    Ok((sender, Sink { shared, task }))
}

impl Sender {
    /// Queues an event; the oldest goes when there are too many.
    pub(super) fn send(&self, event: Arc<Event>) {
        let mut queue = self.shared.lock();
        if queue.events.len() >= CAPACITY {
            queue.events.pop_front();
            self.shared.metrics.dropped_events.with_label_values(&["notification"]).inc();
        }
        queue.events.push_back(event);
        drop(queue);
        self.shared.changed.notify_one();
    }
}

impl Sink {
    /// Sends what is queued and ends. Dropping the future gives up on the rest.
    pub(super) async fn flush(self) {
        struct Abort(tokio::task::AbortHandle);
        impl Drop for Abort {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        let _abort = Abort(self.task.abort_handle());
        // It ends normally or is aborted; either way nothing is left to do.
        let _ = self.task.await;
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Option<Arc<Event>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut queue = self.lock();
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                if queue.closed {
                    return None;
                }
            }
            changed.await;
        }
    }
}

async fn run(shared: Arc<Shared>, client: reqwest::Client, url: Url, patience: Patience) {
    while let Some(event) = shared.next().await {
        if let Err(error) = post(&client, &url, &event, patience).await {
            tracing::error!(
                error,
                namespace = event.involved_object.namespace,
                name = event.involved_object.name,
                "unable to record event"
            );
        }
    }
}

async fn post(client: &reqwest::Client, url: &Url, event: &Event, patience: Patience) -> Result<(), String> {
    let body = go_json(event).map_err(|error| error.to_string())?;
    let mut attempt = 0;
    loop {
        let request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body.clone());
        let error = match request.send().await {
            Ok(response) => match response.status() {
                status if status.is_success() => return Ok(()),
                StatusCode::TOO_MANY_REQUESTS => return Ok(()),
                status if status.is_server_error() => format!("{} returned {status}", host(url)),
                status => return Err(format!("{} returned {status}", host(url))),
            },
            Err(error) => error.without_url().to_string(),
        };
        if attempt >= patience.retries {
            return Err(error);
        }
        sleep(patience.min_delay.saturating_mul(1 << attempt).min(patience.max_delay)).await;
        attempt += 1;
    }
}

/// JSON as Go writes it, with the characters escaped that mean something in HTML. They occur in strings alone.
fn go_json(event: &Event) -> serde_json::Result<String> {
    let json = serde_json::to_string(event)?;
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => escaped.push(other),
        }
    }
    Ok(escaped)
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("the events receiver")
}

#[cfg(test)]
mod tests;
