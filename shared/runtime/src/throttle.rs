//! A limit on the rate of requests to an API server that has none of its own.

use http::Request;
use kube::{Client, client::Body};
use std::time::{Duration, Instant};
use tower::service_fn;

/// A bucket of tokens: one a request, refilled at a rate, up to a burst.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    last: Instant,
}

impl Bucket {
    fn new(rate: f64, burst: u32, now: Instant) -> Self {
        Self { rate, burst: f64::from(burst), tokens: f64::from(burst), last: now }
    }

    /// Takes a token, and says how long to wait for it.
    fn take(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.last).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst) - 1.0;
        self.last = now;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.rate) }
    }
}

/// The same client with at most `rate` requests a second, after a burst. A rate of 0 or less, or no
/// number, is no limit.
pub(crate) fn throttled(client: Client, rate: f64, burst: u32) -> Client {
    if !rate.is_finite() || rate <= 0.0 {
        return client;
    }
    let namespace = client.default_namespace().to_owned();
    let mut bucket = Bucket::new(rate, burst.max(1), Instant::now());
    let service = service_fn(move |request: Request<Body>| {
        let wait = bucket.take(Instant::now());
        let client = client.clone();
        async move {
            tokio::time::sleep(wait).await;
            client.send(request).await
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let mut bucket = Bucket::new(50.0, 3, now);
        let waits: Vec<u128> = (0..5).map(|_| bucket.take(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 20, 40]);
        let later = now + Duration::from_secs(10);
        assert_eq!(bucket.take(later), Duration::ZERO);
    }
}
