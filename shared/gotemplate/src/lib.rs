//! Go's `text/template` in Rust: the language, the functions of sprig, and Helm's own.
//!
//! A template gives here what it gives in Go, byte for byte, and fails with Go's words: values have Go's types (a number
//! from YAML is a `float64`, and `eq .Values.port 8080` is an error), nil follows Go's rules, `printf` has every verb.
//!
//! ```
//! use fluxide_gotemplate::{Limits, Map, MissingKey, Session, Templates, Value, sprig};
//!
//! let mut templates = Templates::new("mail", sprig::functions(), MissingKey::Invalid);
//! templates.parse("greeting", r#"{{ define "name" }}{{ .first | title }}{{ end }}Hello {{ template "name" . }}!"#)?;
//!
//! let person = Map::new();
//! person.insert("first", Value::from("ada"));
//! let text = templates.execute("greeting", &Value::Map(person), &mut Session::new(Limits::default()))?;
//! assert_eq!(text, b"Hello Ada!");
//!
//! let error = templates.parse("bad", "{{ if }}").unwrap_err();
//! assert_eq!(error.to_string(), "template: bad:1: missing value for if");
//! # Ok::<(), fluxide_gotemplate::Error>(())
//! ```
//!
//! - [`Templates`] is a set of associated templates, parsed once and cheap to clone; executing takes data and a session.
//! - [`Session`] is one rendering: its [`Limits`], so that a hostile template ends in an error, its clock and its random
//!   source, which are handed in, and the services that functions use. Nothing else is reached from a template: no files,
//!   no environment, no network.
//! - [`Value`] is a Go value. Maps and lists are references, as in Go: what `set` changes, every holder sees.
//! - [`Function`] and [`Functions`] add functions of your own, with the checks of arity and types that Go makes;
//!   [`Object`], [`MapType`] and [`ListType`] give values methods.
//! - [`sprig`] and [`helm`] are the function libraries.

mod collection;
mod crypto;
mod error;
mod exec;
mod format;
mod function;
pub mod go;
pub mod helm;
mod number;
mod object;
mod parse;
mod regexp;
mod session;
pub mod sprig;
mod template;
mod text;
mod time;
pub mod types;
mod value;

pub use collection::{List, Map};
pub use error::Error;
pub use format::write_value as print;
pub use function::{Body, Call, Function, Functions, Method, MethodBody};
pub use object::Object;
pub use regexp::syntax_error as regular_expression_error;
pub use session::{Limits, Session};
pub use template::{MissingKey, Templates};
pub use text::{Runes, Text, decode_rune, is_invalid_rune, runes};
pub use types::{
    ANY_LIST, ANY_MAP, INTS, IntType, Kind, LISTS, ListType, MAPS, MapType, STRING_MAP, STRINGS, Type,
    UintType,
};
pub use value::Value;
