//! Validation of objects in Kubernetes' own error words.

pub(crate) mod addresses;
pub(crate) mod builtin;
mod diff;
pub(crate) mod formats;
pub(crate) mod internal;
pub(crate) mod metadata;
pub(crate) mod names;
mod pem;
pub(crate) mod signing_request;

use serde_json::Value;

use crate::api_error::{FieldError, FieldErrorKind};

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// An invalid value that the server prints in another form than its JSON in the API.
pub(crate) fn invalid_text(field: impl Into<String>, value: &str, detail: &str) -> FieldError {
    let detail = if detail.is_empty() { value.to_owned() } else { format!("{value}: {detail}") };
    FieldError { kind: FieldErrorKind::Invalid, field: field.into(), value: None, detail }
}

/// The JSON of an object with its members in this order; absent members stay away.
pub(crate) fn ordered_text(v: &Value, order: &[&str]) -> String {
    let members = order.iter().filter_map(|name| Some(format!("\"{name}\":{}", v.get(*name)?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
