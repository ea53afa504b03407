//! What administrators set up: quotas, limit ranges, nodes, priority classes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{addresses, internal, invalid_text, names};
use super::{items, label_value, member, quantity_value, resources, string};
use crate::api_error::{FieldError, FieldErrorKind};
use crate::schema::Quantity;

const HIGHEST_PRIORITY: i64 = 1_000_000_000;
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Checks a new Namespace.
pub(super) fn namespace(v: &Value, errors: &mut Vec<FieldError>) {
    for name in items(&v["spec"], "finalizers").iter().filter_map(Value::as_str) {
        namespace_finalizer(name, "spec.finalizers", errors);
    }
}

/// Checks the finalizers that a Namespace is left with.
pub(super) fn namespace_finalizers(v: &Value, errors: &mut Vec<FieldError>) {
    for (index, name) in items(&v["spec"], "finalizers").iter().enumerate() {
        namespace_finalizer(name.as_str().unwrap_or_default(), &format!("spec.finalizers[{index}]"), errors);
    }
}

fn namespace_finalizer(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    for m in names::qualified_name(name) {
        errors.push(FieldError::invalid(path, name, m));
    }
    if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
        let why = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, name, why));
    }
}

/// Checks that the phase of a Namespace fits to whether it is being deleted.
pub(super) fn namespace_status(v: &Value, errors: &mut Vec<FieldError>) {
    let (wanted, empty) = match crate::object::is_deleting(v) {
        true => ("Terminating", "not empty"),
        false => ("Active", "empty"),
    };
    let phase = string(&v["status"], "phase");
    if phase != wanted {
        let why = format!("may only be '{wanted}' if `deletionTimestamp` is {empty}");
        errors.push(FieldError::invalid("status.Phase", phase, why));
    }
}

/// Checks a ResourceQuota; its scopes never change.
pub(super) fn resource_quota(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    for (name, amount) in spec.get("hard").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("spec.hard[{name}]");
        resources::any_resource_name(name, &path, errors);
        if !name.contains('/') && !is_quota_resource(name) {
            errors.push(FieldError::invalid(&path, name.as_str(), "must be a standard resource for quota"));
        }
        quantity_value(name, amount.as_str().unwrap_or_default(), &path, errors);
    }
    let scopes: BTreeSet<&str> = items(spec, "scopes").iter().filter_map(Value::as_str).collect();
    for scope in items(spec, "scopes").iter().filter_map(Value::as_str) {
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid("spec.scopes", spec["scopes"].clone(), "unsupported scope"));
        }
        for _ in 0..inapplicable(scope, spec) {
            let why = "unsupported scope applied to resource";
            errors.push(FieldError::invalid("spec.scopes", spec["scopes"].clone(), why));
        }
    }
    conflicting(&scopes, "spec.scopes", &spec["scopes"], errors);
    if let Some(selector) = member(spec, "scopeSelector") {
        scope_selector(selector, spec, errors);
    }
    if let Some(old) = old {
        let then: BTreeSet<&str> = items(&old["spec"], "scopes").iter().filter_map(Value::as_str).collect();
        if then != scopes {
            let shown = spec.get("scopes").cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid("spec.scopes", shown, super::IMMUTABLE));
        }
    }
}

/// How many of the limited resources a scope says nothing about.
fn inapplicable(scope: &str, spec: &Value) -> usize {
    const PODS: [&str; 1] = ["pods"];
    const COMPUTE: [&str; 6] =
        ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    const CLAIMS: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
    let applies = |name: &str| match scope {
        "BestEffort" => PODS.contains(&name),
        "VolumeAttributesClass" => CLAIMS.contains(&name),
        scope if SCOPES.contains(&scope) => PODS.contains(&name) || COMPUTE.contains(&name),
        _ => true,
    };
    let limited = spec.get("hard").and_then(Value::as_object);
    limited
        .map_or(0, |limited| limited.keys().filter(|name| is_quota_resource(name) && !applies(name)).count())
}

fn is_quota_resource(name: &str) -> bool {
    resources::is_standard_resource(name) && !matches!(name, "storage")
}

fn conflicting(scopes: &BTreeSet<&str>, path: &str, shown: &Value, errors: &mut Vec<FieldError>) {
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if scopes.contains(one) && scopes.contains(other) {
            errors.push(FieldError::invalid(path, shown.clone(), "conflicting scopes"));
        }
    }
}

fn scope_selector(selector: &Value, spec: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.scopeSelector.matchExpressions";
    let mut scopes = BTreeSet::new();
    for v in items(selector, "matchExpressions") {
        let (scope, operator) = (string(v, "scopeName"), string(v, "operator"));
        let at_operator = format!("{path}.operator");
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(format!("{path}.scopeName"), scope, "unsupported scope"));
        }
        for _ in 0..inapplicable(scope, spec) {
            let shown = internal::text("core.ScopeSelector", selector);
            errors.push(invalid_text(path, &shown, "unsupported scope applied to resource"));
        }
        let only_exists =
            SCOPES.contains(&scope) && !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if only_exists && operator != "Exists" {
            errors.push(FieldError::invalid(
                &at_operator,
                operator,
                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                 ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
                 ResourceQuotaScopeCrossNamespacePodAffinity",
            ));
        }
        let values = items(v, "values");
        match operator {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            )),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::invalid(
                format!("{path}.values"),
                values.to_vec(),
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )),
            "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(at_operator, other, "not a valid selector operator")),
        }
        scopes.insert(scope);
    }
    conflicting(&scopes, path, &spec["scopes"], errors);
}

/// Checks a LimitRange.
pub(super) fn limit_range(v: &Value, errors: &mut Vec<FieldError>) {
    let mut types = BTreeSet::new();
    for (index, limit) in items(&v["spec"], "limits").iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let kind = string(limit, "type");
        limit_type(kind, &format!("{path}.type"), errors);
        if !types.insert(kind) {
            errors.push(FieldError::duplicate(format!("{path}.type"), kind));
        }
        let pods = matches!(kind, "Pod" | "Container");
        let mut names: BTreeSet<&String> = BTreeSet::new();
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            let Some(amounts) = limit.get(list).and_then(Value::as_object) else { continue };
            if kind == "Pod" && list.starts_with("default") {
                let why = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(format!("{path}.{list}"), why));
                continue;
            }
            for name in amounts.keys() {
                let at = format!("{path}.{list}[{name}]");
                if pods {
                    resources::resource_name(name, &at, errors);
                } else {
                    resources::any_resource_name(name, &at, errors);
                }
                names.insert(name);
            }
        }
        let bounded = |list: &str| limit[list].get("storage").is_some();
        if kind == "PersistentVolumeClaim" && !bounded("min") && !bounded("max") {
            let why = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(format!("{path}.limits"), why));
        }
        for name in names {
            limit_order(limit, name, kind, &path, errors);
        }
    }
}

fn limit_type(kind: &str, path: &str, errors: &mut Vec<FieldError>) {
    let problems = names::qualified_name(kind);
    let standard = matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim");
    if problems.is_empty() && !kind.contains('/') && !standard {
        let why = "must be a standard limit type or fully qualified";
        errors.push(FieldError::invalid(path, kind, why));
    }
    errors.extend(problems.into_iter().map(|m| FieldError::invalid(path, kind, m)));
}

/// Checks that the amounts of one resource fit together.
fn limit_order(limit: &Value, name: &str, kind: &str, path: &str, errors: &mut Vec<FieldError>) {
    let amount = |list: &str| {
        let text = limit[list].get(name).and_then(Value::as_str)?;
        Some((text.to_owned(), Quantity::parse(text).ok()?))
    };
    let (min, max) = (amount("min"), amount("max"));
    let (default, request) = match kind {
        "Pod" => (None, None),
        _ => (amount("default"), amount("defaultRequest")),
    };
    let words = [
        (&min, &max, "min", 0, "min value {} is greater than max value {}"),
        (&min, &request, "defaultRequest", 1, "min value {} is greater than default request value {}"),
        (&request, &max, "defaultRequest", 0, "default request value {} is greater than max value {}"),
        (
            &request,
            &default,
            "defaultRequest",
            0,
            "default request value {} is greater than default limit value {}",
        ),
        (&min, &default, "default", 0, "min value {} is greater than default value {}"),
        (&default, &max, "default", 1, "default value {} is greater than max value {}"),
    ];
    for (less, more, list, shown, text) in words {
        let (Some(less), Some(more)) = (less, more) else { continue };
        if less.1 > more.1 {
            let why = text.replacen("{}", &less.0, 1).replacen("{}", &more.0, 1);
            let shown = if shown == 0 { &less.0 } else { &more.0 };
            errors.push(FieldError::invalid(format!("{path}.{list}[{name}]"), shown.as_str(), why));
        }
    }
    ratio(
        &amount("maxLimitRequestRatio"),
        &min,
        &max,
        &format!("{path}.maxLimitRequestRatio[{name}]"),
        errors,
    );
    if !resources::may_overcommit(name)
        && let (Some(default), Some(request)) = (&default, &request)
        && default.1 != request.1
    {
        let why =
            format!("default value {} must equal to defaultRequest value {} in {name}", default.0, request.0);
        errors.push(FieldError::invalid(format!("{path}.defaultRequest[{name}]"), request.0.as_str(), why));
    }
}

fn ratio(
    ratio: &Option<(String, Quantity)>,
    min: &Option<(String, Quantity)>,
    max: &Option<(String, Quantity)>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    const ONE: i128 = 1_000_000_000;
    let Some((text, ratio)) = ratio else { return };
    if ratio.nano_units() < ONE {
        errors.push(FieldError::invalid(path, text.as_str(), format!("ratio {text} is less than 1")));
    }
    if let (Some((_, min)), Some((_, max))) = (min, max)
        && min.nano_units() != 0
    {
        let most = max.nano_units() as f64 / min.nano_units() as f64;
        if ratio.nano_units() as f64 / ONE as f64 > most {
            let why = format!("ratio {text} is greater than max/min = {most:.6}");
            errors.push(FieldError::invalid(path, text.as_str(), why));
        }
    }
}

/// Checks a Node.
pub(super) fn node(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    taints(spec, errors);
    for list in ["capacity", "allocatable"] {
        for (name, amount) in v["status"].get(list).and_then(Value::as_object).into_iter().flatten() {
            quantity_value(
                name,
                amount.as_str().unwrap_or_default(),
                &format!("status.{list}.{name}"),
                errors,
            );
        }
    }
    for (index, block) in items(spec, "podCIDRs").iter().enumerate() {
        let path = format!("spec.podCIDRs[{index}]");
        addresses::block(block.as_str().unwrap_or_default(), &path, &[], errors);
    }
    let ranges = items(spec, "podCIDRs");
    if ranges.len() > 1 {
        let is_v6 = |range: &Value| range.as_str().is_some_and(|range| range.contains(':'));
        let families = ranges.iter().any(is_v6) && !ranges.iter().all(is_v6);
        let texts = ranges.iter().map(|range| range.as_str().unwrap_or_default());
        let unread = texts.enumerate().find(|(_, text)| addresses::Block::lenient(text).is_none());
        if let Some((index, text)) = unread {
            let why = format!(
                "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[{index}]: <nil> (invalid CIDR \
                 address: {text})"
            );
            errors.push(FieldError::internal("spec.podCIDRs", why));
        }
        if unread.is_some() || !families || ranges.len() > 2 {
            let why = "may specify no more than one CIDR for each IP family";
            errors.push(FieldError::invalid("spec.podCIDRs", ranges.to_vec(), why));
        }
    }
    let Some(old) = old else { return };
    let before = &old["spec"];
    let blocks = items(before, "podCIDRs");
    if !blocks.is_empty() && blocks != items(spec, "podCIDRs") {
        let why = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.podCIDRs", why));
    }
    let provider = string(before, "providerID");
    if !provider.is_empty() && provider != string(spec, "providerID") {
        let why = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.providerID", why));
    }
    taints(spec, errors);
}

fn taints(spec: &Value, errors: &mut Vec<FieldError>) {
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, taint) in items(spec, "taints").iter().enumerate() {
        let path = format!("metadata.taints[{index}]");
        let (key, value, effect) = (string(taint, "key"), string(taint, "value"), string(taint, "effect"));
        errors.extend(
            names::qualified_name(key)
                .into_iter()
                .map(|m| FieldError::invalid(format!("{path}.key"), key, m)),
        );
        label_value(value, &format!("{path}.value"), errors);
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if effect.is_empty() {
            errors.push(FieldError::required(format!("{path}.effect"), ""));
        } else if !effects.contains(&effect) {
            errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &effects));
        }
        if !seen.entry(effect).or_default().insert(key) {
            let shown = internal::text("core.Taint", taint);
            errors.push(FieldError {
                kind: FieldErrorKind::Duplicate,
                ..invalid_text(path, &shown, "taints must be unique by key and effect pair")
            });
        }
    }
}

/// Checks a PriorityClass; its value and policy never change.
pub(super) fn priority_class(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let value = |v: &Value| v["value"].as_i64().unwrap_or(0);
    if let Some(old) = old {
        if value(v) != value(old) {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        super::immutable(v, old, "preemptionPolicy", "preemptionPolicy", errors);
        return;
    }
    let name = string(&v["metadata"], "name");
    if name.starts_with("system-") {
        let known = match name {
            "system-node-critical" => Some(2_000_001_000),
            "system-cluster-critical" => Some(2_000_000_000),
            _ => None,
        };
        let why = match known {
            None => format!("{name} is not a known system priority class"),
            Some(wanted) if wanted != value(v) => format!("value of {name} PriorityClass must be {wanted}"),
            Some(_) if v["globalDefault"] == true => {
                format!("globalDefault of {name} PriorityClass must be false")
            }
            Some(_) => String::new(),
        };
        if !why.is_empty() {
            errors.push(FieldError::forbidden(
                "metadata.name",
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}"),
            ));
        }
    } else if value(v) > HIGHEST_PRIORITY {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
        errors.push(FieldError::forbidden("value", why));
    }
    if let Some(policy) = member(v, "preemptionPolicy").and_then(Value::as_str) {
        preemption_policy(policy, "preemptionPolicy", errors);
    }
}

/// Checks whether and whom a pod may push aside.
pub(super) fn preemption_policy(policy: &str, path: &str, errors: &mut Vec<FieldError>) {
    match policy {
        "PreemptLowerPriority" | "Never" => {}
        "" => errors.push(FieldError::required(path, "")),
        other => {
            let supported = ["PreemptLowerPriority", "Never"];
            errors.push(FieldError::not_supported(path, other, &supported));
        }
    }
}
