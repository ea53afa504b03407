//! From an encrypted file to a plain document, and the check that nobody changed it.

use sha2::{Digest, Sha512};

use crate::cipher::{self, CipherError};
use crate::document::{Document, Entry, Value};
use crate::format::Format;
use crate::keys::KeyService;
use crate::metadata::{Metadata, MetadataError};
use crate::recovery::{self, DataKey, RecoveryError};
use crate::store::{self, StoreError};

/// What the hash is seeded with when it covers encrypted values only: SHA-256 of `sops`.
const ONLY_ENCRYPTED_SEED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// A file as it was read: values encrypted, metadata apart.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// The `sops` section.
    pub metadata: Metadata,
    document: Document,
}

/// A decrypted document with the two MACs to compare.
#[derive(Clone, Debug)]
pub struct Decrypted {
    /// The plain document.
    pub document: Document,
    computed: String,
    recorded: Result<String, String>,
}

/// Why a file cannot be read or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not in the format.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its metadata cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A value that should be encrypted is not even text.
    #[error("Error walking tree: Expected encrypted value as string, but got {found} at {path}")]
    NotText {
        /// The type.
        found: &'static str,
        /// Keys from the root.
        path: String,
    },
    /// A value cannot be decrypted.
    #[error("Error walking tree: Could not decrypt value at {path}: {source}")]
    Value {
        /// Keys from the root.
        path: String,
        /// Why.
        source: CipherError,
    },
}

/// The document is not what its author sealed.
#[derive(Debug, thiserror::Error)]
pub enum MacError {
    /// The sealed MAC cannot be decrypted.
    #[error("Cannot decrypt MAC: {0}")]
    Undecipherable(String),
    /// It is another one.
    #[error("MAC mismatch. File has {recorded}, computed {computed}")]
    Mismatch {
        /// What the file says, or `no MAC`.
        recorded: String,
        /// What its values give.
        computed: String,
    },
}

impl Encrypted {
    /// Reads a file.
    pub fn load(bytes: &[u8], format: Format) -> Result<Self, Error> {
        let (document, metadata) = store::load(bytes, format)?;
        Ok(Self { metadata: Metadata::read(&metadata)?, document })
    }

    /// Recovers the data key with the master keys that `keys` can open.
    pub fn data_key(&self, keys: &mut dyn KeyService) -> Result<DataKey, RecoveryError> {
        recovery::data_key(&self.metadata, keys)
    }

    /// Decrypts all values. The result tells by [`Decrypted::verify_mac`] whether they are the author's.
    pub fn decrypt(&self, key: &DataKey) -> Result<Decrypted, Error> {
        let mut walk = Walk {
            metadata: &self.metadata,
            key,
            hash: Sha512::new(),
            path: Vec::new(),
            comments: Vec::new(),
        };
        if self.metadata.mac_only_encrypted {
            walk.hash.update(ONLY_ENCRYPTED_SEED);
        }
        let mut document = self.document.clone();
        document.branches.iter_mut().try_for_each(|branch| walk.entries(branch))?;
        let recorded = match cipher::decrypt(&self.metadata.mac, key, &self.metadata.last_modified) {
            Ok(Value::String(mac)) => Ok(mac),
            Ok(_) => Err("it is not text".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Ok(Decrypted { document, computed: hex::encode_upper(walk.hash.finalize()), recorded })
    }
}

impl Decrypted {
    /// Whether the values are those that were sealed.
    pub fn verify_mac(&self) -> Result<(), MacError> {
        match &self.recorded {
            Err(reason) => Err(MacError::Undecipherable(reason.clone())),
            Ok(recorded) if *recorded == self.computed => Ok(()),
            Ok(recorded) => Err(MacError::Mismatch {
                recorded: if recorded.is_empty() { "no MAC".to_owned() } else { recorded.clone() },
                computed: self.computed.clone(),
            }),
        }
    }
}

struct Walk<'a> {
    metadata: &'a Metadata,
    key: &'a DataKey,
    hash: Sha512,
    path: Vec<String>,
    /// The comments before each thing around the current one, and before itself.
    comments: Vec<Vec<String>>,
}

impl Walk<'_> {
    fn entries(&mut self, entries: &mut [Entry]) -> Result<(), Error> {
        self.comments.push(Vec::new());
        for entry in entries {
            match entry {
                Entry::Comment(text) => {
                    self.remember(text);
                    *text = self.comment(text);
                }
                Entry::Pair(key, value) => {
                    self.path.push(key.clone());
                    self.value(value)?;
                    self.path.pop();
                    self.forget();
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    fn value(&mut self, value: &mut Value) -> Result<(), Error> {
        match value {
            Value::Null => {}
            Value::Map(entries) => self.entries(entries)?,
            Value::List(items) => {
                self.comments.push(Vec::new());
                for item in items {
                    if let Value::Comment(text) = item {
                        self.remember(text);
                        *text = self.comment(text);
                    } else {
                        self.value(item)?;
                        self.forget();
                    }
                }
                self.comments.pop();
            }
            leaf => {
                let encrypted = self.metadata.selection.includes(&self.path, &self.comments, false);
                if encrypted {
                    *leaf = self.decrypted(leaf)?;
                }
                if (encrypted || !self.metadata.mac_only_encrypted)
                    && let Some(bytes) = leaf.bytes()
                {
                    self.hash.update(bytes);
                }
            }
        }
        Ok(())
    }

    fn decrypted(&self, leaf: &Value) -> Result<Value, Error> {
        let path = || self.path.join(".");
        let text = match leaf {
            Value::String(text) => text,
            other => return Err(Error::NotText { found: other.type_name(), path: path() }),
        };
        cipher::decrypt(text, self.key, &self.context())
            .map_err(|source| Error::Value { path: path(), source })
    }

    /// A comment that cannot be decrypted was not encrypted in the first place.
    fn comment(&self, text: &str) -> String {
        if !self.metadata.selection.includes(&self.path, &self.comments, true) {
            return text.to_owned();
        }
        match cipher::decrypt(text, self.key, &self.context()) {
            Ok(Value::Comment(plain) | Value::String(plain)) => plain,
            _ => text.to_owned(),
        }
    }

    fn context(&self) -> String {
        self.path.join(":") + ":"
    }

    fn remember(&mut self, comment: &str) {
        if let Some(level) = self.comments.last_mut() {
            level.push(comment.to_owned());
        }
    }

    fn forget(&mut self) {
        if let Some(level) = self.comments.last_mut() {
            level.clear();
        }
    }
}
