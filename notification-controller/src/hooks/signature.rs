//! Comparing secrets in constant time.

use ring::{digest, hmac};

/// Why a signature is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("missing signature")]
    Missing,
    /// It is not `algorithm=hex`.
    #[error("error parsing signature")]
    Malformed,
    /// Of an algorithm that is not known.
    #[error("unknown hash type prefix")]
    UnknownHash,
    /// It is not of this body and key.
    #[error("payload signature check failed")]
    Wrong,
}

/// Checks `sha256=<hex>` (or sha1, sha512) over a body.
pub fn check_prefixed(signature: &str, key: &[u8], body: &[u8]) -> Result<(), Error> {
    if signature.is_empty() {
        return Err(Error::Missing);
    }
    let (prefix, hex) = signature.split_once('=').ok_or(Error::Malformed)?;
    let algorithm = match prefix {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => hmac::HMAC_SHA256,
        "sha512" => hmac::HMAC_SHA512,
        _ => return Err(Error::UnknownHash),
    };
    check(algorithm, hex, key, body)
}

/// Checks a lower-case hexadecimal HMAC-SHA1 over a body.
pub fn check_sha1(signature: &str, key: &[u8], body: &[u8]) -> Result<(), Error> {
    if signature.is_empty() {
        return Err(Error::Missing);
    }
    if signature.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Error::Wrong);
    }
    check(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, signature, key, body)
}

fn check(algorithm: hmac::Algorithm, hex: &str, key: &[u8], body: &[u8]) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::Wrong);
    }
    let signature = hex::decode(hex).map_err(|_| Error::Malformed)?;
    let key = hmac::Key::new(algorithm, key);
    hmac::verify(&key, body, &signature).map_err(|_| Error::Wrong)
}

/// Whether two secrets are equal. Their digests are compared under a key that nobody knows, so that the
/// time tells nothing.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    if b.is_empty() {
        return false;
    }
    let hidden = digest::digest(&digest::SHA256, b);
    let key = hmac::Key::new(hmac::HMAC_SHA256, hidden.as_ref());
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_other_bodies_and_keys_are_refused() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let good = format!("sha256={}", hex::encode(hmac::sign(&key, b"body")));
        assert_eq!(check_prefixed(&good, b"k", b"body"), Ok(()));
        assert_eq!(check_prefixed(&good, b"other", b"body"), Err(Error::Wrong));
        assert_eq!(check_prefixed(&good, b"k", b"other"), Err(Error::Wrong));
        assert_eq!(check_prefixed("", b"k", b"body"), Err(Error::Missing));
        assert_eq!(check_prefixed("md5=00", b"k", b"body"), Err(Error::UnknownHash));
        assert_eq!(check_prefixed("00", b"k", b"body"), Err(Error::Malformed));
        assert_eq!(check_prefixed("sha256=0", b"k", b"body"), Err(Error::Malformed));
        let empty = hmac::Key::new(hmac::HMAC_SHA256, b"");
        let forged = format!("sha256={}", hex::encode(hmac::sign(&empty, b"body")));
        assert_eq!(check_prefixed(&forged, b"", b"body"), Err(Error::Wrong));
    }

    #[test]
    fn an_empty_secret_equals_nothing() {
        assert!(equal(b"a", b"a"));
        assert!(!equal(b"a", b"b"));
        assert!(!equal(b"", b""));
    }
}
