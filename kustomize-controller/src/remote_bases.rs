//! Fetches the remote bases and files of a build: over HTTP without credentials, and from Git
//! repositories that anybody may read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fluxide_git::{Auth, CheckoutOptions, GitError, Limits, Reference, Remote};
use fluxide_kustomize::{Checkout, DiskFs, RemoteError, RemoteLoader, RepositoryAddress};
use futures::StreamExt as _;
use tokio::runtime::Handle;

/// How long a file may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(27);

/// The longest that a Git address may ask for.
const MAX_GIT_TIMEOUT: Duration = Duration::from_secs(300);

/// How much a remote base may be.
const LIMITS: Limits = Limits { pack_bytes: 256 << 20, checkout_bytes: 1 << 30, files: 100_000 };

/// Fetches for one build, from a thread that may block. What was fetched is removed with it.
pub struct RemoteBases {
    runtime: Handle,
    http: reqwest::Client,
    /// Made for the first checkout.
    directory: Mutex<Option<tempfile::TempDir>>,
    checkouts: Mutex<HashMap<String, Checkout>>,
}

impl RemoteBases {
    /// A loader for one build.
    pub fn new(runtime: Handle, http: reqwest::Client) -> Self {
        Self { runtime, http, directory: Mutex::default(), checkouts: Mutex::default() }
    }

    fn directory(&self) -> std::io::Result<PathBuf> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*directory {
            return Ok(directory.path().to_owned());
        }
        let made = tempfile::Builder::new().prefix("remote-bases-").tempdir()?;
        let path = made.path().to_owned();
        *directory = Some(made);
        Ok(path)
    }

    async fn fetch(&self, repository: &RepositoryAddress) -> Result<Checkout, RemoteError> {
        let failed = |error: GitError| RemoteError::Other(error.to_string());
        let mut remote = Remote::new(&https(&repository.clone_url())).map_err(failed)?;
        // Credentials do not belong into a kustomization, and ours are for nobody else.
        remote.auth = Auth::None;
        let number = self.checkouts.lock().unwrap_or_else(PoisonError::into_inner).len();
        let root = self.directory().map_err(|error| RemoteError::Other(error.to_string()))?;
        let mut last = None;
        for (attempt, reference) in references(&repository.reference).into_iter().enumerate() {
            let directory = root.join(format!("{number}-{attempt}"));
            std::fs::create_dir(&directory).map_err(|error| RemoteError::Other(error.to_string()))?;
            let options = CheckoutOptions {
                recurse_submodules: repository.submodules,
                timeout: repository.timeout.min(MAX_GIT_TIMEOUT),
                limits: LIMITS,
                ..CheckoutOptions::default()
            };
            match fluxide_git::checkout(&remote, &reference, &options, &directory).await {
                Ok(_) => {
                    let fs =
                        DiskFs::new(&directory).map_err(|error| RemoteError::Other(error.to_string()))?;
                    let directory = fs.root().to_owned();
                    return Ok(Checkout { fs: Arc::new(fs), directory });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| RemoteError::Other("no reference to fetch".to_owned()), failed))
    }
}

impl RemoteLoader for RemoteBases {
    fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        self.runtime.block_on(get(&self.http, url, limit))
    }

    fn checkout(&self, repository: &RepositoryAddress) -> Result<Checkout, RemoteError> {
        let key = format!("{}?{}", repository.clone_url(), repository.reference);
        let known = self.checkouts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let checkout = self.runtime.block_on(self.fetch(repository))?;
        self.checkouts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, checkout.clone());
        Ok(checkout)
    }
}

async fn get(http: &reqwest::Client, url: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            RemoteError::Timeout(format!("{}s", HTTP_TIMEOUT.as_secs()), format!("GET {url}"))
        } else {
            RemoteError::Other(error.without_url().to_string())
        }
    };
    let response = http.get(url).timeout(HTTP_TIMEOUT).send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(if RepositoryAddress::parse(url).is_some() {
            RemoteError::IsGitRepository
        } else {
            let text = status.canonical_reason().unwrap_or_default().to_owned();
            RemoteError::Status { code: status.as_u16(), text }
        });
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failed)?;
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(RemoteError::Other(format!("the answer is larger than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The URL of an address: short forms mean https, `user@host:path` means ssh.
fn https(address: &str) -> String {
    if address.contains("://") {
        return address.to_owned();
    }
    match address.split_once(':') {
        Some((host, path)) if host.contains('@') => format!("ssh://{host}/{}", path.trim_start_matches('/')),
        Some((host, path)) => format!("https://{host}/{}", path.trim_start_matches('/')),
        None => format!("https://{address}"),
    }
}

/// What a reference may mean, likeliest first.
fn references(text: &str) -> Vec<Reference> {
    if text.is_empty() {
        return vec![Reference::Name("HEAD".to_owned())];
    }
    if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return vec![Reference::Commit { hash: text.to_owned(), branch: None }];
    }
    if text.starts_with("refs/") {
        return vec![Reference::Name(text.to_owned())];
    }
    vec![Reference::Branch(text.to_owned()), Reference::Tag(text.to_owned())]
}

/// Refuses everything: `--no-remote-bases`.
pub struct NoRemoteBases;

impl NoRemoteBases {
    fn refuse(address: &str) -> RemoteError {
        RemoteError::Other(format!(
            "remote bases are disabled by --no-remote-bases, copy '{address}' into the source instead"
        ))
    }
}

impl RemoteLoader for NoRemoteBases {
    fn get(&self, url: &str, _limit: u64) -> Result<Vec<u8>, RemoteError> {
        Err(Self::refuse(url))
    }

    fn checkout(&self, repository: &RepositoryAddress) -> Result<Checkout, RemoteError> {
        Err(Self::refuse(&repository.raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(https("https://example.test/a.git"), "https://example.test/a.git");
        assert_eq!(https("git@example.test:org/a.git"), "ssh://git@example.test/org/a.git");
        assert_eq!(https("github.com/org/a"), "https://github.com/org/a");
    }

    #[test]
    fn references_by_their_form() {
        assert_eq!(references(""), [Reference::Name("HEAD".into())]);
        assert_eq!(references("v1"), [Reference::Branch("v1".into()), Reference::Tag("v1".into())]);
        let hash = "0123456789012345678901234567890123456789";
        assert_eq!(references(hash), [Reference::Commit { hash: hash.into(), branch: None }]);
    }

    #[test]
    fn the_flag_is_named() {
        let error = NoRemoteBases.get("https://example.test/a.yaml", 1).unwrap_err().to_string();
        assert!(
            error.contains("--no-remote-bases") && error.contains("https://example.test/a.yaml"),
            "{error}"
        );
    }
}
