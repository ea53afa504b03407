//! Laying an applied configuration over the live object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::validate::scalar_complaint;
use super::{TypedError, TypedErrors, item_element};
use crate::path::PathElement;
use crate::schema::{Atom, Form, ListRef, MapRef, TypeRef};

/// The live object with every field that `applied` mentions taken from there. Nothing is removed.
///
/// Lists keep the order of the live object, except that the items of `applied` come in the order given there.
pub fn merge(live: &Value, applied: &Value, ty: TypeRef<'_>) -> Result<Value, TypedErrors> {
    let mut walker = Walker { path: Vec::new(), errors: Vec::new() };
    let merged = walker.value(Some(live), Some(applied), ty);
    TypedErrors::unless_empty(walker.errors)?;
    Ok(merged.unwrap_or(Value::Null))
}

struct Walker {
    path: Vec<PathElement>,
    errors: Vec<TypedError>,
}

impl Walker {
    fn value(&mut self, live: Option<&Value>, applied: Option<&Value>, ty: TypeRef<'_>) -> Option<Value> {
        let forms = |value: Option<&Value>| value.map_or_else(|| ty.atom(), |value| ty.atom_for(value));
        let (live_atom, applied_atom) = (forms(live), forms(applied));
        let Some(applied) = applied else {
            // What the configuration does not mention stays as it is, whatever its type.
            return live.cloned();
        };
        if live.is_some() && !live_atom.same_forms(&applied_atom) {
            self.atom(live_atom, live, applied);
        }
        self.atom(applied_atom, live, applied)
    }

    fn atom(&mut self, atom: Atom<'_>, live: Option<&Value>, applied: &Value) -> Option<Value> {
        match atom.form() {
            Some(Form::Map(map)) => {
                let (live_map, applied_map) = (live.and_then(Value::as_object), applied.as_object());
                let empty = |map: Option<&Map<String, Value>>| map.is_none_or(Map::is_empty);
                if map.is_atomic() || (empty(live_map) && empty(applied_map)) {
                    return Some(applied.clone());
                }
                self.members(map, live_map, applied_map)
            }
            Some(Form::List(list)) => {
                let live_list = live.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let applied_list = applied.as_array().map_or(&[][..], Vec::as_slice);
                if list.is_atomic() || (live_list.is_empty() && applied_list.is_empty()) {
                    return Some(applied.clone());
                }
                self.items(list, live_list, applied_list)
            }
            Some(Form::Scalar(scalar)) => {
                let live_complaint = live.and_then(|live| scalar_complaint(scalar, live));
                if let (Some(live), Some(applied)) = (live_complaint, scalar_complaint(scalar, applied)) {
                    self.refuse(format!("lhs: {live}"));
                    self.refuse(format!("rhs: {applied}"));
                    return None;
                }
                Some(applied.clone())
            }
            None => {
                self.refuse("schema error: invalid atom: inlined");
                None
            }
        }
    }

    fn members(
        &mut self,
        map: MapRef<'_>,
        live: Option<&Map<String, Value>>,
        applied: Option<&Map<String, Value>>,
    ) -> Option<Value> {
        let mut out = Map::new();
        for (name, value) in live.into_iter().flatten() {
            if !applied.is_some_and(|applied| applied.contains_key(name)) {
                out.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in applied.into_iter().flatten() {
            let Some(ty) = map.member_type(name) else { continue };
            self.path.push(PathElement::field(name));
            let merged = self.value(live.and_then(|live| live.get(name)), Some(value), ty);
            self.path.pop();
            if let Some(merged) = merged {
                out.insert(name.clone(), merged);
            }
        }
        if out.is_empty() { None } else { Some(Value::Object(out)) }
    }

    fn items(&mut self, list: ListRef<'_>, live: &[Value], applied: &[Value]) -> Option<Value> {
        let before = self.errors.len();
        let applied = self.index(list, applied, false);
        let live = self.index(list, live, true);
        if self.errors.len() > before {
            return None;
        }
        let mut shared = applied
            .elements
            .iter()
            .map(|(element, _)| element)
            .filter(|element| live.by_element.contains_key(element));
        let mut next_shared = shared.next();
        let mut merged: BTreeSet<&PathElement> = BTreeSet::new();
        let mut out = Vec::with_capacity(live.elements.len().max(applied.elements.len()));
        let (mut l, mut r) = (0, 0);
        while l < live.elements.len() || r < applied.elements.len() {
            if let (Some((live_element, _)), Some((applied_element, _))) =
                (live.elements.get(l), applied.elements.get(r))
            {
                if live_element == applied_element {
                    merged.insert(live_element);
                    out.extend(self.item(list, live_element, &live, &applied));
                    l += 1;
                    r += 1;
                    next_shared = shared.next();
                    continue;
                }
                let expected = next_shared.is_none_or(|next| next == live_element);
                if applied.by_element.contains_key(live_element) && !expected {
                    // The applied order puts another shared item first; this one is merged when its turn comes.
                    l += 1;
                    continue;
                }
            }
            if let Some((element, value)) = live.elements.get(l) {
                if !applied.by_element.contains_key(element) {
                    out.push((*value).clone());
                    l += 1;
                    continue;
                }
                if merged.contains(element) {
                    l += 1;
                }
            }
            if let Some((element, _)) = applied.elements.get(r) {
                merged.insert(element);
                out.extend(self.item(list, element, &live, &applied));
                r += 1;
                if next_shared == Some(element) {
                    next_shared = shared.next();
                }
            }
        }
        if out.is_empty() { None } else { Some(Value::Array(out)) }
    }

    fn item(
        &mut self,
        list: ListRef<'_>,
        element: &PathElement,
        live: &Index<'_>,
        applied: &Index<'_>,
    ) -> Option<Value> {
        self.path.push(element.clone());
        let merged = self.value(
            live.by_element.get(element).copied(),
            applied.by_element.get(element).copied(),
            list.element(),
        );
        self.path.pop();
        merged
    }

    fn index<'v>(&mut self, list: ListRef<'_>, items: &'v [Value], duplicates_allowed: bool) -> Index<'v> {
        let mut index = Index { elements: Vec::with_capacity(items.len()), by_element: BTreeMap::new() };
        for (position, item) in items.iter().enumerate() {
            let element = match item_element(list, item) {
                Ok(element) => element,
                Err(reason) => {
                    self.refuse(format!("element {position}: {reason}"));
                    continue;
                }
            };
            if !index.by_element.contains_key(&element) {
                index.by_element.insert(element.clone(), item);
            } else if duplicates_allowed {
                // Which of the duplicates the configuration means is unknown: it replaces them.
                index.by_element.insert(element.clone(), &Value::Null);
            } else {
                self.refuse(format!("duplicate entries for key {element}"));
                continue;
            }
            index.elements.push((element, item));
        }
        index
    }

    fn refuse(&mut self, message: impl Into<String>) {
        self.errors.push(TypedError::at(&self.path, message));
    }
}

/// The items of a list, in order and by element.
struct Index<'v> {
    elements: Vec<(PathElement, &'v Value)>,
    by_element: BTreeMap<PathElement, &'v Value>,
}
