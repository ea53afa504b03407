//! The lexer: text outside of actions, tokens inside of them.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::text::decode_rune;
use fluxide_gotext::quote;
use fluxide_gotext::unicode::{is_digit, is_letter, is_print};

const LEFT_DELIMITER: &[u8] = b"{{";
const RIGHT_DELIMITER: &[u8] = b"}}";
const TRIM_MARKER_WIDTH: usize = 2;

/// Cuts a template into tokens on demand.
#[derive(Debug)]
pub(super) struct Lexer<'s> {
    /// The whole text.
    text: &'s [u8],
    /// The text, or nothing after an error.
    input: &'s [u8],
    at: usize,
    start: usize,
    parentheses: i64,
    inside_action: bool,
    /// The message of the error token, which is the last one.
    error: String,
}

/// A token: a stretch of the text. Error messages lie with the lexer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) position: u32,
    pub(super) length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelimiter,
    LeftParenthesis,
    Number,
    PipeSign,
    RawString,
    RightDelimiter,
    RightParenthesis,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl TokenKind {
    fn is_keyword(self) -> bool {
        use TokenKind::{Block, Break, Continue, Define, Dot, Else, End, If, Nil, Range, Template, With};
        matches!(
            self,
            Block | Break | Continue | Dot | Define | Else | End | If | Nil | Range | Template | With
        )
    }

    fn of_word(word: &[u8]) -> TokenKind {
        match word {
            b"block" => TokenKind::Block,
            b"break" => TokenKind::Break,
            b"continue" => TokenKind::Continue,
            b"define" => TokenKind::Define,
            b"else" => TokenKind::Else,
            b"end" => TokenKind::End,
            b"if" => TokenKind::If,
            b"range" => TokenKind::Range,
            b"nil" => TokenKind::Nil,
            b"template" => TokenKind::Template,
            b"with" => TokenKind::With,
            b"true" | b"false" => TokenKind::Bool,
            _ => TokenKind::Identifier,
        }
    }
}

impl<'s> Lexer<'s> {
    pub(super) fn new(input: &'s [u8]) -> Lexer<'s> {
        Lexer {
            text: input,
            input,
            at: 0,
            start: 0,
            parentheses: 0,
            inside_action: false,
            error: String::new(),
        }
    }

    /// The text of a token.
    pub(super) fn value(&self, token: Token) -> &'s [u8] {
        &self.text[token.position as usize..(token.position + token.length) as usize]
    }

    /// The line at which a token starts, from 1. It is needed for error messages alone.
    pub(super) fn line(&self, token: Token) -> usize {
        1 + memchr::memchr_iter(b'\n', &self.text[..token.position as usize]).count()
    }

    /// How error messages show a token.
    pub(super) fn describe(&self, token: Token) -> String {
        let value = self.value(token);
        match token.kind {
            TokenKind::Eof => "EOF".to_owned(),
            TokenKind::Error => self.error.clone(),
            kind if kind.is_keyword() => format!("<{}>", String::from_utf8_lossy(value)),
            _ if value.len() > 10 => {
                let mut end = 0;
                for _ in 0..10 {
                    end += decode_rune(&value[end..]).1;
                }
                format!("{}...", String::from_utf8_lossy(&quote(&value[..end])))
            }
            _ => String::from_utf8_lossy(&quote(value)).into_owned(),
        }
    }

    pub(super) fn next_token(&mut self) -> Token {
        if self.inside_action { self.lex_action() } else { self.lex_text() }
    }

    fn lex_text(&mut self) -> Token {
        loop {
            let Some(distance) = FIND_LEFT_DELIMITER.find(&self.input[self.at..]) else {
                self.at = self.input.len();
                if self.at > self.start {
                    return self.token(TokenKind::Text);
                }
                return self.token(TokenKind::Eof);
            };
            if distance > 0 {
                self.at += distance;
                let trim = if has_left_trim_marker(&self.input[self.at + LEFT_DELIMITER.len()..]) {
                    trailing_space(&self.input[self.start..self.at])
                } else {
                    0
                };
                self.at -= trim;
                let token = self.token(TokenKind::Text);
                self.at += trim;
                self.ignore();
                if token.length > 0 {
                    return token;
                }
            }
            if let Some(token) = self.lex_left_delimiter() {
                return token;
            }
        }
    }

    /// The left delimiter, or nothing when it opened a comment that is now behind.
    fn lex_left_delimiter(&mut self) -> Option<Token> {
        self.at += LEFT_DELIMITER.len();
        let marker = if has_left_trim_marker(&self.input[self.at..]) { TRIM_MARKER_WIDTH } else { 0 };
        if self.input[self.at + marker..].starts_with(b"/*") {
            self.at += marker;
            self.ignore();
            return self.lex_comment();
        }
        let token = self.token(TokenKind::LeftDelimiter);
        self.inside_action = true;
        self.at += marker;
        self.ignore();
        self.parentheses = 0;
        Some(token)
    }

    fn lex_comment(&mut self) -> Option<Token> {
        self.at += 2;
        let Some(length) = memchr::memmem::find(&self.input[self.at..], b"*/") else {
            return Some(self.error("unclosed comment".to_owned()));
        };
        self.at += length + 2;
        let Some(trims) = self.at_right_delimiter() else {
            return Some(self.error("comment ends before closing delimiter".to_owned()));
        };
        self.pass_right_delimiter(trims);
        None
    }

    /// Whether a right delimiter follows, and whether it trims.
    fn at_right_delimiter(&self) -> Option<bool> {
        let rest = &self.input[self.at..];
        if has_right_trim_marker(rest) && rest[TRIM_MARKER_WIDTH..].starts_with(RIGHT_DELIMITER) {
            return Some(true);
        }
        rest.starts_with(RIGHT_DELIMITER).then_some(false)
    }

    fn pass_right_delimiter(&mut self, trims: bool) {
        if trims {
            self.at += TRIM_MARKER_WIDTH;
        }
        self.at += RIGHT_DELIMITER.len();
        if trims {
            self.at += leading_space(&self.input[self.at..]);
        }
        self.ignore();
    }

    fn lex_right_delimiter(&mut self) -> Token {
        let trims = self.at_right_delimiter() == Some(true);
        if trims {
            self.at += TRIM_MARKER_WIDTH;
            self.ignore();
        }
        self.at += RIGHT_DELIMITER.len();
        let token = self.token(TokenKind::RightDelimiter);
        if trims {
            self.at += leading_space(&self.input[self.at..]);
            self.ignore();
        }
        self.inside_action = false;
        token
    }

    fn lex_action(&mut self) -> Token {
        let may_end = matches!(self.input.get(self.at), Some(b'}' | b' ' | b'\t' | b'\r' | b'\n'));
        if may_end && self.at_right_delimiter().is_some() {
            if self.parentheses == 0 {
                return self.lex_right_delimiter();
            }
            return self.error("unclosed left paren".to_owned());
        }
        let Some(&byte) = self.input.get(self.at) else {
            return self.error("unclosed action".to_owned());
        };
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return self.lex_space(),
            b'+' | b'-' | b'0'..=b'9' => return self.lex_number(),
            b'.' if self.input.get(self.at + 1).is_none_or(u8::is_ascii_digit) => return self.lex_number(),
            0x80.. => return self.lex_wide(),
            _ => self.at += 1,
        }
        match byte {
            b'=' => self.token(TokenKind::Assign),
            b':' => {
                if self.next() == Some('=') {
                    self.token(TokenKind::Declare)
                } else {
                    self.error("expected :=".to_owned())
                }
            }
            b'|' => self.token(TokenKind::PipeSign),
            b'"' => self.lex_quoted(byte, TokenKind::String, "unterminated quoted string"),
            b'\'' => self.lex_quoted(byte, TokenKind::CharConstant, "unterminated character constant"),
            b'`' => self.lex_raw_string(),
            b'$' => self.lex_word(TokenKind::Variable),
            b'.' => self.lex_word(TokenKind::Field),
            b'(' => {
                self.parentheses += 1;
                self.token(TokenKind::LeftParenthesis)
            }
            b')' => {
                self.parentheses -= 1;
                if self.parentheses < 0 {
                    return self.error("unexpected right paren".to_owned());
                }
                self.token(TokenKind::RightParenthesis)
            }
            word if WORD[usize::from(word)] => self.lex_identifier(),
            0x21..=0x7E => self.token(TokenKind::Char),
            other => self.unrecognized(char::from(other)),
        }
    }

    /// What starts with a rune that is not ASCII.
    fn lex_wide(&mut self) -> Token {
        match self.next() {
            Some(rune) if is_alphanumeric(rune) => self.lex_identifier(),
            rune => self.unrecognized(rune.unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn unrecognized(&mut self, rune: char) -> Token {
        let shown = show_rune(rune);
        self.error(format!("unrecognized character in action: {shown}"))
    }

    fn lex_space(&mut self) -> Token {
        let spaces = leading_space(&self.input[self.at..]);
        self.at += spaces;
        // The last space may belong to a trim marker.
        let last = &self.input[self.at - 1..];
        if has_right_trim_marker(last) && last[TRIM_MARKER_WIDTH..].starts_with(RIGHT_DELIMITER) {
            self.at -= 1;
            if spaces == 1 {
                return self.lex_right_delimiter();
            }
        }
        self.token(TokenKind::Space)
    }

    fn lex_identifier(&mut self) -> Token {
        let next = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character(next);
        }
        let kind = TokenKind::of_word(&self.input[self.start..self.at]);
        self.token(kind)
    }

    /// A field or a variable, whose `.` or `$` is behind.
    fn lex_word(&mut self, kind: TokenKind) -> Token {
        if self.at_terminator() {
            return self.token(if kind == TokenKind::Variable {
                TokenKind::Variable
            } else {
                TokenKind::Dot
            });
        }
        let next = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character(next);
        }
        self.token(kind)
    }

    fn bad_character(&mut self, rune: Option<char>) -> Token {
        let shown = rune.map(show_rune).unwrap_or_default();
        self.error(format!("bad character {shown}"))
    }

    fn skip_alphanumeric(&mut self) -> Option<char> {
        loop {
            let rest = &self.input[self.at..];
            self.at += rest.iter().position(|byte| !WORD[usize::from(*byte)]).unwrap_or(rest.len());
            match self.peek() {
                Some(rune) if !rune.is_ascii() && is_alphanumeric(rune) => self.next(),
                other => return other,
            };
        }
    }

    fn at_terminator(&self) -> bool {
        match self.input.get(self.at) {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'.' | b',' | b'|' | b':' | b')' | b'(') => true,
            Some(_) => self.input[self.at..].starts_with(RIGHT_DELIMITER),
        }
    }

    fn lex_quoted(&mut self, delimiter: u8, kind: TokenKind, unterminated: &str) -> Token {
        while let Some(length) = memchr::memchr3(delimiter, b'\\', b'\n', &self.input[self.at..]) {
            let found = self.input[self.at + length];
            self.at += length + 1;
            if found == delimiter {
                return self.token(kind);
            }
            if found == b'\n' || self.next().is_none_or(|escaped| escaped == '\n') {
                break;
            }
        }
        self.error(unterminated.to_owned())
    }

    fn lex_raw_string(&mut self) -> Token {
        let rest = &self.input[self.at..];
        let Some(length) = memchr::memchr(b'`', rest) else {
            return self.error("unterminated raw quoted string".to_owned());
        };
        self.at += length + 1;
        self.token(TokenKind::RawString)
    }

    fn lex_number(&mut self) -> Token {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || self.input[self.at - 1] != b'i' {
                return self.bad_number();
            }
            return self.token(TokenKind::Complex);
        }
        self.token(TokenKind::Number)
    }

    fn bad_number(&mut self) -> Token {
        let shown = quote(&self.input[self.start..self.at]);
        self.error(format!("bad number syntax: {}", String::from_utf8_lossy(&shown)))
    }

    /// Takes what looks like a number; whether it is one the parser finds out.
    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|rune| valid.contains(rune));
        if found {
            self.next();
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    #[inline]
    fn next(&mut self) -> Option<char> {
        let (rune, width) = decode_rune(&self.input[self.at..]);
        if width == 0 {
            return None;
        }
        self.at += width;
        Some(rune)
    }

    #[inline]
    fn peek(&self) -> Option<char> {
        let (rune, width) = decode_rune(&self.input[self.at..]);
        (width > 0).then_some(rune)
    }

    #[inline]
    fn token(&mut self, kind: TokenKind) -> Token {
        let token = Token { kind, position: self.start as u32, length: (self.at - self.start) as u32 };
        self.start = self.at;
        token
    }

    /// Leaves out what was passed.
    fn ignore(&mut self) {
        self.start = self.at;
    }

    fn error(&mut self, message: String) -> Token {
        let token = Token { kind: TokenKind::Error, position: self.start as u32, length: 0 };
        self.error = message;
        self.input = &[];
        self.at = 0;
        self.start = 0;
        self.inside_action = false;
        token
    }
}

/// A rune as Go's `%#U` prints it.
fn show_rune(rune: char) -> String {
    let code = u32::from(rune);
    if is_print(rune) { format!("U+{code:04X} '{rune}'") } else { format!("U+{code:04X}") }
}

/// The ASCII bytes of words: letters, digits and the underscore.
static WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        word[byte] = byte == b'_' as usize || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    word
};

static FIND_LEFT_DELIMITER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LEFT_DELIMITER));

fn is_space_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_alphanumeric(rune: char) -> bool {
    if rune.is_ascii() {
        return rune == '_' || rune.is_ascii_alphanumeric();
    }
    is_letter(rune) || is_digit(rune)
}

fn trailing_space(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| is_space_byte(**byte)).count()
}

fn leading_space(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_space_byte(**byte)).count()
}

fn has_left_trim_marker(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space_byte(*space))
}

fn has_right_trim_marker(text: &[u8]) -> bool {
    matches!(text, [space, b'-', ..] if is_space_byte(*space))
}
