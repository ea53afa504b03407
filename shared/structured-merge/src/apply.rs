//! Server-side apply: an object, its managers and a configuration in; the merged object and its managers out.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::conflict::Conflicts;
use crate::fieldset::FieldSet;
use crate::managers::{ManagerId, Managers, Operation, Owned};
use crate::ownership::{
    OwnershipError, Versioned, reconcile_with_schema, record_update, take_over, without_unowned,
};
use crate::path::same_value;
use crate::typed::{self, Duplicates};
use crate::versions::Versions;

/// The manager of what was there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager that takes over from client-side apply.
const KUBECTL: &str = "kubectl";
/// Where client-side apply keeps the configuration last applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The size that all annotations of an object may have together.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// An apply.
#[derive(Debug, Clone, Copy)]
pub struct ApplyRequest<'a> {
    /// The object as stored, at `api_version`; `None` when it does not exist yet.
    pub live: Option<&'a Value>,
    /// The configuration.
    pub applied: &'a Value,
    /// The name of the manager.
    pub manager: &'a str,
    /// Whether to take fields over from others instead of conflicting with them.
    pub force: bool,
    /// The version of the request, as in `apps/v1`.
    pub api_version: &'a str,
    /// The kind of the resource.
    pub kind: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// The time of the request, RFC 3339 in UTC and whole seconds.
    pub now: &'a str,
}

/// The result of an apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The merged object with its `metadata.managedFields`, neither defaulted nor in canonical form.
    pub object: Value,
    /// Whether the merge changed a value of the live object.
    pub changed: bool,
}

/// Why an apply is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// Others own fields with other values: 409 Conflict.
    #[error(transparent)]
    Conflicts(#[from] Conflicts),
    /// The configuration is none for this resource: 400 BadRequest.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration or the live object does not fit the schema: 500, as Kubernetes answers it.
    #[error("{0}")]
    Untyped(String),
}

impl From<OwnershipError> for ApplyError {
    fn from(error: OwnershipError) -> Self {
        match error {
            OwnershipError::Conflicts(conflicts) => Self::Conflicts(conflicts),
            OwnershipError::Text(text) => Self::Untyped(text),
        }
    }
}

/// Applies a configuration.
pub fn apply(request: &ApplyRequest<'_>, versions: &dyn Versions) -> Result<Applied, ApplyError> {
    let text = |name: &str| request.applied.get(name).and_then(Value::as_str).unwrap_or_default();
    if (text("apiVersion"), text("kind")) != (request.api_version, request.kind) {
        return Err(ApplyError::BadRequest(format!(
            "invalid object type: {}",
            group_version_kind(text("apiVersion"), text("kind"))
        )));
    }
    if request.applied.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let mut managers = match request.live.and_then(|live| live.pointer("/metadata/managedFields")) {
        Some(entries) => Managers::decode(entries)
            .map_err(|error| ApplyError::Untyped(format!("failed to decode managed fields: {error}")))?,
        None => Managers::default(),
    };
    let live = match request.live {
        Some(live) => without_managed_fields(live),
        None => versions.empty(request.api_version),
    };
    if managers.is_empty() && request.live.is_some() {
        let empty = versions.empty(request.api_version);
        if let Some(ty) = versions.type_at(request.api_version) {
            typed::validate(&live, ty, Duplicates::Allowed).map_err(|errors| {
                let name = object_name(&live, request);
                ApplyError::Untyped(format!(
                    "failed to create manager for existing fields: failed to convert new object ({name}) to smd typed: {errors}"
                ))
            })?;
        }
        let id =
            ManagerId::new(BEFORE_FIRST_APPLY, Operation::Update, request.api_version, request.subresource);
        let (old, new) = (at(&empty, request), at(&live, request));
        record_update(&mut managers, old, new, id, request.now, versions).map_err(|error| {
            ApplyError::Untyped(format!("failed to create manager for existing fields: {error}"))
        })?;
    }
    let mut applied = match merge_and_own(request, &live, managers.clone(), request.force, versions) {
        Err(ApplyError::Conflicts(conflicts)) if request.manager == KUBECTL => {
            let remaining = match last_applied_fields(request, &live, versions) {
                Some(allowed) => conflicts_outside(conflicts, &allowed),
                None => conflicts,
            };
            if !remaining.0.is_empty() {
                return Err(remaining.into());
            }
            merge_and_own(request, &live, managers, true, versions)?
        }
        other => other?,
    };
    if request.manager == KUBECTL {
        refresh_last_applied(&mut applied.object, request.applied);
    }
    Ok(applied)
}

/// Merges, prunes what the manager no longer applies, and settles who owns what.
fn merge_and_own(
    request: &ApplyRequest<'_>,
    live: &Value,
    mut managers: Managers,
    force: bool,
    versions: &dyn Versions,
) -> Result<Applied, ApplyError> {
    let Some(ty) = versions.type_at(request.api_version) else {
        return Err(ApplyError::Untyped(format!(
            "failed to create typed patch object ({}): no corresponding type for {}",
            object_name(request.applied, request),
            group_version_kind(request.api_version, request.kind)
        )));
    };
    typed::validate(request.applied, ty, Duplicates::Refused).map_err(|errors| {
        let name = object_name(request.applied, request);
        ApplyError::Untyped(format!("failed to create typed patch object ({name}): {errors}"))
    })?;
    typed::validate(live, ty, Duplicates::Allowed).map_err(|errors| {
        let name = object_name(live, request);
        ApplyError::Untyped(format!("failed to create typed live object ({name}): {errors}"))
    })?;

    reconcile_with_schema(&mut managers, versions);
    let mut object = typed::merge(live, request.applied, ty)
        .map_err(|errors| ApplyError::Untyped(format!("failed to merge config: {errors}")))?;
    let id = ManagerId::new(request.manager, Operation::Apply, request.api_version, request.subresource);
    let mut fields = typed::field_set(request.applied, ty);
    if let Some(reset) = versions.reset_fields(request.api_version) {
        fields = fields.recursive_difference(reset);
    }
    let previous = managers.0.remove(&id);
    let time = previous.as_ref().and_then(|previous| previous.time.clone());
    managers.0.insert(id.clone(), Owned { fields, api_version: request.api_version.to_owned(), time });
    if let Some(previous) = previous.filter(|previous| !previous.fields.is_empty()) {
        object = prune(object, &managers, &previous, request.api_version, versions)?;
    }
    take_over(&mut managers, at(live, request), at(&object, request), Some(&id), force, versions)?;

    let changed = !same_value(live, &object);
    if let Some(owned) = managers.0.get_mut(&id) {
        owned.fields = without_unowned(&owned.fields);
        if changed {
            owned.time = Some(request.now.to_owned());
        }
    }
    managers.0.retain(|_, owned| !owned.fields.is_empty());
    let mut object = if changed { object } else { live.clone() };
    managers.write_to(&mut object);
    Ok(Applied { object, changed })
}

/// Removes the fields and items that the manager applied last time, does not apply now, and nobody else owns.
fn prune(
    merged: Value,
    managers: &Managers,
    previous: &Owned,
    api_version: &str,
    versions: &dyn Versions,
) -> Result<Value, ApplyError> {
    let version = previous.api_version.as_str();
    let Some(ty) = versions.type_at(version) else { return Ok(merged) };
    let merged = Versioned { object: &merged, api_version }.at(version, versions)?.into_owned();
    let last = previous.fields.with_named_fields(Some(ty));
    let pruned = typed::remove(&merged, &last, ty);
    let pruned = add_back_owned(&merged, pruned, version, managers, versions)?;

    // Only what the manager owned before may go: items of nobody and of updaters stay.
    let pruned_set = typed::field_set(&pruned, ty).with_named_fields(Some(ty));
    let merged_set = typed::field_set(&merged, ty).with_named_fields(Some(ty));
    let gone = merged_set.difference(&pruned_set).intersection(&last);
    let pruned = typed::remove(&merged, &gone, ty);
    Ok(Versioned { object: &pruned, api_version: version }.at(api_version, versions)?.into_owned())
}

/// Puts back what pruning took although some manager owns it.
fn add_back_owned(
    merged: &Value,
    pruned: Value,
    version: &str,
    managers: &Managers,
    versions: &dyn Versions,
) -> Result<Value, ApplyError> {
    let mut owned_at: Vec<(&str, FieldSet)> = vec![(version, FieldSet::new())];
    for owned in managers.0.values() {
        match owned_at.iter_mut().find(|(at, _)| *at == owned.api_version) {
            Some((_, fields)) => *fields = fields.union(&owned.fields),
            None => owned_at.push((&owned.api_version, owned.fields.clone())),
        }
    }
    let mut pruned = pruned;
    for (at, owned) in owned_at {
        let Some(ty) = versions.type_at(at) else { continue };
        let merged = Versioned { object: merged, api_version: version }.at(at, versions)?;
        let pruned_there = Versioned { object: &pruned, api_version: version }.at(at, versions)?;
        let merged_set = typed::field_set(&merged, ty).with_named_fields(Some(ty));
        let kept = typed::field_set(&pruned_there, ty)
            .with_named_fields(Some(ty))
            .union(&owned.with_named_fields(Some(ty)));
        let restored = typed::remove(&merged, &merged_set.difference(&kept), ty);
        pruned = Versioned { object: &restored, api_version: at }.at(version, versions)?.into_owned();
    }
    Ok(pruned)
}

/// The fields of the configuration last applied by client-side apply that still have the value from there.
fn last_applied_fields(
    request: &ApplyRequest<'_>,
    live: &Value,
    versions: &dyn Versions,
) -> Option<FieldSet> {
    let ty = versions.type_at(request.api_version)?;
    let text = live.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion")?.as_str()? != request.api_version {
        return None;
    }
    typed::validate(live, ty, Duplicates::Refused).ok()?;
    typed::validate(&last, ty, Duplicates::Refused).ok()?;
    let comparison = typed::compare(&last, live, ty).ok()?;
    Some(
        typed::field_set(&last, ty)
            .difference(&comparison.modified)
            .difference(&comparison.added)
            .difference(&comparison.removed),
    )
}

fn conflicts_outside(conflicts: Conflicts, allowed: &FieldSet) -> Conflicts {
    Conflicts(conflicts.0.into_iter().filter(|conflict| !allowed.has(&conflict.path.0)).collect())
}

/// Keeps the annotation of client-side apply in step, so that going back to it removes the right fields.
fn refresh_last_applied(object: &mut Value, applied: &Value) {
    let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") else { return };
    if annotations.get(LAST_APPLIED).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = applied.clone();
    if let Some(Value::Object(metadata)) = applied.get_mut("metadata") {
        let emptied = match metadata.get_mut("annotations") {
            Some(Value::Object(annotations)) => {
                annotations.remove(LAST_APPLIED);
                annotations.is_empty()
            }
            _ => false,
        };
        if emptied {
            metadata.remove("annotations");
        }
    }
    let mut text = String::new();
    crate::go_format::write_json(&applied, &mut text);
    text.push('\n');
    annotations.insert(LAST_APPLIED.to_owned(), Value::from(text));
    let size: usize =
        annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS_BYTES {
        annotations.remove(LAST_APPLIED);
    }
}

fn at<'a>(object: &'a Value, request: &ApplyRequest<'a>) -> Versioned<'a> {
    Versioned { object, api_version: request.api_version }
}

/// A copy of the object without its `metadata.managedFields`.
pub(crate) fn without_managed_fields(object: &Value) -> Value {
    let Value::Object(members) = object else { return object.clone() };
    let mut copy = Map::new();
    for (name, value) in members {
        let value = match value {
            Value::Object(metadata) if name == "metadata" => Value::Object(
                metadata
                    .iter()
                    .filter(|(name, _)| *name != "managedFields")
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            ),
            value => value.clone(),
        };
        copy.insert(name.clone(), value);
    }
    Value::Object(copy)
}

fn object_name(object: &Value, request: &ApplyRequest<'_>) -> String {
    let text = |name: &str| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}/{}; {}",
        text("namespace"),
        text("name"),
        group_version_kind(request.api_version, request.kind)
    )
}

/// A kind as Kubernetes prints it: `apps/v1, Kind=Deployment`, `/v1, Kind=ConfigMap`.
fn group_version_kind(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}
