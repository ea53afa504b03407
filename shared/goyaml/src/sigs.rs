//! YAML through JSON, as `sigs.k8s.io/yaml` does it on top of go-yaml v2. Helm and Kubernetes read and write this way.

use crate::decode::decode_v2;
use crate::emit::{encode_bytewise, encode_json_value, encode_value, is_plain_json};
use crate::error::Error;
use crate::json::to_json;
use crate::node::{Node, tag};
use crate::parse::parse_first;
use crate::select::{select, select_members};
use crate::syntax::Dialect;
use crate::value::Value;

/// Reads the first document of a YAML text (`YAMLToJSON` before the JSON is written).
///
/// An empty text is null. Of duplicate keys the last wins. Keys become strings.
pub fn from_yaml(bytes: &[u8]) -> Result<Value, Error> {
    read(bytes, false)
}

/// [`from_yaml`] of a mapping without the members that `keep` does not want: much cheaper when these are large.
///
/// What is left out still has to be valid, and like the rest has to be something that JSON can say. A document that is no
/// mapping is given as it is.
pub fn from_yaml_selected(bytes: &[u8], keep: impl Fn(&str) -> bool) -> Result<Value, Error> {
    if let Some(value) = select_members(bytes, &keep)? {
        return Ok(value);
    }
    let mut value = read_tree(bytes, false)?;
    to_json(&value)?;
    if let Value::Object(map) = &mut value {
        map.retain(|key, _| keep(key));
    }
    Ok(value)
}

/// [`from_yaml`], where duplicate keys are an error.
pub fn from_yaml_strict(bytes: &[u8]) -> Result<Value, Error> {
    read(bytes, true)
}

/// Converts the first document of a YAML text to JSON, as `YAMLToJSON` does.
pub fn yaml_to_json(bytes: &[u8]) -> Result<String, Error> {
    to_json(&from_yaml(bytes)?)
}

/// [`yaml_to_json`], where duplicate keys are an error (`YAMLToJSONStrict`).
pub fn yaml_to_json_strict(bytes: &[u8]) -> Result<String, Error> {
    to_json(&from_yaml_strict(bytes)?)
}

/// Reads the first document into a map, as `Unmarshal` into `map[string]interface{}` does: numbers become floats.
///
/// Null gives an empty map; any other kind of value is an error.
pub fn unmarshal_map(bytes: &[u8]) -> Result<std::collections::BTreeMap<String, Value>, Error> {
    const CONTEXT: &str = "error converting YAML to JSON";
    let value = from_yaml(bytes).map_err(|error| error.context(CONTEXT))?;
    let value = go_floats(value).map_err(|error| error.context(CONTEXT))?;
    let kind = match value {
        Value::Object(map) => return Ok(map),
        Value::Null => return Ok(std::collections::BTreeMap::new()),
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Int(_) | Value::Uint(_) | Value::Float(_) => "number",
    };
    Err(Error::Json(format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    )))
}

/// The value after Go wrote it as JSON and read it back: every number is a float.
///
/// NaN and infinities are an error, since JSON does not have them.
pub fn go_floats(mut value: Value) -> Result<Value, Error> {
    make_floats(&mut value)?;
    Ok(value)
}

fn make_floats(value: &mut Value) -> Result<(), Error> {
    match value {
        Value::Int(number) => *value = Value::Float(*number as f64),
        Value::Uint(number) => *value = Value::Float(*number as f64),
        Value::Float(number) if !number.is_finite() => {
            to_json(value)?;
        }
        Value::Array(items) => items.iter_mut().try_for_each(make_floats)?,
        Value::Object(map) => map.values_mut().try_for_each(make_floats)?,
        _ => {}
    }
    Ok(())
}

/// Converts JSON to YAML, as `JSONToYAML` does. The text is read as YAML, so anything that is YAML is taken.
pub fn json_to_yaml(json: &[u8]) -> Result<String, Error> {
    let root = parse_first(json, Dialect::V2)?;
    let value = match &root {
        Some(document) => decode_v2(document.root(), false)?,
        None => Value::Null,
    };
    Ok(encode_value(&value))
}

/// Writes a value as YAML, as `Marshal` does: through JSON, which decides what numbers are integers.
///
/// Fails on NaN and infinities, and on text that JSON carries and YAML does not (U+007F, most of U+0080 to U+009F).
pub fn to_yaml(value: &Value) -> Result<String, Error> {
    if is_plain_json(value) {
        return Ok(encode_json_value(value));
    }
    json_to_yaml(to_json(value)?.as_bytes())
}

/// Writes a value as go-yaml v2 writes a `MapSlice` made of it, keys sorted bytewise: there is no JSON in between, and
/// floats that are whole become integers (`JSONObjectToYAMLObject`). Flux hashes this text.
pub fn to_yaml_bytewise(value: &Value) -> String {
    encode_bytewise(&whole_numbers(value))
}

fn whole_numbers(value: &Value) -> Value {
    match value {
        // A cast saturates where Go's wraps; neither is equal to the float then.
        Value::Float(float) if *float as i64 as f64 == *float && *float < 9.3e18 => Value::Int(*float as i64),
        Value::Float(float) if *float as u64 as f64 == *float && *float < 1.85e19 => {
            Value::Uint(*float as u64)
        }
        Value::Array(items) => Value::Array(items.iter().map(whole_numbers).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), whole_numbers(value))).collect())
        }
        other => other.clone(),
    }
}

fn read(bytes: &[u8], strict: bool) -> Result<Value, Error> {
    if !strict && let Some(value) = select(bytes, |_| true)? {
        return Ok(value);
    }
    read_tree(bytes, strict)
}

fn read_tree(bytes: &[u8], strict: bool) -> Result<Value, Error> {
    match parse_first(bytes, Dialect::V2)? {
        Some(document) => decode_v2(document.root(), strict),
        None => decode_v2(&Node::scalar(tag::NULL, ""), strict),
    }
}
