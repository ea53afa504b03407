//! Validation of `metadata`: names, labels, annotations, owner references, finalizers, managers, and what updates may not
//! change.

use serde_json::Value;

use super::names;
use crate::api_error::FieldError;
use crate::handlers::options::check_manager;
use crate::object::{self, at, text};
use crate::registry::Resource;

const ANNOTATIONS_LIMIT: usize = 256 * 1024;
const LONGEST_SUBRESOURCE: usize = 256;

/// Checks the metadata of a new object, its name by the rule of its kind.
pub(crate) fn validate(resource: &Resource, v: &Value) -> Vec<FieldError> {
    let mut errors = object_meta(resource, v, |name| name_problems(resource, v, name));
    if resource.custom.is_none() && has_standard_finalizers(resource) {
        errors.extend(standard_finalizers(v));
    }
    errors
}

/// Checks the metadata of a changed object as the server does before the rules of its kind, and within them.
pub(crate) fn validate_update(
    resource: &Resource,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Vec<FieldError> {
    let mut errors = object_meta(resource, new, names::path_segment);
    errors.extend(object_meta_update(new, old));
    let own = OwnChecks::of(resource, subresource);
    // Some check what changed after what they are.
    let last =
        resource.is("batch", "jobs") || resource.is("certificates.k8s.io", "certificatesigningrequests");
    if own.of_change && !(last && own.of_whole > 0) {
        errors.extend(validate_change(resource, new, old));
    }
    for _ in 0..own.of_whole {
        errors.extend(validate(resource, new));
    }
    errors
}

/// What the rules of most kinds check of changed metadata.
pub(crate) fn validate_change(resource: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = object_meta_update(new, old);
    if resource.custom.is_none() && has_standard_finalizers(resource) {
        errors.extend(standard_finalizers(new));
    }
    errors
}

/// What the rules of a kind check of changed metadata once more. Each check says what is wrong again.
pub(crate) struct OwnChecks {
    /// Whether they check what changed.
    pub of_change: bool,
    /// How often they check the metadata as that of a new object.
    of_whole: usize,
}

impl OwnChecks {
    /// The checks of updates through a resource or subresource.
    pub fn of(resource: &Resource, subresource: &str) -> Self {
        let is_main = matches!(subresource, "" | "scale");
        let (of_change, of_whole) = match (resource.group.as_str(), resource.plural.as_str()) {
            ("policy", _) | ("", "events") => (false, 0),
            ("batch", "cronjobs") | ("admissionregistration.k8s.io", _) if !is_main => (false, 0),
            (
                "",
                "serviceaccounts" | "endpoints" | "pods" | "persistentvolumeclaims" | "nodes" | "namespaces",
            )
            | ("apps", "controllerrevisions")
            | ("batch", "jobs")
            | ("storage.k8s.io", "storageclasses")
            | ("networking.k8s.io", "ingresses" | "ingressclasses")
            | ("rbac.authorization.k8s.io" | "node.k8s.io" | "apiregistration.k8s.io", _)
                if is_main =>
            {
                (true, 1)
            }
            ("", "pods") if matches!(subresource, "ephemeralcontainers" | "resize") => (true, 1),
            ("certificates.k8s.io", "certificatesigningrequests") => (true, 1),
            ("storage.k8s.io", "csistoragecapacities")
            | ("resource.k8s.io", "deviceclasses")
            | ("networking.k8s.io", "ipaddresses") => (true, 1),
            ("resource.k8s.io", "resourceclaims" | "resourceclaimtemplates") if is_main => (true, 1),
            ("storage.k8s.io", "volumeattributesclasses") => (true, 1),
            ("storage.k8s.io", "csinodes" | "volumeattachments") => (false, 1),
            ("flowcontrol.apiserver.k8s.io", _) => (false, usize::from(is_main)),
            ("", "persistentvolumes") if is_main => (false, 2),
            ("discovery.k8s.io", "endpointslices")
            | ("", "limitranges")
            | ("admissionregistration.k8s.io", _)
                if is_main =>
            {
                (false, 1)
            }
            _ => (true, 0),
        };
        OwnChecks { of_change, of_whole }
    }
}

/// Whether finalizers need a domain unless they are the standard ones.
fn has_standard_finalizers(resource: &Resource) -> bool {
    let (group, plural) = (resource.group.as_str(), resource.plural.as_str());
    !matches!(
        group,
        "policy"
            | "coordination.k8s.io"
            | "node.k8s.io"
            | "admissionregistration.k8s.io"
            | "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
    ) && (group, plural) != ("", "events")
}

fn object_meta(resource: &Resource, v: &Value, problems: impl Fn(&str) -> Vec<String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = object::name(v);
    let generate = text(v, &["metadata", "generateName"]);
    if !generate.is_empty() && !resource.is("", "replicationcontrollers") {
        let is_address = resource.is("networking.k8s.io", "ipaddresses");
        for m in problems(if is_address { generate } else { generate.trim_end_matches('-') }) {
            errors.push(FieldError::invalid("metadata.generateName", generate, m));
        }
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        for m in problems(name) {
            errors.push(FieldError::invalid("metadata.name", name, m));
        }
    }
    if resource.namespaced && object::namespace(v).is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    }
    if at(v, &["metadata", "generation"]).and_then(Value::as_i64).is_some_and(|g| g < 0) {
        let generation = at(v, &["metadata", "generation"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("metadata.generation", generation, super::NOT_NEGATIVE));
    }
    labels(at(v, &["metadata", "labels"]), "metadata.labels", &mut errors);
    annotations(at(v, &["metadata", "annotations"]), "metadata.annotations", &mut errors);
    owner_references(at(v, &["metadata", "ownerReferences"]), &mut errors);
    finalizers(v, &mut errors);
    managed_fields(at(v, &["metadata", "managedFields"]), &mut errors);
    errors
}

fn object_meta_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object::is_deleting(old) {
        let had = object::finalizers(old);
        let added: Vec<&str> = object::finalizers(new).into_iter().filter(|f| !had.contains(f)).collect();
        if !added.is_empty() {
            let quoted: Vec<String> = added.iter().map(|f| fluxide_gotext::quote_str(f)).collect();
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    quoted.join(", ")
                ),
            ));
        }
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        let (n, o) = (at(new, &["metadata", field]), at(old, &["metadata", field]));
        if n.filter(|v| !v.is_null()) != o.filter(|v| !v.is_null()) {
            let shown = n.cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(format!("metadata.{field}"), shown, "field is immutable"));
        }
    }
    labels(at(new, &["metadata", "labels"]), "metadata.labels", &mut errors);
    annotations(at(new, &["metadata", "annotations"]), "metadata.annotations", &mut errors);
    owner_references(at(new, &["metadata", "ownerReferences"]), &mut errors);
    managed_fields(at(new, &["metadata", "managedFields"]), &mut errors);
    errors
}

fn name_problems(resource: &Resource, v: &Value, name: &str) -> Vec<String> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces" | "services") => names::dns1123_label(name),
        ("apps", "statefulsets") => names::dns1123_label(name),
        ("batch", "cronjobs") => {
            let mut problems = names::dns1123_subdomain(name);
            if name.len() > 52 {
                problems.push(names::max_characters(52));
            }
            problems
        }
        ("rbac.authorization.k8s.io" | "policy", _)
        | ("certificates.k8s.io", "certificatesigningrequests")
        | ("" | "events.k8s.io", "events") => names::path_segment(name),
        ("networking.k8s.io", "ipaddresses") => super::addresses::name_problems(name),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            let mut problems = names::dns1123_subdomain(name);
            let plural = text(v, &["spec", "names", "plural"]);
            if name != format!("{plural}.{}", text(v, &["spec", "group"])) {
                problems.push("must be spec.names.plural+\".\"+spec.group".to_owned());
            }
            problems
        }
        ("apiregistration.k8s.io", _) => {
            let mut problems = names::path_segment(name);
            let wanted = format!("{}.{}", text(v, &["spec", "version"]), text(v, &["spec", "group"]));
            if problems.is_empty() && name != wanted {
                let wanted = fluxide_gotext::quote_str(&wanted);
                problems.push(format!("must be `spec.version+\".\"+spec.group`: {wanted}"));
            }
            problems
        }
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

/// Checks a map of annotations.
pub(crate) fn annotations(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (k, v) in v.and_then(Value::as_object).into_iter().flatten() {
        for m in names::qualified_name(&k.to_lowercase()) {
            errors.push(FieldError::invalid(path, k.as_str(), m));
        }
        size += k.len() + v.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LIMIT));
    }
}

fn owner_references(v: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    let references: &[Value] = v.and_then(Value::as_array).map_or(&[], Vec::as_slice);
    for r in references {
        let api_version = text(r, &["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if version.is_empty() || version.contains('/') {
            errors.push(FieldError::invalid(
                format!("{path}.apiVersion"),
                api_version,
                "version must not be empty",
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(r, &[field]).is_empty() {
                errors.push(FieldError::invalid(
                    format!("{path}.{field}"),
                    text(r, &[field]),
                    "must not be empty",
                ));
            }
        }
        if (group, version, text(r, &["kind"])) == ("", "v1", "Event") {
            let why = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(super::invalid_text(path, &reference_text(r), why));
        }
        if r.get("controller") == Some(&Value::Bool(true)) {
            let name = format!("{}/{}", text(r, &["kind"]), text(r, &["name"]));
            match &controller {
                Some(first) => {
                    let all: Vec<String> = references.iter().map(reference_text).collect();
                    let why = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                         {name}"
                    );
                    errors.push(super::invalid_text(path, &format!("[{}]", all.join(",")), &why));
                }
                None => controller = Some(name),
            }
        }
    }
}

/// An owner reference with its members in the order of Go's type.
fn reference_text(reference: &Value) -> String {
    super::ordered_text(reference, &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"])
}

fn finalizers(v: &Value, errors: &mut Vec<FieldError>) {
    let finalizers = object::finalizers(v);
    for f in &finalizers {
        for m in names::qualified_name(f) {
            errors.push(FieldError::invalid("metadata.finalizers", *f, m));
        }
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        let shown: Vec<&str> = finalizers.clone();
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            shown.into_iter().map(Value::from).collect::<Vec<_>>(),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

/// Built-in kinds take only finalizers with a domain, and the standard ones.
fn standard_finalizers(v: &Value) -> Vec<FieldError> {
    let named = object::finalizers(v).into_iter().enumerate();
    named
        .filter(|(_, f)| !f.contains('/') && !matches!(*f, "orphan" | "foregroundDeletion" | "kubernetes"))
        .map(|(index, f)| {
            FieldError::invalid(
                format!("metadata.finalizers[{index}]"),
                f,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
        })
        .collect()
}

fn managed_fields(v: Option<&Value>, errors: &mut Vec<FieldError>) {
    for (index, entry) in v.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("metadata.managedFields[{index}]");
        let operation = text(entry, &["operation"]);
        if !matches!(operation, "Apply" | "Update") {
            let why = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(format!("{path}.operation"), operation, why));
        }
        let fields_type = text(entry, &["fieldsType"]);
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(FieldError::invalid(format!("{path}.fieldsType"), fields_type, "must be `FieldsV1`"));
        }
        errors.extend(check_manager(&format!("{path}.manager"), text(entry, &["manager"])));
        if text(entry, &["subresource"]).len() > LONGEST_SUBRESOURCE {
            errors.push(FieldError::too_long(format!("{path}.subresource"), LONGEST_SUBRESOURCE));
        }
    }
}
