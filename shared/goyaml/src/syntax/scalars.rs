//! Scanning of single tokens: scalars, anchors, tags and directives.

use super::scanner::{Scan, Scanner, count_characters, is_break, scanner_error};
use super::token::{Mark, ScalarStyle, Token, TokenKind};

impl Scanner<'_> {
    /// `plain text`, possibly over several lines.
    pub(super) fn scan_plain_scalar(&mut self) -> Scan<Token> {
        let start = self.mark;
        let mut end = start;
        let indent = self.indent + 1;
        let mut value = String::new();
        let mut folds = LineFolds::default();
        loop {
            if self.mark.column == 0 && self.document_indicator().is_some() || self.byte(0) == b'#' {
                break;
            }
            // One line: words with the blanks between them.
            let from = self.position();
            let (to, next) = self.plain_line(from);
            if to > from {
                folds.join(&mut value);
                if value.is_empty() {
                    value = self.text[from..to].to_owned();
                } else {
                    value.push_str(&self.text[from..to]);
                }
                self.mark.index = to as i32;
                self.mark.column += count_characters(&self.bytes[from..to]);
                self.newlines = 0;
                end = self.mark;
            }
            self.mark.index = next as i32;
            self.mark.column += (next - to) as u32;
            if !self.is_break(0) {
                break;
            }
            while self.is_blank(0) || self.is_break(0) {
                if self.is_break(0) {
                    let line_break = self.skip_break();
                    folds.add(line_break);
                } else {
                    if (self.mark.column as i32) < indent && self.byte(0) == b'\t' {
                        return Err(scanner_error(
                            self.mark,
                            start,
                            "found a tab character that violates indentation",
                        ));
                    }
                    self.mark.index += 1;
                    self.mark.column += 1;
                }
            }
            if self.flow_level == 0 && (self.mark.column as i32) < indent {
                break;
            }
        }
        if !folds.is_empty() {
            self.simple_key_allowed = true;
        }
        Ok(Token::with_value(TokenKind::Scalar, start, end, value))
    }

    /// Where the plain text that begins at `from` ends on this line, and where the blanks after it end.
    fn plain_line(&self, from: usize) -> (usize, usize) {
        let bytes = self.bytes;
        let flow = self.flow_level > 0;
        let mut end = from;
        let mut at = from;
        loop {
            match bytes.get(at) {
                None | Some(b'\n' | b'\r') => return (end, at),
                Some(b' ' | b'\t') => {
                    at += 1;
                    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
                        at += 1;
                    }
                    if bytes.get(at) == Some(&b'#') {
                        return (end, at);
                    }
                }
                Some(b':') if self.is_blankz(at + 1 - self.position()) => return (end, at),
                Some(b',' | b'?' | b'[' | b']' | b'{' | b'}') if flow => return (end, at),
                Some(0xC2 | 0xE2) if is_break(bytes, at) => return (end, at),
                Some(_) => {
                    at += 1;
                    end = at;
                }
            }
        }
    }

    /// `'text'` or `"text"`.
    pub(super) fn scan_quoted_scalar(&mut self, single: bool) -> Scan<Token> {
        let start = self.mark;
        self.skip_ascii(1);
        let quote = if single { b'\'' } else { b'"' };
        let mut value = String::new();
        loop {
            if self.mark.column == 0 && self.document_indicator().is_some() {
                return Err(scanner_error(self.mark, start, "found unexpected document indicator"));
            }
            if self.at_end() {
                return Err(scanner_error(self.mark, start, "found unexpected end of stream"));
            }
            let escaped_break = self.scan_quoted_words(start, single, &mut value)?;
            if self.byte(0) == quote {
                break;
            }
            let from = self.position();
            let mut folds = LineFolds { escaped: escaped_break, ..LineFolds::default() };
            while self.is_blank(0) || self.is_break(0) {
                if self.is_break(0) {
                    let line_break = self.skip_break();
                    folds.add(line_break);
                } else {
                    self.mark.index += 1;
                    self.mark.column += 1;
                }
            }
            if folds.is_empty() && !escaped_break {
                value.push_str(&self.text[from..self.position()]);
            } else {
                folds.join(&mut value);
            }
        }
        self.skip_ascii(1);
        let mut token = Token::with_value(TokenKind::Scalar, start, self.mark, value);
        token.style = if single { ScalarStyle::SingleQuoted } else { ScalarStyle::DoubleQuoted };
        Ok(token)
    }

    /// Everything up to a blank, a line break or the closing quote. Says whether an escaped line break came last.
    fn scan_quoted_words(&mut self, start: Mark, single: bool, value: &mut String) -> Scan<bool> {
        loop {
            let from = self.position();
            let mut at = from;
            while let Some(&byte) = self.bytes.get(at) {
                let stop = match byte {
                    b' ' | b'\t' | b'\n' | b'\r' => true,
                    b'\'' => single,
                    b'"' | b'\\' => !single,
                    0xC2 | 0xE2 => is_break(self.bytes, at),
                    _ => false,
                };
                if stop {
                    break;
                }
                at += 1;
            }
            if at > from {
                value.push_str(&self.text[from..at]);
                self.mark.index = at as i32;
                self.mark.column += count_characters(&self.bytes[from..at]);
                self.newlines = 0;
            }
            match self.byte(0) {
                b'\'' if single && self.byte(1) == b'\'' => {
                    value.push('\'');
                    self.skip_ascii(2);
                }
                b'\\' if !single && self.is_break(1) => {
                    self.skip_ascii(1);
                    self.skip_break();
                    return Ok(true);
                }
                b'\\' if !single => self.scan_escape(start, value)?,
                _ => return Ok(false),
            }
        }
    }

    fn scan_escape(&mut self, start: Mark, value: &mut String) -> Scan<()> {
        let digits = match self.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            escape => {
                value.push(match escape {
                    b'0' => '\0',
                    b'a' => '\x07',
                    b'b' => '\x08',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\x0B',
                    b'f' => '\x0C',
                    b'r' => '\r',
                    b'e' => '\x1B',
                    b' ' => ' ',
                    b'"' => '"',
                    b'\'' => '\'',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{A0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    _ => return Err(scanner_error(self.mark, start, "found unknown escape character")),
                });
                self.skip_ascii(2);
                return Ok(());
            }
        };
        self.skip_ascii(2);
        let mut code: u32 = 0;
        for ahead in 0..digits {
            let Some(digit) = char::from(self.byte(ahead)).to_digit(16) else {
                return Err(scanner_error(self.mark, start, "did not find expected hexdecimal number"));
            };
            code = code << 4 | digit;
        }
        match char::from_u32(code) {
            Some(character) => value.push(character),
            None => {
                return Err(scanner_error(self.mark, start, "found invalid Unicode character escape code"));
            }
        }
        self.skip_ascii(digits);
        Ok(())
    }

    /// `|` or `>` and the indented lines below.
    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Scan<Token> {
        let start = self.mark;
        self.skip_ascii(1);
        let (chomping, increment) = self.scan_block_header(start)?;
        let mut indent = match increment {
            0 => 0,
            _ => increment + self.indent.max(0) as u32,
        };

        let mut end = self.mark;
        let mut value = String::new();
        let mut leading_break = "";
        let mut trailing_breaks = String::new();
        self.scan_block_breaks(&mut indent, &mut trailing_breaks, start, &mut end)?;
        let mut leading_blank = false;
        while self.mark.column == indent && !self.at_end() {
            let trailing_blank = self.is_blank(0);
            if !literal && !leading_blank && !trailing_blank && leading_break == "\n" {
                if trailing_breaks.is_empty() {
                    value.push(' ');
                }
            } else {
                value.push_str(leading_break);
            }
            leading_break = "";
            value.push_str(&trailing_breaks);
            trailing_breaks.clear();
            leading_blank = trailing_blank;

            let from = self.position();
            self.skip_to_break();
            if self.discards_block_scalars {
                value.clear();
            } else {
                value.push_str(&self.text[from..self.position()]);
            }
            if self.is_break(0) {
                leading_break = self.skip_break();
            }
            self.scan_block_breaks(&mut indent, &mut trailing_breaks, start, &mut end)?;
        }
        if chomping != Chomping::Strip {
            value.push_str(leading_break);
        }
        if chomping == Chomping::Keep {
            value.push_str(&trailing_breaks);
        }
        let mut token = Token::with_value(TokenKind::Scalar, start, end, value);
        token.style = if literal { ScalarStyle::Literal } else { ScalarStyle::Folded };
        Ok(token)
    }

    /// What may follow `|`: `+` or `-`, the indentation, a comment.
    fn scan_block_header(&mut self, start: Mark) -> Scan<(Chomping, u32)> {
        let error = |scanner: &Self, problem| scanner_error(scanner.mark, start, problem);
        let mut chomping = None;
        let mut increment = None;
        loop {
            match self.byte(0) {
                b'+' if chomping.is_none() => chomping = Some(Chomping::Keep),
                b'-' if chomping.is_none() => chomping = Some(Chomping::Strip),
                b'0' if increment.is_none() => {
                    return Err(error(self, "found an indentation indicator equal to 0"));
                }
                digit @ b'1'..=b'9' if increment.is_none() => increment = Some(u32::from(digit - b'0')),
                _ => break,
            }
            self.skip_ascii(1);
        }
        while self.is_blank(0) {
            self.mark.index += 1;
            self.mark.column += 1;
        }
        if self.byte(0) == b'#' {
            if self.keeps_comments() {
                self.scan_line_comment(start);
            }
            self.skip_to_break();
        }
        if !self.is_breakz(0) {
            return Err(error(self, "did not find expected comment or line break"));
        }
        if self.is_break(0) {
            self.skip_break();
        }
        Ok((chomping.unwrap_or(Chomping::Clip), increment.unwrap_or(0)))
    }

    /// Empty lines and indentation inside a block scalar; finds the indentation out when it is 0.
    fn scan_block_breaks(
        &mut self,
        indent: &mut u32,
        breaks: &mut String,
        start: Mark,
        end: &mut Mark,
    ) -> Scan<()> {
        *end = self.mark;
        let mut widest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b' ' {
                self.mark.index += 1;
                self.mark.column += 1;
            }
            widest = widest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b'\t' {
                let problem = "found a tab character where an indentation space is expected";
                return Err(scanner_error(self.mark, start, problem));
            }
            if !self.is_break(0) {
                break;
            }
            breaks.push_str(self.skip_break());
            *end = self.mark;
        }
        if *indent == 0 {
            *indent = widest.max((self.indent + 1).max(1) as u32);
        }
        Ok(())
    }

    /// `&name` or `*name`.
    pub(super) fn scan_anchor(&mut self, kind: TokenKind) -> Scan<Token> {
        let start = self.mark;
        self.skip_ascii(1);
        let name = self.scan_word();
        let ends_well = self.is_blankz(0)
            || matches!(self.byte(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends_well {
            let problem = "did not find expected alphabetic or numeric character";
            return Err(scanner_error(self.mark, start, problem));
        }
        Ok(Token::with_value(kind, start, self.mark, name))
    }

    /// `!tag`, `!handle!tag` or `!<tag>`.
    pub(super) fn scan_tag(&mut self) -> Scan<Token> {
        let start = self.mark;
        let handle;
        let suffix;
        if self.byte(1) == b'<' {
            self.skip_ascii(2);
            handle = String::new();
            suffix = self.scan_tag_uri("", start)?;
            if self.byte(0) != b'>' {
                return Err(scanner_error(self.mark, start, "did not find the expected '>'"));
            }
            self.skip_ascii(1);
        } else {
            let head = self.scan_tag_handle(false, start)?;
            if head.len() > 1 && head.ends_with('!') {
                suffix = self.scan_tag_uri("", start)?;
                handle = head;
            } else {
                let rest = self.scan_tag_uri(&head, start)?;
                // `!` alone has no handle and the suffix `!`.
                (handle, suffix) =
                    if rest.is_empty() { (String::new(), "!".to_owned()) } else { ("!".to_owned(), rest) };
            }
        }
        if !self.is_blankz(0) {
            return Err(scanner_error(self.mark, start, "did not find expected whitespace or line break"));
        }
        let mut token = Token::with_value(TokenKind::Tag, start, self.mark, handle);
        token.suffix = Some(suffix.into());
        Ok(token)
    }

    fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Scan<String> {
        if self.byte(0) != b'!' {
            return Err(scanner_error(self.mark, start, "did not find expected '!'"));
        }
        self.skip_ascii(1);
        let mut handle = "!".to_owned();
        handle.push_str(&self.scan_word());
        if self.byte(0) == b'!' {
            self.skip_ascii(1);
            handle.push('!');
        } else if directive && handle != "!" {
            return Err(scanner_error(self.mark, start, "did not find expected '!'"));
        }
        Ok(handle)
    }

    /// The rest of a tag. `head` was read already; its `!` is not part of the tag.
    fn scan_tag_uri(&mut self, head: &str, start: Mark) -> Scan<String> {
        let mut uri = head.get(1..).unwrap_or_default().as_bytes().to_vec();
        let mut found = !head.is_empty();
        loop {
            let byte = self.byte(0);
            if byte == b'%' {
                self.scan_uri_escape(start, &mut uri)?;
            } else if is_word(byte) || b";/?:@&=+$,.!~*'()[]".contains(&byte) {
                uri.push(byte);
                self.skip_ascii(1);
            } else {
                break;
            }
            found = true;
        }
        if !found {
            return Err(scanner_error(self.mark, start, "did not find expected tag URI"));
        }
        String::from_utf8(uri)
            .map_err(|_| scanner_error(self.mark, start, "found an incorrect trailing UTF-8 octet"))
    }

    /// `%C3%A9`: one character as escaped octets.
    fn scan_uri_escape(&mut self, start: Mark, uri: &mut Vec<u8>) -> Scan<()> {
        let mut left = None;
        while left != Some(0) {
            let high = char::from(self.byte(1)).to_digit(16);
            let low = char::from(self.byte(2)).to_digit(16);
            let (b'%', Some(high), Some(low)) = (self.byte(0), high, low) else {
                return Err(scanner_error(self.mark, start, "did not find URI escaped octet"));
            };
            let octet = (high << 4 | low) as u8;
            left = match (left, octet) {
                (None, 0x00..=0x7F) => Some(0),
                (None, 0xC0..=0xDF) => Some(1),
                (None, 0xE0..=0xEF) => Some(2),
                (None, 0xF0..=0xF7) => Some(3),
                (Some(left), 0x80..=0xBF) => Some(left - 1),
                (None, _) => {
                    return Err(scanner_error(self.mark, start, "found an incorrect leading UTF-8 octet"));
                }
                (Some(_), _) => {
                    return Err(scanner_error(self.mark, start, "found an incorrect trailing UTF-8 octet"));
                }
            };
            uri.push(octet);
            self.skip_ascii(3);
        }
        Ok(())
    }

    /// `%YAML 1.1` or `%TAG ! tag:example.com,2000:`.
    pub(super) fn scan_directive(&mut self) -> Scan<Token> {
        let start = self.mark;
        let error = |scanner: &Self, problem| scanner_error(scanner.mark, start, problem);
        self.skip_ascii(1);
        let name = self.scan_word();
        if name.is_empty() {
            return Err(error(self, "could not find expected directive name"));
        }
        if !self.is_blankz(0) {
            return Err(error(self, "found unexpected non-alphabetical character"));
        }
        let mut token;
        match name.as_str() {
            "YAML" => {
                self.skip_blanks();
                let major = self.scan_version_number(start)?;
                if self.byte(0) != b'.' {
                    return Err(error(self, "did not find expected digit or '.' character"));
                }
                self.skip_ascii(1);
                let minor = self.scan_version_number(start)?;
                let version = format!("{major}.{minor}");
                token = Token::with_value(TokenKind::VersionDirective, start, self.mark, version);
            }
            "TAG" => {
                self.skip_blanks();
                let handle = self.scan_tag_handle(true, start)?;
                if !self.is_blank(0) {
                    return Err(error(self, "did not find expected whitespace"));
                }
                self.skip_blanks();
                let prefix = self.scan_tag_uri("", start)?;
                if !self.is_blankz(0) {
                    return Err(error(self, "did not find expected whitespace or line break"));
                }
                token = Token::with_value(TokenKind::TagDirective, start, self.mark, handle);
                token.suffix = Some(prefix.into());
            }
            _ => return Err(error(self, "found unknown directive name")),
        }
        self.skip_blanks();
        if self.byte(0) == b'#' {
            self.skip_to_break();
        }
        if !self.is_breakz(0) {
            return Err(error(self, "did not find expected comment or line break"));
        }
        if self.is_break(0) {
            self.skip_break();
        }
        Ok(token)
    }

    fn scan_version_number(&mut self, start: Mark) -> Scan<u32> {
        let mut number = 0;
        let mut length = 0;
        while self.byte(0).is_ascii_digit() {
            length += 1;
            if length > 2 {
                return Err(scanner_error(self.mark, start, "found extremely long version number"));
            }
            number = number * 10 + u32::from(self.byte(0) - b'0');
            self.skip_ascii(1);
        }
        if length == 0 {
            return Err(scanner_error(self.mark, start, "did not find expected version number"));
        }
        Ok(number)
    }

    fn scan_word(&mut self) -> String {
        let length = self.rest().iter().take_while(|&&b| is_word(b)).count();
        let from = self.position();
        if length > 0 {
            self.skip_ascii(length);
        }
        self.text[from..from + length].to_owned()
    }

    fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.mark.index += 1;
            self.mark.column += 1;
        }
    }
}

/// What happens to the line breaks at the end of a block scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomping {
    Clip,
    Strip,
    Keep,
}

/// The line breaks between two lines of a flow scalar, which become a space or fewer line breaks.
#[derive(Default)]
struct LineFolds {
    first: &'static str,
    more: String,
    /// The first line break was escaped and is gone.
    escaped: bool,
}

impl LineFolds {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.more.is_empty()
    }

    fn add(&mut self, line_break: &'static str) {
        if self.first.is_empty() && !self.escaped {
            self.first = line_break;
        } else {
            self.more.push_str(line_break);
        }
    }

    /// Appends what the breaks become, and forgets them.
    fn join(&mut self, value: &mut String) {
        if self.first == "\n" {
            if self.more.is_empty() {
                value.push(' ');
            }
        } else {
            value.push_str(self.first);
        }
        value.push_str(&self.more);
        self.first = "";
        self.more.clear();
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
