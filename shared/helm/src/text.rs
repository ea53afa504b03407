//! Text as Go prints it: `%q` quoting and what counts as printable.

use std::fmt::Write;

/// Text in double quotes, as Go's `%q` prints it.
pub fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        push_escaped(&mut out, character, '"');
    }
    out.push('"');
    out
}

/// A character in single quotes, as Go's `%q` prints a rune.
pub(crate) fn go_quote_char(character: char) -> String {
    let mut out = "'".to_owned();
    push_escaped(&mut out, character, '\'');
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, character: char, quote: char) {
    match character {
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        '\\' => out.push_str("\\\\"),
        character if character == quote => {
            out.push('\\');
            out.push(character);
        }
        character if is_print(character) => out.push(character),
        character => {
            let code = u32::from(character);
            // Writing to a String cannot fail.
            let _ = match code {
                0..=0x7F => write!(out, "\\x{code:02x}"),
                0x80..=0xFFFF => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// Whether Go's `unicode.IsPrint` takes a character: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_print(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Behind a first character, `escape_debug` leaves exactly these alone.
    let text: String = ['a', character].iter().collect();
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_go_s() {
        assert_eq!(
            go_quote("a\"b\\\n\u{7f}é\u{a0}\u{2028}😀\u{301}"),
            "\"a\\\"b\\\\\\n\\x7fé\\u00a0\\u2028😀\u{301}\""
        );
        assert_eq!([go_quote_char('}'), go_quote_char('\''), go_quote_char('"')], ["'}'", "'\\''", "'\"'"]);
    }
}
