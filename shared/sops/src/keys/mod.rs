//! Master keys: who opens the data key.

mod age;
mod hybrid;
mod pgp;

use crate::metadata::MasterKey;

/// Something that can open data keys that were encrypted for a master key.
pub trait KeyService {
    /// The data key (or share) that `key` holds. The error says why not, without any secret.
    fn decrypt(&mut self, key: &MasterKey) -> Result<Vec<u8>, String>;
}

/// Keys in memory: age identities and OpenPGP secret keys.
#[derive(Default)]
pub struct Keyring {
    age: age::Identities,
    pgp: pgp::SecretKeys,
}

/// Why keys cannot be added to a [`Keyring`].
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A line is no age identity.
    #[error("failed to parse age identities: line {line}: {problem}")]
    Age {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// There is no identity in the text.
    #[error("failed to parse age identities: no identities found")]
    NoIdentity,
    /// The text is no SSH private key that can be used.
    #[error("failed to parse SSH private key: {0}")]
    Ssh(String),
    /// The text holds no OpenPGP secret key.
    #[error("failed to import armored OpenPGP key: {0}")]
    Pgp(String),
}

impl Keyring {
    /// Adds age identities, one on a line; lines that start with `#` are comments.
    pub fn add_age(&mut self, text: &str) -> Result<(), KeyringError> {
        self.age.add(text)
    }

    /// Adds an SSH private key in PEM, Ed25519 or RSA, that age files were encrypted for. It must not be protected by a
    /// passphrase.
    pub fn add_ssh(&mut self, pem: &str) -> Result<(), KeyringError> {
        self.age.add_ssh(pem)
    }

    /// Adds armored OpenPGP secret keys. They must not be protected by a passphrase.
    pub fn add_pgp(&mut self, armored: &str) -> Result<(), KeyringError> {
        self.pgp.add(armored)
    }

    /// The public keys of the age identities and the fingerprints of the OpenPGP keys at hand, for messages.
    pub fn public_names(&self) -> Vec<String> {
        self.age.recipients().chain(self.pgp.fingerprints()).collect()
    }
}

impl KeyService for Keyring {
    fn decrypt(&mut self, key: &MasterKey) -> Result<Vec<u8>, String> {
        match key {
            MasterKey::Age { encrypted, .. } => self.age.decrypt(encrypted),
            MasterKey::Pgp { encrypted, .. } => self.pgp.decrypt(encrypted),
            MasterKey::AwsKms { .. }
            | MasterKey::GcpKms { .. }
            | MasterKey::AzureKeyVault { .. }
            | MasterKey::Vault { .. }
            | MasterKey::HuaweiKms { .. } => Err("only age and OpenPGP keys are at hand".to_owned()),
        }
    }
}
