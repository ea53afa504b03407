//! Tokens kept for most of their life.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use ring::digest::{Context, SHA256};

use crate::Token;

/// Everything that decides which token is right: two identities never share a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of parts in their order. Each part counts with its length, so that none can pass for two.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        CacheKey(key)
    }
}

/// Who wants to know what the cache does.
pub trait CacheEvents: Send + Sync {
    /// A token was there.
    fn hit(&self);
    /// A token was not there.
    fn miss(&self);
    /// A token was asked for, and there was one in the end.
    fn request(&self, success: bool);
    /// Tokens made room.
    fn evicted(&self, count: usize);
    /// How many tokens are kept now.
    fn size(&self, count: usize);
}

/// Nobody wants to know.
pub struct Unobserved;

impl CacheEvents for Unobserved {
    fn hit(&self) {}
    fn miss(&self) {}
    fn request(&self, _success: bool) {}
    fn evicted(&self, _count: usize) {}
    fn size(&self, _count: usize) {}
}

/// A bounded cache of tokens. Cloning gives a handle to the same cache.
#[derive(Clone)]
pub struct TokenCache {
    max_size: usize,
    max_duration: Duration,
    entries: Arc<Mutex<HashMap<CacheKey, Entry>>>,
    /// Held by whoever makes the token of a key, so that others who want it wait instead of making another.
    making: Arc<Mutex<HashMap<CacheKey, Weak<tokio::sync::Mutex<()>>>>>,
}

struct Entry {
    token: Token,
    /// The clock may be set back; the time since the start of the process may not.
    until: Instant,
    until_by_clock: SystemTime,
    used: Instant,
}

impl TokenCache {
    /// A cache of so many tokens, each for 80 % of its life but no longer than `max_duration`. Keeps nothing with size 0.
    pub fn new(max_size: usize, max_duration: Duration) -> Self {
        TokenCache { max_size, max_duration, entries: Arc::default(), making: Arc::default() }
    }

    /// The token of a key, made anew if there is none that still lives. Those who want the same one at the same time
    /// wait for the first of them.
    pub async fn get<F, E>(
        &self,
        key: CacheKey,
        events: &dyn CacheEvents,
        make: impl FnOnce() -> F,
    ) -> Result<Token, E>
    where
        F: Future<Output = Result<Token, E>>,
    {
        if let Some(token) = self.find(&key) {
            events.hit();
            events.request(true);
            return Ok(token);
        }
        if self.max_size == 0 {
            let token = make().await;
            events.request(token.is_ok());
            return token;
        }
        let turn = self.turn(&key);
        let _turn = turn.lock().await;
        if let Some(token) = self.find(&key) {
            events.hit();
            events.request(true);
            return Ok(token);
        }
        events.miss();
        let token = make().await;
        events.request(token.is_ok());
        let token = token?;
        self.insert(key, token.clone(), events);
        Ok(token)
    }

    fn turn(&self, key: &CacheKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = making.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        making.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    fn find(&self, key: &CacheKey) -> Option<Token> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(key)?;
        if now >= entry.until || SystemTime::now() >= entry.until_by_clock {
            entries.remove(key);
            return None;
        }
        entry.used = now;
        Some(entry.token.clone())
    }

    fn insert(&self, key: CacheKey, token: Token, events: &dyn CacheEvents) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let life = token.expires.duration_since(clock).unwrap_or_default().mul_f64(0.8);
        let life = life.min(self.max_duration);
        if self.max_size == 0 || life.is_zero() {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|_, entry| now < entry.until);
        while entries.len() >= self.max_size {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            entries.remove(&oldest);
        }
        events.evicted(before - entries.len());
        entries.insert(key, Entry { token, until: now + life, until_by_clock: clock + life, used: now });
        events.size(entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuthError;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counts {
        hits: AtomicUsize,
        evicted: AtomicUsize,
        size: AtomicUsize,
    }

    impl CacheEvents for Counts {
        fn hit(&self) {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        fn miss(&self) {}
        fn request(&self, _success: bool) {}
        fn evicted(&self, count: usize) {
            self.evicted.fetch_add(count, Ordering::Relaxed);
        }
        fn size(&self, count: usize) {
            self.size.store(count, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn tokens_live_for_most_of_their_life_and_room_is_bounded() {
        let counts = Counts::default();
        let cache = TokenCache::new(2, Duration::from_secs(3600));
        let get = async |name: &str, life: u64| {
            let made = AtomicUsize::new(0);
            let key = CacheKey::of([name.as_bytes()]);
            let make = || async {
                made.fetch_add(1, Ordering::Relaxed);
                let expires = SystemTime::now() + Duration::from_millis(life);
                Ok::<_, AuthError>(Token { secret: name.to_owned(), expires })
            };
            cache.get(key, &counts, make).await.unwrap();
            made.into_inner() == 1
        };
        assert!(get("a", 100_000).await);
        assert!(!get("a", 100_000).await);
        assert!(get("b", 100_000).await);
        assert!(!get("a", 100_000).await);
        // The least recently used one makes room.
        assert!(get("c", 100_000).await);
        assert!(!get("a", 100_000).await);
        assert!(get("b", 100_000).await);
        assert_eq!(counts.evicted.load(Ordering::Relaxed), 2);
        assert_eq!(counts.size.load(Ordering::Relaxed), 2);
        assert!(get("short", 50).await);
        tokio::time::sleep(Duration::from_millis(45)).await;
        assert!(get("short", 50).await, "80 % of its life is over");
        assert_eq!(counts.hits.load(Ordering::Relaxed), 3);

        let none = TokenCache::new(0, Duration::from_secs(3600));
        let key = CacheKey::of([b"x".as_slice()]);
        let expires = SystemTime::now() + Duration::from_secs(60);
        let make = || async { Ok::<_, AuthError>(Token { secret: String::new(), expires }) };
        none.get(key.clone(), &counts, make).await.unwrap();
        assert!(none.find(&key).is_none());
        let joined = CacheKey::of([b"ab".as_slice(), b"c"]);
        assert_ne!(joined, CacheKey::of([b"a".as_slice(), b"bc"]));
    }

    #[tokio::test]
    async fn who_wants_the_same_token_at_once_waits_for_one() {
        let cache = TokenCache::new(10, Duration::from_secs(3600));
        let (counts, made) = (Counts::default(), AtomicUsize::new(0));
        let want = async |name: &str| {
            let make = || async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                made.fetch_add(1, Ordering::Relaxed);
                let expires = SystemTime::now() + Duration::from_secs(60);
                Ok::<_, AuthError>(Token { secret: name.to_owned(), expires })
            };
            cache.get(CacheKey::of([name.as_bytes()]), &counts, make).await.unwrap().secret
        };
        let all = tokio::join!(want("a"), want("a"), want("b"), want("a"));
        assert_eq!((all.0.as_str(), all.2.as_str()), ("a", "b"));
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert_eq!(counts.hits.load(Ordering::Relaxed), 2);
        assert!(cache.making.lock().unwrap().len() <= 2);
    }
}
