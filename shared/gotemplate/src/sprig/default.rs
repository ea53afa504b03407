//! Defaults, choices and reflection.

use super::argument::{ANY, STRING, item, text};
use crate::function::{Function, Functions};
use crate::types::{Kind, Type};
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "default",
        Function::variadic(&[ANY], ANY, |_, a| {
            Ok(a.get(1).filter(|given| !is_empty(given)).unwrap_or(item(a, 0)).clone())
        }),
    );
    functions.insert("empty", Function::new(&[ANY], |_, a| Ok(Value::Bool(is_empty(item(a, 0))))));
    functions.insert(
        "coalesce",
        Function::variadic(&[], ANY, |_, a| {
            Ok(a.iter().find(|value| !is_empty(value)).cloned().unwrap_or_default())
        }),
    );
    functions.insert("all", Function::variadic(&[], ANY, |_, a| Ok(Value::Bool(!a.iter().any(is_empty)))));
    functions.insert(
        "any",
        Function::variadic(&[], ANY, |_, a| Ok(Value::Bool(a.iter().any(|value| !is_empty(value))))),
    );
    functions.insert(
        "ternary",
        Function::new(&[ANY, ANY, Type::Bool], |_, a| {
            Ok(item(a, usize::from(!matches!(item(a, 2), Value::Bool(true)))).clone())
        }),
    );
    functions.insert("fail", Function::new(&[STRING], |_, a| Err(crate::Error::new(text(a, 0)))));
    functions.insert("typeOf", Function::new(&[ANY], |_, a| Ok(Value::from(item(a, 0).type_name()))));
    functions.insert(
        "typeIs",
        Function::new(&[STRING, ANY], |_, a| {
            Ok(Value::Bool(item(a, 1).type_name().as_bytes() == text(a, 0)))
        }),
    );
    functions.insert(
        "typeIsLike",
        Function::new(&[STRING, ANY], |_, a| {
            let name = item(a, 1).type_name();
            Ok(Value::Bool(
                name.as_bytes() == text(a, 0)
                    || name.strip_prefix('*').is_some_and(|name| name.as_bytes() == text(a, 0)),
            ))
        }),
    );
    functions.insert("kindOf", Function::new(&[ANY], |_, a| Ok(Value::from(item(a, 0).kind().name()))));
    functions.insert(
        "kindIs",
        Function::new(&[STRING, ANY], |_, a| {
            Ok(Value::Bool(item(a, 1).kind().name().as_bytes() == text(a, 0)))
        }),
    );
    functions.insert(
        "deepEqual",
        Function::new(&[ANY, ANY], |_, a| Ok(Value::Bool(item(a, 0).deep_equal(item(a, 1))))),
    );
}

/// Nil, zero, false, or without elements. Structs never are.
pub(super) fn is_empty(value: &Value) -> bool {
    match value.kind() {
        Kind::Struct | Kind::Ptr | Kind::Func => false,
        _ => !value.is_true(),
    }
}
