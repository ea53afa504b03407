//! Taking fields out of a value.

use serde_json::{Map, Value};

use super::item_element;
use crate::fieldset::FieldSet;
use crate::path::PathElement;
use crate::schema::{Form, TypeRef};

/// `value` without the map members and list items in `fields`. Nothing is taken out of atomic lists and maps.
///
/// A map or list of which nothing remains becomes null.
pub fn remove(value: &Value, fields: &FieldSet, ty: TypeRef<'_>) -> Value {
    match (ty.atom_for(value).form(), value) {
        (Some(Form::Map(map)), Value::Object(members)) => {
            if map.is_atomic() {
                return Value::Null;
            }
            let mut out = Map::new();
            for (name, value) in members {
                let element = PathElement::field(name);
                if fields.has_element(&element) {
                    continue;
                }
                let value = match (fields.below(&element), map.member_type(name)) {
                    (Some(below), Some(ty)) => remove(value, below, ty),
                    _ => value.clone(),
                };
                out.insert(name.clone(), value);
            }
            if out.is_empty() { Value::Null } else { Value::Object(out) }
        }
        (Some(Form::List(list)), Value::Array(items)) => {
            if list.is_atomic() {
                return Value::Null;
            }
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let Ok(element) = item_element(list, item) else {
                    out.push(item.clone());
                    continue;
                };
                if fields.has_element(&element) {
                    continue;
                }
                out.push(match fields.below(&element) {
                    Some(below) => remove(item, below, list.element()),
                    None => item.clone(),
                });
            }
            if out.is_empty() { Value::Null } else { Value::Array(out) }
        }
        (Some(Form::Scalar(_)), _) => value.clone(),
        _ => Value::Null,
    }
}
