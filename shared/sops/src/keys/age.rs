//! age identities.

use std::io::Read;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity, x25519};

use super::KeyringError;

/// Far more than a data key and its share number.
const MOST_BYTES: u64 = 4096;

#[derive(Default)]
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    pub fn add(&mut self, text: &str) -> Result<(), KeyringError> {
        let mut found = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let failed = |problem| KeyringError::Age { line: line_number, problem };
            if line.starts_with("AGE-PLUGIN-") {
                return Err(failed("identities of plugins are refused: they would run a program"));
            }
            if !line.starts_with("AGE-SECRET-KEY-1") {
                return Err(failed("unknown identity type"));
            }
            found.push(line.parse().map_err(|_| failed("malformed secret key"))?);
        }
        if found.is_empty() {
            return Err(KeyringError::NoIdentity);
        }
        self.0.extend(found);
        Ok(())
    }

    pub fn recipients(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|identity| identity.to_public().to_string())
    }

    pub fn decrypt(&self, armored: &str) -> Result<Vec<u8>, String> {
        if self.0.is_empty() {
            return Err("no age identity is at hand".to_owned());
        }
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes()))
            .map_err(|error| format!("failed to read the age header: {error}"))?;
        let identities = self.0.iter().map(|identity| identity as &dyn Identity);
        let reader = decryptor.decrypt(identities).map_err(|error| match error {
            DecryptError::NoMatchingKeys => {
                let at_hand: Vec<_> = self.recipients().collect();
                format!("identity did not match any of the recipients; at hand: {}", at_hand.join(", "))
            }
            other => other.to_string(),
        })?;
        let mut key = Vec::new();
        reader.take(MOST_BYTES).read_to_end(&mut key).map_err(|error| error.to_string())?;
        Ok(key)
    }
}
