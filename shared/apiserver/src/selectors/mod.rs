//! Label and field selectors: parsing with the server's error texts, and matching.

mod fields;
mod labels;

pub(crate) use fields::{FieldSelector, field_selector};
pub(crate) use labels::{LabelSelector, selector_text, validate_label_value};
