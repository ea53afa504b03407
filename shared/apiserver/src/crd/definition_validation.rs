//! Validation of CustomResourceDefinitions: names, versions, subresources, columns and what updates may not change.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{schema_validation, versions};
use crate::api_error::FieldError;
use crate::object::text;
use crate::validation::{internal, invalid_text, names};

const IMMUTABLE: &str = "field is immutable";

/// What is wrong with a definition.
pub(crate) fn validate(crd: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &crd["spec"];
    group(text(spec, &["group"]), &mut errors);
    one_of(text(spec, &["scope"]), "spec.scope", &["Cluster", "Namespaced"], &mut errors);
    if spec["preserveUnknownFields"] == true
        && old.is_none_or(|old| old["spec"]["preserveUnknownFields"] != true)
    {
        errors.push(FieldError::invalid(
            "spec.preserveUnknownFields",
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    check_versions(crd, old, &mut errors);
    conversion(&spec["conversion"], &mut errors);
    stored_versions(crd, &mut errors);
    if let Some(old) = old {
        changes(spec, &old["spec"], established(old), &mut errors);
    }
    errors
}

fn established(crd: &Value) -> bool {
    super::establish::condition(crd, "Established") == Some("True")
}

fn one_of(found: &str, path: &str, supported: &[&str], errors: &mut Vec<FieldError>) {
    if found.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !supported.contains(&found) {
        errors.push(FieldError::not_supported(path, found, supported));
    }
}

fn group(group: &str, errors: &mut Vec<FieldError>) {
    let path = "spec.group";
    if group.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let problems = names::dns1123_subdomain(group);
    if !problems.is_empty() {
        errors.push(FieldError::invalid(path, group, problems.join(",")));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(path, group, "should be a domain with at least one dot"));
    }
}

fn check_versions(crd: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let unchanged = |version: &Value| {
        let same = |other: &&Value| other["name"] == version["name"];
        old.and_then(|old| versions(old).find(same)).is_some_and(|old| old["schema"] == version["schema"])
    };
    let all: Vec<&Value> = versions(crd).collect();
    let shared = |name: &str| shared_member(&all, name);
    for (index, version) in all.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
            errors.push(FieldError::required(at, ""));
        }
    }
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for (index, version) in all.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(version, &["name"]);
        unique &= seen.insert(name);
        let problems = names::dns1035_label(name);
        if !problems.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.name"), name, problems.join(",")));
        }
        if let Some(warning) = version["deprecationWarning"].as_str() {
            let at = format!("{path}.deprecationWarning");
            if version["deprecated"] != true {
                let why = "can only be set for deprecated versions";
                errors.push(FieldError::invalid(&at, warning, why));
            }
            if warning.len() > 256 {
                errors.push(FieldError::too_long(at, 256));
            }
        }
        if version["schema"]["openAPIV3Schema"].is_object() && !shared("schema") {
            let at = format!("{path}.schema.openAPIV3Schema");
            schema_validation::validate(
                &version["schema"]["openAPIV3Schema"],
                &at,
                unchanged(version),
                errors,
            );
        }
        if !shared("subresources") {
            subresources(&version["subresources"], &format!("{path}.subresources"), errors);
        }
        if !shared("additionalPrinterColumns") {
            columns(version, &format!("{path}.additionalPrinterColumns"), errors);
        }
        if !shared("selectableFields") {
            selectable_fields(version, &format!("{path}.selectableFields"), errors);
        }
    }
    let shown = || match &crd["spec"]["versions"] {
        Value::Array(_) => {
            internal::text("[]apiextensions.CustomResourceDefinitionVersion", &shown_versions(&all))
        }
        _ => "null".to_owned(),
    };
    if !unique {
        errors.push(invalid_text("spec.versions", &shown(), "must contain unique version names"));
    }
    if all.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(invalid_text("spec.versions", &shown(), why));
    }
    check_names(&crd["spec"]["names"], errors);
    let Some(first) = all.first() else { return };
    if shared("schema") && first["schema"]["openAPIV3Schema"].is_object() {
        let path = "spec.validation.openAPIV3Schema";
        schema_validation::validate(&first["schema"]["openAPIV3Schema"], path, unchanged(first), errors);
    }
    if shared("subresources") {
        subresources(&first["subresources"], "spec.subresources", errors);
    }
    if shared("selectableFields") {
        selectable_fields(first, "spec.selectableFields", errors);
    }
    if shared("additionalPrinterColumns") {
        columns(first, "spec.additionalPrinterColumns", errors);
    }
}

/// Whether all versions have the same member, which is then one of the definition.
fn shared_member(all: &[&Value], name: &str) -> bool {
    all.windows(2).all(|pair| pair[0].get(name) == pair[1].get(name))
}

/// The versions without what they share.
fn shown_versions(all: &[&Value]) -> Value {
    let hoisted = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"];
    let strip = |version: &&Value| {
        let mut members = version.as_object().cloned().unwrap_or_default();
        members.retain(|name, _| !(hoisted.contains(&name.as_str()) && shared_member(all, name)));
        Value::Object(members)
    };
    Value::Array(all.iter().map(strip).collect())
}

fn check_names(v: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.names";
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(v, &[name]).is_empty() {
            errors.push(FieldError::required(format!("{path}.{name}"), ""));
        }
    }
    for (name, mixed_case) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let (at, found) = (format!("{path}.{name}"), text(v, &[name]));
        if found.is_empty() {
            continue;
        }
        if mixed_case {
            let problems = names::dns1035_label(&found.to_lowercase());
            if !problems.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
                errors.push(FieldError::invalid(at, found, why));
            }
        } else {
            let problems = names::dns1035_label(found);
            if !problems.is_empty() {
                errors.push(FieldError::invalid(at, found, problems.join(",")));
            }
        }
    }
    for list in ["shortNames", "categories"] {
        for (index, name) in v[list].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
            let problems = names::dns1035_label(name);
            if !problems.is_empty() {
                errors.push(FieldError::invalid(format!("{path}.{list}[{index}]"), name, problems.join(",")));
            }
        }
    }
    let list_kind = text(v, &["listKind"]);
    if !list_kind.is_empty() && list_kind == text(v, &["kind"]) {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(format!("{path}.listKind"), list_kind, why));
    }
}

fn conversion(v: &Value, errors: &mut Vec<FieldError>) {
    if v.is_null() {
        return;
    }
    let path = "spec.conversion";
    let strategy = text(v, &["strategy"]);
    one_of(strategy, &format!("{path}.strategy"), &["None", "Webhook"], errors);
    let webhook = &v["webhook"];
    if strategy != "Webhook" {
        if webhook.get("clientConfig").is_some() {
            let why = "should not be set when strategy is not set to Webhook";
            errors.push(FieldError::forbidden(format!("{path}.webhookClientConfig"), why));
        }
        return;
    }
    let at = format!("{path}.webhookClientConfig");
    let config = &webhook["clientConfig"];
    if config.is_null() {
        errors.push(FieldError::required(at, "required when strategy is set to Webhook"));
    } else {
        match (config["url"].as_str(), config.get("service").filter(|s| !s.is_null())) {
            (Some(_), Some(_)) | (None, None) => {
                errors.push(FieldError::required(at, "exactly one of url or service is required"));
            }
            (Some(url), None) if !url.starts_with("https://") => {
                let why = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                errors.push(FieldError::invalid(format!("{at}.url"), url, why));
            }
            (None, Some(service)) => {
                for (name, why) in
                    [("name", "service name is required"), ("namespace", "service namespace is required")]
                {
                    if text(service, &[name]).is_empty() {
                        errors.push(FieldError::required(format!("{at}.service.{name}"), why));
                    }
                }
            }
            _ => {}
        }
    }
    let reviews: Vec<&str> = webhook["conversionReviewVersions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let at = format!("{path}.conversionReviewVersions");
    if reviews.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else if !reviews.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        let shown = webhook["conversionReviewVersions"].clone();
        errors.push(FieldError::invalid(at, shown, "must include at least one of v1, v1beta1"));
    }
}

fn subresources(v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(scale) = v.get("scale").filter(|scale| !scale.is_null()) else { return };
    for (name, below) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let (at, found) = (format!("{path}.scale.{name}"), text(scale, &[name]));
        if found.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if simple_path(found, &at, errors) && !found.starts_with(&format!("{below}.")) {
            let why = format!("should be a json path under {below}");
            errors.push(FieldError::invalid(at, found, why));
        }
    }
    let selector = text(scale, &["labelSelectorPath"]);
    if !selector.is_empty() {
        let at = format!("{path}.scale.labelSelectorPath");
        let below = selector.starts_with(".spec.") || selector.starts_with(".status.");
        if simple_path(selector, &at, errors) && !below {
            let why = "should be a json path under either .spec or .status";
            errors.push(FieldError::invalid(at, selector, why));
        }
    }
}

/// Checks a path of member names, each after a dot.
fn simple_path(path: &str, at: &str, errors: &mut Vec<FieldError>) -> bool {
    if !path.starts_with('.') {
        errors.push(FieldError::invalid(at, path, "must be a simple json path starting with ."));
        return false;
    }
    if path.contains(['[', ']', '{', '}', '*', '?', '@', '$']) || path.split('.').skip(1).any(str::is_empty) {
        errors.push(FieldError::invalid(at, path, "must be a json path in the dot notation"));
        return false;
    }
    true
}

fn columns(version: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 9] =
        ["byte", "date", "date-time", "double", "float", "int32", "int64", "password", "hostname"];
    for (index, v) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        if text(v, &["name"]).is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        let (at, kind) = (format!("{path}.type"), text(v, &["type"]));
        let why = format!("must be one of {}", TYPES.join(","));
        if kind.is_empty() {
            errors.push(FieldError::required(at, why));
        } else if !TYPES.contains(&kind) {
            errors.push(FieldError::invalid(at, kind, why));
        }
        let format = text(v, &["format"]);
        if !format.is_empty() && !FORMATS[..8].contains(&format) {
            let why = format!("must be one of {}", FORMATS[..8].join(","));
            errors.push(FieldError::invalid(format!("{path}.format"), format, why));
        }
        let (at, json_path) = (format!("{path}.JSONPath"), text(v, &["jsonPath"]));
        if json_path.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if !json_path.starts_with('.') {
            errors.push(FieldError::invalid(at, json_path, "must be a simple json path starting with ."));
        }
    }
}

fn selectable_fields(version: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MOST: usize = 8;
    let fields: Vec<&str> = version["selectableFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|f| text(f, &["jsonPath"]))
        .collect();
    if !fields.is_empty() && version["schema"]["openAPIV3Schema"].is_null() {
        errors.push(FieldError::invalid(path, "", "may only be set when validations.schema is included"));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let at = format!("{path}[{index}].jsonPath");
        if field.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        if !simple_path(field, &at, errors) {
            continue;
        }
        if field.starts_with(".metadata") {
            errors.push(FieldError::invalid(&at, *field, "must not point to fields in metadata"));
        }
        let mut schema = &version["schema"]["openAPIV3Schema"];
        for name in field.split('.').skip(1) {
            schema = &schema["properties"][name];
        }
        if schema.is_null() {
            errors.push(FieldError::invalid(&at, *field, "must point to a field in the schema"));
        } else if !matches!(schema["type"].as_str(), Some("string" | "boolean" | "integer")) {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                       formats are allowed.";
            errors.push(FieldError::invalid(&at, *field, why));
        }
        if !seen.insert(field) {
            errors.push(FieldError::duplicate(at, *field));
        }
    }
    if fields.len() > MOST {
        errors.push(FieldError::too_many(path, fields.len(), MOST));
    }
}

fn stored_versions(crd: &Value, errors: &mut Vec<FieldError>) {
    let path = "status.storedVersions";
    let shown = &crd["status"]["storedVersions"];
    let stored: Vec<&str> = shown.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if stored.is_empty() {
        errors.push(FieldError::invalid(path, Value::Null, "must have at least one stored version"));
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions(crd).any(|version| text(version, &["name"]) == *name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(FieldError::invalid(format!("{path}[{index}]"), *name, why));
        }
    }
    let storage = versions(crd).filter(|version| version["storage"] == true).last();
    if let Some(storage) = storage.map(|version| text(version, &["name"]))
        && !stored.is_empty()
        && !stored.contains(&storage)
    {
        let why = format!("must have the storage version {storage}");
        errors.push(FieldError::invalid(path, shown.clone(), why));
    }
}

fn changes(spec: &Value, old: &Value, established: bool, errors: &mut Vec<FieldError>) {
    let stored: &[&[&str]] = if established { &[&["scope"], &["names", "kind"]] } else { &[] };
    let always: &[&[&str]] = &[&["group"], &["names", "plural"]];
    for path in stored.iter().chain(always) {
        let now = text(spec, path);
        if now != text(old, path) {
            errors.push(FieldError::invalid(format!("spec.{}", path.join(".")), now, IMMUTABLE));
        }
    }
}
