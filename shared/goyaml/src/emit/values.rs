//! Values to text, as go-yaml v2 writes them: keys in natural order, lines folded after column 80.

use crate::natural;
use crate::number::{format_float, format_json_float};
use crate::resolve::{Rules, Scalar, is_base60, resolve};
use crate::syntax::token::ScalarStyle;
use crate::syntax::{Dialect, MAX_DEPTH};
use crate::value::Value;

use super::analysis::{Analysis, analyze};
use super::{Emitter, Place};

/// Writes a value as one document.
pub(crate) fn encode_value(value: &Value) -> String {
    let mut emitter = Emitter::new(Dialect::V2, 2, 80, true);
    emitter.value(value, false);
    emitter.write_indent();
    emitter.out
}

/// Writes a value as [`encode_value`] would after it passed through JSON, where `1.0` becomes `1`.
///
/// That is the whole difference only for values that [`is_plain_json`].
pub(crate) fn encode_json_value(value: &Value) -> String {
    let mut emitter = Emitter::new(Dialect::V2, 2, 80, true);
    emitter.json_numbers = true;
    emitter.value(value, false);
    emitter.write_indent();
    emitter.out
}

/// Writes a value as [`encode_value`] does, with the keys of its maps in bytewise order.
pub(crate) fn encode_bytewise(value: &Value) -> String {
    let mut emitter = Emitter::new(Dialect::V2, 2, 80, true);
    emitter.bytewise = true;
    emitter.value(value, false);
    emitter.write_indent();
    emitter.out
}

/// Whether go-yaml reads the JSON of a value as that value: it is not too deep, no key is too long, and no text has a
/// character that YAML refuses or folds.
pub(crate) fn is_plain_json(value: &Value) -> bool {
    is_plain_json_at(value, 0)
}

fn is_plain_json_at(value: &Value, depth: usize) -> bool {
    match value {
        Value::Float(value) => value.is_finite(),
        Value::String(text) => is_plain_text(text),
        Value::Array(items) => {
            depth < MAX_DEPTH && items.iter().all(|item| is_plain_json_at(item, depth + 1))
        }
        Value::Object(map) => {
            depth < MAX_DEPTH
                && map.iter().all(|(key, value)| {
                    key.len() < LONGEST_KEY && is_plain_text(key) && is_plain_json_at(value, depth + 1)
                })
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) => true,
    }
}

/// A key of 1024 characters is none to go-yaml; an escape takes up to six of them.
pub(super) const LONGEST_KEY: usize = 160;

/// No U+007F to U+009F, U+FFFE or U+FFFF.
pub(super) fn is_plain_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.iter().enumerate().any(|(at, &byte)| match byte {
        0x7F => true,
        0xC2 => bytes[at + 1] < 0xA0,
        0xEF => bytes[at + 1] == 0xBF && bytes[at + 2] >= 0xBE,
        _ => false,
    })
}

impl Emitter<'_> {
    /// Writes a value; `mapping` says that it belongs to a key.
    fn value(&mut self, value: &Value, mapping: bool) {
        match value {
            Value::Null => self.word("null"),
            Value::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Value::Int(value) => self.word(&value.to_string()),
            Value::Uint(value) => self.word(&value.to_string()),
            Value::Float(value) if self.json_numbers => self.word(&json_number(*value)),
            Value::Float(value) => self.word(&yaml_float(*value)),
            Value::String(text) => self.string(text),
            Value::Array(items) if items.is_empty() => self.word("[]"),
            Value::Object(map) if map.is_empty() => self.word("{}"),
            Value::Array(items) => {
                let old = self.indent_sequence(mapping);
                for item in items {
                    self.write_indent();
                    self.write_indicator("-", true, false, true);
                    self.value(item, false);
                }
                self.indent = old;
            }
            Value::Object(map) => {
                let old = self.increase_indent(false, Place::default(), false);
                let entries = if self.bytewise {
                    map.iter().map(|(key, value)| (key.as_str(), value)).collect()
                } else {
                    natural::sorted(map)
                };
                for (key, value) in entries {
                    self.key(key);
                    self.value(value, true);
                }
                self.indent = old;
            }
        }
    }

    /// Writes a key with its colon.
    pub(super) fn key(&mut self, key: &str) {
        self.write_indent();
        let analysis = analyze(Dialect::V2, key);
        if key.len() <= 128 && !analysis.multiline {
            self.analyzed_string(key, analysis, true);
            self.write_indicator(":", false, false, false);
        } else {
            self.write_indicator("?", true, false, true);
            self.analyzed_string(key, analysis, false);
            self.write_indent();
            self.write_indicator(":", true, false, true);
        }
    }

    /// Raises the indentation for a sequence and returns the old one; below a key it stays where it is.
    pub(super) fn indent_sequence(&mut self, mapping: bool) -> i32 {
        let old = self.indent;
        if old < 0 {
            self.indent = 0;
        } else if !mapping || self.indention {
            self.indent += self.best_indent;
        }
        old
    }

    /// Writes text that needs no quotes and is not folded.
    pub(super) fn word(&mut self, text: &str) {
        if !self.whitespace {
            self.put(b' ');
        }
        self.write_str(text);
        self.whitespace = false;
        self.indention = false;
    }

    pub(super) fn string(&mut self, text: &str) {
        self.analyzed_string(text, analyze(Dialect::V2, text), false);
    }

    fn analyzed_string(&mut self, text: &str, analysis: Analysis, simple_key: bool) {
        let wanted = if text.contains('\n') {
            ScalarStyle::Literal
        } else if resolve(Rules::V2, "", text) == Ok(Scalar::String) && !is_base60(text) {
            ScalarStyle::Plain
        } else {
            ScalarStyle::DoubleQuoted
        };
        let place = Place { simple_key, ..Place::default() };
        let style = self.select_style(wanted, text, analysis, place);
        let old = self.increase_indent(true, place, false);
        self.write_scalar(style, text, !simple_key);
        self.indent = old;
    }
}

/// A float as it is read back from JSON.
pub(super) fn json_number(value: f64) -> String {
    let text = format_json_float(value).unwrap_or_default();
    match resolve(Rules::V2, "", &text) {
        Ok(Scalar::Int(value)) => value.to_string(),
        Ok(Scalar::Uint(value)) => value.to_string(),
        _ => format_float(value),
    }
}

fn yaml_float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        format_float(value)
    }
}
