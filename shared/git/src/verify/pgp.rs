//! OpenPGP signatures.
//!
//! The library checks mathematics. Whether a key may sign, and still may, is decided here: self-signatures, key flags,
//! expiry, revocation, and the back-signature of a signing subkey.

use std::time::{Duration, SystemTime};

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

use super::VerifyError;

const BEGIN_KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// The most certificates read from one Secret.
const MAX_CERTIFICATES: usize = 1000;

/// Checks a signature against armored key rings and gives the id of the primary key.
pub(super) fn verify(
    armor: &str,
    payload: &[u8],
    key_rings: &[String],
    now: SystemTime,
) -> Result<String, VerifyError> {
    let malformed = |reason: String| VerifyError::Malformed { kind: "PGP", reason };
    let (signature, _) = DetachedSignature::from_armor_single(armor.as_bytes())
        .map_err(|error| malformed(error.to_string()))?;
    let signature = signature.signature;
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err(malformed("it is not a signature of a document".to_owned()));
    }
    if !matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha224
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    ) {
        return Err(malformed("its hash algorithm is too weak".to_owned()));
    }
    let mut refused = None;
    for certificate in certificates(key_rings) {
        if !made_by(&signature, &certificate, payload) {
            continue;
        }
        match check_validity(&signature, &certificate, payload, now) {
            Ok(()) => {
                let id = certificate.primary_key.legacy_key_id();
                return Ok(id.to_string().to_uppercase());
            }
            Err(reason) => refused = Some(reason),
        }
    }
    match refused {
        Some(reason) => Err(VerifyError::Refused(reason)),
        None => Err(VerifyError::NotVerified("key rings")),
    }
}

/// All certificates that can be read, of all armored blocks.
fn certificates(key_rings: &[String]) -> Vec<SignedPublicKey> {
    let mut certificates = Vec::new();
    for ring in key_rings {
        for (at, _) in ring.match_indices(BEGIN_KEY) {
            if let Ok((parsed, _)) = SignedPublicKey::from_armor_many(&ring.as_bytes()[at..]) {
                let room = MAX_CERTIFICATES.saturating_sub(certificates.len());
                certificates.extend(parsed.filter_map(Result::ok).take(room));
            }
        }
    }
    certificates
}

/// Whether a key of the certificate made the signature, allowed or not.
fn made_by(signature: &Signature, certificate: &SignedPublicKey, payload: &[u8]) -> bool {
    signature.verify(&certificate.primary_key, payload).is_ok()
        || certificate.public_subkeys.iter().any(|subkey| signature.verify(&subkey.key, payload).is_ok())
}

/// Whether the signature counts now; if not, why.
fn check_validity(
    signature: &Signature,
    certificate: &SignedPublicKey,
    payload: &[u8],
    now: SystemTime,
) -> Result<(), String> {
    let created = signature.created().map(SystemTime::from).ok_or("the signature has no creation time")?;
    if created > now {
        return Err("the signature is from the future".to_owned());
    }
    if signature.signature_expiration_time().is_some_and(|after| expired(created, after.into(), now)) {
        return Err("the signature has expired".to_owned());
    }
    let primary = &certificate.primary_key;
    let self_signature = newest_self_signature(certificate).ok_or("the key has no valid self-signature")?;
    let revoked = certificate.details.revocation_signatures.iter();
    if revoked
        .filter(|s| s.typ() == Some(SignatureType::KeyRevocation))
        .any(|s| s.verify_key(primary).is_ok())
    {
        return Err("the key is revoked".to_owned());
    }
    let key_created = SystemTime::from(primary.created_at());
    if self_signature.key_expiration_time().is_some_and(|after| expired(key_created, after.into(), now)) {
        return Err("the key has expired".to_owned());
    }
    if signature.verify(primary, payload).is_ok() {
        // Old keys say nothing about what they are for.
        let flags = self_signature.key_flags();
        if flags.sign() || has_no_flags(self_signature) {
            return Ok(());
        }
        return Err("the key is not made for signing".to_owned());
    }
    let subkey =
        certificate.public_subkeys.iter().find(|subkey| signature.verify(&subkey.key, payload).is_ok());
    check_subkey(subkey.ok_or("no key of the certificate made the signature")?, certificate, now)
}

fn check_subkey(
    subkey: &SignedPublicSubKey,
    certificate: &SignedPublicKey,
    now: SystemTime,
) -> Result<(), String> {
    let primary = &certificate.primary_key;
    let valid = |kind: SignatureType| {
        subkey
            .signatures
            .iter()
            .filter(move |s| s.typ() == Some(kind))
            .filter(|s| s.verify_subkey_binding(primary, &subkey.key).is_ok())
    };
    if valid(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("the subkey is revoked".to_owned());
    }
    let binding = valid(SignatureType::SubkeyBinding)
        .max_by_key(|s| s.created())
        .ok_or("the subkey is not bound to its key")?;
    if !binding.key_flags().sign() {
        return Err("the subkey is not made for signing".to_owned());
    }
    let created = SystemTime::from(subkey.key.created_at());
    if binding.key_expiration_time().is_some_and(|after| expired(created, after.into(), now)) {
        return Err("the subkey has expired".to_owned());
    }
    // Without it, anybody could claim a stranger's signing key as his own.
    let claimed = binding
        .embedded_signature()
        .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !claimed {
        return Err("the subkey does not confirm its key".to_owned());
    }
    Ok(())
}

/// The newest of what the key says about itself. A user id that was revoked says nothing any more.
fn newest_self_signature(certificate: &SignedPublicKey) -> Option<&Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|s| s.typ() == Some(SignatureType::Key) && s.verify_key(primary).is_ok());
    let users = certificate.details.users.iter().flat_map(|user| {
        let own = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        let revoked = user
            .signatures
            .iter()
            .filter(|s| s.typ() == Some(SignatureType::CertRevocation))
            .filter(own)
            .filter_map(|s| s.created())
            .max();
        user.signatures
            .iter()
            .filter(|s| s.is_certification())
            .filter(own)
            .filter(move |s| revoked.is_none_or(|at| s.created().is_some_and(|created| created > at)))
    });
    direct.chain(users).max_by_key(|s| s.created())
}

fn has_no_flags(signature: &Signature) -> bool {
    let flags = signature.key_flags();
    !(flags.certify()
        || flags.sign()
        || flags.encrypt_comms()
        || flags.encrypt_storage()
        || flags.authentication())
}

/// Whether a time span, which is unlimited if zero, is over.
fn expired(from: SystemTime, after: Duration, now: SystemTime) -> bool {
    !after.is_zero() && from + after < now
}
