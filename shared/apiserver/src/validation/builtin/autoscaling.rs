//! HorizontalPodAutoscalers and PodDisruptionBudgets.

use serde_json::Value;

use super::super::{internal, invalid_text};
use super::{integer, items, member, selector, string, workloads};
use crate::api_error::FieldError;
use crate::schema::Quantity;
use crate::versions;

const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

/// Checks a HorizontalPodAutoscaler of either version.
pub(super) fn autoscaler(v: &Value, errors: &mut Vec<FieldError>) {
    let converted;
    let v = if v["apiVersion"] == "autoscaling/v1" {
        converted = versions::convert_builtin(v, "autoscaling/v2");
        &converted
    } else {
        v
    };
    let spec = &v["spec"];
    let (most, least) = (integer(spec, "maxReplicas"), member(spec, "minReplicas").and_then(Value::as_i64));
    if let Some(least) = least.filter(|least| *least < 1) {
        errors.push(FieldError::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most == 0 {
        errors.push(FieldError::required("spec.maxReplicas", "must be set and greater than 0"));
    } else if most < 0 {
        errors.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than or equal to 1"));
    }
    if least.is_some_and(|least| most < least) {
        let why = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", most, why));
    }
    reference(&spec["scaleTargetRef"], "spec.scaleTargetRef", false, errors);
    for (index, metric) in items(spec, "metrics").iter().enumerate() {
        check_metric(metric, &format!("spec.metrics[{index}]"), errors);
    }
    let scales_to_zero =
        items(spec, "metrics").iter().any(|m| matches!(string(m, "type"), "Object" | "External"));
    if least == Some(0) && !scales_to_zero {
        errors.push(FieldError::forbidden(
            "spec.metrics",
            "must specify at least one Object or External metric to support scaling to zero replicas",
        ));
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = member(&spec["behavior"], direction) {
            scaling_rules(rules, &format!("spec.behavior.{direction}"), errors);
        }
    }
}

/// Checks a reference to what is scaled or measured.
fn reference(v: &Value, path: &str, any_version: bool, errors: &mut Vec<FieldError>) {
    for name in ["kind", "name"] {
        super::segment(string(v, name), &format!("{path}.{name}"), errors);
    }
    let version = string(v, "apiVersion");
    let why = match version.split('/').collect::<Vec<_>>().as_slice() {
        [_] if !any_version => "apiVersion must specify API group".to_owned(),
        ["", _] if !any_version && version != "/" => "apiVersion must specify API group".to_owned(),
        [_] | [_, _] => return,
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    errors.push(FieldError::invalid(format!("{path}.apiVersion"), version, why));
}

fn check_metric(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let kind = string(v, "type");
    let at_type = format!("{path}.type");
    if kind.is_empty() {
        errors.push(FieldError::required(&at_type, "must specify a metric source type"));
    }
    if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&at_type, kind, &TYPES));
    }
    let present: Vec<&str> =
        SOURCES.iter().map(|(_, name)| *name).filter(|name| member(v, name).is_some()).collect();
    if let Some(name) = present.first() {
        source(name, &v[*name], &format!("{path}.{name}"), errors);
    }
    let expected = SOURCES.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name);
    match expected {
        Some(name) if !present.contains(&name) => {
            let why = "must populate information for the given metric source";
            errors.push(FieldError::required(format!("{path}.{name}"), why));
        }
        Some(_) => {}
        None => errors.push(FieldError::not_supported(at_type, kind, &TYPES)),
    }
    if present.len() != 1 {
        for name in present.iter().filter(|name| Some(**name) != expected) {
            let why = "must populate the given metric source only";
            errors.push(FieldError::forbidden(format!("{path}.{name}"), why));
        }
    }
}

fn source(kind: &str, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (goal, at_goal) = (&v["target"], format!("{path}.target"));
    let has = |name: &str| member(goal, name).is_some();
    match kind {
        "object" | "external" | "pods" => {
            if kind == "object" {
                reference(&v["describedObject"], &format!("{path}.describedObject"), true, errors);
            }
            identifier(&v["metric"], &format!("{path}.metric"), errors);
            target(goal, &at_goal, errors);
            let at = format!("{at_goal}.averageValue");
            match kind {
                "object" if !has("value") && !has("averageValue") => {
                    errors.push(FieldError::required(at, "must set either a target value or averageValue"));
                }
                "external" if !has("value") && !has("averageValue") => {
                    let why = "must set either a target value for metric or a per-pod target";
                    errors.push(FieldError::required(at, why));
                }
                "external" if has("value") && has("averageValue") => {
                    let why = "may not set both a target value for metric and a per-pod target";
                    errors.push(FieldError::forbidden(format!("{at_goal}.value"), why));
                }
                "pods" if !has("averageValue") => {
                    errors.push(FieldError::required(at, "must specify a positive target averageValue"));
                }
                _ => {}
            }
        }
        _ => {
            let name = string(v, "name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{path}.name"), "must specify a resource name"));
            } else if kind == "containerResource" {
                super::resources::resource_name(name, &format!("{path}.name"), errors);
            }
            if kind == "containerResource" {
                let (at, container) = (format!("{path}.container"), string(v, "container"));
                if container.is_empty() {
                    errors.push(FieldError::required(at, "must specify a container"));
                } else {
                    super::label_name(container, &at, errors);
                }
            }
            target(goal, &at_goal, errors);
            if !has("averageUtilization") && !has("averageValue") {
                let why = "must set either a target raw value or a target utilization";
                errors.push(FieldError::required(format!("{at_goal}.averageUtilization"), why));
            }
            if has("averageUtilization") && has("averageValue") {
                let why = "may not set both a target raw value and a target utilization";
                errors.push(FieldError::forbidden(format!("{at_goal}.averageValue"), why));
            }
        }
    }
}

fn identifier(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (at, name) = (format!("{path}.name"), string(v, "name"));
    if name.is_empty() {
        errors.push(FieldError::required(at, "must specify a metric name"));
    } else {
        super::segment(name, &at, errors);
    }
}

fn target(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let kind = string(v, "type");
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let why = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(format!("{path}.type"), kind, why));
    }
    for name in ["value", "averageValue"] {
        if let Some(amount) = member(v, name).and_then(Value::as_str)
            && Quantity::parse(amount).is_ok_and(|q| q.is_negative() || q.is_zero())
        {
            errors.push(FieldError::invalid(format!("{path}.{name}"), amount, "must be positive"));
        }
    }
    if let Some(percent) = member(v, "averageUtilization").and_then(Value::as_i64)
        && percent < 1
    {
        errors.push(FieldError::invalid(
            format!("{path}.averageUtilization"),
            percent,
            "must be greater than 0",
        ));
    }
}

fn scaling_rules(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{path}.stabilizationWindowSeconds");
    if let Some(window) = member(v, "stabilizationWindowSeconds").and_then(Value::as_i64) {
        if window < 0 {
            errors.push(FieldError::invalid(at, window, "must be greater than or equal to zero"));
        } else if window > 3600 {
            errors.push(FieldError::invalid(at, window, "must be less than or equal to 3600"));
        }
    }
    if let Some(policy) = member(v, "selectPolicy").and_then(Value::as_str)
        && !matches!(policy, "Disabled" | "Max" | "Min")
    {
        let supported = ["Disabled", "Max", "Min"];
        errors.push(FieldError::not_supported(format!("{path}.selectPolicy"), policy, &supported));
    }
    if items(v, "policies").is_empty() {
        errors.push(FieldError::required(format!("{path}.policies"), "must specify at least one Policy"));
    }
    for (index, policy) in items(v, "policies").iter().enumerate() {
        let path = format!("{path}.policies[{index}]");
        let kind = string(policy, "type");
        if !matches!(kind, "Pods" | "Percent") {
            errors.push(FieldError::not_supported(format!("{path}.type"), kind, &["Percent", "Pods"]));
        }
        for name in ["value", "periodSeconds"] {
            let number = integer(policy, name);
            if number <= 0 {
                errors.push(FieldError::invalid(
                    format!("{path}.{name}"),
                    number,
                    "must be greater than zero",
                ));
            }
        }
        let period = integer(policy, "periodSeconds");
        if period > 1800 {
            let why = "must be less than or equal to 1800";
            errors.push(FieldError::invalid(format!("{path}.periodSeconds"), period, why));
        }
    }
    if let Some(tolerance) = member(v, "tolerance").and_then(Value::as_str) {
        super::not_negative_quantity(tolerance, &format!("{path}.tolerance"), errors);
    }
}

/// Checks a PodDisruptionBudget.
pub(super) fn disruption_budget(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    if member(spec, "minAvailable").is_some() && member(spec, "maxUnavailable").is_some() {
        let shown = internal::text("policy.PodDisruptionBudgetSpec", spec);
        errors.push(invalid_text("spec", &shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for name in ["minAvailable", "maxUnavailable"] {
        if let Some(amount) = member(spec, name) {
            let path = format!("spec.{name}");
            workloads::int_or_percent(Some(amount), &path, errors);
            workloads::at_most_all(Some(amount), &path, errors);
        }
    }
    selector::validate(member(spec, "selector"), "spec.selector", errors);
    if let Some(policy) = member(spec, "unhealthyPodEvictionPolicy").and_then(Value::as_str)
        && !matches!(policy, "AlwaysAllow" | "IfHealthyBudget")
    {
        let supported = ["AlwaysAllow", "IfHealthyBudget"];
        errors.push(FieldError::not_supported("spec.unhealthyPodEvictionPolicy", policy, &supported));
    }
}

/// Checks the numbers that a PodDisruptionBudget reports.
pub(super) fn disruption_budget_status(v: &Value, errors: &mut Vec<FieldError>) {
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        super::not_negative(&v["status"], name, "status", errors);
    }
    super::conditions::validate(&v["status"], "status.conditions", errors);
}
