//! Writing of scalars in their five styles.

use std::fmt::Write;

use crate::syntax::scanner::is_break;
use crate::syntax::token::ScalarStyle;

use super::Emitter;
use super::analysis::{is_printable, width};

impl Emitter<'_> {
    /// Writes a scalar in a style that fits it. `fold` permits line breaks at spaces.
    pub(super) fn write_scalar(&mut self, style: ScalarStyle, text: &str, fold: bool) {
        match style {
            ScalarStyle::Plain => self.write_plain(text, fold),
            ScalarStyle::SingleQuoted => self.write_single_quoted(text, fold),
            ScalarStyle::DoubleQuoted => self.write_double_quoted(text, fold),
            ScalarStyle::Literal => self.write_literal(text),
            ScalarStyle::Folded => self.write_folded(text),
        }
    }

    fn write_plain(&mut self, text: &str, fold: bool) {
        if !text.is_empty() {
            if !self.whitespace {
                self.put(b' ');
            }
            self.write_folding(text, fold, false);
            self.whitespace = false;
        }
        self.indention = false;
    }

    fn write_single_quoted(&mut self, text: &str, fold: bool) {
        self.write_indicator("'", true, false, false);
        self.write_folding(text, fold, true);
        self.write_indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    /// The text of a plain or single-quoted scalar.
    fn write_folding(&mut self, text: &str, fold: bool, quoted: bool) {
        let bytes = text.as_bytes();
        let mut spaces = false;
        let mut breaks = false;
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b' ' {
                let inside = !quoted || at > 0 && at < bytes.len() - 1;
                let single = bytes.get(at + 1) != Some(&b' ');
                if fold && !spaces && self.column > self.best_width && inside && single {
                    self.write_indent();
                } else {
                    self.put(b' ');
                }
                at += 1;
                spaces = true;
            } else if is_break(bytes, at) {
                if !breaks && bytes[at] == b'\n' {
                    self.put_break();
                }
                let end = at + width(bytes[at]);
                self.write_break(&text[at..end]);
                at = end;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                let end = at + run_length(bytes, at);
                if quoted {
                    self.write_doubling_quotes(&text[at..end]);
                } else {
                    self.write_str(&text[at..end]);
                }
                at = end;
                self.indention = false;
                spaces = false;
                breaks = false;
            }
        }
    }

    fn write_doubling_quotes(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('\'') {
            self.write_str(&rest[..at]);
            self.write_str("''");
            rest = &rest[at + 1..];
        }
        self.write_str(rest);
    }

    fn write_double_quoted(&mut self, text: &str, fold: bool) {
        self.write_indicator("\"", true, false, false);
        let bytes = text.as_bytes();
        // libyaml looks for the byte order mark at the start of the text instead of at the current character, so
        // everything in such a text is escaped.
        let escape_all = text.starts_with('\u{FEFF}');
        let mut spaces = false;
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if escape_all || needs_escape(bytes, at) {
                let end = at + width(byte);
                self.write_escape(&text[at..end]);
                at = end;
                spaces = false;
            } else if byte == b' ' {
                if fold && !spaces && self.column > self.best_width && at > 0 && at < bytes.len() - 1 {
                    self.write_indent();
                    if bytes[at + 1] == b' ' {
                        self.put(b'\\');
                    }
                } else {
                    self.put(b' ');
                }
                at += 1;
                spaces = true;
            } else {
                let mut end = at;
                while end < bytes.len() && bytes[end] != b' ' && !needs_escape(bytes, end) {
                    end += width(bytes[end]);
                }
                self.write_str(&text[at..end]);
                at = end;
                spaces = false;
            }
        }
        self.write_indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn write_escape(&mut self, character: &str) {
        let before = self.out.len();
        let code = character.chars().next().map_or(0, u32::from);
        let short = match code {
            0x00 => "\\0",
            0x07 => "\\a",
            0x08 => "\\b",
            0x09 => "\\t",
            0x0A => "\\n",
            0x0B => "\\v",
            0x0C => "\\f",
            0x0D => "\\r",
            0x1B => "\\e",
            0x22 => "\\\"",
            0x5C => "\\\\",
            0x85 => "\\N",
            0xA0 => "\\_",
            0x2028 => "\\L",
            0x2029 => "\\P",
            _ => "",
        };
        // Writing to a String cannot fail.
        let _ = match code {
            _ if !short.is_empty() => self.out.write_str(short),
            0..=0xFF => write!(self.out, "\\x{code:02X}"),
            0x100..=0xFFFF => write!(self.out, "\\u{code:04X}"),
            _ => write!(self.out, "\\U{code:08X}"),
        };
        self.column += (self.out.len() - before) as u32;
    }

    fn write_literal(&mut self, text: &str) {
        self.write_block_header("|", text);
        let mut rest = text;
        let mut breaks = true;
        while !rest.is_empty() {
            let end = find_break(rest);
            if end == 0 {
                let width = break_width(rest);
                self.write_break(&rest[..width]);
                breaks = true;
                rest = &rest[width..];
                continue;
            }
            if breaks {
                self.write_indent();
            }
            self.write_str(&rest[..end]);
            self.indention = false;
            breaks = false;
            rest = &rest[end..];
        }
    }

    fn write_folded(&mut self, text: &str) {
        self.write_block_header(">", text);
        let bytes = text.as_bytes();
        // libyaml looks at the first line of the text here, not at the next one.
        let mut start = 0;
        while is_break(bytes, start) {
            start += width(bytes[start]);
        }
        let begins_with_word = bytes.get(start).is_some_and(|&b| b != b' ' && b != b'\t');
        let mut breaks = true;
        let mut leading_spaces = true;
        let mut at = 0;
        while at < bytes.len() {
            if is_break(bytes, at) {
                if !breaks && !leading_spaces && bytes[at] == b'\n' && begins_with_word {
                    self.put_break();
                }
                let end = at + width(bytes[at]);
                self.write_break(&text[at..end]);
                at = end;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                    leading_spaces = matches!(bytes[at], b' ' | b'\t');
                }
                let single = bytes[at] == b' ' && bytes.get(at + 1).is_some_and(|&b| b != b' ');
                if !breaks && single && self.column > self.best_width {
                    self.write_indent();
                    at += 1;
                } else {
                    let end = at + width(bytes[at]);
                    self.write_str(&text[at..end]);
                    at = end;
                }
                self.indention = false;
                breaks = false;
            }
        }
    }

    /// `|` or `>` with its hints, the line comment and the line break.
    fn write_block_header(&mut self, indicator: &str, text: &str) {
        self.write_indicator(indicator, true, false, false);
        if text.starts_with(' ') || is_break(text.as_bytes(), 0) {
            let hint = self.best_indent.to_string();
            self.write_indicator(&hint, false, false, false);
        }
        let mut backwards = text.chars().rev();
        let last = backwards.next().is_some_and(is_break_character);
        let second = backwards.next().is_none_or(is_break_character);
        match (last, second) {
            (false, _) => self.write_indicator("-", false, false, false),
            (true, true) => self.write_indicator("+", false, false, false),
            (true, false) => {}
        }
        if self.comments.line.is_empty() {
            self.put_break();
        } else {
            self.process_line_comment();
        }
        if self.dialect == crate::syntax::Dialect::V2 {
            self.indention = true;
        }
        self.whitespace = true;
    }
}

/// The length of the run of characters that are neither spaces nor breaks.
fn run_length(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != b' ' && !is_break(bytes, at) {
        at += 1;
    }
    at - from
}

fn needs_escape(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at], b'"' | b'\\') || !is_printable(bytes, at) || is_break(bytes, at)
}

/// The offset of the first line break.
pub(super) fn find_break(text: &str) -> usize {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| is_break(bytes, at)).unwrap_or(bytes.len())
}

/// The width of the line break at the start of the text.
pub(super) fn break_width(text: &str) -> usize {
    text.as_bytes().first().map_or(0, |&byte| width(byte))
}

fn is_break_character(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
