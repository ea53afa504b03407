//! Admission: what the server checks of every write apart from the object itself.

use serde_json::Value;

use crate::api_error::{ApiError, ApiResult};
use crate::handlers::Context;
use crate::object;
use crate::store::ObjectKey;

/// Admits a create, and may change the object.
pub(crate) fn create(ctx: &mut Context, v: &mut Value) -> ApiResult<()> {
    namespace_accepts(ctx, v)
}

/// Admits an update, and may change the object.
pub(crate) fn update(_ctx: &mut Context, _new: &mut Value, _live: &Value) -> ApiResult<()> {
    Ok(())
}

/// Admits the final object of a create, update (both given) or delete (only `old`).
pub(crate) fn validate(_ctx: &mut Context, _new: Option<&Value>, _old: Option<&Value>) -> ApiResult<()> {
    Ok(())
}

/// New objects need a namespace that exists and is not going away.
fn namespace_accepts(ctx: &Context, v: &Value) -> ApiResult<()> {
    if !ctx.resource.namespaced || ctx.target.namespace.is_empty() {
        return Ok(());
    }
    let ns = &ctx.target.namespace;
    let Some(stored) = ctx.core.store.get("namespaces", &ObjectKey::new("", ns)) else {
        return Err(ApiError::not_found("", "namespaces", ns));
    };
    if !object::is_deleting(&stored.value) {
        return Ok(());
    }
    let r = ctx.resource;
    let message = format!("unable to create new content in namespace {ns} because it is being terminated");
    let mut e = ApiError::forbidden(&r.group, &r.plural, object::name(v), &message);
    if let Some(Value::Object(d)) = &mut e.details {
        let cause = serde_json::json!({
            "reason": "NamespaceTerminating", "message": format!("namespace {ns} is being terminated"), "field": "metadata.namespace",
        });
        d.insert("causes".into(), Value::Array(vec![cause]));
    }
    Err(e)
}

/// Admits a delete.
pub(crate) fn delete(ctx: &mut Context, v: &Value) -> ApiResult<()> {
    let name = object::name(v);
    if ctx.resource.is("", "namespaces") && matches!(name, "default" | "kube-system" | "kube-public") {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}
