//! Dictionaries.

use super::argument::{ANY, ANY_MAP_TYPE, STRING, item, map, shared, text};
use super::convert::to_text;
use super::merge::{merge, merge_overwrite};
use crate::Map;
use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::types::{ANY_MAP, Type};
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "dict",
        Function::variadic(&[], ANY, |call, a| {
            call.charge(a.len().saturating_mul(64))?;
            let dict = Map::new();
            for pair in a.chunks(2) {
                let value = pair.get(1).cloned().unwrap_or_else(|| Value::from(""));
                dict.insert(to_text(&pair[0]), value);
            }
            Ok(Value::Map(dict))
        }),
    );
    functions.insert(
        "get",
        Function::new(&[ANY_MAP_TYPE, STRING], |_, a| {
            Ok(map(a, 0).get(text(a, 1)).unwrap_or_else(|| Value::from("")))
        }),
    );
    functions.insert("set", Function::new(&[ANY_MAP_TYPE, STRING, ANY], set));
    functions.insert(
        "unset",
        Function::new(&[ANY_MAP_TYPE, STRING], |_, a| {
            map(a, 0).remove(text(a, 1));
            Ok(item(a, 0).clone())
        }),
    );
    functions.insert(
        "hasKey",
        Function::new(&[ANY_MAP_TYPE, STRING], |_, a| Ok(Value::Bool(map(a, 0).contains_key(text(a, 1))))),
    );
    functions.insert(
        "pluck",
        Function::variadic(&[STRING], ANY_MAP_TYPE, |_, a| {
            Ok(Value::from((1..a.len()).filter_map(|at| map(a, at).get(text(a, 0))).collect::<Vec<_>>()))
        }),
    );
    functions.insert(
        "keys",
        Function::variadic(&[], ANY_MAP_TYPE, |call, a| {
            let keys: Vec<_> = (0..a.len()).flat_map(|at| map(a, at).keys()).collect();
            call.charge(keys.len().saturating_mul(size_of::<Value>()))?;
            Ok(Value::strings(keys))
        }),
    );
    functions.insert(
        "values",
        Function::new(&[ANY_MAP_TYPE], |call, a| {
            let values = map(a, 0).values();
            call.charge(values.len().saturating_mul(size_of::<Value>()))?;
            Ok(Value::from(values))
        }),
    );
    functions.insert(
        "pick",
        Function::variadic(&[ANY_MAP_TYPE], STRING, |_, a| {
            let picked = Map::new();
            for at in 1..a.len() {
                if let Some(value) = map(a, 0).get(text(a, at)) {
                    picked.insert(shared(a, at), value);
                }
            }
            Ok(Value::Map(picked))
        }),
    );
    functions.insert(
        "omit",
        Function::variadic(&[ANY_MAP_TYPE], STRING, |call, a| {
            let kept = map(a, 0).entries();
            call.charge(kept.len().saturating_mul(64))?;
            Ok(Value::Map(
                kept.into_iter()
                    .filter(|(key, _)| !(1..a.len()).any(|at| text(a, at) == key.as_bytes()))
                    .collect(),
            ))
        }),
    );
    for (name, overwrites) in
        [("merge", false), ("mustMerge", false), ("mergeOverwrite", true), ("mustMergeOverwrite", true)]
    {
        functions.insert(
            name,
            Function::variadic(&[ANY_MAP_TYPE], ANY_MAP_TYPE, move |call, a| merge_all(call, a, overwrites)),
        );
    }
    functions.insert("deepCopy", Function::new(&[ANY], deep_copy));
    functions.alias("mustDeepCopy", "deepCopy");
    functions.insert("dig", Function::variadic(&[], ANY, dig));
}

fn set(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let target = map(arguments, 0);
    call.charge(64)?;
    if !target.insert(shared(arguments, 1), item(arguments, 2).clone()) {
        return Err(Error::new("assignment to entry in nil map"));
    }
    call.session.may_be_tied(&target, item(arguments, 2));
    Ok(item(arguments, 0).clone())
}

fn merge_all(call: &mut Call<'_>, arguments: &[Value], overwrites: bool) -> Result<Value, Error> {
    let mut target = map(arguments, 0);
    for at in 1..arguments.len() {
        let source = map(arguments, at);
        if target.is_nil() && !source.is_nil() {
            target = Map::new();
        }
        if overwrites {
            merge_overwrite(call, &target, &source, 0)?;
        } else {
            merge(call, &target, &source, 0)?;
        }
    }
    Ok(Value::Map(target))
}

fn deep_copy(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    if matches!(item(arguments, 0), Value::Nil) {
        return Err(Error::new("reflect: call of reflect.Value.Type on zero Value"));
    }
    call.charge(64)?;
    let mut left = call.session.remaining_memory() / 64;
    item(arguments, 0).deep_copy_within(&mut left).and_then(|copy| {
        let used = call.session.remaining_memory() / 64 - left;
        call.charge(usize::try_from(used.saturating_mul(64)).unwrap_or(usize::MAX))?;
        Ok(copy)
    })
}

fn dig(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let [keys @ .., default, dict] = arguments else {
        return Err(Error::new("dig needs at least three arguments"));
    };
    if keys.is_empty() {
        return Err(Error::new("dig needs at least three arguments"));
    }
    let mut step = as_map(dict)?;
    for key in keys {
        if !matches!(key, Value::String(_)) {
            return Err(conversion(key, "string"));
        }
    }
    for (at, key) in keys.iter().enumerate() {
        let Value::String(key) = key else { continue };
        let Some(found) = step.get(key) else {
            return Ok(default.clone());
        };
        if at + 1 == keys.len() {
            return Ok(found);
        }
        step = as_map(&found)?;
    }
    Ok(default.clone())
}

/// Go's type assertion, which does not look through named types.
fn as_map(value: &Value) -> Result<Map, Error> {
    match value {
        Value::Map(map) if value.go_type() == Type::Map(&ANY_MAP) => Ok(map.clone()),
        other => Err(conversion(other, ANY_MAP.name)),
    }
}

fn conversion(value: &Value, wanted: &str) -> Error {
    let found = match value {
        Value::Nil => "nil".to_owned(),
        other => other.type_name(),
    };
    Error::new(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
}
