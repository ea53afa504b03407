//! Admission: what the server checks and adds on every write apart from the object's own kind.

mod limits;
mod pods;
mod policies;
mod signing;

use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::handlers::Context;
use crate::object::{self, text};
use crate::store::ObjectKey;

/// Admits a create, and may change the object.
pub(crate) fn create(ctx: &mut Context, v: &mut Value) -> ApiResult<()> {
    namespace_accepts(ctx, v)?;
    let r = ctx.resource.clone();
    match (r.group.as_str(), r.plural.as_str()) {
        ("", "pods") => {
            limits::default_pod(ctx.core, v);
            pods::runtime_class(ctx.core, v)?;
            pods::tolerations(v);
            pods::priority(ctx.core, v)?;
        }
        ("", "persistentvolumeclaims") => {
            protect(v, "kubernetes.io/pvc-protection");
            default_storage_class(ctx, v);
        }
        ("", "persistentvolumes") => protect(v, "kubernetes.io/pv-protection"),
        ("storage.k8s.io", "volumeattributesclasses") => protect(v, "kubernetes.io/vac-protection"),
        ("", "nodes") => not_ready(v),
        ("certificates.k8s.io", "certificatesigningrequests") => signing::name_requestor(ctx.user, v),
        ("networking.k8s.io", "ingresses") => default_ingress_class(ctx, v),
        _ => {}
    }
    Ok(())
}

/// What admission adds to a pod that a controller creates.
pub(crate) fn complete_pod(core: &crate::core::Core, v: &mut Value) {
    limits::default_pod(core, v);
    pods::tolerations(v);
    let _ = pods::priority(core, v);
}

/// Admits an update, and may change the object.
pub(crate) fn update(ctx: &mut Context, new: &mut Value, live: &Value) -> ApiResult<()> {
    if ctx.resource.is("", "pods") && ctx.target.subresource.is_empty() {
        pods::tolerations(new);
        pods::keep_priority(new, live);
    }
    Ok(())
}

/// Admits the final object of a create, update (both given) or delete (only `old`).
pub(crate) fn validate(ctx: &mut Context, new: Option<&Value>, old: Option<&Value>) -> ApiResult<()> {
    if ctx.resource.is("certificates.k8s.io", "certificatesigningrequests") {
        signing::validate(ctx, new, old)?;
    }
    if ctx.resource.is("scheduling.k8s.io", "priorityclasses")
        && let Some(v) = new
    {
        pods::one_default_priority(ctx.core, v, old.is_none())?;
    }
    policies::check(ctx, new, old)
}

/// Admits a delete.
pub(crate) fn delete(ctx: &mut Context, v: &Value) -> ApiResult<()> {
    let name = object::name(v);
    if ctx.resource.is("", "namespaces") && matches!(name, "default" | "kube-system" | "kube-public") {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
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
        let cause = json!({
            "reason": "NamespaceTerminating", "message": format!("namespace {ns} is being terminated"), "field": "metadata.namespace",
        });
        d.insert("causes".into(), Value::Array(vec![cause]));
    }
    Err(e)
}

/// Volumes in use are not deleted.
fn protect(v: &mut Value, finalizer: &str) {
    let list = object::metadata(v).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(finalizer.into());
    }
}

/// A claim that names no class gets the default one.
fn default_storage_class(ctx: &Context, v: &mut Value) {
    if v["spec"].get("storageClassName").is_some() {
        return;
    }
    let classes = ctx.core.store.list("storageclasses.storage.k8s.io", None).objects;
    let class = classes.iter().find(|c| is_default(&c.value, "storageclass.kubernetes.io/is-default-class"));
    if let Some(c) = class {
        object::child(v, "spec").insert("storageClassName".into(), object::name(&c.value).into());
    }
}

fn default_ingress_class(ctx: &Context, v: &mut Value) {
    if v["spec"].get("ingressClassName").is_some()
        || object::at(v, &["metadata", "annotations", "kubernetes.io/ingress.class"]).is_some()
    {
        return;
    }
    let classes = ctx.core.store.list("ingressclasses.networking.k8s.io", None).objects;
    let class = classes.iter().find(|c| is_default(&c.value, "ingressclass.kubernetes.io/is-default-class"));
    if let Some(c) = class {
        object::child(v, "spec").insert("ingressClassName".into(), object::name(&c.value).into());
    }
}

fn is_default(v: &Value, annotation: &str) -> bool {
    text(v, &["metadata", "annotations", annotation]) == "true"
}

/// A new node takes no pods until it says that it is ready.
fn not_ready(v: &mut Value) {
    let taints = object::child(v, "spec").entry("taints").or_insert_with(|| json!([]));
    if let Some(t) = taints.as_array_mut() {
        t.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
    }
}
