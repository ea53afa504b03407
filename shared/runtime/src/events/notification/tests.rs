//! Sending against a receiver that answers as told.

use super::super::InvolvedObject;
use super::*;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use std::collections::BTreeMap;
use tokio::{net::TcpListener, time::timeout};

const IMPATIENT: Patience = Patience {
    try_timeout: Duration::from_secs(2),
    retries: 4,
    min_delay: Duration::from_millis(1),
    max_delay: Duration::from_millis(4),
};

fn event(message: &str) -> Arc<Event> {
    Arc::new(Event {
        involved_object: InvolvedObject::default(),
        severity: "info".into(),
        timestamp: "2026-08-03T09:14:12Z".into(),
        message: message.into(),
        reason: "Progressing".into(),
        metadata: BTreeMap::new(),
        reporting_controller: "test".into(),
        reporting_instance: String::new(),
    })
}

#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<u16>>>,
    received: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// A receiver with these answers, then 202 for ever, and its address.
    async fn start(answers: &[u16]) -> (Self, String) {
        let receiver = Self::default();
        receiver.answers.lock().unwrap().extend(answers);
        let routes = Router::new().route("/", post(answer)).with_state(receiver.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, address)
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

async fn answer(State(receiver): State<Receiver>, Json(event): Json<Event>) -> StatusCode {
    receiver.received.lock().unwrap().push(event.message);
    let answer = receiver.answers.lock().unwrap().pop_front();
    StatusCode::from_u16(answer.unwrap_or(202)).unwrap()
}

async fn send_all(address: &str, messages: &[&str]) -> Arc<Metrics> {
    let metrics = Metrics::new(true).unwrap();
    let (sender, sink) = start_with(address, Arc::clone(&metrics), IMPATIENT).unwrap();
    for message in messages {
        sender.send(event(message));
    }
    timeout(Duration::from_secs(10), sink.flush()).await.unwrap();
    metrics
}

#[tokio::test]
async fn events_arrive_in_order() {
    let (receiver, address) = Receiver::start(&[]).await;
    send_all(&address, &["a", "b", "c"]).await;
    assert_eq!(receiver.received(), ["a", "b", "c"]);
}

#[tokio::test]
async fn server_errors_are_tried_again_four_times() {
    let (receiver, address) = Receiver::start(&[500, 502, 503, 500]).await;
    send_all(&address, &["a", "b"]).await;
    assert_eq!(receiver.received(), ["a", "a", "a", "a", "a", "b"]);
    let (receiver, address) = Receiver::start(&[500; 5]).await;
    send_all(&address, &["lost", "b"]).await;
    assert_eq!(receiver.received(), ["lost", "lost", "lost", "lost", "lost", "b"]);
}

#[tokio::test]
async fn rate_limits_and_refusals_are_not_tried_again() {
    let (receiver, address) = Receiver::start(&[429, 400]).await;
    send_all(&address, &["limited", "refused", "c"]).await;
    assert_eq!(receiver.received(), ["limited", "refused", "c"]);
}

#[tokio::test]
async fn with_nobody_listening_sending_is_instant_and_the_oldest_go_first() {
    let metrics = Metrics::new(true).unwrap();
    let patience = Patience { min_delay: Duration::from_secs(60), ..IMPATIENT };
    let address = "http://127.0.0.1:9";
    let (sender, sink) = start_with(address, Arc::clone(&metrics), patience).unwrap();
    let since = std::time::Instant::now();
    for n in 0..CAPACITY + 10 {
        sender.send(event(&n.to_string()));
    }
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(metrics.dropped_events.with_label_values(&["notification"]).get(), 10);
    assert_eq!(sender.shared.lock().events[0].message, "10");
    assert!(timeout(Duration::from_millis(50), sink.flush()).await.is_err());
}

#[test]
fn an_address_must_be_an_http_url() {
    for address in ["notification-controller", "ftp://host/", "http://"] {
        let metrics = Metrics::new(true).unwrap();
        assert!(start(address, metrics).is_err(), "{address}");
    }
}
