//! JSON as Go's `encoding/json` writes it.

use std::fmt::Write;

use crate::error::Error;
use crate::number::format_json_float;
use crate::value::Value;

/// Writes a value as Go's `json.Marshal` does: no white space, sorted keys, `<`, `>` and `&` escaped.
///
/// NaN and infinities fail.
pub fn to_json(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_value(&mut out, value)?;
    Ok(out)
}

fn write_value(out: &mut String, value: &Value) -> Result<(), Error> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => push_display(out, value),
        Value::Uint(value) => push_display(out, value),
        Value::Float(value) => out.push_str(&json_float(*value)?),
        Value::String(text) => quote_into(out, text, true),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(out, item)?;
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote_into(out, key, true);
                out.push(':');
                write_value(out, value)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn push_display(out: &mut String, value: &dyn std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// A float in JSON, or Go's error for what JSON cannot say.
fn json_float(value: f64) -> Result<String, Error> {
    format_json_float(value).ok_or_else(|| {
        let shown = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        Error::Json(format!("json: unsupported value: {shown}"))
    })
}

/// Text as a JSON string with Go's escapes. `escape_html` also escapes `<`, `>` and `&`, as `json.Marshal` does.
pub fn quote_json(text: &str, escape_html: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text, escape_html);
    out
}

fn quote_into(out: &mut String, text: &str, escape_html: bool) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let (escape, width) = match byte {
            b'"' => ("\\\"", 1),
            b'\\' => ("\\\\", 1),
            b'\n' => ("\\n", 1),
            b'\r' => ("\\r", 1),
            b'\t' => ("\\t", 1),
            0x08 => ("\\b", 1),
            0x0C => ("\\f", 1),
            b'<' if escape_html => ("\\u003c", 1),
            b'>' if escape_html => ("\\u003e", 1),
            b'&' if escape_html => ("\\u0026", 1),
            0..=0x1F => ("", 1),
            0xE2 if text[at..].starts_with('\u{2028}') => ("\\u2028", 3),
            0xE2 if text[at..].starts_with('\u{2029}') => ("\\u2029", 3),
            _ => continue,
        };
        out.push_str(&text[start..at]);
        if escape.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        start = at + width;
    }
    out.push_str(&text[start..]);
    out.push('"');
}
