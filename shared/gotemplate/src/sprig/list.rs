//! Lists.

use super::argument::{ANY, INT, integer, item};
use super::convert::to_int;
use super::default::is_empty;
use crate::List;
use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::types::{ANY_LIST, LISTS};
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    functions.insert("list", Function::variadic(&[], ANY, |call, a| made(call, a.to_vec())));
    functions.alias("tuple", "list");
    with_must(
        functions,
        "append",
        Function::new(&[ANY, ANY], |call, a| {
            let mut items = elements(item(a, 0), "Cannot push on type")?;
            items.push(item(a, 1).clone());
            made(call, items)
        }),
    );
    functions.alias("push", "append");
    functions.alias("mustPush", "append");
    with_must(
        functions,
        "prepend",
        Function::new(&[ANY, ANY], |call, a| {
            let mut items = elements(item(a, 0), "Cannot prepend on type")?;
            items.insert(0, item(a, 1).clone());
            made(call, items)
        }),
    );
    with_must(
        functions,
        "first",
        Function::new(&[ANY], |_, a| {
            Ok(elements(item(a, 0), "Cannot find first on type")?.into_iter().next().unwrap_or_default())
        }),
    );
    with_must(
        functions,
        "last",
        Function::new(&[ANY], |_, a| {
            Ok(elements(item(a, 0), "Cannot find last on type")?.pop().unwrap_or_default())
        }),
    );
    with_must(
        functions,
        "rest",
        Function::new(&[ANY], |call, a| {
            let items = elements(item(a, 0), "Cannot find rest on type")?;
            if items.is_empty() { Ok(nil_list()) } else { made(call, items[1..].to_vec()) }
        }),
    );
    with_must(
        functions,
        "initial",
        Function::new(&[ANY], |call, a| {
            let items = elements(item(a, 0), "Cannot find initial on type")?;
            if items.is_empty() { Ok(nil_list()) } else { made(call, items[..items.len() - 1].to_vec()) }
        }),
    );
    with_must(
        functions,
        "reverse",
        Function::new(&[ANY], |call, a| {
            let mut items = elements(item(a, 0), "Cannot find reverse on type")?;
            items.reverse();
            made(call, items)
        }),
    );
    with_must(
        functions,
        "compact",
        Function::new(&[ANY], |call, a| {
            let mut items = elements(item(a, 0), "Cannot compact on type")?;
            items.retain(|item| !is_empty(item));
            made(call, items)
        }),
    );
    with_must(
        functions,
        "uniq",
        Function::new(&[ANY], |call, a| {
            let mut kept: Vec<Value> = Vec::new();
            for candidate in elements(item(a, 0), "Cannot find uniq on type")? {
                call.session.charge_steps(kept.len())?;
                if !kept.iter().any(|known| candidate.deep_equal(known)) {
                    kept.push(candidate);
                }
            }
            made(call, kept)
        }),
    );
    with_must(
        functions,
        "without",
        Function::variadic(&[ANY], ANY, |call, a| {
            let mut items = elements(item(a, 0), "Cannot find without on type")?;
            call.session.charge_steps(items.len().saturating_mul(a.len()))?;
            items.retain(|item| !a[1..].iter().any(|dropped| item.deep_equal(dropped)));
            made(call, items)
        }),
    );
    with_must(
        functions,
        "has",
        Function::new(&[ANY, ANY], |call, a| {
            if matches!(item(a, 1), Value::Nil) {
                return Ok(Value::Bool(false));
            }
            let items = elements(item(a, 1), "Cannot find has on type")?;
            call.session.charge_steps(items.len())?;
            Ok(Value::Bool(items.iter().any(|found| item(a, 0).deep_equal(found))))
        }),
    );
    with_must(functions, "slice", Function::variadic(&[ANY], ANY, slice));
    with_must(functions, "chunk", Function::new(&[INT, ANY], chunk));
    functions.insert(
        "concat",
        Function::variadic(&[], ANY, |call, a| {
            if a.is_empty() {
                return Ok(nil_list());
            }
            let mut items = Vec::new();
            for list in a {
                match list.elements() {
                    Some(elements) => items.extend(elements),
                    None if matches!(list, Value::Nil) => return Err(nil_dereference()),
                    None => {
                        return Err(Error::new(format!("Cannot concat type {} as list", list.kind().name())));
                    }
                }
            }
            if items.is_empty() { Ok(nil_list()) } else { made(call, items) }
        }),
    );
}

/// Registers a function and its `must` twin, which fails with the same text.
fn with_must(functions: &mut Functions, name: &str, function: Function) {
    functions.insert(name, function);
    let mut twin = String::from("must");
    twin.push_str(&name[..1].to_ascii_uppercase());
    twin.push_str(&name[1..]);
    functions.alias(&twin, name);
}

fn made(call: &mut Call<'_>, items: Vec<Value>) -> Result<Value, Error> {
    call.charge(items.len().saturating_mul(size_of::<Value>()))?;
    Ok(Value::from(items))
}

fn nil_list() -> Value {
    Value::List(List::nil(&ANY_LIST))
}

/// The elements of a list, or why there are none.
fn elements(value: &Value, complaint: &str) -> Result<Vec<Value>, Error> {
    match value.elements() {
        Some(items) => Ok(items),
        None if matches!(value, Value::Nil) => Err(nil_dereference()),
        None => Err(Error::new(format!("{complaint} {}", value.kind().name()))),
    }
}

fn nil_dereference() -> Error {
    Error::new("runtime error: invalid memory address or nil pointer dereference")
}

fn slice(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let list = item(arguments, 0);
    let items = elements(list, "list should be type of slice or array but")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = arguments.get(1).map_or(0, to_int);
    let end = arguments.get(2).map_or(items.len() as i64, to_int);
    if start < 0 || end < start || end > items.len() as i64 {
        return Err(Error::new("reflect.Value.Slice: slice index out of bounds"));
    }
    let part = items[start as usize..end as usize].to_vec();
    call.charge(part.len().saturating_mul(size_of::<Value>()))?;
    Ok(match list {
        Value::Bytes(bytes) => Value::Bytes(crate::Text::from(&bytes[start as usize..end as usize])),
        Value::List(list) => Value::List(List::with_type(list.list_type(), part)),
        _ => Value::from(part),
    })
}

fn chunk(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let size = integer(arguments, 0);
    let items = elements(item(arguments, 1), "Cannot chunk type")?;
    let length = items.len() as f64;
    // Go computes the number of chunks in floats, and so do its failures follow.
    let chunks = ((length - 1.0) / size as f64).floor() + 1.0;
    if size == 0 {
        return Err(Error::new("runtime error: makeslice: len out of range"));
    }
    if chunks < 0.0 {
        return Err(Error::new("runtime error: makeslice: len out of range"));
    }
    // A single element survives a size below zero, as its only chunk has the length of the remainder.
    let is_whole = chunks == 1.0 && items.len() == 1 && size < -1;
    if chunks >= 1.0 && size < 0 && !is_whole {
        return Err(Error::new("runtime error: makeslice: len out of range"));
    }
    call.charge(items.len().saturating_mul(2 * size_of::<Value>()))?;
    let pieces = match usize::try_from(size) {
        Ok(size) if size > 0 => items.chunks(size).map(|piece| Value::from(piece.to_vec())).collect(),
        _ if is_whole => vec![Value::from(items.to_vec())],
        _ => Vec::new(),
    };
    Ok(Value::List(List::with_type(&LISTS, pieces)))
}
