//! Server-side apply and strategic merge for a resource: picks its schema and hands over to the merge.

use std::borrow::Cow;

use fluxide_structured_merge::schema::TypeRef;
use fluxide_structured_merge::{Applied, ApplyError, ApplyRequest, PatchError, UpdateRequest, Versions};
use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::object;
use crate::registry::Resource;
use crate::schema::{self, BuiltinKind, CustomKind};

/// The object with `metadata.managedFields` for a create, replacement or patch.
pub(crate) fn record_update(
    resource: &Resource,
    subresource: &str,
    live: Option<&Value>,
    new: &Value,
    manager: &str,
    now: &str,
) -> Value {
    let api_version = resource.api_version();
    let request = UpdateRequest { live, new, manager, api_version: &api_version, subresource, now };
    with_versions(resource, subresource, |v| fluxide_structured_merge::update(&request, v))
}

/// The object with the empty lists of `written` in place of nulls, when it has any.
pub(crate) fn with_empty_lists(resource: &Resource, v: &Value, written: &Value) -> Option<Value> {
    if resource.custom.is_some() {
        return None;
    }
    let ty = schema::builtin().kind(&resource.group, &resource.version, &resource.kind)?;
    let mut whole = v.clone();
    schema::restore_empty_lists(&mut whole, written, ty).then_some(whole)
}

/// The object that an apply patch leads to.
pub(crate) fn apply(
    resource: &Resource,
    subresource: &str,
    live: Option<&Value>,
    applied: &Value,
    manager: &str,
    force: bool,
    now: &str,
) -> ApiResult<Applied> {
    let api_version = resource.api_version();
    let request = ApplyRequest {
        live,
        applied,
        manager,
        force,
        api_version: &api_version,
        kind: &resource.kind,
        subresource,
        now,
    };
    answered(with_versions(resource, subresource, |v| fluxide_structured_merge::apply(&request, v)))
}

/// The object with a status that a part of the server applied, or nothing if that is refused.
pub(crate) fn apply_status(
    resource: &Resource,
    v: &Value,
    status: Value,
    manager: &str,
    now: &str,
) -> Option<Value> {
    let applied = json!({
        "apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {"name": object::name(v)},
        "status": status,
    });
    apply(resource, "status", Some(v), &applied, manager, true, now).ok().map(|applied| applied.object)
}

/// What an apply led to, or its refusal in the words of the server.
pub(crate) fn answered(outcome: Result<Applied, ApplyError>) -> ApiResult<Applied> {
    match outcome {
        Ok(a) => Ok(a),
        Err(ApplyError::BadRequest(m)) => Err(ApiError::bad_request(m)),
        Err(ApplyError::Untyped(m)) => Err(ApiError::unclassified(m)),
        Err(ApplyError::Conflicts(c)) => {
            let causes: Vec<Value> = c
                .0
                .iter()
                .map(|c| json!({"reason": "FieldManagerConflict", "message": c.message(), "field": c.path.to_string()}))
                .collect();
            let mut e = ApiError::new(409, "Conflict", c.to_string());
            e.details = Some(json!({"causes": causes}));
            Err(e)
        }
    }
}

/// A strategic merge patch of a built-in object.
pub(crate) fn strategic_merge(resource: &Resource, live: &Value, patch: &Value) -> ApiResult<Value> {
    match schema::builtin().kind(&resource.group, &resource.version, &resource.kind) {
        Some(ty) => strategic_merge_typed(live, patch, ty),
        None => Err(ApiError::bad_request("strategic merge patch format is not supported")),
    }
}

/// A strategic merge patch of an object of type `ty`.
pub(crate) fn strategic_merge_typed(live: &Value, patch: &Value, ty: TypeRef<'_>) -> ApiResult<Value> {
    fluxide_structured_merge::strategic_merge_patch(live, patch, ty).map_err(|e| match e {
        PatchError::BadRequest(m) => ApiError::bad_request(m),
        PatchError::Unprocessable(_) => {
            ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request")
                .with_empty_details()
        }
        PatchError::Other(m) => ApiError::unclassified(m),
    })
}

/// Calls `f` with the versions of the resource's kind.
fn with_versions<T>(resource: &Resource, subresource: &str, f: impl FnOnce(&dyn Versions) -> T) -> T {
    let reset_fields = schema::reset_fields(
        &resource.group,
        &resource.plural,
        subresource,
        resource.has_status(),
        resource.custom.is_some(),
    );
    match &resource.custom {
        Some(c) => {
            let versions = c.siblings.iter().map(|(v, s)| (Cow::Borrowed(v.as_str()), s.as_ref())).collect();
            // Writes of the status know of all versions that have one, other writes of their own only.
            let resetting = match subresource {
                "status" => c.with_status.iter().map(|v| Cow::Borrowed(v.as_str())).collect(),
                _ => vec![Cow::Owned(resource.api_version())],
            };
            f(&CustomKind { versions, reset_fields, resetting })
        }
        None => {
            let convert = |v: &Value, api_version: &str| Ok(crate::versions::convert_builtin(v, api_version));
            f(&BuiltinKind { group: &resource.group, kind: &resource.kind, reset_fields, convert: &convert })
        }
    }
}
