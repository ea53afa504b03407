//! Claims for devices, templates of claims, and classes of devices.

use std::collections::{BTreeMap, BTreeSet};

use fluxide_cel::Type;
use serde_json::Value;

use super::super::{IMMUTABLE, internal, invalid_text, metadata, names};
use super::attachments::driver_name;
use super::{integer, is_extended_resource, items, label_name, label_value, member, string, subdomain_name};
use crate::api_error::FieldError;

/// How many requests, constraints, configurations or selectors there may be.
const MOST_ITEMS: usize = 32;
const MOST_ALTERNATIVES: usize = 8;
const MOST_TOLERATIONS: usize = 16;
const LONGEST_EXPRESSION: usize = 10 * 1024;
const LARGEST_PARAMETERS: usize = 10 * 1024;
const LONGEST_IDENTIFIER: usize = 32;
pub(super) const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// Checks a ResourceClaim; what it asks for stays.
pub(super) fn claim(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match old {
        None => devices(&v["spec"]["devices"], "spec.devices", errors),
        Some(old) => unchanged("resource.ResourceClaimSpec", v, old, errors),
    }
}

/// Checks a ResourceClaimTemplate; what its claims ask for stays.
pub(super) fn template(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let metadata = &v["spec"]["metadata"];
    metadata::annotations(metadata.get("annotations"), "spec.metadata.annotations", errors);
    metadata::labels(metadata.get("labels"), "spec.metadata.labels", errors);
    devices(&v["spec"]["spec"]["devices"], "spec.spec.devices", errors);
    if let Some(old) = old {
        unchanged("resource.ResourceClaimTemplateSpec", v, old, errors);
    }
}

fn unchanged(kind: &str, v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if v["spec"] != old["spec"] {
        errors.push(invalid_text("spec", &internal::text(kind, &v["spec"]), IMMUTABLE));
    }
}

/// Checks a DeviceClass.
pub(super) fn class(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    selectors(spec, "spec", errors);
    each(spec, "config", MOST_ITEMS, "spec", errors, configuration);
    if let Some(name) = member(spec, "extendedResourceName").and_then(Value::as_str)
        && !is_extended_resource(name)
    {
        let why = "must be a valid extended resource name";
        errors.push(FieldError::invalid("spec.extendedResourceName", name, why));
    }
}

/// Checks the items of a list one by one, unless there are too many. True when they were checked.
pub(super) fn each(
    v: &Value,
    name: &str,
    most: usize,
    path: &str,
    errors: &mut Vec<FieldError>,
    mut check: impl FnMut(&Value, &str, &mut Vec<FieldError>),
) -> bool {
    let (all, path) = (items(v, name), format!("{path}.{name}"));
    if all.len() > most {
        errors.push(FieldError::too_many(path, all.len(), most));
        return false;
    }
    for (index, item) in all.iter().enumerate() {
        check(item, &format!("{path}[{index}]"), errors);
    }
    true
}

/// Refuses items of a list that come again.
pub(super) fn once<'a>(keys: impl Iterator<Item = &'a str>, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, key) in keys.enumerate() {
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), key));
        }
    }
}

/// The names of requests, each with those of its alternatives.
type Requests<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn devices<'v>(v: &'v Value, path: &str, errors: &mut Vec<FieldError>) {
    let requests = items(v, "requests");
    let names = |all: &'v [Value]| all.iter().map(|v| string(v, "name"));
    let parts = requests.iter().map(|v| names(items(v, "firstAvailable")).collect());
    let known: Requests<'_> = names(requests).zip(parts).collect();
    if each(v, "requests", MOST_ITEMS, path, errors, request) {
        once(names(requests), &format!("{path}.requests"), errors);
    }
    each(v, "constraints", MOST_ITEMS, path, errors, |v, path, errors| {
        references(v, &known, path, errors);
        constraint(v, path, errors);
    });
    each(v, "config", MOST_ITEMS, path, errors, |v, path, errors| {
        references(v, &known, path, errors);
        configuration(v, path, errors);
    });
}

fn request(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    label_name(string(v, "name"), &format!("{path}.name"), errors);
    let (exactly, parts) = (member(v, "exactly"), items(v, "firstAvailable"));
    let one = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly, parts.is_empty()) {
        (None, true) => errors.push(FieldError::required(path, one)),
        (Some(_), false) => {
            let why = format!("{one}, but multiple fields are set");
            errors.push(FieldError::invalid(path, Value::Null, why));
        }
        (None, false) => {
            let checked = each(v, "firstAvailable", MOST_ALTERNATIVES, path, errors, |v, path, errors| {
                label_name(string(v, "name"), &format!("{path}.name"), errors);
                exact(v, path, errors);
            });
            if checked {
                let names = parts.iter().map(|v| string(v, "name"));
                once(names, &format!("{path}.firstAvailable"), errors);
            }
        }
        (Some(exactly), true) => exact(exactly, &format!("{path}.exactly"), errors),
    }
}

fn exact(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let class = string(v, "deviceClassName");
    let at = format!("{path}.deviceClassName");
    if class.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        subdomain_name(class, &at, errors);
    }
    selectors(v, path, errors);
    let (mode, count) = (string(v, "allocationMode"), integer(v, "count"));
    let at = format!("{path}.count");
    match mode {
        "All" if count != 0 => {
            errors.push(FieldError::invalid(at, count, "must not be specified when allocationMode is 'All'"));
        }
        "ExactCount" if count <= 0 => {
            errors.push(FieldError::invalid(at, count, "must be greater than zero"))
        }
        "All" | "ExactCount" => {}
        other => {
            let known = ["All", "ExactCount"];
            errors.push(FieldError::not_supported(format!("{path}.allocationMode"), other, &known));
        }
    }
    each(v, "tolerations", MOST_TOLERATIONS, path, errors, toleration);
}

fn toleration(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (key, value) = (string(v, "key"), string(v, "value"));
    if !key.is_empty() {
        for m in names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, m));
        }
    }
    let at = format!("{path}.operator");
    match string(v, "operator") {
        "Exists" if !value.is_empty() => {
            let why = "must be empty for operator `Exists`";
            errors.push(FieldError::invalid(format!("{path}.value"), value, why));
        }
        "Exists" => {}
        "Equal" => label_value(value, &format!("{path}.value"), errors),
        "" => errors.push(FieldError::required(at, "")),
        other => errors.push(FieldError::not_supported(at, other, &["Equal", "Exists"])),
    }
    let effect = string(v, "effect");
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &EFFECTS));
    }
}

fn selectors(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    each(v, "selectors", MOST_ITEMS, path, errors, |v, path, errors| {
        let at = format!("{path}.cel");
        match member(v, "cel") {
            None => errors.push(FieldError::required(at, "")),
            Some(cel) => expression(string(cel, "expression"), &format!("{at}.expression"), errors),
        }
    });
}

fn expression(text: &str, path: &str, errors: &mut Vec<FieldError>) {
    if text.len() > LONGEST_EXPRESSION {
        errors.push(FieldError::too_long(path, LONGEST_EXPRESSION));
        return;
    }
    let Some(dialect) = crate::cel::dialect() else { return };
    match dialect.compile(text, &[("device", Type::Dyn)]) {
        Err(why) => errors.push(FieldError::invalid(path, text, format!("compilation failed: {why}"))),
        Ok(program) => {
            let found = program.result().to_string();
            if !matches!(found.as_str(), "bool" | "dyn") {
                let why = format!("must evaluate to bool or the unknown type, not {found}");
                errors.push(FieldError::invalid(path, text, why));
            }
        }
    }
}

fn references(v: &Value, known: &Requests<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let checked = each(v, "requests", MOST_ITEMS, path, errors, |v, path, errors| {
        let reference = v.as_str().unwrap_or_default();
        let why = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
        let parts: Vec<&str> = reference.split('/').collect();
        if parts.len() > 2 {
            errors.push(FieldError::invalid(path, reference, why));
            return;
        }
        parts.iter().for_each(|part| label_name(part, path, errors));
        let found = known.get(parts[0]).is_some_and(|inner| parts.len() == 1 || inner.contains(parts[1]));
        if !found {
            errors.push(FieldError::invalid(path, reference, why));
        }
    });
    if checked {
        let all = items(v, "requests").iter().map(|v| v.as_str().unwrap_or_default());
        once(all, &format!("{path}.requests"), errors);
    }
}

fn constraint(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let attributes = ["matchAttribute", "distinctAttribute"];
    let found = attributes.iter().find_map(|name| Some((*name, member(v, name)?.as_str()?)));
    let Some((name, attribute)) = found else {
        let why = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
        errors.push(FieldError::required(path, why));
        return;
    };
    let at = format!("{path}.{name}");
    attribute_name(attribute, &at, errors);
    if !attribute.contains('/') {
        let why = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(FieldError::invalid(at, attribute, why));
    }
}

/// Checks the name of an attribute or capacity, with a domain or without one.
pub(super) fn attribute_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [id] => identifier(id, path, errors),
        [domain, id] => {
            if domain.is_empty() {
                errors.push(FieldError::invalid(path, "", "the domain must not be empty"));
            } else {
                driver_name(domain, path, errors);
            }
            if id.is_empty() {
                errors.push(FieldError::invalid(path, "", "the name must not be empty"));
            } else {
                identifier(id, path, errors);
            }
        }
        _ => {}
    }
}

fn identifier(id: &str, path: &str, errors: &mut Vec<FieldError>) {
    if id.len() > LONGEST_IDENTIFIER {
        errors.push(FieldError::too_long(path, LONGEST_IDENTIFIER));
    }
    let starts = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let why = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
                   characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is \
                   '[A-Za-z_][A-Za-z0-9_]*')";
        errors.push(FieldError::invalid(path, id, why));
    }
}

fn configuration(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{path}.opaque");
    let Some(opaque) = member(v, "opaque") else {
        errors.push(FieldError::required(at, ""));
        return;
    };
    driver_name(string(opaque, "driver"), &format!("{at}.driver"), errors);
    let at = format!("{at}.parameters");
    match member(opaque, "parameters") {
        None => errors.push(FieldError::required(at, "")),
        Some(parameters) if parameters.to_string().len() > LARGEST_PARAMETERS => {
            errors.push(FieldError::too_long(at, LARGEST_PARAMETERS));
        }
        Some(Value::Object(_)) => {}
        Some(_) => {
            errors.push(FieldError::invalid(at, "<value omitted>", "must be a valid JSON object"));
        }
    }
}
