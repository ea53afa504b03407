//! Access to arguments, whose types were checked before the call.

use crate::collection::Map;
use crate::text::Text;
use crate::types::{ANY_MAP, Type};
use crate::value::Value;

pub(crate) const STRING: Type = Type::String;
pub(crate) const INT: Type = Type::Int(crate::types::IntType::Int);
pub(crate) const ANY: Type = Type::Any;
pub(crate) const ANY_MAP_TYPE: Type = Type::Map(&ANY_MAP);

/// The bytes of a string argument.
pub(crate) fn text(arguments: &[Value], at: usize) -> &[u8] {
    match arguments.get(at) {
        Some(Value::String(text) | Value::Bytes(text)) => text,
        _ => &[],
    }
}

/// A string argument, sharing its bytes.
pub(crate) fn shared(arguments: &[Value], at: usize) -> Text {
    match arguments.get(at) {
        Some(Value::String(text)) => text.clone(),
        _ => Text::default(),
    }
}

/// An integer argument.
pub(crate) fn integer(arguments: &[Value], at: usize) -> i64 {
    match arguments.get(at) {
        Some(Value::Int(number, _)) => *number,
        Some(Value::Uint(number, _)) => *number as i64,
        _ => 0,
    }
}

/// A map argument.
pub(crate) fn map(arguments: &[Value], at: usize) -> Map {
    match arguments.get(at) {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::nil(&ANY_MAP),
    }
}

/// Any argument.
pub(crate) fn item(arguments: &[Value], at: usize) -> &Value {
    arguments.get(at).unwrap_or(&Value::Nil)
}
