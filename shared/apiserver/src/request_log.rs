//! Counts of requests, for tests and benchmarks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKey {
    /// `get`, `list`, `watch`, `patch`, ...
    pub verb: String,
    /// `deployments.apps`, with `/status` for a subresource; a path for requests that are about no resource.
    pub resource: String,
    /// The `User-Agent` up to its first `/`.
    pub user_agent: String,
}

/// Counts of requests by verb, resource and user agent.
#[derive(Debug, Default)]
pub struct RequestLog {
    counts: Mutex<BTreeMap<RequestKey, u64>>,
}

const MOST_KEYS: usize = 10_000;

impl RequestLog {
    /// Counts one request.
    pub(crate) fn record(&self, key: RequestKey) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < MOST_KEYS || counts.contains_key(&key) {
            *counts.entry(key).or_insert(0) += 1;
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> BTreeMap<RequestKey, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sum of the counts whose key `wanted` accepts.
    pub fn total(&self, wanted: impl Fn(&RequestKey) -> bool) -> u64 {
        self.counts().iter().filter(|(k, _)| wanted(k)).map(|(_, n)| n).sum()
    }

    /// Starts again from nothing.
    pub fn reset(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
