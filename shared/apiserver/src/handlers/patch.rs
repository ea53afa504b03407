//! PATCH in its four forms.

use serde_json::Value;

use super::Context;
use super::answer::Answer;
use super::decode::{self, FieldValidation, media_type};
use super::read::{namespace_of, one};
use super::write::{Proposed, Recorded, create_object, report, update_object};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::object;
use crate::patching::{json_patch, merge_patch};
use crate::store::ObjectKey;
use crate::{strategy, typing};

/// Patches an object; an apply patch may create it.
pub(crate) fn patch(ctx: &mut Context) -> ApiResult<Answer> {
    match media_type(ctx).to_owned().as_str() {
        "application/apply-patch+yaml" => apply(ctx),
        kind @ ("application/json-patch+json" | "application/merge-patch+json") => edit(ctx, kind),
        kind @ "application/strategic-merge-patch+json" if ctx.resource.custom.is_none() => edit(ctx, kind),
        _ => {
            let strategic =
                if ctx.resource.custom.is_none() { "application/strategic-merge-patch+json, " } else { "" };
            Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, {strategic}application/apply-patch+yaml, \
                 application/apply-patch+cbor"
            )))
        }
    }
}

fn edit(ctx: &mut Context, kind: &str) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let manager = ctx.manager();
    let validation = FieldValidation::of(ctx)?;
    if ctx.request.query.get("force").is_some() {
        let e = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![e]));
    }
    let body = ctx.request.body.clone();
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let resource = ctx.resource.clone();
    let strategic = kind == "application/strategic-merge-patch+json";
    let operations =
        if kind == "application/json-patch+json" { Some(json_patch::parse(&body)?) } else { None };
    let decoded = match operations {
        Some(_) => decode::Decoded::default(),
        None => decode::json(&body).map_err(ApiError::bad_request)?,
    };
    let mut reported = false;
    let v = update_object(ctx, &key, dry_run, |ctx, live| {
        let mut new = match &operations {
            Some(ops) => json_patch::apply(ops, live)?,
            None if strategic => typing::strategic_merge(&resource, live, &decoded.value)?,
            None => merge_patch::apply(live, &decoded.value)?,
        };
        let mut problems = decoded.problems.clone();
        problems.extend(strategy::decode(&resource, &mut new)?);
        if !problems.is_empty() && validation == FieldValidation::Strict {
            let text = String::from_utf8_lossy(&body).into_owned();
            let e =
                FieldError::invalid("patch", text, format!("strict decoding error: {}", problems.join(", ")));
            return Err(ApiError::invalid("", "", "", vec![e]));
        }
        if !reported {
            report(ctx, validation, &problems)?;
            reported = true;
        }
        check_identity(ctx, &new, live)?;
        Ok(Proposed {
            value: new,
            recorded: Recorded::ByUpdate,
            manager: manager.clone(),
            live: live.clone(),
        })
    })?;
    one(ctx, 200, &v)
}

/// A patch may not rename or move the object.
fn check_identity(ctx: &Context, new: &Value, live: &Value) -> ApiResult<()> {
    if object::name(new) != object::name(live) {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            object::name(new),
            ctx.target.name
        )));
    }
    if object::namespace(new) != object::namespace(live) {
        return Err(ApiError::bad_request(format!(
            "the namespace of the object ({}) does not match the namespace on the request ({})",
            object::namespace(new),
            ctx.target.namespace
        )));
    }
    Ok(())
}

fn apply(ctx: &mut Context) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let validation = FieldValidation::of(ctx)?;
    let manager = ctx.request.query.text("fieldManager").to_owned();
    if manager.is_empty() {
        let e = FieldError::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![e]));
    }
    let force = ctx.request.query.flag("force");
    let decoded = decode::yaml(&ctx.request.body)
        .map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))?;
    let applied = decoded.value;
    report(ctx, validation, &decoded.problems)?;
    let resource = ctx.resource.clone();
    let subresource = ctx.target.subresource.clone();
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let now = ctx.core.clock.now_text();
    check_applied_identity(ctx, &applied)?;
    if ctx.core.store.get(&resource.table, &key).is_none() {
        if !subresource.is_empty() {
            return Err(ctx.not_found(&key.name));
        }
        let mut new = typing::apply(&resource, "", None, &applied, &manager, force, &now)?;
        strategy::decode(&resource, &mut new)?;
        let m = object::metadata(&mut new);
        m.insert("name".into(), key.name.clone().into());
        m.remove("resourceVersion");
        if resource.namespaced {
            m.insert("namespace".into(), key.namespace.clone().into());
        }
        match create_object(ctx, new, &manager, Recorded::ByApply, dry_run) {
            Ok(v) => return one(ctx, 201, &v),
            Err(e) if e.reason == Some("AlreadyExists") => {}
            Err(e) => return Err(e),
        }
    }
    let v = update_object(ctx, &key, dry_run, |_, live| {
        let mut new = typing::apply(&resource, &subresource, Some(live), &applied, &manager, force, &now)?;
        strategy::decode(&resource, &mut new)?;
        Ok(Proposed { value: new, recorded: Recorded::ByApply, manager: manager.clone(), live: live.clone() })
    })?;
    one(ctx, 200, &v)
}

fn check_applied_identity(ctx: &Context, applied: &Value) -> ApiResult<()> {
    let name = object::name(applied);
    if !name.is_empty() && name != ctx.target.name {
        return Err(ApiError::bad_request(format!(
            "metadata.name (\"{name}\") does not match the name in the URL (\"{}\")",
            ctx.target.name
        )));
    }
    let namespace = object::namespace(applied);
    if ctx.resource.namespaced && !namespace.is_empty() && namespace != ctx.target.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}
