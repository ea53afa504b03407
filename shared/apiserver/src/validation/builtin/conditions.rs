//! Conditions of the kind that all new types share.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{integer, items, member, string};
use crate::api_error::FieldError;

const LONGEST_REASON: usize = 1024;
const LONGEST_MESSAGE: usize = 32 * 1024;
const REASON: &str = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?";

/// Checks the conditions of a status.
pub(super) fn validate(status: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, condition) in items(status, "conditions").iter().enumerate() {
        let kind = string(condition, "type");
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(format!("{path}[{index}].type"), kind));
        }
    }
    for (index, condition) in items(status, "conditions").iter().enumerate() {
        one(condition, &format!("{path}[{index}]"), errors);
    }
}

fn one(condition: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let kind = string(condition, "type");
    for m in super::super::names::qualified_name(kind) {
        errors.push(FieldError::invalid(format!("{path}.type"), kind, m));
    }
    let status = string(condition, "status");
    if !matches!(status, "True" | "False" | "Unknown") {
        let supported = ["False", "True", "Unknown"];
        errors.push(FieldError::not_supported(format!("{path}.status"), status, &supported));
    }
    let generation = integer(condition, "observedGeneration");
    if generation < 0 {
        let why = "must be greater than or equal to zero";
        errors.push(FieldError::invalid(format!("{path}.observedGeneration"), generation, why));
    }
    if member(condition, "lastTransitionTime").is_none() {
        errors.push(FieldError::required(format!("{path}.lastTransitionTime"), ""));
    }
    let (at, reason) = (format!("{path}.reason"), string(condition, "reason"));
    if reason.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        if !is_reason(reason) {
            let why = format!(
                "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
                 characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  \
                 or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '{REASON}')"
            );
            errors.push(FieldError::invalid(&at, reason, why));
        }
        if reason.len() > LONGEST_REASON {
            errors.push(FieldError::too_long(&at, LONGEST_REASON));
        }
    }
    if string(condition, "message").len() > LONGEST_MESSAGE {
        errors.push(FieldError::too_long(format!("{path}.message"), LONGEST_MESSAGE));
    }
}

fn is_reason(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || matches!(c, ',' | ':'))
}
