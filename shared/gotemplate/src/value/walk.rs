//! Walks over whole values: copies, comparisons, rings of references.

use std::collections::HashSet;

use super::Value;
use crate::collection::{List, Map};
use crate::error::Error;

/// Values nested deeper are refused: Go overflows its stack on a map that contains itself.
pub(crate) const MAX_DEPTH: usize = 10_000;

impl Value {
    /// A copy that shares no map and no list with this value.
    pub fn deep_copy(&self) -> Result<Value, Error> {
        copy(self, &mut u64::MAX.clone(), 0)
    }

    /// A copy of at most so many elements.
    pub(crate) fn deep_copy_within(&self, left: &mut u64) -> Result<Value, Error> {
        copy(self, left, 0)
    }

    /// Whether both have the same types and content, as `reflect.DeepEqual` finds.
    pub fn deep_equal(&self, other: &Value) -> bool {
        deep_equal(self, other, &mut HashSet::new(), 0)
    }

    /// Refuses values whose text would be endless, or longer than about so many bytes: few maps that share each other
    /// many times over are small in memory and huge in print.
    pub(crate) fn check_text_size(&self, limit: u64) -> Result<(), Error> {
        if !self.is_collection() {
            return Ok(());
        }
        let mut left = limit.min(MAX_TEXT);
        measure(self, &mut left, 0)
    }
}

/// The longest text that is made of one value.
const MAX_TEXT: u64 = 256 << 20;

fn measure(value: &Value, left: &mut u64, depth: usize) -> Result<(), Error> {
    // An element counts as what it takes in memory, which is more than it may add to the text: the count takes time, too.
    const ELEMENT: u64 = 32;
    let size = match value {
        Value::String(text) | Value::Bytes(text) => text.len() as u64,
        _ => 0,
    };
    let used = left.checked_sub(size.saturating_add(ELEMENT));
    *left = used.ok_or_else(|| Error::limit("value is too large to be printed"))?;
    match value {
        Value::List(list) => {
            descend(depth, || list.to_vec().iter().try_for_each(|item| measure(item, left, depth + 1)))
        }
        Value::Map(map) => descend(depth, || {
            map.entries().iter().try_for_each(|(_, element)| measure(element, left, depth + 1))
        }),
        _ => Ok(()),
    }
}

/// Runs a step of a recursion over values with enough stack.
pub(crate) fn descend<T>(depth: usize, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::limit(format!(
            "value is nested more than {MAX_DEPTH} levels deep, or contains itself"
        )));
    }
    stacker::maybe_grow(64 * 1024, 1 << 20, step)
}

fn copy(value: &Value, left: &mut u64, depth: usize) -> Result<Value, Error> {
    *left = left.checked_sub(1).ok_or_else(|| Error::limit("value is too large to be copied"))?;
    descend(depth, || {
        Ok(match value {
            Value::List(list) if !list.is_nil() => {
                let items =
                    list.to_vec().iter().map(|item| copy(item, left, depth + 1)).collect::<Result<_, _>>()?;
                Value::List(List::with_type(list.list_type(), items))
            }
            Value::Map(map) if !map.is_nil() => {
                let copied = Map::with_type(map.map_type());
                for (key, element) in map.entries() {
                    copied.insert(key, copy(&element, left, depth + 1)?);
                }
                Value::Map(copied)
            }
            Value::Object(object) => object.copied().map_or_else(|| value.clone(), Value::Object),
            other => other.clone(),
        })
    })
}

/// Pairs that were compared before, or are being compared, are equal or settle the matter elsewhere, as in Go.
fn deep_equal(a: &Value, b: &Value, seen: &mut HashSet<(usize, usize)>, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    stacker::maybe_grow(64 * 1024, 1 << 20, || match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, a_type), Value::Int(b, b_type)) => a == b && a_type == b_type,
        (Value::Uint(a, a_type), Value::Uint(b, b_type)) => a == b && a_type == b_type,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, a_imaginary), Value::Complex(b, b_imaginary)) => {
            a == b && a_imaginary == b_imaginary
        }
        (Value::String(a), Value::String(b)) | (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.list_type().name == b.list_type().name && a.is_nil() == b.is_nil() && a.len() == b.len() && {
                let (b_list, b) = (b, b.to_vec());
                a.address() == b_list.address()
                    || !seen.insert((a.address(), b_list.address()))
                    || a.to_vec().iter().zip(&b).all(|(a, b)| deep_equal(a, b, seen, depth + 1))
            }
        }
        (Value::Map(a), Value::Map(b)) => {
            a.map_type().name == b.map_type().name
                && a.is_nil() == b.is_nil()
                && (a.is_same(b)
                    || a.len() == b.len()
                        && (!seen.insert((a.address(), b.address()))
                            || a.entries().iter().all(|(key, element)| {
                                b.get(key).is_some_and(|other| deep_equal(element, &other, seen, depth + 1))
                            })))
        }
        (Value::Object(a), Value::Object(b)) => a.type_name() == b.type_name() && a.equals(&**b),
        _ => false,
    })
}

/// Clears those of the maps that can be reached from themselves: nothing else would free them.
pub(crate) fn untie(candidates: Vec<Map>) {
    for map in candidates {
        if reaches_itself(&map) {
            map.clear();
        }
    }
}

fn reaches_itself(map: &Map) -> bool {
    let start = map.address();
    let mut seen = HashSet::new();
    let mut pending = map.values();
    while let Some(value) = pending.pop() {
        match value {
            Value::Map(inner) => {
                if inner.address() == start {
                    return true;
                }
                if seen.insert(inner.address()) {
                    pending.extend(inner.values().into_iter().filter(Value::is_collection));
                }
            }
            Value::List(list) if seen.insert(list.address()) => {
                pending.extend(list.to_vec().into_iter().filter(Value::is_collection));
            }
            _ => {}
        }
    }
    false
}
