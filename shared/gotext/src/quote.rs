//! Go's quoting of strings and runes, and its reading back.

use crate::runes::{decode_rune, is_invalid_rune, runes};
use crate::unicode::is_print;

/// `strconv.Quote`, as `%q` prints a string.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    quote_with(bytes, b'"', false)
}

/// [`quote`] of text that is UTF-8.
pub fn quote_str(text: &str) -> String {
    into_text(quote(text.as_bytes()))
}

/// `strconv.QuoteToASCII`, as `%+q` prints a string.
pub fn quote_ascii(bytes: &[u8]) -> Vec<u8> {
    quote_with(bytes, b'"', true)
}

/// A character in single quotes, as `%q` prints a rune.
pub fn quote_char(character: char) -> String {
    into_text(quote_rune(u32::from(character), false))
}

fn into_text(quoted: Vec<u8>) -> String {
    String::from_utf8_lossy(&quoted).into_owned()
}

/// `strconv.QuoteRune`, of which `ascii` makes `strconv.QuoteRuneToASCII`.
pub fn quote_rune(rune: u32, ascii: bool) -> Vec<u8> {
    let rune = char::from_u32(rune).unwrap_or(char::REPLACEMENT_CHARACTER);
    let mut out = vec![b'\''];
    push_escaped(&mut out, rune, b'\'', ascii);
    out.push(b'\'');
    out
}

fn quote_with(bytes: &[u8], delimiter: u8, ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    out.push(delimiter);
    for (at, rune, width) in runes(bytes) {
        if is_invalid_rune(rune, width) {
            out.extend_from_slice(format!("\\x{:02x}", bytes[at]).as_bytes());
        } else {
            push_escaped(&mut out, rune, delimiter, ascii);
        }
    }
    out.push(delimiter);
    out
}

fn push_escaped(out: &mut Vec<u8>, rune: char, delimiter: u8, ascii: bool) {
    if rune == char::from(delimiter) || rune == '\\' {
        out.push(b'\\');
        out.push(rune as u8);
        return;
    }
    if if ascii { rune.is_ascii() && is_print(rune) } else { is_print(rune) } {
        out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    let escape = match rune {
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        rune if rune < ' ' || rune == '\u{7f}' => format!("\\x{:02x}", u32::from(rune)),
        rune if u32::from(rune) < 0x10000 => format!("\\u{:04x}", u32::from(rune)),
        rune => format!("\\U{:08x}", u32::from(rune)),
    };
    out.extend_from_slice(escape.as_bytes());
}

/// Whether `%#q` may print the text between backquotes.
pub fn can_backquote(bytes: &[u8]) -> bool {
    runes(bytes).all(|(_, rune, width)| {
        if width > 1 {
            rune != '\u{feff}'
        } else {
            !is_invalid_rune(rune, width) && (rune >= ' ' || rune == '\t') && rune != '`' && rune != '\u{7f}'
        }
    })
}

/// `strconv.Unquote` of a literal in double quotes or backquotes; `None` is Go's `invalid syntax`.
pub fn unquote(literal: &[u8]) -> Option<Vec<u8>> {
    let (first, last) = (*literal.first()?, *literal.last()?);
    if literal.len() < 2 || first != last {
        return None;
    }
    let body = &literal[1..literal.len() - 1];
    match first {
        b'`' => (!body.contains(&b'`')).then(|| body.iter().copied().filter(|byte| *byte != b'\r').collect()),
        b'"' => {
            if body.contains(&b'\n') {
                return None;
            }
            let mut out = Vec::with_capacity(body.len());
            let mut rest = body;
            while !rest.is_empty() {
                if rest[0] == b'"' {
                    return None;
                }
                let (unit, width) = unquote_unit(rest, b'"')?;
                match unit {
                    Unit::Byte(byte) => out.push(byte),
                    Unit::Rune(rune) => out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                rest = &rest[width..];
            }
            Some(out)
        }
        _ => None,
    }
}

/// `strconv.UnquoteChar` of the first character after a single quote: its code and width.
pub fn unquote_char(text: &[u8]) -> Option<(u32, usize)> {
    if text.first() == Some(&b'\'') {
        return None;
    }
    let (unit, width) = unquote_unit(text, b'\'')?;
    Some(match unit {
        Unit::Byte(byte) => (u32::from(byte), width),
        Unit::Rune(rune) => (u32::from(rune), width),
    })
}

enum Unit {
    Byte(u8),
    Rune(char),
}

fn unquote_unit(text: &[u8], delimiter: u8) -> Option<(Unit, usize)> {
    let first = *text.first()?;
    if first != b'\\' {
        if first >= 0x80 {
            let (rune, width) = decode_rune(text);
            // An invalid byte is kept as it is inside a string.
            return Some(if is_invalid_rune(rune, width) && delimiter == b'"' {
                (Unit::Byte(first), 1)
            } else {
                (Unit::Rune(rune), width)
            });
        }
        return Some((Unit::Byte(first), 1));
    }
    let escape = *text.get(1)?;
    let simple = match escape {
        b'a' => Some(7),
        b'b' => Some(8),
        b'f' => Some(12),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(11),
        b'\\' => Some(b'\\'),
        b'\'' | b'"' if escape == delimiter => Some(escape),
        _ => None,
    };
    if let Some(byte) = simple {
        return Some((Unit::Byte(byte), 2));
    }
    let (digits, radix, start) = match escape {
        b'x' => (2, 16, 2),
        b'u' => (4, 16, 2),
        b'U' => (8, 16, 2),
        b'0'..=b'7' => (3, 8, 1),
        _ => return None,
    };
    let mut value: u32 = 0;
    for byte in text.get(start..start + digits)? {
        value = value.checked_mul(radix)?.checked_add(char::from(*byte).to_digit(radix)?)?;
    }
    let width = start + digits;
    match escape {
        b'u' | b'U' => Some((Unit::Rune(char::from_u32(value)?), width)),
        _ => Some((Unit::Byte(u8::try_from(value).ok()?), width)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_go_s() {
        assert_eq!(
            quote_str("a\"b\\\n\u{7f}é\u{a0}\u{ad}\u{2028}😀\u{301}\u{feff}\u{e000}"),
            "\"a\\\"b\\\\\\n\\x7fé\\u00a0\\u00ad\\u2028😀\u{301}\\ufeff\\ue000\""
        );
        assert_eq!(quote(b"\xc3\x28"), br#""\xc3(""#);
        assert_eq!([quote_char('}'), quote_char('\''), quote_char('"')], ["'}'", "'\\''", "'\"'"]);
        assert_eq!(quote_ascii("é😀".as_bytes()), br#""\u00e9\U0001f600""#);
    }

    #[test]
    fn quoted_text_is_read_back() {
        for text in [&b"a\"b\\\n\x7f"[..], "é\u{a0}😀".as_bytes(), b"\xff\x00"] {
            assert_eq!(unquote(&quote(text)).as_deref(), Some(text));
        }
        assert_eq!(unquote(b"\"\\q\""), None);
    }
}
