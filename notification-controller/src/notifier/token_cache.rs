//! Tokens that others were exchanged for, kept for the providers that they are of.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fluxide_auth::{CacheEvents, CacheKey, Token, Unobserved};
use fluxide_runtime::metrics::TokenEvents;
use fluxide_runtime::{Key, Metrics};

/// The operation that tokens are for, as the metrics call it.
const OPERATION: &str = "post";
/// The longest that any token is kept.
const LONGEST: Duration = Duration::from_secs(3600);

/// Keeps the tokens used last. Cloning shares them.
#[derive(Clone)]
pub struct TokenCache {
    tokens: fluxide_auth::TokenCache,
    metrics: Option<Arc<Metrics>>,
}

impl TokenCache {
    /// A cache of that many tokens, none of which is kept longer than that.
    pub fn new(size: usize, longest: Duration, metrics: Option<Arc<Metrics>>) -> Self {
        // Without a cache there is nothing to count.
        let metrics = metrics.filter(|_| size > 0);
        Self { tokens: fluxide_auth::TokenCache::new(size, longest.min(LONGEST)), metrics }
    }

    /// The token for these credentials, from the cache or newly made. `parts` must name everything the
    /// token depends on.
    pub async fn get<E>(
        &self,
        provider: &Key,
        parts: &[&[u8]],
        make: impl Future<Output = Result<Token, E>>,
    ) -> Result<Token, E> {
        let key = CacheKey::of(parts.iter().copied());
        let events: Box<dyn CacheEvents> = match &self.metrics {
            Some(metrics) => {
                Box::new(TokenEvents::new(Arc::clone(metrics), "Provider", provider.clone(), OPERATION))
            }
            None => Box::new(Unobserved),
        };
        self.tokens.get(key, events.as_ref(), || make).await
    }
}
