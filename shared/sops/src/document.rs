//! What all formats have in common: ordered trees of values and comments.

/// A file: one tree of entries for each document in it. Only YAML has more than one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The root mappings.
    pub branches: Vec<Vec<Entry>>,
}

/// One thing in a mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A comment without its mark.
    Comment(String),
    /// A key and its value.
    Pair(String, Value),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    String(String),
    /// A point in time, in RFC 3339.
    Time(String),
    /// Bytes that need not be text.
    Bytes(Vec<u8>),
    /// A comment between the items of a list.
    Comment(String),
    /// A list.
    List(Vec<Value>),
    /// A mapping.
    Map(Vec<Entry>),
}

impl Document {
    /// The value of a key of the first document.
    pub fn get(&self, key: &str) -> Option<&Value> {
        get(self.branches.first()?, key)
    }
}

/// The value of a key of a mapping.
pub(crate) fn get<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Value> {
    entries.iter().find_map(|entry| match entry {
        Entry::Pair(name, value) if name == key => Some(value),
        _ => None,
    })
}

impl Value {
    /// The name of the type, as Go names it in SOPS's messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Time(_) => "time.Time",
            Self::Bytes(_) => "[]uint8",
            Self::Comment(_) => "sops.Comment",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "sops.TreeBranch",
        }
    }

    /// The bytes of a leaf that the MAC is made of.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Bool(value) => if *value { "True" } else { "False" }.into(),
            Self::Int(value) => value.to_string().into_bytes(),
            Self::Float(value) => plain_float(*value).into_bytes(),
            Self::String(text) | Self::Time(text) => text.clone().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Null | Self::Comment(_) | Self::List(_) | Self::Map(_) => return None,
        })
    }
}

/// The shortest decimal form without an exponent.
fn plain_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}
