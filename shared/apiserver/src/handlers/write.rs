//! CREATE and UPDATE, and the steps that every write goes through.

use std::sync::Arc;

use serde_json::Value;

use super::Context;
use super::answer::Answer;
use super::decode::{self, FieldValidation};
use super::read::{namespace_of, one, presented};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::auth::escalation;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored, WriteError};
use crate::{admission, strategy, typing, versions};

const GENERATED_NAME_TRIES: usize = 8;
const CONFLICT_TRIES: usize = 64;

/// Creates an object from the body.
pub(crate) fn create(ctx: &mut Context) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let manager = ctx.manager();
    let mut new = body_object(ctx)?;
    if !object::resource_version(&new).is_empty() {
        return Err(ApiError::internal_text("resourceVersion should not be set on objects to be created"));
    }
    fit_namespace(ctx, &mut new)?;
    let v = create_object(ctx, new, &manager, Recorded::ByUpdate, dry_run)?;
    one(ctx, 201, &v)
}

/// Whether an object still needs its managed fields recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// A create or update: record what the manager changed.
    ByUpdate,
    /// An apply: the merge recorded it.
    ByApply,
    /// Neither recorded nor defaulted: an apply that changed no value, or what the server writes for a client.
    Nothing,
}

/// Puts a decoded object through defaulting, admission and validation, and stores it.
pub(crate) fn create_object(
    ctx: &mut Context,
    mut new: Value,
    manager: &str,
    recorded: Recorded,
    dry_run: bool,
) -> ApiResult<Value> {
    let resource = ctx.resource.clone();
    let generate = text(&new, &["metadata", "generateName"]).to_owned();
    let generated = object::name(&new).is_empty() && !generate.is_empty();
    let sent = new.clone();
    strategy::default_object(&resource, &mut new, recorded == Recorded::ByApply);
    let unlabelled = object::at(&new, &["metadata", "labels"]).is_none_or(crate::go_value::is_empty);
    if recorded == Recorded::ByUpdate {
        new = record(ctx, &new, None, manager, "");
    }
    for attempt in 0.. {
        let mut v = new.clone();
        if generated {
            object::metadata(&mut v)
                .insert("name".into(), strategy::generate_name(&resource, &generate).into());
        }
        if resource.custom.as_ref().is_some_and(|custom| custom.terminating) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(ApiError::forbidden(&resource.group, &resource.plural, object::name(&v), why));
        }
        admission::create(ctx, &mut v)?;
        escalation::check(ctx, &v, None)?;
        ctx.core.stamp_new(&mut v, &resource);
        strategy::prepare_create(ctx.core, &resource, &mut v, dry_run)?;
        // Names are generated for a copy, which shares nothing; one without labels is still read with those of its pods.
        if resource.is("batch", "jobs") && (!generated || unlabelled) {
            crate::kinds::workloads::share_labels(&sent, &mut v);
        }
        validate_create(ctx, &v)?;
        ctx.warn(strategy::warnings(&resource, &v, None));
        admission::validate(ctx, Some(&v), None)?;
        let name = object::name(&v).to_owned();
        let key = ObjectKey::new(if resource.namespaced { object::namespace(&v) } else { "" }, &name);
        if dry_run {
            if ctx.core.store.get(&resource.table, &key).is_some() {
                return Err(ApiError::already_exists(&resource.group, &resource.plural, &name));
            }
            // What is stored is read again, in the stored version.
            return Ok(presented(&resource, &versions::to_stored(&resource, v)));
        }
        match ctx.core.store.create(&resource.table, &key, versions::to_stored(&resource, v)) {
            Ok(stored) => {
                after_write(ctx, &stored);
                return Ok(presented(&resource, &stored.value));
            }
            Err(_) if generated && attempt < GENERATED_NAME_TRIES => {}
            Err(_) => return Err(ApiError::already_exists(&resource.group, &resource.plural, &name)),
        }
    }
    Err(ApiError::already_exists(&resource.group, &resource.plural, &generate))
}

/// Replaces an object with the body.
pub(crate) fn update(ctx: &mut Context) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let manager = ctx.manager();
    let mut new = body_object(ctx)?;
    fit_namespace(ctx, &mut new)?;
    let name = ctx.target.name.clone();
    if object::name(&new).is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if object::name(&new) != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(&new)
        )));
    }
    let key = ObjectKey::new(namespace_of(ctx), &name);
    let resource = ctx.resource.clone();
    if ctx.core.store.get(&resource.table, &key).is_none() {
        if strategy::put_creates(&resource) && matches!(ctx.target.subresource.as_str(), "" | "status") {
            let sent = object::resource_version(&new).to_owned();
            let mut v = create_object(ctx, new, &manager, Recorded::ByUpdate, dry_run)?;
            if dry_run && !sent.is_empty() {
                // Only the storage would have given it another.
                object::metadata(&mut v).insert("resourceVersion".into(), sent.into());
            }
            return one(ctx, 201, &v);
        }
        return Err(ctx.not_found(&name));
    }
    let v = update_object(ctx, &key, dry_run, |_, _| {
        Ok(Proposed { value: new.clone(), recorded: Recorded::ByUpdate, manager: manager.clone() })
    })?;
    one(ctx, 200, &v)
}

/// What a write wants an object to become.
pub(crate) struct Proposed {
    pub value: Value,
    pub recorded: Recorded,
    pub manager: String,
}

/// Applies a change to the current object, again when it changed meanwhile, and stores the result.
pub(crate) fn update_object(
    ctx: &mut Context,
    key: &ObjectKey,
    dry_run: bool,
    mut propose: impl FnMut(&mut Context, &Value) -> ApiResult<Proposed>,
) -> ApiResult<Value> {
    let resource = ctx.resource.clone();
    let subresource = ctx.target.subresource.clone();
    for _ in 0..CONFLICT_TRIES {
        let stored = ctx.core.store.get(&resource.table, key).ok_or_else(|| ctx.not_found(&key.name))?;
        let live = presented(&resource, &stored.value);
        let proposed = propose(ctx, &live)?;
        check_preconditions(&resource, &proposed, &live)?;
        let new = finish_update(ctx, &resource, &subresource, proposed, &live, dry_run)?;
        let mut new = versions::to_stored(&resource, new);
        if !dry_run {
            // The storage keeps none.
            object::metadata(&mut new).remove("selfLink");
        }
        if new == stored.value && !(stored.untouched && strategy::first_update_writes(&resource, &new)) {
            return Ok(presented(&resource, &stored.value));
        }
        let gone =
            object::is_deleting(&new) && object::finalizers(&new).is_empty() && deletable(&resource, &new);
        if dry_run {
            return Ok(presented(&resource, &new));
        }
        let result = if gone {
            ctx.core.store.delete(&resource.table, key, stored.revision, stored.value.clone()).map(|s| {
                after_write(ctx, &s);
                new
            })
        } else {
            ctx.core.store.update(&resource.table, key, stored.revision, new).map(|s| {
                after_write(ctx, &s);
                s.value.clone()
            })
        };
        match result {
            Ok(v) => return Ok(presented(&resource, &v)),
            Err(WriteError::Missing) => return Err(ctx.not_found(&key.name)),
            Err(_) => {}
        }
    }
    Err(ApiError::modified(&resource.group, &resource.plural, &key.name))
}

/// Whether a deleting object without finalizers has nothing else to wait for.
fn deletable(resource: &Resource, v: &Value) -> bool {
    if resource.is("", "namespaces") {
        return v["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    }
    object::at(v, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64).unwrap_or(0) == 0
}

fn finish_update(
    ctx: &mut Context,
    resource: &Arc<Resource>,
    subresource: &str,
    proposed: Proposed,
    live: &Value,
    dry_run: bool,
) -> ApiResult<Value> {
    let Proposed { value: mut new, recorded, manager } = proposed;
    if recorded != Recorded::Nothing {
        strategy::default_object(resource, &mut new, recorded == Recorded::ByApply);
    }
    strategy::keep_system_metadata(&mut new, live);
    if recorded == Recorded::ByUpdate {
        new = record(ctx, &new, Some(live), &manager, subresource);
    }
    admission::update(ctx, &mut new, live)?;
    escalation::check(ctx, &new, Some(live))?;
    strategy::prepare_update(ctx.core, resource, subresource, &mut new, live, dry_run)?;
    fluxide_structured_merge::keep_times(live, &mut new);
    if !matches!(subresource, "status" | "binding") {
        strategy::count_generation(resource, &mut new, live, ctx.written.as_ref());
    }
    validate_update(ctx, &new, live)?;
    if subresource.is_empty() {
        ctx.warn(strategy::warnings(resource, &new, Some(live)));
    }
    admission::validate(ctx, Some(&new), Some(live))?;
    Ok(new)
}

fn check_preconditions(resource: &Resource, proposed: &Proposed, live: &Value) -> ApiResult<()> {
    let (new, name) = (&proposed.value, object::name(live));
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(live) {
        return Err(ApiError::conflict(
            &resource.group,
            &resource.plural,
            name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: \
                 Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                storage_path(resource, live),
                object::uid(live)
            ),
        ));
    }
    let rv = object::resource_version(new);
    let version = written_version(rv)?;
    // Applies go on from the current version unless they name one.
    let continues = rv.is_empty() && proposed.recorded != Recorded::ByUpdate;
    if version == 0 && !continues && strategy::update_needs_version(resource) {
        let e = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
        return Err(ApiError::invalid(&resource.group, &resource.plural, name, vec![e]));
    }
    if version != 0 && rv != object::resource_version(live) {
        return Err(ApiError::modified(&resource.group, &resource.plural, name));
    }
    Ok(())
}

/// The version that a write says to replace; none is zero.
fn written_version(text: &str) -> ApiResult<u64> {
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse() {
        Ok(version) if !text.starts_with('+') => Ok(version),
        _ => {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let why = if digits { "value out of range" } else { "invalid syntax" };
            let quoted = fluxide_gotext::quote_str(text);
            Err(ApiError::unclassified(format!("strconv.ParseUint: parsing {quoted}: {why}")))
        }
    }
}

/// The key of an object in etcd, as some messages quote it.
pub(crate) fn storage_path(resource: &Resource, v: &Value) -> String {
    let base = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "services") => "services/specs".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "replicationcontrollers") => "controllers".to_owned(),
        ("", "nodes") => "minions".to_owned(),
        ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
        (g @ ("apiextensions.k8s.io" | "apiregistration.k8s.io"), p) => format!("{g}/{p}"),
        (g, p) if resource.custom.is_some() => format!("{g}/{p}"),
        (_, p) => p.to_owned(),
    };
    if resource.namespaced {
        format!("{base}/{}/{}", object::namespace(v), object::name(v))
    } else {
        format!("{base}/{}", object::name(v))
    }
}

fn validate_create(ctx: &Context, v: &Value) -> ApiResult<()> {
    let validate = |v: &Value| strategy::validate_create(ctx.resource, v);
    refuse(ctx, v, as_written(ctx, v, validate(v), validate))
}

fn validate_update(ctx: &Context, v: &Value, live: &Value) -> ApiResult<()> {
    let validate = |v: &Value| strategy::validate_update(ctx.resource, &ctx.target.subresource, v, live);
    let emptied = ctx.written.as_ref().and_then(|written| with_emptied_data(ctx.resource, v, written));
    let v = emptied.as_ref().unwrap_or(v);
    refuse(ctx, v, as_written(ctx, v, validate(v), validate))
}

/// The object with the empty data that the client wrote, which is another than none where data may not change.
fn with_emptied_data(resource: &Resource, v: &Value, written: &Value) -> Option<Value> {
    let part = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => "data",
        ("", "configmaps") => "binaryData",
        _ => return None,
    };
    let empty = written.get(part).filter(|data| v.get(part).is_none() && is_empty_container(data))?;
    let mut whole = v.clone();
    object::members(&mut whole).insert(part.to_owned(), empty.clone());
    Some(whole)
}

/// The same errors with values as the client wrote them: empty lists and maps, which are dropped before, are quoted.
fn as_written(
    ctx: &Context,
    v: &Value,
    errors: Vec<FieldError>,
    validate: impl Fn(&Value) -> Vec<FieldError>,
) -> Vec<FieldError> {
    let Some(written) = ctx.written.as_ref().filter(|_| !errors.is_empty()) else { return errors };
    let mut whole = v.clone();
    restore_empty(&mut whole, written);
    let again = validate(&whole);
    let same = again.len() == errors.len()
        && errors.iter().zip(&again).all(|(one, other)| one.field == other.field && one.kind == other.kind);
    if same { again } else { errors }
}

/// Puts the empty lists and maps of `written` back.
fn restore_empty(v: &mut Value, written: &Value) {
    match (v, written) {
        (Value::Object(members), Value::Object(written)) => {
            for (name, written) in written {
                match members.get_mut(name) {
                    Some(found) if !found.is_null() => restore_empty(found, written),
                    // Selectors are quoted in the form of the API, which leaves out what is empty.
                    _ if matches!(name.as_str(), "matchLabels" | "matchExpressions") => {}
                    _ if is_empty_container(written) => {
                        members.insert(name.clone(), written.clone());
                    }
                    _ => {}
                }
            }
        }
        (Value::Array(items), Value::Array(written)) if items.len() == written.len() => {
            items.iter_mut().zip(written).for_each(|(item, written)| restore_empty(item, written));
        }
        _ => {}
    }
}

/// Remembers an object as the client wrote it, when something of it goes unseen otherwise.
pub(crate) fn remember(ctx: &mut Context, written: &Value) {
    ctx.written = (ctx.resource.custom.is_none() && holds_empty(written)).then(|| written.clone());
}

fn holds_empty(v: &Value) -> bool {
    match v {
        Value::Object(members) => members
            .iter()
            .any(|(name, v)| name != "managedFields" && (is_empty_container(v) || holds_empty(v))),
        Value::Array(items) => items.iter().any(holds_empty),
        _ => false,
    }
}

fn is_empty_container(v: &Value) -> bool {
    v.as_array().is_some_and(Vec::is_empty) || v.as_object().is_some_and(serde_json::Map::is_empty)
}

fn refuse(ctx: &Context, v: &Value, errors: Vec<FieldError>) -> ApiResult<()> {
    if errors.is_empty() {
        return Ok(());
    }
    // Events of either group are one kind inside of the server.
    let group = if ctx.resource.plural == "events" { "" } else { &ctx.resource.group };
    Err(ApiError::invalid(group, &ctx.resource.kind, object::name(v), errors))
}

/// What follows from a stored change.
pub(crate) fn after_write(ctx: &Context, stored: &Stored) {
    // Done here, the first list and the first of many watches need not do it.
    stored.item();
    crate::controllers::after_write(ctx.core, ctx.resource, stored);
}

/// Decodes the body as an object of the resource, with unknown fields removed and reported.
fn body_object(ctx: &mut Context) -> ApiResult<Value> {
    let validation = FieldValidation::of(ctx)?;
    let decoded = decode::object(ctx)?;
    let resource = ctx.resource.clone();
    let (mut v, mut problems) = (decoded.value, decoded.problems);
    if resource.custom.is_some() && text(&v, &["kind"]).is_empty() {
        let body = String::from_utf8_lossy(&ctx.request.body).into_owned();
        return Err(decode::unrecognized(ctx, &format!("Object 'Kind' is missing in '{body}'")));
    }
    check_kind(&resource, &mut v)?;
    remember(ctx, &v);
    problems.extend(strategy::decode(&resource, &mut v)?);
    if problems.len() > 1 && resource.custom.is_none() {
        let order = decode::member_order(&ctx.request.body);
        let place = |problem: &String| {
            let path = problem.split('"').nth(1).unwrap_or_default();
            order.iter().position(|known| known == path).unwrap_or(order.len())
        };
        problems.sort_by_key(place);
    }
    report(ctx, validation, &problems)?;
    Ok(v)
}

/// Decodes a body of a kind that is answered and not stored.
pub(crate) fn review_body(ctx: &mut Context, group: &str, kind: &str) -> ApiResult<Value> {
    review_body_of(ctx, group, &["v1"], kind)
}

/// The same for a kind that has several versions, all of which are read as the first.
pub(crate) fn review_body_of(
    ctx: &mut Context,
    group: &str,
    versions: &[&str],
    kind: &str,
) -> ApiResult<Value> {
    let validation = FieldValidation::of(ctx)?;
    let decoded = decode::object(ctx)?;
    let (mut v, mut problems) = (decoded.value, decoded.problems);
    remember(ctx, &v);
    refuse_kind(&v, group, versions, kind)?;
    let api_version = crate::registry::group_version(group, "v1");
    let m = object::members(&mut v);
    m.insert("kind".into(), kind.into());
    m.insert("apiVersion".into(), api_version.into());
    if let Some(ty) = crate::schema::builtin().kind(group, "v1", kind) {
        let unknown = crate::schema::decode(&mut v, ty).map_err(|e| {
            ApiError::bad_request(format!("{kind} in version \"v1\" cannot be handled as a {kind}: {e}"))
        })?;
        problems.extend(unknown.iter().map(|path| crate::schema::unknown_field(path)));
    }
    report_as(ctx, validation, &problems, kind, "v1")?;
    Ok(v)
}

/// Refuses a body that says to be of another kind than `kind` in one of the versions of its group.
pub(super) fn refuse_kind(v: &Value, group: &str, versions: &[&str], kind: &str) -> ApiResult<()> {
    let (sent_version, sent_kind) = (text(v, &["apiVersion"]).to_owned(), text(v, &["kind"]).to_owned());
    let known = |version: &&str| crate::registry::group_version(group, version) == sent_version;
    let fits = (sent_version.is_empty() || versions.iter().any(known))
        && (sent_kind.is_empty() || sent_kind == kind);
    if !fits {
        let (sent_group, version) = crate::registry::split_group_version(&sent_version);
        if crate::schema::builtin().kind(sent_group, version, &sent_kind).is_some() {
            return Err(ApiError::bad_request(format!(
                "{sent_kind} in version \"{version}\" cannot be handled as a {kind}: converting ({version}.{sent_kind}) to \
                 ({}.{kind}): unknown conversion",
                super::patch::internal_package(group)
            )));
        }
        return Err(ApiError::bad_request(format!(
            "{sent_kind} in version \"{}\" cannot be handled as a {kind}: no kind \"{sent_kind}\" is registered for version \
             \"{sent_version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            crate::registry::split_group_version(&sent_version).1
        )));
    }
    Ok(())
}

/// Turns unknown and duplicate fields into warnings or an error.
pub(crate) fn report(ctx: &mut Context, validation: FieldValidation, problems: &[String]) -> ApiResult<()> {
    let resource = ctx.resource;
    report_as(ctx, validation, problems, &resource.kind, &resource.version)
}

/// The same for a body of another kind than that of the resource.
pub(super) fn report_as(
    ctx: &mut Context,
    validation: FieldValidation,
    problems: &[String],
    kind: &str,
    version: &str,
) -> ApiResult<()> {
    if problems.is_empty() {
        return Ok(());
    }
    match validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            ctx.warnings.extend(problems.iter().cloned());
            Ok(())
        }
        FieldValidation::Strict => Err(ApiError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
            problems.join(", ")
        ))),
    }
}

fn check_kind(resource: &Resource, v: &mut Value) -> ApiResult<()> {
    let (kind, api_version) = (text(v, &["kind"]).to_owned(), text(v, &["apiVersion"]).to_owned());
    if resource.custom.is_some() {
        return check_custom_kind(resource, v, &kind, &api_version);
    }
    let m = object::members(v);
    if kind.is_empty() {
        m.insert("kind".into(), resource.kind.clone().into());
    }
    if api_version.is_empty() {
        m.insert("apiVersion".into(), resource.api_version().into());
    }
    let kind_ok = kind == resource.kind || kind.is_empty();
    if kind_ok && (api_version == resource.api_version() || api_version.is_empty()) {
        return Ok(());
    }
    let (group, version) = crate::registry::split_group_version(&api_version);
    if !kind_ok && crate::schema::builtin().kind(group, version, &kind).is_some() {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {}: converting ({version}.{kind}) to ({}.{}): unknown \
             conversion",
            resource.kind,
            super::patch::internal_package(&resource.group),
            resource.kind
        )));
    }
    if !kind_ok || crate::schema::builtin().kind(group, version, &kind).is_none() {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \
             \"{api_version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            resource.kind
        )));
    }
    Err(ApiError::bad_request(format!(
        "the API version in the data ({api_version}) does not match the expected API version ({})",
        resource.api_version()
    )))
}

fn check_custom_kind(resource: &Resource, v: &Value, kind: &str, api_version: &str) -> ApiResult<()> {
    if api_version != resource.api_version() {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            resource.api_version()
        )));
    }
    if kind == resource.kind {
        return Ok(());
    }
    let error = FieldError::invalid("kind", kind, format!("must be {}", resource.kind));
    Err(ApiError::invalid(&resource.group, kind, object::name(v), vec![error]))
}

fn fit_namespace(ctx: &Context, v: &mut Value) -> ApiResult<()> {
    if !ctx.resource.namespaced {
        object::metadata(v).remove("namespace");
        return Ok(());
    }
    let want = &ctx.target.namespace;
    let have = object::namespace(v);
    if have.is_empty() {
        object::metadata(v).insert("namespace".into(), want.clone().into());
        return Ok(());
    }
    if have != want {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The object with its owners recorded. Lists that are empty, and stored as none, count here as the client wrote them.
fn record(ctx: &Context, new: &Value, live: Option<&Value>, manager: &str, subresource: &str) -> Value {
    let (resource, now) = (ctx.resource, ctx.core.clock.now_text());
    let Some(whole) =
        ctx.written.as_ref().and_then(|written| typing::with_empty_lists(resource, new, written))
    else {
        return typing::record_update(resource, subresource, live, new, manager, &now);
    };
    let recorded = typing::record_update(resource, subresource, live, &whole, manager, &now);
    let mut out = new.clone();
    object::copy_managed_fields(&recorded, &mut out);
    out
}
