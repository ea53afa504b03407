//! TOML as BurntSushi's encoder writes it.

use fluxide_goyaml::number::format_float;

use crate::collection::List;
use crate::error::Error;
use crate::object::Object;
use crate::text::Text;
use crate::value::Value;
use crate::value::walk::descend;

/// Why a value cannot be written.
pub(super) struct TomlError {
    pub(super) error: Error,
    /// The encoder itself fails, instead of refusing the value.
    pub(super) is_panic: bool,
}

impl From<Error> for TomlError {
    fn from(error: Error) -> TomlError {
        TomlError { error, is_panic: true }
    }
}

fn refused(message: &str) -> TomlError {
    TomlError { error: Error::new(message), is_panic: false }
}

/// Encodes a value.
pub(super) fn to_toml(value: &Value) -> Result<Vec<u8>, TomlError> {
    if matches!(value, Value::Nil) {
        return Err(Error::new("reflect: call of reflect.Value.Type on zero Value").into());
    }
    let mut writer = Writer { out: Vec::new() };
    writer.encode(&[], value)?;
    Ok(writer.out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TomlType {
    Table,
    TableArray,
    Other,
}

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn encode(&mut self, key: &[Text], value: &Value) -> Result<(), TomlError> {
        match value {
            Value::Nil => Ok(()),
            Value::Map(map) if map.is_nil() => Ok(()),
            Value::Map(_) => self.table(key, value),
            Value::Object(object) if object.json_text().is_none() => self.table(key, value),
            Value::List(list) if type_of(value)? == Some(TomlType::TableArray) => {
                self.array_of_tables(key, list)
            }
            Value::Function(_) => {
                Err(refused(&format!("unsupported type for key '{}': func", shown_key(key))))
            }
            Value::Complex(..) => {
                Err(refused(&format!("unsupported type for key '{}': complex128", shown_key(key))))
            }
            _ => self.key_value(key, value, false),
        }
    }

    fn table(&mut self, key: &[Text], value: &Value) -> Result<(), TomlError> {
        if key.len() == 1 {
            self.newline();
        }
        if !key.is_empty() {
            self.indent(key);
            self.out.push(b'[');
            self.out.extend_from_slice(shown_key(key).as_bytes());
            self.out.push(b']');
            self.newline();
        }
        self.members(key, value, false)
    }

    fn array_of_tables(&mut self, key: &[Text], list: &List) -> Result<(), TomlError> {
        if key.is_empty() {
            return Err(refused("toml: top-level values must be Go maps or structs"));
        }
        for table in list.to_vec() {
            if table.is_nil() {
                continue;
            }
            self.newline();
            self.indent(key);
            self.out.extend_from_slice(b"[[");
            self.out.extend_from_slice(shown_key(key).as_bytes());
            self.out.extend_from_slice(b"]]");
            self.newline();
            self.members(key, &table, false)?;
        }
        Ok(())
    }

    fn members(&mut self, key: &[Text], value: &Value, inline: bool) -> Result<(), TomlError> {
        let depth = key.len();
        let entries = match value {
            Value::Map(map) => map.entries(),
            Value::Object(object) => {
                object.fields().into_iter().map(|(name, value)| (Text::from(name), value)).collect()
            }
            _ => Vec::new(),
        };
        let mut direct = Vec::new();
        let mut tables = Vec::new();
        for entry in entries {
            match type_of(&entry.1)? {
                Some(TomlType::Table | TomlType::TableArray) => tables.push(entry),
                _ => direct.push(entry),
            }
        }
        if inline {
            self.out.push(b'{');
        }
        let has_tables = !tables.is_empty();
        for (group, trailing_comma) in [(direct, has_tables), (tables, false)] {
            let last = group.len().saturating_sub(1);
            for (at, (name, value)) in group.into_iter().enumerate() {
                if value.is_nil() {
                    continue;
                }
                if inline {
                    self.key_value(&[name], &value, true)?;
                    if trailing_comma || at != last {
                        self.out.extend_from_slice(b", ");
                    }
                } else {
                    let mut path = key.to_vec();
                    path.push(name);
                    nested(depth, || self.encode(&path, &value))?;
                }
            }
        }
        if inline {
            self.out.push(b'}');
        }
        Ok(())
    }

    fn key_value(&mut self, key: &[Text], value: &Value, inline: bool) -> Result<(), TomlError> {
        let Some(name) = key.last() else {
            return self.element(value, 0);
        };
        self.indent(key);
        self.out.extend_from_slice(quoted_key(name).as_bytes());
        self.out.extend_from_slice(b" = ");
        self.element(value, 0)?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<(), TomlError> {
        match value {
            Value::Nil => {
                return Err(
                    Error::new("runtime error: invalid memory address or nil pointer dereference").into()
                );
            }
            Value::String(text) => self.quoted(text),
            Value::Bool(truth) => self.out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Value::Int(number, crate::types::IntType::Duration) => {
                self.quoted(crate::time::format_duration(*number).as_bytes())
            }
            Value::Int(number, _) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Uint(number, _) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(number) => self.out.extend_from_slice(float_text(*number).as_bytes()),
            Value::Bytes(_) | Value::List(_) => {
                let items = value.elements().unwrap_or_default();
                self.out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        self.out.extend_from_slice(b", ");
                    }
                    nested(depth, || self.element(item, depth + 1))?;
                }
                self.out.push(b']');
            }
            Value::Map(_) => nested(depth, || self.members(&[], value, true))?,
            Value::Object(object) => return self.object(&**object, value, depth),
            Value::Complex(..) => return Err(refused("unexpected type: complex128")),
            Value::Function(_) => return Err(refused("unexpected type: func()")),
        }
        Ok(())
    }

    fn object(&mut self, object: &dyn Object, value: &Value, depth: usize) -> Result<(), TomlError> {
        match object.json_text() {
            Some(text) if object.type_name() == "time.Time" => self.out.extend_from_slice(&text),
            Some(text) => self.quoted(&text),
            None => nested(depth, || self.members(&[], value, true))?,
        }
        Ok(())
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.extend_from_slice(quoted(text).as_slice());
    }

    fn indent(&mut self, key: &[Text]) {
        for _ in 1..key.len() {
            self.out.extend_from_slice(b"  ");
        }
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }
}

fn nested<T>(depth: usize, step: impl FnOnce() -> Result<T, TomlError>) -> Result<T, TomlError> {
    let mut failure = None;
    let result = descend(depth, || {
        step().map_err(|error| {
            let text = error.error.clone();
            failure = Some(error);
            text
        })
    });
    result.map_err(|error| failure.unwrap_or(TomlError { error, is_panic: true }))
}

/// What a value becomes; `None` for nil.
fn type_of(value: &Value) -> Result<Option<TomlType>, TomlError> {
    Ok(Some(match value {
        Value::Nil => return Ok(None),
        Value::Map(map) if map.is_nil() => return Ok(None),
        Value::List(list) if list.is_nil() => return Ok(None),
        Value::Map(_) => TomlType::Table,
        Value::Object(object) if object.json_text().is_none() => TomlType::Table,
        Value::List(list) => {
            let mut all_tables = !list.is_empty();
            for item in list.to_vec() {
                match nested(0, || type_of(&item))? {
                    None => return Err(refused("toml: cannot encode array with nil element")),
                    Some(TomlType::Table) => {}
                    Some(_) => all_tables = false,
                }
            }
            if all_tables { TomlType::TableArray } else { TomlType::Other }
        }
        Value::Complex(..) => return Err(refused("unsupported type: complex128")),
        Value::Function(_) => return Err(refused("unsupported type: func")),
        _ => TomlType::Other,
    }))
}

fn float_text(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let text = format_float(number);
    if text.contains(['e', '.']) { text } else { format!("{text}.0") }
}

fn shown_key(key: &[Text]) -> String {
    key.iter().map(quoted_key).collect::<Vec<_>>().join(".")
}

fn quoted_key(name: &Text) -> String {
    let is_bare = !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_string() } else { String::from_utf8_lossy(&quoted(name)).into_owned() }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x1f | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            other => out.push(*other),
        }
    }
    out.push(b'"');
    out
}
