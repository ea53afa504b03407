//! TOML as BurntSushi's decoder reads it, with its error texts.

use std::collections::HashSet;
use std::sync::Arc;

use crate::collection::{List, Map};
use crate::number::{NumberError, parse_float, parse_int};
use crate::quote::{quote, quote_rune};
use crate::text::{Text, decode_rune, is_invalid_rune};
use crate::time::{Time, Zone, parse_time};
use crate::types::MAPS;
use crate::unicode::is_letter;
use crate::value::Value;

const MAX_NESTING: usize = 1000;

/// The document as a map, or a map with the error's text at `Error`.
pub(super) fn from_toml(text: &[u8]) -> Value {
    let root = Map::new();
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        last_key: String::new(),
        root: root.clone(),
        closed: HashSet::new(),
        implicit: HashSet::new(),
    };
    if let Err(failure) = reader.document() {
        let key = if failure.key.is_empty() {
            String::new()
        } else {
            format!(" (last key {})", String::from_utf8_lossy(&quote(failure.key.as_bytes())))
        };
        let map = Map::new();
        map.insert("Error", Value::from(format!("toml: line {}{key}: {}", failure.line, failure.message)));
        return Value::Map(map);
    }
    Value::Map(root)
}

struct Failure {
    line: usize,
    key: String,
    message: String,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    last_key: String,
    root: Map,
    /// Tables and arrays that were written out, by address of the map and key, and may not be opened again.
    closed: HashSet<(usize, Text)>,
    /// Tables that exist only because a longer key passes through them.
    implicit: HashSet<(usize, Text)>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), Failure> {
        if let Some(rest) = self.text.strip_prefix("\u{feff}".as_bytes()) {
            self.text = rest;
        }
        if self.text.starts_with(&[0xff, 0xfe])
            || self.text.starts_with(&[0xfe, 0xff])
            || self.text.iter().take(6).any(|byte| *byte == 0)
        {
            return Err(self.failure(
                "files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8",
            ));
        }
        let mut table = self.root.clone();
        let mut path = Vec::new();
        loop {
            self.skip_space_and_lines()?;
            match self.peek()? {
                None => return Ok(()),
                Some('[') => {
                    self.at += 1;
                    (table, path) = self.header()?;
                }
                Some(_) => self.key_value(&table, &path)?,
            }
            self.skip_blanks();
            match self.peek()? {
                None => return Ok(()),
                Some('#') => self.comment()?,
                Some('\n') => {}
                Some('\r') if self.text.get(self.at + 1) == Some(&b'\n') => {}
                Some(rune) => {
                    return Err(self.failure(&format!(
                        "expected a top-level item to end with a newline, comment, or EOF, but got {} instead",
                        shown(rune)
                    )));
                }
            }
        }
    }

    /// `[a.b]` or `[[a.b]]`.
    fn header(&mut self) -> Result<(Map, Vec<Text>), Failure> {
        let is_array = self.take(b'[');
        let mut path = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek()? {
                None | Some(']') => {
                    return Err(self.failure("unexpected end of table name (table names cannot be empty)"));
                }
                Some('.') => {
                    return Err(self.failure("unexpected table separator (table names cannot be empty)"));
                }
                Some(_) => path.push(self.key_part()?),
            }
            self.skip_blanks();
            match self.peek()? {
                Some('.') => self.at += 1,
                Some(']') => {
                    self.at += 1;
                    break;
                }
                other => {
                    let rune = other.unwrap_or('\0');
                    return Err(self.failure(&format!(
                        "expected '.' or ']' to end table name, but got {} instead",
                        shown(rune)
                    )));
                }
            }
        }
        if is_array && !self.take(b']') {
            let rune = self.peek()?.unwrap_or('\0');
            return Err(self.failure(&format!(
                "expected end of table array name delimiter ']', but got {} instead",
                shown(rune)
            )));
        }
        self.last_key = joined(&path);
        let Some((name, parents)) = path.split_last() else { return Ok((self.root.clone(), path)) };
        let mut table = self.root.clone();
        for parent in parents {
            table = self.enter(&table, parent)?;
        }
        let place = (table.address(), name.clone());
        let opened = Map::new();
        if is_array {
            let mut items = match table.get(name) {
                None => Vec::new(),
                Some(Value::List(list)) if !self.closed.contains(&place) => list.to_vec(),
                Some(_) => {
                    return Err(self.failure(&format!(
                        "Key '{}' was already created and cannot be used as an array.",
                        joined(&path)
                    )));
                }
            };
            items.push(Value::Map(opened.clone()));
            table.insert(name.clone(), Value::List(List::with_type(&MAPS, items)));
            return Ok((opened, path));
        }
        match table.get(name) {
            None => {
                table.insert(name.clone(), Value::Map(opened.clone()));
                self.closed.insert(place);
                Ok((opened, path))
            }
            Some(Value::Map(existing)) if self.implicit.remove(&place) => {
                self.closed.insert(place);
                Ok((existing, path))
            }
            Some(_) => Err(self.failure(&format!("Key '{}' has already been defined.", joined(&path)))),
        }
    }

    /// The table that a part of a key passes through.
    fn enter(&mut self, table: &Map, name: &Text) -> Result<Map, Failure> {
        match table.get(name) {
            None => {
                let opened = Map::new();
                table.insert(name.clone(), Value::Map(opened.clone()));
                self.implicit.insert((table.address(), name.clone()));
                Ok(opened)
            }
            Some(Value::Map(existing)) => Ok(existing),
            Some(Value::List(list)) => match list.to_vec().pop() {
                Some(Value::Map(last)) => Ok(last),
                _ => Err(self.failure(&format!("Key '{name}' was already created as a hash."))),
            },
            Some(_) => Err(self.failure(&format!("Key '{}' has already been defined.", self.last_key))),
        }
    }

    fn key_value(&mut self, table: &Map, context: &[Text]) -> Result<(), Failure> {
        let path = self.dotted_key()?;
        let mut whole = context.to_vec();
        whole.extend(path.iter().cloned());
        self.last_key = joined(&whole);
        let value = self.value(0)?;
        self.last_key = joined(&whole);
        self.store(table, &path, value)
    }

    fn dotted_key(&mut self) -> Result<Vec<Text>, Failure> {
        let mut path = Vec::new();
        self.skip_blanks();
        match self.peek()? {
            None | Some('=') => return Err(self.failure("unexpected '=': key name appears blank")),
            Some('.') => return Err(self.failure("unexpected '.': keys cannot start with a '.'")),
            Some(_) => {}
        }
        loop {
            self.skip_blanks();
            match self.peek()? {
                None | Some('=') if !path.is_empty() => return Err(self.failure("unexpected '='")),
                Some('.') => return Err(self.failure("unexpected '.'")),
                _ => path.push(self.key_part()?),
            }
            self.skip_blanks();
            match self.peek()? {
                None => return Err(self.failure("unexpected EOF; expected key separator '='")),
                Some('.') => self.at += 1,
                Some('=') => {
                    self.at += 1;
                    return Ok(path);
                }
                Some(rune) => {
                    return Err(
                        self.failure(&format!("expected '.' or '=', but got {} instead", shown(rune)))
                    );
                }
            }
        }
    }

    fn key_part(&mut self) -> Result<Text, Failure> {
        match self.peek()? {
            Some('"') => {
                self.at += 1;
                self.basic_string()
            }
            Some('\'') => {
                self.at += 1;
                self.raw_string()
            }
            _ => {
                let start = self.at;
                while self
                    .text
                    .get(self.at)
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
                {
                    self.at += 1;
                }
                Ok(Text::from(&self.text[start..self.at]))
            }
        }
    }

    fn store(&mut self, table: &Map, path: &[Text], value: Value) -> Result<(), Failure> {
        let Some((name, parents)) = path.split_last() else { return Ok(()) };
        let mut table = table.clone();
        for parent in parents {
            if self.closed.contains(&(table.address(), parent.clone()))
                && !matches!(table.get(parent), Some(Value::Map(_)))
            {
                return Err(self.failure(&format!("Key '{}' has already been defined.", self.last_key)));
            }
            table = self.enter(&table, parent)?;
        }
        if table.contains_key(name) {
            return Err(self.failure(&format!("Key '{}' has already been defined.", self.last_key)));
        }
        self.closed.insert((table.address(), name.clone()));
        table.insert(name.clone(), value);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failure> {
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

    fn basic_string(&mut self) -> Result<Text, Failure> {
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

    fn raw_string(&mut self) -> Result<Text, Failure> {
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

    fn skip_blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn skip_space_and_lines(&mut self) -> Result<(), Failure> {
        loop {
            match self.peek()? {
                Some(' ' | '\t') => self.at += 1,
                Some('\r') if self.text.get(self.at + 1) == Some(&b'\n') => self.at += 1,
                Some('\n') => {
                    self.at += 1;
                    self.line += 1;
                }
                Some('#') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Failure> {
        while let Some(rune) = self.peek()? {
            if rune == '\n' {
                break;
            }
            self.at += rune.len_utf8();
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Result<Option<char>, Failure> {
        let (rune, width) = decode_rune(&self.text[self.at..]);
        if width == 0 {
            return Ok(None);
        }
        if is_invalid_rune(rune, width) {
            return Err(self.failure(&format!("invalid UTF-8 byte: 0x{:02x}", self.text[self.at])));
        }
        let is_control = rune < ' '
            && !matches!(rune, '\t' | '\n')
            && !(rune == '\r' && self.text.get(self.at + 1) == Some(&b'\n'))
            || rune == '\u{7f}';
        if is_control {
            return Err(self.failure(&format!(
                "TOML files cannot contain control characters: '0x{:02x}'",
                u32::from(rune)
            )));
        }
        Ok(Some(rune))
    }

    fn failure(&self, message: &str) -> Failure {
        Failure { line: self.line, key: self.last_key.clone(), message: message.to_owned() }
    }
}

fn shown(rune: char) -> String {
    String::from_utf8_lossy(&quote_rune(u32::from(rune), false)).into_owned()
}

fn joined(path: &[Text]) -> String {
    let parts: Vec<String> = path
        .iter()
        .map(|part| {
            let bare = !part.is_empty()
                && part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
            if bare { part.to_string() } else { format!("\"{part}\"") }
        })
        .collect();
    parts.join(".")
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
