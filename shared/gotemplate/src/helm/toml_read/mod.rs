//! TOML as BurntSushi's decoder reads it, with its error texts.

mod value;

use std::collections::HashSet;

use crate::collection::{List, Map};
use crate::text::{Text, decode_rune, is_invalid_rune};
use crate::types::MAPS;
use crate::value::Value;
use fluxide_gotext::{quote, quote_rune};

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
        let Some((name, parents)) = path.split_last() else { return Ok((self.root.clone(), path)) };
        let mut table = self.root.clone();
        for (at, parent) in parents.iter().enumerate() {
            let entered = self.enter(&table, parent);
            table = entered.map_err(|_| {
                let place = joined(&path[..=at]);
                self.failure(&format!("Key '{place}' was already created as a hash."))
            })?;
        }
        self.last_key = joined(parents);
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
            self.last_key = joined(&path);
            return Ok((opened, path));
        }
        let opened = match table.get(name) {
            None => {
                table.insert(name.clone(), Value::Map(opened.clone()));
                opened
            }
            Some(Value::Map(existing)) if self.implicit.remove(&place) => existing,
            Some(_) => {
                return Err(self.failure(&format!("Key '{}' has already been defined.", joined(&path))));
            }
        };
        self.closed.insert(place);
        self.last_key = joined(&path);
        Ok((opened, path))
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
