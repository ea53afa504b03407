//! The fields that a value mentions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::item_element;
use crate::fieldset::FieldSet;
use crate::path::PathElement;
use crate::schema::{Form, ListRef, MapRef, TypeRef};

/// Every leaf and every list item that `value` mentions.
///
/// Atomic lists and maps are leaves. Items that occur twice count as one leaf.
pub fn field_set(value: &Value, ty: TypeRef<'_>) -> FieldSet {
    let mut walker = Walker { path: Vec::new(), set: FieldSet::new() };
    walker.value(value, ty);
    walker.set
}

struct Walker {
    path: Vec<PathElement>,
    set: FieldSet,
}

impl Walker {
    fn value(&mut self, value: &Value, ty: TypeRef<'_>) {
        match ty.atom_for(value).form() {
            Some(Form::Scalar(_)) => self.set.insert(&self.path),
            Some(Form::List(list)) if list.is_atomic() => self.set.insert(&self.path),
            Some(Form::Map(map)) if map.is_atomic() => self.set.insert(&self.path),
            Some(Form::List(list)) => self.items(value.as_array().map_or(&[], Vec::as_slice), list),
            Some(Form::Map(map)) => {
                if let Value::Object(members) = value {
                    self.members(members, map);
                }
            }
            None => {}
        }
    }

    fn members(&mut self, members: &Map<String, Value>, map: MapRef<'_>) {
        for (name, value) in members {
            let Some(ty) = map.member_type(name) else { continue };
            self.path.push(PathElement::field(name));
            self.value(value, ty);
            let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
            if empty || map.field(name).is_none() {
                self.set.insert(&self.path);
            }
            self.path.pop();
        }
    }

    fn items(&mut self, items: &[Value], list: ListRef<'_>) {
        let elements: Vec<Option<PathElement>> =
            items.iter().map(|item| item_element(list, item).ok()).collect();
        let (mut seen, mut duplicated) = (BTreeSet::new(), BTreeSet::new());
        for element in elements.iter().flatten() {
            if !seen.insert(element) {
                duplicated.insert(element);
            }
        }
        for (element, item) in elements.iter().zip(items) {
            let Some(element) = element else { continue };
            self.path.push(element.clone());
            if !duplicated.contains(element) {
                self.value(item, list.element());
            }
            self.set.insert(&self.path);
            self.path.pop();
        }
    }
}
