//! Go's maps and slices: references, so that `set` in one template is seen by every holder.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::text::Text;
use crate::types::{ANY_LIST, ANY_MAP, ListType, MapType};
use crate::value::Value;

/// A Go map with string keys. Clones share the entries; they are iterated in key order, as Go prints them.
#[derive(Clone)]
pub struct Map {
    map_type: &'static MapType,
    entries: Option<Arc<Entries>>,
}

impl Map {
    /// An empty `map[string]interface {}`.
    pub fn new() -> Map {
        Map::with_type(&ANY_MAP)
    }

    /// An empty map of the given type.
    pub fn with_type(map_type: &'static MapType) -> Map {
        Map { map_type, entries: Some(Arc::new(Entries(RwLock::default()))) }
    }

    /// The nil map of a type: reads as empty, cannot be written.
    pub fn nil(map_type: &'static MapType) -> Map {
        Map { map_type, entries: None }
    }

    /// The same entries seen as another Go type, as a conversion does.
    pub fn retyped(&self, map_type: &'static MapType) -> Map {
        Map { map_type, entries: self.entries.clone() }
    }

    /// The Go type.
    pub fn map_type(&self) -> &'static MapType {
        self.map_type
    }

    /// Whether this is a nil map.
    pub fn is_nil(&self) -> bool {
        self.entries.is_none()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.read().map_or(0, |entries| entries.len())
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.read()?.get(key.as_ref()).cloned()
    }

    /// Whether the key is present.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.read().is_some_and(|entries| entries.contains_key(key.as_ref()))
    }

    /// Sets an element. False when the map is nil, which Go answers with a panic.
    pub fn insert(&self, key: impl Into<Text>, value: Value) -> bool {
        let Some(entries) = &self.entries else { return false };
        let replaced = entries.write().insert(key.into(), value);
        drop(replaced);
        true
    }

    /// Removes an element.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.entries.as_ref()?.write().remove(key.as_ref())
    }

    /// A snapshot of the entries in key order.
    pub fn entries(&self) -> Vec<(Text, Value)> {
        self.read()
            .map(|entries| entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            .unwrap_or_default()
    }

    /// A snapshot of the keys in order.
    pub fn keys(&self) -> Vec<Text> {
        self.read().map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// A snapshot of the elements in key order.
    pub fn values(&self) -> Vec<Value> {
        self.read().map(|entries| entries.values().cloned().collect()).unwrap_or_default()
    }

    /// Removes every entry, which also takes apart a map that contains itself.
    pub fn clear(&self) {
        if let Some(entries) = &self.entries {
            let taken = mem::take(&mut *entries.write());
            drop(taken);
        }
    }

    /// Whether both are one map, so that a write to one is seen in the other.
    pub fn is_same(&self, other: &Map) -> bool {
        self.address() == other.address() && !self.is_nil()
    }

    /// Identifies the shared entries; 0 for a nil map.
    pub(crate) fn address(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| Arc::as_ptr(entries) as usize)
    }

    fn read(&self) -> Option<RwLockReadGuard<'_, BTreeMap<Text, Value>>> {
        Some(self.entries.as_ref()?.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Map {
    fn default() -> Map {
        Map::new()
    }
}

impl FromIterator<(Text, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Map {
        Map {
            map_type: &ANY_MAP,
            entries: Some(Arc::new(Entries(RwLock::new(entries.into_iter().collect())))),
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{} entries]", self.map_type.name, self.len())
    }
}

struct Entries(RwLock<BTreeMap<Text, Value>>);

impl Entries {
    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Text, Value>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(mut self) -> BTreeMap<Text, Value> {
        mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        let entries = mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner));
        release(entries.into_values().filter(Value::is_collection).collect());
    }
}

/// A Go slice. Clones share the elements.
#[derive(Clone)]
pub struct List {
    list_type: &'static ListType,
    items: Option<Arc<Items>>,
}

impl List {
    /// A slice of the given type.
    pub fn with_type(list_type: &'static ListType, items: Vec<Value>) -> List {
        List { list_type, items: Some(Arc::new(Items(RwLock::new(items)))) }
    }

    /// The nil slice of a type.
    pub fn nil(list_type: &'static ListType) -> List {
        List { list_type, items: None }
    }

    /// The same elements seen as another Go type.
    pub fn retyped(&self, list_type: &'static ListType) -> List {
        List { list_type, items: self.items.clone() }
    }

    /// The Go type.
    pub fn list_type(&self) -> &'static ListType {
        self.list_type
    }

    /// Whether this is a nil slice.
    pub fn is_nil(&self) -> bool {
        self.items.is_none()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.read().map_or(0, |items| items.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at an index.
    pub fn get(&self, index: usize) -> Option<Value> {
        self.read()?.get(index).cloned()
    }

    /// A snapshot of the elements.
    pub fn to_vec(&self) -> Vec<Value> {
        self.read().map(|items| items.to_vec()).unwrap_or_default()
    }

    /// Replaces the elements for every holder, as sorting in place does.
    pub fn replace(&self, items: Vec<Value>) {
        if let Some(own) = &self.items {
            let old = mem::replace(&mut *own.0.write().unwrap_or_else(PoisonError::into_inner), items);
            drop(old);
        }
    }

    pub(crate) fn address(&self) -> usize {
        self.items.as_ref().map_or(0, |items| Arc::as_ptr(items) as usize)
    }

    fn read(&self) -> Option<RwLockReadGuard<'_, Vec<Value>>> {
        Some(self.items.as_ref()?.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> List {
        List::with_type(&ANY_LIST, items)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{} items]", self.list_type.name, self.len())
    }
}

struct Items(RwLock<Vec<Value>>);

impl Items {
    fn take(mut self) -> Vec<Value> {
        mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        let mut items = mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner));
        items.retain(Value::is_collection);
        release(items);
    }
}

/// Drops collections one by one, so that a list nested a million levels deep does not use the stack for each level.
fn release(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(list) => {
                if let Some(items) = list.items.and_then(Arc::into_inner) {
                    pending.extend(items.take().into_iter().filter(Value::is_collection));
                }
            }
            Value::Map(map) => {
                if let Some(entries) = map.entries.and_then(Arc::into_inner) {
                    pending.extend(entries.take().into_values().filter(Value::is_collection));
                }
            }
            _ => {}
        }
    }
}
