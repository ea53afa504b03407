//! The values that templates compute with.

pub(crate) mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::collection::{List, Map};
use crate::function::{Function, Method};
use crate::object::Object;
use crate::text::Text;
use crate::types::{ANY_LIST, IntType, Kind, Type, UintType};

/// A Go value. Cloning is cheap; maps and lists are shared, as references are in Go.
#[derive(Clone, Default)]
pub enum Value {
    /// Untyped nil: a missing key, a YAML null.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64, IntType),
    /// An unsigned integer.
    Uint(u64, UintType),
    /// A `float64`: every number that comes from YAML or JSON.
    Float(f64),
    /// A `complex128`.
    Complex(f64, f64),
    /// A string.
    String(Text),
    /// A `[]uint8`.
    Bytes(Text),
    /// A slice.
    List(List),
    /// A map.
    Map(Map),
    /// A struct or a pointer to one, with fields and methods.
    Object(Arc<dyn Object>),
    /// A function, for `call`.
    Function(Arc<Function>),
}

impl Value {
    /// A Go `int`.
    pub fn int(value: i64) -> Value {
        Value::Int(value, IntType::Int)
    }

    /// A Go `int64`.
    pub fn int64(value: i64) -> Value {
        Value::Int(value, IntType::Int64)
    }

    /// A Go `uint64`.
    pub fn uint64(value: u64) -> Value {
        Value::Uint(value, UintType::Uint64)
    }

    /// A Go string.
    pub fn string(text: impl Into<Text>) -> Value {
        Value::String(text.into())
    }

    /// A `[]string`.
    pub fn strings<T: Into<Text>>(items: impl IntoIterator<Item = T>) -> Value {
        Value::List(List::with_type(&crate::types::STRINGS, items.into_iter().map(Value::string).collect()))
    }

    /// The concrete Go type; [`Type::Any`] for nil.
    pub fn go_type(&self) -> Type {
        match self {
            Value::Nil => Type::Any,
            Value::Bool(_) => Type::Bool,
            Value::Int(_, int) => Type::Int(*int),
            Value::Uint(_, uint) => Type::Uint(*uint),
            Value::Float(_) => Type::Float,
            Value::Complex(..) => Type::Complex,
            Value::String(_) => Type::String,
            Value::Bytes(_) => Type::Bytes,
            Value::List(list) => Type::List(list.list_type()),
            Value::Map(map) => Type::Map(map.map_type()),
            Value::Object(object) => Type::Object(object.type_name()),
            Value::Function(_) => Type::Function,
        }
    }

    /// The type's name as `%T` prints it: `<nil>` for nil.
    pub fn type_name(&self) -> String {
        match self {
            Value::Nil => "<nil>".to_owned(),
            other => other.go_type().to_string(),
        }
    }

    /// The kind, as `kindOf` names it.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Nil => Kind::Invalid,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_, IntType::Int | IntType::Month | IntType::Weekday) => Kind::Int,
            Value::Int(_, IntType::Int32) => Kind::Int32,
            Value::Int(_, IntType::Int64 | IntType::Duration) => Kind::Int64,
            Value::Uint(_, UintType::Uint8) => Kind::Uint8,
            Value::Uint(_, UintType::Uint32) => Kind::Uint32,
            Value::Uint(_, UintType::Uint64) => Kind::Uint64,
            Value::Float(_) => Kind::Float64,
            Value::Complex(..) => Kind::Complex128,
            Value::String(_) => Kind::String,
            Value::Bytes(_) | Value::List(_) => Kind::Slice,
            Value::Map(_) => Kind::Map,
            Value::Object(object) if object.type_name().starts_with('*') => Kind::Ptr,
            Value::Object(_) => Kind::Struct,
            Value::Function(_) => Kind::Func,
        }
    }

    /// Whether `if` takes the value for true: not the zero of its type, not empty; structs always.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value, _) => *value != 0,
            Value::Uint(value, _) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Value::String(text) | Value::Bytes(text) => !text.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Object(_) | Value::Function(_) => true,
        }
    }

    /// Whether this is nil, or a nil map or slice.
    pub fn is_nil(&self) -> bool {
        match self {
            Value::Nil => true,
            Value::List(list) => list.is_nil(),
            Value::Map(map) => map.is_nil(),
            _ => false,
        }
    }

    /// The methods of the value's type.
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Value::Map(map) => map.map_type().methods,
            Value::List(list) => list.list_type().methods,
            Value::Object(object) => object.methods(),
            Value::Int(_, int) => crate::time::integer_methods(*int),
            _ => &[],
        }
    }

    /// The method of a name.
    pub(crate) fn method(&self, name: &str) -> Option<&'static Method> {
        let found = self.methods().iter().find(|method| method.name == name);
        found.or_else(|| match self {
            Value::Object(object) if object.type_name() == "time.Time" => {
                crate::time::refused_methods().iter().find(|method| method.name == name)
            }
            _ => None,
        })
    }

    /// The elements of any slice, `[]uint8` included; nothing for other kinds.
    pub fn elements(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(list) => Some(list.to_vec()),
            Value::Bytes(bytes) => {
                Some(bytes.iter().map(|byte| Value::Uint(u64::from(*byte), UintType::Uint8)).collect())
            }
            _ => None,
        }
    }

    /// The element that a missing key or index of a collection of this element type stands for.
    pub(crate) fn zero_of(element: Type) -> Value {
        match element {
            Type::Any | Type::Object(_) | Type::Function => Value::Nil,
            Type::Bool => Value::Bool(false),
            Type::Int(int) => Value::Int(0, int),
            Type::Uint(uint) => Value::Uint(0, uint),
            Type::Float => Value::Float(0.0),
            Type::Complex => Value::Complex(0.0, 0.0),
            Type::String => Value::String(Text::default()),
            Type::Bytes => Value::Bytes(Text::default()),
            Type::List(list) => Value::List(List::nil(list)),
            Type::Map(map) => Value::Map(Map::nil(map)),
        }
    }

    pub(crate) fn is_collection(&self) -> bool {
        matches!(self, Value::List(_) | Value::Map(_))
    }
}

impl fmt::Debug for Value {
    /// Shows the type, and the content of scalars only: values may hold secrets and maps may contain themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value, int) => write!(f, "{}({value})", int.name()),
            Value::Uint(value, uint) => write!(f, "{}({value})", uint.name()),
            Value::Float(value) => write!(f, "float64({value})"),
            Value::List(list) => list.fmt(f),
            Value::Map(map) => map.fmt(f),
            other => f.write_str(&other.type_name()),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Value {
        Value::String(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::List(List::with_type(&ANY_LIST, items))
    }
}

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::List(list)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value::Map(map)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(entries: BTreeMap<String, Value>) -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (Text::from(key), value)).collect())
    }
}

impl From<fluxide_goyaml::Value> for Value {
    /// Keeps integers as `int64` or `uint64`, as Go decodes live objects.
    fn from(value: fluxide_goyaml::Value) -> Value {
        use fluxide_goyaml::Value as Yaml;
        match value {
            Yaml::Null => Value::Nil,
            Yaml::Bool(value) => Value::Bool(value),
            Yaml::Int(value) => Value::int64(value),
            Yaml::Uint(value) => Value::uint64(value),
            Yaml::Float(value) => Value::Float(value),
            Yaml::String(text) => Value::from(text),
            Yaml::Array(items) => Value::from(items.into_iter().map(Value::from).collect::<Vec<_>>()),
            Yaml::Object(members) => Value::Map(
                members.into_iter().map(|(key, value)| (Text::from(key), Value::from(value))).collect(),
            ),
        }
    }
}

impl From<serde_json::Value> for Value {
    /// Makes every number a `float64`, as Go's `encoding/json` does.
    fn from(value: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match value {
            Json::Null => Value::Nil,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
            Json::String(text) => Value::from(text),
            Json::Array(items) => Value::from(items.into_iter().map(Value::from).collect::<Vec<_>>()),
            Json::Object(members) => Value::Map(
                members.into_iter().map(|(key, value)| (Text::from(key), Value::from(value))).collect(),
            ),
        }
    }
}
