//! Requests that are tried again, by a server that counts them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{alert, event, settings};
use crate::notifier::http::Clients;
use crate::notifier::policy::AddressPolicy;
use crate::notifier::*;

#[derive(Clone, Default)]
struct Counts {
    calls: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<String>>>,
}

/// Answers with the status in the path; from the third call on with 200 if the path says so.
async fn answer(
    State(counts): State<Counts>,
    Path((status, mends)): Path<(u16, String)>,
    body: String,
) -> Response {
    let number = counts.calls.fetch_add(1, Ordering::Relaxed) + 1;
    counts.bodies.lock().unwrap().push(body);
    if mends == "mends" && number > 2 {
        return StatusCode::OK.into_response();
    }
    let status = StatusCode::from_u16(status).unwrap();
    match status.as_u16() {
        429 | 503 => (status, [("retry-after", "1")], "wait").into_response(),
        _ => (status, "no").into_response(),
    }
}

async fn server() -> (String, Counts) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let counts = Counts::default();
    let router = axum::Router::new()
        .route("/{status}/{mends}", axum::routing::post(answer))
        .with_state(counts.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, counts)
}

async fn sent(address: String, timeout: &str) -> Result<(), String> {
    let connections = Connections {
        clients: Clients::new(AddressPolicy::default()),
        tokens: TokenCache::new(0, Duration::ZERO, None),
        cluster: None,
        posted: Posted::default(),
        identities: Identities::of_process(String::new()),
    };
    let alert = alert();
    let event = event();
    let message = Message { event: &event, alert: &alert, status_id: "" };
    let settings = settings(json!({"type": "generic", "address": address, "timeout": timeout}), &[]);
    send(&connections, &settings, &message).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_work_later_is_tried_again_and_nothing_else() {
    for status in [400, 401, 403, 404, 501] {
        let (address, counts) = server().await;
        let refused = sent(format!("{address}/{status}/never"), "10s").await.unwrap_err();
        assert_eq!(
            refused,
            format!("postMessage failed: request failed: request failed with status code {status}: no")
        );
        assert_eq!(counts.calls.load(Ordering::Relaxed), 1, "{status}");
    }
    let (address, counts) = server().await;
    let started = Instant::now();
    assert_eq!(sent(format!("{address}/429/mends"), "10s").await, Ok(()));
    assert_eq!(counts.calls.load(Ordering::Relaxed), 3);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "as Retry-After says: {took:?}");
    let bodies = counts.bodies.lock().unwrap().clone();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeout_of_the_provider_is_for_all_tries_together() {
    let (address, counts) = server().await;
    let started = Instant::now();
    let error = sent(format!("{address}/500/never"), "3s").await.unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(counts.calls.load(Ordering::Relaxed), 2);
    assert_eq!(
        error,
        format!(
            "postMessage failed: failed to execute request: POST {address}/500/never giving up after 2 attempt(s): request failed with status code 500: no"
        )
    );
}
