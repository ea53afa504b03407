//! What containers ask for: the names of resources, and requests within limits.

use serde_json::Value;

use super::super::names;
use crate::api_error::FieldError;
use crate::schema::Quantity;

/// Checks requests and limits.
pub(super) fn requirements(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let amounts = |name: &str| v.get(name).and_then(Value::as_object);
    for list in ["limits", "requests"] {
        for (name, amount) in amounts(list).into_iter().flatten() {
            let at = format!("{path}.{list}[{name}]");
            let text = amount.as_str().unwrap_or_default();
            resource_name(name, &at, errors);
            super::quantity_value(name, text, &at, errors);
            let Ok(quantity) = Quantity::parse(text) else { continue };
            if list == "limits" {
                continue;
            }
            let limit = amounts("limits").and_then(|limits| limits.get(name)).and_then(Value::as_str);
            let overcommits = may_overcommit(name);
            match limit.and_then(|limit| Some((limit, Quantity::parse(limit).ok()?))) {
                Some((limit, most)) if !overcommits && most != quantity => {
                    let why = format!("must be equal to {name} limit of {limit}");
                    errors.push(FieldError::invalid(format!("{path}.requests"), text, why));
                }
                Some((limit, most)) if quantity > most => {
                    let why = format!("must be less than or equal to {name} limit of {limit}");
                    errors.push(FieldError::invalid(format!("{path}.requests"), text, why));
                }
                None if !overcommits => errors.push(FieldError::required(
                    format!("{path}.limits"),
                    "Limit must be set for non overcommitable resources",
                )),
                _ => {}
            }
        }
    }
    let named = |wanted: fn(&str) -> bool| {
        ["limits", "requests"]
            .iter()
            .any(|list| amounts(list).is_some_and(|m| m.keys().any(|name| wanted(name))))
    };
    if named(|name| name.starts_with("hugepages-")) && !named(|name| matches!(name, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// Checks the name of a resource that a container may use.
pub(super) fn resource_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    any_resource_name(name, path, errors);
    if !name.contains('/') {
        if !is_container_resource(name) {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if errors.len() == before && !name.contains("kubernetes.io/") && !super::is_extended_resource(name)
    {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

/// Checks the name of any resource.
pub(super) fn any_resource_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let problems = names::qualified_name(name);
    if problems.is_empty() && !name.contains('/') && !is_standard_resource(name) {
        let why = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, why));
    }
    errors.extend(problems.into_iter().map(|m| FieldError::invalid(path, name, m)));
}

fn is_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

/// Whether more of a resource may be asked for than there is.
pub(super) fn may_overcommit(name: &str) -> bool {
    !name.starts_with("hugepages-") && (!name.contains('/') || name.contains("kubernetes.io/"))
}

/// Whether Kubernetes itself defines the resource.
pub(super) fn is_standard_resource(name: &str) -> bool {
    const STANDARD: [&str; 20] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "services.nodeports",
        "services.loadbalancers",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
    ];
    STANDARD.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}
