//! The keys of a Kustomization: those in its Secret or the controller's, and what services open for it.

use fluxide_kms::{Credentials, CredentialsError, Services};
use fluxide_sops::{KeyService, Keyring, KeyringError, MasterKey};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no such Secret.
    #[error("{0}")]
    NotFound(String),
    /// The Secret cannot be read.
    #[error("cannot get sops decryption Secret '{secret}': {reason}")]
    Secret {
        /// Namespace and name.
        secret: String,
        /// The API server's words.
        reason: String,
    },
    /// An entry of it is no key.
    #[error("failed to import '{key}' data from sops decryption Secret '{secret}': {source}")]
    Import {
        /// The key in its data.
        key: String,
        /// Namespace and name.
        secret: String,
        /// Why.
        source: KeyringError,
    },
    /// An entry is no credentials.
    #[error("failed to import '{key}' data from sops decryption Secret '{secret}': {source}")]
    Credentials {
        /// The key in its data.
        key: String,
        /// Namespace and name.
        secret: String,
        /// Why.
        source: CredentialsError,
    },
    /// An entry is not text.
    #[error("failed to import '{key}' data from sops decryption Secret '{secret}': it is not text")]
    NotText {
        /// The key in its data.
        key: String,
        /// Namespace and name.
        secret: String,
    },
}

/// What a decryption Secret holds.
#[derive(Default)]
pub struct Found {
    /// Keys that open data keys here.
    pub keyring: Keyring,
    /// Credentials for services that do.
    pub credentials: Credentials,
}

/// Opens data keys with keys in memory, or by asking services.
pub struct Keys {
    keyring: Keyring,
    services: Services,
}

impl Keys {
    /// Keys of both kinds.
    pub fn new(keyring: Keyring, services: Services) -> Self {
        Self { keyring, services }
    }
}

impl KeyService for Keys {
    fn decrypt(&mut self, key: &MasterKey) -> Result<Vec<u8>, String> {
        match key {
            MasterKey::Age { .. } | MasterKey::Pgp { .. } => self.keyring.decrypt(key),
            _ => self.services.decrypt(key),
        }
    }
}

/// Reads the keys in a Secret: `*.agekey` and, unless only age keys are wanted, `*.asc` and credentials of services.
/// Other entries are ignored.
pub async fn load(client: &Client, namespace: &str, name: &str, only_age: bool) -> Result<Found, KeysError> {
    let id = || format!("{namespace}/{name}");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get(name).await.map_err(|error| {
        let reason = fluxide_runtime::client::message(&error);
        match error {
            kube::Error::Api(status) if status.code == 404 => KeysError::NotFound(reason),
            _ => KeysError::Secret { secret: id(), reason },
        }
    })?;
    let mut found = Found::default();
    for (key, value) in secret.data.unwrap_or_default() {
        let is_age = key.ends_with(".agekey");
        if !is_age && only_age {
            continue;
        }
        if !is_age && !key.ends_with(".asc") {
            let added = found.credentials.add(&key, &value.0);
            added.map_err(|source| KeysError::Credentials { key: key.clone(), secret: id(), source })?;
            continue;
        }
        let text = std::str::from_utf8(&value.0)
            .map_err(|_| KeysError::NotText { key: key.clone(), secret: id() })?;
        let added = if is_age { found.keyring.add_age(text) } else { found.keyring.add_pgp(text) };
        added.map_err(|source| KeysError::Import { key: key.clone(), secret: id(), source })?;
    }
    Ok(found)
}
