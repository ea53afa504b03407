//! The evaluator: what each operator makes of a value and its arguments.

use std::collections::BTreeMap;

use crate::parse::{Expression, Part};
use crate::{Error, MAX_OUTPUT, glob};

/// Replaces every expression by its value.
pub(crate) fn evaluate(
    parts: &[Part],
    variables: &BTreeMap<String, String>,
    strict: bool,
) -> Result<String, Error> {
    let mut output = String::new();
    for part in parts {
        match part {
            Part::Text(text) => output.push_str(text),
            Part::Expression(expression) => output.push_str(&value(expression, variables, strict)?),
        }
        if output.len() > MAX_OUTPUT {
            return Err(Error::TooLarge);
        }
    }
    Ok(output)
}

fn value(
    expression: &Expression,
    variables: &BTreeMap<String, String>,
    strict: bool,
) -> Result<String, Error> {
    let Expression { variable, operator, arguments } = expression;
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| evaluate(std::slice::from_ref(argument), variables, strict))
        .collect::<Result<_, _>>()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_default = matches!(operator.as_str(), "=" | ":=" | ":-" | ":?" | ":+");
    let value = match variables.get(variable) {
        Some(value) => value.as_str(),
        None if strict && !is_default => return Err(Error::NotSet(variable.clone())),
        None => "",
    };
    let bytes = match (operator.as_str(), arguments.as_slice()) {
        ("#", []) => value.len().to_string().into_bytes(),
        (":", arguments) => {
            substring(value, arguments).ok_or_else(|| Error::NegativeLength(variable.clone()))?.to_vec()
        }
        ("#", [pattern, ..]) => glob::trim_prefix(value.as_bytes(), pattern.as_bytes(), false).to_vec(),
        ("##", [pattern, ..]) => glob::trim_prefix(value.as_bytes(), pattern.as_bytes(), true).to_vec(),
        ("%", [pattern, ..]) => glob::trim_suffix(value, pattern, false),
        ("%%", [pattern, ..]) => glob::trim_suffix(value, pattern, true),
        (operator, arguments) => transform(value, operator, arguments).into_bytes(),
    };
    String::from_utf8(bytes).map_err(|_| Error::CutCharacter(variable.clone()))
}

/// The operators that work on characters.
fn transform(value: &str, operator: &str, arguments: &[&str]) -> String {
    match (operator, arguments) {
        (",", _) => change_first(value, lower),
        (",,", _) => value.chars().map(lower).collect(),
        ("^", _) => change_first(value, upper),
        ("^^", _) => value.chars().map(upper).collect(),
        ("/", [pattern]) => value.replacen(pattern, "", 1),
        ("/", [pattern, by]) => value.replacen(pattern, by, 1),
        ("//", [pattern]) => value.replace(pattern, ""),
        ("//", [pattern, by]) => value.replace(pattern, by),
        ("/#", [pattern, by]) => match value.strip_prefix(pattern) {
            Some(rest) => format!("{by}{rest}"),
            None => value.to_owned(),
        },
        ("/%", [pattern, by]) => match value.strip_suffix(pattern) {
            Some(rest) => format!("{rest}{by}"),
            None => value.to_owned(),
        },
        ("/#" | "/%", _) => value.to_owned(),
        (_, arguments) if value.is_empty() => arguments.concat(),
        _ => value.to_owned(),
    }
}

fn change_first(value: &str, change: fn(char) -> char) -> String {
    let mut characters = value.chars();
    match characters.next() {
        Some(first) => std::iter::once(change(first)).chain(characters).collect(),
        None => String::new(),
    }
}

/// One character for one: where upper case needs several, the character stays.
fn upper(c: char) -> char {
    let mut changed = c.to_uppercase();
    match (changed.next(), changed.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

fn lower(c: char) -> char {
    let mut changed = c.to_lowercase();
    match (changed.next(), changed.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// Bytes from an offset; `None` when the length is negative. What is no number leaves the value
/// whole.
fn substring<'a>(value: &'a str, arguments: &[&str]) -> Option<&'a [u8]> {
    let bytes = value.as_bytes();
    let Some(offset) = arguments.first().and_then(|offset| offset.parse::<i64>().ok()) else {
        return Some(bytes);
    };
    let size = bytes.len() as i64;
    let start = if offset < 0 { size.saturating_add(offset).max(0) } else { offset };
    let end = match arguments.get(1).map(|length| length.parse::<i64>()) {
        None => size,
        Some(Err(_)) => return Some(bytes),
        Some(Ok(length)) => start.saturating_add(length),
    };
    if end >= size {
        return Some(bytes.get(start as usize..).unwrap_or_default());
    }
    if end < start {
        return None;
    }
    Some(&bytes[start as usize..end as usize])
}
