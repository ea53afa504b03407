//! `.Values`: a map with methods.

use crate::collection::Map;
use crate::error::Error;
use crate::sprig::text;
use crate::time::methods;
use crate::types::{ANY_MAP, MapType, Type};
use crate::value::Value;
use fluxide_gotext::quote;

use super::yaml::to_yaml_document;

/// The Go type of `.Values` and `.Template`.
pub static VALUES: MapType = MapType {
    name: "common.Values",
    element: Type::Any,
    methods: methods! {
        "AsMap"() = |_, receiver, _| {
            let map = as_values(receiver);
            Ok(Value::Map(if map.is_empty() { Map::new() } else { map.retyped(&ANY_MAP) }))
        };
        "Encode"(Type::Object("io.Writer")) = |_, _, _| Err(Error::new("values cannot be written from a template"));
        "PathValue"(Type::String) = |_, receiver, arguments| path_value(&as_values(receiver), text(arguments, 0));
        "Table"(Type::String) = |_, receiver, arguments| {
            let path: Vec<&[u8]> = text(arguments, 0).split(|byte| *byte == b'.').collect();
            table(&as_values(receiver), &path).map(Value::Map)
        };
        "YAML"() = |call, receiver, _| {
            let text = to_yaml_document(&Value::Map(as_values(receiver)))?;
            call.charge(text.len())?;
            Ok(Value::from(text))
        };
    },
};

/// The same entries as a value of the type that `.Values` has.
pub fn values(map: &Map) -> Value {
    Value::Map(map.retyped(&VALUES))
}

fn as_values(receiver: &Value) -> Map {
    match receiver {
        Value::Map(map) => map.retyped(&VALUES),
        _ => Map::with_type(&VALUES),
    }
}

fn table(values: &Map, path: &[&[u8]]) -> Result<Map, Error> {
    let mut current = values.clone();
    for name in path {
        current = match current.get(*name) {
            Some(Value::Map(inner)) => inner.retyped(&VALUES),
            _ => return Err(refusal(name, "table")),
        };
    }
    Ok(current)
}

fn path_value(values: &Map, path: &[u8]) -> Result<Value, Error> {
    if path.is_empty() {
        return Err(Error::new("YAML path cannot be empty"));
    }
    let path: Vec<&[u8]> = path.split(|byte| *byte == b'.').collect();
    let Some((key, parents)) = path.split_last() else { return Ok(Value::Nil) };
    let holder = table(values, parents).map_err(|_| refusal(key, "value"))?;
    match holder.get(*key) {
        Some(Value::Map(inner)) if inner.map_type().name == ANY_MAP.name => Err(refusal(key, "value")),
        Some(value) => Ok(value),
        None => Err(refusal(key, "value")),
    }
}

fn refusal(name: &[u8], what: &str) -> Error {
    Error::new(format!("{} is not a {what}", String::from_utf8_lossy(&quote(name))))
}
