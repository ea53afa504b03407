//! Whether a value conforms to its type.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{TypedError, TypedErrors, item_element};
use crate::go_format;
use crate::path::PathElement;
use crate::schema::{Form, ListRef, MapRef, Scalar, TypeRef};

/// Whether sets and associative lists may name an item twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// As an applied configuration must be.
    Refused,
    /// As stored objects may be.
    Allowed,
}

/// Checks that `value` conforms to `ty`.
pub fn validate(value: &Value, ty: TypeRef<'_>, duplicates: Duplicates) -> Result<(), TypedErrors> {
    let mut walker = Walker { duplicates, path: Vec::new(), errors: Vec::new() };
    walker.value(value, ty);
    TypedErrors::unless_empty(walker.errors)
}

/// The complaint about a value that is no scalar of this kind.
pub(super) fn scalar_complaint(scalar: Scalar, value: &Value) -> Option<String> {
    match (scalar, value) {
        (_, Value::Null)
        | (Scalar::Numeric, Value::Number(_))
        | (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Scalar::Numeric, other) => {
            Some(format!("expected numeric (int or float), got {}", go_format::type_name(other)))
        }
        (Scalar::String, other) => Some(format!(
            "expected string, got &value.valueUnstructured{{Value:{}}}",
            go_format::syntax(other)
        )),
        (Scalar::Boolean, other) => Some(format!("expected boolean, got {}", boxed(other))),
        (Scalar::Untyped, other) => Some(format!("expected any scalar, got {}", boxed(other))),
    }
}

/// A value as Kubernetes prints it in these texts: behind a pointer to a box.
fn boxed(value: &Value) -> String {
    format!("&{{{}}}", go_format::plain(value))
}

struct Walker {
    duplicates: Duplicates,
    path: Vec<PathElement>,
    errors: Vec<TypedError>,
}

impl Walker {
    fn value(&mut self, value: &Value, ty: TypeRef<'_>) {
        match ty.atom_for(value).form() {
            Some(Form::Map(map)) => match value {
                Value::Object(members) => self.members(members, map),
                Value::Null => {}
                other => self.refuse(format!("expected map, got {}", boxed(other))),
            },
            Some(Form::Scalar(scalar)) => {
                if let Some(complaint) = scalar_complaint(scalar, value) {
                    self.refuse(complaint);
                }
            }
            Some(Form::List(list)) => match value {
                Value::Array(items) => self.items(items, list),
                Value::Null => {}
                other => self.refuse(format!("expected list, got {}", boxed(other))),
            },
            None => self.refuse("schema error: invalid atom: inlined"),
        }
    }

    fn members(&mut self, members: &Map<String, Value>, map: MapRef<'_>) {
        for (name, value) in members {
            self.path.push(PathElement::field(name));
            let declared = map.member_type(name);
            match declared {
                Some(ty) => self.value(value, ty),
                None => self.refuse("field not declared in schema"),
            }
            self.path.pop();
            if declared.is_none() {
                return;
            }
        }
    }

    fn items(&mut self, items: &[Value], list: ListRef<'_>) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = if list.is_atomic() {
                PathElement::Index(index as i64)
            } else {
                match item_element(list, item) {
                    Ok(element) => element,
                    Err(reason) => return self.refuse(format!("element {index}: {reason}")),
                }
            };
            if !list.is_atomic() && !seen.insert(element.clone()) && self.duplicates == Duplicates::Refused {
                self.refuse(format!("duplicate entries for key {element}"));
            }
            self.path.push(element);
            self.value(item, list.element());
            self.path.pop();
        }
    }

    fn refuse(&mut self, message: impl Into<String>) {
        self.errors.push(TypedError::at(&self.path, message));
    }
}
