//! JSON to structs with the strictness, the leniency and the words of Go's `encoding/json`: field names match in any
//! letter case, unknown fields fail, null leaves a field as it is.

use fluxide_goyaml::number::format_float;
use serde_json::Value;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a value does not fit a struct.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// There is no such field.
    #[error("json: unknown field {0:?}")]
    UnknownField(String),
    /// The value has another type.
    #[error("json: cannot unmarshal {value} into Go struct field {path} of type {wanted}")]
    WrongType {
        /// What the value is.
        value: String,
        /// The field, from the top.
        path: String,
        /// What it should be.
        wanted: String,
    },
    /// The whole document has another type.
    #[error("json: cannot unmarshal {value} into Go value of type types.{wanted}")]
    WrongRoot {
        /// What the document is.
        value: String,
        /// What it should be.
        wanted: String,
    },
}

/// Where in the document a value is.
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    name: &'a str,
    /// The struct that has the field, and the structs embedded in it by which the field got there.
    owner: &'a str,
    embedded: &'a str,
    strict: bool,
    scalars_as_text: bool,
}

impl<'a> At<'a> {
    /// The whole document, to be decoded into the type of a name.
    pub(crate) fn root(name: &'a str) -> At<'a> {
        At { parent: None, name, owner: name, embedded: "", strict: true, scalars_as_text: false }
    }

    /// The same, with numbers and booleans taken for text where text is wanted.
    pub(crate) fn root_of_scalars(name: &'a str) -> At<'a> {
        At { scalars_as_text: true, ..At::root(name) }
    }

    /// The same, with unknown fields ignored too.
    pub(crate) fn lenient(name: &'a str) -> At<'a> {
        At { strict: false, ..At::root_of_scalars(name) }
    }

    /// A field of what is here.
    pub(crate) fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        self.field_of(self.name, "", name)
    }

    /// A field of a struct that is here, which may have got it from structs embedded in it.
    pub(crate) fn field_of<'b>(&'b self, owner: &'b str, embedded: &'b str, name: &'b str) -> At<'b> {
        let embedded = if self.parent.is_none() && self.name == WITHOUT_EMBEDDING { "" } else { embedded };
        let owner = if self.parent.is_none() { self.name } else { owner };
        // sigs.k8s.io/yaml does not find the types of embedded fields.
        let scalars_as_text = self.scalars_as_text && embedded.is_empty();
        At { parent: Some(self), name, owner, embedded, scalars_as_text, ..*self }
    }

    /// Whether unknown fields are errors.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// The field as Go names it: the innermost struct, then the names from the top.
    fn path(&self) -> String {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(parent) = at.parent {
            names.push(at.name);
            if !at.embedded.is_empty() {
                names.push(at.embedded);
            }
            at = parent;
        }
        names.reverse();
        let owner = match go_name(self.owner) {
            "ConfigMapArgs" if names.first() == Some(&"secretGenerator") => "SecretArgs",
            owner => owner,
        };
        format!("{owner}.{}", names.join("."))
    }

    /// The error for a value of the wrong type.
    pub(crate) fn wrong(&self, value: &Value, wanted: String) -> DecodeError {
        let value = match value {
            Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            other => crate::yaml::json_type(other).to_owned(),
        };
        match self.parent {
            Some(_) => DecodeError::WrongType { value, path: self.path(), wanted },
            None => DecodeError::WrongRoot { value, wanted: self.name.to_owned() },
        }
    }
}

/// A root whose fields are not embedded, though they are everywhere else.
const WITHOUT_EMBEDDING: &str = "Replacement";

/// What kustomize calls a struct of ours.
pub(crate) fn go_name(name: &str) -> &str {
    match name {
        "PatchArgs" => "Patch",
        "PatchOptions" => "PatchArgs",
        "VarTarget" => "Target",
        "VarField" => "FieldSelector",
        "ReplacementSource" => "SourceSelector",
        "ReplacementTarget" => "TargetSelector",
        "FieldSpecArgs" => "FieldSpec",
        "GeneratorArgs" => "ConfigMapArgs",
        "NameReferenceArgs" => "NameBackReferences",
        name => name,
    }
}

/// A type that can be read from JSON.
pub(crate) trait Decode: Sized {
    /// Reads a value that is not null.
    fn decode(value: Value, at: &At<'_>) -> Result<Self, DecodeError>;

    /// Go's name of the type.
    fn type_name() -> String;

    /// What null in a list or map becomes.
    fn zero() -> Self;

    /// The value as Go would write it after reading it leniently: without unknown fields, with the names of fields in
    /// their own letter case, and with numbers and booleans as text where text is wanted.
    fn normalize(value: Value) -> Value {
        value
    }
}

impl Decode for String {
    fn decode(value: Value, at: &At<'_>) -> Result<String, DecodeError> {
        match value {
            Value::String(text) => Ok(text),
            other if at.scalars_as_text => {
                scalar_text(&other).ok_or_else(|| at.wrong(&other, Self::type_name()))
            }
            other => Err(at.wrong(&other, Self::type_name())),
        }
    }

    fn normalize(value: Value) -> Value {
        scalar_text(&value).map_or(value, Value::String)
    }

    fn type_name() -> String {
        "string".into()
    }

    fn zero() -> String {
        String::new()
    }
}

impl Decode for bool {
    fn decode(value: Value, at: &At<'_>) -> Result<bool, DecodeError> {
        value.as_bool().ok_or_else(|| at.wrong(&value, Self::type_name()))
    }

    fn type_name() -> String {
        "bool".into()
    }

    fn zero() -> bool {
        false
    }
}

impl Decode for i64 {
    fn decode(value: Value, at: &At<'_>) -> Result<i64, DecodeError> {
        // A float without a fraction has none in JSON either.
        let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64);
        let number = value.as_i64().or_else(|| value.as_f64().and_then(whole));
        number.ok_or_else(|| at.wrong(&value, Self::type_name()))
    }

    fn type_name() -> String {
        "int64".into()
    }

    fn zero() -> i64 {
        0
    }
}

impl Decode for Value {
    fn decode(value: Value, _: &At<'_>) -> Result<Value, DecodeError> {
        Ok(value)
    }

    fn type_name() -> String {
        "interface {}".into()
    }

    fn zero() -> Value {
        Value::Null
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(value: Value, at: &At<'_>) -> Result<Option<T>, DecodeError> {
        T::decode(value, at).map(Some)
    }

    fn type_name() -> String {
        T::type_name()
    }

    fn zero() -> Option<T> {
        None
    }

    fn normalize(value: Value) -> Value {
        if value.is_null() { value } else { T::normalize(value) }
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(value: Value, at: &At<'_>) -> Result<Vec<T>, DecodeError> {
        match value {
            Value::Array(items) => items.into_iter().map(|item| decode_or_zero(item, at)).collect(),
            other => Err(at.wrong(&other, Self::type_name())),
        }
    }

    fn type_name() -> String {
        format!("[]{}", T::type_name())
    }

    fn zero() -> Vec<T> {
        Vec::new()
    }

    fn normalize(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(T::normalize).collect(),
            other => other,
        }
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(value: Value, at: &At<'_>) -> Result<BTreeMap<String, T>, DecodeError> {
        match value {
            Value::Object(map) => {
                map.into_iter().map(|(key, value)| Ok((key, decode_or_zero(value, at)?))).collect()
            }
            other => Err(at.wrong(&other, Self::type_name())),
        }
    }

    fn type_name() -> String {
        format!("map[string]{}", T::type_name())
    }

    fn zero() -> BTreeMap<String, T> {
        BTreeMap::new()
    }

    fn normalize(value: Value) -> Value {
        match value {
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, T::normalize(value))).collect(),
            other => other,
        }
    }
}

/// A boolean or number as `sigs.k8s.io/yaml` gives it to a field that holds text.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() => format_float(float),
            _ => number.to_string(),
        }),
        _ => None,
    }
}

fn decode_or_zero<T: Decode>(value: Value, at: &At<'_>) -> Result<T, DecodeError> {
    if value.is_null() { Ok(T::zero()) } else { T::decode(value, at) }
}

/// [`Decode::normalize`] for the type that a function returns, so that a field need not name its type.
pub(crate) fn normalize_as<S, T: Decode>(_: fn(&S) -> &T, value: Value) -> Value {
    T::normalize(value)
}

/// Implements [`Decode`] for a struct with `Default`, from the names its fields have in JSON.
macro_rules! decode_struct {
    ($type:ident { $($name:literal => $field:ident $(in $embedded:literal)?),* $(,)? }) => {
        impl $crate::kustomization::decode::Decode for $type {
            fn decode(
                value: serde_json::Value,
                at: &$crate::kustomization::decode::At<'_>,
            ) -> Result<$type, $crate::kustomization::decode::DecodeError> {
                let serde_json::Value::Object(map) = value else {
                    return Err(at.wrong(&value, <$type as $crate::kustomization::decode::Decode>::type_name()));
                };
                let mut result = $type::default();
                for (name, value) in map {
                    $(if name.eq_ignore_ascii_case($name) {
                        if !value.is_null() {
                            result.$field = $crate::kustomization::decode::Decode::decode(
                                value,
                                &at.field_of(stringify!($type), concat!($($embedded)?), $name),
                            )?;
                        }
                        continue;
                    })*
                    if at.is_strict() {
                        return Err($crate::kustomization::decode::DecodeError::UnknownField(name));
                    }
                }
                Ok(result)
            }

            fn type_name() -> String {
                format!("types.{}", $crate::kustomization::decode::go_name(stringify!($type)))
            }

            fn zero() -> $type {
                $type::default()
            }

            fn normalize(value: serde_json::Value) -> serde_json::Value {
                let serde_json::Value::Object(map) = value else { return value };
                let mut known = serde_json::Map::new();
                for (name, value) in map {
                    $(if name.eq_ignore_ascii_case($name) {
                        if !value.is_null() {
                            let value = $crate::kustomization::decode::normalize_as(|known: &$type| &known.$field, value);
                            known.insert($name.to_owned(), value);
                        }
                        continue;
                    })*
                }
                known.into()
            }
        }
    };
}

pub(crate) use decode_struct;
