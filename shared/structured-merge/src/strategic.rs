//! Strategic merge patches: JSON merge patches that merge lists by key where the built-in schema says so.
//!
//! Directives: `$patch: replace|delete`, `$retainKeys`, `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>`.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::go_format;
use crate::path::same_value;
use crate::schema::{MapRef, PatchStrategy, TypeRef};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

/// Why a patch cannot be applied; the texts are those of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// A malformed directive: 400 BadRequest.
    #[error("{0}")]
    BadRequest(String),
    /// A patch of a kind that is not supported: 422.
    #[error("{0}")]
    Unprocessable(String),
    /// Anything else: 500.
    #[error("{0}")]
    Other(String),
}

impl PatchError {
    fn malformed(what: &str) -> Self {
        Self::BadRequest(format!("invalid patch format of {what}"))
    }

    fn no_merge_key(item: &Map<String, Value>, key: &str) -> Self {
        let item = go_format::plain(&Value::Object(item.clone()));
        Self::Other(format!("map: {item} does not contain declared merge key: {key}"))
    }

    fn argument(expected: &str, found: &Value) -> Self {
        Self::Other(format!("expected a {expected}, but received a {}", go_format::type_name(found)))
    }

    fn unknown_directive(directive: &Value, patch: &Map<String, Value>) -> Self {
        let (directive, patch) =
            (go_format::plain(directive), go_format::plain(&Value::Object(patch.clone())));
        Self::Other(format!("unknown patch type: {directive} in map: {patch}"))
    }
}

/// `live`, an object of type `ty`, with the patch merged into it.
pub fn strategic_merge_patch(live: &Value, patch: &Value, ty: TypeRef<'_>) -> Result<Value, PatchError> {
    let Value::Object(live) = live else {
        return Err(PatchError::BadRequest("invalid JSON document".into()));
    };
    let Value::Object(patch) = patch else {
        return Err(PatchError::BadRequest("invalid JSON document".into()));
    };
    merge_map(live.clone(), patch.clone(), Some(ty)).map(Value::Object)
}

fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    ty: Option<TypeRef<'_>>,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(PatchError::unknown_directive(directive, &patch)),
        };
    }
    let map = ty.and_then(|ty| ty.atom().map());
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(&mut original, &mut patch, map)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            let list = list.strip_prefix('/').ok_or_else(|| PatchError::malformed("primitive list"))?;
            delete_from(&mut original, list, value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&name);
            continue;
        }
        let merged = match (original.remove(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                if strategy(map, &name).replace {
                    Some(Value::Object(new))
                } else {
                    let member = map.and_then(|map| map.member_type(&name));
                    Some(Value::Object(merge_map(old, new, member)?))
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Some(Value::Array(merge_list_field(old, new, map, &name)?))
            }
            (_, value) => without_directives(without_nulls(value)),
        };
        if let Some(merged) = merged {
            original.insert(name, merged);
        }
    }
    Ok(original)
}

/// Removes the members that the patch does not say to keep.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(PatchError::malformed("retainKeys")) };
    let kept = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    let named = patch.iter().filter(|(name, value)| {
        !value.is_null() && !name.starts_with(DELETE_FROM) && !name.starts_with(ELEMENT_ORDER)
    });
    for (name, _) in named {
        if !kept(name) {
            return Err(PatchError::malformed("retainKeys"));
        }
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

/// Merges the lists for which the patch gives an order, and takes them out of the patch.
fn merge_ordered_lists(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    map: Option<MapRef<'_>>,
) -> Result<(), PatchError> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            Some(other) => return Err(PatchError::argument("[]interface {}", &other)),
            None => continue,
        };
        let list = directive
            .strip_prefix(ELEMENT_ORDER)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| PatchError::malformed("setElementOrder list"))?;
        let old = take_list(original.get(list))?;
        let new = take_list(patch.get(list))?;
        if map.is_some_and(|map| map.member_type(list).is_none()) {
            return Err(PatchError::Other(format!(
                "unable to find api field in struct for the json field {list:?}"
            )));
        }
        let merge_key = strategy(map, list).merge_key;
        check_order(new.as_deref().unwrap_or_default(), &order, merge_key.as_deref())?;
        let server_order = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (Some(old), None) => old,
            (None, Some(new)) => {
                let Some(Value::Array(new)) = without_directives(Value::Array(new)) else { continue };
                new
            }
            (Some(old), Some(new)) => merge_list_field(old, new, map, list)?,
            (None, None) => continue,
        };
        let merged = order_elements(merged, &order, &server_order, merge_key.as_deref())?;
        original.insert(list.to_owned(), Value::Array(merged));
        patch.remove(list);
    }
    Ok(())
}

fn take_list(value: Option<&Value>) -> Result<Option<Vec<Value>>, PatchError> {
    match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(PatchError::argument("[]interface {}", other)),
    }
}

/// The items of the patch must come in the order that the patch asks for.
fn check_order(patch: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut expected = order.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let item_key = key_of(item, merge_key)?;
        loop {
            let Some(next) = expected.next() else {
                let lists = [patch, order].map(|list| go_format::plain(&Value::Array(list.to_vec())));
                return Err(PatchError::Other(format!(
                    "The order in patch list:\n{}\n doesn't match {ELEMENT_ORDER} list:\n{}\n",
                    lists[0], lists[1]
                )));
            };
            if same_value(item_key, key_of(next, merge_key)?) {
                break;
            }
        }
    }
    Ok(())
}

fn delete_from(original: &mut Map<String, Value>, list: &str, gone: Value) -> Result<(), PatchError> {
    let (Some(Value::Array(items)), Value::Array(gone)) = (original.get_mut(list), gone) else {
        return Ok(());
    };
    items.retain(|item| !gone.iter().any(|gone| same_value(gone, item)));
    Ok(())
}

fn merge_list_field(
    old: Vec<Value>,
    new: Vec<Value>,
    map: Option<MapRef<'_>>,
    name: &str,
) -> Result<Vec<Value>, PatchError> {
    let strategy = strategy(map, name);
    if !strategy.merge {
        return Ok(new);
    }
    let element =
        map.and_then(|map| map.member_type(name)).and_then(|ty| ty.atom().list()).map(|list| list.element());
    merge_list(old, new, strategy.merge_key.as_deref(), element)
}

fn merge_list(
    old: Vec<Value>,
    new: Vec<Value>,
    merge_key: Option<&str>,
    element: Option<TypeRef<'_>>,
) -> Result<Vec<Value>, PatchError> {
    let Some(first) = old.first().or(new.first()) else { return Ok(old) };
    if first.is_array() {
        return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
    }
    let kind = go_format::type_name(first);
    if old.iter().chain(&new).any(|item| go_format::type_name(item) != kind) {
        let lists = Value::Array(vec![Value::Array(old), Value::Array(new)]);
        return Err(PatchError::Other(format!(
            "list element types are not identical: {}",
            go_format::plain(&lists)
        )));
    }
    if !first.is_object() {
        let merged = without_duplicates(old.iter().chain(&new).cloned().collect());
        return order_elements(merged, &new, &old, None);
    }
    let Some(key) = merge_key else {
        return Err(PatchError::Other("cannot merge lists without merge key for struct".to_owned()));
    };
    let (server, patch) = apply_item_directives(old, new, key)?;
    let mut merged = server.clone();
    for item in &patch {
        let Value::Object(members) = item else { continue };
        let Some(value) = members.get(key) else { return Err(PatchError::no_merge_key(members, key)) };
        let same = |old: &Value| old.get(key).is_some_and(|old| same_value(old, value));
        match merged.iter().position(same) {
            Some(position) => {
                if let Value::Object(old) = std::mem::take(&mut merged[position]) {
                    merged[position] = Value::Object(merge_map(old, members.clone(), element)?);
                }
            }
            None => merged.push(item.clone()),
        }
    }
    order_elements(merged, &patch, &server, merge_key)
}

/// Carries out `$patch` within the items, and returns the old items left and the new items without directives.
fn apply_item_directives(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(new.len());
    let mut replace = false;
    for item in new {
        let Value::Object(members) = &item else { continue };
        let Some(directive) = members.get(PATCH) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let Some(gone) = members.get(key) else { return Err(PatchError::no_merge_key(members, key)) };
                old.retain(|item| !item.get(key).is_some_and(|value| same_value(value, gone)));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Other(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            _ => return Err(PatchError::unknown_directive(directive, members)),
        }
    }
    if replace { Ok((plain, Vec::new())) } else { Ok((old, plain)) }
}

/// The items in the order of the patch, with those that only the server has where they stood relative to them.
fn order_elements(
    items: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    merge_key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    for item in items.iter().chain(patch_order).chain(server_order) {
        key_of(item, merge_key)?;
    }
    let (mut patch, mut server): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| position(patch_order, item, merge_key).is_some());
    patch.sort_by_key(|item| position(patch_order, item, merge_key));
    server.sort_by_key(|item| position(server_order, item, merge_key).unwrap_or(usize::MAX));
    let mut out = Vec::with_capacity(patch.len() + server.len());
    let (mut patch, mut server) = (patch.into_iter().peekable(), server.into_iter().peekable());
    loop {
        let server_first = match (server.peek(), patch.peek()) {
            (None, None) => return Ok(out),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(left), Some(right)) => {
                let places =
                    (position(server_order, left, merge_key), position(server_order, right, merge_key));
                matches!(places, (Some(left), Some(right)) if left < right)
            }
        };
        out.extend(if server_first { server.next() } else { patch.next() });
    }
}

fn position(order: &[Value], item: &Value, merge_key: Option<&str>) -> Option<usize> {
    let key = |item: &'_ Value| -> Option<Value> {
        match merge_key {
            Some(key) => item.get(key).cloned(),
            None => Some(item.clone()),
        }
    };
    let wanted = key(item)?;
    order.iter().position(|other| key(other).is_some_and(|other| same_value(&other, &wanted)))
}

/// What tells the item apart: itself, or the value of its merge key.
fn key_of<'v>(item: &'v Value, merge_key: Option<&str>) -> Result<&'v Value, PatchError> {
    let Some(key) = merge_key else { return Ok(item) };
    match item {
        Value::Object(members) => members.get(key).ok_or_else(|| PatchError::no_merge_key(members, key)),
        other => Err(PatchError::argument("map[string]interface {}", other)),
    }
}

/// The items without later repetitions; the last item takes the place of each one removed, as Kubernetes does it.
fn without_duplicates(mut items: Vec<Value>) -> Vec<Value> {
    let mut first = 0;
    while first + 1 < items.len() {
        let mut other = first + 1;
        while other < items.len() {
            if same_value(&items[first], &items[other]) {
                items.swap_remove(other);
            } else {
                other += 1;
            }
        }
        first += 1;
    }
    items
}

/// New content without members that are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        scalar => scalar,
    }
}

/// New content without maps that carry `$patch`; `None` when nothing is left of it.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) if members.contains_key(PATCH) => None,
        Value::Object(members) => Some(Value::Object(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
    }
}

fn strategy(map: Option<MapRef<'_>>, name: &str) -> PatchStrategy {
    map.and_then(|map| map.field(name)).map(|field| field.patch.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{
        Field, ListRelationship, ListType, MapType, PatchStrategy, Scalar, Schema, SchemaBuilder, Type,
    };
    use serde_json::json;

    fn schema() -> Schema {
        let mut builder = SchemaBuilder::new();
        let text = builder.add(Type { scalar: Some(Scalar::String), ..Type::default() });
        let item_fields =
            [("name".to_owned(), Field::new(text)), ("image".to_owned(), Field::new(text))].into();
        let item = builder.add(Type {
            map: Some(MapType { fields: item_fields, ..MapType::default() }),
            ..Type::default()
        });
        let mut list = |element| {
            builder.add(Type {
                list: Some(ListType { element, relationship: ListRelationship::Atomic }),
                ..Type::default()
            })
        };
        let (items, texts) = (list(item.into()), list(text.into()));
        let merged = |ty, key: Option<&str>| Field {
            patch: PatchStrategy {
                merge: true,
                merge_key: key.map(str::to_owned),
                ..PatchStrategy::default()
            },
            ..Field::new(ty)
        };
        let fields = [
            ("items".to_owned(), merged(items, Some("name"))),
            ("finalizers".to_owned(), merged(texts, None)),
            ("args".to_owned(), Field::new(texts)),
            ("a".to_owned(), Field::new(text)),
            ("b".to_owned(), Field::new(text)),
        ]
        .into();
        let root =
            builder.add(Type { map: Some(MapType { fields, ..MapType::default() }), ..Type::default() });
        builder.finish(root)
    }

    fn patched(live: Value, patch: Value) -> Result<Value, PatchError> {
        strategic_merge_patch(&live, &patch, schema().root())
    }

    #[test]
    fn lists_merge_by_key() {
        assert_eq!(
            patched(
                json!({"items": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}], "args": ["x"]}),
                json!({"items": [{"name": "c"}, {"name": "b", "image": "2"}], "args": ["y"], "a": null})
            ),
            Ok(
                json!({"items": [{"name": "c"}, {"name": "a", "image": "1"}, {"name": "b", "image": "2"}], "args": ["y"]})
            )
        );
    }

    #[test]
    fn directives() {
        let live = || json!({"items": [{"name": "a"}, {"name": "b"}], "finalizers": ["x", "y"], "a": "1"});
        assert_eq!(
            patched(live(), json!({"items": [{"name": "a", "$patch": "delete"}]})).unwrap()["items"],
            json!([{"name": "b"}])
        );
        assert_eq!(
            patched(live(), json!({"items": [{"$patch": "replace"}, {"name": "z"}]})).unwrap()["items"],
            json!([{"name": "z"}])
        );
        assert_eq!(
            patched(live(), json!({"$deleteFromPrimitiveList/finalizers": ["x"]})).unwrap()["finalizers"],
            json!(["y"])
        );
        assert_eq!(
            patched(live(), json!({"$setElementOrder/items": [{"name": "b"}, {"name": "a"}]})).unwrap()["items"],
            json!([{"name": "b"}, {"name": "a"}])
        );
        assert_eq!(patched(live(), json!({"$retainKeys": ["b"], "b": "2"})), Ok(json!({"b": "2"})));
        assert_eq!(patched(live(), json!({"$patch": "replace", "a": "2"})), Ok(json!({"a": "2"})));
        assert_eq!(
            patched(live(), json!({"finalizers": ["z"]})).unwrap()["finalizers"],
            json!(["z", "x", "y"])
        );
    }

    #[test]
    fn refusals() {
        let refusal = |patch| patched(json!({"items": [{"name": "a"}]}), patch).unwrap_err();
        assert_eq!(
            refusal(json!({"items": [{"image": "x"}]})).to_string(),
            "map: map[image:x] does not contain declared merge key: name"
        );
        assert_eq!(
            refusal(json!({"$patch": "x"})).to_string(),
            "unknown patch type: x in map: map[$patch:x]"
        );
        assert_eq!(
            refusal(json!({"$retainKeys": ["a"], "b": "1"})),
            PatchError::BadRequest("invalid patch format of retainKeys".into())
        );
        assert!(
            refusal(json!({"$setElementOrder/items": [{"name": "b"}], "items": [{"name": "c"}]}))
                .to_string()
                .starts_with(
                    "The order in patch list:\n[map[name:c]]\n doesn't match $setElementOrder list:"
                )
        );
    }
}
