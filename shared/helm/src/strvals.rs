//! `--set` and its family: values written in one line, `a.b=1,list[0]=x,names={p,q}`.

use fluxide_goyaml::Value;
use thiserror::Error;

use crate::json::without_lone_surrogates;
use crate::values::Table;
use fluxide_gotext::{quote_char, quote_str};

/// The largest index of a list.
const MAX_INDEX: usize = 65_536;
/// How deep a name may nest.
const MAX_NESTED_NAMES: usize = 30;
/// How deep lists may lie in lists. Go's parser has no limit here.
const MAX_NESTED_LISTS: usize = 100;
/// How many places all lists of one line may have. Go's parser has no limit here.
const MAX_PLACES: usize = 1 << 20;

/// Why a line cannot be read. The texts are Helm's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SetError(String);

/// `--set`: `true`, `false`, `null` and integers are typed, anything else is text.
///
/// ```
/// use fluxide_helm::{strvals, values::Table};
/// let mut values = Table::new();
/// strvals::set(r"image.tag=v1,ports={80,443},a\.b=x", &mut values)?;
/// assert_eq!(values.keys().collect::<Vec<_>>(), ["a.b", "image", "ports"]);
/// # Ok::<(), strvals::SetError>(())
/// ```
pub fn set(line: &str, values: &mut Table) -> Result<(), SetError> {
    Parser::new(line, Reader::Typed).run(values)
}

/// `--set-string`: every value is text.
pub fn set_string(line: &str, values: &mut Table) -> Result<(), SetError> {
    Parser::new(line, Reader::Text).run(values)
}

/// `--set-file`: every value is a path; `read` gives the content that takes its place.
pub fn set_file(
    line: &str,
    values: &mut Table,
    mut read: impl FnMut(&str) -> Result<String, String>,
) -> Result<(), SetError> {
    Parser::new(line, Reader::File(&mut read)).run(values)
}

/// `--set-json` in the form `key=json,...`. Helm takes a line that begins with `{` for a whole table instead.
pub fn set_json(line: &str, values: &mut Table) -> Result<(), SetError> {
    Parser::new(line, Reader::Json).run(values)
}

/// `--set-literal`: the text after `=` up to the end is the value, commas and all.
pub fn set_literal(line: &str, values: &mut Table) -> Result<(), SetError> {
    Parser::new(line, Reader::Literal).run(values)
}

/// Puts a value at a path, as Flux does for `valuesFrom[].targetPath`.
///
/// A value in quotes is text; `literal` makes any value text, with every character as it is.
pub fn set_path(values: &mut Table, path: &str, value: &str, literal: bool) -> Result<(), SetError> {
    if literal {
        let mut escaped = String::with_capacity(value.len());
        for character in value.chars() {
            if matches!(character, '\\' | ',' | '[' | ']' | '{' | '}') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        return set_string(&format!("{path}={escaped}"), values);
    }
    let quoted = |quote: char| value.starts_with(quote) && value.ends_with(quote);
    if quoted('\'') || quoted('"') {
        return set_string(&format!("{path}={}", value.trim_matches(['\'', '"'])), values);
    }
    set(&format!("{path}={value}"), values)
}

/// What becomes of the text after `=`.
enum Reader<'r> {
    Typed,
    Text,
    File(&'r mut dyn FnMut(&str) -> Result<String, String>),
    Json,
    Literal,
}

struct Parser<'r> {
    line: Vec<char>,
    at: usize,
    reader: Reader<'r>,
    lists: usize,
    places: usize,
}

/// Why reading stopped: the line ended, which is no error wherever it happens, or something is wrong.
enum Stop {
    End,
    Failed(String),
}

type Step<T> = Result<T, Stop>;

fn fail<T>(message: impl Into<String>) -> Step<T> {
    Err(Stop::Failed(message.into()))
}

impl<'r> Parser<'r> {
    fn new(line: &str, reader: Reader<'r>) -> Parser<'r> {
        Parser { line: line.chars().collect(), at: 0, reader, lists: 0, places: 0 }
    }

    fn run(mut self, values: &mut Table) -> Result<(), SetError> {
        loop {
            match self.key(values, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Failed(message)) => return Err(SetError(message)),
            }
        }
    }

    fn literal(&self) -> bool {
        matches!(self.reader, Reader::Literal)
    }

    /// One name with its value.
    fn key(&mut self, table: &mut Table, nested: usize) -> Step<()> {
        let stops: &[char] = if self.literal() { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (name, stop) = self.until(stops);
        match stop {
            None if name.is_empty() => Err(Stop::End),
            None => fail(format!("key {} has no value", quote_str(&name))),
            Some('[') => {
                let index = self.index().map_err(in_index)?;
                let mut list = match table.get_mut(&name) {
                    None => Vec::new(),
                    Some(Value::Array(list)) => std::mem::take(list),
                    Some(other) => return fail(wrong_type(other, "[]interface {}")),
                };
                let result = self.item(&mut list, index, nested);
                assign(table, name, Value::Array(list));
                result
            }
            Some('=') => self.value_of(table, name),
            Some(',') => {
                let message = format!("key {} has no value (cannot end with ,)", quote_str(&name));
                assign(table, name, Value::String(String::new()));
                fail(message)
            }
            Some(_) => {
                if nested + 1 > MAX_NESTED_NAMES {
                    return fail(format!(
                        "value name nested level is greater than maximum supported nested level of {MAX_NESTED_NAMES}"
                    ));
                }
                let mut inner = match table.get_mut(&name) {
                    None => Table::new(),
                    Some(Value::Object(inner)) => std::mem::take(inner),
                    Some(other) => return fail(wrong_type(other, "map[string]interface {}")),
                };
                let result = self.key(&mut inner, nested + 1);
                if result.is_ok() && inner.is_empty() {
                    return fail(format!("key map {} has no value", quote_str(&name)));
                }
                if !inner.is_empty() || table.contains_key(&name) {
                    assign(table, name, Value::Object(inner));
                }
                result
            }
        }
    }

    /// The value after `name=`.
    fn value_of(&mut self, table: &mut Table, name: String) -> Step<()> {
        match self.reader {
            Reader::Literal => {
                let text = self.rest();
                assign(table, name, Value::String(text));
                Ok(())
            }
            Reader::Json => {
                if self.skip_empty() {
                    assign(table, name, Value::Null);
                    return Ok(());
                }
                let value = self.json()?;
                assign(table, name, value);
                self.skip_empty();
                Ok(())
            }
            _ => match self.braced()? {
                Braced::List(list) => {
                    assign(table, name, Value::Array(list));
                    Ok(())
                }
                Braced::End => {
                    assign(table, name, Value::String(String::new()));
                    Err(Stop::End)
                }
                Braced::Scalar => {
                    let text = self.until(&[',']).0;
                    let value = self.scalar(text)?;
                    assign(table, name, value);
                    Ok(())
                }
            },
        }
    }

    /// The number between the brackets.
    fn index(&mut self) -> Step<i64> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return Err(Stop::End);
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
        let syntax = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match (syntax, text.parse::<i64>()) {
            (true, Ok(index)) => Ok(index),
            (true, Err(_)) => fail(format!("strconv.Atoi: parsing {}: value out of range", quote_str(&text))),
            (false, _) => fail(format!("strconv.Atoi: parsing {}: invalid syntax", quote_str(&text))),
        }
    }

    /// What follows `name[index]`.
    fn item(&mut self, list: &mut Vec<Value>, index: i64, nested: usize) -> Step<()> {
        if index < 0 {
            return fail(format!("negative {index} index not allowed"));
        }
        let index = index as usize;
        let (text, stop) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            let quoted: Vec<String> = text.chars().map(quote_char).collect();
            return fail(format!("unexpected data at end of array index: [{}]", quoted.join(" ")));
        }
        match stop {
            None => Err(Stop::End),
            Some('=') => self.item_value(list, index),
            Some('[') => {
                let next = self.index().map_err(in_index)?;
                self.lists += 1;
                if self.lists > MAX_NESTED_LISTS {
                    return fail(format!(
                        "lists are nested deeper than the supported {MAX_NESTED_LISTS} levels"
                    ));
                }
                let mut inner = match list.get_mut(index) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(inner)) => inner.clone(),
                    Some(other) => return fail(wrong_type(other, "[]interface {}")),
                };
                self.item(&mut inner, next, nested)?;
                self.lists -= 1;
                self.place(list, index, Value::Array(inner))
            }
            Some(_) => {
                let mut inner = match list.get_mut(index) {
                    Some(Value::Object(inner)) => std::mem::take(inner),
                    _ => Table::new(),
                };
                let result = self.key(&mut inner, nested);
                match result {
                    Ok(()) => self.place(list, index, Value::Object(inner)),
                    Err(stop) => {
                        if let Some(place) = list.get_mut(index) {
                            *place = Value::Object(inner);
                        }
                        Err(stop)
                    }
                }
            }
        }
    }

    fn item_value(&mut self, list: &mut Vec<Value>, index: usize) -> Step<()> {
        let value = match self.reader {
            Reader::Literal => Value::String(self.rest()),
            Reader::Json => {
                if self.skip_empty() {
                    return self.place(list, index, Value::Null);
                }
                let value = self.json()?;
                self.place(list, index, value)?;
                self.skip_empty();
                return Ok(());
            }
            _ => match self.braced()? {
                Braced::List(items) => Value::Array(items),
                Braced::End => Value::String(String::new()),
                Braced::Scalar => {
                    let text = self.until(&[',']).0;
                    self.scalar(text)?
                }
            },
        };
        self.place(list, index, value)
    }

    fn place(&mut self, list: &mut Vec<Value>, index: usize, value: Value) -> Step<()> {
        if index > MAX_INDEX {
            return fail(format!("index of {index} is greater than maximum supported index of {MAX_INDEX}"));
        }
        if list.len() <= index {
            self.places += index + 1 - list.len();
            if self.places > MAX_PLACES {
                return fail(format!("lists have more than the supported {MAX_PLACES} places"));
            }
            list.resize(index + 1, Value::Null);
        }
        list[index] = value;
        Ok(())
    }

    /// A list in braces, when one follows.
    fn braced(&mut self) -> Step<Braced> {
        match self.line.get(self.at) {
            None => return Ok(Braced::End),
            Some('{') => self.at += 1,
            Some(_) => return Ok(Braced::Scalar),
        }
        let mut list = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            match stop {
                None => return fail("list must terminate with '}'"),
                Some('}') => {
                    if self.line.get(self.at) == Some(&',') {
                        self.at += 1;
                    }
                    list.push(self.scalar(text)?);
                    return Ok(Braced::List(list));
                }
                Some(_) => {
                    let value = self.scalar(text)?;
                    list.push(value);
                }
            }
        }
    }

    fn scalar(&mut self, text: String) -> Step<Value> {
        match &mut self.reader {
            Reader::Typed => Ok(typed(text)),
            Reader::File(read) => match read(&text) {
                Ok(content) => Ok(Value::String(content)),
                Err(message) => fail(message),
            },
            _ => Ok(Value::String(text)),
        }
    }

    /// Skips blanks; true when a comma or the end follows, which is consumed.
    fn skip_empty(&mut self) -> bool {
        while let Some(&character) = self.line.get(self.at) {
            if character != ',' && !character.is_whitespace() {
                return false;
            }
            self.at += 1;
            if character == ',' {
                return true;
            }
        }
        true
    }

    fn json(&mut self) -> Step<Value> {
        let text: String = self.line[self.at..].iter().collect();
        let repaired = without_lone_surrogates(text.as_bytes());
        let mut stream = serde_json::Deserializer::from_slice(&repaired).into_iter::<serde_json::Value>();
        match stream.next() {
            Some(Ok(value)) => {
                self.at += text[..stream.byte_offset()].chars().count();
                Ok(floats(Value::from(value)))
            }
            Some(Err(error)) => fail(json_error(&text, &error)),
            None => Err(Stop::End),
        }
    }

    fn rest(&mut self) -> String {
        let text = self.line[self.at.min(self.line.len())..].iter().collect();
        self.at = self.line.len();
        text
    }

    /// The text up to one of the characters, which is consumed; `None` at the end of the line.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(&character) = self.line.get(self.at) {
            self.at += 1;
            if stops.contains(&character) {
                return (text, Some(character));
            }
            if character == '\\' && !self.literal() {
                match self.line.get(self.at) {
                    None => return (text, None),
                    Some(&next) => text.push(next),
                }
                self.at += 1;
            } else {
                text.push(character);
            }
        }
        (text, None)
    }
}

enum Braced {
    List(Vec<Value>),
    Scalar,
    End,
}

/// An empty name is read and dropped.
fn assign(table: &mut Table, name: String, value: Value) {
    if !name.is_empty() {
        table.insert(name, value);
    }
}

fn typed(text: String) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return Value::Int(0);
    }
    // What starts with a zero stays text: it may be an identifier.
    if !text.is_empty()
        && !text.starts_with('0')
        && let Ok(number) = text.parse()
    {
        return Value::Int(number);
    }
    Value::String(text)
}

fn in_index(stop: Stop) -> Stop {
    match stop {
        Stop::End => Stop::End,
        Stop::Failed(message) => Stop::Failed(format!("error parsing index: {message}")),
    }
}

fn wrong_type(value: &Value, wanted: &str) -> String {
    let found = match value {
        Value::Null => {
            return format!("unable to parse key: interface conversion: interface {{}} is nil, not {wanted}");
        }
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    format!("unable to parse key: interface conversion: interface {{}} is {found}, not {wanted}")
}

/// JSON numbers are floats, as Go reads them.
fn floats(value: Value) -> Value {
    match value {
        Value::Int(number) => Value::Float(number as f64),
        Value::Uint(number) => Value::Float(number as f64),
        Value::Array(items) => Value::Array(items.into_iter().map(floats).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, floats(value))).collect())
        }
        other => other,
    }
}

/// Reads JSON as Go does: numbers are floats, and half a character is U+FFFD. `None` when it is no JSON.
pub fn parse_json(text: &str) -> Option<Value> {
    let json = serde_json::from_slice::<serde_json::Value>(&without_lone_surrogates(text.as_bytes())).ok()?;
    fluxide_goyaml::sigs::go_floats(Value::from(json)).ok()
}

/// The error in the words of Go's `encoding/json`.
fn json_error(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".to_owned();
    }
    let shown = error.to_string();
    let place = if shown.starts_with("expected `,` or `}`") {
        "after object key:value pair"
    } else if shown.starts_with("expected `,` or `]`") {
        "after array element"
    } else if shown.starts_with("key must be a string") {
        "looking for beginning of object key string"
    } else if shown.starts_with("expected `:`") {
        "after object key"
    } else if shown.starts_with("expected ident") {
        "in literal"
    } else if shown.starts_with("trailing") {
        "after top-level value"
    } else {
        "looking for beginning of value"
    };
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let found = line.get(error.column().saturating_sub(1)..).and_then(|rest| rest.chars().next());
    match found {
        Some(character) => format!("invalid character {} {place}", quote_char(character)),
        None => "unexpected EOF".to_owned(),
    }
}
