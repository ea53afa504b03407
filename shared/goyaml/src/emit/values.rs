//! Values to text, as go-yaml v2 writes them: keys in natural order, lines folded after column 80.

use crate::natural;
use crate::number::format_float;
use crate::resolve::{Rules, Scalar, is_base60, resolve};
use crate::syntax::Dialect;
use crate::syntax::token::ScalarStyle;
use crate::value::Value;

use super::analysis::analyze;
use super::{Emitter, Place};

/// Writes a value as one document.
pub(crate) fn encode_value(value: &Value) -> String {
    let mut emitter = Emitter::new(Dialect::V2, 2, 80, true);
    emitter.value(value, false);
    emitter.write_indent();
    emitter.out
}

impl Emitter<'_> {
    /// Writes a value; `mapping` says that it belongs to a key.
    fn value(&mut self, value: &Value, mapping: bool) {
        match value {
            Value::Null => self.word("null"),
            Value::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Value::Int(value) => self.word(&value.to_string()),
            Value::Uint(value) => self.word(&value.to_string()),
            Value::Float(value) => self.word(&yaml_float(*value)),
            Value::String(text) => self.string(text, false),
            Value::Array(items) if items.is_empty() => self.word("[]"),
            Value::Object(map) if map.is_empty() => self.word("{}"),
            Value::Array(items) => {
                let old = self.indent;
                if old < 0 {
                    self.indent = 0;
                } else if !mapping || self.indention {
                    self.indent += self.best_indent;
                }
                for item in items {
                    self.write_indent();
                    self.write_indicator("-", true, false, true);
                    self.value(item, false);
                }
                self.indent = old;
            }
            Value::Object(map) => {
                let old = self.increase_indent(false, Place::default(), false);
                for (key, value) in natural::sorted(map) {
                    self.write_indent();
                    if key.len() <= 128 && !analyze(Dialect::V2, key).multiline {
                        self.string(key, true);
                        self.write_indicator(":", false, false, false);
                    } else {
                        self.write_indicator("?", true, false, true);
                        self.string(key, false);
                        self.write_indent();
                        self.write_indicator(":", true, false, true);
                    }
                    self.value(value, true);
                }
                self.indent = old;
            }
        }
    }

    /// Writes text that needs no quotes and is not folded.
    fn word(&mut self, text: &str) {
        if !self.whitespace {
            self.put(b' ');
        }
        self.write_str(text);
        self.whitespace = false;
        self.indention = false;
    }

    fn string(&mut self, text: &str, simple_key: bool) {
        let wanted = if text.contains('\n') {
            ScalarStyle::Literal
        } else if resolve(Rules::V2, "", text) == Ok(Scalar::String) && !is_base60(text) {
            ScalarStyle::Plain
        } else {
            ScalarStyle::DoubleQuoted
        };
        let place = Place { simple_key, ..Place::default() };
        let style = self.select_style(wanted, text, analyze(Dialect::V2, text), place);
        let old = self.increase_indent(true, place, false);
        self.write_scalar(style, text, !simple_key);
        self.indent = old;
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
