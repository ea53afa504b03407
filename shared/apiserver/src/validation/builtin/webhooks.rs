//! Webhook configurations of admission, and the rules by which they and policies choose writes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::names;
use super::{expressions, integer, items, member, selector, string};
use crate::api_error::FieldError;

const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];
const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const URL_FORM: &str = "; desired format: https://host[/path]";

/// Checks a configuration of validating or mutating webhooks.
pub(super) fn configuration(v: &Value, old: Option<&Value>, mutating: bool, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    let before = old.map(|old| items(old, "webhooks")).unwrap_or_default();
    let conditions = |hooks: &[Value]| -> Vec<Value> {
        hooks.iter().map(|hook| hook.get("matchConditions").cloned().unwrap_or_default()).collect()
    };
    let hooks = items(v, "webhooks");
    let same_conditions = old.is_some() && conditions(hooks) == conditions(before);
    for (index, hook) in hooks.iter().enumerate() {
        let path = format!("webhooks[{index}]");
        webhook(hook, &path, mutating, !same_conditions, errors);
        review_versions(hook, &format!("{path}.admissionReviewVersions"), errors);
        let name = string(hook, "name");
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
    }
}

fn webhook(hook: &Value, path: &str, mutating: bool, conditions: bool, errors: &mut Vec<FieldError>) {
    let at = |name: &str| format!("{path}.{name}");
    let name = string(hook, "name");
    let problems = names::dns1123_subdomain(name);
    if name.is_empty() {
        errors.push(FieldError::required(at("name"), ""));
    } else if !problems.is_empty() {
        errors.push(FieldError::invalid(at("name"), name, problems.join(",")));
    } else if name.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        errors.push(FieldError::invalid(at("name"), name, why));
    }
    for (index, rule) in items(hook, "rules").iter().enumerate() {
        operations_and_resources(rule, &format!("{path}.rules[{index}]"), errors);
    }
    supported(hook, "failurePolicy", path, &FAILURE_POLICIES, errors);
    supported(hook, "matchPolicy", path, &MATCH_POLICIES, errors);
    if member(hook, "sideEffects").is_none() {
        let why = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
        errors.push(FieldError::required(at("sideEffects"), why));
    }
    supported(hook, "sideEffects", path, &SIDE_EFFECTS, errors);
    if member(hook, "timeoutSeconds").is_some() && !(1..=30).contains(&integer(hook, "timeoutSeconds")) {
        let why = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(at("timeoutSeconds"), integer(hook, "timeoutSeconds"), why));
    }
    for name in ["namespaceSelector", "objectSelector"] {
        selector::validate(member(hook, name), &at(name), errors);
    }
    if mutating {
        supported(hook, "reinvocationPolicy", path, &["IfNeeded", "Never"], errors);
    }
    client(&hook["clientConfig"], &at("clientConfig"), errors);
    if conditions {
        expressions::match_conditions(hook, &at("matchConditions"), false, errors);
    }
}

fn supported(v: &Value, name: &str, path: &str, allowed: &[&str], errors: &mut Vec<FieldError>) {
    if let Some(found) = member(v, name).and_then(Value::as_str)
        && !allowed.contains(&found)
    {
        errors.push(FieldError::not_supported(format!("{path}.{name}"), found, allowed));
    }
}

fn review_versions(hook: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const KNOWN: [&str; 2] = ["v1", "v1beta1"];
    let versions: Vec<&str> =
        items(hook, "admissionReviewVersions").iter().filter_map(Value::as_str).collect();
    if versions.is_empty() {
        errors.push(FieldError::required(path, format!("must specify one of {}", KNOWN.join(", "))));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(at, *version, "duplicate version"));
            continue;
        }
        for m in names::dns1035_label(version) {
            errors.push(FieldError::invalid(&at, *version, m));
        }
    }
    if !versions.iter().any(|version| KNOWN.contains(version)) {
        let why = format!("must include at least one of {}", KNOWN.join(", "));
        errors.push(FieldError::invalid(path, versions, why));
    }
}

fn client(config: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match (member(config, "url").and_then(Value::as_str), member(config, "service")) {
        (Some(url), None) => web_address(url, &format!("{path}.url"), errors),
        (None, Some(service)) => service_reference(service, &format!("{path}.service"), errors),
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

/// Checks the URL of a webhook.
pub(crate) fn web_address(url: &str, path: &str, errors: &mut Vec<FieldError>) {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", rest),
    };
    let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme != "https" {
        let why = format!("'https' is the only allowed URL scheme{URL_FORM}");
        errors.push(FieldError::invalid(path, scheme, why));
    }
    if host.is_empty() {
        errors.push(FieldError::invalid(path, host, format!("host must be specified{URL_FORM}")));
    }
    for (found, why) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !found.is_empty() {
            errors.push(FieldError::invalid(path, found, why));
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Checks a reference to a Service that answers webhooks.
pub(crate) fn service_reference(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    // The server hands name and namespace over in the wrong order.
    for (shown, name) in [("name", "namespace"), ("namespace", "name")] {
        if string(v, name).is_empty() {
            errors.push(FieldError::required(format!("{path}.{shown}"), ""));
        }
    }
    let port = integer(v, "port");
    if !(1..=65535).contains(&port) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(format!("{path}.port"), port, why));
    }
    let at = format!("{path}.path");
    let Some(route) = member(v, "path").and_then(Value::as_str) else { return };
    if matches!(route, "" | "/") {
        return;
    }
    if route == "//" {
        errors.push(FieldError::invalid(at, route, "segment[0] may not be empty"));
        return;
    }
    if !route.starts_with('/') {
        errors.push(FieldError::invalid(&at, route, "must start with a '/'"));
    }
    let mut characters = route.chars();
    characters.next();
    let steps = characters.as_str();
    let steps = steps.strip_suffix('/').unwrap_or(steps);
    for (index, step) in steps.split('/').enumerate() {
        if step.is_empty() {
            errors.push(FieldError::invalid(&at, route, format!("segment[{index}] may not be empty")));
            continue;
        }
        for m in names::dns1123_subdomain(step) {
            errors.push(FieldError::invalid(&at, route, format!("segment[{index}]: {m}")));
        }
    }
}

/// Checks a rule that chooses writes by operation and resource.
pub(super) fn operations_and_resources(rule: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let strings = |name: &str| -> Vec<&str> { items(rule, name).iter().filter_map(Value::as_str).collect() };
    let operations = strings("operations");
    let at = format!("{path}.operations");
    if operations.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    if operations.len() > 1 && operations.contains(&"*") {
        let why = "if '*' is present, must not specify other operations";
        errors.push(FieldError::invalid(&at, operations.clone(), why));
    }
    for (index, operation) in operations.iter().enumerate().filter(|(_, o)| !OPERATIONS.contains(o)) {
        errors.push(FieldError::not_supported(format!("{at}[{index}]"), *operation, &OPERATIONS));
    }
    for (name, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let (at, found) = (format!("{path}.{name}"), strings(name));
        if found.is_empty() {
            errors.push(FieldError::required(&at, ""));
        }
        if found.len() > 1 && found.contains(&"*") {
            let why = format!("if '*' is present, must not specify other {what}");
            errors.push(FieldError::invalid(&at, found.clone(), why));
        }
        if name == "apiVersions" {
            for (index, _) in found.iter().enumerate().filter(|(_, version)| version.is_empty()) {
                errors.push(FieldError::required(format!("{at}[{index}]"), ""));
            }
        }
    }
    resources(&strings("resources"), &format!("{path}.resources"), errors);
    supported(rule, "scope", path, &["*", "Cluster", "Namespaced"], errors);
}

fn resources(all: &[&str], path: &str, errors: &mut Vec<FieldError>) {
    if all.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let (mut whole, mut parts) = (BTreeSet::new(), BTreeSet::new());
    let mut plain = false;
    for (index, resource) in all.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if resource.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let Some((name, part)) = resource.split_once('/') else {
            plain = *resource != "*";
            continue;
        };
        if whole.contains(name) {
            let why = format!("if '{name}/*' is present, must not specify {resource}");
            errors.push(FieldError::invalid(&at, *resource, why));
        }
        if parts.contains(part) {
            let why = format!("if '*/{part}' is present, must not specify {resource}");
            errors.push(FieldError::invalid(&at, *resource, why));
        }
        if part == "*" {
            whole.insert(name);
        }
        if name == "*" {
            parts.insert(part);
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        let why = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(path, all.to_vec(), why));
    }
    if all.contains(&"*") && plain {
        let why = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path, all.to_vec(), why));
    }
}

/// Checks what chooses the writes of a policy or of a binding.
pub(super) fn match_resources(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if member(v, "matchPolicy").is_none() {
        errors.push(FieldError::required(format!("{path}.matchPolicy"), ""));
    }
    supported(v, "matchPolicy", path, &MATCH_POLICIES, errors);
    for name in ["namespaceSelector", "objectSelector"] {
        let at = format!("{path}.{name}");
        match member(v, name) {
            None => errors.push(FieldError::required(at, "")),
            found => selector::validate(found, &at, errors),
        }
    }
    for name in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in items(v, name).iter().enumerate() {
            let path = format!("{path}.{name}[{index}]");
            let mut seen = BTreeSet::new();
            for (index, name) in items(rule, "resourceNames").iter().filter_map(Value::as_str).enumerate() {
                let at = format!("{path}.resourceNames[{index}]");
                for m in names::path_segment(name) {
                    errors.push(FieldError::invalid(&at, name, m));
                }
                if !seen.insert(name) {
                    errors.push(FieldError::duplicate(at, name));
                }
            }
            operations_and_resources(rule, &path, errors);
        }
    }
}
