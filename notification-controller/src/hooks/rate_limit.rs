//! How many calls of a receiver are accepted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use fluxide_runtime::Key;

/// How many receivers are remembered.
const CAPACITY: usize = 10_000;

/// A bucket of tokens for each receiver, filled at a steady rate.
pub struct RateLimit {
    per_second: f64,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// A number of calls per second; 0 is any.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Whether another call is accepted.
    pub fn take(&self, receiver: &Key) -> bool {
        self.take_at(receiver, Instant::now())
    }

    fn take_at(&self, receiver: &Key, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CAPACITY {
            buckets.retain(|_, bucket| now.duration_since(bucket.filled).as_secs() < 1);
        }
        let full = Bucket { tokens: self.per_second, filled: now };
        let bucket = buckets.entry(receiver.clone()).or_insert(full);
        let gained = now.duration_since(bucket.filled).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(self.per_second);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_a_second_worth_of_calls() {
        let (limit, a, b) = (RateLimit::new(2), Key::new("n", "a"), Key::new("n", "b"));
        let start = Instant::now();
        let taken: Vec<bool> = (0..3).map(|_| limit.take_at(&a, start)).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(limit.take_at(&b, start));
        assert!(limit.take_at(&a, start + Duration::from_millis(500)));
        assert!(RateLimit::new(0).take(&a));
    }
}
