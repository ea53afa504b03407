//! Values between plain tables and what templates see.

use fluxide_gotemplate::{Map, Value};
use fluxide_goyaml::Value as Yaml;
use fluxide_goyaml::number::format_float;

use crate::values::Table;

/// A table of plain values as templates see it.
pub(crate) fn to_map(table: &Table) -> Map {
    table.iter().map(|(key, value)| (key.as_str().into(), to_value(value))).collect()
}

/// A plain value as templates see it.
pub(crate) fn to_value(value: &Yaml) -> Value {
    match value {
        Yaml::Null => Value::Nil,
        Yaml::Bool(value) => Value::Bool(*value),
        Yaml::Int(number) => Value::int64(*number),
        Yaml::Uint(number) => Value::uint64(*number),
        Yaml::Float(number) => Value::Float(*number),
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Array(items) => Value::from(items.iter().map(to_value).collect::<Vec<_>>()),
        Yaml::Object(table) => Value::Map(to_map(table)),
    }
}

/// A table of a rendering as plain values.
pub(crate) fn to_table(map: &Map) -> Table {
    map.entries()
        .into_iter()
        .map(|(key, value)| (key.to_str_lossy().into_owned(), to_plain(&value)))
        .collect()
}

fn to_plain(value: &Value) -> Yaml {
    match value {
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Int(number, _) => Yaml::Int(*number),
        Value::Uint(number, _) => Yaml::Uint(*number),
        Value::Float(number) => Yaml::Float(*number),
        Value::String(text) => Yaml::String(text.to_str_lossy().into_owned()),
        Value::List(list) => Yaml::Array(list.to_vec().iter().map(to_plain).collect()),
        Value::Map(map) => Yaml::Object(to_table(map)),
        // Values are made of YAML and command lines, which have nothing else.
        _ => Yaml::Null,
    }
}

/// A copy of a table that shares no table with the original.
pub(crate) fn copy(map: &Map) -> Map {
    map.entries().into_iter().map(|(key, value)| (key, copy_value(&value))).collect()
}

fn copy_value(value: &Value) -> Value {
    match value {
        Value::Map(map) => Value::Map(copy(map)),
        Value::List(list) => Value::from(list.to_vec().iter().map(copy_value).collect::<Vec<_>>()),
        other => other.clone(),
    }
}

/// A value as Go's `%v` prints it.
pub(crate) fn go_display(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(number, _) => number.to_string(),
        Value::Uint(number, _) => number.to_string(),
        Value::Float(number) => format_float(*number),
        Value::String(text) => text.to_str_lossy().into_owned(),
        Value::List(list) => {
            let items: Vec<String> = list.to_vec().iter().map(go_display).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let members = map.entries().into_iter();
            let members =
                members.map(|(key, value)| format!("{}:{}", key.to_str_lossy(), go_display(&value)));
            format!("map[{}]", members.collect::<Vec<_>>().join(" "))
        }
        _ => "<nil>".to_owned(),
    }
}

/// Rendered bytes as text; invalid UTF-8 is replaced.
pub(crate) fn into_string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
