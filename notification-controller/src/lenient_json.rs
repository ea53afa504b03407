//! JSON from Go programs, which put up with text that is not quite Unicode and with names in other letter case.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// JSON in which bytes that are no UTF-8, and halves of surrogate pairs, are U+FFFD, as Go reads them.
pub fn mended(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text: Cow<'_, [u8]> = match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(_) => Cow::Borrowed(bytes),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    if has_lone_surrogate(&text) { Cow::Owned(with_whole_surrogates(&text)) } else { text }
}

/// The member with a name; if there is none, one whose name differs in the size of its letters.
pub fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let like = || object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    object.get(name).or_else(like)
}

/// A part of JSON text.
enum Part {
    Plain(usize),
    Lone(usize),
}

fn has_lone_surrogate(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        match part(&text[at..]) {
            Part::Plain(length) => at += length,
            Part::Lone(_) => return true,
        }
    }
    false
}

fn with_whole_surrogates(text: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match part(&text[at..]) {
            Part::Plain(length) => {
                mended.extend_from_slice(&text[at..at + length]);
                at += length;
            }
            Part::Lone(length) => {
                mended.extend_from_slice(br"\ufffd");
                at += length;
            }
        }
    }
    mended
}

/// The part that a text begins with.
fn part(text: &[u8]) -> Part {
    let Some(after) = text.strip_prefix(br"\") else {
        let plain = text.iter().position(|byte| *byte == b'\\').unwrap_or(text.len());
        return Part::Plain(plain);
    };
    match code_unit(text) {
        Some(0xd800..0xdc00) if matches!(code_unit(&text[6..]), Some(0xdc00..0xe000)) => Part::Plain(12),
        Some(0xd800..0xe000) => Part::Lone(6),
        _ => Part::Plain(1 + after.len().min(1)),
    }
}

/// The number in `\u` with four digits.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_quite_unicode_is_mended() {
        let read = |bytes: &[u8]| serde_json::from_slice::<String>(&mended(bytes)).unwrap();
        assert_eq!(read(b"\"a\xffb\""), "a\u{fffd}b");
        assert_eq!(read(br#""a\ud800b""#), "a\u{fffd}b");
        assert_eq!(read(br#""\udc00\ud800""#), "\u{fffd}\u{fffd}");
        assert_eq!(read(br#""\ud83d\ude80""#), "🚀");
        assert_eq!(read(br#""\\ud800""#), r"\ud800");
        assert_eq!(read("\"é\\n\"".as_bytes()), "é\n");
        assert!(matches!(mended(b"{}"), Cow::Borrowed(_)));
        assert_eq!(mended(br#""\u12"#).as_ref(), br#""\u12"#);
        assert_eq!(mended(br#""\"#).as_ref(), br#""\"#);
    }
}
