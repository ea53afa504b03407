//! What can go wrong between a URL and files on the disk.

use std::io;

/// Why a repository could not be read. The text never contains credentials.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The URL is none, or its scheme is not http, https or ssh.
    #[error("invalid repository URL: {0}")]
    InvalidUrl(String),
    /// A setting of the connection cannot be used: a certificate, a proxy address, credentials.
    #[error("{0}")]
    Settings(String),
    /// The server wants other credentials, or any.
    #[error("authentication required: {0}")]
    AuthenticationRequired(String),
    /// The credentials are good but not for this.
    #[error("authorization failed: {0}")]
    AuthorizationFailed(String),
    /// There is no such repository, or it is hidden from these credentials.
    #[error("repository not found: {0}")]
    RepositoryNotFound(String),
    /// The repository has no commit yet.
    #[error("git repository is empty")]
    EmptyRepository,
    /// The branch or tag is not there.
    #[error("couldn't find remote ref \"{0}\"")]
    ReferenceNotFound(String),
    /// The named reference is not there.
    #[error("unable to resolve ref '{0}' to a specific commit")]
    Unresolved(String),
    /// The name of a reference cannot be one.
    #[error("reference name '{0}' is invalid: it must not start or end with a slash")]
    InvalidReference(String),
    /// The range is not one.
    #[error("semver parse error: {0}")]
    InvalidRange(#[source] fluxide_semver_range::ConstraintError),
    /// No tag is in the range.
    #[error("no match found for semver: {0}")]
    NoVersion(String),
    /// The commit is not there.
    #[error("unable to resolve commit object for '{commit}': {reason}")]
    CommitNotFound {
        /// The commit.
        commit: String,
        /// Why.
        reason: String,
    },
    /// A directory for the sparse checkout is not there.
    #[error("sparse checkout dir '{0}' does not exist in repository")]
    SparseDirectory(String),
    /// A submodule could not be checked out.
    #[error("submodule '{path}': {source}")]
    Submodule {
        /// Where it belongs.
        path: String,
        /// Why.
        source: Box<GitError>,
    },
    /// The repository contains something that is dangerous or cannot be written.
    #[error("refusing to check out '{path}': {reason}")]
    Refused {
        /// The path in the repository.
        path: String,
        /// Why.
        reason: String,
    },
    /// More than the limits allow.
    #[error("repository is too large: more than {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The network or the server failed.
    #[error("{0}")]
    Connection(String),
    /// The server said something that is not Git's protocol, or an object is damaged.
    #[error("{0}")]
    Protocol(String),
    /// It took longer than the timeout.
    #[error("context deadline exceeded")]
    DeadlineExceeded,
    /// The caller lost interest.
    #[error("context canceled")]
    Cancelled,
    /// The disk failed.
    #[error("cannot write {path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// What happened.
        source: io::Error,
    },
}

impl GitError {
    pub(crate) fn io(path: impl AsRef<std::path::Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().display().to_string();
        move |source| GitError::Io { path, source }
    }

    /// An error of the protocol library, with its causes.
    pub(crate) fn protocol(error: impl std::fmt::Display) -> Self {
        GitError::Protocol(error.to_string())
    }
}
