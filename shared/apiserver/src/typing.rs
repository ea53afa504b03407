//! Server-side apply and strategic merge for a resource: picks its schema and hands over to the merge.

use fluxide_structured_merge::schema::{Schema, TypeRef};
use fluxide_structured_merge::{ApplyError, ApplyRequest, FieldSet, UpdateRequest, Versions};
use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::registry::Resource;

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
    fluxide_structured_merge::update(&request, &KindVersions::new(resource, subresource))
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
) -> ApiResult<Value> {
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
    match fluxide_structured_merge::apply(&request, &KindVersions::new(resource, subresource)) {
        Ok(a) => Ok(a.object),
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
pub(crate) fn strategic_merge(_resource: &Resource, live: &Value, patch: &Value) -> ApiResult<Value> {
    crate::patching::merge_patch::apply(live, patch)
}

struct KindVersions<'a> {
    resource: &'a Resource,
    schema: &'a Schema,
    reset: Option<FieldSet>,
}

impl<'a> KindVersions<'a> {
    fn new(resource: &'a Resource, subresource: &str) -> Self {
        static DEDUCED: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::deduced);
        let schema = match &resource.custom {
            Some(c) => &c.types,
            None => &DEDUCED,
        };
        let reset = match subresource {
            "" if resource.has_status() => Some(json!({"f:status": {}})),
            "status" => Some(json!({"f:spec": {}, "f:metadata": {}})),
            _ => None,
        };
        let reset = reset.and_then(|v| FieldSet::from_json(&v).ok());
        KindVersions { resource, schema, reset }
    }
}

impl Versions for KindVersions<'_> {
    fn type_at(&self, api_version: &str) -> Option<TypeRef<'_>> {
        (api_version == self.resource.api_version()).then(|| self.schema.root())
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let mut v = object.clone();
        crate::object::members(&mut v).insert("apiVersion".into(), api_version.into());
        Ok(v)
    }

    fn reset_fields(&self, _api_version: &str) -> Option<&FieldSet> {
        self.reset.as_ref()
    }
}
