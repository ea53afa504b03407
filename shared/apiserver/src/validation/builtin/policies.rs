//! ValidatingAdmissionPolicies and their bindings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fluxide_cel::Type;
use serde_json::Value;

use super::super::names;
use super::expressions::{self, Names};
use super::{items, member, selector, string, webhooks};
use crate::api_error::FieldError;
use crate::object;

const MOST_ANNOTATIONS: usize = 20;
const LONGEST_VALUE_EXPRESSION: usize = 5 * 1024;

/// Checks a policy.
pub(super) fn policy(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let parameter = matched(spec, errors);
    let scope = conditions_and_variables(spec, old, parameter, errors);
    let (validations, annotations) = (items(spec, "validations"), items(spec, "auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required("spec.validations", why));
        errors.push(FieldError::required("spec.auditAnnotations", why));
        return;
    }
    for (index, v) in validations.iter().enumerate() {
        validation(v, &scope, &format!("spec.validations[{index}]"), errors);
    }
    if annotations.len() > MOST_ANNOTATIONS {
        let why = format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations");
        errors.push(FieldError::invalid("spec.auditAnnotations", annotations.to_vec(), why));
    }
    let mut seen = BTreeSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let path = format!("spec.auditAnnotations[{index}]");
        audit_annotation(annotation, object::name(v), &scope, &path, errors);
        if !seen.insert(string(annotation, "key")) {
            errors.push(FieldError::duplicate(format!("{path}.key"), string(annotation, "key")));
        }
    }
}

/// Checks when a policy applies, and returns the kind of its parameters.
fn matched<'a>(spec: &'a Value, errors: &mut Vec<FieldError>) -> Option<&'a Value> {
    match member(spec, "failurePolicy").and_then(Value::as_str) {
        None => errors.push(FieldError::required("spec.failurePolicy", "")),
        Some("Fail" | "Ignore") => {}
        Some(other) => {
            errors.push(FieldError::not_supported("spec.failurePolicy", other, &["Fail", "Ignore"]));
        }
    }
    let parameter = member(spec, "paramKind");
    if let Some(kind) = parameter {
        parameter_kind(kind, "spec.paramKind", errors);
    }
    match member(spec, "matchConstraints") {
        None => errors.push(FieldError::required("spec.matchConstraints", "")),
        Some(constraints) => {
            webhooks::match_resources(constraints, "spec.matchConstraints", errors);
            if items(constraints, "resourceRules").is_empty() {
                errors.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
            }
        }
    }
    parameter
}

/// Checks the conditions and variables of a policy; what expressions may name after them.
fn conditions_and_variables(
    spec: &Value,
    old: Option<&Value>,
    parameter: Option<&Value>,
    errors: &mut Vec<FieldError>,
) -> Names {
    let same_conditions = old.is_some_and(|old| {
        let old = &old["spec"];
        member(old, "paramKind") == parameter && old.get("matchConditions") == spec.get("matchConditions")
    });
    if !same_conditions {
        expressions::match_conditions(spec, "spec.matchConditions", parameter.is_some(), errors);
    }
    variables(spec, parameter.is_some(), errors)
}

/// Checks a policy that changes objects.
pub(super) fn mutating_policy(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let parameter = matched(spec, errors);
    changing_operations(&spec["matchConstraints"], "spec.matchConstraints", errors);
    conditions_and_variables(spec, old, parameter, errors);
    let mutations = items(spec, "mutations");
    if mutations.is_empty() {
        errors.push(FieldError::required("spec.mutations", "mutations must contain at least one item"));
    }
    for (index, v) in mutations.iter().enumerate() {
        mutation(v, &format!("spec.mutations[{index}]"), errors);
    }
    super::one_of(spec, "reinvocationPolicy", "spec", &["IfNeeded", "Never"], errors);
}

fn changing_operations(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let known = ["*", "CONNECT", "CREATE", "UPDATE"];
    for rule in items(v, "resourceRules") {
        for operation in items(rule, "operations").iter().filter_map(Value::as_str) {
            if !known.contains(&operation) {
                let at = format!("{path}.resourceRules.operations");
                errors.push(FieldError::not_supported(at, operation, &known));
            }
        }
    }
}

fn mutation(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let forms = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];
    super::one_of(v, "patchType", path, &forms.map(|(kind, _)| kind), errors);
    let kind = string(v, "patchType");
    let Some((_, own)) = forms.iter().find(|(known, _)| *known == kind) else { return };
    let at = format!("{path}.{own}");
    match member(v, own) {
        None => errors.push(FieldError::required(at, format!("must be specified when patchType is {kind}"))),
        Some(found) if string(found, "expression").trim().is_empty() => {
            errors.push(FieldError::required(format!("{at}.expression"), ""));
        }
        Some(_) => {}
    }
    for (_, other) in forms.iter().filter(|(known, other)| *known != kind && member(v, other).is_some()) {
        let why = format!("must not be specified when patchType is {kind}");
        errors.push(FieldError::invalid(format!("{path}.{other}"), format!("{{{other}}}"), why));
    }
}

/// Checks the variables of a policy; what expressions may name after them.
fn variables(spec: &Value, params: bool, errors: &mut Vec<FieldError>) -> Names {
    let all = items(spec, "variables");
    let mut known = BTreeMap::new();
    let mut scope = Names { params, authorizer: true, variables: None };
    for (index, variable) in all.iter().enumerate() {
        let path = format!("spec.variables[{index}]");
        let (name, expression) = (string(variable, "name"), string(variable, "expression"));
        if name.trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), "name is not specified"));
        } else if !is_identifier(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, "must be a valid CEL identifier"));
        }
        let at = format!("{path}.expression");
        if expression.trim().is_empty() {
            errors.push(FieldError::required(at, "expression is not specified"));
            continue;
        }
        scope.variables = Some(Type::Object(Arc::new(known.clone())));
        if let Some(kind) = expressions::compiled(expression, &scope, &[], &at, errors) {
            known.insert(name.to_owned(), kind);
        }
    }
    scope.variables = (!all.is_empty()).then(|| Type::Object(Arc::new(known)));
    scope
}

fn is_identifier(name: &str) -> bool {
    let is_reserved = fluxide_cel::RESERVED.contains(&name) || ["var", "void", "while"].contains(&name);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_reserved
}

fn validation(v: &Value, scope: &Names, path: &str, errors: &mut Vec<FieldError>) {
    let at = |name: &str| format!("{path}.{name}");
    let expression = string(v, "expression");
    if expression.trim().is_empty() {
        errors.push(FieldError::required(at("expression"), "expression is not specified"));
    } else {
        expressions::compiled(expression, scope, &["bool"], &at("expression"), errors);
    }
    let text = string(v, "messageExpression");
    if !text.is_empty() && text.trim().is_empty() {
        errors.push(FieldError::invalid(at("messageExpression"), text, "must be non-empty if specified"));
    } else if !text.is_empty() {
        let scope = Names { authorizer: false, ..scope.clone() };
        expressions::compiled(text, &scope, &["string"], &at("messageExpression"), errors);
    }
    let message = string(v, "message");
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(at("message"), message, "must be non-empty if specified"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(FieldError::invalid(at("message"), message, "must not contain line breaks"));
    }
    let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    if let Some(reason) = member(v, "reason").and_then(Value::as_str)
        && !reasons.contains(&reason)
    {
        errors.push(FieldError::not_supported(at("reason"), reason, &reasons));
    }
}

fn audit_annotation(v: &Value, policy: &str, scope: &Names, path: &str, errors: &mut Vec<FieldError>) {
    let key = string(v, "key");
    let full = format!("{policy}/{key}");
    for m in names::qualified_name(&full) {
        errors.push(FieldError::invalid(format!("{path}.key"), full.as_str(), m));
    }
    let at = format!("{path}.valueExpression");
    let text = string(v, "valueExpression").trim();
    if text.is_empty() {
        errors.push(FieldError::required(at, "valueExpression is not specified"));
    } else if text.len() > LONGEST_VALUE_EXPRESSION {
        let why = format!("must not exceed {LONGEST_VALUE_EXPRESSION} bytes in length");
        errors.push(FieldError::required(at, why));
    } else {
        expressions::compiled(text, scope, &["string", "null_type"], &at, errors);
    }
}

fn parameter_kind(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (api_version, kind) = (string(v, "apiVersion"), string(v, "kind"));
    let at = format!("{path}.apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if api_version.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if version.contains('/') {
        let why = format!("unexpected GroupVersion string: {api_version}");
        errors.push(FieldError::invalid(at, api_version, why));
    } else {
        let problems = names::dns1123_subdomain(group);
        if !group.is_empty() && !problems.is_empty() {
            errors.push(FieldError::invalid(&at, group, problems.join(",")));
        }
        let problems = names::dns1035_label(version);
        if version.is_empty() {
            errors.push(FieldError::invalid(at, api_version, "version must be specified"));
        } else if !problems.is_empty() {
            errors.push(FieldError::invalid(at, version, problems.join(",")));
        }
    }
    let at = format!("{path}.kind");
    let problems = names::dns1035_label(&kind.to_lowercase());
    if kind.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if !problems.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
        errors.push(FieldError::invalid(at, kind, why));
    }
}

/// Checks the binding of a policy that changes objects.
pub(super) fn mutating_binding(v: &Value, errors: &mut Vec<FieldError>) {
    bound(&v["spec"], errors);
    changing_operations(&v["spec"]["matchResources"], "spec.matchResources", errors);
}

/// Checks what a binding binds to what.
fn bound(spec: &Value, errors: &mut Vec<FieldError>) {
    let policy = string(spec, "policyName");
    if policy.is_empty() {
        errors.push(FieldError::required("spec.policyName", ""));
    } else {
        super::subdomain_name(policy, "spec.policyName", errors);
    }
    if let Some(reference) = member(spec, "paramRef") {
        parameter(reference, "spec.paramRef", errors);
    }
    if let Some(resources) = member(spec, "matchResources") {
        webhooks::match_resources(resources, "spec.matchResources", errors);
    }
}

/// Checks a binding.
pub(super) fn binding(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    bound(spec, errors);
    let path = "spec.validationActions";
    let known = ["Audit", "Deny", "Warn"];
    let actions: Vec<&str> = items(spec, "validationActions").iter().filter_map(Value::as_str).collect();
    for (index, action) in actions.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if !known.contains(action) {
            errors.push(FieldError::not_supported(&at, *action, &known));
        }
        if actions[..index].contains(action) {
            errors.push(FieldError::duplicate(at, *action));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        errors.push(FieldError::invalid(path, actions.clone(), why));
    }
    if actions.is_empty() {
        errors.push(FieldError::required(path, "at least one validation action is required"));
    }
}

fn parameter(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const ONE: &str = "name and selector are mutually exclusive";
    let (name, chosen) = (string(v, "name"), member(v, "selector"));
    if !name.is_empty() {
        for m in names::path_segment(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, m));
        }
        if chosen.is_some() {
            errors.push(FieldError::forbidden(format!("{path}.name"), ONE));
        }
    }
    if chosen.is_some() {
        selector::validate(chosen, &format!("{path}.selector"), errors);
        if !name.is_empty() {
            errors.push(FieldError::forbidden(format!("{path}.selector"), ONE));
        }
    } else if name.is_empty() {
        errors.push(FieldError::required(path, "one of name or selector must be specified"));
    }
    let at = format!("{path}.parameterNotFoundAction");
    match string(v, "parameterNotFoundAction") {
        "" => errors.push(FieldError::required(at, "")),
        "Deny" | "Allow" => {}
        other => errors.push(FieldError::not_supported(at, other, &["Deny", "Allow"])),
    }
}
