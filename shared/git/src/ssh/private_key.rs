//! Private keys of OpenSSH that the library does not read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The bytes of a P-256 number.
const P256: usize = 32;

/// Writes an unencrypted P-256 key with a number of full length.
///
/// OpenSSH leaves leading zeros out, which one key in some hundreds has, and the library refuses such a key. Nothing if
/// the key is of another kind or not short.
pub(super) fn with_full_p256(pem: &str) -> Option<String> {
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(body).ok()?;
    let mut outer = Fields(bytes.strip_prefix(MAGIC)?);
    let header_length = {
        let cipher = outer.string()?;
        if cipher != b"none" {
            return None;
        }
        outer.string()?;
        outer.string()?;
        if outer.number()? != 1 {
            return None;
        }
        outer.string()?;
        bytes.len() - outer.0.len()
    };
    let private = outer.string()?;
    let mut inner = Fields(private.get(8..)?);
    if inner.string()? != b"ecdsa-sha2-nistp256" {
        return None;
    }
    inner.string()?;
    inner.string()?;
    let before = private.len() - inner.0.len();
    let number = inner.string()?;
    let missing = P256.checked_sub(number.len()).filter(|missing| *missing > 0)?;
    let comment = inner.string()?;

    let mut padded = private[..before].to_vec();
    push_string(&mut padded, &[vec![0; missing].as_slice(), number].concat());
    push_string(&mut padded, comment);
    for filler in 1u8.. {
        if padded.len().is_multiple_of(8) {
            break;
        }
        padded.push(filler);
    }
    let mut whole = bytes[..header_length].to_vec();
    push_string(&mut whole, &padded);
    Some(format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(whole)))
}

/// The fields of SSH's wire format.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

fn push_string(bytes: &mut Vec<u8>, string: &[u8]) {
    bytes.extend_from_slice(&(string.len() as u32).to_be_bytes());
    bytes.extend_from_slice(string);
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::decode_secret_key;

    #[test]
    fn a_short_number_is_made_whole() {
        let short = include_str!("../../tests/fixtures/short-ecdsa-key");
        let whole = with_full_p256(short).unwrap();
        assert!(decode_secret_key(&whole, None).is_ok());
        assert_eq!(with_full_p256(&whole), None, "nothing is missing any more");
        for other in ["", "x", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
        {
            assert_eq!(with_full_p256(other), None);
        }
    }
}
