//! The scale subresource: the replicas of an object in the form that all scalable kinds share.

use fluxide_structured_merge::scale::{ReplicasPaths, to_parent, to_scale};
use fluxide_structured_merge::schema::TypeRef;
use fluxide_structured_merge::{Managers, Path, PathElement, SingleVersion, UpdateRequest, update};
use serde_json::{Map, Value, json};

use super::Context;
use super::answer::Answer;
use super::decode::{self, FieldValidation};
use super::patch::{DecodeFailure, Edit, PatchKind, check_identity};
use super::read::{namespace_of, presented};
use super::write::{Proposed, Recorded, refuse_kind, report, update_object};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::object;
use crate::output::table::{IncludeObject, scale_table};
use crate::output::{self, Form};
use crate::registry::Resource;
use crate::selectors::selector_text;
use crate::store::ObjectKey;
use crate::{schema, typing};

const API_VERSION: &str = "autoscaling/v1";

/// Answers the scale of an object.
pub(crate) fn get(ctx: &Context) -> ApiResult<Answer> {
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let stored =
        ctx.core.store.get(&ctx.resource.table, &key).ok_or_else(|| ctx.not_found(&ctx.target.name))?;
    answer(ctx, &scale_of(ctx.resource, &presented(ctx.resource, &stored.value))?)
}

/// The answer for a scale in the accepted form.
fn answer(ctx: &Context, scale: &Value) -> ApiResult<Answer> {
    let shown = match ctx.accepted.form {
        Form::Object => return Ok(Answer::document(200, scale, ctx.accepted)),
        Form::PartialMetadata | Form::PartialMetadataList => output::partial_metadata(scale),
        Form::Table => {
            let include = IncludeObject::parse(ctx.request.query.text("includeObject"))?;
            scale_table(scale, ctx.resource.custom.is_some(), include, ctx.core.clock.now())
        }
    };
    Ok(Answer::document(200, &shown, ctx.accepted))
}

/// Replaces the scale of an object.
pub(crate) fn put(ctx: &mut Context) -> ApiResult<Answer> {
    let validation = FieldValidation::of(ctx)?;
    let (mut scale, problems) = body(ctx).map_err(|e| match &ctx.resource.custom {
        // The server of custom resources does not know the kind whose decoding it would explain.
        Some(_) if e.code == 400 => ApiError::bad_request(
            "no kind is registered for the type v1.Scale in scheme \
             \"k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go:781\"",
        ),
        _ => e,
    })?;
    report(ctx, validation, &problems)?;
    check_identity(ctx, &mut scale)?;
    write(ctx, |_, _| Ok((scale.clone(), Recorded::ByUpdate)))
}

/// The scale in the body, and what is odd about it.
fn body(ctx: &mut Context) -> ApiResult<(Value, Vec<String>)> {
    let decoded = decode::object(ctx)?;
    let (mut scale, mut problems) = (decoded.value, decoded.problems);
    refuse_kind(&scale, "autoscaling", &["v1"], "Scale")?;
    let unknown = schema::decode(&mut scale, scale_type()?).map_err(|e| {
        ApiError::bad_request(format!("Scale in version \"v1\" cannot be handled as a Scale: {e}"))
    })?;
    problems.extend(unknown.iter().map(|path| schema::unknown_field(path)));
    Ok((scale, problems))
}

/// Patches the scale of an object.
pub(crate) fn patch(ctx: &mut Context) -> ApiResult<Answer> {
    match PatchKind::of(ctx)? {
        PatchKind::Apply => apply(ctx),
        kind => edit(ctx, kind),
    }
}

fn edit(ctx: &mut Context, kind: PatchKind) -> ApiResult<Answer> {
    let validation = FieldValidation::of(ctx)?;
    let edit = Edit::read(kind, &ctx.request.body)?;
    let ty = scale_type()?;
    let mut reported = false;
    write(ctx, |ctx, live| {
        let mut new = edit.apply(live, |live, patch| typing::strategic_merge_typed(live, patch, ty))?;
        let patched = new.clone();
        let read = if kind == PatchKind::Strategic { schema::convert } else { schema::decode };
        let unknown = read(&mut new, ty).map_err(|e| {
            let why = DecodeFailure { by_decoder: e.to_string(), by_converter: e.in_converter_words() };
            edit.refused(&patched, &why)
        })?;
        let unknown = unknown.iter().map(|path| schema::unknown_field(path));
        let problems = edit.problems(unknown, &patched, validation)?;
        if !reported {
            report(ctx, validation, &problems)?;
            reported = true;
        }
        Ok((new, Recorded::ByUpdate))
    })
}

fn apply(ctx: &mut Context) -> ApiResult<Answer> {
    let validation = FieldValidation::of(ctx)?;
    let decoded = decode::apply_body(&ctx.request.body)?;
    let manager = ctx.request.query.text("fieldManager").to_owned();
    let force = ctx.request.query.flag("force");
    let now = ctx.core.clock.now_text();
    let ty = scale_type()?;
    let mut reported = false;
    write(ctx, |ctx, live| {
        let owned = object::at(live, &["metadata", "managedFields"]).and_then(Value::as_array);
        if ctx.resource.custom.is_some() && owned.is_none_or(Vec::is_empty) {
            return Err(ApiError::unclassified(format!(
                "failed to create manager for existing fields: failed to convert live object (/; {API_VERSION}, \
                 Kind=Scale) to proper version: request to convert CR to an invalid group/version: {API_VERSION}"
            )));
        }
        let request = fluxide_structured_merge::ApplyRequest {
            live: Some(live),
            applied: &decoded.value,
            manager: &manager,
            force,
            api_version: API_VERSION,
            kind: "Scale",
            subresource: "scale",
            now: &now,
        };
        let mut new = typing::answered(fluxide_structured_merge::apply(
            &request,
            &SingleVersion::new(API_VERSION, ty),
        ))?;
        let (namespace, name) = (object::namespace(&decoded.value), object::name(&decoded.value));
        let refused = format!(
            "failed to convert new object ({namespace}/{name}; {API_VERSION}, Kind=Scale) to proper version"
        );
        if ctx.resource.custom.is_some() && new.changed {
            // Merged objects are untyped, and of those only the resource's own kind converts.
            let why = format!("request to convert CR to an invalid group/version: {API_VERSION}");
            return Err(ApiError::unclassified(format!("{refused}: {why}")));
        }
        schema::convert(&mut new.object, ty).map_err(|e| {
            let kind = format!("{API_VERSION}, Kind=Scale");
            let why = e.in_converter_words();
            ApiError::unclassified(format!(
                "{refused}: unable to convert unstructured object to {kind}: {why}"
            ))
        })?;
        if !reported {
            decoded.report_duplicates(ctx, validation)?;
            reported = true;
        }
        Ok((new.object, Recorded::ByApply))
    })
}

/// Changes the scale as `propose` says, and carries replicas and their owners over to the object.
fn write(
    ctx: &mut Context,
    mut propose: impl FnMut(&mut Context, &Value) -> ApiResult<(Value, Recorded)>,
) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let manager = ctx.manager();
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let resource = ctx.resource.clone();
    let now = ctx.core.clock.now_text();
    let paths = replicas_paths(&resource);
    let v = update_object(ctx, &key, dry_run, |ctx, live| {
        let parent = Managers::of_object(live);
        let mut live_scale = scale_of(&resource, live)?;
        to_scale(&parent, &paths).write_to(&mut live_scale);
        let (mut scale, recorded) = propose(ctx, &live_scale)?;
        check_identity(ctx, &mut scale)?;
        let (asked, uid) = (object::uid(&scale), object::uid(live));
        if ctx.target.verb == "patch" && !asked.is_empty() && asked != uid {
            let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {uid}");
            let plural = format!("{}/scale", resource.plural);
            return Err(ApiError::conflict(&resource.group, &plural, &ctx.target.name, &why));
        }
        if recorded == Recorded::ByUpdate {
            let request = UpdateRequest {
                live: Some(&live_scale),
                new: &scale,
                manager: &manager,
                api_version: API_VERSION,
                subresource: "scale",
                now: &now,
            };
            scale = update(&request, &SingleVersion::new(API_VERSION, scale_type()?));
        }
        let replicas = object::at(&scale, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(0);
        if replicas < 0 && resource.custom.is_none() {
            let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", &ctx.target.name, vec![error]));
        }
        let mut new = live.clone();
        set(&mut new, &replicas_path(&resource), replicas.into());
        for member in ["resourceVersion", "uid"] {
            if let Some(value) = object::at(&scale, &["metadata", member]) {
                object::metadata(&mut new).insert(member.to_owned(), value.clone());
            }
        }
        let after = Managers::of_object(&scale);
        to_parent(&parent, &after, &resource.api_version(), &paths).write_to(&mut new);
        Ok(Proposed { value: new, recorded: Recorded::ByApply, manager: manager.clone() })
    })?;
    answer(ctx, &scale_of(ctx.resource, &v)?)
}

/// The scale that an object shows.
fn scale_of(resource: &Resource, v: &Value) -> ApiResult<Value> {
    let path = replicas_path(resource);
    let replicas = at(v, &path).and_then(Value::as_i64);
    let (status_path, selector) = match resource.custom.as_ref().and_then(|c| c.scale.as_ref()) {
        Some(scale) => {
            if replicas.is_none() {
                return Err(ApiError::internal(format!(
                    "the spec replicas field \".{}\" does not exist",
                    path.join(".")
                )));
            }
            let selector = scale.selector.as_ref().and_then(|path| at(v, path)).and_then(Value::as_str);
            (scale.status.clone(), selector.unwrap_or_default().to_owned())
        }
        None => (names(&["status", "replicas"]), pod_selector(resource, &v["spec"]["selector"])),
    };
    let mut metadata = Map::new();
    for member in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::at(v, &["metadata", member]) {
            metadata.insert(member.to_owned(), value.clone());
        }
    }
    let mut spec = Map::new();
    if let Some(replicas) = replicas.filter(|replicas| *replicas != 0) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    let mut status = Map::new();
    let current = at(v, &status_path).and_then(Value::as_i64).unwrap_or(0);
    status.insert("replicas".to_owned(), current.into());
    if !selector.is_empty() {
        status.insert("selector".to_owned(), selector.into());
    }
    Ok(
        json!({"apiVersion": API_VERSION, "kind": "Scale", "metadata": metadata, "spec": spec, "status": status}),
    )
}

/// What a resource selects its pods by, as text.
fn pod_selector(resource: &Resource, selector: &Value) -> String {
    if resource.is("", "replicationcontrollers") {
        return selector_text(&json!({"matchLabels": selector}));
    }
    selector_text(selector)
}

/// Where each version of the resource keeps its replicas.
fn replicas_paths(resource: &Resource) -> ReplicasPaths {
    let path = Path(replicas_path(resource).into_iter().map(PathElement::Field).collect());
    match &resource.custom {
        Some(c) => c.siblings.iter().map(|(version, _)| (version.clone(), Some(path.clone()))).collect(),
        None => [(resource.api_version(), Some(path))].into(),
    }
}

fn replicas_path(resource: &Resource) -> Vec<String> {
    match resource.custom.as_ref().and_then(|c| c.scale.as_ref()) {
        Some(scale) => scale.spec.clone(),
        None => names(&["spec", "replicas"]),
    }
}

fn scale_type() -> ApiResult<TypeRef<'static>> {
    schema::builtin()
        .kind("autoscaling", "v1", "Scale")
        .ok_or_else(|| ApiError::internal("the type of Scale is not known"))
}

fn names(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}

fn at<'a>(v: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(v, |v, name| v.get(name))
}

fn set(v: &mut Value, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            object::members(v).insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let child = object::members(v).entry(first.clone()).or_insert_with(|| json!({}));
            set(child, rest, value);
        }
    }
}
