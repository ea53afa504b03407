//! The Go types that template values have: what `%T`, `typeOf`, `kindOf` and error texts name.

use std::fmt;

use crate::function::Method;

/// A Go type, as far as values in templates have one.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `interface {}`: any value fits.
    Any,
    /// `bool`.
    Bool,
    /// A signed integer type.
    Int(IntType),
    /// An unsigned integer type.
    Uint(UintType),
    /// `float64`.
    Float,
    /// `complex128`.
    Complex,
    /// `string`.
    String,
    /// `[]uint8`.
    Bytes,
    /// A slice type.
    List(&'static ListType),
    /// A map type with string keys.
    Map(&'static MapType),
    /// A struct or pointer type, by its name.
    Object(&'static str),
    /// A function type.
    Function,
}

impl Type {
    /// Whether `nil` can be a value of this type.
    pub fn can_be_nil(self) -> bool {
        match self {
            Type::Any | Type::Bytes | Type::List(_) | Type::Map(_) | Type::Function => true,
            Type::Object(name) => name.starts_with('*'),
            Type::Bool | Type::Int(_) | Type::Uint(_) | Type::Float | Type::Complex | Type::String => false,
        }
    }

    /// Whether a value of this (concrete) type can be given to a parameter of type `target` without conversion.
    pub fn assignable_to(self, target: Type) -> bool {
        match (self, target) {
            (_, Type::Any) => true,
            (Type::Map(own), Type::Map(other)) => {
                own.name == other.name || own.underlying() == other.name || own.name == other.underlying()
            }
            (Type::List(own), Type::List(other)) => {
                own.name == other.name || own.underlying() == other.name || own.name == other.underlying()
            }
            _ => self == target,
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Any, Type::Any)
            | (Type::Bool, Type::Bool)
            | (Type::Float, Type::Float)
            | (Type::Complex, Type::Complex)
            | (Type::String, Type::String)
            | (Type::Bytes, Type::Bytes)
            | (Type::Function, Type::Function) => true,
            (Type::Int(a), Type::Int(b)) => a == b,
            (Type::Uint(a), Type::Uint(b)) => a == b,
            (Type::List(a), Type::List(b)) => a.name == b.name,
            (Type::Map(a), Type::Map(b)) => a.name == b.name,
            (Type::Object(a), Type::Object(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Type {}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Any => "interface {}",
            Type::Bool => "bool",
            Type::Int(int) => int.name(),
            Type::Uint(uint) => uint.name(),
            Type::Float => "float64",
            Type::Complex => "complex128",
            Type::String => "string",
            Type::Bytes => "[]uint8",
            Type::List(list) => list.name,
            Type::Map(map) => map.name,
            Type::Object(name) => name,
            Type::Function => "func()",
        })
    }
}

/// A signed integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntType {
    /// `int`, of 64 bits.
    Int,
    /// `int32`.
    Int32,
    /// `int64`.
    Int64,
    /// `time.Duration`, an `int64` of nanoseconds that prints as `1h2m3s`.
    Duration,
    /// `time.Month`, an `int` that prints as the month's name.
    Month,
    /// `time.Weekday`, an `int` that prints as the day's name.
    Weekday,
}

impl IntType {
    /// The type's name as `%T` prints it.
    pub fn name(self) -> &'static str {
        match self {
            IntType::Int => "int",
            IntType::Int32 => "int32",
            IntType::Int64 => "int64",
            IntType::Duration => "time.Duration",
            IntType::Month => "time.Month",
            IntType::Weekday => "time.Weekday",
        }
    }
}

/// An unsigned integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UintType {
    /// `uint8`, what indexing a string gives.
    Uint8,
    /// `uint32`.
    Uint32,
    /// `uint64`, the parts of a semantic version.
    Uint64,
}

impl UintType {
    /// The type's name as `%T` prints it.
    pub fn name(self) -> &'static str {
        match self {
            UintType::Uint8 => "uint8",
            UintType::Uint32 => "uint32",
            UintType::Uint64 => "uint64",
        }
    }
}

/// A slice type, as a static table so that values can point at it.
#[derive(Debug)]
pub struct ListType {
    /// The name that `%T` prints, such as `[]interface {}` or `common.VersionSet`.
    pub name: &'static str,
    /// The type of the elements.
    pub element: Type,
    /// The methods of a named type.
    pub methods: &'static [Method],
}

impl ListType {
    fn underlying(&self) -> &'static str {
        if self.name.starts_with("[]") {
            return self.name;
        }
        match self.element {
            Type::String => STRINGS.name,
            _ => ANY_LIST.name,
        }
    }
}

/// A map type with string keys, as a static table so that values can point at it.
#[derive(Debug)]
pub struct MapType {
    /// The name that `%T` prints, such as `map[string]interface {}` or `common.Values`.
    pub name: &'static str,
    /// The type of the elements.
    pub element: Type,
    /// The methods of a named type; they win over keys of the same name.
    pub methods: &'static [Method],
}

impl MapType {
    fn underlying(&self) -> &'static str {
        if self.name.starts_with("map[") {
            return self.name;
        }
        match self.element {
            Type::String => STRING_MAP.name,
            Type::Bytes => "map[string][]uint8",
            _ => ANY_MAP.name,
        }
    }
}

/// `[]interface {}`.
pub static ANY_LIST: ListType = ListType { name: "[]interface {}", element: Type::Any, methods: &[] };
/// `[]string`.
pub static STRINGS: ListType = ListType { name: "[]string", element: Type::String, methods: &[] };
/// `[]int`.
pub static INTS: ListType = ListType { name: "[]int", element: Type::Int(IntType::Int), methods: &[] };
/// `[][]interface {}`.
pub static LISTS: ListType =
    ListType { name: "[][]interface {}", element: Type::List(&ANY_LIST), methods: &[] };
/// `[]map[string]interface {}`.
pub static MAPS: ListType =
    ListType { name: "[]map[string]interface {}", element: Type::Map(&ANY_MAP), methods: &[] };
/// `map[string]interface {}`.
pub static ANY_MAP: MapType = MapType { name: "map[string]interface {}", element: Type::Any, methods: &[] };
/// `map[string]string`.
pub static STRING_MAP: MapType = MapType { name: "map[string]string", element: Type::String, methods: &[] };

/// The kind of a type, as Go's `reflect` classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value at all.
    Invalid,
    /// A truth value.
    Bool,
    /// `int` and types made of it.
    Int,
    /// `int32`.
    Int32,
    /// `int64` and types made of it.
    Int64,
    /// `uint8`.
    Uint8,
    /// `uint32`.
    Uint32,
    /// `uint64`.
    Uint64,
    /// `float64`.
    Float64,
    /// `complex128`.
    Complex128,
    /// A string.
    String,
    /// A slice.
    Slice,
    /// A map.
    Map,
    /// A struct.
    Struct,
    /// A pointer.
    Ptr,
    /// A function.
    Func,
}

impl Kind {
    /// The kind's name as `kindOf` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Uint8 => "uint8",
            Kind::Uint32 => "uint32",
            Kind::Uint64 => "uint64",
            Kind::Float64 => "float64",
            Kind::Complex128 => "complex128",
            Kind::String => "string",
            Kind::Slice => "slice",
            Kind::Map => "map",
            Kind::Struct => "struct",
            Kind::Ptr => "ptr",
            Kind::Func => "func",
        }
    }
}
