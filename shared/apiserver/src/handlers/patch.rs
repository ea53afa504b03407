//! PATCH in its four forms.

use fluxide_structured_merge::go_format;
use serde_json::Value;

use super::Context;
use super::answer::Answer;
use super::decode::{self, FieldValidation, media_type};
use super::read::{namespace_of, one};
use super::write::{Proposed, Recorded, create_object, remember, report, update_object};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::object::{self, text};
use crate::patching::{json_patch, merge_patch};
use crate::registry::{Resource, split_group_version};
use crate::store::ObjectKey;
use crate::validation::metadata::OwnChecks;
use crate::{schema, strategy, typing};

/// Patches an object; an apply patch may create it.
pub(crate) fn patch(ctx: &mut Context) -> ApiResult<Answer> {
    match PatchKind::of(ctx)? {
        PatchKind::Apply => apply(ctx),
        kind => edit(ctx, kind),
    }
}

/// The form of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    /// The form that the request's content type names.
    pub fn of(ctx: &Context) -> ApiResult<Self> {
        let builtin = ctx.resource.custom.is_none();
        match media_type(ctx) {
            "application/apply-patch+yaml" => Ok(Self::Apply),
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if builtin => Ok(Self::Strategic),
            "application/apply-patch+cbor" => {
                Err(ApiError::unsupported_media_type("415: Unsupported Media Type").with_empty_details())
            }
            _ if builtin => {
                Err(ApiError::unsupported_media_type("415: Unsupported Media Type").with_empty_details())
            }
            _ => {
                let strategic = if builtin { "application/strategic-merge-patch+json, " } else { "" };
                Err(ApiError::unsupported_media_type(format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, {strategic}\
                     application/apply-patch+yaml"
                )))
            }
        }
    }
}

/// A patch whose body was read.
pub(crate) struct Edit {
    kind: PatchKind,
    operations: Vec<json_patch::Step>,
    document: Value,
    /// Duplicate and unknown fields of the body itself.
    pub problems: Vec<String>,
}

impl Edit {
    /// Reads the body of a patch that is no apply.
    pub fn read(kind: PatchKind, body: &[u8]) -> ApiResult<Self> {
        let refused = |e: String| match kind {
            PatchKind::Strategic => ApiError::bad_request(e),
            _ => ApiError::bad_request(format!("error decoding patch: {e}")),
        };
        let mut decoded = decode::json(body).map_err(refused)?;
        let (operations, problems) = match kind {
            PatchKind::Json => json_patch::parse(&decoded)?,
            PatchKind::Strategic if decoded.value.is_null() => {
                decoded.value = Value::Object(serde_json::Map::new());
                (Vec::new(), Vec::new())
            }
            PatchKind::Merge if decoded.value.is_null() => {
                return Err(ApiError::bad_request("Invalid JSON Patch"));
            }
            _ if !decoded.value.is_object() => {
                let found = crate::go_value::json_kind(&decoded.value);
                return Err(refused(format!(
                    "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
                )));
            }
            _ => (Vec::new(), decoded.problems),
        };
        Ok(Edit { kind, operations, document: decoded.value, problems })
    }

    /// The object after the patch; `strategic` merges by schema.
    pub fn apply(
        &self,
        live: &Value,
        strategic: impl Fn(&Value, &Value) -> ApiResult<Value>,
    ) -> ApiResult<Value> {
        match self.kind {
            PatchKind::Json => json_patch::apply(&self.operations, live),
            PatchKind::Strategic => strategic(live, &self.document),
            PatchKind::Merge | PatchKind::Apply => merge_patch::apply(live, &self.document),
        }
    }

    /// What is odd about the patch and what it leads to; refused when validation is strict.
    pub fn problems(
        &self,
        unknown: impl IntoIterator<Item = String>,
        patched: &Value,
        validation: FieldValidation,
    ) -> ApiResult<Vec<String>> {
        let problems: Vec<String> = self.problems.iter().cloned().chain(unknown).collect();
        if !problems.is_empty() && validation == FieldValidation::Strict {
            let why = format!("strict decoding error: {}", problems.join(", "));
            return Err(self.refused(patched, &why.into()));
        }
        Ok(problems)
    }

    /// 422 for a patch that leads to something that is no object of the kind.
    pub fn refused(&self, patched: &Value, why: &DecodeFailure) -> ApiError {
        let (value, why) = match self.kind {
            PatchKind::Strategic => {
                // Merging takes the directives of the whole object out of the patch.
                let mut shown = self.document.clone();
                object::members(&mut shown).remove("$retainKeys");
                (go_format::plain(&shown), &why.by_converter)
            }
            _ => (patched.to_string(), &why.by_decoder),
        };
        ApiError::invalid("", "", "", vec![FieldError::invalid("patch", value, why.as_str())])
    }
}

/// Why a patched object does not decode, in the words of either way it may take.
pub(crate) struct DecodeFailure {
    pub by_decoder: String,
    pub by_converter: String,
}

impl From<String> for DecodeFailure {
    fn from(text: String) -> Self {
        DecodeFailure { by_converter: text.clone(), by_decoder: text }
    }
}

fn edit(ctx: &mut Context, kind: PatchKind) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let manager = ctx.manager();
    let validation = FieldValidation::of(ctx)?;
    let body = ctx.request.body.clone();
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let resource = ctx.resource.clone();
    let mut read: Option<Edit> = None;
    let mut reported = false;
    let v = update_object(ctx, &key, dry_run, |ctx, live| {
        let edit = match &read {
            Some(edit) => edit,
            None => read.insert(Edit::read(kind, &body)?),
        };
        let mut new = edit.apply(live, |live, patch| typing::strategic_merge(&resource, live, patch))?;
        if kind == PatchKind::Strategic {
            // The type is that of the resource, whatever the patch says.
            let members = object::members(&mut new);
            members.insert("kind".into(), resource.kind.clone().into());
            members.insert("apiVersion".into(), resource.api_version().into());
        }
        let patched = new.clone();
        remember(ctx, &patched);
        let unknown =
            decode_patched(&resource, &mut new, kind).map_err(|why| edit.refused(&patched, &why))?;
        let problems = edit.problems(unknown, &patched, validation)?;
        if !reported {
            report(ctx, validation, &problems)?;
            reported = true;
        }
        check_identity(ctx, &mut new)?;
        check_uid(ctx, &new, live)?;
        Ok(Proposed { value: new, recorded: Recorded::ByUpdate, manager: manager.clone() })
    })?;
    one(ctx, 200, &v)
}

/// Brings a patched object into the form of its kind, and names unknown fields.
fn decode_patched(
    resource: &Resource,
    v: &mut Value,
    patch: PatchKind,
) -> Result<Vec<String>, DecodeFailure> {
    if resource.custom.is_some() {
        let bare = |message: String| match message
            .split_once(&format!("cannot be handled as a {}: ", resource.kind))
        {
            Some((_, why)) => why.to_owned(),
            None => message,
        };
        return strategy::decode(resource, v).map_err(|e| bare(e.message).into());
    }
    let (kind, api_version) = (text(v, &["kind"]).to_owned(), text(v, &["apiVersion"]).to_owned());
    let (group, version) = split_group_version(&api_version);
    let Some(ty) = schema::builtin().kind(group, version, &kind) else {
        return Err(format!(
            "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\""
        )
        .into());
    };
    let read = if patch == PatchKind::Strategic { schema::convert } else { schema::decode };
    let unknown = read(v, ty)
        .map_err(|e| DecodeFailure { by_decoder: e.to_string(), by_converter: e.in_converter_words() })?;
    if kind != resource.kind || group != resource.group {
        return Err(format!(
            "converting ({version}.{kind}) to ({}.{}): unknown conversion",
            internal_package(&resource.group),
            resource.kind
        )
        .into());
    }
    Ok(unknown.iter().map(|path| schema::unknown_field(path)).collect())
}

/// The Go package of a group's internal types.
pub(crate) fn internal_package(group: &str) -> &str {
    match group.split('.').next().unwrap_or_default() {
        "" => "core",
        first => first,
    }
}

/// A patch may not rename or move the object.
pub(super) fn check_identity(ctx: &Context, new: &mut Value) -> ApiResult<()> {
    if !ctx.resource.namespaced {
        object::metadata(new).remove("namespace");
    }
    if ctx.resource.namespaced {
        match object::namespace(new) {
            "" => {
                object::metadata(new).insert("namespace".into(), ctx.target.namespace.clone().into());
            }
            namespace if namespace != ctx.target.namespace => {
                return Err(ApiError::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            _ => {}
        }
    }
    match object::name(new) {
        "" => Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            ctx.target.name
        ))),
        name if name != ctx.target.name => Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ctx.target.name
        ))),
        _ => Ok(()),
    }
}

/// The uid is validated by the server as that of any object, and by most kinds once more.
fn check_uid(ctx: &Context, new: &Value, live: &Value) -> ApiResult<()> {
    let resource = ctx.resource;
    let uid = object::uid(new);
    if uid.is_empty() || uid == object::uid(live) {
        return Ok(());
    }
    let error = FieldError::invalid("metadata.uid", uid, "field is immutable");
    let again = OwnChecks::of(resource, &ctx.target.subresource).of_change;
    let errors = vec![error; if again { 2 } else { 1 }];
    Err(ApiError::invalid(&resource.group, &resource.kind, object::name(live), errors))
}

fn apply(ctx: &mut Context) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let validation = FieldValidation::of(ctx)?;
    let manager = ctx.request.query.text("fieldManager").to_owned();
    let force = ctx.request.query.flag("force");
    let decoded = decode::apply_body(&ctx.request.body)?;
    let resource = ctx.resource.clone();
    let subresource = ctx.target.subresource.clone();
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let now = ctx.core.clock.now_text();
    let applied = decoded.value.clone();
    if ctx.core.store.get(&resource.table, &key).is_none() {
        let creates = strategy::put_creates(&resource)
            || resource.is("admissionregistration.k8s.io", "validatingadmissionpolicies");
        if !subresource.is_empty() && !creates {
            return Err(ctx.not_found(&key.name));
        }
        let mut new = typing::apply(&resource, &subresource, None, &applied, &manager, force, &now)?.object;
        remember(ctx, &new);
        decode_applied(&resource, &applied, &mut new)?;
        decoded.report_duplicates(ctx, validation)?;
        let uid = object::uid(&new);
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(ApiError::conflict(&resource.group, &resource.plural, &key.name, &why));
        }
        check_identity(ctx, &mut new)?;
        object::metadata(&mut new).remove("resourceVersion");
        match create_object(ctx, new, &manager, Recorded::ByApply, dry_run) {
            Ok(v) => return one(ctx, 201, &v),
            Err(e) if e.reason == Some("AlreadyExists") => {}
            Err(e) => return Err(e),
        }
    }
    let mut reported = false;
    let v = update_object(ctx, &key, dry_run, |ctx, live| {
        let outcome = typing::apply(&resource, &subresource, Some(live), &applied, &manager, force, &now)?;
        let recorded = if outcome.changed { Recorded::ByApply } else { Recorded::Nothing };
        let mut new = outcome.object;
        remember(ctx, &new);
        decode_applied(&resource, &applied, &mut new)?;
        if !reported {
            decoded.report_duplicates(ctx, validation)?;
            reported = true;
        }
        check_identity(ctx, &mut new)?;
        check_uid(ctx, &new, live)?;
        Ok(Proposed { value: new, recorded, manager: manager.clone() })
    })?;
    one(ctx, 200, &v)
}

/// Brings the outcome of an apply into the form of its kind. Its fields are known, its values may still be malformed.
fn decode_applied(resource: &Resource, applied: &Value, v: &mut Value) -> ApiResult<()> {
    let builtin = match resource.custom {
        Some(_) => None,
        None => schema::builtin().kind(&resource.group, &resource.version, &resource.kind),
    };
    let Some(ty) = builtin else { return strategy::decode(resource, v).map(|_| ()) };
    let name = format!("{}/{}", object::namespace(applied), object::name(applied));
    schema::convert(v, ty).map(|_| ()).map_err(|e| {
        let slash = if resource.group.is_empty() { "/" } else { "" };
        let kind = format!("{slash}{}, Kind={}", resource.api_version(), resource.kind);
        ApiError::unclassified(format!(
            "failed to convert new object ({name}; {kind}) to proper version: unable to convert unstructured \
             object to {kind}: {}",
            e.in_converter_words()
        ))
    })
}
