//! JSON objects, in the order in which they are written.

use std::fmt;

use fluxide_goyaml::number::format_json_float;
use fluxide_goyaml::quote_json;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::StoreError;
use crate::document::{Entry, Value};

pub fn load(bytes: &[u8]) -> Result<Vec<Entry>, StoreError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Ordered(value) =
        Ordered::deserialize(&mut reader).map_err(|error| StoreError::Json(position(&error)))?;
    reader.end().map_err(|error| StoreError::Json(position(&error)))?;
    match value {
        Value::Map(entries) => Ok(entries),
        _ => Err(StoreError::Json(
            "SOPS only supports JSON files with a top-level object (starting with '{'), not arrays or other types. \
             To encrypt this file, wrap it in an object, e.g., {\"data\": [...]}"
                .to_owned(),
        )),
    }
}

/// Where a text stops being JSON, without any of the text.
fn position(error: &serde_json::Error) -> String {
    let what = if error.is_eof() { "the JSON ends too early" } else { "malformed JSON" };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

struct Ordered(Value);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderedVisitor).map(Self)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Ordered(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, Ordered(value))) = pairs.next_entry::<String, Ordered>()? {
            entries.push(Entry::Pair(key, value));
        }
        Ok(Value::Map(entries))
    }
}

pub fn emit(entries: &[Entry]) -> String {
    let mut out = String::new();
    object(&mut out, entries, 0);
    out.push('\n');
    out
}

fn value_into(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null | Value::Comment(_) => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => {
            out.push_str(&format_json_float(*value).unwrap_or_else(|| "null".to_owned()));
        }
        Value::String(text) | Value::Time(text) => out.push_str(&quote_json(text, true)),
        Value::Bytes(bytes) => out.push_str(&quote_json(&String::from_utf8_lossy(bytes), true)),
        Value::List(items) => {
            let items = items.iter().filter(|item| !matches!(item, Value::Comment(_)));
            sequence(out, depth, ('[', ']'), items, |out, item| value_into(out, item, depth + 1));
        }
        Value::Map(entries) => object(out, entries, depth),
    }
}

fn object(out: &mut String, entries: &[Entry], depth: usize) {
    let pairs = entries.iter().filter_map(|entry| match entry {
        Entry::Pair(key, value) => Some((key, value)),
        Entry::Comment(_) => None,
    });
    sequence(out, depth, ('{', '}'), pairs, |out, (key, value)| {
        out.push_str(&quote_json(key, true));
        out.push_str(": ");
        value_into(out, value, depth + 1);
    });
}

fn sequence<T>(
    out: &mut String,
    depth: usize,
    (open, close): (char, char),
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(open);
    let mut any = false;
    for item in items {
        out.push_str(if any { ",\n" } else { "\n" });
        any = true;
        out.extend(std::iter::repeat_n('\t', depth + 1));
        write(out, item);
    }
    if any {
        out.push('\n');
        out.extend(std::iter::repeat_n('\t', depth));
    }
    out.push(close);
}
