//! Validation of `metadata`: names, labels, annotations, owner references, and what updates may not change.

use serde_json::Value;

use super::names;
use crate::api_error::FieldError;
use crate::object::{self, at, text};
use crate::registry::Resource;

const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Checks metadata of a new or changed object.
pub(crate) fn validate(resource: &Resource, v: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = object::name(v);
    let generate = text(v, &["metadata", "generateName"]);
    if !generate.is_empty() {
        let trial = generate.trim_end_matches('-');
        for m in name_problems(resource, trial) {
            errors.push(FieldError::invalid("metadata.generateName", generate, m));
        }
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        for m in name_problems(resource, name) {
            errors.push(FieldError::invalid("metadata.name", name, m));
        }
    }
    if resource.namespaced && object::namespace(v).is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    }
    labels(at(v, &["metadata", "labels"]), "metadata.labels", &mut errors);
    annotations(at(v, &["metadata", "annotations"]), &mut errors);
    owner_references(at(v, &["metadata", "ownerReferences"]), &mut errors);
    finalizers(resource, v, &mut errors);
    errors
}

fn name_problems(resource: &Resource, name: &str) -> Vec<String> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => names::dns1123_label(name),
        ("", "services") => names::dns1035_label(name),
        ("rbac.authorization.k8s.io", _) => names::path_segment(name),
        _ => names::dns1123_subdomain(name),
    }
}

/// Checks a map of labels.
pub(crate) fn labels(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    for (k, v) in v.and_then(Value::as_object).into_iter().flatten() {
        for m in names::qualified_name(k) {
            errors.push(FieldError::invalid(path, k.as_str(), m));
        }
        let v = v.as_str().unwrap_or_default();
        if let Some(m) = crate::selectors::validate_label_value(v) {
            errors.push(FieldError::invalid(path, v, m));
        }
    }
}

fn annotations(v: Option<&Value>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (k, v) in v.and_then(Value::as_object).into_iter().flatten() {
        for m in names::qualified_name(&k.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", k.as_str(), m));
        }
        size += k.len() + v.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
}

fn owner_references(v: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for r in v.and_then(Value::as_array).into_iter().flatten() {
        let api_version = text(r, &["apiVersion"]);
        let bad_version = api_version.is_empty() || api_version.split('/').count() > 2;
        if bad_version {
            errors.push(FieldError::invalid(
                format!("{path}.apiVersion"),
                api_version,
                "version must not be empty",
            ));
        }
        for (field, detail) in
            [("kind", "must not be empty"), ("name", "must not be empty"), ("uid", "must not be empty")]
        {
            if text(r, &[field]).is_empty() {
                errors.push(FieldError::invalid(format!("{path}.{field}"), text(r, &[field]), detail));
            }
        }
        if r.get("controller") == Some(&Value::Bool(true)) {
            let name = format!("{}/{}", text(r, &["kind"]), text(r, &["name"]));
            match &controller {
                Some(first) => errors.push(FieldError::invalid(
                    path,
                    v.cloned().unwrap_or_default(),
                    format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"),
                )),
                None => controller = Some(name),
            }
        }
    }
}

fn finalizers(resource: &Resource, v: &Value, errors: &mut Vec<FieldError>) {
    for f in object::finalizers(v) {
        for m in names::qualified_name(f) {
            errors.push(FieldError::invalid("metadata.finalizers", f, m));
        }
        let standard = matches!(f, "orphan" | "foregroundDeletion" | "kubernetes");
        if !f.contains('/') && !standard && resource.custom.is_none() {
            errors.push(FieldError::invalid(
                "metadata.finalizers",
                f,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
}

/// Checks what an update may not change in metadata.
pub(crate) fn validate_update(resource: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        let (n, o) = (at(new, &["metadata", field]), at(old, &["metadata", field]));
        if n.filter(|v| !v.is_null()) != o.filter(|v| !v.is_null()) {
            let shown = n.cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(format!("metadata.{field}"), shown, "field is immutable"));
        }
    }
    if object::is_deleting(old) {
        let had = object::finalizers(old);
        let added: Vec<&str> = object::finalizers(new).into_iter().filter(|f| !had.contains(f)).collect();
        if !added.is_empty() {
            let quoted: Vec<String> = added.iter().map(|f| crate::api_error::go_quote(f)).collect();
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    quoted.join(", ")
                ),
            ));
        }
    }
    errors.extend(validate(resource, new));
    errors
}
