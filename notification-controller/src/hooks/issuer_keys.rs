//! Keys of issuers, fetched when needed and kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Url};
use serde::de::DeserializeOwned;

use super::jwt::Keys;
use crate::notifier::policy::{AddressPolicy, Resolver};

/// How long keys are kept when the answer does not say.
const DEFAULT_AGE: Duration = Duration::from_secs(300);
/// The longest that keys are kept.
const LONGEST_AGE: Duration = Duration::from_secs(3600);
/// The shortest time between two fetches for an unknown key.
const FLOOR: Duration = Duration::from_secs(60);
/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How many issuers are kept.
const CAPACITY: usize = 256;

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error("{0}")]
    Transport(String),
    /// Not the answer that was expected.
    #[error("{0}")]
    Answer(String),
}

/// Fetches documents and keeps what came of them. Cloning shares it.
pub struct Documents<T> {
    client: Client,
    policy: AddressPolicy,
    kept: Arc<Mutex<HashMap<String, Kept<T>>>>,
}

impl<T> Clone for Documents<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), policy: self.policy.clone(), kept: Arc::clone(&self.kept) }
    }
}

struct Kept<T> {
    document: Arc<T>,
    fetched: Instant,
    age: Duration,
}

/// An answer, and how long it may be kept.
pub struct Fetched<T> {
    /// The document.
    pub document: T,
    /// For how long.
    pub age: Duration,
}

impl<T> Documents<T> {
    /// Nothing kept yet; addresses are those that a policy allows.
    pub fn new(policy: AddressPolicy) -> Self {
        fluxide_runtime::tls::install_provider();
        let mut builder = Client::builder().timeout(TIMEOUT);
        // Issuers do not redirect in earnest; where addresses are restricted they must not.
        builder = match policy.restricts() {
            true => builder
                .redirect(reqwest::redirect::Policy::none())
                .dns_resolver(Arc::new(Resolver(policy.clone()))),
            false => builder.redirect(reqwest::redirect::Policy::limited(3)),
        };
        // The builder has nothing that could fail but the certificates of the system.
        Self { client: builder.build().unwrap_or_default(), policy, kept: Arc::default() }
    }

    /// What is kept under a name, unless it is too old.
    pub fn kept(&self, name: &str) -> Option<Arc<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(name).filter(|found| found.fetched.elapsed() < found.age)?;
        Some(Arc::clone(&found.document))
    }

    /// Whether it is too early to fetch again what is kept under a name.
    pub fn is_fresh(&self, name: &str) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).is_some_and(|found| found.fetched.elapsed() < FLOOR)
    }

    /// Keeps a document.
    pub fn keep(&self, name: &str, fetched: Fetched<T>) -> Arc<T> {
        let document = Arc::new(fetched.document);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY {
            kept.retain(|_, found| found.fetched.elapsed() < found.age);
        }
        if kept.len() < CAPACITY {
            let entry = Kept { document: Arc::clone(&document), fetched: Instant::now(), age: fetched.age };
            kept.insert(name.to_owned(), entry);
        }
        document
    }

    /// Fetches JSON.
    pub async fn fetch<D: DeserializeOwned>(&self, address: &str) -> Result<Fetched<D>, Error> {
        let transport = |error: reqwest::Error| Error::Transport(error.without_url().to_string());
        let url = Url::parse(address).map_err(|_| Error::Answer("its address is no URL".to_owned()))?;
        self.policy.check_url(&url).map_err(|error| Error::Answer(error.to_string()))?;
        let mut response = self.client.get(url).send().await.map_err(transport)?;
        if !response.status().is_success() {
            return Err(Error::Answer(format!("the issuer answered {}", response.status())));
        }
        let age = max_age(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(Error::Answer("the issuer's answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        let document = serde_json::from_slice(&body)
            .map_err(|error| Error::Answer(format!("the issuer's answer is no such document: {error}")))?;
        Ok(Fetched { document, age })
    }
}

impl Documents<Keys> {
    /// The keys at an address; fetched again for a key that is not among those kept, but not too often.
    pub async fn keys(&self, address: &str, has_key: impl Fn(&Keys) -> bool) -> Result<Arc<Keys>, Error> {
        if let Some(keys) = self.kept(address)
            && (has_key(&keys) || self.is_fresh(address))
        {
            return Ok(keys);
        }
        let fetched = self.fetch::<Keys>(address).await?;
        Ok(self.keep(address, fetched))
    }
}

fn max_age(headers: &http::HeaderMap) -> Duration {
    let header = headers.get(http::header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|header| {
        let parts = header.split(',').map(str::trim);
        parts.filter_map(|part| part.strip_prefix("max-age=")).find_map(|seconds| seconds.parse::<u64>().ok())
    });
    seconds.map_or(DEFAULT_AGE, Duration::from_secs).clamp(FLOOR, LONGEST_AGE)
}
