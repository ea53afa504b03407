//! Why a data key cannot be opened.

use fluxide_auth::AuthError;

/// Why a data key cannot be opened. The text never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// Nobody here knows this kind of key.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The key in the file is named in a way that is not allowed.
    #[error("{field} {value:?} {reason}")]
    Key {
        /// The field of the metadata.
        field: &'static str,
        /// What it says.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// The encrypted data key is not encoded as it should be.
    #[error("the encrypted data key is not valid {0}")]
    Encoding(&'static str),
    /// The service did not open it.
    #[error("failed to decrypt sops data key {with}: {source}")]
    Refused {
        /// With what.
        with: String,
        /// What it said.
        source: AuthError,
    },
    /// There are no credentials for the service.
    #[error("{0}")]
    Identity(#[from] AuthError),
    /// The settings for logging in to Vault cannot be used.
    #[error("{0}")]
    VaultLogin(String),
}
