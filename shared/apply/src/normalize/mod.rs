//! Brings an object to the form in which it is applied.
//!
//! Flux reads objects of built-in kinds into Go's types and writes them out again before it applies
//! them. What that changes (unknown fields are dropped, empty structs appear, quantities become
//! canonical) is visible in `managedFields`, so it is done here in the same way, from a table of
//! Go's types. An object that does not fit its type is applied as it is: the API server says best
//! what is wrong with it.

mod quantity;
mod table;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::object::Object;
use table::Table;

/// Normalises an object and returns the paths of fields that its kind does not have and that were
/// therefore dropped.
pub fn normalize(object: &mut Object) -> Vec<String> {
    if is_left_alone(object) {
        return Vec::new();
    }
    let dropped = round_trip(object).unwrap_or_default();
    if let Some(metadata) = object.fields_mut().entry("metadata").or_insert_with(|| json!({})).as_object_mut()
    {
        metadata.insert("creationTimestamp".to_owned(), Value::Null);
    }
    if !object.is_custom_resource_definition() {
        object.fields_mut().remove("status");
    }
    dropped
}

/// An empty `rules: []` of a role means something, which the round trip would lose.
fn is_left_alone(object: &Object) -> bool {
    object.api_version() == "rbac.authorization.k8s.io/v1" && matches!(object.kind(), "Role" | "ClusterRole")
}

/// Reads an object into the type of its kind and writes it out again. `None` when the kind is not
/// built in or the object does not fit.
fn round_trip(object: &mut Object) -> Option<Vec<String>> {
    let (api_version, kind) = (object.api_version(), object.kind());
    let table = Table::get();
    let mut converter = Converter { table, path: Vec::new(), dropped: Vec::new() };
    let mut typed = converter.structure(table.kind(api_version, kind)?, object.fields()).ok()?;
    match (api_version, kind) {
        ("v1", "Secret") => merge_string_data(&mut typed),
        ("v1", "Service") => default_protocols(pointer_mut(&mut typed, &["spec", "ports"])),
        ("v1", "Pod") => default_container_protocols(&mut typed, &["spec"]),
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch/v1", "Job") => {
            default_container_protocols(&mut typed, &["spec", "template", "spec"]);
        }
        ("batch/v1", "CronJob") => {
            default_container_protocols(&mut typed, &["spec", "jobTemplate", "spec", "template", "spec"]);
        }
        _ => {}
    }
    *object.fields_mut() = typed;
    Some(converter.dropped)
}

/// The object does not fit its type.
struct Mismatch;

struct Converter<'a> {
    table: &'a Table,
    path: Vec<String>,
    dropped: Vec<String>,
}

impl Converter<'_> {
    fn structure(&mut self, name: &str, fields: &Map<String, Value>) -> Result<Map<String, Value>, Mismatch> {
        let mut typed = Map::new();
        let mut known = 0;
        for field in self.table.fields(name) {
            let given = fields.get(field.name);
            known += usize::from(given.is_some());
            self.path.push(field.name.to_owned());
            let value = match given {
                Some(value) => self.value(field.kind, value)?,
                None => self.zero(field.kind),
            };
            self.path.pop();
            if !field.is_left_out(&value) {
                typed.insert(field.name.to_owned(), value);
            }
        }
        if known < fields.len() {
            let unknown = fields.keys().filter(|key| self.table.fields(name).all(|field| field.name != *key));
            let path = self.path.join(".");
            let dot = if path.is_empty() { "" } else { "." };
            self.dropped.extend(unknown.map(|key| format!("{path}{dot}{key}")));
        }
        Ok(typed)
    }

    fn value(&mut self, kind: &str, value: &Value) -> Result<Value, Mismatch> {
        if value.is_null() {
            return Ok(self.zero(kind));
        }
        let (first, rest) = kind.split_at(1);
        Ok(match (first, value) {
            ("*", _) => self.value(rest, value)?,
            ("@", Value::Object(fields)) => Value::Object(self.structure(rest, fields)?),
            ("[", Value::Array(items)) => {
                let mut typed = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.path.push(index.to_string());
                    typed.push(self.value(rest, item)?);
                    self.path.pop();
                }
                Value::Array(typed)
            }
            ("{", Value::Object(members)) => {
                let mut typed = Map::new();
                for (key, member) in members {
                    self.path.push(key.clone());
                    typed.insert(key.clone(), self.value(rest, member)?);
                    self.path.pop();
                }
                Value::Object(typed)
            }
            ("s", Value::String(_)) | ("b", Value::Bool(_)) | ("r", _) => value.clone(),
            ("i", Value::Number(number)) => integer(number).ok_or(Mismatch)?,
            ("u", Value::Number(number)) => match integer(number) {
                Some(integer) if integer.as_u64().is_some() => integer,
                _ => return Err(Mismatch),
            },
            ("f", Value::Number(number)) if number.is_f64() => value.clone(),
            ("y", Value::String(text)) => STANDARD.encode(decode_base64(text).ok_or(Mismatch)?).into(),
            ("q", Value::String(text)) => quantity::canonical(text.trim()).ok_or(Mismatch)?.into(),
            ("q", Value::Number(number)) => quantity::canonical(&number.to_string()).ok_or(Mismatch)?.into(),
            ("n", Value::String(_)) => value.clone(),
            ("n", Value::Number(number)) => integer(number).ok_or(Mismatch)?,
            ("t", Value::String(text)) => time(text, "%Y-%m-%dT%H:%M:%SZ").ok_or(Mismatch)?.into(),
            ("m", Value::String(text)) if text.contains('.') => {
                time(text, "%Y-%m-%dT%H:%M:%S.%6fZ").ok_or(Mismatch)?.into()
            }
            ("d", Value::String(_)) => value.clone(),
            _ => return Err(Mismatch),
        })
    }

    /// What Go writes for a field that nobody set.
    fn zero(&mut self, kind: &str) -> Value {
        let (first, rest) = kind.split_at(1);
        match first {
            "s" => "".into(),
            "b" => false.into(),
            "i" | "u" | "n" => 0.into(),
            "f" => 0.0.into(),
            "q" => "0".into(),
            "d" => "0s".into(),
            "@" => match self.structure(rest, &Map::new()) {
                Ok(fields) => Value::Object(fields),
                Err(Mismatch) => Value::Null,
            },
            _ => Value::Null,
        }
    }
}

/// An integer, or a float without a fraction.
fn integer(number: &serde_json::Number) -> Option<Value> {
    if number.is_i64() || number.is_u64() {
        return Some(Value::Number(number.clone()));
    }
    let float = number.as_f64()?;
    (float.trunc() == float && float.abs() < 9e15).then(|| Value::from(float as i64))
}

/// Standard base64 in which line breaks are allowed, as in Go.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let one_line: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(one_line).ok()
}

fn time(text: &str, format: &str) -> Option<String> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.strftime(format).to_string())
}

/// Moves `stringData` into `data`.
fn merge_string_data(secret: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    let data = crate::object::map_entry(secret, "data");
    for (key, text) in texts {
        if let Value::String(text) = text {
            data.insert(key, STANDARD.encode(text).into());
        }
    }
}

fn default_container_protocols(object: &mut Map<String, Value>, pod_spec: &[&str]) {
    let path: Vec<&str> = pod_spec.iter().copied().chain(["containers"]).collect();
    let Some(Value::Array(containers)) = pointer_mut(object, &path) else { return };
    for container in containers {
        default_protocols(container.get_mut("ports"));
    }
}

fn default_protocols(ports: Option<&mut Value>) {
    let Some(Value::Array(ports)) = ports else { return };
    for port in ports.iter_mut().filter_map(Value::as_object_mut) {
        port.entry("protocol").or_insert_with(|| "TCP".into());
    }
}

fn pointer_mut<'a>(object: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get_mut(*first)?, |value, key| value.get_mut(*key))
}
