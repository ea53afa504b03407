//! Taking fields out of a value.

use serde_json::{Map, Value};

use super::item_element;
use crate::fieldset::FieldSet;
use crate::path::PathElement;
use crate::schema::{Form, TypeRef};

/// `value` without the map members and list items in `fields`. Nothing is taken out of atomic lists and maps.
///
/// A map or list whose members or items all go becomes null; one that loses something further down stays, if only empty.
pub fn remove(value: &Value, fields: &FieldSet, ty: TypeRef<'_>) -> Value {
    match (ty.atom_for(value).form(), value) {
        (Some(Form::Map(map)), Value::Object(members)) => {
            if map.is_atomic() {
                return Value::Null;
            }
            let mut out = Map::new();
            let mut entered = false;
            for (name, value) in members {
                let element = PathElement::field(name);
                if fields.has_element(&element) {
                    continue;
                }
                let value = match (fields.below(&element), map.member_type(name)) {
                    (Some(below), Some(ty)) => {
                        entered = true;
                        remove_within(value, below, ty)
                    }
                    _ => value.clone(),
                };
                out.insert(name.clone(), value);
            }
            if out.is_empty() && !entered { Value::Null } else { Value::Object(out) }
        }
        (Some(Form::List(list)), Value::Array(items)) => {
            if list.is_atomic() {
                return Value::Null;
            }
            let mut out = Vec::with_capacity(items.len());
            let mut entered = false;
            for item in items {
                let Ok(element) = item_element(list, item) else {
                    out.push(item.clone());
                    continue;
                };
                if fields.has_element(&element) {
                    continue;
                }
                out.push(match fields.below(&element) {
                    Some(below) => {
                        entered = true;
                        remove_within(item, below, list.element())
                    }
                    None => item.clone(),
                });
            }
            if out.is_empty() && !entered { Value::Null } else { Value::Array(out) }
        }
        (Some(Form::Scalar(_)), _) => value.clone(),
        _ => Value::Null,
    }
}

/// The same for a member or item that stays itself.
fn remove_within(value: &Value, fields: &FieldSet, ty: TypeRef<'_>) -> Value {
    match (remove(value, fields, ty), value) {
        (Value::Null, Value::Object(_)) => Value::Object(Map::new()),
        (Value::Null, Value::Array(_)) => Value::Array(Vec::new()),
        (left, _) => left,
    }
}
