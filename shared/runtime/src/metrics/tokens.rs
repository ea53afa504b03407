//! What a cache of tokens tells, as series.

use std::sync::Arc;

use fluxide_auth::CacheEvents;

use super::Metrics;
use crate::key::Key;

/// Counts what happens to the tokens of one object.
pub struct TokenEvents {
    metrics: Arc<Metrics>,
    kind: &'static str,
    key: Key,
    operation: &'static str,
}

impl TokenEvents {
    /// For an object and an operation on it.
    pub fn new(metrics: Arc<Metrics>, kind: &'static str, key: Key, operation: &'static str) -> Self {
        Self { metrics, kind, key, operation }
    }
}

impl CacheEvents for TokenEvents {
    fn hit(&self) {
        self.metrics.count_token_cache_event(true, self.kind, &self.key, self.operation);
    }

    fn miss(&self) {
        self.metrics.count_token_cache_event(false, self.kind, &self.key, self.operation);
    }

    fn request(&self, success: bool) {
        self.metrics.count_token_cache_request(success);
    }

    fn evicted(&self, count: usize) {
        self.metrics.count_token_cache_evictions(count as u64);
    }

    fn size(&self, count: usize) {
        self.metrics.set_cached_tokens(count);
    }
}
