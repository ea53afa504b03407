//! The messages of the built-in kinds, from a table of their fields, decoded to the JSON form of the same objects.
//! [`super::encode`] goes the other way.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use base64::Engine;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::wire::{BYTES, FIXED32, FIXED64, Reader, VARINT};
use super::{MAGIC, ProtobufError};
use crate::clock::{micros_text, seconds_text};

const FIELDS: &str = include_str!("../../data/kubernetes-1.36-protobuf.json");
const DEEPEST: usize = 64;
pub(super) const JSON_SCHEMA: &str =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// The fields of one message, by number.
pub(super) type Message = BTreeMap<u64, Field>;

/// A field: its JSON name (empty when its members belong to the message around it), whether it repeats, and its type.
pub(super) struct Field {
    pub name: String,
    pub label: Label,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Single,
    Repeated,
    Map,
}

pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    Signed,
    Unsigned,
    Double,
    Float,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON in bytes.
    Raw,
    /// A message that is nothing but a list of texts.
    Texts,
    SchemaOrBool,
    SchemaOrArray,
    SchemaOrTexts,
    Message(String),
}

static MESSAGES: LazyLock<HashMap<String, Message>> = LazyLock::new(read);

/// The message of a definition.
pub(super) fn find(definition: &str) -> Option<&'static Message> {
    MESSAGES.get(definition)
}

/// The table is part of the program: unreadable data leaves no messages, which the tests notice.
fn read() -> HashMap<String, Message> {
    let rows: HashMap<String, Vec<Vec<Value>>> = serde_json::from_str(FIELDS).unwrap_or_default();
    let field = |row: &Vec<Value>| {
        let code = row.get(2)?.as_str()?;
        let (label, code) = match code.as_bytes().first()? {
            b'r' => (Label::Repeated, &code[1..]),
            b'p' => (Label::Map, &code[1..]),
            _ => (Label::Single, code),
        };
        let kind = match code {
            "s" => Kind::Text,
            "b" => Kind::Bytes,
            "B" => Kind::Bool,
            "i" => Kind::Signed,
            "u" => Kind::Unsigned,
            "d" => Kind::Double,
            "f" => Kind::Float,
            "T" => Kind::Time,
            "M" => Kind::MicroTime,
            "Q" => Kind::Quantity,
            "I" => Kind::IntOrString,
            "R" => Kind::Raw,
            "Ls" => Kind::Texts,
            "O" => Kind::SchemaOrBool,
            "A" => Kind::SchemaOrArray,
            "S" => Kind::SchemaOrTexts,
            "m" => Kind::Message(row.get(3)?.as_str()?.to_owned()),
            _ => return None,
        };
        Some((row.first()?.as_u64()?, Field { name: row.get(1)?.as_str()?.to_owned(), label, kind }))
    };
    rows.into_iter().map(|(name, rows)| (name, rows.iter().filter_map(field).collect())).collect()
}

/// Decodes a message to an object.
pub(super) fn decode(message: &Message, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    if depth > DEEPEST {
        return Err(ProtobufError::Depth);
    }
    let mut out = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        let Some(field) = message.get(&number) else {
            reader.skip(wire)?;
            continue;
        };
        if field.label == Label::Map {
            let (key, value) = entry(&field.kind, expect_bytes(&mut reader, field, wire)?, depth)?;
            let map = out.entry(&field.name).or_insert_with(|| json!({}));
            crate::object::members(map).insert(key, value);
            continue;
        }
        let value = single(field, &mut reader, wire, depth)?;
        match (field.label, field.name.as_str()) {
            (Label::Repeated, name) => {
                if let Some(list) = out.entry(name).or_insert_with(|| json!([])).as_array_mut() {
                    list.push(value);
                }
            }
            (_, "") => {
                if let Value::Object(members) = value {
                    out.extend(members);
                }
            }
            (_, name) => {
                out.insert(name.to_owned(), value);
            }
        }
    }
    Ok(Value::Object(out))
}

fn expect_bytes<'a>(reader: &mut Reader<'a>, field: &Field, wire: u8) -> Result<&'a [u8], ProtobufError> {
    if wire == BYTES { reader.bytes() } else { Err(mismatch(field, wire)) }
}

fn mismatch(field: &Field, wire: u8) -> ProtobufError {
    ProtobufError::FieldType { field: field.name.clone(), wire }
}

/// Key and value of a map entry.
fn entry(kind: &Kind, bytes: &[u8], depth: usize) -> Result<(String, Value), ProtobufError> {
    let mut key = String::new();
    let mut value = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1, BYTES) => key = reader.text()?.to_owned(),
            (2, BYTES) => value = Some(of_bytes(kind, reader.bytes()?, depth)?),
            (2, VARINT) => value = Some(of_varint(kind, reader.varint()?)),
            (_, wire) => reader.skip(wire)?,
        }
    }
    let value = match value {
        Some(value) => value,
        None => of_bytes(kind, &[], depth)?,
    };
    Ok((key, value))
}

fn single(field: &Field, reader: &mut Reader, wire: u8, depth: usize) -> Result<Value, ProtobufError> {
    let kind = &field.kind;
    match (kind, wire) {
        (Kind::Bool | Kind::Signed | Kind::Unsigned, VARINT) => Ok(of_varint(kind, reader.varint()?)),
        (Kind::Double, FIXED64) => Ok(as_json(f64::from_bits(reader.fixed64()?))),
        (Kind::Float, FIXED32) => Ok(as_json(f64::from(f32::from_bits(reader.fixed32()?)))),
        (Kind::Bool | Kind::Signed | Kind::Unsigned | Kind::Double | Kind::Float, wire) => {
            Err(mismatch(field, wire))
        }
        (kind, wire) => of_bytes(kind, expect_bytes(reader, field, wire)?, depth),
    }
}

/// A number as JSON has it: whole ones without a fraction.
fn as_json(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT { (number as i64).into() } else { number.into() }
}

fn of_varint(kind: &Kind, n: u64) -> Value {
    match kind {
        Kind::Bool => (n != 0).into(),
        Kind::Unsigned => n.into(),
        _ => n.cast_signed().into(),
    }
}

fn of_bytes(kind: &Kind, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    let schema = |bytes: &[u8]| match find(JSON_SCHEMA) {
        Some(message) => decode(message, bytes, depth + 1),
        None => Ok(Value::Null),
    };
    Ok(match kind {
        Kind::Text => std::str::from_utf8(bytes).map_err(|_| ProtobufError::Utf8)?.into(),
        Kind::Bytes => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        Kind::Time => time(bytes)?.map(seconds_text).into(),
        Kind::MicroTime => time(bytes)?.map(micros_text).into(),
        Kind::Quantity => first_text(bytes)?.into(),
        Kind::IntOrString => int_or_string(bytes)?,
        Kind::Raw => raw(first_bytes(bytes)?, depth)?,
        Kind::Texts => texts(bytes)?.into(),
        Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrTexts => {
            let (mut allows, mut one, mut many) = (false, None, Vec::new());
            let mut reader = Reader::new(bytes);
            while let Some((number, wire)) = reader.tag()? {
                match (kind, number, wire) {
                    (Kind::SchemaOrBool, 1, VARINT) => allows = reader.varint()? != 0,
                    (Kind::SchemaOrBool, 2, BYTES) => one = Some(schema(reader.bytes()?)?),
                    (Kind::SchemaOrTexts, 2, BYTES) => many.push(reader.text()?.into()),
                    (Kind::SchemaOrArray, 2, BYTES) => many.push(schema(reader.bytes()?)?),
                    (_, 1, BYTES) => one = Some(schema(reader.bytes()?)?),
                    (_, _, wire) => reader.skip(wire)?,
                }
            }
            match (kind, one) {
                (_, Some(schema)) => schema,
                (Kind::SchemaOrBool, None) => allows.into(),
                (_, None) => Value::Array(many),
            }
        }
        Kind::Message(name) => match find(name) {
            Some(message) => decode(message, bytes, depth + 1)?,
            None => Value::Null,
        },
        Kind::Bool | Kind::Signed | Kind::Unsigned | Kind::Double | Kind::Float => of_varint(kind, 0),
    })
}

/// Seconds and nanoseconds; no time when there are neither.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>, ProtobufError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1, VARINT) => seconds = reader.varint()?.cast_signed(),
            (2, VARINT) => nanos = reader.varint()?.cast_signed(),
            (_, wire) => reader.skip(wire)?,
        }
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let nanos = i32::try_from(nanos).unwrap_or_default();
    Ok(Timestamp::new(seconds, nanos).ok())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number_value, mut text) = (false, 0i64, "");
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1, VARINT) => is_text = reader.varint()? == 1,
            (2, VARINT) => number_value = reader.varint()?.cast_signed(),
            (3, BYTES) => text = reader.text()?,
            (_, wire) => reader.skip(wire)?,
        }
    }
    Ok(if is_text { text.into() } else { number_value.into() })
}

fn first_bytes(bytes: &[u8]) -> Result<&[u8], ProtobufError> {
    let mut found = &[][..];
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1, BYTES) => found = reader.bytes()?,
            (_, wire) => reader.skip(wire)?,
        }
    }
    Ok(found)
}

fn first_text(bytes: &[u8]) -> Result<&str, ProtobufError> {
    std::str::from_utf8(first_bytes(bytes)?).map_err(|_| ProtobufError::Utf8)
}

fn texts(bytes: &[u8]) -> Result<Vec<Value>, ProtobufError> {
    let mut out = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1, BYTES) => out.push(reader.text()?.into()),
            (_, wire) => reader.skip(wire)?,
        }
    }
    Ok(out)
}

/// An embedded object: JSON, or an enveloped message again.
fn raw(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if bytes.starts_with(&MAGIC) {
        return super::decode_at(bytes, depth + 1);
    }
    serde_json::from_slice(bytes).map_err(|e| ProtobufError::Json(e.to_string()))
}
