//! What reading an object into Go's types and writing it again does to its JSON.
//!
//! The server stores typed objects: unknown fields go, empty optional fields go, fields that are always written come, and
//! scalars take their canonical form. Custom resources are not typed and do not come here, except for their metadata.

use serde_json::{Map, Number, Value};
use thiserror::Error;

use fluxide_structured_merge::schema::{Form, Format, ListRef, MapRef, Presence, Scalar, TypeRef};

use crate::go_value::{is_empty, json_kind};

use super::quantity::{QuantityError, canonical_quantity};
use super::time::{canonical_micro_time, canonical_time, parse_complaint};
use super::{base64, builtin, go_types};

/// Why an object does not decode, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DecodeError {
    /// A value of another JSON type than the field's.
    #[error("json: cannot unmarshal {found} into Go {place} of type {expected}")]
    Type {
        /// What was found.
        found: String,
        /// The field, as in `struct field DeploymentSpec.spec.replicas`.
        place: String,
        /// The Go type of the field.
        expected: String,
        /// The Go kind of the field.
        kind: &'static str,
        /// The Go kind of what was found, once it is decoded.
        found_kind: &'static str,
    },
    /// A malformed quantity.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A malformed time.
    #[error("parsing time {}{why}", super::time::quoted(text))]
    Time {
        /// The text.
        text: String,
        /// What Go's parser says about it.
        why: String,
    },
    /// Malformed base64.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
}

/// How problems name a field, by its path, that its kind does not have.
pub(crate) fn unknown_field(path: &str) -> String {
    format!("unknown field {}", fluxide_gotext::quote_str(path))
}

impl DecodeError {
    /// Whether the error is that of a type which reads its JSON itself.
    fn is_of_own_reader(&self) -> bool {
        match self {
            Self::Type { expected, kind, .. } => {
                *kind == "struct" && matches!(expected.as_str(), "string" | "int32")
            }
            Self::Quantity(_) | Self::Time { .. } => true,
            Self::Base64(_) => false,
        }
    }

    /// The error as the converter from maps to typed objects words it, through which strategic merge patches go.
    pub(crate) fn in_converter_words(&self) -> String {
        let Self::Type { expected, kind, found_kind, .. } = self else {
            return match self {
                Self::Base64(_) => format!("error decoding from json: {self}"),
                other => other.to_string(),
            };
        };
        match (*kind, *found_kind) {
            ("slice", found) => format!("cannot restore slice from {found}"),
            ("map", found) => format!("cannot restore map from {found}"),
            ("struct", found) => format!("cannot restore struct from: {found}"),
            ("string", "int64") | ("int32" | "int64", "float64") => {
                format!("cannot convert {found_kind} to {expected}")
            }
            (kind, _) => format!("unrecognized type: {kind}"),
        }
    }
}

/// Gives `value` the JSON form of the typed object, and returns the paths of unknown fields, which are dropped.
pub(crate) fn decode(value: &mut Value, ty: TypeRef<'_>) -> Result<Vec<String>, DecodeError> {
    read(value, ty, false)
}

/// The same for a value that is converted instead of decoded, as those that applies and strategic merge patches lead to
/// are: integers that are too large wrap.
pub(crate) fn convert(value: &mut Value, ty: TypeRef<'_>) -> Result<Vec<String>, DecodeError> {
    read(value, ty, true)
}

/// Puts the empty lists of `written` in place of the nulls that reading made of them; says whether there were any.
pub(crate) fn restore_empty_lists(value: &mut Value, written: &Value, ty: TypeRef<'_>) -> bool {
    match (ty.atom().form(), value, written) {
        (Some(Form::Map(map)), Value::Object(members), Value::Object(written)) => {
            let mut any = false;
            for (name, written) in written {
                let field = map.field(name);
                let Some(inner) = field.map(|field| map.field_type(field)).or_else(|| map.additional())
                else {
                    continue;
                };
                let Some(member) = members.get_mut(name) else { continue };
                let nullable = field.is_some_and(|field| field.presence == Presence::Nullable);
                if member.is_null() && nullable && is_empty_list(written) {
                    *member = Value::Array(Vec::new());
                    any = true;
                } else {
                    any |= restore_empty_lists(member, written, inner);
                }
            }
            any
        }
        (Some(Form::List(list)), Value::Array(items), Value::Array(written))
            if items.len() == written.len() =>
        {
            let each = items.iter_mut().zip(written);
            each.fold(false, |any, (item, written)| restore_empty_lists(item, written, list.element()) || any)
        }
        _ => false,
    }
}

fn read(value: &mut Value, ty: TypeRef<'_>, converts: bool) -> Result<Vec<String>, DecodeError> {
    let mut decoder = Decoder { path: Vec::new(), owner: None, unknown: Vec::new(), refused: None, converts };
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    decoder.value(value, ty, None)?;
    match decoder.refused {
        Some(why) => Err(why),
        None => Ok(decoder.unknown),
    }
}

/// A step of the path to a value.
#[derive(Debug, Clone)]
enum Step {
    Member(String),
    /// A key of a map, which Go does not name in its errors.
    Key(String),
    /// A struct that another one embeds, which only Go's errors name.
    Embedded(&'static str),
    Index(usize),
}

struct Decoder<'a> {
    path: Vec<Step>,
    /// The innermost struct, and how long the path to its field is.
    owner: Option<(TypeRef<'a>, usize)>,
    unknown: Vec<String>,
    /// The first error that did not end the reading.
    refused: Option<DecodeError>,
    converts: bool,
}

impl<'a> Decoder<'a> {
    /// Decodes a value that is not null. `named` is the field's own Go type, where it is known.
    fn value(&mut self, value: &mut Value, ty: TypeRef<'a>, named: Option<&str>) -> Result<(), DecodeError> {
        match ty.format() {
            Format::Json => return Ok(()),
            Format::Quantity => return self.quantity(value),
            Format::Time | Format::MicroTime => return self.time(value, ty.format()),
            Format::IntOrString => return self.int_or_string(value),
            Format::Bytes => return self.bytes(value, ty),
            _ => {}
        }
        match ty.atom().form() {
            Some(Form::Map(map)) => match value {
                Value::Object(members) if map.fields().is_empty() => self.map(members, map),
                Value::Object(members) => self.structure(members, map, ty),
                other => Err(self.type_error(other, ty, named)),
            },
            Some(Form::List(list)) => match value {
                Value::Array(items) => {
                    self.items(items, list, named.and_then(|list| list.strip_prefix("[]")))
                }
                other => Err(self.type_error(other, ty, named)),
            },
            Some(Form::Scalar(scalar)) => self.scalar(value, scalar, ty, named),
            None => Ok(()),
        }
    }

    fn structure(
        &mut self,
        members: &mut Map<String, Value>,
        map: MapRef<'a>,
        ty: TypeRef<'a>,
    ) -> Result<(), DecodeError> {
        let outer = self.owner.replace((ty, self.path.len()));
        let mut unknown = Vec::new();
        for (name, value) in members.iter_mut() {
            let depth = self.path.len();
            let embedded = go_types::embedded(builtin().struct_name(ty), name);
            self.path.extend(embedded.iter().map(|part| Step::Embedded(part)));
            self.path.push(Step::Member(name.clone()));
            match map.field(name) {
                None => {
                    self.unknown.push(self.strict_path());
                    unknown.push(name.clone());
                }
                Some(field) if !value.is_null() => {
                    let named = builtin().field_go_type(ty, name, map.field_type(field));
                    let read = self.value(value, map.field_type(field), Some(&named));
                    self.go_on(read)?;
                }
                Some(_) => {}
            }
            self.path.truncate(depth);
        }
        for name in unknown {
            members.remove(&name);
        }
        for (name, field) in map.fields() {
            let given = members.get(name).is_some_and(|value| !value.is_null());
            match field.presence {
                Presence::Always if !given => {
                    members.insert(name.clone(), zero(map.field_type(field)));
                }
                // The storage does not tell an empty list from none.
                Presence::Nullable if !given || members.get(name).is_some_and(is_empty_list) => {
                    members.insert(name.clone(), Value::Null);
                }
                // An empty list of managed fields asks for a reset, unlike none; one of scaling policies gets no default.
                Presence::Optional
                    if !given
                        || (!matches!(name.as_str(), "managedFields" | "policies")
                            && members.get(name).is_some_and(is_empty)) =>
                {
                    members.remove(name);
                }
                Presence::Pointer if !given => {
                    members.remove(name);
                }
                _ => {}
            }
        }
        self.owner = outer;
        Ok(())
    }

    /// Values of another type do not end the decoding of JSON, and the first of them is named at its end; a type that reads
    /// itself ends it. Conversions end at any error.
    fn go_on(&mut self, read: Result<(), DecodeError>) -> Result<(), DecodeError> {
        match read {
            Err(e) if !self.converts && !e.is_of_own_reader() => {
                self.refused.get_or_insert(e);
                Ok(())
            }
            other => other,
        }
    }

    fn map(&mut self, members: &mut Map<String, Value>, map: MapRef<'a>) -> Result<(), DecodeError> {
        let Some(ty) = map.additional() else { return Ok(()) };
        if map.is_deduced() {
            return Ok(());
        }
        for (name, value) in members {
            if value.is_null() {
                *value = if ty.format() == Format::Bytes { Value::from("") } else { zero(ty) };
                continue;
            }
            self.path.push(Step::Key(name.clone()));
            let read = self.value(value, ty, None);
            self.go_on(read)?;
            self.path.pop();
        }
        Ok(())
    }

    fn items(
        &mut self,
        items: &mut [Value],
        list: ListRef<'a>,
        named: Option<&str>,
    ) -> Result<(), DecodeError> {
        let ty = list.element();
        for (index, item) in items.iter_mut().enumerate() {
            if item.is_null() {
                *item = zero(ty);
            }
            if item.is_null() {
                continue;
            }
            self.path.push(Step::Index(index));
            let read = self.value(item, ty, named);
            self.go_on(read)?;
            self.path.pop();
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        value: &mut Value,
        scalar: Scalar,
        ty: TypeRef<'a>,
        named: Option<&str>,
    ) -> Result<(), DecodeError> {
        let fits = match (scalar, &*value) {
            (Scalar::String, Value::String(_)) | (Scalar::Boolean, Value::Bool(_)) => true,
            (Scalar::Untyped, Value::String(_) | Value::Bool(_) | Value::Number(_)) => true,
            (Scalar::Numeric, Value::Number(number)) => {
                let wrapped = if self.converts { wrapped(number, ty.format()) } else { None };
                let Some(canonical) = wrapped.or_else(|| canonical_number(number, ty.format())) else {
                    return Err(self.type_error(value, ty, named));
                };
                *value = Value::Number(canonical);
                true
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.type_error(value, ty, named)) }
    }

    fn quantity(&self, value: &mut Value) -> Result<(), DecodeError> {
        let text = match &*value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(QuantityError::Format.into()),
        };
        *value = Value::from(canonical_quantity(&text)?);
        Ok(())
    }

    fn time(&self, value: &mut Value, format: Format) -> Result<(), DecodeError> {
        let Value::String(text) = &*value else {
            let DecodeError::Type { found, expected, kind, found_kind, .. } = go_value_error(value, "string")
            else {
                return Err(go_value_error(value, "string"));
            };
            return Err(DecodeError::Type { found, place: self.place(), expected, kind, found_kind });
        };
        let (canonical, layout) = match format {
            Format::MicroTime => (canonical_micro_time(text), "2006-01-02T15:04:05.000000Z07:00"),
            _ => (canonical_time(text), "2006-01-02T15:04:05Z07:00"),
        };
        let Some(canonical) = canonical else {
            let why = parse_complaint(text, layout);
            return Err(DecodeError::Time { text: text.clone(), why });
        };
        *value = Value::from(canonical);
        Ok(())
    }

    fn int_or_string(&self, value: &mut Value) -> Result<(), DecodeError> {
        match &*value {
            Value::String(_) => Ok(()),
            Value::Number(number) => match canonical_number(number, Format::Int32) {
                Some(canonical) => {
                    *value = Value::Number(canonical);
                    Ok(())
                }
                None => Err(self.in_place(go_value_error(value, "int32"))),
            },
            other => Err(self.in_place(go_value_error(other, "int32"))),
        }
    }

    /// The error with the field, which decoding names and converting does not.
    fn in_place(&self, error: DecodeError) -> DecodeError {
        match error {
            DecodeError::Type { found, expected, kind, found_kind, .. } if !self.converts => {
                DecodeError::Type { found, place: self.place(), expected, kind, found_kind }
            }
            other => other,
        }
    }

    fn bytes(&self, value: &mut Value, ty: TypeRef<'a>) -> Result<(), DecodeError> {
        // Go takes a list of numbers as well.
        if let Value::Array(numbers) = &*value {
            let byte = |number: &Value| number.as_u64().and_then(|number| u8::try_from(number).ok());
            if let Some(other) = numbers.iter().find(|number| byte(number).is_none()) {
                let found = match other {
                    Value::Number(number) => format!("number {number}"),
                    other => json_kind(other).to_owned(),
                };
                let (expected, found_kind) = ("uint8".to_owned(), value_kind(other));
                return Err(DecodeError::Type {
                    found,
                    place: self.place(),
                    expected,
                    kind: "uint8",
                    found_kind,
                });
            }
            *value = Value::from(base64::encoded(&numbers.iter().filter_map(byte).collect::<Vec<u8>>()));
            return Ok(());
        }
        let Value::String(text) = &*value else { return Err(self.type_error(value, ty, None)) };
        *value = Value::from(base64::canonical(text).map_err(DecodeError::Base64)?);
        Ok(())
    }

    fn type_error(&self, value: &Value, ty: TypeRef<'a>, named: Option<&str>) -> DecodeError {
        let found = match (value, ty.format()) {
            (Value::Number(number), Format::Int32 | Format::Int64) => format!("number {number}"),
            _ => json_kind(value).to_owned(),
        };
        let expected = named.map_or_else(|| builtin().go_type(ty), str::to_owned);
        let kind = go_kind(ty);
        DecodeError::Type { found, place: self.place(), expected, kind, found_kind: value_kind(value) }
    }

    /// The field as Go's decoder names it: the innermost struct, then the path of names to its field.
    fn place(&self) -> String {
        let Some((owner, length)) = self.owner else { return "value".to_owned() };
        let own = self.path[length..].iter().position(|step| matches!(step, Step::Member(_)));
        let end = own.map_or(self.path.len(), |own| length + own + 1);
        let names: Vec<&str> = self.path[..end]
            .iter()
            .filter_map(|step| match step {
                Step::Member(name) => Some(name.as_str()),
                Step::Embedded(name) => Some(*name),
                Step::Key(_) | Step::Index(_) => None,
            })
            .collect();
        format!("struct field {}.{}", builtin().struct_name(owner), names.join("."))
    }

    /// The path as strict decoding prints it.
    fn strict_path(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Member(name) | Step::Key(name) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(name);
                }
                Step::Embedded(_) => {}
                Step::Index(index) => out.push_str(&format!("[{index}]")),
            }
        }
        out
    }
}

/// The JSON of a value of which nothing is set, as a struct field or an item holds it.
fn zero(ty: TypeRef<'_>) -> Value {
    match ty.format() {
        Format::Quantity => return Value::from("0"),
        Format::IntOrString => return Value::from(0),
        Format::Json | Format::Time | Format::MicroTime | Format::Bytes => return Value::Null,
        _ => {}
    }
    match ty.atom().form() {
        Some(Form::Map(map)) if !map.fields().is_empty() => {
            let always = map.fields().iter().filter_map(|(name, field)| {
                let value = match field.presence {
                    Presence::Always => zero(map.field_type(field)),
                    Presence::Nullable => Value::Null,
                    Presence::Optional | Presence::Pointer => return None,
                };
                Some((name.clone(), value))
            });
            Value::Object(always.collect())
        }
        Some(Form::Scalar(Scalar::String | Scalar::Untyped)) => Value::from(""),
        Some(Form::Scalar(Scalar::Boolean)) => Value::from(false),
        Some(Form::Scalar(Scalar::Numeric)) => Value::from(0),
        _ => Value::Null,
    }
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// The number as Go writes it back; `None` when it does not fit the type.
fn canonical_number(number: &Number, format: Format) -> Option<Number> {
    let integer = match format {
        Format::Int32 | Format::Int64 => number.as_i64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
            (float.abs() < 9.0e18).then_some(float as i64)
        })?,
        _ => return Some(number.clone()),
    };
    if format == Format::Int32 && i32::try_from(integer).is_err() {
        return None;
    }
    Some(integer.into())
}

/// A whole number as Go's conversions squeeze it into an integer type.
fn wrapped(number: &Number, format: Format) -> Option<Number> {
    let wide = match number.as_i64() {
        Some(integer) => integer,
        None => {
            let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
            if float.abs() < 9.2e18 { float as i64 } else { i64::MIN }
        }
    };
    match format {
        Format::Int32 => Some((wide as i32).into()),
        Format::Int64 => Some(wide.into()),
        _ => None,
    }
}

fn go_value_error(value: &Value, expected: &str) -> DecodeError {
    let found = match value {
        Value::Number(number) if expected == "int32" => format!("number {number}"),
        other => json_kind(other).to_owned(),
    };
    DecodeError::Type {
        found,
        place: "value".to_owned(),
        expected: expected.to_owned(),
        kind: "struct",
        found_kind: value_kind(value),
    }
}

fn go_kind(ty: TypeRef<'_>) -> &'static str {
    match ty.format() {
        Format::Int32 => return "int32",
        Format::Int64 => return "int64",
        Format::Double => return "float64",
        Format::Bytes => return "slice",
        _ => {}
    }
    match ty.atom().form() {
        Some(Form::List(_)) => "slice",
        Some(Form::Map(map)) if map.fields().is_empty() => "map",
        Some(Form::Map(_)) => "struct",
        Some(Form::Scalar(Scalar::Boolean)) => "bool",
        _ => "string",
    }
}

fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
