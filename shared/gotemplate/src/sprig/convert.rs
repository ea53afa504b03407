//! Conversions between numbers and texts, which never fail: what is no number is 0.

use crate::format::display;
use crate::number::{parse_float, parse_int};
use crate::text::Text;
use crate::value::Value;

/// sprig's `strval`: the text of a value, bytes as they are.
pub(crate) fn to_text(value: &Value) -> Text {
    match value {
        Value::String(text) | Value::Bytes(text) => text.clone(),
        Value::Object(object) => object.text().unwrap_or_else(|| display(value)),
        other => display(other),
    }
}

/// `int64` of a value.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(_, crate::types::IntType::Duration) => 0,
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Float(number) => float_to_int(*number),
        Value::Bool(truth) => i64::from(*truth),
        Value::String(text) => parse_int(without_zero_decimals(text), 0).unwrap_or(0),
        _ => 0,
    }
}

/// `float64` of a value.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(_, crate::types::IntType::Duration) => 0.0,
        Value::Int(number, _) => *number as f64,
        Value::Uint(number, _) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::String(text) => parse_float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// Go's conversion on amd64: what does not fit is the smallest integer.
pub(super) fn float_to_int(number: f64) -> i64 {
    const TWO_TO_63: f64 = (1u64 << 63) as f64;
    if (-TWO_TO_63..TWO_TO_63).contains(&number) { number as i64 } else { i64::MIN }
}

/// `8080.00` without its decimals.
fn without_zero_decimals(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|byte| **byte == b'0').count();
    match text[..text.len() - zeros].strip_suffix(b".") {
        Some(whole) if zeros > 0 => whole,
        _ => text,
    }
}
