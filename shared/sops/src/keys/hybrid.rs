//! Identities of age's hybrid post-quantum kind: a file key is one HPKE message to an ML-KEM-768 and X25519 key.

use age::{DecryptError, Identity};
use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::{FromBase32, Variant};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::{Deserializable, OpModeR, Serializable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const HUMAN_READABLE_PART: &str = "age-secret-key-pq-";
const STANZA_TAG: &str = "mlkem768x25519";
const LABEL: &[u8] = b"age-encryption.org/mlkem768x25519";

/// The file key and what authenticates it.
const BODY_BYTES: usize = 16 + 16;

type PrivateKey = <XWing as Kem>::PrivateKey;
type EncappedKey = <XWing as Kem>::EncappedKey;

/// The secret half of a hybrid key.
pub struct HybridIdentity(PrivateKey);

impl HybridIdentity {
    /// Reads `AGE-SECRET-KEY-PQ-1...`.
    pub fn parse(text: &str) -> Option<Self> {
        let (human_readable, data, variant) = bech32::decode(text).ok()?;
        if human_readable != HUMAN_READABLE_PART || variant != Variant::Bech32 {
            return None;
        }
        let seed = Zeroizing::new(Vec::<u8>::from_base32(&data).ok()?);
        PrivateKey::from_bytes(&seed).ok().map(Self)
    }

    /// The beginning of a hash of the public key: itself it has nearly 2,000 characters.
    pub fn public_name(&self) -> String {
        let public = XWing::sk_to_pk(&self.0).to_bytes();
        format!(
            "a post-quantum key (public key with SHA-256 {}..)",
            hex::encode(&Sha256::digest(public)[..8])
        )
    }
}

impl Identity for HybridIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != STANZA_TAG {
            return None;
        }
        let malformed = Some(Err(DecryptError::InvalidHeader));
        let [encapped] = stanza.args.as_slice() else { return malformed };
        let Ok(encapped) = BASE64_STANDARD_NO_PAD.decode(encapped) else { return malformed };
        let Ok(encapped) = EncappedKey::from_bytes(&encapped) else { return malformed };
        if stanza.body.len() != BODY_BYTES {
            return malformed;
        }
        let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.0,
            &encapped,
            LABEL,
            &stanza.body,
            b"",
        );
        // It may be for another key of this kind: which one it is for cannot be told.
        let opened = Zeroizing::new(opened.ok()?);
        let key: [u8; 16] = opened.as_slice().try_into().ok()?;
        Some(Ok(FileKey::new(Box::new(key))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = include_str!("../../tests/age/hybrid.agekey");

    #[test]
    fn keys_are_checked() {
        let line = KEY.lines().find(|line| line.starts_with("AGE-")).unwrap();
        let identity = HybridIdentity::parse(line).unwrap();
        assert!(identity.public_name().starts_with("a post-quantum key"));
        assert!(HybridIdentity::parse(&line[..line.len() - 1]).is_none());
        let swapped = line.replace("PQ-1", "QP-1");
        assert!(HybridIdentity::parse(&swapped).is_none());
    }
}
