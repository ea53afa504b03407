//! `toYaml` and `fromYaml`, through JSON as Helm's library goes, and `toYamlPretty`, which does not.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fluxide_goyaml::number::format_float;
use fluxide_goyaml::{EncodeOptions, Node, Style, Value as Yaml, sigs};

use crate::collection::Map;
use crate::error::Error;
use crate::text::Text;
use crate::value::Value;
use crate::value::walk::descend;
use fluxide_gotext::unicode::{is_digit, is_letter};

/// YAML without the newline at its end.
pub fn to_yaml(value: &Value) -> Result<String, Error> {
    let mut text = to_yaml_document(value)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// YAML as `Marshal` writes it.
pub(super) fn to_yaml_document(value: &Value) -> Result<String, Error> {
    let plain = to_plain(value, 0)?;
    stacker::maybe_grow(1 << 20, 8 << 20, || sigs::to_yaml(&plain))
        .map_err(|error| Error::new(error.to_string()))
}

/// The value as JSON would carry it.
fn to_plain(value: &Value, depth: usize) -> Result<Yaml, Error> {
    Ok(match value {
        Value::Nil => Yaml::Null,
        Value::Bool(truth) => Yaml::Bool(*truth),
        Value::Int(number, _) => Yaml::Int(*number),
        Value::Uint(number, _) => i64::try_from(*number).map_or(Yaml::Uint(*number), Yaml::Int),
        Value::Float(number) => Yaml::Float(*number),
        Value::String(text) => Yaml::String(text.to_str_lossy().into_owned()),
        Value::Bytes(bytes) => Yaml::String(STANDARD.encode(bytes)),
        Value::List(list) if list.is_nil() => Yaml::Null,
        Value::Map(map) if map.is_nil() => Yaml::Null,
        Value::List(list) => descend(depth, || {
            Ok(Yaml::Array(
                list.to_vec().iter().map(|item| to_plain(item, depth + 1)).collect::<Result<_, _>>()?,
            ))
        })?,
        Value::Map(map) => descend(depth, || {
            let members = map
                .entries()
                .into_iter()
                .map(|(key, value)| Ok((key.to_str_lossy().into_owned(), to_plain(&value, depth + 1)?)));
            Ok(Yaml::Object(members.collect::<Result<_, Error>>()?))
        })?,
        Value::Object(object) => match object.json_text() {
            Some(text) => Yaml::String(text.to_str_lossy().into_owned()),
            None => descend(depth, || {
                let members = object
                    .json_fields()
                    .into_iter()
                    .map(|(key, value)| Ok((key.to_owned(), to_plain(&value, depth + 1)?)));
                Ok(Yaml::Object(members.collect::<Result<_, Error>>()?))
            })?,
        },
        Value::Complex(..) => {
            return Err(Error::new("error marshaling into JSON: json: unsupported type: complex128"));
        }
        Value::Function(_) => {
            return Err(Error::new("error marshaling into JSON: json: unsupported type: func()"));
        }
    })
}

/// A map from YAML, every number a float. The error is Go's text.
pub(super) fn from_yaml(text: &[u8]) -> Result<Value, String> {
    match read(text)? {
        Yaml::Null => Ok(Value::Map(Map::new())),
        map @ Yaml::Object(_) => Ok(Value::from(map)),
        other => Err(mismatch(&other, "map[string]interface {}")),
    }
}

/// A list from YAML.
pub(super) fn from_yaml_list(text: &[u8]) -> Result<Value, String> {
    match read(text)? {
        Yaml::Null => Ok(Value::from(Vec::<Value>::new())),
        list @ Yaml::Array(_) => Ok(Value::from(list)),
        other => Err(mismatch(&other, "[]interface {}")),
    }
}

fn read(text: &[u8]) -> Result<Yaml, String> {
    let read = || sigs::from_yaml(text).and_then(sigs::go_floats);
    stacker::maybe_grow(1 << 20, 8 << 20, read)
        .map_err(|error| format!("error converting YAML to JSON: {error}"))
}

fn mismatch(value: &Yaml, wanted: &str) -> String {
    let kind = match value {
        Yaml::Bool(_) => "bool",
        Yaml::String(_) => "string",
        Yaml::Array(_) => "array",
        Yaml::Object(_) => "object",
        _ => "number",
    };
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type {wanted}"
    )
}

/// YAML as go-yaml v3 writes the value itself: lists indented, floats as floats.
pub(super) fn to_yaml_pretty(value: &Value) -> Result<String, Error> {
    let node = to_node(value, 0)?;
    let mut text =
        stacker::maybe_grow(1 << 20, 8 << 20, || fluxide_goyaml::encode(&node, EncodeOptions::WIDE));
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn to_node(value: &Value, depth: usize) -> Result<Node, Error> {
    Ok(match value {
        Value::Nil => Node::null(),
        Value::Bool(truth) => Node::bool(*truth),
        Value::Int(number, crate::types::IntType::Duration) => {
            string_node(&crate::time::format_duration(*number))
        }
        Value::Int(number, _) => Node::int(*number),
        Value::Uint(number, _) => Node::scalar("!!int", number.to_string()),
        Value::Float(number) => float_node(*number),
        Value::String(text) => match std::str::from_utf8(text) {
            Ok(text) => string_node(text),
            Err(_) => Node::scalar("!!binary", STANDARD.encode(text)),
        },
        Value::Bytes(_) | Value::List(_) => {
            let items = value.elements().unwrap_or_default();
            let mut node = descend(depth, || {
                Ok(Node::sequence(
                    items.iter().map(|item| to_node(item, depth + 1)).collect::<Result<Vec<_>, _>>()?,
                ))
            })?;
            if items.is_empty() {
                node.style = Style::FLOW;
            }
            node
        }
        Value::Map(map) => {
            let mut entries = map.entries();
            sort_naturally(&mut entries);
            mapping(
                entries.iter().map(|(key, value)| (key.to_str_lossy().into_owned(), value)).collect(),
                depth,
            )?
        }
        Value::Object(object) => match object.json_text() {
            Some(text) => {
                let text = text.to_str_lossy();
                if object.type_name() == "time.Time" {
                    Node::scalar("!!timestamp", text)
                } else {
                    string_node(&text)
                }
            }
            None => {
                let fields = object.fields();
                mapping(fields.iter().map(|(name, value)| (name.to_lowercase(), value)).collect(), depth)?
            }
        },
        Value::Complex(..) => return Err(Error::new("cannot marshal type: complex128")),
        Value::Function(_) => return Err(Error::new("cannot marshal type: func()")),
    })
}

fn mapping(entries: Vec<(String, &Value)>, depth: usize) -> Result<Node, Error> {
    let empty = entries.is_empty();
    let mut node = descend(depth, || {
        let pairs =
            entries.into_iter().map(|(key, value)| Ok((string_node(&key), to_node(value, depth + 1)?)));
        Ok(Node::mapping(pairs.collect::<Result<Vec<_>, Error>>()?))
    })?;
    if empty {
        node.style = Style::FLOW;
    }
    Ok(node)
}

fn float_node(number: f64) -> Node {
    let text = format_float(number);
    match text.as_str() {
        "+Inf" => Node::scalar("!!float", ".inf"),
        "-Inf" => Node::scalar("!!float", "-.inf"),
        "NaN" => Node::scalar("!!float", ".nan"),
        // A whole float has no point, and is not marked as the float that it is.
        whole if !whole.contains(['.', 'e']) => Node::scalar("!!int", whole),
        fraction => Node::scalar("!!float", fraction),
    }
}

fn string_node(text: &str) -> Node {
    let mut node = Node::string(text);
    if text.contains('\n') {
        node.style = Style::LITERAL;
    } else if is_old_bool(text) || is_sexagesimal(text) {
        node.style = Style::DOUBLE_QUOTED;
    }
    node
}

/// What YAML 1.1 read as a truth value, and version 3 quotes for old readers.
fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `1:20` and the like, which YAML 1.1 read as numbers of base 60.
fn is_sexagesimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some((first, rest)) = digits.split_once(':') else { return false };
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !is_number(first) {
        return false;
    }
    let (groups, fraction) = match rest.split_once('.') {
        Some((groups, fraction)) => (groups, Some(fraction)),
        None => (rest, None),
    };
    fraction.is_none_or(is_number)
        && groups.split(':').all(|group| match group.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [ten, digit] => (b'0'..=b'5').contains(ten) && digit.is_ascii_digit(),
            _ => false,
        })
}

/// Sorts by go-yaml v3's order of keys, which is no order for every set of keys: hence a sort that does not mind.
fn sort_naturally(entries: &mut Vec<(Text, Value)>) {
    let length = entries.len();
    if length < 2 {
        return;
    }
    let mut right = entries.split_off(length / 2);
    sort_naturally(entries);
    sort_naturally(&mut right);
    let mut merged = Vec::with_capacity(length);
    let mut left = std::mem::take(entries).into_iter().peekable();
    let mut right = right.into_iter().peekable();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if natural_order(&a.0, &b.0) == Ordering::Greater { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    *entries = merged;
}

fn natural_order(a: &Text, b: &Text) -> Ordering {
    let a: Vec<char> = a.to_str_lossy().chars().collect();
    let b: Vec<char> = b.to_str_lossy().chars().collect();
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        if a[at] == b[at] {
            digits = is_digit(a[at]);
            continue;
        }
        let letters = (is_letter(a[at]), is_letter(b[at]));
        match letters {
            (true, true) => return a[at].cmp(&b[at]),
            (true, false) => return if digits { Ordering::Less } else { Ordering::Greater },
            (false, true) => return if digits { Ordering::Greater } else { Ordering::Less },
            (false, false) => {}
        }
        let leading = i64::from(
            (a[at] == '0' || b[at] == '0')
                && a[..at].iter().rev().take_while(|rune| is_digit(**rune)).any(|rune| *rune != '0'),
        );
        let number = |text: &[char]| {
            let run = text[at..].iter().take_while(|rune| is_digit(**rune));
            run.fold((leading, 0), |(value, length): (i64, usize), rune| {
                (value.wrapping_mul(10).wrapping_add(i64::from(u32::from(*rune)) - 48), length + 1)
            })
        };
        let (first, second) = (number(&a), number(&b));
        return first.cmp(&second).then(a[at].cmp(&b[at]));
    }
    a.len().cmp(&b.len())
}
