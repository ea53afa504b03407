//! Paths into an object: field names, keys of associative lists, values of sets, indices.
//!
//! The order, the printed form and the serialised form are Kubernetes' own, because all three are visible to users: in
//! `metadata.managedFields`, and in the text of conflicts.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::go_format;

/// One step of a [`Path`].
#[derive(Debug, Clone)]
pub enum PathElement {
    /// A member of a map or struct.
    Field(String),
    /// The item of an associative list with these key fields, sorted by name.
    Key(Vec<(String, Value)>),
    /// The item of a set with this value.
    Value(Value),
    /// The item of an atomic list at this index.
    Index(i64),
}

impl PathElement {
    /// The element that names a member of a map.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// The element that selects the list item with these key fields.
    pub fn key(mut fields: Vec<(String, Value)>) -> Self {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(fields)
    }

    /// Reads the form used as a member name in `fieldsV1`: `f:name`, `k:{...}`, `v:value`, `i:0`.
    ///
    /// Returns `None` for a kind of element that only a later version knows.
    pub fn parse(text: &str) -> Result<Option<Self>, PathElementError> {
        let (Some(kind), Some(separator)) = (text.get(..1), text.get(1..2)) else {
            return Err(PathElementError::TooShort);
        };
        if separator != ":" {
            return Err(PathElementError::NoColon(text.to_owned()));
        }
        let rest = &text[2..];
        let parse_json =
            || serde_json::from_str::<Value>(rest).map_err(|_| PathElementError::Content(text.to_owned()));
        match kind {
            "f" => Ok(Some(Self::Field(rest.to_owned()))),
            "v" => Ok(Some(Self::Value(parse_json()?))),
            "k" => match parse_json()? {
                Value::Object(fields) => Ok(Some(Self::key(fields.into_iter().collect()))),
                _ => Err(PathElementError::Content(text.to_owned())),
            },
            "i" => match rest.parse() {
                Ok(index) => Ok(Some(Self::Index(index))),
                Err(_) => Err(PathElementError::Content(text.to_owned())),
            },
            _ => Ok(None),
        }
    }

    /// The form used as a member name in `fieldsV1`.
    pub fn serialised(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let mut out = String::from("k:{");
                for (position, (name, value)) in fields.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::from(name.as_str()).to_string());
                    out.push(':');
                    go_format::write_json(value, &mut out);
                }
                out.push('}');
                out
            }
            Self::Value(value) => {
                let mut out = String::from("v:");
                go_format::write_json(value, &mut out);
                out
            }
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// Why the member name of a `fieldsV1` object is no path element.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathElementError {
    /// Shorter than `f:`.
    #[error("key must be 2 characters long:")]
    TooShort,
    /// No colon after the kind.
    #[error("missing colon: {0}")]
    NoColon(String),
    /// What follows the colon does not parse.
    #[error("cannot parse the path element {0}")]
    Content(String),
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (position, (name, value)) in fields.iter().enumerate() {
                    if position > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{name}={}", go_format::path_value(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", go_format::path_value(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_key_fields(a, b),
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// A path from the root of an object to one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<PathElement>);

impl Path {
    /// The path of nested members with these names.
    pub fn of_fields(names: &[&str]) -> Self {
        Self(names.iter().map(|name| PathElement::field(*name)).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

fn compare_key_fields(a: &[(String, Value)], b: &[(String, Value)]) -> Ordering {
    for ((a_name, a_value), (b_name, b_value)) in a.iter().zip(b) {
        let order = a_name.cmp(b_name).then_with(|| compare_values(a_value, b_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// A total order of values of any type; numbers compare by amount, whatever their notation.
pub fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => compare_lists(a, b),
        (Value::Object(a), Value::Object(b)) => compare_maps(a, b),
        _ => value_rank(a).cmp(&value_rank(b)),
    }
}

/// Whether two values are the same to the merge: numbers by amount, members in any order.
pub fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same_value(a, b)))
        }
        _ => a == b,
    }
}

fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

fn compare_lists(a: &[Value], b: &[Value]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = compare_values(a, b);
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn compare_maps(a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    for ((a_name, a), (b_name, b)) in a.iter().zip(b) {
        let order = a_name.cmp(b_name).then_with(|| compare_values(a, b));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_round_trip() {
        for text in ["f:spec", "k:{\"containerPort\":80,\"protocol\":\"TCP\"}", "v:\"a\"", "v:1", "i:3", "f:"]
        {
            assert_eq!(PathElement::parse(text).unwrap().unwrap().serialised(), text);
        }
        assert_eq!(PathElement::parse("x:later").unwrap(), None);
        assert!(PathElement::parse("f").is_err());
        assert!(PathElement::parse("name").is_err());
        assert!(PathElement::parse("k:[1]").is_err());
        assert!(PathElement::parse("v:{").is_err());
        assert!(PathElement::parse("\u{e9}").is_err());
    }

    #[test]
    fn printed_form() {
        let path = Path(vec![
            PathElement::field("spec"),
            PathElement::key(vec![("protocol".into(), json!("TCP")), ("containerPort".into(), json!(80))]),
            PathElement::Value(json!("a\"b")),
            PathElement::Index(2),
        ]);
        assert_eq!(path.to_string(), r#".spec[containerPort=80,protocol="TCP"][="a\"b"][2]"#);
    }

    #[test]
    fn numbers_compare_by_amount() {
        assert_eq!(compare_values(&json!(1), &json!(1.0)), Ordering::Equal);
        assert!(same_value(&json!({"a": [1.0]}), &json!({"a": [1]})));
        assert_eq!(compare_values(&json!(9), &json!(10)), Ordering::Less);
        assert_eq!(compare_values(&json!("9"), &json!("10")), Ordering::Greater);
    }
}
