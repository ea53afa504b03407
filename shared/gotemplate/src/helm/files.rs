//! `.Files`: the chart's files that are neither templates nor metadata.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::glob::Glob;
use super::yaml::to_yaml;
use crate::collection::Map;
use crate::error::Error;
use crate::sprig::{base, text};
use crate::text::Text;
use crate::time::methods;
use crate::types::{MapType, Type};
use crate::value::Value;

/// Makes `.Files`.
#[derive(Debug)]
pub struct Files;

impl Files {
    /// The files by path.
    pub fn value(files: impl IntoIterator<Item = (String, Text)>) -> Value {
        let map = Map::with_type(&FILES);
        for (path, content) in files {
            map.insert(path, Value::Bytes(content));
        }
        Value::Map(map)
    }
}

/// The Go type of `.Files`.
pub static FILES: MapType = MapType {
    name: "engine.files",
    element: Type::Bytes,
    methods: methods! {
        "AsConfig"() = |call, receiver, _| {
            let map: Map = files(receiver).entries().into_iter().map(|(path, content)| (Text::from(base(&path)), Value::String(content_of(&content)))).collect();
            let text = to_yaml(&Value::Map(map)).unwrap_or_default();
            call.charge(text.len())?;
            Ok(Value::from(text))
        };
        "AsSecrets"() = |call, receiver, _| {
            let encode = |content: &Value| Value::from(STANDARD.encode(content_of(content)));
            let map: Map = files(receiver).entries().into_iter().map(|(path, content)| (Text::from(base(&path)), encode(&content))).collect();
            let text = to_yaml(&Value::Map(map)).unwrap_or_default();
            call.charge(text.len())?;
            Ok(Value::from(text))
        };
        "Get"(Type::String) = |_, receiver, arguments| {
            Ok(Value::String(files(receiver).get(text(arguments, 0)).map(|content| content_of(&content)).unwrap_or_default()))
        };
        "GetBytes"(Type::String) = |_, receiver, arguments| {
            Ok(files(receiver).get(text(arguments, 0)).unwrap_or_else(|| Value::Bytes(Text::default())))
        };
        "Glob"(Type::String) = |call, receiver, arguments| {
            let found = Map::with_type(&FILES);
            // A pattern that cannot be read matches everything.
            let glob = Glob::compile(text(arguments, 0));
            for (path, content) in files(receiver).entries() {
                call.session.charge_steps(path.len())?;
                if glob.as_ref().is_none_or(|glob| glob.matches(&path)) {
                    found.insert(path, content);
                }
            }
            Ok(Value::Map(found))
        };
        "Lines"(Type::String) = |call, receiver, arguments| {
            let Some(content) = files(receiver).get(text(arguments, 0)).map(|content| content_of(&content)) else {
                return Ok(Value::strings(Vec::<Text>::new()));
            };
            call.charge(content.len().saturating_mul(2))?;
            if content.is_empty() {
                return Err(Error::new("runtime error: index out of range [-1]"));
            }
            let lines = content.strip_suffix(b"\n").unwrap_or(&content);
            Ok(Value::strings(lines.split(|byte| *byte == b'\n')))
        };
    },
};

fn files(receiver: &Value) -> Map {
    match receiver {
        Value::Map(map) => map.clone(),
        _ => Map::nil(&FILES),
    }
}

fn content_of(value: &Value) -> Text {
    match value {
        Value::Bytes(bytes) | Value::String(bytes) => bytes.clone(),
        _ => Text::default(),
    }
}
