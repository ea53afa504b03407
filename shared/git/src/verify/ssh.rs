//! SSH signatures (`gpg.format=ssh`).

use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

use super::VerifyError;

/// What a signature must be made for: one made for something else proves nothing here.
const NAMESPACE: &str = "git";

/// Checks a signature against texts of authorized keys. A text with a line that cannot be read counts for nothing.
pub(super) fn verify(armor: &str, payload: &[u8], authorized: &[String]) -> Result<String, VerifyError> {
    let malformed = |reason: String| VerifyError::Malformed { kind: "SSH", reason };
    let signature = SshSig::from_pem(armor.trim_end()).map_err(|error| malformed(error.to_string()))?;
    if signature.namespace() != NAMESPACE {
        let namespace = signature.namespace();
        return Err(malformed(format!("it is for the namespace '{namespace}', not '{NAMESPACE}'")));
    }
    if matches!(signature.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Err(malformed("its algorithm is too weak".to_owned()));
    }
    for text in authorized {
        let Ok(keys) = text.lines().filter_map(parse_line).collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        for key in keys {
            if key.verify(NAMESPACE, payload, &signature).is_ok() {
                return Ok(key.fingerprint(HashAlg::Sha256).to_string());
            }
        }
    }
    Err(VerifyError::NotVerified("authorized keys"))
}

/// The key of a line; nothing for an empty one or a comment.
fn parse_line(line: &str) -> Option<Result<PublicKey, VerifyError>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    // Options may come before the key; they have nothing to say about signatures.
    let algorithms = ["ssh-", "ecdsa-", "sk-"];
    let start = line
        .match_indices(|c: char| c.is_ascii_alphabetic())
        .map(|(at, _)| at)
        .find(|at| {
            let at_word = *at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace();
            at_word && algorithms.iter().any(|a| line[*at..].starts_with(a))
        })
        .unwrap_or(0);
    let key = PublicKey::from_openssh(&line[start..]);
    Some(key.map_err(|error| VerifyError::Malformed { kind: "SSH", reason: error.to_string() }))
}
