//! OpenPGP secret keys.

use std::io::Read;

use pgp::composed::{Deserializable, Message, SignedSecretKey};
use pgp::types::{KeyDetails, Password};

use super::KeyringError;

/// Far more than a data key and its share number.
const MOST_BYTES: u64 = 4096;

#[derive(Default)]
pub struct SecretKeys(Vec<SignedSecretKey>);

impl SecretKeys {
    pub fn add(&mut self, armored: &str) -> Result<(), KeyringError> {
        let failed = |error: pgp::errors::Error| KeyringError::Pgp(error.to_string());
        let (keys, _) = SignedSecretKey::from_armor_many(armored.as_bytes()).map_err(failed)?;
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        if keys.is_empty() {
            return Err(KeyringError::Pgp("no secret key in it".to_owned()));
        }
        self.0.extend(keys);
        Ok(())
    }

    pub fn fingerprints(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|key| hex::encode_upper(key.fingerprint().as_bytes()))
    }

    pub fn decrypt(&self, armored: &str) -> Result<Vec<u8>, String> {
        if self.0.is_empty() {
            return Err("no OpenPGP secret key is at hand".to_owned());
        }
        let (message, _) = Message::from_armor(armored.as_bytes())
            .map_err(|error| format!("not an OpenPGP message: {error}"))?;
        let password = Password::empty();
        let keys: Vec<_> = self.0.iter().collect();
        let mut message = message
            .decrypt_with_keys(vec![&password], keys)
            .map_err(|error| format!("could not decrypt data key with PGP key: {error}"))?;
        if message.is_compressed() {
            message = message.decompress().map_err(|error| error.to_string())?;
        }
        let mut key = Vec::new();
        (&mut message).take(MOST_BYTES).read_to_end(&mut key).map_err(|error| error.to_string())?;
        if key.is_empty() {
            return Err("could not decrypt data key with PGP key: the message is empty".to_owned());
        }
        Ok(key)
    }
}
