//! Encrypted values: `ENC[AES256_GCM,data:..,iv:..,tag:..,type:..]`.

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::generic_array::ArrayLength;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::document::Value;
use crate::recovery::DataKey;

/// Why a value cannot be decrypted. The value itself is never part of it.
#[derive(Debug, thiserror::Error)]
pub enum CipherError {
    /// The text is no encrypted value.
    #[error("Input string <redacted> does not match sops' data format")]
    NotEncrypted,
    /// A part is not base64.
    #[error("Error base64-decoding {0}: illegal base64 data")]
    Base64(&'static str),
    /// The text, its place in the document or the key is not what it was when it was encrypted.
    #[error("Could not decrypt with AES_GCM: cipher: message authentication failed")]
    Authentication,
    /// The nonce or the tag has a length that no version of SOPS writes.
    #[error("Could not decrypt with AES_GCM: {0} of {1} bytes")]
    Length(&'static str, usize),
    /// The type is unknown.
    #[error("Unknown datatype: {0}")]
    Type(String),
    /// The decrypted text does not have the type it claims.
    #[error("the decrypted value is no {0}")]
    Mistyped(&'static str),
}

/// Decrypts a value; `context` is what it was bound to: its path, or the time of the last change for the MAC.
pub fn decrypt(text: &str, key: &DataKey, context: &str) -> Result<Value, CipherError> {
    if text.is_empty() {
        return Ok(Value::String(String::new()));
    }
    let parts = Parts::parse(text).ok_or(CipherError::NotEncrypted)?;
    let decode = |part: &str, name| STANDARD.decode(part).map_err(|_| CipherError::Base64(name));
    let mut data = decode(parts.data, "data")?;
    let nonce = decode(parts.nonce, "iv")?;
    let tag = decode(parts.tag, "tag")?;
    if tag.len() != 16 {
        return Err(CipherError::Length("a tag", tag.len()));
    }
    let tag = Tag::<U16>::from_slice(&tag);
    match nonce.len() {
        32 => open::<U32>(key, &nonce, context, &mut data, tag)?,
        16 => open::<U16>(key, &nonce, context, &mut data, tag)?,
        12 => open::<U12>(key, &nonce, context, &mut data, tag)?,
        other => return Err(CipherError::Length("an iv", other)),
    }
    typed(data, parts.kind)
}

fn open<N: ArrayLength<u8>>(
    key: &DataKey,
    nonce: &[u8],
    context: &str,
    data: &mut [u8],
    tag: &Tag<U16>,
) -> Result<(), CipherError> {
    let cipher =
        AesGcm::<Aes256, N>::new_from_slice(key.as_bytes()).map_err(|_| CipherError::Authentication)?;
    let nonce = Nonce::<N>::from_slice(nonce);
    cipher
        .decrypt_in_place_detached(nonce, context.as_bytes(), data, tag)
        .map_err(|_| CipherError::Authentication)
}

fn typed(data: Vec<u8>, kind: &str) -> Result<Value, CipherError> {
    if kind == "bytes" {
        return Ok(Value::Bytes(data));
    }
    let text = match String::from_utf8(data) {
        Ok(text) => text,
        // Go strings hold any bytes.
        Err(error) if kind == "str" => return Ok(Value::Bytes(error.into_bytes())),
        Err(_) => return Err(CipherError::Mistyped("text")),
    };
    Ok(match kind {
        "str" => Value::String(text),
        "comment" => Value::Comment(text),
        "int" => Value::Int(text.parse().map_err(|_| CipherError::Mistyped("integer"))?),
        "float" => Value::Float(text.parse().map_err(|_| CipherError::Mistyped("number"))?),
        "bool" => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Value::Bool(false),
            _ => return Err(CipherError::Mistyped("boolean")),
        },
        "time" => Value::Time(text),
        other => return Err(CipherError::Type(other.to_owned())),
    })
}

/// The parts of an encrypted value.
struct Parts<'a> {
    data: &'a str,
    nonce: &'a str,
    tag: &'a str,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("ENC[AES256_GCM,data:")?;
        let (data, rest) = rest.split_once(",iv:")?;
        let (nonce, rest) = rest.split_once(",tag:")?;
        let (tag, rest) = rest.split_once(",type:")?;
        let (kind, _) = rest.rsplit_once(']')?;
        (!data.is_empty() && !nonce.is_empty() && !tag.is_empty() && !kind.is_empty()).then_some(Self {
            data,
            nonce,
            tag,
            kind,
        })
    }
}
