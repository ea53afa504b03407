//! Strings.

use super::argument::{ANY, INT, STRING, integer, item, shared, text};
use super::convert::to_text;
use super::word::{kebab_case, pascal_case, snake_case, swap_case, title, untitle};
use super::wrap::{abbreviate, wrap};
use crate::error::Error;
use crate::format::{display, sprintf};
use crate::function::{Call, Function, Functions};
use crate::text::{Text, decode_rune, is_invalid_rune, runes};
use crate::types::{STRING_MAP, STRINGS};
use crate::value::Value;
use crate::{List, Map};
use fluxide_gotext::quote;
use fluxide_gotext::unicode::{is_space, to_lower, to_upper};

pub(super) fn register(functions: &mut Functions) {
    functions.insert("hello", Function::new(&[], |_, _| Ok(Value::from("Hello!"))));
    functions.insert("trim", Function::new(&[STRING], |_, a| Ok(Value::string(trim_space(text(a, 0))))));
    functions.insert(
        "trimAll",
        Function::new(&[STRING, STRING], |_, a| Ok(Value::string(trim_set(text(a, 1), text(a, 0))))),
    );
    functions.alias("trimall", "trimAll");
    functions.insert(
        "trimSuffix",
        Function::new(&[STRING, STRING], |_, a| {
            Ok(Value::string(text(a, 1).strip_suffix(text(a, 0)).unwrap_or(text(a, 1))))
        }),
    );
    functions.insert(
        "trimPrefix",
        Function::new(&[STRING, STRING], |_, a| {
            Ok(Value::string(text(a, 1).strip_prefix(text(a, 0)).unwrap_or(text(a, 1))))
        }),
    );
    functions
        .insert("upper", Function::new(&[STRING], |call, a| made(call, map_runes(text(a, 0), to_upper))));
    functions
        .insert("lower", Function::new(&[STRING], |call, a| made(call, map_runes(text(a, 0), to_lower))));
    functions.insert("title", Function::new(&[STRING], |call, a| made(call, title(text(a, 0)))));
    functions.insert("untitle", Function::new(&[STRING], |call, a| made(call, untitle(text(a, 0)))));
    functions.insert("swapcase", Function::new(&[STRING], |call, a| made(call, swap_case(text(a, 0)))));
    functions.insert("camelcase", Function::new(&[STRING], |call, a| made(call, pascal_case(text(a, 0)))));
    functions.insert("snakecase", Function::new(&[STRING], |call, a| made(call, snake_case(text(a, 0)))));
    functions.insert("kebabcase", Function::new(&[STRING], |call, a| made(call, kebab_case(text(a, 0)))));
    functions.insert(
        "substr",
        Function::new(&[INT, INT, STRING], |_, a| substring(integer(a, 0), integer(a, 1), text(a, 2))),
    );
    functions.insert(
        "trunc",
        Function::new(&[INT, STRING], |_, a| Ok(Value::string(truncated(integer(a, 0), text(a, 1))))),
    );
    functions
        .insert("abbrev", Function::new(&[INT, STRING], |_, a| Ok(abbrev(0, integer(a, 0), text(a, 1)))));
    functions.insert(
        "abbrevboth",
        Function::new(&[INT, INT, STRING], |_, a| Ok(abbrev_both(integer(a, 0), integer(a, 1), text(a, 2)))),
    );
    functions.insert(
        "wrap",
        Function::new(&[INT, STRING], |call, a| wrapped(call, text(a, 1), integer(a, 0), b"", false)),
    );
    functions.insert(
        "wrapWith",
        Function::new(&[INT, STRING, STRING], |call, a| {
            wrapped(call, text(a, 2), integer(a, 0), text(a, 1), true)
        }),
    );
    functions
        .insert("nospace", Function::new(&[STRING], |_, a| Ok(Value::string(without_space(text(a, 0))))));
    functions.insert("initials", Function::new(&[STRING], |_, a| Ok(Value::string(initials(text(a, 0))))));
    functions.insert(
        "indent",
        Function::new(&[INT, STRING], |call, a| indent(call, b"", integer(a, 0), text(a, 1))),
    );
    functions.insert(
        "nindent",
        Function::new(&[INT, STRING], |call, a| indent(call, b"\n", integer(a, 0), text(a, 1))),
    );
    functions
        .insert("repeat", Function::new(&[INT, STRING], |call, a| repeat(call, integer(a, 0), text(a, 1))));
    functions.insert(
        "replace",
        Function::new(&[STRING, STRING, STRING], |call, a| replace(call, text(a, 2), text(a, 0), text(a, 1))),
    );
    functions.insert(
        "contains",
        Function::new(&[STRING, STRING], |_, a| {
            Ok(Value::Bool(memchr::memmem::find(text(a, 1), text(a, 0)).is_some()))
        }),
    );
    functions.insert(
        "hasPrefix",
        Function::new(&[STRING, STRING], |_, a| Ok(Value::Bool(text(a, 1).starts_with(text(a, 0))))),
    );
    functions.insert(
        "hasSuffix",
        Function::new(&[STRING, STRING], |_, a| Ok(Value::Bool(text(a, 1).ends_with(text(a, 0))))),
    );
    functions.insert(
        "plural",
        Function::new(&[STRING, STRING, INT], |_, a| {
            Ok(Value::String(shared(a, usize::from(integer(a, 2) != 1))))
        }),
    );
    functions.insert(
        "quote",
        Function::variadic(&[], ANY, |call, a| {
            call.check_text(a)?;
            let quoted: Vec<Vec<u8>> = present(a).map(|value| quote(&to_text(value))).collect();
            made(call, quoted.join(&b' '))
        }),
    );
    functions.insert(
        "squote",
        Function::variadic(&[], ANY, |call, a| {
            call.check_text(a)?;
            let quoted: Vec<Vec<u8>> =
                present(a).map(|value| [b"'", &*display(value), b"'"].concat()).collect();
            made(call, quoted.join(&b' '))
        }),
    );
    functions.insert(
        "cat",
        Function::variadic(&[], ANY, |call, a| {
            call.check_text(a)?;
            let values: Vec<Value> = present(a).cloned().collect();
            let format = vec!["%v"; values.len()].join(" ");
            made(call, sprintf(format.as_bytes(), &values))
        }),
    );
    functions.insert(
        "toString",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            let text = to_text(item(a, 0));
            call.charge(text.len())?;
            Ok(Value::String(text))
        }),
    );
    functions.insert(
        "toStrings",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            Ok(Value::List(strings(item(a, 0))))
        }),
    );
    functions.insert(
        "join",
        Function::new(&[STRING, ANY], |call, a| {
            call.check_text(a)?;
            let parts: Vec<Text> = strings(item(a, 1)).to_vec().iter().map(to_text).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Text::as_bytes).collect();
            made(call, parts.join(text(a, 0)))
        }),
    );
    functions.insert(
        "sortAlpha",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            Ok(sort_alpha(item(a, 0)))
        }),
    );
    functions.insert(
        "split",
        Function::new(&[STRING, STRING], |call, a| Ok(numbered(&split(call, text(a, 1), text(a, 0), -1)?))),
    );
    functions.insert(
        "splitn",
        Function::new(&[STRING, INT, STRING], |call, a| {
            Ok(numbered(&split(call, text(a, 2), text(a, 0), integer(a, 1))?))
        }),
    );
    functions.insert(
        "splitList",
        Function::new(&[STRING, STRING], |call, a| {
            Ok(Value::strings(split(call, text(a, 1), text(a, 0), -1)?))
        }),
    );
}

/// A new string, counted.
fn made(call: &mut Call<'_>, text: Vec<u8>) -> Result<Value, Error> {
    call.charge(text.len())?;
    Ok(Value::string(text))
}

fn present(arguments: &[Value]) -> impl Iterator<Item = &Value> {
    arguments.iter().filter(|value| !matches!(value, Value::Nil))
}

/// `strings.TrimSpace`.
pub(crate) fn trim_space(text: &[u8]) -> &[u8] {
    trim_where(text, |rune, width| is_space(rune) && !is_invalid_rune(rune, width))
}

/// `strings.Trim`.
fn trim_set<'t>(text: &'t [u8], set: &[u8]) -> &'t [u8] {
    let set: Vec<char> = runes(set).map(|(_, rune, _)| rune).collect();
    trim_where(text, |rune, _| set.contains(&rune))
}

fn trim_where(text: &[u8], drops: impl Fn(char, usize) -> bool) -> &[u8] {
    let start = runes(text).find(|(_, rune, width)| !drops(*rune, *width)).map_or(text.len(), |(at, ..)| at);
    let mut end = text.len();
    while end > start {
        // A rune has at most four bytes: find the one that ends here.
        let last = (1..=4.min(end - start))
            .map(|back| end - back)
            .find(|at| decode_rune(&text[*at..end]).1 == end - at)
            .unwrap_or(end - 1);
        let (rune, width) = decode_rune(&text[last..end]);
        if !drops(rune, width) {
            break;
        }
        end = last;
    }
    &text[start..end]
}

fn map_runes(text: &[u8], map: impl Fn(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (_, rune, _) in runes(text) {
        out.extend_from_slice(map(rune).encode_utf8(&mut [0; 4]).as_bytes());
    }
    out
}

fn substring(start: i64, end: i64, text: &[u8]) -> Result<Value, Error> {
    let length = text.len() as i64;
    let (from, to) = if start < 0 {
        if end < 0 || end > length {
            return Err(out_of_bounds(&format!(":{end}"), length, end < 0, end > length));
        }
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    if from > to {
        // Which bound Go names depends on whether the end was given.
        return Err(Error::new(format!("runtime error: slice bounds out of range [{from}:{to}]")));
    }
    Ok(Value::string(&text[from as usize..to as usize]))
}

fn out_of_bounds(shown: &str, length: i64, negative: bool, _beyond: bool) -> Error {
    if negative {
        Error::new(format!("runtime error: slice bounds out of range [{shown}]"))
    } else {
        Error::new(format!("runtime error: slice bounds out of range [{shown}] with length {length}"))
    }
}

fn truncated(count: i64, text: &[u8]) -> &[u8] {
    let length = text.len() as i64;
    if count < 0 {
        let start = length.saturating_add(count);
        return if start > 0 { &text[start as usize..] } else { text };
    }
    if length > count { &text[..count as usize] } else { text }
}

fn abbrev(offset: i64, width: i64, text: &[u8]) -> Value {
    if width < 4 { Value::string(text) } else { Value::string(abbreviate(text, offset, width)) }
}

fn abbrev_both(left: i64, right: i64, text: &[u8]) -> Value {
    if right < 4 || left > 0 && right < 7 { Value::string(text) } else { abbrev(left, right, text) }
}

fn wrapped(
    call: &mut Call<'_>,
    text: &[u8],
    width: i64,
    separator: &[u8],
    cuts_words: bool,
) -> Result<Value, Error> {
    let lines = text.len() / usize::try_from(width.max(1)).unwrap_or(usize::MAX) + 1;
    call.charge(text.len().saturating_add(lines.saturating_mul(separator.len().max(1))))?;
    Ok(Value::string(wrap(text, width, separator, cuts_words)))
}

fn without_space(text: &[u8]) -> Vec<u8> {
    let kept: Vec<u8> = text.iter().copied().filter(|byte| !is_space(char::from(*byte))).collect();
    if kept.len() == text.len() {
        return kept;
    }
    // What is left is written byte by byte as runes, which damages text that is not ASCII.
    kept.iter().flat_map(|byte| char::from(*byte).to_string().into_bytes()).collect()
}

fn initials(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after_gap = true;
    for byte in text {
        let rune = char::from(*byte);
        if is_space(rune) {
            after_gap = true;
        } else if after_gap {
            out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
            after_gap = false;
        }
    }
    out
}

fn indent(call: &mut Call<'_>, before: &[u8], spaces: i64, text: &[u8]) -> Result<Value, Error> {
    let width = usize::try_from(spaces).map_err(|_| Error::new("strings: negative Repeat count"))?;
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    let size = width
        .checked_mul(lines)
        .and_then(|size| size.checked_add(text.len() + before.len()))
        .unwrap_or(usize::MAX);
    call.charge(size)?;
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(before);
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + width, b' ');
        out.extend_from_slice(line);
    }
    Ok(Value::string(out))
}

fn repeat(call: &mut Call<'_>, count: i64, text: &[u8]) -> Result<Value, Error> {
    let count = usize::try_from(count).map_err(|_| Error::new("strings: negative Repeat count"))?;
    if text.is_empty() {
        return Ok(Value::from(""));
    }
    let size = text
        .len()
        .checked_mul(count)
        .filter(|size| isize::try_from(*size).is_ok())
        .ok_or_else(|| Error::new("strings: Repeat output length overflow"))?;
    call.charge(size)?;
    Ok(Value::string(text.repeat(count)))
}

fn replace(call: &mut Call<'_>, text: &[u8], old: &[u8], new: &[u8]) -> Result<Value, Error> {
    let mut out = Vec::with_capacity(text.len());
    if old.is_empty() {
        // Before every rune and at the end.
        call.charge(text.len() + (text.len() + 1).saturating_mul(new.len()))?;
        out.extend_from_slice(new);
        for (at, _, width) in runes(text) {
            out.extend_from_slice(&text[at..at + width]);
            out.extend_from_slice(new);
        }
        return Ok(Value::string(out));
    }
    let found = memchr::memmem::find_iter(text, old).count();
    call.charge(text.len() + found.saturating_mul(new.len()))?;
    let mut last = 0;
    for at in memchr::memmem::find_iter(text, old) {
        out.extend_from_slice(&text[last..at]);
        out.extend_from_slice(new);
        last = at + old.len();
    }
    out.extend_from_slice(&text[last..]);
    Ok(Value::string(out))
}

/// `strings.SplitN`: every piece for a negative limit; an empty separator splits into runes.
fn split(call: &mut Call<'_>, text: &[u8], separator: &[u8], limit: i64) -> Result<Vec<Text>, Error> {
    let limit = if limit < 0 { usize::MAX } else { limit as usize };
    let mut pieces = Vec::new();
    if limit == 0 {
        return Ok(pieces);
    }
    if separator.is_empty() {
        call.charge(text.len().saturating_mul(40))?;
        for (at, _, width) in runes(text) {
            if pieces.len() + 1 == limit {
                pieces.push(Text::from(&text[at..]));
                break;
            }
            pieces.push(Text::from(&text[at..at + width]));
        }
        return Ok(pieces);
    }
    let mut last = 0;
    for at in memchr::memmem::find_iter(text, separator) {
        if pieces.len() + 1 >= limit {
            break;
        }
        pieces.push(Text::from(&text[last..at]));
        last = at + separator.len();
    }
    pieces.push(Text::from(&text[last..]));
    call.charge(text.len() + pieces.len() * 40)?;
    Ok(pieces)
}

fn numbered(pieces: &[Text]) -> Value {
    let map = Map::with_type(&STRING_MAP);
    for (at, piece) in pieces.iter().enumerate() {
        map.insert(format!("_{at}"), Value::String(piece.clone()));
    }
    Value::Map(map)
}

/// The elements as texts, nil ones left out. A `[]string` is itself.
fn strings(value: &Value) -> List {
    match value {
        Value::Nil => List::with_type(&STRINGS, Vec::new()),
        Value::List(list) if list.list_type().element == crate::types::Type::String => list.retyped(&STRINGS),
        Value::List(_) | Value::Bytes(_) => {
            let items = value.elements().unwrap_or_default();
            List::with_type(&STRINGS, present(&items).map(|item| Value::String(to_text(item))).collect())
        }
        scalar => List::with_type(&STRINGS, vec![Value::String(to_text(scalar))]),
    }
}

/// Sorts a `[]string` in place, as every holder of it sees.
fn sort_alpha(value: &Value) -> Value {
    if !matches!(value, Value::List(_) | Value::Bytes(_)) {
        return Value::strings([to_text(value)]);
    }
    let list = strings(value);
    let mut items: Vec<Text> = list.to_vec().iter().map(to_text).collect();
    items.sort();
    list.replace(items.into_iter().map(Value::String).collect());
    Value::List(list)
}
