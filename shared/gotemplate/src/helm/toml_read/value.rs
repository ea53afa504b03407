//! The values of TOML: strings, numbers, dates, arrays and inline tables.

use std::sync::Arc;

use super::{Failure, MAX_NESTING, Reader, joined, shown};
use crate::collection::Map;
use crate::number::{NumberError, parse_float, parse_int};
use crate::text::Text;
use crate::time::{Time, Zone, parse_time};
use crate::value::Value;
use fluxide_gotext::quote;
use fluxide_gotext::unicode::is_letter;

impl Reader<'_> {
    pub(super) fn value(&mut self, depth: usize) -> Result<Value, Failure> {
        self.skip_blanks();
        if depth > MAX_NESTING {
            return Err(self.failure("value is nested too deeply"));
        }
        let Some(first) = self.peek()? else {
            return Err(self.failure("unexpected EOF; expected value"));
        };
        match first {
            '[' => {
                self.at += 1;
                stacker::maybe_grow(64 * 1024, 1 << 20, || self.array(depth))
            }
            '{' => {
                self.at += 1;
                stacker::maybe_grow(64 * 1024, 1 << 20, || self.inline_table(depth))
            }
            '"' if self.text[self.at..].starts_with(b"\"\"\"") => {
                self.at += 3;
                self.multi_line_string(false).map(Value::String)
            }
            '\'' if self.text[self.at..].starts_with(b"'''") => {
                self.at += 3;
                self.multi_line_string(true).map(Value::String)
            }
            '"' => {
                self.at += 1;
                self.basic_string().map(Value::String)
            }
            '\'' => {
                self.at += 1;
                self.raw_string().map(Value::String)
            }
            '.' => Err(self.failure("floats must start with a digit, not '.'")),
            '0'..='9' | '+' | '-' => self.number_or_date(),
            rune if is_letter(rune) => self.word(),
            rune => Err(self.failure(&format!("expected value but found {} instead", shown(rune)))),
        }
    }

    fn word(&mut self) -> Result<Value, Failure> {
        let start = self.at;
        while let Some(rune) = self.peek()? {
            if !is_letter(rune) {
                break;
            }
            self.at += rune.len_utf8();
        }
        match &self.text[start..self.at] {
            b"true" => Ok(Value::Bool(true)),
            b"false" => Ok(Value::Bool(false)),
            b"inf" => Ok(Value::Float(f64::INFINITY)),
            b"nan" => Ok(Value::Float(f64::NAN)),
            other => {
                let quoted = quote(other);
                Err(self.failure(&format!(
                    "expected value but found {} instead",
                    String::from_utf8_lossy(&quoted)
                )))
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Failure> {
        let mut items = Vec::new();
        loop {
            self.skip_space_and_lines()?;
            match self.peek()? {
                Some(']') => {
                    self.at += 1;
                    return Ok(Value::from(items));
                }
                Some(',') => return Err(self.failure("unexpected comma")),
                _ => items.push(self.value(depth + 1)?),
            }
            self.skip_space_and_lines()?;
            match self.peek()? {
                Some(',') => self.at += 1,
                Some(']') => {}
                other => {
                    let found = other.map_or_else(|| "end of file".to_owned(), shown);
                    return Err(self.failure(&format!(
                        "expected a comma (',') or array terminator (']'), but got {found}"
                    )));
                }
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Result<Value, Failure> {
        let table = Map::new();
        let outer_key = self.last_key.clone();
        loop {
            self.skip_space_and_lines()?;
            match self.peek()? {
                Some('}') => {
                    self.at += 1;
                    self.last_key = outer_key;
                    return Ok(Value::Map(table));
                }
                Some(',') => return Err(self.failure("unexpected comma")),
                _ => {}
            }
            let path = self.dotted_key()?;
            let key = format!("{outer_key}.{}", joined(&path));
            self.last_key.clone_from(&key);
            let value = self.value(depth + 1)?;
            self.last_key = key;
            self.store(&table, &path, value)?;
            self.skip_space_and_lines()?;
            match self.peek()? {
                Some(',') => self.at += 1,
                Some('}') => {}
                other => {
                    let found = other.map_or_else(|| "end of file".to_owned(), shown);
                    return Err(self.failure(&format!(
                        "expected a comma or an inline table terminator '}}', but got {found} instead"
                    )));
                }
            }
        }
    }

    fn number_or_date(&mut self) -> Result<Value, Failure> {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-_.:".contains(byte))
        {
            self.at += 1;
        }
        // A space may stand between date and time.
        if self.at - start == 10
            && self.text[start + 4] == b'-'
            && matches!(self.text.get(self.at..self.at + 2), Some([b' ', digit]) if digit.is_ascii_digit())
        {
            self.at += 1;
            while self
                .text
                .get(self.at)
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.:".contains(byte))
            {
                self.at += 1;
            }
        }
        let text = &self.text[start..self.at];
        let shown_text = String::from_utf8_lossy(&quote(text)).into_owned();
        let is_date =
            text.len() > 4 && text[0].is_ascii_digit() && (text[4] == b'-' || text.get(2) == Some(&b':'));
        if is_date {
            return date(text).ok_or_else(|| self.failure(&format!("invalid datetime: {shown_text}")));
        }
        let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        match unsigned {
            b"inf" => {
                return Ok(Value::Float(if text[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY }));
            }
            b"nan" => return Ok(Value::Float(f64::NAN)),
            _ => {}
        }
        let plain: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'_').collect();
        let has_prefix = matches!(unsigned, [b'0', b'x' | b'o' | b'b', ..]);
        let underscores_fine = !text.starts_with(b"_")
            && !text.ends_with(b"_")
            && text.windows(2).all(|pair| pair != b"__")
            && !unsigned.starts_with(b"_");
        if !has_prefix && unsigned.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            if !underscores_fine {
                return Err(self.failure(&format!(
                    "Invalid float {shown_text}: underscores must be surrounded by digits"
                )));
            }
            if matches!(unsigned, [b'0', digit, ..] if digit.is_ascii_digit()) {
                return Err(self.failure(&format!("Invalid float {shown_text}: cannot have leading zeroes")));
            }
            if plain.ends_with(b".")
                || plain.windows(2).any(|pair| pair[0] == b'.' && !pair[1].is_ascii_digit())
            {
                return Err(self.failure(&format!(
                    "Invalid float {shown_text}: '.' must be followed by one or more digits"
                )));
            }
            return match parse_float(&plain) {
                Ok(number) => Ok(Value::Float(number)),
                Err(NumberError::Range) => {
                    Err(self
                        .failure(&format!("{} is out of range for float64", String::from_utf8_lossy(text))))
                }
                Err(NumberError::Syntax) => Err(self.failure(&format!("Invalid float value: {shown_text}"))),
            };
        }
        if !underscores_fine {
            return Err(self.failure(&format!(
                "Invalid integer {shown_text}: underscores must be surrounded by digits"
            )));
        }
        if !has_prefix && matches!(unsigned, [b'0', digit, ..] if digit.is_ascii_digit()) {
            return Err(self.failure(&format!("Invalid integer {shown_text}: cannot have leading zeroes")));
        }
        if has_prefix && unsigned.len() != text.len() {
            return Err(self.failure(&format!(
                "cannot use sign with non-decimal numbers: '{}'",
                String::from_utf8_lossy(&text[..3])
            )));
        }
        match parse_int(&plain, 0) {
            Ok(number) => Ok(Value::int64(number)),
            Err(NumberError::Range) => {
                Err(self.failure(&format!("{} is out of range for int64", String::from_utf8_lossy(text))))
            }
            Err(NumberError::Syntax) => {
                let digits =
                    unsigned.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'_').count();
                let rune = unsigned.get(digits).map_or('\0', |byte| char::from(*byte));
                if digits == 0 {
                    return Err(self.failure(&format!("expected a digit but got {}", shown(rune))));
                }
                Err(self.failure(&format!(
                    "expected a top-level item to end with a newline, comment, or EOF, but got {} instead",
                    shown(rune)
                )))
            }
        }
    }

    pub(super) fn basic_string(&mut self) -> Result<Text, Failure> {
        let mut out = Vec::new();
        loop {
            match self.peek()? {
                None => return Err(self.failure("unexpected EOF; expected '\"'")),
                Some('\n') => return Err(self.failure("strings cannot contain newlines")),
                Some('"') => {
                    self.at += 1;
                    return Ok(Text::from(out));
                }
                Some('\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(rune) => self.push(&mut out, rune),
            }
        }
    }

    pub(super) fn raw_string(&mut self) -> Result<Text, Failure> {
        let mut out = Vec::new();
        loop {
            match self.peek()? {
                None => return Err(self.failure("unexpected EOF; expected \"'\"")),
                Some('\n') => return Err(self.failure("strings cannot contain newlines")),
                Some('\'') => {
                    self.at += 1;
                    return Ok(Text::from(out));
                }
                Some(rune) => self.push(&mut out, rune),
            }
        }
    }

    fn multi_line_string(&mut self, raw: bool) -> Result<Text, Failure> {
        let delimiter = if raw { b'\'' } else { b'"' };
        // A newline right after the opening delimiter does not count.
        if self.text[self.at..].starts_with(b"\r\n") {
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'\n') {
            self.at += 1;
            self.line += 1;
        }
        let mut out = Vec::new();
        loop {
            let Some(rune) = self.peek()? else {
                return Err(self.failure(if raw {
                    "unexpected EOF; expected \"'''\""
                } else {
                    "unexpected EOF; expected '\"\"\"'"
                }));
            };
            if rune == char::from(delimiter) {
                let count = self.text[self.at..].iter().take_while(|byte| **byte == delimiter).count();
                if count >= 3 {
                    if count > 5 {
                        return Err(self.failure(if raw {
                            "unexpected \"''''''\""
                        } else {
                            "unexpected '\"\"\"\"\"\"'"
                        }));
                    }
                    out.extend(std::iter::repeat_n(delimiter, count - 3));
                    self.at += count;
                    return Ok(Text::from(out));
                }
            }
            if rune == '\\' && !raw {
                self.at += 1;
                if !self.folded_line_break()? {
                    self.escape(&mut out)?;
                }
            } else if rune == '\r' && self.text.get(self.at + 1) == Some(&b'\n') {
                self.at += 1;
            } else {
                if rune == '\n' {
                    self.line += 1;
                }
                self.push(&mut out, rune);
            }
        }
    }

    /// A backslash at the end of a line takes the white space that follows with it.
    fn folded_line_break(&mut self) -> Result<bool, Failure> {
        let mut at = self.at;
        while matches!(self.text.get(at), Some(b' ' | b'\t' | b'\r')) {
            at += 1;
        }
        if self.text.get(at) != Some(&b'\n') {
            return Ok(false);
        }
        while let Some(byte) = self.text.get(at).filter(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.line += usize::from(*byte == b'\n');
            at += 1;
        }
        self.at = at;
        Ok(true)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(rune) = self.peek()? else {
            return Err(self.failure("unexpected EOF; expected '\"'"));
        };
        self.at += rune.len_utf8();
        let byte = match rune {
            'b' => 8,
            't' => b'\t',
            'n' => b'\n',
            'f' => 12,
            'r' => b'\r',
            'e' => 0x1b,
            '"' => b'"',
            '\\' => b'\\',
            'x' | 'u' | 'U' => {
                let (digits, name) = match rune {
                    'x' => (2, "two"),
                    'u' => (4, "four"),
                    _ => (8, "eight"),
                };
                let text =
                    self.text.get(self.at..self.at + digits).and_then(|text| std::str::from_utf8(text).ok());
                let code = text.and_then(|text| u32::from_str_radix(text, 16).ok());
                let Some(code) = code else {
                    let found = String::from_utf8_lossy(&quote(
                        &self.text[self.at..self.text.len().min(self.at + digits)],
                    ))
                    .into_owned();
                    return Err(self.failure(&format!(
                        "expected {name} hexadecimal digits after '\\{rune}', but got {found} instead"
                    )));
                };
                self.at += digits;
                match char::from_u32(code) {
                    Some(rune) => out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes()),
                    None => {
                        return Err(
                            self.failure(&format!("Escaped character '\\u{code:04x}' is not valid UTF-8."))
                        );
                    }
                }
                return Ok(());
            }
            other => return Err(self.failure(&format!("invalid escape in string '\\{other}'"))),
        };
        out.push(byte);
        Ok(())
    }

    fn push(&mut self, out: &mut Vec<u8>, rune: char) {
        out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += rune.len_utf8();
    }
}

/// A date, a time, or both, with or without an offset.
fn date(text: &[u8]) -> Option<Value> {
    let mut normal: Vec<u8> = text.to_ascii_uppercase();
    if normal.get(10) == Some(&b' ') {
        normal[10] = b'T';
    }
    let local = |layout: &[u8], name: &str| {
        parse_time(layout, &normal).ok().map(|time| time.with_zone(Zone::Fixed(Arc::from(name), 0)))
    };
    parse_time(b"2006-01-02T15:04:05.999999999Z07:00", &normal)
        .ok()
        .or_else(|| parse_time(b"2006-01-02T15:04Z07:00", &normal).ok())
        .or_else(|| local(b"2006-01-02T15:04:05.999999999", "datetime-local"))
        .or_else(|| local(b"2006-01-02T15:04", "datetime-local"))
        .or_else(|| local(b"2006-01-02", "date-local"))
        .or_else(|| local(b"15:04:05.999999999", "time-local"))
        .or_else(|| local(b"15:04", "time-local"))
        .map(Time::into_value)
}
