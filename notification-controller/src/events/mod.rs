//! The server that the other controllers post their events to.

pub mod dispatch;
mod go_regex;
pub mod incoming;
mod matching;
mod metadata;
mod rate_limit;
mod volatile;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fluxide_runtime::Key;
use fluxide_runtime::events::Event;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::timeout;

pub use dispatch::{Dispatched, Dispatcher};
pub use matching::Matcher;

use crate::delivery::Deliverer;
use crate::http_server::{Answer, Call, empty, plain};
use rate_limit::{RateLimit, Verdict};

/// How long selecting alerts for an event may take.
const HANDLING_TIMEOUT: Duration = Duration::from_secs(15);

/// Receives events, selects alerts for them and passes them on to be delivered.
pub struct EventServer {
    rate_limit: Mutex<RateLimit>,
    ignore_volatile: bool,
    matcher: Matcher,
    dispatcher: Dispatcher,
    deliverer: Deliverer,
    ready: Ready,
}

/// Waits until alerts and providers are known.
pub type Ready = Box<dyn Fn() -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

impl EventServer {
    /// A server that lets an event of one kind pass once per interval. With `ignore_volatile` times, ids and the like make
    /// no difference between messages.
    pub fn new(
        interval: Duration,
        ignore_volatile: bool,
        matcher: Matcher,
        dispatcher: Dispatcher,
        deliverer: Deliverer,
        ready: Ready,
    ) -> Self {
        let rate_limit = Mutex::new(RateLimit::new(interval, Timestamp::now()));
        Self { rate_limit, ignore_volatile, matcher, dispatcher, deliverer, ready }
    }

    /// Answers a call: 202 for every event that is not a duplicate, once it is sure to be delivered.
    pub async fn answer(self: Arc<Self>, call: Call) -> Answer {
        let event = match incoming::decode(&call.body) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(logger = "event-server", error = %error, "decoding the request body failed");
                return empty(StatusCode::BAD_REQUEST);
            }
        };
        if timeout(HANDLING_TIMEOUT, (self.ready)()).await.is_err() {
            tracing::error!(logger = "event-server", error = "the alerts are not known yet", "event refused");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        let verdict = self.take(&event);
        if !verdict.first {
            tracing::debug!(
                logger = "event-server",
                object = dispatch::object_path(&event),
                "Discarding event, rate limiting duplicate events"
            );
            let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n");
            limits(answer.headers_mut(), verdict);
            if let Some(date) = http_date(verdict.reset) {
                answer.headers_mut().insert(header::RETRY_AFTER, date);
            }
            return answer;
        }
        // A caller that hangs up does not take the event with it.
        let server = Arc::clone(&self);
        let handled = tokio::spawn(async move { server.handle(event).await });
        if let Err(error) = handled.await {
            tracing::error!(logger = "event-server", error = %error, "handling the event failed");
        }
        let mut answer: Response<_> = empty(StatusCode::ACCEPTED);
        limits(answer.headers_mut(), verdict);
        answer
    }

    fn take(&self, event: &Event) -> Verdict {
        let identity = incoming::identity(event, self.ignore_volatile);
        let mut limit = self.rate_limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.take(identity, Timestamp::now())
    }

    async fn handle(&self, event: Event) {
        let object = dispatch::object_path(&event);
        let Ok(alerts) = timeout(HANDLING_TIMEOUT, self.matcher.alerts_for(&event)).await else {
            tracing::error!(
                logger = "event-server",
                object,
                error = "deadline exceeded",
                "failed to list alerts"
            );
            return;
        };
        if alerts.is_empty() {
            tracing::info!(
                logger = "event-server",
                object,
                "discarding event, no alerts found for the involved object"
            );
            return;
        }
        tracing::info!(
            logger = "event-server",
            object,
            message = event.message.as_str(),
            "dispatching event"
        );
        let (mut deliveries, mut no_commit, mut no_change_request) = (Vec::new(), Vec::new(), Vec::new());
        for alert in &alerts {
            match self.dispatcher.dispatch(&event, alert).await {
                Dispatched::Delivery(delivery) => deliveries.push(*delivery),
                Dispatched::Skipped => {}
                Dispatched::NoCommit => no_commit.push(Key::of(alert.as_ref()).to_string()),
                Dispatched::NoChangeRequest => no_change_request.push(Key::of(alert.as_ref()).to_string()),
            }
        }
        if !no_commit.is_empty() {
            tracing::info!(
                logger = "event-server",
                object,
                alerts = ?no_commit,
                "event dropped for commit status providers due to missing commit metadata key"
            );
        }
        if !no_change_request.is_empty() {
            tracing::info!(
                logger = "event-server",
                object,
                alerts = ?no_change_request,
                "event dropped for change request providers due to missing change request metadata key"
            );
        }
        self.deliverer.accept(deliveries);
    }
}

fn limits(headers: &mut HeaderMap, verdict: Verdict) {
    headers.insert("x-ratelimit-limit", HeaderValue::from_static("1"));
    headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
    if let Some(date) = http_date(verdict.reset) {
        headers.insert("x-ratelimit-reset", date);
    }
}

fn http_date(time: Timestamp) -> Option<HeaderValue> {
    let text = time.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S UTC").to_string();
    HeaderValue::from_str(&text.replace("UTC", "GMT")).ok()
}
