//! Downloads artifact files and checks their digest before anybody sees a byte of them.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use tempfile::NamedTempFile;

use crate::digest::{Digest, DigestError, Digester};
use crate::unpack::UnpackError;

/// How artifacts are downloaded.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// How often a download is tried again after the first time (`--http-retry`).
    pub retries: u32,
    /// The wait before the first retry; it doubles each time.
    pub min_wait: Duration,
    /// The longest wait between two tries.
    pub max_wait: Duration,
    /// The longest silence of the server in the middle of a download.
    pub read_timeout: Duration,
    /// The most bytes one download may have.
    pub max_bytes: u64,
    /// `host:port` that replaces the one of artifact URLs (`SOURCE_CONTROLLER_LOCALHOST`), for controllers that run
    /// outside the cluster.
    pub source_controller_localhost: Option<String>,
    /// The same for URLs of `//source-watcher` (`SOURCE_WATCHER_LOCALHOST`).
    pub source_watcher_localhost: Option<String>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        FetchOptions {
            retries: 9,
            min_wait: Duration::from_secs(5),
            max_wait: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            max_bytes: 1 << 30,
            source_controller_localhost: None,
            source_watcher_localhost: None,
        }
    }
}

impl FetchOptions {
    /// The defaults, with the host overrides the environment names.
    pub fn from_env() -> Self {
        let host = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        FetchOptions {
            source_controller_localhost: host("SOURCE_CONTROLLER_LOCALHOST"),
            source_watcher_localhost: host("SOURCE_WATCHER_LOCALHOST"),
            ..FetchOptions::default()
        }
    }
}

/// Downloads artifacts. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    options: FetchOptions,
}

/// Why an artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not have it (any more): the source is about to advertise another. Wait for that.
    #[error("file not found")]
    NotFound,
    /// The artifact names no usable digest.
    #[error("failed to verify archive: {0}")]
    Digest(#[source] DigestError),
    /// What was downloaded is not what the source advertises.
    #[error("failed to verify archive: computed digest doesn't match provided '{digest}'")]
    DigestMismatch {
        /// The advertised digest.
        digest: Digest,
    },
    /// The server answered with something else than the file.
    #[error("failed to download archive from {url} (status: {status})")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// All tries failed.
    #[error("failed to download archive: GET {url} giving up after {attempts} attempt(s): {message}")]
    GivenUp {
        /// What was asked for.
        url: String,
        /// How often.
        attempts: u32,
        /// What happened the last time.
        message: String,
    },
    /// The download was larger than allowed.
    #[error("artifact is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// The archive is damaged or dangerous.
    #[error("failed to untar artifact: {0}")]
    Unpack(#[source] UnpackError),
    /// The disk refused.
    #[error("failed to store artifact: {0}")]
    Io(#[source] io::Error),
}

impl FetchError {
    /// Whether the same request can succeed later without any change of the artifact.
    pub fn is_transient(&self) -> bool {
        matches!(self, FetchError::GivenUp { .. } | FetchError::Io(_) | FetchError::NotFound)
    }
}

impl Fetcher {
    /// A fetcher with its own connections. Fails when no HTTP client can be set up.
    pub fn new(options: FetchOptions) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(options.read_timeout)
            .redirect(reqwest::redirect::Policy::limited(10))
            .build()?;
        Ok(Fetcher { client, options })
    }

    /// Downloads the file at `url` into a temporary file in `directory` and checks its digest.
    pub async fn fetch(
        &self,
        url: &str,
        digest: &Digest,
        directory: &Path,
    ) -> Result<NamedTempFile, FetchError> {
        let url = self.localized(url);
        let mut attempt = 0;
        loop {
            let failure = match self.try_fetch(&url, digest, directory).await {
                Ok(file) => return Ok(file),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Retry(failure)) => failure,
            };
            attempt += 1;
            if attempt > self.options.retries {
                return Err(FetchError::GivenUp { url, attempts: attempt, message: failure.message });
            }
            let backoff =
                self.options.min_wait.saturating_mul(1 << (attempt - 1).min(16)).min(self.options.max_wait);
            let wait = failure.retry_after.unwrap_or(backoff);
            tracing::debug!(%url, attempt, error = failure.message, "download failed, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_fetch(
        &self,
        url: &str,
        digest: &Digest,
        directory: &Path,
    ) -> Result<NamedTempFile, Attempt> {
        let response = self.client.get(url).send().await.map_err(retry)?;
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(Attempt::Final(FetchError::NotFound)),
            _ if status == StatusCode::TOO_MANY_REQUESTS
                || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED) =>
            {
                return Err(Attempt::Retry(RetryableFailure {
                    message: format!("unexpected HTTP status {status}"),
                    retry_after: retry_after(&response, self.options.max_wait),
                }));
            }
            _ => {
                let url = url.to_owned();
                return Err(Attempt::Final(FetchError::Status { url, status }));
            }
        }
        let fatal = |error| Attempt::Final(FetchError::Io(error));
        let mut file = tempfile::Builder::new().prefix("download-").tempfile_in(directory).map_err(fatal)?;
        let mut digester = Digester::new(digest.algorithm());
        let mut total: u64 = 0;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(retry)?;
            total += chunk.len() as u64;
            if total > self.options.max_bytes {
                let max_bytes = self.options.max_bytes;
                return Err(Attempt::Final(FetchError::TooLarge { max_bytes }));
            }
            digester.update(&chunk);
            file.write_all(&chunk).map_err(fatal)?;
        }
        if digester.finish() != *digest {
            let digest = digest.clone();
            return Err(Attempt::Final(FetchError::DigestMismatch { digest }));
        }
        Ok(file)
    }

    fn localized(&self, url: &str) -> String {
        let host = if url.contains("//source-watcher") {
            &self.options.source_watcher_localhost
        } else {
            &self.options.source_controller_localhost
        };
        let Some(host) = host else {
            return url.to_owned();
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return url.to_owned();
        };
        let path = rest.find('/').map_or("", |slash| &rest[slash..]);
        format!("{scheme}://{host}{path}")
    }
}

enum Attempt {
    Retry(RetryableFailure),
    Final(FetchError),
}

struct RetryableFailure {
    message: String,
    retry_after: Option<Duration>,
}

fn retry(error: reqwest::Error) -> Attempt {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    Attempt::Retry(RetryableFailure { message, retry_after: None })
}

fn retry_after(response: &Response, longest: Duration) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?).min(longest))
}
