//! Kubernetes' protobuf encoding of request bodies: an envelope that names the kind, and messages known by their fields.

mod messages;
mod wire;

use serde_json::{Value, json};

use crate::object;
use crate::registry::split_group_version;
use crate::schema;
use wire::Reader;

/// Media type of the encoding.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: [u8; 4] = [0x6b, 0x38, 0x73, 0x00];

/// Why bytes are no object. The texts are those of the Go decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtobufError {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    #[error("empty data")]
    Empty,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: illegal wireType {0}")]
    WireType(u8),
    #[error("proto: illegal tag {0} (wire type {1})")]
    Tag(u64, u8),
    #[error("proto: wrong wireType = {wire} for field {field}")]
    FieldType { field: String, wire: u8 },
    #[error(
        "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    )]
    Kind { kind: String, api_version: String },
    #[error("proto: messages are nested too deeply")]
    Depth,
    #[error("string field contains invalid UTF-8")]
    Utf8,
    #[error("{0}")]
    Json(String),
}

/// Decodes an object with its envelope.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, ProtobufError> {
    decode_at(bytes, 0)
}

fn decode_at(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Err(ProtobufError::Empty);
    }
    let envelope = bytes.strip_prefix(&MAGIC).ok_or(ProtobufError::Prefix)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1, wire::BYTES) => {
                let mut meta = Reader::new(reader.bytes()?);
                while let Some((number, wire)) = meta.tag()? {
                    match (number, wire) {
                        (1, wire::BYTES) => api_version = meta.text()?.to_owned(),
                        (2, wire::BYTES) => kind = meta.text()?.to_owned(),
                        (_, wire) => meta.skip(wire)?,
                    }
                }
            }
            (2, wire::BYTES) => raw = reader.bytes()?,
            (_, wire) => reader.skip(wire)?,
        }
    }
    let (group, version) = split_group_version(&api_version);
    let types = schema::builtin();
    let message = types
        .kind(group, version, &kind)
        .and_then(|ty| types.definition_name(ty))
        .and_then(messages::find)
        .ok_or_else(|| ProtobufError::Kind { kind: kind.clone(), api_version: api_version.clone() })?;
    let mut value = messages::decode(message, raw, depth)?;
    let members = object::members(&mut value);
    members.insert("apiVersion".into(), json!(api_version));
    members.insert("kind".into(), json!(kind));
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    fn decoded(text: &str) -> Result<Value, ProtobufError> {
        decode(&base64::engine::general_purpose::STANDARD.decode(text).unwrap())
    }

    #[test]
    fn objects_are_read() {
        let v = decoded("azhzAAouChdhdXRob3JpemF0aW9uLms4cy5pby92MRITU3ViamVjdEFjY2Vzc1JldmlldxJBChAKABIAGgAiACoAMgA4AEIAEiMSCQoCL3ASA2dldBoEamFuZSIBYSoLCgFrEgYKAXYKAXcyABoICAASABoAIAAaACIA").unwrap();
        assert_eq!(v["spec"]["extra"], json!({"k": ["v", "w"]}));
        assert_eq!(v["spec"]["nonResourceAttributes"]["path"], "/p");
    }

    #[test]
    fn broken_bodies_are_refused() {
        assert_eq!(decode(b"not protobuf"), Err(ProtobufError::Prefix));
        assert_eq!(decoded("azhzAAo="), Err(ProtobufError::Truncated));
        for length in 0..40 {
            let whole = base64::engine::general_purpose::STANDARD
                .decode("azhzAAoPCgJ2MRIJQ29uZmlnTWFwEhMKEQoBYxIAGgAiACoAMgA4AEIAGgAiAA==")
                .unwrap();
            let _ = decode(&whole[..length.min(whole.len())]);
        }
    }
}
