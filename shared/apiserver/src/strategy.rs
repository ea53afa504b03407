//! What each kind does on its way into the store: decoding, defaulting, preparing, validating.

use serde_json::{Map, Value};

use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::core::{Core, has_generation};
use crate::object;
use crate::registry::Resource;
use crate::{schema, validation};

/// Brings a decoded body into the form of its kind: unknown fields go, and are reported.
pub(crate) fn decode(resource: &Resource, v: &mut Value) -> ApiResult<Vec<String>> {
    let removed = match &resource.custom {
        Some(c) => {
            let mut removed = decode_metadata(resource, v)?;
            crate::crd::structural::write_whole_numbers(v);
            removed.extend(c.schema.prune_object(v));
            removed.sort();
            removed
        }
        None => decode_builtin(resource, v)?,
    };
    Ok(removed.iter().map(|path| crate::schema::unknown_field(path)).collect())
}

/// The metadata of a custom resource is typed like any other.
fn decode_metadata(resource: &Resource, v: &mut Value) -> ApiResult<Vec<String>> {
    let Some(meta) = v.get_mut("metadata").filter(|m| !m.is_null()) else { return Ok(Vec::new()) };
    let removed = crate::crd::structural::decode_metadata(meta).map_err(|e| {
        let (kind, version) = (&resource.kind, &resource.version);
        ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {e}"))
    })?;
    if meta["managedFields"].as_array().is_some_and(Vec::is_empty) {
        // Only of built-in kinds does an empty list survive the reading, and ask for a reset.
        object::members(meta).remove("managedFields");
    }
    Ok(removed.into_iter().map(|path| format!("metadata.{path}")).collect())
}

fn decode_builtin(resource: &Resource, v: &mut Value) -> ApiResult<Vec<String>> {
    let Some(ty) = schema::builtin().kind(&resource.group, &resource.version, &resource.kind) else {
        return Ok(Vec::new());
    };
    schema::decode(v, ty).map_err(|e| {
        let (kind, version) = (&resource.kind, &resource.version);
        ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {e}"))
    })
}

/// Fills in the defaults of the kind. What an apply led to keeps the nulls that a schema forbids, to be refused.
pub(crate) fn default_object(resource: &Resource, v: &mut Value, applied: bool) {
    match &resource.custom {
        Some(c) if applied => c.schema.default_only(v),
        Some(c) => c.schema.default_object(v),
        None => {
            crate::defaulting::default_builtin(&resource.group, &resource.version, &resource.kind, v);
            crate::kinds::convert(resource, v);
        }
    }
}

/// The status of an object of a built-in kind that has none.
fn empty_status(resource: &Resource) -> Option<Value> {
    let ty = schema::builtin().kind(&resource.group, &resource.version, &resource.kind)?;
    let mut v = Value::Object(Map::new());
    schema::decode(&mut v, ty).ok()?;
    object::members(&mut v).remove("status")
}

/// Metadata that the server owns stays as it is, whatever the client sent.
pub(crate) fn keep_system_metadata(new: &mut Value, live: &Value) {
    let live_meta = live.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let meta = object::metadata(new);
    for key in ["creationTimestamp", "generation", "resourceVersion", "uid"] {
        match live_meta.get(key) {
            Some(v) => meta.insert(key.into(), v.clone()),
            None => meta.remove(key),
        };
    }
    // Marks of deletion stay; that a client sets them is for validation to refuse.
    if let Some(when) = live_meta.get("deletionTimestamp") {
        meta.insert("deletionTimestamp".into(), when.clone());
    }
    if let Some(seconds) = live_meta.get("deletionGracePeriodSeconds") {
        meta.entry("deletionGracePeriodSeconds").or_insert_with(|| seconds.clone());
    }
}

/// Clears and sets what a create may not choose.
pub(crate) fn prepare_create(
    core: &Core,
    resource: &Resource,
    v: &mut Value,
    dry_run: bool,
) -> ApiResult<()> {
    if resource.has_status() && resource.plural != "customresourcedefinitions" {
        object::members(v).remove("status");
        if resource.custom.is_none()
            && let Some(status) = empty_status(resource)
        {
            object::members(v).insert("status".into(), status);
        }
    }
    crate::kinds::prepare_create(core, resource, v, dry_run)
}

/// Limits an update to the part that its subresource may change.
pub(crate) fn prepare_update(
    core: &Core,
    resource: &Resource,
    subresource: &str,
    new: &mut Value,
    live: &Value,
    dry_run: bool,
) -> ApiResult<()> {
    match subresource {
        "status" => {
            let status = new.get("status").cloned();
            let metadata = object::at(new, &["metadata"]).cloned().unwrap_or_default();
            *new = live.clone();
            match status {
                Some(status) => object::members(new).insert("status".into(), status),
                None => object::members(new).remove("status"),
            };
            status_metadata(resource, new, metadata);
        }
        "approval" | "ephemeralcontainers" | "resize" => {}
        // Who binds a pod also says that it is scheduled.
        _ if resource.has_status() && subresource != "binding" => {
            let m = object::members(new);
            match live.get("status") {
                Some(s) => m.insert("status".into(), s.clone()),
                None => m.remove("status"),
            };
        }
        _ => {}
    }
    crate::kinds::prepare_update(core, resource, subresource, new, live, dry_run)
}

/// How much of the metadata a write of the status may change: everything for most kinds, managed fields for all.
fn status_metadata(resource: &Resource, new: &mut Value, mut sent: Value) {
    let kept = object::at(new, &["metadata"]).cloned().unwrap_or_default();
    let fixed: &[&str] = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &["ownerReferences", "deletionTimestamp"],
        ("apps", "deployments") => &["labels"],
        _ if resource.custom.is_some() || schema::resets_metadata(&resource.group, &resource.plural) => {
            &["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "selfLink"]
        }
        _ => &[],
    };
    for name in fixed {
        match kept.get(*name) {
            Some(value) => object::members(&mut sent).insert((*name).to_owned(), value.clone()),
            None => object::members(&mut sent).remove(*name),
        };
    }
    object::members(new).insert("metadata".into(), sent);
}

/// Adds one to the generation when what the object asks for changed.
///
/// A few kinds take an empty list that the client wrote for another one than none, though both are stored as none.
pub(crate) fn count_generation(resource: &Resource, new: &mut Value, live: &Value, written: Option<&Value>) {
    if !has_generation(resource) {
        return;
    }
    let changed = match &resource.custom {
        Some(c) => relevant(new, c.has_status) != relevant(live, c.has_status),
        None => {
            let annotations = |v: &Value| object::at(v, &["metadata", "annotations"]).cloned();
            let part = |v: &Value| match (resource.group.as_str(), resource.plural.as_str()) {
                ("admissionregistration.k8s.io", plural) if plural.ends_with("webhookconfigurations") => {
                    v.get("webhooks").cloned()
                }
                ("", "podtemplates") => v.get("template").cloned(),
                ("discovery.k8s.io", _) => {
                    let mut all = relevant(v, false);
                    all.insert("labels".into(), v["metadata"]["labels"].clone());
                    Some(Value::Object(all))
                }
                _ => v.get("spec").cloned(),
            };
            let counts_empty = resource.is("networking.k8s.io", "networkpolicies")
                || resource.group == "admissionregistration.k8s.io"
                    && resource.plural.ends_with("webhookconfigurations");
            let empty_again = |written: &Value| {
                adds_empty_list(&part(written).unwrap_or_default(), &part(live).unwrap_or_default())
            };
            part(new) != part(live)
                || counts_empty && written.is_some_and(empty_again)
                || resource.is("apps", "deployments") && annotations(new) != annotations(live)
        }
    };
    if changed {
        let generation = object::at(live, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0);
        object::metadata(new).insert("generation".into(), (generation + 1).into());
    }
}

/// Whether a value has an empty list where the stored one has none.
fn adds_empty_list(written: &Value, live: &Value) -> bool {
    match (written, live) {
        (Value::Array(items), Value::Null) => items.is_empty(),
        (Value::Array(items), Value::Array(live)) if items.len() == live.len() => {
            items.iter().zip(live).any(|(item, live)| adds_empty_list(item, live))
        }
        (Value::Object(members), Value::Object(live)) => members
            .iter()
            .any(|(name, member)| adds_empty_list(member, live.get(name).unwrap_or(&Value::Null))),
        _ => false,
    }
}

fn relevant(v: &Value, has_status: bool) -> Map<String, Value> {
    let mut m = v.as_object().cloned().unwrap_or_default();
    m.remove("metadata");
    m.remove("apiVersion");
    if has_status {
        m.remove("status");
    }
    m
}

/// Everything that is wrong with a new object.
pub(crate) fn validate_create(resource: &Resource, v: &Value) -> Vec<FieldError> {
    match &resource.custom {
        None => validation::builtin::validate_create(resource, v),
        Some(c) => {
            let mut errors = validation::metadata::validate(resource, v);
            errors.extend(crate::crd::custom_validation::validate(c, v, None, false));
            errors
        }
    }
}

/// Everything that is wrong with a changed object.
pub(crate) fn validate_update(
    resource: &Resource,
    subresource: &str,
    v: &Value,
    live: &Value,
) -> Vec<FieldError> {
    match &resource.custom {
        None => validation::builtin::validate_update(resource, subresource, v, live),
        Some(c) => {
            let mut errors = validation::metadata::validate_update(resource, subresource, v, live);
            errors.extend(crate::crd::custom_validation::validate(c, v, Some(live), subresource == "status"));
            errors
        }
    }
}

/// What a client should know about a valid object that it created, or changed from `old`.
pub(crate) fn warnings(resource: &Resource, v: &Value, old: Option<&Value>) -> Vec<String> {
    match &resource.custom {
        None => validation::builtin::warnings::of(resource, v, old),
        Some(_) => validation::builtin::warnings::of_custom(v, old),
    }
}

/// Whether the first update of an object is written even if it changes nothing: its stored form lacks what reading adds.
pub(crate) fn first_update_writes(resource: &Resource, v: &Value) -> bool {
    if resource.is("batch", "jobs") {
        // Such a Job came without any labels: it shows those that its pods got, which are stored with those only.
        let of = |path: &[&str]| object::at(v, path).and_then(Value::as_object);
        let (own, of_pods) = (of(&["metadata", "labels"]), of(&["spec", "template", "metadata", "labels"]));
        let generated = |name: &String| {
            let name = name.strip_prefix("batch.kubernetes.io/").unwrap_or(name);
            matches!(name, "controller-uid" | "job-name")
        };
        return own.is_some_and(|labels| !labels.is_empty() && labels.keys().all(generated))
            && own == of_pods;
    }
    resource.is("", "persistentvolumeclaims")
}

/// A name that begins with `prefix`.
pub(crate) fn generate_name(resource: &Resource, prefix: &str) -> String {
    if resource.is("networking.k8s.io", "ipaddresses") {
        // What is added to an address makes none.
        return prefix.to_owned();
    }
    generated_name(prefix)
}

/// A prefix and five characters without vowels or look-alikes, as the server makes names.
pub(crate) fn generated_name(prefix: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let prefix: String = prefix.chars().take(58).collect();
    let suffix = (0..5).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())] as char);
    prefix.chars().chain(suffix).collect()
}

/// Whether PUT on a name that does not exist creates the object.
pub(crate) fn put_creates(resource: &Resource) -> bool {
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("coordination.k8s.io", "leases")
            | ("rbac.authorization.k8s.io", _)
            | ("" | "events.k8s.io", "events")
            | ("", "services" | "endpoints" | "limitranges")
            | ("node.k8s.io", _)
    )
}

/// Whether an update must name the resourceVersion it replaces.
pub(crate) fn update_needs_version(resource: &Resource) -> bool {
    resource.custom.is_some()
        || matches!(
            (resource.group.as_str(), resource.plural.as_str()),
            ("coordination.k8s.io", "leases")
                | ("apiextensions.k8s.io", "customresourcedefinitions")
                | ("policy", "poddisruptionbudgets")
                | ("node.k8s.io", _)
                | (
                    "storage.k8s.io",
                    "csidrivers" | "csistoragecapacities" | "volumeattachments" | "csinodes"
                )
                | ("apiregistration.k8s.io", _)
                | ("admissionregistration.k8s.io", _)
        )
}
