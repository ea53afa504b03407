//! Where a pod may run: node selectors, affinity to nodes and to other pods.

use serde_json::Value;

use super::super::names;
use super::{integer, items, label_value, member, selector, string};
use crate::api_error::FieldError;

/// Checks the affinity of a pod.
pub(super) fn validate(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(node) = member(v, "nodeAffinity") {
        let path = format!("{path}.nodeAffinity");
        if let Some(required) = member(node, REQUIRED) {
            node_selector(required, &format!("{path}.{REQUIRED}"), errors);
        }
        for (index, term) in items(node, PREFERRED).iter().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(term, &path, errors);
            node_term(&term["preference"], &format!("{path}.preference"), false, errors);
        }
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = member(v, name) else { continue };
        let path = format!("{path}.{name}");
        for (index, term) in items(pods, REQUIRED).iter().enumerate() {
            pod_term(term, &format!("{path}.{REQUIRED}[{index}]"), errors);
        }
        for (index, term) in items(pods, PREFERRED).iter().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(term, &path, errors);
            pod_term(&term["podAffinityTerm"], &format!("{path}.podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let weight = integer(term, "weight");
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(format!("{path}.weight"), weight, "must be in the range 1-100"));
    }
}

/// Checks a node selector of which one term must match.
pub(super) fn node_selector(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let path = format!("{path}.nodeSelectorTerms");
    let terms = items(v, "nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(FieldError::required(path, "must have at least one node selector term"));
        return;
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(term, &format!("{path}[{index}]"), true, errors);
    }
}

fn node_term(term: &Value, path: &str, checks_values: bool, errors: &mut Vec<FieldError>) {
    for (index, v) in items(term, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = items(v, "values");
        let at_values = format!("{path}.values");
        match string(v, "operator") {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                &at_values,
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                &at_values,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "Exists" | "DoesNotExist" => {}
            "Gt" | "Lt" if values.len() != 1 => errors.push(FieldError::required(
                &at_values,
                "must be specified single value when `operator` is 'Lt' or 'Gt'",
            )),
            "Gt" | "Lt" => {}
            other => errors.push(not_an_operator(&path, other)),
        }
        let key = string(v, "key");
        for m in names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, m));
        }
        for (index, value) in values.iter().enumerate().filter(|_| checks_values) {
            let value = value.as_str().unwrap_or_default();
            label_value(value, &format!("{at_values}[{index}]"), errors);
        }
    }
    for (index, v) in items(term, "matchFields").iter().enumerate() {
        let path = format!("{path}.matchFields[{index}]");
        let values = items(v, "values");
        match string(v, "operator") {
            "In" | "NotIn" if values.len() != 1 => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            )),
            "In" | "NotIn" => {}
            other => errors.push(not_an_operator(&path, other)),
        }
        let key = string(v, "key");
        if key != "metadata.name" {
            errors.push(FieldError::invalid(format!("{path}.key"), key, "not a valid field selector key"));
            continue;
        }
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            super::subdomain_name(value, &format!("{path}.values[{index}]"), errors);
        }
    }
}

fn not_an_operator(path: &str, found: &str) -> FieldError {
    FieldError::invalid(format!("{path}.operator"), found, "not a valid selector operator")
}

fn pod_term(term: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for name in ["labelSelector", "namespaceSelector"] {
        selector::validate(member(term, name), &format!("{path}.{name}"), errors);
    }
    for name in items(term, "namespaces").iter().filter_map(Value::as_str) {
        super::label_name(name, &format!("{path}.namespace"), errors);
    }
    match_label_keys(term, path, errors);
    let key = string(term, "topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(format!("{path}.topologyKey"), "can not be empty"));
    }
    for m in names::qualified_name(key) {
        errors.push(FieldError::invalid(format!("{path}.topologyKey"), key, m));
    }
}

/// Checks the keys whose values are taken over from the pod itself.
pub(super) fn match_label_keys(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let wanted = member(v, "labelSelector");
    for name in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = items(v, name);
        if keys.is_empty() {
            continue;
        }
        if wanted.is_none() {
            let why = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(format!("{path}.{name}"), why));
            return;
        }
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_str().unwrap_or_default();
            for m in names::qualified_name(key) {
                errors.push(FieldError::invalid(format!("{path}.{name}[{index}]"), key, m));
            }
        }
    }
    for (index, key) in items(v, "matchLabelKeys").iter().enumerate() {
        if items(v, "mismatchLabelKeys").contains(key) {
            let why = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(FieldError::invalid(format!("{path}.matchLabelKeys[{index}]"), key.clone(), why));
        }
    }
}
