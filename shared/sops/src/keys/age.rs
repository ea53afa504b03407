//! age identities.

use std::io::Read;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity, ssh, x25519};

use super::KeyringError;
use super::hybrid::HybridIdentity;

/// Far more than a data key and its share number.
const MOST_BYTES: u64 = 4096;

/// Identities of all kinds.
#[derive(Default)]
pub struct Identities(Vec<Known>);

enum Known {
    X25519(x25519::Identity),
    Hybrid(Box<HybridIdentity>),
    Ssh(Box<ssh::Identity>),
}

impl Known {
    fn identity(&self) -> &dyn Identity {
        match self {
            Self::X25519(identity) => identity,
            Self::Hybrid(identity) => &**identity,
            Self::Ssh(identity) => &**identity,
        }
    }

    /// By what people know it; the keys of hybrid ones are too long for that.
    fn public_name(&self) -> String {
        match self {
            Self::X25519(identity) => identity.to_public().to_string(),
            Self::Hybrid(identity) => identity.public_name(),
            Self::Ssh(_) => "an SSH key".to_owned(),
        }
    }
}

impl Identities {
    /// Adds identities, one on a line.
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
            if line.starts_with("AGE-SECRET-KEY-PQ-1") {
                let identity = HybridIdentity::parse(line).ok_or_else(|| failed("malformed secret key"))?;
                found.push(Known::Hybrid(Box::new(identity)));
            } else if line.starts_with("AGE-SECRET-KEY-1") {
                found.push(Known::X25519(line.parse().map_err(|_| failed("malformed secret key"))?));
            } else {
                return Err(failed("unknown identity type"));
            }
        }
        if found.is_empty() {
            return Err(KeyringError::NoIdentity);
        }
        self.0.extend(found);
        Ok(())
    }

    /// Adds an SSH private key.
    pub fn add_ssh(&mut self, pem: &str) -> Result<(), KeyringError> {
        let failed = |problem: &str| KeyringError::Ssh(problem.to_owned());
        let identity = ssh::Identity::from_buffer(pem.as_bytes(), None)
            .map_err(|_| failed("it is not a private key in PEM"))?;
        match &identity {
            ssh::Identity::Unencrypted(_) => {}
            ssh::Identity::Encrypted(_) => {
                return Err(failed("it is protected by a passphrase: remove it with 'ssh-keygen -p'"));
            }
            ssh::Identity::Unsupported(_) => {
                return Err(failed("its type is not supported: only Ed25519 and RSA keys are"));
            }
        }
        self.0.push(Known::Ssh(Box::new(identity)));
        Ok(())
    }

    /// What people know the identities by.
    pub fn recipients(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Known::public_name)
    }

    /// Opens an armored age file.
    pub fn decrypt(&self, armored: &str) -> Result<Vec<u8>, String> {
        if self.0.is_empty() {
            return Err("no age identity is at hand".to_owned());
        }
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes()))
            .map_err(|error| format!("failed to read the age header: {error}"))?;
        let identities = self.0.iter().map(Known::identity);
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
