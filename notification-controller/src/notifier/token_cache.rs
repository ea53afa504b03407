//! Tokens that others were exchanged for, kept until most of their life is over.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fluxide_runtime::{Key, Metrics};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The operation that tokens are for, as the metrics call it.
const OPERATION: &str = "post";
/// The longest that any token is kept.
const LONGEST: Duration = Duration::from_secs(3600);

/// A token with what belongs to it.
#[derive(Clone)]
pub struct Token {
    /// The token.
    pub secret: String,
    /// When it stops to be accepted.
    pub expires: Timestamp,
    /// What else was learned with it, such as the login it stands for.
    pub login: String,
}

/// Keeps the tokens used last. Cloning shares them.
#[derive(Clone)]
pub struct TokenCache {
    size: usize,
    longest: Duration,
    metrics: Option<Arc<Metrics>>,
    tokens: Arc<Mutex<HashMap<[u8; 32], Kept>>>,
}

struct Kept {
    token: Token,
    until: Timestamp,
    used: Timestamp,
}

impl TokenCache {
    /// A cache of that many tokens, none of which is kept longer than that.
    pub fn new(size: usize, longest: Duration, metrics: Option<Arc<Metrics>>) -> Self {
        Self { size, longest: longest.min(LONGEST), metrics, tokens: Arc::default() }
    }

    /// The token for these credentials, from the cache or newly made. `parts` must name everything the
    /// token depends on.
    pub async fn get<E>(
        &self,
        provider: &Key,
        parts: &[&[u8]],
        make: impl Future<Output = Result<Token, E>>,
    ) -> Result<Token, E> {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let id: [u8; 32] = digest.finalize().into();
        let now = Timestamp::now();
        let found = self.lookup(&id, now);
        if let Some(metrics) = self.metrics.as_ref().filter(|_| self.size > 0) {
            metrics.count_token_cache_event(found.is_some(), "Provider", provider, OPERATION);
            metrics.count_token_cache_request(true);
        }
        if let Some(token) = found {
            return Ok(token);
        }
        let token = make.await?;
        self.keep(id, &token, now);
        Ok(token)
    }

    fn lookup(&self, id: &[u8; 32], now: Timestamp) -> Option<Token> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = tokens.get_mut(id).filter(|kept| kept.until > now)?;
        kept.used = now;
        Some(kept.token.clone())
    }

    fn keep(&self, id: [u8; 32], token: &Token, now: Timestamp) {
        if self.size == 0 {
            return;
        }
        let life = Duration::try_from(token.expires.duration_since(now)).unwrap_or_default();
        let until = now + life.mul_f64(0.8).min(self.longest);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, kept| kept.until > now);
        if tokens.len() >= self.size
            && let Some(oldest) = tokens.iter().min_by_key(|(_, kept)| kept.used).map(|(id, _)| *id)
        {
            tokens.remove(&oldest);
            if let Some(metrics) = &self.metrics {
                metrics.count_token_cache_evictions(1);
            }
        }
        tokens.insert(id, Kept { token: token.clone(), until, used: now });
        if let Some(metrics) = &self.metrics {
            metrics.set_cached_tokens(tokens.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str, seconds: i64) -> Result<Token, ()> {
        let expires = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        Ok(Token { secret: secret.to_owned(), expires, login: String::new() })
    }

    #[tokio::test]
    async fn a_token_is_made_once_and_the_oldest_goes() {
        let cache = TokenCache::new(2, Duration::from_secs(7200), None);
        let provider = Key::new("n", "p");
        let get = async |part: &str, secret: &str, life| {
            let made = std::future::ready(token(secret, life));
            cache.get(&provider, &[part.as_bytes()], made).await.unwrap().secret
        };
        assert_eq!(get("a", "1", 600).await, "1");
        assert_eq!(get("a", "2", 600).await, "1");
        assert_eq!(get("b", "3", 600).await, "3");
        assert_eq!(get("c", "4", 600).await, "4");
        assert_eq!(get("a", "5", 600).await, "5");
        assert_eq!(get("d", "6", 0).await, "6");
        assert_eq!(get("d", "7", 0).await, "7");
    }
}
