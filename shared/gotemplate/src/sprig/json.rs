//! JSON as Go writes and reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fluxide_goyaml::number::format_json_float;
use fluxide_goyaml::quote_json;

use super::argument::{ANY, STRING, item, text};
use crate::error::Error;
use crate::function::{Function, Functions};
use crate::object::Object;
use crate::text::{Text, runes};
use crate::value::Value;
use crate::value::walk::descend;

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "toJson",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            let json = to_json(item(a, 0), true, None).unwrap_or_default();
            call.charge(json.len())?;
            Ok(Value::from(json))
        }),
    );
    functions.insert(
        "mustToJson",
        Function::new(&[ANY], |_, a| Ok(Value::from(to_json(item(a, 0), true, None)?))),
    );
    functions.insert(
        "toPrettyJson",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            let json = to_json(item(a, 0), true, Some("  ")).unwrap_or_default();
            call.charge(json.len())?;
            Ok(Value::from(json))
        }),
    );
    functions.insert(
        "mustToPrettyJson",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            Ok(Value::from(to_json(item(a, 0), true, Some("  "))?))
        }),
    );
    functions.insert(
        "toRawJson",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            Ok(Value::from(to_json(item(a, 0), false, None)?))
        }),
    );
    functions.alias("mustToRawJson", "toRawJson");
    functions.insert(
        "fromJson",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            Ok(from_json(text(a, 0)).unwrap_or_default())
        }),
    );
    functions.insert(
        "mustFromJson",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            from_json(text(a, 0))
        }),
    );
}

/// `json.Marshal`, with or without the escapes for HTML, on one line or indented.
pub(crate) fn to_json(value: &Value, escapes_html: bool, indent: Option<&str>) -> Result<String, Error> {
    let mut writer = Writer { out: String::new(), escapes_html, indent };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer<'a> {
    out: String,
    escapes_html: bool,
    indent: Option<&'a str>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::Int(number, _) => self.out.push_str(&number.to_string()),
            Value::Uint(number, _) => self.out.push_str(&number.to_string()),
            Value::Float(number) => match format_json_float(*number) {
                Some(text) => self.out.push_str(&text),
                None => {
                    return Err(Error::new(format!(
                        "json: unsupported value: {}",
                        crate::format::format_float(*number, 'g', None)
                    )));
                }
            },
            Value::String(text) => self.string(text),
            Value::Bytes(bytes) => self.string(STANDARD.encode(bytes).as_bytes()),
            Value::List(list) if list.is_nil() => self.out.push_str("null"),
            Value::Map(map) if map.is_nil() => self.out.push_str("null"),
            Value::List(list) => descend(depth, || {
                self.members('[', ']', list.to_vec().into_iter().map(|item| (None, item)).collect(), depth)
            })?,
            Value::Map(map) => descend(depth, || {
                self.members(
                    '{',
                    '}',
                    map.entries().into_iter().map(|(key, value)| (Some(key), value)).collect(),
                    depth,
                )
            })?,
            Value::Object(object) => self.object(&**object, depth)?,
            Value::Complex(..) => return Err(Error::new("json: unsupported type: complex128")),
            Value::Function(_) => return Err(Error::new("json: unsupported type: func()")),
        }
        Ok(())
    }

    fn object(&mut self, object: &dyn Object, depth: usize) -> Result<(), Error> {
        if let Some(text) = object.json_text() {
            self.string(&text);
            return Ok(());
        }
        let members =
            object.json_fields().into_iter().map(|(key, value)| (Some(Text::from(key)), value)).collect();
        descend(depth, || self.members('{', '}', members, depth))
    }

    fn members(
        &mut self,
        open: char,
        close: char,
        members: Vec<(Option<Text>, Value)>,
        depth: usize,
    ) -> Result<(), Error> {
        self.out.push(open);
        let empty = members.is_empty();
        for (at, (key, value)) in members.into_iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.line_break(depth + 1);
            if let Some(key) = key {
                self.string(&key);
                self.out.push_str(if self.indent.is_some() { ": " } else { ":" });
            }
            self.value(&value, depth + 1)?;
        }
        if !empty {
            self.line_break(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line_break(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
    }

    fn string(&mut self, text: &[u8]) {
        match std::str::from_utf8(text) {
            Ok(text) => self.out.push_str(&quote_json(text, self.escapes_html)),
            Err(_) => {
                // Each invalid byte becomes an escape of its own.
                let mut quoted = String::new();
                for (_, rune, width) in runes(text) {
                    if crate::text::is_invalid_rune(rune, width) {
                        quoted.push_str("\\ufffd");
                    } else {
                        let one = quote_json(rune.encode_utf8(&mut [0; 4]), self.escapes_html);
                        quoted.push_str(&one[1..one.len() - 1]);
                    }
                }
                self.out.push('"');
                self.out.push_str(&quoted);
                self.out.push('"');
            }
        }
    }
}

/// `json.Unmarshal` into `interface {}`: every number is a float.
pub(crate) fn from_json(text: &[u8]) -> Result<Value, Error> {
    match from_json_leniently(text)? {
        (_, Some(error)) => Err(error),
        (value, None) => Ok(value),
    }
}

/// The same, but a number that no float can hold is nil, with the error beside the value.
pub(crate) fn from_json_leniently(text: &[u8]) -> Result<(Value, Option<Error>), Error> {
    let mut reader = Reader { text, at: 0, overflow: None };
    let value = reader.document()?;
    let error = reader.overflow.map(|number| {
        Error::new(format!("json: cannot unmarshal number {number} into Go value of type float64"))
    });
    Ok((value, error))
}

/// Why the first value of a text is no JSON, and how many bytes had been read by then.
pub(crate) fn first_json_error(text: &[u8]) -> Option<(usize, Error)> {
    let mut reader = Reader { text, at: 0, overflow: None };
    let error = reader.value(0).err()?;
    Some((reader.at + 1, error))
}

/// Whether a text is JSON, whatever its numbers.
pub(crate) fn check_json(text: &[u8]) -> Result<(), Error> {
    from_json_leniently(text).map(drop)
}

/// The name of a value's kind in Go's errors about JSON.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    /// The first number that no float can hold; the text is still checked to its end.
    overflow: Option<String>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Value, Error> {
        let value = self.value(0)?;
        self.skip_space();
        match self.text.get(self.at) {
            None => Ok(value),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.skip_space();
        match self.text.get(self.at) {
            Some(b'{') => self.nested(depth, Self::object),
            Some(b'[') => self.nested(depth, Self::array),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn nested(
        &mut self,
        depth: usize,
        read: fn(&mut Self, usize) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        self.at += 1;
        if depth >= 10_000 {
            return Err(Error::new("exceeded max depth"));
        }
        stacker::maybe_grow(64 * 1024, 1 << 20, || read(self, depth + 1))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        let map = crate::Map::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Map(map));
        }
        loop {
            self.skip_space();
            if self.text.get(self.at) != Some(&b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.unexpected("after object key"));
            }
            let value = self.value(depth)?;
            map.insert(key, value);
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Map(map));
            }
            if !self.take(b',') {
                return Err(self.unexpected("after object key:value pair"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::from(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::from(items));
            }
            if !self.take(b',') {
                return Err(self.unexpected("after array element"));
            }
        }
    }

    fn string(&mut self) -> Result<Text, Error> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.text.get(self.at) {
                None => return Err(self.unexpected("")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::from(String::from_utf8_lossy(&out)));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(0..=0x1f) => return Err(self.unexpected("in string literal")),
                Some(byte) => {
                    out.push(*byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let byte = match self.text.get(self.at) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let unit = self.hexadecimal()?;
                let mut rune = char::from_u32(unit);
                if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with(b"\\u") {
                    let before = self.at;
                    self.at += 2;
                    let low = self.hexadecimal()?;
                    if (0xdc00..0xe000).contains(&low) {
                        rune = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                    } else {
                        self.at = before;
                    }
                }
                out.extend_from_slice(
                    rune.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes(),
                );
                return Ok(());
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        out.push(byte);
        self.at += 1;
        Ok(())
    }

    fn hexadecimal(&mut self) -> Result<u32, Error> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.at).and_then(|byte| char::from(*byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, Error> {
        for expected in word.bytes() {
            if !self.take(expected) {
                return Err(
                    self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(expected)))
                );
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Error> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.unexpected("in numeric literal"));
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(self.unexpected("after decimal point in numeric literal"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
        }
        let number = String::from_utf8_lossy(&self.text[start..self.at]);
        let value: f64 = number.parse().unwrap_or(f64::INFINITY);
        if value.is_infinite() {
            self.overflow.get_or_insert_with(|| number.into_owned());
            return Ok(Value::Nil);
        }
        Ok(Value::Float(value))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, context: &str) -> Error {
        let Some(byte) = self.text.get(self.at) else {
            return Error::new("unexpected end of JSON input");
        };
        let shown = match byte {
            b'\'' => "'\\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            other => {
                let quoted = fluxide_gotext::quote(char::from(*other).encode_utf8(&mut [0; 4]).as_bytes());
                format!("'{}'", String::from_utf8_lossy(&quoted[1..quoted.len() - 1]))
            }
        };
        Error::new(format!("invalid character {shown} {context}"))
    }
}
