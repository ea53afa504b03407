//! Values read with their type: validation, field sets, comparison, merge and removal.

mod compare;
mod fields;
mod merge;
mod reconcile;
mod remove;
mod validate;

use std::fmt;

use serde_json::Value;

use crate::path::{Path, PathElement};
use crate::schema::{ListRef, ListRelationship};

pub use compare::{Comparison, compare};
pub use fields::field_set;
pub use merge::merge;
pub use reconcile::reconcile;
pub use remove::remove;
pub use validate::{Duplicates, validate};

/// What is wrong with a value, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedError {
    /// The printed path; empty for the root.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl TypedError {
    fn at(path: &[PathElement], message: impl Into<String>) -> Self {
        Self { path: Path(path.to_vec()).to_string(), message: message.into() }
    }
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedErrors(pub Vec<TypedError>);

impl TypedErrors {
    fn unless_empty(errors: Vec<TypedError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }
}

impl fmt::Display for TypedErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        f.write_str("errors:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for TypedErrors {}

/// The path element of a list item.
fn item_element(list: ListRef<'_>, item: &Value) -> Result<PathElement, String> {
    match list.relationship() {
        ListRelationship::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListRelationship::Set => set_element(item),
        ListRelationship::Map(keys) => key_element(list, keys, item),
    }
}

fn set_element(item: &Value) -> Result<PathElement, String> {
    let refusal = match item {
        Value::Object(_) => "associative list without keys has an element that's a map type",
        Value::Array(_) => "not supported: associative list with lists as elements",
        Value::Null => "associative list without keys has an element that's an explicit null",
        scalar => return Ok(PathElement::Value(scalar.clone())),
    };
    Err(refusal.to_owned())
}

fn key_element(list: ListRef<'_>, keys: &[String], item: &Value) -> Result<PathElement, String> {
    let members = match item {
        Value::Object(members) => members,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut fields = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(value) = members.get(key) {
            fields.push((key.clone(), value.clone()));
            continue;
        }
        match list.key_default(key) {
            Ok(Some(default)) => fields.push((key.clone(), default.clone())),
            Ok(None) => {}
            Err(error) => return Err(format!("couldn't find default value for {key}: {error}")),
        }
    }
    if fields.is_empty() && !keys.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| fluxide_gotext::quote_str(key)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            keys.join(" ")
        ));
    }
    Ok(PathElement::key(fields))
}
