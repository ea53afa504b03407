//! Why there is no token.

/// Why there is no token. The text never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A key, certificate, address or annotation cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Nothing in the environment says who we are.
    #[error("no identity: {0}")]
    NoIdentity(String),
    /// The service could not be asked.
    #[error("{service}: {reason}")]
    Connection {
        /// Whom.
        service: String,
        /// Why.
        reason: String,
    },
    /// The service said no.
    #[error("{service} answered {status}: {reason}")]
    Refused {
        /// Who.
        service: String,
        /// The status of the answer.
        status: u16,
        /// Its own words, cut.
        reason: String,
    },
    /// The service said something else than it should.
    #[error("{service} gave an answer that cannot be read: {reason}")]
    Answer {
        /// Who.
        service: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no ServiceAccount of that namespace and name.
    #[error("service account '{0}': not found")]
    NoServiceAccount(String),
    /// The ServiceAccount whose identity is wanted cannot be used.
    #[error("service account '{account}': {reason}")]
    ServiceAccount {
        /// Namespace and name.
        account: String,
        /// Why.
        reason: String,
    },
}
