//! Bases and files that live elsewhere: HTTP with reqwest, Git with the toolkit's own client. No program is started.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fluxide_git::ssh::SshCredentials;
use fluxide_git::{
    Auth, CheckoutOptions, GitError, Limits, Reference, Remote, checkout, checkout_local, percent_decode,
};
use fluxide_kustomize::{
    Checkout, DiskFs, FileSystem, FsError, RemoteError, RemoteLoader, RepositoryAddress, Resolved,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long one file may take.
const FILE_TIMEOUT: Duration = Duration::from_secs(60);

/// How large a repository may be.
const LIMITS: Limits = Limits { pack_bytes: 512 << 20, checkout_bytes: 2 << 30, files: 500_000 };

/// The names of private keys in `~/.ssh`, in the order in which OpenSSH tries them.
const IDENTITIES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

const GIT_PREFIX_WARNING: &str = "Warning: Forcing the git protocol using the 'git::' URL prefix is not supported. \
    Kustomize currently strips this invalid prefix, but will stop doing so in a future release. Please remove the \
    'git::' prefix from your configuration.";

/// Fetches over the network. The threads for it are started when the first remote address is met.
#[derive(Default)]
pub struct Network {
    runtime: OnceLock<Result<Runtime, String>>,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl RemoteLoader for Network {
    fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let client = self.client()?.clone();
        self.runtime()?.block_on(get(client, url, limit))
    }

    fn checkout(&self, repository: &RepositoryAddress) -> Result<Checkout, RemoteError> {
        if repository.raw.starts_with("git::") {
            eprintln!("{GIT_PREFIX_WARNING}");
        }
        let directory = tempfile::Builder::new().prefix("kustomize-").tempdir().map_err(|error| {
            RemoteError::Other(format!("cannot make a temporary directory for '{}': {error}", repository.raw))
        })?;
        self.runtime()?.block_on(clone(repository, &directory))?;
        let unreadable = |error: FsError| RemoteError::Other(error.to_string());
        let disk = DiskFs::new(directory.path()).map_err(unreadable)?;
        let root = disk.root().to_owned();
        Ok(Checkout { fs: Arc::new(CheckoutFs { disk, _directory: directory }), directory: root })
    }
}

impl Network {
    fn runtime(&self) -> Result<&Runtime, RemoteError> {
        let start = || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(|error| format!("cannot start threads for the network: {error}"))
        };
        self.runtime.get_or_init(start).as_ref().map_err(|text| RemoteError::Other(text.clone()))
    }

    fn client(&self) -> Result<&reqwest::Client, RemoteError> {
        let make = || {
            // An error means that a provider is there already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::builder()
                .user_agent(concat!("fluxide/", env!("CARGO_PKG_VERSION")))
                .timeout(FILE_TIMEOUT)
                .build()
                .map_err(|error| format!("cannot set up the HTTP client: {error}"))
        };
        self.client.get_or_init(make).as_ref().map_err(|text| RemoteError::Other(text.clone()))
    }
}

/// A checkout, which is removed with it.
struct CheckoutFs {
    disk: DiskFs,
    _directory: TempDir,
}

impl FileSystem for CheckoutFs {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FsError> {
        self.disk.read(path, limit)
    }

    fn resolve(&self, path: &str) -> Result<Resolved, FsError> {
        self.disk.resolve(path)
    }
}

async fn get(client: reqwest::Client, url: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
    let failed =
        |error: reqwest::Error| RemoteError::Other(format!("Get \"{}\": {}", shown(url), causes(error)));
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        let text = status.canonical_reason().unwrap_or_default().to_owned();
        return Err(RemoteError::Status { code: status.as_u16(), text });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            let text = format!("Get \"{}\": the file is larger than {limit} bytes", shown(url));
            return Err(RemoteError::Other(text));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An address without what may be a password.
fn shown(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else { return url.to_owned() };
    if parsed.password().is_some() && parsed.set_password(Some("xxxxx")).is_err() {
        return parsed.host_str().unwrap_or_default().to_owned();
    }
    parsed.to_string()
}

/// The innermost causes say what happened, the outer ones repeat the address.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn clone(repository: &RepositoryAddress, into: &TempDir) -> Result<(), RemoteError> {
    let url = clone_url(repository);
    let said = shown(&url);
    let failed = |error: GitError| match error {
        GitError::DeadlineExceeded => {
            RemoteError::Timeout(format!("{:?}", repository.timeout), format!("git fetch {said}"))
        }
        error => {
            let reference = if repository.reference.is_empty() { "HEAD" } else { &repository.reference };
            RemoteError::Other(format!("failed to fetch '{reference}' of {said}: {error}"))
        }
    };
    let source = Source::new(&url).map_err(|error| match error {
        SourceError::Git(error) => failed(error),
        SourceError::Credentials(text) => RemoteError::Other(text),
    })?;
    let options = CheckoutOptions {
        recurse_submodules: repository.submodules,
        timeout: repository.timeout,
        limits: LIMITS,
        ..CheckoutOptions::default()
    };
    for reference in meanings(&repository.reference) {
        let result = match &source {
            Source::Server(remote) => checkout(remote, &reference, &options, into.path()).await,
            Source::Directory(path) => checkout_local(path, &reference, &options, into.path()).await,
        };
        match result {
            Ok(_) => return Ok(()),
            Err(GitError::ReferenceNotFound(_) | GitError::Unresolved(_)) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let wanted = if repository.reference.is_empty() { "HEAD" } else { &repository.reference };
    Err(failed(GitError::ReferenceNotFound(wanted.to_owned())))
}

/// Where a repository is.
enum Source {
    Server(Box<Remote>),
    /// `file://`: on this machine.
    Directory(PathBuf),
}

enum SourceError {
    Git(GitError),
    Credentials(String),
}

impl Source {
    fn new(url: &str) -> Result<Source, SourceError> {
        if let Some(path) = url.strip_prefix("file://") {
            let path = percent_decode(path);
            return Ok(Source::Directory(Path::new("/").join(path.trim_start_matches('/'))));
        }
        let mut remote = Remote::new(url).map_err(SourceError::Git)?;
        if remote.url().scheme() == "ssh" {
            remote.auth = Auth::Ssh(ssh_credentials().map_err(SourceError::Credentials)?);
        }
        Ok(Source::Server(Box::new(remote)))
    }
}

/// `user@host:path` as a URL.
fn clone_url(repository: &RepositoryAddress) -> String {
    let url = repository.clone_url();
    match url.split_once(':') {
        Some((host, path)) if !url.contains("://") => {
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
        _ => url,
    }
}

/// What `git fetch` would take a name for, in its order.
fn meanings(reference: &str) -> Vec<Reference> {
    if reference.is_empty() {
        return vec![Reference::Name("HEAD".to_owned())];
    }
    if reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return vec![Reference::Commit { hash: reference.to_owned(), branch: None }];
    }
    if reference == "HEAD" || reference.starts_with("refs/") {
        return vec![Reference::Name(reference.to_owned())];
    }
    let below_refs = Reference::Name(format!("refs/{reference}"));
    let mut meanings = vec![
        Reference::Tag(reference.to_owned()),
        Reference::Branch(reference.to_owned()),
        Reference::Name(format!("refs/remotes/{reference}")),
        Reference::Name(format!("refs/remotes/{reference}/HEAD")),
    ];
    // Git asks for these first; without a slash they are hardly ever there, and each question is a journey.
    let first = if reference.contains('/') { 0 } else { 2 };
    meanings.insert(first, below_refs);
    meanings
}

/// The user's own key and known hosts.
fn ssh_credentials() -> Result<SshCredentials, String> {
    let home =
        std::env::var_os("HOME").map(PathBuf::from).ok_or("HOME is not set, so there is no SSH key")?;
    let directory = home.join(".ssh");
    let known_hosts = directory.join("known_hosts");
    let known_hosts = std::fs::read_to_string(&known_hosts)
        .map_err(|error| format!("cannot read {}: {error}", known_hosts.display()))?;
    let key = IDENTITIES
        .iter()
        .find_map(|name| std::fs::read_to_string(directory.join(name)).ok())
        .ok_or_else(|| format!("there is none of {} in {}", IDENTITIES.join(", "), directory.display()))?;
    SshCredentials::new(&key, None, &known_hosts).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls() {
        let url = |text: &str| clone_url(&RepositoryAddress::parse(text).unwrap());
        assert_eq!(url("git@github.com:org/repo.git//p"), "ssh://git@github.com/org/repo.git");
        assert_eq!(url("github.com/org/repo/p"), "https://github.com/org/repo");
        assert_eq!(url("ssh://git@h.example:2222/o/r"), "ssh://git@h.example:2222/o/r");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://me:secret@h.example/a"), "https://me:xxxxx@h.example/a");
    }

    #[test]
    fn names_mean_tags_before_branches() {
        assert_eq!(meanings("")[0], Reference::Name("HEAD".into()));
        assert_eq!(meanings("v1")[0], Reference::Tag("v1".into()));
        assert_eq!(meanings("heads/a")[0], Reference::Name("refs/heads/a".into()));
        assert!(matches!(meanings(&"a".repeat(40))[0], Reference::Commit { .. }));
    }
}
