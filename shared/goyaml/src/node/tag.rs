//! The standard tags in short form.

/// `null`.
pub const NULL: &str = "!!null";
/// Booleans.
pub const BOOL: &str = "!!bool";
/// Strings.
pub const STR: &str = "!!str";
/// Integers.
pub const INT: &str = "!!int";
/// Floating-point numbers.
pub const FLOAT: &str = "!!float";
/// Timestamps.
pub const TIMESTAMP: &str = "!!timestamp";
/// Sequences.
pub const SEQ: &str = "!!seq";
/// Mappings.
pub const MAP: &str = "!!map";
/// Base64 data.
pub const BINARY: &str = "!!binary";
/// The merge key `<<`.
pub const MERGE: &str = "!!merge";

/// A tag in one byte; the text of one that is not standard is kept apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    None,
    Null,
    Bool,
    Str,
    Int,
    Float,
    Timestamp,
    Seq,
    Map,
    Binary,
    Merge,
    Other,
}

impl Tag {
    pub(super) fn of(text: &str) -> Tag {
        match text {
            "" => Tag::None,
            NULL => Tag::Null,
            BOOL => Tag::Bool,
            STR => Tag::Str,
            INT => Tag::Int,
            FLOAT => Tag::Float,
            TIMESTAMP => Tag::Timestamp,
            SEQ => Tag::Seq,
            MAP => Tag::Map,
            BINARY => Tag::Binary,
            MERGE => Tag::Merge,
            _ => Tag::Other,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Tag::None | Tag::Other => "",
            Tag::Null => NULL,
            Tag::Bool => BOOL,
            Tag::Str => STR,
            Tag::Int => INT,
            Tag::Float => FLOAT,
            Tag::Timestamp => TIMESTAMP,
            Tag::Seq => SEQ,
            Tag::Map => MAP,
            Tag::Binary => BINARY,
            Tag::Merge => MERGE,
        }
    }
}
