//! Reads YAML into structs as `sigs.k8s.io/yaml` with Go's `encoding/json` does: field names in any letter case,
//! scalars turned into text where a struct wants text, unknown fields ignored, and Go's words for the first mismatch.

use std::collections::BTreeMap;

use fluxide_goyaml::{Value, number, sigs};

/// Reads the first document of a YAML text into a struct; `fill` is called for every field the document has.
///
/// `type_name` is Go's name of the struct, as its error messages print it: `v2.Metadata`.
pub(crate) fn decode_struct(
    yaml: &[u8],
    type_name: &'static str,
    fill: impl FnMut(&mut Decoder, &str, &Value),
) -> Result<(), String> {
    let value = sigs::from_yaml(yaml).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    decode_value(&value, type_name, fill)
}

/// [`decode_struct`] for a value that was read already.
pub(crate) fn decode_value(
    value: &Value,
    type_name: &'static str,
    fill: impl FnMut(&mut Decoder, &str, &Value),
) -> Result<(), String> {
    let mut decoder = Decoder::default();
    decoder.structure(value, type_name, fill);
    match decoder.mismatch {
        None => Ok(()),
        Some(mismatch) => Err(format!("error unmarshaling JSON: while decoding JSON: {mismatch}")),
    }
}

/// Where in the document the decoding is, and the first thing that did not fit.
#[derive(Default)]
pub(crate) struct Decoder {
    fields: Vec<&'static str>,
    structs: Vec<&'static str>,
    mismatch: Option<String>,
}

impl Decoder {
    /// Calls `fill` with the lower-cased name and the value of every member of an object.
    ///
    /// Null is no value; anything but an object is a mismatch.
    pub(crate) fn structure(
        &mut self,
        value: &Value,
        type_name: &'static str,
        mut fill: impl FnMut(&mut Decoder, &str, &Value),
    ) {
        let map = match value {
            Value::Object(map) => map,
            Value::Null => return,
            other => return self.report(other, type_name),
        };
        // Messages name the struct without its package.
        self.structs.push(type_name.rsplit('.').next().unwrap_or(type_name));
        for (key, value) in map {
            if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
                fill(self, &key.to_ascii_lowercase(), value);
            } else {
                fill(self, key, value);
            }
        }
        self.structs.pop();
    }

    /// Runs `read` as the reader of the field `name`, for the messages.
    pub(crate) fn field(&mut self, name: &'static str, read: impl FnOnce(&mut Decoder)) {
        self.fields.push(name);
        read(self);
        self.fields.pop();
    }

    /// Reads a text field. Numbers and booleans become text, floats with the precision of 32 bits.
    pub(crate) fn string(&mut self, name: &'static str, value: &Value, target: &mut String) {
        self.field(name, |decoder| decoder.text(value, target));
    }

    fn text(&mut self, value: &Value, target: &mut String) {
        match value {
            Value::Null => {}
            Value::String(text) => target.clone_from(text),
            Value::Bool(value) => *target = value.to_string(),
            Value::Int(value) => *target = value.to_string(),
            Value::Uint(value) => *target = value.to_string(),
            Value::Float(value) => *target = number::format_float32(*value),
            other => self.report(other, "string"),
        }
    }

    /// Reads a boolean field.
    pub(crate) fn boolean(&mut self, name: &'static str, value: &Value, target: &mut bool) {
        self.field(name, |decoder| match value {
            Value::Null => {}
            Value::Bool(value) => *target = *value,
            other => decoder.report(other, "bool"),
        });
    }

    /// Reads a list of texts.
    pub(crate) fn strings(&mut self, name: &'static str, value: &Value, target: &mut Vec<String>) {
        self.list(name, value, "[]string", target, |decoder, item, text: &mut String| {
            decoder.text(item, text)
        });
    }

    /// Reads a list, item by item.
    pub(crate) fn list<T: Default>(
        &mut self,
        name: &'static str,
        value: &Value,
        type_name: &'static str,
        target: &mut Vec<T>,
        mut read: impl FnMut(&mut Decoder, &Value, &mut T),
    ) {
        self.field(name, |decoder| match value {
            Value::Null => target.clear(),
            Value::Array(items) => {
                target.clear();
                for item in items {
                    let mut into = T::default();
                    read(decoder, item, &mut into);
                    target.push(into);
                }
            }
            other => decoder.report(other, type_name),
        });
    }

    /// Reads a map of texts.
    pub(crate) fn string_map(
        &mut self,
        name: &'static str,
        value: &Value,
        target: &mut Option<BTreeMap<String, String>>,
    ) {
        self.field(name, |decoder| match value {
            Value::Null => *target = None,
            Value::Object(map) => {
                let target = target.get_or_insert_with(BTreeMap::new);
                for (key, value) in map {
                    let mut text = String::new();
                    decoder.text(value, &mut text);
                    target.insert(key.clone(), text);
                }
            }
            other => decoder.report(other, "map[string]string"),
        });
    }

    /// Notes that a value does not fit the Go type; the first mismatch is the one that is reported.
    pub(crate) fn report(&mut self, value: &Value, type_name: &str) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.fail(kind, type_name);
    }

    fn fail(&mut self, kind: &str, type_name: &str) {
        if self.mismatch.is_some() {
            return;
        }
        let place = match self.structs.last() {
            None => format!("Go value of type {type_name}"),
            Some(owner) => format!("Go struct field {owner}.{} of type {type_name}", self.fields.join(".")),
        };
        self.mismatch = Some(format!("json: cannot unmarshal {kind} into {place}"));
    }

    /// Notes an error of another kind.
    pub(crate) fn problem(&mut self, problem: String) {
        self.mismatch.get_or_insert(problem);
    }
}
