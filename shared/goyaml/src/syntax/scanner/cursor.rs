//! Where the scanner is in the text: looking ahead, and consuming characters while counting lines and columns.

use super::Scanner;
use crate::syntax::token::TokenKind;

impl<'a> Scanner<'a> {
    pub(in crate::syntax) fn position(&self) -> usize {
        self.mark.index as usize
    }

    pub(in crate::syntax) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position()..]
    }

    /// The byte `ahead` of the current one, 0 after the end.
    pub(in crate::syntax) fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.position() + ahead).copied().unwrap_or(0)
    }

    pub(in crate::syntax) fn at_end(&self) -> bool {
        self.position() >= self.bytes.len()
    }

    pub(in crate::syntax) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    pub(in crate::syntax) fn is_break(&self, ahead: usize) -> bool {
        is_break(self.bytes, self.position() + ahead)
    }

    pub(in crate::syntax) fn is_breakz(&self, ahead: usize) -> bool {
        self.position() + ahead >= self.bytes.len() || self.is_break(ahead)
    }

    pub(in crate::syntax) fn is_blankz(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_breakz(ahead)
    }

    /// `---` or `...` on its own, at the start of a line.
    pub(in crate::syntax) fn document_indicator(&self) -> Option<TokenKind> {
        let kind = match self.byte(0) {
            b'-' => TokenKind::DocumentStart,
            b'.' => TokenKind::DocumentEnd,
            _ => return None,
        };
        let rest = self.rest();
        ((rest.starts_with(b"---") || rest.starts_with(b"...")) && self.is_blankz(3)).then_some(kind)
    }

    /// Consumes characters of one byte each that are neither blanks nor breaks.
    pub(in crate::syntax) fn skip_ascii(&mut self, count: usize) {
        self.newlines = 0;
        self.mark.index += count as i32;
        self.mark.column += count as u32;
    }

    /// Consumes everything up to byte offset `to`, which is on the same line.
    pub(in crate::syntax) fn skip_run(&mut self, to: usize) {
        let run = &self.bytes[self.position()..to];
        if run.iter().any(|&b| b != b' ' && b != b'\t') {
            self.newlines = 0;
        }
        self.mark.index = to as i32;
        self.mark.column += count_characters(run);
    }

    pub(in crate::syntax) fn skip_to_break(&mut self) {
        let end = self.line_end(self.position());
        self.skip_run(end);
    }

    /// The offset of the line break or end that ends the line of `from`.
    pub(in crate::syntax) fn line_end(&self, from: usize) -> usize {
        let rest = &self.bytes[from.min(self.bytes.len())..];
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        if rest[..length].is_ascii() {
            return from + length;
        }
        let line = from + length;
        (from..line).find(|&at| is_break(self.bytes, at)).unwrap_or(line)
    }

    /// Consumes a line break.
    pub(in crate::syntax) fn skip_break(&mut self) -> &'static str {
        let (width, text) = match self.byte(0) {
            b'\r' if self.byte(1) == b'\n' => (2, "\n"),
            b'\r' | b'\n' => (1, "\n"),
            0xC2 => (2, "\n"),
            _ if self.byte(2) == 0xA8 => (3, "\u{2028}"),
            _ => (3, "\u{2029}"),
        };
        self.mark.index += width;
        self.mark.column = 0;
        self.mark.line += 1;
        self.newlines += 1;
        text
    }
}

/// Whether a line break starts at `at`.
pub(crate) fn is_break(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at) {
        Some(b'\n' | b'\r') => true,
        Some(0xC2) => bytes.get(at + 1) == Some(&0x85),
        Some(0xE2) => bytes.get(at + 1) == Some(&0x80) && matches!(bytes.get(at + 2), Some(0xA8 | 0xA9)),
        _ => false,
    }
}

/// The number of characters in UTF-8 text.
pub(crate) fn count_characters(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&b| b & 0xC0 != 0x80).count() as u32
}
