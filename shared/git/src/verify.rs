//! Signatures of commits and tags.

mod pgp;
mod ssh;

use std::time::SystemTime;

use crate::Signature;

/// The public keys a signature may be made with.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys {
    pgp: Vec<String>,
    ssh: Vec<String>,
}

impl PublicKeys {
    /// The keys of a Secret: `*.sshpub` holds lines of authorized keys, everything else armored PGP key rings.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut keys = PublicKeys::default();
        for (name, value) in entries {
            let text = String::from_utf8_lossy(value).into_owned();
            if name.ends_with(".sshpub") {
                keys.ssh.push(text);
            } else {
                keys.pgp.push(text);
            }
        }
        keys
    }
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is of a kind we cannot check, or missing.
    #[error("unsupported signature type: {0}")]
    UnsupportedType(&'static str),
    /// There are no keys of its kind.
    #[error(
        "{kind} signature detected but no {kind} public keys found in secret (keys with {suffix} suffix)"
    )]
    NoKeys {
        /// `PGP` or `SSH`.
        kind: &'static str,
        /// How such keys are named.
        suffix: &'static str,
    },
    /// The signature cannot be read.
    #[error("malformed {kind} signature: {reason}")]
    Malformed {
        /// `PGP` or `SSH`.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// It was made by somebody else, or for something else.
    #[error("unable to verify payload with any of the given {0}")]
    NotVerified(&'static str),
    /// It was made by one of the keys, but does not count.
    #[error("{0}")]
    Refused(String),
}

/// Checks a signature at a point in time and says whose it is: the id of a PGP key, the fingerprint of an SSH key.
pub fn verify(signature: &Signature, keys: &PublicKeys, now: SystemTime) -> Result<String, VerifyError> {
    let armor = signature.armor.trim_start();
    if armor.is_empty() {
        return Err(VerifyError::UnsupportedType("empty"));
    }
    if armor.starts_with("-----BEGIN PGP SIGNATURE-----") || armor.starts_with("-----BEGIN PGP MESSAGE-----")
    {
        if keys.pgp.is_empty() {
            return Err(VerifyError::NoKeys { kind: "PGP", suffix: ".asc" });
        }
        return pgp::verify(armor, &signature.payload, &keys.pgp, now);
    }
    if armor.starts_with("-----BEGIN SSH SIGNATURE-----") {
        if keys.ssh.is_empty() {
            return Err(VerifyError::NoKeys { kind: "SSH", suffix: ".sshpub" });
        }
        return ssh::verify(armor, &signature.payload, &keys.ssh);
    }
    if armor.starts_with("-----BEGIN SIGNED MESSAGE-----") {
        return Err(VerifyError::UnsupportedType("x509"));
    }
    Err(VerifyError::UnsupportedType("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_in_the_armor() {
        let check = |armor: &str, names: &[&str]| {
            let signature = Signature { armor: armor.to_owned(), payload: Vec::new() };
            let keys = PublicKeys::from_entries(names.iter().map(|name| (*name, &b"x"[..])));
            verify(&signature, &keys, SystemTime::now()).unwrap_err().to_string()
        };
        assert_eq!(check("", &["a"]), "unsupported signature type: empty");
        assert_eq!(check("x", &["a"]), "unsupported signature type: unknown");
        assert_eq!(check("-----BEGIN SIGNED MESSAGE-----\n", &["a"]), "unsupported signature type: x509");
        assert_eq!(
            check("-----BEGIN PGP SIGNATURE-----\n", &["a.sshpub"]),
            "PGP signature detected but no PGP public keys found in secret (keys with .asc suffix)"
        );
        assert_eq!(
            check("-----BEGIN SSH SIGNATURE-----\n", &["a.asc"]),
            "SSH signature detected but no SSH public keys found in secret (keys with .sshpub suffix)"
        );
    }
}
