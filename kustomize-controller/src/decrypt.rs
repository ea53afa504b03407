//! Decryption of SOPS files before a build, and of SOPS objects after it.

mod keys;
mod resource;
mod sources;

use std::collections::HashMap;

use fluxide_sops::{
    Decrypted, Encrypted, Format, KeyService, MacError, MasterKey, RecoveryError, StoreError,
};

pub use keys::{Found, Keys, KeysError, load as load_keys};
pub use resource::{ANNOTATION, ResourceError, disables};
pub use sources::SourceError;

/// Opens what is encrypted in one build. Each data key is opened once.
pub struct Decryptor {
    keys: Box<dyn KeyService + Send>,
    opened: HashMap<MasterKey, Vec<u8>>,
}

/// Why something cannot be decrypted. No error tells what was encrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not what SOPS writes.
    #[error("failed to load encrypted {format} data: {source}")]
    Load {
        /// The format.
        format: &'static str,
        /// What is wrong.
        source: Box<fluxide_sops::Error>,
    },
    /// No key opens it.
    #[error("cannot get sops data key: {0}")]
    Key(#[from] RecoveryError),
    /// A value cannot be decrypted.
    #[error("error decrypting sops tree: {0}")]
    Decrypt(Box<fluxide_sops::Error>),
    /// Somebody changed it after it was encrypted.
    #[error(
        "{0}; the file was changed without sops after it was encrypted: restore it, or encrypt it again with 'sops'"
    )]
    Mac(#[from] MacError),
    /// The plain document does not fit the format it should have.
    #[error("failed to emit encrypted {from} file as decrypted {to}: {source}")]
    Emit {
        /// The format it was encrypted in.
        from: &'static str,
        /// The format it should get.
        to: &'static str,
        /// Why not.
        source: StoreError,
    },
}

impl Decryptor {
    /// A decryptor with these keys.
    pub fn new(keys: Box<dyn KeyService + Send>) -> Self {
        Self { keys, opened: HashMap::new() }
    }

    /// The plain text of an encrypted one. The seal of the document is checked when `sealed`; it cannot be where kustomize has
    /// changed the document since.
    fn decrypt(&mut self, bytes: &[u8], from: Format, to: Format, sealed: bool) -> Result<Vec<u8>, Error> {
        let decrypted = self.open(bytes, from)?;
        if sealed {
            decrypted.verify_mac()?;
        }
        decrypted.document.emit(to).map_err(|source| Error::Emit { from: name(from), to: name(to), source })
    }

    fn open(&mut self, bytes: &[u8], format: Format) -> Result<Decrypted, Error> {
        let encrypted = Encrypted::load(bytes, format)
            .map_err(|source| Error::Load { format: name(format), source: Box::new(source) })?;
        let key = encrypted.data_key(self)?;
        encrypted.decrypt(&key).map_err(|source| Error::Decrypt(Box::new(source)))
    }
}

impl KeyService for Decryptor {
    fn decrypt(&mut self, key: &MasterKey) -> Result<Vec<u8>, String> {
        if let Some(opened) = self.opened.get(key) {
            return Ok(opened.clone());
        }
        let opened = self.keys.decrypt(key)?;
        self.opened.insert(key.clone(), opened.clone());
        Ok(opened)
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Yaml => "YAML",
        Format::Json => "JSON",
        Format::Dotenv => "dotenv",
        Format::Ini => "INI",
        Format::Binary => "binary",
    }
}
