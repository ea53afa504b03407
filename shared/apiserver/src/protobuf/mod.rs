//! Kubernetes' protobuf encoding of bodies: an envelope that names the kind, and messages known by their fields.

mod encode;
mod messages;
mod wire;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::object;
use crate::registry::split_group_version;
use crate::schema;
use wire::Reader;

/// Media type of the encoding.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// Media type of a watch in the encoding.
pub(crate) const WATCH_MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";
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
    let message = message_of(&api_version, &kind)
        .ok_or_else(|| ProtobufError::Kind { kind: kind.clone(), api_version: api_version.clone() })?;
    let mut value = messages::decode(message, raw, depth)?;
    let members = object::members(&mut value);
    members.insert("apiVersion".into(), json!(api_version));
    members.insert("kind".into(), json!(kind));
    Ok(value)
}

fn message_of(api_version: &str, kind: &str) -> Option<&'static messages::Message> {
    let (group, version) = split_group_version(api_version);
    let types = schema::builtin();
    let ty = types.kind(group, version, kind)?;
    messages::find(types.definition_name(ty)?)
}

/// Encodes an object of a built-in kind, or one of the kinds that answers have, with its envelope. `None` for others.
pub(crate) fn encode(v: &Value) -> Option<Vec<u8>> {
    let kind = v["kind"].as_str()?;
    let api_version = v["apiVersion"].as_str().unwrap_or_default();
    let mut raw = Vec::new();
    match (kind, kind.strip_suffix("List"), v.get("items")) {
        ("PartialObjectMetadata", ..) => put_metadata(v, &mut raw)?,
        ("APIVersions" | "APIGroup" | "APIGroupList" | "APIResourceList", ..) => {
            let message = messages::find(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"))?;
            encode::encode(message, v.as_object()?, &mut raw);
        }
        (_, Some(item), Some(items)) => {
            let items = items.as_array().into_iter().flatten().map(Cow::Borrowed);
            return encode_list(api_version, item, &v["metadata"], items);
        }
        _ => encode::encode(message_of(api_version, kind)?, v.as_object()?, &mut raw),
    }
    Some(in_envelope(api_version, kind, &raw))
}

/// Encodes a list of objects of the kind `item`.
pub(crate) fn encode_list<'a>(
    api_version: &str,
    item: &str,
    meta: &Value,
    items: impl Iterator<Item = Cow<'a, Value>>,
) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    let mut head = Vec::new();
    encode::encode(messages::find(LIST_META)?, meta.as_object()?, &mut head);
    wire::put_bytes(&mut raw, 1, &head);
    let message = if item == "PartialObjectMetadata" { None } else { Some(message_of(api_version, item)?) };
    let mut one = Vec::new();
    for v in items {
        one.clear();
        match message {
            Some(message) => encode::encode(message, v.as_object()?, &mut one),
            None => put_metadata(&v, &mut one)?,
        }
        wire::put_bytes(&mut raw, 2, &one);
    }
    Some(in_envelope(api_version, &format!("{item}List"), &raw))
}

/// One event of a watch, framed by its length.
pub(crate) fn watch_frame(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    wire::put_bytes(&mut raw, 1, object);
    let mut event = Vec::with_capacity(raw.len() + 24);
    event.extend_from_slice(&[0; 4]);
    wire::put_bytes(&mut event, 1, kind.as_bytes());
    wire::put_bytes(&mut event, 2, &raw);
    let length = u32::try_from(event.len() - 4).unwrap_or(u32::MAX);
    event[..4].copy_from_slice(&length.to_be_bytes());
    event
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The inside of `PartialObjectMetadata`.
fn put_metadata(v: &Value, out: &mut Vec<u8>) -> Option<()> {
    let mut meta = Vec::new();
    encode::encode(messages::find(OBJECT_META)?, v["metadata"].as_object()?, &mut meta);
    wire::put_bytes(out, 1, &meta);
    Some(())
}

fn in_envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    wire::put_bytes(&mut meta, 1, api_version.as_bytes());
    wire::put_bytes(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 24);
    out.extend_from_slice(&MAGIC);
    wire::put_bytes(&mut out, 1, &meta);
    wire::put_bytes(&mut out, 2, raw);
    wire::put_bytes(&mut out, 3, b"");
    wire::put_bytes(&mut out, 4, b"");
    out
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

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "creationTimestamp": "2026-01-02T03:04:05Z", "generation": 3,
                "labels": {"a": "b", "empty": ""},
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {".": {}}}, "time": "2026-01-02T03:04:05Z"}],
            },
            "spec": {
                "replicas": 0, "paused": true,
                "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
                "template": {"spec": {
                    "containers": [{
                        "name": "c", "resources": {"limits": {"cpu": "500m"}},
                        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                        "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": -1},
                    }],
                    "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "c"}}],
                }},
            },
        });
        assert_eq!(decode(&encode(&deployment).unwrap()), Ok(deployment));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "AAE=", "b": ""}});
        assert_eq!(decode(&encode(&secret).unwrap()), Ok(secret));
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "spec": {"renewTime": "2026-01-02T03:04:05.000006Z", "leaseDurationSeconds": 15},
        });
        assert_eq!(decode(&encode(&lease).unwrap()), Ok(lease));
        let schema = json!({
            "type": "object", "additionalProperties": false, "default": {"a": [1, null]}, "maximum": 1.5,
            "properties": {"l": {"items": {"type": "string"}}, "m": {"additionalProperties": {"type": "integer"}}},
        });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
        });
        assert_eq!(decode(&encode(&definition).unwrap()), Ok(definition));
    }

    #[test]
    fn kinds_without_a_message_are_not_encoded() {
        assert_eq!(encode(&json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {}})), None);
        let items = json!([{"metadata": {"name": "w"}, "spec": {}}]);
        let list = |api_version: &str, kind: &str| {
            encode(&json!({"apiVersion": api_version, "kind": kind, "metadata": {}, "items": items}))
        };
        assert_eq!(list("example.com/v1", "WidgetList"), None);
        assert!(list("meta.k8s.io/v1", "PartialObjectMetadataList").is_some());
        assert!(list("v1", "PodList").is_some());
    }

    #[test]
    fn events_are_framed() {
        assert_eq!(watch_frame("ADDED", b"ab"), b"\0\0\0\x0d\x0a\x05ADDED\x12\x04\x0a\x02ab");
    }

    /// Without what is zero, which one encoding writes and another leaves out.
    fn without_zeros(v: &Value) -> Option<Value> {
        match v {
            Value::Null | Value::Bool(false) => None,
            Value::String(text) => (!text.is_empty()).then(|| v.clone()),
            Value::Number(number) => (number.as_f64() != Some(0.0)).then(|| v.clone()),
            Value::Array(items) => {
                let items: Vec<Value> = items.iter().map(|v| without_zeros(v).unwrap_or_default()).collect();
                (!items.is_empty()).then_some(Value::Array(items))
            }
            Value::Object(members) => {
                let members: serde_json::Map<String, Value> =
                    members.iter().filter_map(|(k, v)| Some((k.clone(), without_zeros(v)?))).collect();
                (!members.is_empty()).then_some(Value::Object(members))
            }
            other => Some(other.clone()),
        }
    }

    /// Objects of every kind as a kube-apiserver 1.36 answered them, in JSON and in protobuf.
    #[test]
    fn answers_of_kubernetes_mean_the_same_in_both_encodings() {
        let recorded: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/protobuf/answers.json")).unwrap();
        assert!(recorded.len() > 50);
        for pair in recorded {
            let mut object = pair["object"].clone();
            for template in object["spec"]["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
                // Only envelopes say what an object is.
                template.as_object_mut().unwrap().retain(|name, _| name != "kind" && name != "apiVersion");
            }
            let object = &object;
            let theirs = decoded(pair["protobuf"].as_str().unwrap()).unwrap();
            assert_eq!(without_zeros(&theirs), without_zeros(object), "decoding {}", object["kind"]);
            let ours = decode(&encode(object).unwrap()).unwrap();
            assert_eq!(without_zeros(&ours), without_zeros(object), "encoding {}", object["kind"]);
        }
    }
}
