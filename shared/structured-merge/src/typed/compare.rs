//! Which fields differ between two values of one type.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::validate::scalar_complaint;
use super::{TypedError, TypedErrors, item_element};
use crate::fieldset::FieldSet;
use crate::path::{PathElement, same_value};
use crate::schema::{Atom, Form, ListRef, MapRef, TypeRef};

/// The fields that differ. No field is in two of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Fields of the old value that the new one lacks.
    pub removed: FieldSet,
    /// Fields of both, with different values.
    pub modified: FieldSet,
    /// Fields that only the new value has.
    pub added: FieldSet,
}

impl Comparison {
    /// Each of the three sets changed in the same way.
    pub fn map(&self, change: impl Fn(&FieldSet) -> FieldSet) -> Self {
        Self { removed: change(&self.removed), modified: change(&self.modified), added: change(&self.added) }
    }
}

/// Compares two values of type `ty`.
pub fn compare(old: &Value, new: &Value, ty: TypeRef<'_>) -> Result<Comparison, TypedErrors> {
    let mut walker = Walker { path: Vec::new(), comparison: Comparison::default(), errors: Vec::new() };
    walker.value(Some(old), Some(new), ty);
    TypedErrors::unless_empty(walker.errors)?;
    Ok(walker.comparison)
}

struct Walker {
    path: Vec<PathElement>,
    comparison: Comparison,
    errors: Vec<TypedError>,
}

impl Walker {
    fn value(&mut self, old: Option<&Value>, new: Option<&Value>, ty: TypeRef<'_>) {
        let forms = |value: Option<&Value>| value.map_or_else(|| ty.atom(), |value| ty.atom_for(value));
        let (old_atom, new_atom) = (forms(old), forms(new));
        let was_leaf = if new.is_none() {
            self.atom(old_atom, old, new)
        } else if old.is_none() || old_atom.same_forms(&new_atom) {
            self.atom(new_atom, old, new)
        } else {
            self.atom(old_atom, old, new);
            self.atom(new_atom, old, new)
        };
        if was_leaf {
            return;
        }
        if old.is_none() {
            self.comparison.added.insert(&self.path);
        } else if new.is_none() {
            self.comparison.removed.insert(&self.path);
        }
    }

    /// Compares in the form that the atom decides on; returns whether the field was one value.
    fn atom(&mut self, atom: Atom<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        match atom.form() {
            Some(Form::Map(map)) => {
                let (old_map, new_map) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
                if map.is_atomic() || (is_empty_map(old_map) && is_empty_map(new_map)) {
                    return self.leaf(old, new);
                }
                self.members(map, old_map, new_map);
                false
            }
            Some(Form::List(list)) => {
                let (old_list, new_list) = (items_of(old), items_of(new));
                if list.is_atomic() || (old_list.is_empty() && new_list.is_empty()) {
                    return self.leaf(old, new);
                }
                self.items(list, old_list, new_list);
                false
            }
            Some(Form::Scalar(scalar)) => {
                let complaint =
                    |value: Option<&Value>| value.and_then(|value| scalar_complaint(scalar, value));
                if let (Some(old), Some(new)) = (complaint(old), complaint(new)) {
                    self.errors.push(TypedError::at(&self.path, format!("lhs: {old}")));
                    self.errors.push(TypedError::at(&self.path, format!("rhs: {new}")));
                    return false;
                }
                self.leaf(old, new)
            }
            None => {
                self.errors.push(TypedError::at(&self.path, "schema error: invalid atom: inlined"));
                false
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (old, new) {
            (None, _) => self.comparison.added.insert(&self.path),
            (_, None) => self.comparison.removed.insert(&self.path),
            (Some(old), Some(new)) if !same_value(old, new) => self.comparison.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn members(
        &mut self,
        map: MapRef<'_>,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
    ) {
        let names: BTreeSet<&String> =
            old.into_iter().chain(new).flat_map(|members| members.keys()).collect();
        for name in names {
            let Some(ty) = map.member_type(name) else { continue };
            let (old, new) =
                (old.and_then(|members| members.get(name)), new.and_then(|members| members.get(name)));
            if let (Some(old), Some(new)) = (old, new)
                && old == new
            {
                continue;
            }
            self.path.push(PathElement::field(name));
            self.value(old, new, ty);
            self.path.pop();
        }
    }

    fn items(&mut self, list: ListRef<'_>, old: &[Value], new: &[Value]) {
        let mut pairs: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (index, item) in old.iter().enumerate() {
            if let Some(element) = self.element(list, index, item) {
                pairs.entry(element).or_default().0.push(item);
            }
        }
        for (index, item) in new.iter().enumerate() {
            if let Some(element) = self.element(list, index, item) {
                pairs.entry(element).or_default().1.push(item);
            }
        }
        for (element, (old, new)) in pairs {
            self.path.push(element);
            self.item(list, &old, &new);
            self.path.pop();
        }
    }

    /// Compares the items of one key. Duplicates on a side are compared as one value.
    fn item(&mut self, list: ListRef<'_>, old: &[&Value], new: &[&Value]) {
        let (first_old, first_new) = (old.first().copied(), new.first().copied());
        match (old.len() >= 2, new.len() >= 2) {
            (false, false) => self.value(first_old, first_new, list.element()),
            (true, true) => {
                let same =
                    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same_value(old, new));
                if !same {
                    self.comparison.modified.insert(&self.path);
                }
            }
            (true, false) => {
                if first_new.is_some() {
                    self.value(None, first_new, list.element());
                }
                self.comparison.removed.insert(&self.path);
            }
            (false, true) => {
                if first_old.is_some() {
                    self.value(first_old, None, list.element());
                }
                self.comparison.added.insert(&self.path);
            }
        }
    }

    fn element(&mut self, list: ListRef<'_>, index: usize, item: &Value) -> Option<PathElement> {
        match item_element(list, item) {
            Ok(element) => Some(element),
            Err(reason) => {
                self.errors.push(TypedError::at(&self.path, format!("element {index}: {reason}")));
                None
            }
        }
    }
}

fn is_empty_map(map: Option<&Map<String, Value>>) -> bool {
    map.is_none_or(Map::is_empty)
}

fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
