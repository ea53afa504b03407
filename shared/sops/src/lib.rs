//! SOPS files: YAML, JSON, dotenv, INI or any bytes whose values were encrypted by [SOPS](https://getsops.io).
//!
//! [`Encrypted::load`] reads a file and says which master keys can open it, [`Encrypted::data_key`] recovers its data key through a
//! [`KeyService`], and [`Encrypted::decrypt`] gives the plain document, which [`Document::emit`] writes in any format exactly as
//! `sops decrypt` does. Nothing here reaches for the network, the environment or other files: [`Keyring`] opens age and OpenPGP
//! keys from memory; what needs a service (AWS, GCP, Azure, Vault) is the caller's [`KeyService`].
//!
//! No error tells a value of the document.
//!
//! ```
//! use fluxide_sops::{Encrypted, Format, Keyring};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = include_bytes!("../tests/corpus/files/json-order.enc.json");
//! # let identities = include_str!("../tests/corpus/keys/age1.agekey");
//! let mut keys = Keyring::default();
//! keys.add_age(identities)?;
//! let encrypted = Encrypted::load(file, Format::Json)?;
//! let data_key = encrypted.data_key(&mut keys)?;
//! let decrypted = encrypted.decrypt(&data_key)?;
//! decrypted.verify_mac()?;
//! let plain = decrypted.document.emit(Format::Json)?;
//! assert!(plain.starts_with(b"{\n\t\"z\": 1,"));
//! # Ok(())
//! # }
//! ```

mod cipher;
mod decrypt;
mod document;
mod flat;
mod format;
mod keys;
mod metadata;
mod recovery;
mod selection;
mod shamir;
mod store;

pub use decrypt::{Decrypted, Encrypted, Error, MacError};
pub use document::{Document, Entry, Value};
pub use format::Format;
pub use keys::{KeyService, Keyring, KeyringError};
pub use metadata::{MasterKey, Metadata, MetadataError};
pub use recovery::{DataKey, RecoveryError};
pub use selection::Selection;
pub use store::StoreError;
