//! The table of Go's types for built-in kinds; `data/types.go` makes it and says how it is written.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

static TEXT: &str = include_str!("../../data/kubernetes-types.txt");

/// Kinds and types by name; the fields of a type are read when they are needed.
pub(super) struct Table {
    kinds: HashMap<(&'static str, &'static str), &'static str>,
    types: HashMap<&'static str, &'static str>,
}

/// One field of a struct.
pub(super) struct Field {
    /// Name in JSON.
    pub name: &'static str,
    /// Expression of its type.
    pub kind: &'static str,
    when: char,
}

impl Table {
    /// The table, read once.
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(Self::read)
    }

    fn read() -> Self {
        let mut table = Self { kinds: HashMap::new(), types: HashMap::new() };
        for line in TEXT.lines() {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (name.strip_prefix('='), rest.split_once(' ')) {
                (Some(api_version), Some((kind, name))) => {
                    table.kinds.insert((api_version, kind), name);
                }
                _ => {
                    table.types.insert(name, rest);
                }
            }
        }
        table
    }

    /// The type of a kind.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&'static str> {
        self.kinds.get(&(api_version, kind)).copied()
    }

    /// The fields of a type.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = Field> {
        let fields = self.types.get(name).copied().unwrap_or_default();
        fields.split_ascii_whitespace().filter_map(|field| {
            let at = field.find(['!', '?', '~'])?;
            let when = field[at..].chars().next()?;
            Some(Field { name: &field[..at], kind: &field[at + 1..], when })
        })
    }
}

impl Field {
    /// True when Go leaves the field out because of its value. Structs are never left out.
    pub fn is_left_out(&self, value: &Value) -> bool {
        let is_struct = self.kind.starts_with(['@', 'q', 'n', 'r', 't', 'm', 'd']);
        match self.when {
            '?' if is_struct => false,
            '?' if self.kind.starts_with('*') => value.is_null(),
            '?' => is_empty(value),
            '~' => value.is_null(),
            _ => false,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
