//! Label selectors: their validation, and whether they match the labels of a template.

use serde_json::Value;

use super::super::{invalid_text, names, ordered_text};
use super::{items, member, string};
use crate::api_error::FieldError;

/// Checks a label selector.
pub(super) fn validate(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    let Some(v) = v else { return };
    super::metadata::labels(v.get("matchLabels"), &format!("{path}.matchLabels"), errors);
    for (index, expression) in items(v, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = items(expression, "values");
        match string(expression, "operator") {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    errors.push(FieldError::forbidden(
                        format!("{path}.values"),
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    ));
                }
            }
            other => errors.push(FieldError::invalid(
                format!("{path}.operator"),
                other,
                "not a valid selector operator",
            )),
        }
        for m in names::qualified_name(string(expression, "key")) {
            errors.push(FieldError::invalid(format!("{path}.key"), string(expression, "key"), m));
        }
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            if let Some(m) = crate::selectors::validate_label_value(value) {
                errors.push(FieldError::invalid(format!("{path}.values[{index}]"), value, m));
            }
        }
    }
}

/// Whether the selector selects by nothing.
pub(super) fn is_empty(v: &Value) -> bool {
    items(v, "matchExpressions").is_empty()
        && v.get("matchLabels").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
}

/// Whether the selector is well-formed enough to select at all.
pub(super) fn is_usable(v: Option<&Value>) -> bool {
    let mut errors = Vec::new();
    validate(v, "", &mut errors);
    errors.is_empty()
}

/// Whether the selector selects these labels. No selector selects nothing; an empty one, everything.
pub(super) fn matches(v: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(v) = v else { return false };
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    let wanted = v.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut wanted = wanted.map(|(key, value)| label(key) == value.as_str());
    wanted.all(|matched| matched)
        && items(v, "matchExpressions").iter().all(|expression| {
            let found = label(string(expression, "key"));
            let listed = || items(expression, "values").iter().any(|value| value.as_str() == found);
            match string(expression, "operator") {
                "In" => found.is_some() && listed(),
                "NotIn" => found.is_none() || !listed(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// A selector with its members in the order of Go's type.
pub(super) fn text(v: Option<&Value>) -> String {
    v.map_or_else(|| "null".to_owned(), |v| ordered_text(v, &["matchLabels", "matchExpressions"]))
}

/// Checks that an update leaves the selector alone.
pub(super) fn immutable(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (new, old) = (member(&new["spec"], "selector"), member(&old["spec"], "selector"));
    if new != old {
        errors.push(invalid_text("spec.selector", &text(new), super::IMMUTABLE));
    }
}
