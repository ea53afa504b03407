//! `eq`, `lt` and the rest: basic kinds are compared by value, and only with their own kind.

use std::sync::Arc;

use super::reflected::Reflected;
use crate::error::Error;
use crate::format::{display, sprintf};
use crate::types::Kind;
use crate::value::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Basic {
    Bool,
    Complex,
    Int,
    Float,
    String,
    Uint,
}

/// Whether the first equals any of the others.
pub(super) fn equal(first: &Reflected, others: &[Reflected]) -> Result<bool, Error> {
    if others.is_empty() {
        return Err(Error::new("missing argument for comparison"));
    }
    for other in others {
        if equals(&first.value, &other.value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equals(a: &Value, b: &Value) -> Result<bool, Error> {
    let (left, right) = (basic(a), basic(b));
    if left != right {
        return match (a, b) {
            (Value::Int(signed, _), Value::Uint(unsigned, _))
            | (Value::Uint(unsigned, _), Value::Int(signed, _)) => {
                Ok(u64::try_from(*signed).is_ok_and(|signed| signed == *unsigned))
            }
            (Value::Nil, _) | (_, Value::Nil) => Ok(false),
            _ => Err(incompatible(a, b)),
        };
    }
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, _), Value::Int(b, _)) => a == b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(real, imaginary), Value::Complex(other_real, other_imaginary)) => {
            real == other_real && imaginary == other_imaginary
        }
        (Value::String(a), Value::String(b)) => a == b,
        _ => {
            if a.kind() != b.kind() && a.kind() != Kind::Invalid && b.kind() != Kind::Invalid {
                return Err(Error::new(
                    [
                        b"non-comparable types ".as_slice(),
                        &sprintf(b"%s", std::slice::from_ref(a)),
                        b": ",
                        a.type_name().as_bytes(),
                        b", ",
                        b.type_name().as_bytes(),
                        b": ",
                        &*display(b),
                    ]
                    .concat(),
                ));
            }
            if a.is_nil() || b.is_nil() {
                return Ok(a.is_nil() == b.is_nil());
            }
            match (a, b) {
                (Value::Object(a), Value::Object(b)) if a.type_name().starts_with('*') => Arc::ptr_eq(a, b),
                (Value::Object(a), Value::Object(b)) => a.type_name() == b.type_name() && a.equals(&**b),
                _ => {
                    return Err(Error::new(
                        [
                            b"non-comparable type ",
                            sprintf(b"%s", std::slice::from_ref(b)).as_slice(),
                            b": ",
                            b.type_name().as_bytes(),
                        ]
                        .concat(),
                    ));
                }
            }
        }
    })
}

/// Whether the first is less than the second.
pub(super) fn less(first: &Reflected, second: &Reflected) -> Result<bool, Error> {
    let (a, b) = (&first.value, &second.value);
    if basic(a).is_none() || basic(b).is_none() {
        return Err(Error::new("invalid type for comparison"));
    }
    Ok(match (a, b) {
        (Value::Int(a, _), Value::Int(b, _)) => a < b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a < b,
        (Value::Int(signed, _), Value::Uint(unsigned, _)) => {
            u64::try_from(*signed).map_or(true, |signed| signed < *unsigned)
        }
        (Value::Uint(unsigned, _), Value::Int(signed, _)) => {
            u64::try_from(*signed).is_ok_and(|signed| *unsigned < signed)
        }
        (Value::Float(a), Value::Float(b)) => a < b,
        (Value::String(a), Value::String(b)) => a < b,
        _ if basic(a) == basic(b) => return Err(Error::new("invalid type for comparison")),
        _ => return Err(incompatible(a, b)),
    })
}

/// Whether the first is less than the second or equal to it.
pub(super) fn less_or_equal(first: &Reflected, second: &Reflected) -> Result<bool, Error> {
    Ok(less(first, second)? || equals(&first.value, &second.value)?)
}

fn basic(value: &Value) -> Option<Basic> {
    Some(match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(..) => Basic::Int,
        Value::Uint(..) => Basic::Uint,
        Value::Float(_) => Basic::Float,
        Value::Complex(..) => Basic::Complex,
        Value::String(_) => Basic::String,
        _ => return None,
    })
}

fn incompatible(a: &Value, b: &Value) -> Error {
    Error::new(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()))
}
