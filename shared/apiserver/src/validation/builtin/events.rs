//! Events in both groups, and Leases.

use serde_json::Value;

use super::super::{internal, invalid_text, names};
use super::{integer, member, string, subdomain_name};
use crate::api_error::FieldError;
use crate::registry::Resource;
use crate::versions;

/// Checks an Event. The older group asks little of it, the newer one all that it stands for.
pub(super) fn event(resource: &Resource, v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let in_core_group = resource.group.is_empty();
    let internal = |v: &Value| if in_core_group { v.clone() } else { versions::convert_builtin(v, "v1") };
    let v = &internal(v);
    namespaces(v, errors);
    if member(v, "eventTime").is_some() {
        reporter(v, if in_core_group { "reportingComponent" } else { "reportingController" }, errors);
    }
    subdomain_name(string(&v["metadata"], "namespace"), "namespace", errors);
    if in_core_group {
        return;
    }
    match old.map(internal) {
        Some(old) => changed(v, &old, errors),
        None => created(v, errors),
    }
}

fn namespaces(v: &Value, errors: &mut Vec<FieldError>) {
    let (namespace, involved) =
        (string(&v["metadata"], "namespace"), string(&v["involvedObject"], "namespace"));
    let matches = if member(v, "eventTime").is_some() {
        !involved.is_empty() || matches!(namespace, "default" | "kube-system")
    } else if involved.is_empty() {
        matches!(namespace, "" | "default")
    } else {
        namespace == involved
    };
    if !matches {
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            involved,
            "does not match event.namespace",
        ));
    }
}

fn reporter(v: &Value, controller_field: &str, errors: &mut Vec<FieldError>) {
    let controller = string(v, "reportingComponent");
    if controller.is_empty() {
        errors.push(FieldError::required(controller_field, ""));
    }
    for m in names::qualified_name(controller) {
        errors.push(FieldError::invalid(controller_field, controller, m));
    }
    for (name, most) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let value = string(v, name);
        if value.is_empty() {
            errors.push(FieldError::required(name, ""));
        }
        if value.len() > most {
            errors.push(FieldError::invalid(name, "", format!("can have at most {most} characters")));
        }
    }
    if string(v, "message").len() > 1024 {
        errors.push(FieldError::invalid("message", "", "can have at most 1024 characters"));
    }
}

fn created(v: &Value, errors: &mut Vec<FieldError>) {
    series(v, errors);
    if member(v, "eventTime").is_none() {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = string(v, "type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid("type", "", format!("has invalid value: {kind}")));
    }
    let source = &v["source"];
    for (name, set) in [
        ("firstTimestamp", member(v, "firstTimestamp").is_some()),
        ("lastTimestamp", member(v, "lastTimestamp").is_some()),
        ("count", integer(v, "count") != 0),
        ("source", !string(source, "component").is_empty() || !string(source, "host").is_empty()),
    ] {
        if set {
            errors.push(FieldError::invalid(name, "", "needs to be unset"));
        }
    }
}

fn series(v: &Value, errors: &mut Vec<FieldError>) {
    let Some(series) = member(v, "series") else { return };
    if integer(series, "count") < 2 {
        errors.push(FieldError::invalid("series.count", "", "should be at least 2"));
    }
    if member(series, "lastObservedTime").is_none() {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
}

fn changed(v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if v.get("series") != old.get("series") {
        series(v, errors);
    }
    for (name, shown) in [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("reason", "reason"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if member(v, name) == member(old, name) {
            continue;
        }
        let given = match name {
            "involvedObject" => internal::text("core.ObjectReference", &v[name]),
            "related" if member(v, name).is_some() => internal::text("core.ObjectReference", &v[name]),
            "source" => internal::text("core.EventSource", &v[name]),
            "count" => integer(v, name).to_string(),
            "firstTimestamp" | "lastTimestamp" | "eventTime" | "related" => v[name].to_string(),
            _ => fluxide_gotext::quote_str(string(v, name)),
        };
        errors.push(invalid_text(shown, &given, super::IMMUTABLE));
    }
}

/// Checks a Lease.
pub(super) fn lease(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    if let Some(seconds) = member(spec, "leaseDurationSeconds").and_then(Value::as_i64)
        && seconds <= 0
    {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    super::not_negative(spec, "leaseTransitions", "spec", errors);
    let strategy = string(spec, "strategy");
    if let Some(strategy) = member(spec, "strategy").and_then(Value::as_str) {
        let path = "spec.strategy.strategy";
        if !strategy.contains('/') {
            if strategy != "OldestEmulationVersion" {
                errors.push(FieldError::not_supported(path, strategy, &["OldestEmulationVersion"]));
            }
        } else {
            errors.extend(
                names::qualified_name(strategy).into_iter().map(|m| FieldError::invalid(path, strategy, m)),
            );
        }
    }
    if !string(spec, "preferredHolder").is_empty() && strategy.is_empty() {
        let why = "may only be specified if `strategy` is defined";
        errors.push(FieldError::forbidden("spec.preferredHolder", why));
    }
}
