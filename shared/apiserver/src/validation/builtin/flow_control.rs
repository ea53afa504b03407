//! FlowSchemas and PriorityLevelConfigurations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{internal, invalid_text, names};
use super::{integer, items, label_name, member, string, subdomain_name};
use crate::api_error::FieldError;
use crate::object;

const LAST_PRECEDENCE: i64 = 10_000;
const MOST_QUEUES: i64 = 10_000_000;
const MOST_BITS: i64 = 60;
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// Checks a FlowSchema.
pub(super) fn schema(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    let precedence = integer(spec, "matchingPrecedence");
    let mut refuse = |why: String| {
        errors.push(FieldError::invalid("spec.matchingPrecedence", precedence, why));
    };
    if precedence <= 0 {
        refuse("must be a positive value".to_owned());
    }
    if precedence > LAST_PRECEDENCE {
        refuse(format!("must not be greater than {LAST_PRECEDENCE}"));
    }
    if precedence == 1 && object::name(v) != "exempt" {
        refuse("only the schema named 'exempt' may have matchingPrecedence 1".to_owned());
    }
    if let Some(method) = member(spec, "distinguisherMethod") {
        let (known, kind) = (["ByNamespace", "ByUser"], string(method, "type"));
        if !known.contains(&kind) {
            let at = "spec.distinguisherMethod.type";
            errors.push(FieldError::not_supported(at, json!({"Type": kind}), &known));
        }
    }
    let (at, level) = ("spec.priorityLevelConfiguration.name", &spec["priorityLevelConfiguration"]);
    match string(level, "name") {
        "" => errors.push(FieldError::required(at, "must reference a priority level")),
        name => subdomain_name(name, at, errors),
    }
    for (index, rule) in items(spec, "rules").iter().enumerate() {
        rules_with_subjects(rule, &format!("spec.rules[{index}]"), errors);
    }
    mandatory(v, "flowcontrol.FlowSchemaSpec", &[], errors);
    conditions(v, errors);
}

/// Checks the status of either kind.
pub(super) fn conditions(v: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, condition) in items(&v["status"], "conditions").iter().enumerate() {
        let (kind, at) = (string(condition, "type"), format!("status.conditions[{index}].type"));
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(&at, kind));
        }
        if kind.is_empty() {
            errors.push(FieldError::required(at, ""));
        }
    }
}

/// What the server itself relies on stays as it came, apart from these fields.
fn mandatory(v: &Value, kind: &str, except: &[&str], errors: &mut Vec<FieldError>) {
    let name = object::name(v);
    if !matches!(name, "exempt" | "catch-all") {
        return;
    }
    let without = |v: &Value| {
        let mut spec = v["spec"].clone();
        for name in except {
            object::members(&mut spec).remove(*name);
        }
        spec
    };
    let same =
        crate::seed::bootstrapped(string(v, "kind"), name).is_none_or(|own| without(own) == without(v));
    if !same {
        let part = if except.is_empty() || name != "exempt" { "" } else { " except the 'spec.exempt' field" };
        let why = format!("spec of '{name}'{part} must equal the fixed value");
        errors.push(invalid_text("spec", &internal::text(kind, &v["spec"]), &why));
    }
}

fn rules_with_subjects(rule: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let subjects = items(rule, "subjects");
    for (index, found) in subjects.iter().enumerate() {
        subject(found, &format!("{path}.subjects[{index}]"), errors);
    }
    if subjects.is_empty() {
        let why = "subjects must contain at least one value";
        errors.push(FieldError::required(format!("{path}.subjects"), why));
    }
    let (of_resources, of_paths) = (items(rule, "resourceRules"), items(rule, "nonResourceRules"));
    if of_resources.is_empty() && of_paths.is_empty() {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, why));
    }
    for (index, rule) in of_resources.iter().enumerate() {
        resource_rule(rule, &format!("{path}.resourceRules[{index}]"), errors);
    }
    for (index, rule) in of_paths.iter().enumerate() {
        path_rule(rule, &format!("{path}.nonResourceRules[{index}]"), errors);
    }
}

fn subject(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const KINDS: [(&str, &str); 3] =
        [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = string(v, "kind");
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let known = ["Group", "ServiceAccount", "User"];
        errors.push(FieldError::not_supported(format!("{path}.kind"), kind, &known));
        return;
    };
    let at = format!("{path}.{own}");
    match member(v, own) {
        None => {
            let why = format!("{own} is required when subject kind is '{kind}'");
            errors.push(FieldError::required(&at, why));
        }
        Some(account) if kind == "ServiceAccount" => service_account(account, &at, errors),
        Some(found) if string(found, "name").is_empty() => {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        Some(_) => {}
    }
    // Kinds are looked at in this order.
    for (other, name) in KINDS {
        if other != kind && member(v, name).is_some() {
            let why = format!("{name} is forbidden when subject kind is not '{other}'");
            errors.push(FieldError::forbidden(format!("{path}.{name}"), why));
        }
    }
}

fn service_account(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let name = string(v, "name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else if name != "*" {
        subdomain_name(name, &format!("{path}.name"), errors);
    }
    let at = format!("{path}.namespace");
    match string(v, "namespace") {
        "" => errors.push(FieldError::required(at, "must specify namespace for service account")),
        namespace => label_name(namespace, &at, errors),
    }
}

/// The strings of a list; when `*` is one of them it must be the only one. True when it is there.
fn alone<'a>(
    rule: &'a Value,
    name: &str,
    what: &str,
    path: &str,
    errors: &mut Vec<FieldError>,
) -> (Vec<&'a str>, bool) {
    let all: Vec<&str> = items(rule, name).iter().filter_map(Value::as_str).collect();
    let wild = all.contains(&"*");
    if wild && all.len() > 1 {
        let why = format!("if '*' is present, must not specify other {what}");
        errors.push(FieldError::invalid(format!("{path}.{name}"), all.clone(), why));
    }
    (all, wild)
}

fn verbs(rule: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{path}.verbs");
    let (all, wild) = alone(rule, "verbs", "verbs", path, errors);
    if all.is_empty() {
        errors.push(FieldError::required(at, "verbs must contain at least one value"));
    } else if !wild && !all.iter().all(|verb| VERBS.contains(verb)) {
        errors.push(FieldError::not_supported(at, all, &VERBS));
    }
}

fn resource_rule(rule: &Value, path: &str, errors: &mut Vec<FieldError>) {
    verbs(rule, path, errors);
    for (name, one, several) in
        [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")]
    {
        let (all, _) = alone(rule, name, several, path, errors);
        if all.is_empty() {
            let why = format!("resource rules must supply at least one {one}");
            errors.push(FieldError::required(format!("{path}.{name}"), why));
        }
    }
    let at = format!("{path}.namespaces");
    let (all, wild) = alone(rule, "namespaces", "namespaces", path, errors);
    if all.is_empty() && rule["clusterScope"] != true {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(FieldError::required(at, why));
    } else if !wild {
        for (index, namespace) in all.iter().enumerate() {
            for m in names::dns1123_label(namespace) {
                let why = format!("each member of this list must be '*' or a DNS-1123 label; {m}");
                errors.push(FieldError::invalid(format!("{at}[{index}]"), *namespace, why));
            }
        }
    }
}

fn path_rule(rule: &Value, path: &str, errors: &mut Vec<FieldError>) {
    verbs(rule, path, errors);
    let at = format!("{path}.nonResourceURLs");
    let (all, wild) = alone(rule, "nonResourceURLs", "non-resource URLs", path, errors);
    if all.is_empty() {
        errors.push(FieldError::required(at, "nonResourceURLs must contain at least one value"));
    } else if !wild {
        for (index, url) in all.iter().enumerate() {
            if let Some(why) = path_problem(url) {
                errors.push(FieldError::invalid(format!("{at}[{index}]"), *url, why));
            }
        }
    }
}

fn path_problem(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        url if !url.starts_with('/') => Some("must start with slash"),
        url if url.contains(' ') => Some("must not contain white-space"),
        url if url.contains("//") => Some("must not contain double slash"),
        url if stars > 1 || stars == 1 && !url.ends_with("/*") => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

/// Checks a PriorityLevelConfiguration.
pub(super) fn level(v: &Value, errors: &mut Vec<FieldError>) {
    const KEPT: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
    if v["metadata"]["annotations"].get(KEPT).is_some() {
        let why = format!("annotation '{KEPT}' is forbidden");
        errors.push(FieldError::forbidden("metadata.annotations", why));
    }
    let spec = &v["spec"];
    let kind = string(spec, "type");
    if (object::name(v) == "exempt") != (kind == "Exempt") {
        let why = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.push(FieldError::invalid("spec.type", kind, why));
    }
    let (limited, exempt) = (member(spec, "limited"), member(spec, "exempt"));
    match kind {
        "Exempt" => {
            if limited.is_some() {
                let why = "must be nil if the type is not Limited";
                errors.push(FieldError::forbidden("spec.limited", why));
            }
            if let Some(exempt) = exempt {
                shares(exempt, "spec.exempt", errors);
                lent(exempt, "spec.exempt", errors);
            }
        }
        "Limited" => {
            if exempt.is_some() {
                errors.push(FieldError::forbidden("spec.exempt", "must be nil if the type is Limited"));
            }
            match limited {
                None => {
                    let why = "must not be empty when type is Limited";
                    errors.push(FieldError::required("spec.limited", why));
                }
                Some(limited) => self::limited(limited, errors),
            }
        }
        other => errors.push(FieldError::not_supported("spec.type", other, &["Exempt", "Limited"])),
    }
    mandatory(v, "flowcontrol.PriorityLevelConfigurationSpec", &["exempt"], errors);
    conditions(v, errors);
}

fn limited(v: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.limited";
    shares(v, path, errors);
    let response = &v["limitResponse"];
    let at = format!("{path}.limitResponse");
    let queuing = member(response, "queuing");
    let queues = format!("{at}.queuing");
    match (string(response, "type"), queuing) {
        ("Reject", Some(_)) => {
            let why = "must be nil if limited.limitResponse.type is not Limited";
            errors.push(FieldError::forbidden(queues, why));
        }
        ("Reject", None) => {}
        ("Queue", None) => {
            let why = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(FieldError::required(queues, why));
        }
        ("Queue", Some(found)) => self::queuing(found, &queues, errors),
        (other, _) => {
            errors.push(FieldError::not_supported(format!("{at}.type"), other, &["Queue", "Reject"]));
        }
    }
    lent(v, path, errors);
    if integer(v, "borrowingLimitPercent") < 0 {
        let at = format!("{path}.borrowingLimitPercent");
        let why = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(at, integer(v, "borrowingLimitPercent"), why));
    }
}

fn shares(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let shares = integer(v, "nominalConcurrencyShares");
    if shares < 0 {
        let at = format!("{path}.nominalConcurrencyShares");
        errors.push(FieldError::invalid(at, shares, "must be a non-negative integer"));
    }
}

fn lent(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let percent = integer(v, "lendablePercent");
    if !(0..=100).contains(&percent) {
        let why = "must be between 0 and 100, inclusive";
        errors.push(FieldError::invalid(format!("{path}.lendablePercent"), percent, why));
    }
}

fn queuing(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (limit, queues, hand) =
        (integer(v, "queueLengthLimit"), integer(v, "queues"), integer(v, "handSize"));
    let mut refuse = |name: &str, number: i64, why: String| {
        errors.push(FieldError::invalid(format!("{path}.{name}"), number, why));
    };
    if limit <= 0 {
        refuse("queueLengthLimit", limit, "must be positive".to_owned());
    }
    if queues <= 0 {
        refuse("queues", queues, "must be positive".to_owned());
    } else if queues > MOST_QUEUES {
        refuse("queues", queues, format!("must not be greater than {MOST_QUEUES}"));
    }
    // So much of a hash decides which queues a flow has.
    let bits = ((queues.max(1) as f64).log2() * hand as f64).ceil() as i64;
    if hand <= 0 {
        refuse("handSize", hand, "must be positive".to_owned());
    } else if hand > queues {
        refuse("handSize", hand, format!("should not be greater than queues ({queues})"));
    } else if bits > MOST_BITS {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MOST_BITS}"
        );
        refuse("handSize", hand, why);
    }
}
