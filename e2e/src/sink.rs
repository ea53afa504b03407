//! A service that notifications are sent to: it keeps the bodies it receives, and can be made to fail.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};

use crate::wait::DEADLINE;

/// A body that was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path it was sent to.
    pub path: String,
    /// The body.
    pub body: Bytes,
    /// When it arrived.
    pub at: std::time::Instant,
}

/// A service on loopback; everything but `/dead` is answered with 200.
#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    received: Mutex<Vec<Received>>,
    broken: AtomicBool,
    refused: AtomicUsize,
}

impl Sink {
    /// Starts it.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let (address, kept) = (listener.local_addr()?, Arc::<Kept>::default());
        let router = axum::Router::new().fallback(receive).with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, kept })
    }

    /// The address of a path, which begins with a slash. What is sent below `/dead` is never answered.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on everything is answered with 503, or as usual again.
    pub fn set_broken(&self, broken: bool) {
        self.kept.broken.store(broken, Ordering::Relaxed);
    }

    /// How often it has answered with 503.
    pub fn refused(&self) -> usize {
        self.kept.refused.load(Ordering::Relaxed)
    }

    /// What was received and answered with 200.
    pub fn received(&self) -> Vec<Received> {
        self.kept.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much was received and answered with 200.
    pub fn count(&self) -> usize {
        self.kept.received.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until what was received meets a condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Received]) -> bool) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + DEADLINE;
        while tokio::time::Instant::now() < end {
            if condition(&self.received()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let last: Vec<_> = self.received().into_iter().rev().take(3).collect();
        bail!("not {what} after {DEADLINE:?}; of {} the last are {last:?}", self.count())
    }
}

async fn receive(State(kept): State<Arc<Kept>>, uri: Uri, body: Bytes) -> StatusCode {
    if uri.path().starts_with("/dead") {
        std::future::pending::<()>().await;
    }
    if kept.broken.load(Ordering::Relaxed) {
        kept.refused.fetch_add(1, Ordering::Relaxed);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let received = Received { path: uri.path().to_owned(), body, at: std::time::Instant::now() };
    kept.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    StatusCode::OK
}
