//! Roles and their bindings.

use serde_json::Value;

use super::super::{internal, invalid_text, names};
use super::{items, member, selector, string};
use crate::api_error::FieldError;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Checks the rules of a Role or ClusterRole.
pub(super) fn rules(v: &Value, namespaced: bool, errors: &mut Vec<FieldError>) {
    for (index, rule) in items(v, "rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if items(rule, "verbs").is_empty() {
            errors
                .push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        let urls = items(rule, "nonResourceURLs");
        if !urls.is_empty() {
            let at = format!("{path}.nonResourceURLs");
            if namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                errors.push(FieldError::invalid(&at, urls.to_vec(), why));
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|name| !items(rule, name).is_empty()) {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(at, urls.to_vec(), why));
            }
            continue;
        }
        if items(rule, "apiGroups").is_empty() {
            let why = "resource rules must supply at least one api group";
            errors.push(FieldError::required(format!("{path}.apiGroups"), why));
        }
        if items(rule, "resources").is_empty() {
            let why = "resource rules must supply at least one resource";
            errors.push(FieldError::required(format!("{path}.resources"), why));
        }
    }
    let Some(aggregation) = member(v, "aggregationRule").filter(|_| !namespaced) else { return };
    let path = "aggregationRule.clusterRoleSelectors";
    let selectors = items(aggregation, "clusterRoleSelectors");
    if selectors.is_empty() {
        let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(path, why));
    }
    for (index, wanted) in selectors.iter().enumerate() {
        let path = format!("{path}[{index}]");
        selector::validate(Some(wanted), &path, errors);
        if !selector::is_usable(Some(wanted)) {
            errors.push(invalid_text(path, "null", "invalid label selector."));
        }
    }
}

/// Checks a RoleBinding or ClusterRoleBinding; its role never changes.
pub(super) fn binding(v: &Value, old: Option<&Value>, namespaced: bool, errors: &mut Vec<FieldError>) {
    let role = &v["roleRef"];
    let (group, kind, name) = (string(role, "apiGroup"), string(role, "kind"), string(role, "name"));
    if group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported("roleRef.kind", kind, kinds));
    }
    if name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    errors
        .extend(names::path_segment(name).into_iter().map(|m| FieldError::invalid("roleRef.name", name, m)));
    for (index, subject) in items(v, "subjects").iter().enumerate() {
        check_subject(subject, namespaced, &format!("subjects[{index}]"), errors);
    }
    if let Some(old) = old
        && old["roleRef"] != *role
    {
        errors.push(invalid_text("roleRef", &internal::text("rbac.RoleRef", role), "cannot change roleRef"));
    }
}

fn check_subject(subject: &Value, namespaced: bool, path: &str, errors: &mut Vec<FieldError>) {
    let (name, group) = (string(subject, "name"), string(subject, "apiGroup"));
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    match string(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                super::subdomain_name(name, &format!("{path}.name"), errors);
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(format!("{path}.apiGroup"), group, &[""]));
            }
            if !namespaced && string(subject, "namespace").is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(FieldError::not_supported(format!("{path}.apiGroup"), group, &[GROUP]));
            }
        }
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(format!("{path}.kind"), other, &kinds));
        }
    }
}
