//! Objects in their JSON form encoded to messages. Fields without a value are left out: readers take them for zero.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::messages::{Field, JSON_SCHEMA, Kind, Label, Message, find};
use super::wire::{FIXED32, FIXED64, VARINT, put_bytes, put_tag, put_varint};

/// Adds the fields of an object to `out`.
pub(super) fn encode(message: &Message, object: &Map<String, Value>, out: &mut Vec<u8>) {
    for (number, field) in message {
        if field.name.is_empty() {
            embedded(*number, field, object, out);
            continue;
        }
        match (field.label, object.get(&field.name)) {
            (_, None | Some(Value::Null)) => {}
            (Label::Single, Some(value)) => put(*number, &field.kind, value, out),
            (Label::Repeated, Some(values)) => {
                for value in values.as_array().into_iter().flatten() {
                    put(*number, &field.kind, value, out);
                }
            }
            (Label::Map, Some(values)) => {
                for (key, value) in values.as_object().into_iter().flatten() {
                    let mut entry = Vec::new();
                    put_bytes(&mut entry, 1, key.as_bytes());
                    put(2, &field.kind, value, &mut entry);
                    put_bytes(out, *number, &entry);
                }
            }
        }
    }
}

/// A message whose members belong to the object around it in JSON.
fn embedded(number: u64, field: &Field, object: &Map<String, Value>, out: &mut Vec<u8>) {
    let Kind::Message(name) = &field.kind else { return };
    let mut inner = Vec::new();
    if let Some(message) = find(name) {
        encode(message, object, &mut inner);
    }
    if !inner.is_empty() {
        put_bytes(out, number, &inner);
    }
}

/// One field with a value. A value of another type than the field's is left out: stored objects have none.
fn put(number: u64, kind: &Kind, value: &Value, out: &mut Vec<u8>) {
    match kind {
        Kind::Text => put_bytes(out, number, value.as_str().unwrap_or_default().as_bytes()),
        Kind::Bytes => {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            put_bytes(out, number, &bytes.unwrap_or_default());
        }
        Kind::Bool => put_number(out, number, u64::from(value.as_bool() == Some(true))),
        Kind::Signed => put_number(out, number, integer(value).cast_unsigned()),
        Kind::Unsigned => {
            put_number(out, number, value.as_u64().unwrap_or_else(|| integer(value).cast_unsigned()));
        }
        Kind::Double => {
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
        }
        Kind::Float => {
            put_tag(out, number, FIXED32);
            out.extend_from_slice(&(value.as_f64().unwrap_or_default() as f32).to_le_bytes());
        }
        _ => {
            let mut inner = Vec::new();
            message(kind, value, &mut inner);
            put_bytes(out, number, &inner);
        }
    }
}

/// The inside of a value that is a message.
fn message(kind: &Kind, value: &Value, out: &mut Vec<u8>) {
    match kind {
        Kind::Time | Kind::MicroTime => {
            if let Some(time) = value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
                put_number(out, 1, time.as_second().cast_unsigned());
                put_number(out, 2, i64::from(time.subsec_nanosecond()).cast_unsigned());
            }
        }
        Kind::Quantity => match value {
            Value::String(text) => put_bytes(out, 1, text.as_bytes()),
            other => put_bytes(out, 1, other.to_string().as_bytes()),
        },
        Kind::IntOrString => match value.as_str() {
            Some(text) => {
                put_number(out, 1, 1);
                put_number(out, 2, 0);
                put_bytes(out, 3, text.as_bytes());
            }
            None => {
                put_number(out, 1, 0);
                put_number(out, 2, integer(value).cast_unsigned());
                put_bytes(out, 3, b"");
            }
        },
        Kind::Raw => put_bytes(out, 1, value.to_string().as_bytes()),
        Kind::Texts => {
            for text in value.as_array().into_iter().flatten() {
                put_bytes(out, 1, text.as_str().unwrap_or_default().as_bytes());
            }
        }
        Kind::SchemaOrBool => match value.as_bool() {
            Some(allows) => put_number(out, 1, u64::from(allows)),
            None => {
                put_number(out, 1, 1);
                schema(2, value, out);
            }
        },
        Kind::SchemaOrArray | Kind::SchemaOrTexts => match value.as_array() {
            None => schema(1, value, out),
            Some(values) => {
                for value in values {
                    match value.as_str() {
                        Some(text) => put_bytes(out, 2, text.as_bytes()),
                        None => schema(2, value, out),
                    }
                }
            }
        },
        Kind::Message(name) => {
            if let (Some(message), Some(object)) = (find(name), value.as_object()) {
                encode(message, object, out);
            }
        }
        Kind::Text
        | Kind::Bytes
        | Kind::Bool
        | Kind::Signed
        | Kind::Unsigned
        | Kind::Double
        | Kind::Float => {}
    }
}

fn schema(number: u64, value: &Value, out: &mut Vec<u8>) {
    let mut inner = Vec::new();
    if let (Some(message), Some(object)) = (find(JSON_SCHEMA), value.as_object()) {
        encode(message, object, &mut inner);
    }
    put_bytes(out, number, &inner);
}

fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_tag(out, number, VARINT);
    put_varint(out, value);
}

fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)).unwrap_or_default()
}
