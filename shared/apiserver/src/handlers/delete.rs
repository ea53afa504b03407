//! DELETE and deletecollection: preconditions, propagation policies, finalizers, grace.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Context;
use super::answer::Answer;
use super::decode;
use super::read::{Page, Selection, continue_token, limit, namespace_of, one, page, presented};
use super::write::after_write;
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::core::Core;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::store::{ObjectKey, Stored};

/// `DeleteOptions`, from the body or the query.
#[derive(Debug, Clone, Default)]
struct Options {
    grace_seconds: Option<i64>,
    policy: Option<String>,
    orphan: Option<bool>,
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
}

/// Deletes one object.
pub(crate) fn delete(ctx: &mut Context) -> ApiResult<Answer> {
    let options = options(ctx)?;
    warn_of_orphans(ctx, &options);
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let stored = ctx.core.store.get(&ctx.resource.table, &key).ok_or_else(|| ctx.not_found(&key.name))?;
    let (gone, v) = delete_object(ctx, &key, stored, &options)?;
    if answers_object(ctx.resource) || !gone {
        return one(ctx, 200, &presented(ctx.resource, &v));
    }
    let r = ctx.resource;
    let mut details = json!({"name": key.name, "kind": r.plural, "uid": object::uid(&v)});
    if !r.group.is_empty() {
        object::members(&mut details).insert("group".into(), r.group.clone().into());
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Ok(Answer::document(200, &status, ctx.accepted))
}

/// Deletes the object of the request with these `DeleteOptions`, for subresources that delete.
pub(crate) fn delete_with(ctx: &mut Context, options: &Value) -> ApiResult<()> {
    let options = read_options(Options { dry_run: ctx.dry_run()?, ..Options::default() }, options)?;
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let stored = ctx.core.store.get(&ctx.resource.table, &key).ok_or_else(|| ctx.not_found(&key.name))?;
    delete_object(ctx, &key, stored, &options).map(|_| ())
}

/// Deletes everything that the selectors match.
pub(crate) fn delete_collection(ctx: &mut Context) -> ApiResult<Answer> {
    let limit = limit(ctx)?;
    let selection = Selection::parse(ctx)?;
    let options = options(ctx)?;
    warn_of_orphans(ctx, &options);
    let namespace = (!ctx.target.namespace.is_empty()).then_some(ctx.target.namespace.as_str());
    let listing = ctx.core.store.list(&ctx.resource.table, namespace);
    let Page { objects, more } = page(ctx, listing.objects, &selection, limit);
    let last = objects.last().filter(|_| more.is_some()).cloned();
    let mut items = Vec::new();
    for stored in objects {
        let key = ObjectKey::new(object::namespace(&stored.value), object::name(&stored.value));
        let before = stored.value.clone();
        match delete_object(ctx, &key, stored, &options) {
            Ok(_) => {
                let mut v = presented(ctx.resource, &before);
                if ctx.resource.custom.is_none() {
                    object::members(&mut v).remove("kind");
                    object::members(&mut v).remove("apiVersion");
                }
                items.push(v);
            }
            Err(e) if e.code == 404 => {}
            Err(e) => return Err(e),
        }
    }
    let r = ctx.resource;
    let mut meta = json!({"resourceVersion": listing.revision.to_string()});
    if r.custom.is_some() {
        object::members(&mut meta).insert("continue".into(), "".into());
    }
    if let Some(last) = last {
        let token = continue_token(listing.revision, &last.value, false);
        object::members(&mut meta).insert("continue".into(), token.into());
        if let Some(left) = more.filter(|_| selection.is_everything()) {
            object::members(&mut meta).insert("remainingItemCount".into(), left.into());
        }
    }
    let v = json!({"kind": r.list_kind, "apiVersion": r.api_version(), "metadata": meta, "items": items});
    Ok(Answer::document(200, &v, ctx.accepted))
}

fn warn_of_orphans(ctx: &mut Context, options: &Options) {
    if ctx.resource.is("batch", "jobs") && options.policy.is_none() && options.orphan.is_none() {
        ctx.warn(vec![
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
             or set propagationPolicy=Orphan to suppress this warning"
                .to_owned(),
        ]);
    }
}

/// Kinds whose DELETE answers the object instead of a Status.
pub(crate) fn answers_object(r: &Resource) -> bool {
    matches!(
        (r.group.as_str(), r.plural.as_str()),
        (
            "",
            "namespaces"
                | "pods"
                | "services"
                | "serviceaccounts"
                | "resourcequotas"
                | "podtemplates"
                | "persistentvolumes"
                | "persistentvolumeclaims"
        ) | (
            "storage.k8s.io",
            "csidrivers" | "csinodes" | "storageclasses" | "volumeattachments" | "volumeattributesclasses"
        ) | ("resource.k8s.io", _)
    )
}

fn options(ctx: &Context) -> ApiResult<Options> {
    let query = &ctx.request.query;
    // A body is everything that counts.
    if ctx.request.body.iter().any(|b| !b.is_ascii_whitespace()) {
        return read_options(Options::default(), &decode::options(ctx)?);
    }
    let o = Options {
        grace_seconds: query.integer("gracePeriodSeconds").map_err(ApiError::bad_request)?,
        policy: query.get("propagationPolicy").filter(|p| !p.is_empty()).map(str::to_owned),
        orphan: query.optional_flag("orphanDependents"),
        ..Options::default()
    };
    let runs: Vec<&str> = query.all("dryRun").filter(|run| !run.is_empty()).collect();
    check_options(o, &json!(runs))
}

/// Adds the options of a body to those of the query.
fn read_options(mut o: Options, v: &Value) -> ApiResult<Options> {
    if v.is_object() {
        o.grace_seconds = v["gracePeriodSeconds"].as_i64().or(o.grace_seconds);
        o.policy = v["propagationPolicy"].as_str().map(str::to_owned).or(o.policy);
        o.orphan = v["orphanDependents"].as_bool().or(o.orphan);
        o.uid = v["preconditions"]["uid"].as_str().map(str::to_owned);
        o.resource_version = v["preconditions"]["resourceVersion"].as_str().map(str::to_owned);
    }
    check_options(o, &v["dryRun"])
}

/// Refuses options that cannot be meant, every one that is wrong; `runs` are the stages that are to run dry.
fn check_options(mut o: Options, runs: &Value) -> ApiResult<Options> {
    let mut errors = Vec::new();
    if let Some(policy) = &o.policy {
        if o.orphan.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid("propagationPolicy", policy.as_str(), why));
        }
        let supported = ["Foreground", "Background", "Orphan", "nil"];
        if !supported[..3].contains(&policy.as_str()) {
            errors.push(FieldError::not_supported("propagationPolicy", policy.as_str(), &supported));
        }
    }
    let asked = runs.as_array().map(Vec::as_slice).unwrap_or_default();
    if asked.iter().any(|run| run != "All") {
        errors.push(FieldError::not_supported("dryRun", runs.clone(), &["All"]));
    }
    o.dry_run |= !asked.is_empty();
    if errors.is_empty() { Ok(o) } else { Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", errors)) }
}

/// Deletes or marks an object. The answer says whether it is gone, and its last state.
fn delete_object(
    ctx: &mut Context,
    key: &ObjectKey,
    mut stored: Arc<Stored>,
    options: &Options,
) -> ApiResult<(bool, Value)> {
    let resource = ctx.resource.clone();
    loop {
        check_preconditions(&resource, &stored.value, options)?;
        crate::admission::delete(ctx, &stored.value)?;
        crate::admission::validate(ctx, None, Some(&stored.value))?;
        let mut v = stored.value.clone();
        set_finalizers(&resource, &mut v, options);
        let is_definition = *resource.table == *crate::crd::establish::TABLE;
        if is_definition && !object::is_deleting(&v) {
            begin_definition(&mut v, &ctx.core.clock.now_text());
        }
        let grace = grace_seconds(&resource, &v, options);
        let waits = !object::finalizers(&v).is_empty() || grace > 0 || has_own_finalizers(&resource, &v);
        let is_pod = resource.is("", "pods");
        if options.dry_run {
            if is_pod || waits {
                mark(ctx.core, &resource, &mut v, grace);
            }
            return Ok((!waits, v));
        }
        if !waits {
            if is_pod {
                // Pods are marked before they go, whatever time they get.
                mark(ctx.core, &resource, &mut v, 0);
                match ctx.core.store.update(&resource.table, key, stored.revision, v) {
                    Ok(s) => {
                        after_write(ctx, &s);
                        v = s.value.clone();
                        stored = s;
                    }
                    Err(_) => {
                        stored = again(ctx, key)?;
                        continue;
                    }
                }
            }
            match ctx.core.store.delete(&resource.table, key, stored.revision, v.clone()) {
                Ok(s) => {
                    after_write(ctx, &s);
                    return Ok((true, s.value.clone()));
                }
                Err(_) => stored = again(ctx, key)?,
            }
            continue;
        }
        mark(ctx.core, &resource, &mut v, grace);
        if v == stored.value {
            return Ok((false, v));
        }
        match ctx.core.store.update(&resource.table, key, stored.revision, v) {
            Ok(s) => {
                after_write(ctx, &s);
                return Ok((false, s.value.clone()));
            }
            Err(_) => stored = again(ctx, key)?,
        }
    }
}

fn again(ctx: &Context, key: &ObjectKey) -> ApiResult<Arc<Stored>> {
    ctx.core.store.get(&ctx.resource.table, key).ok_or_else(|| ctx.not_found(&key.name))
}

fn check_preconditions(resource: &Resource, v: &Value, options: &Options) -> ApiResult<()> {
    if *resource.table == *crate::crd::establish::TABLE || resource.is("", "namespaces") {
        let (uid, version) = (object::uid(v), object::resource_version(v));
        let why = match (&options.uid, &options.resource_version) {
            (Some(wanted), _) if wanted != uid => {
                format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}")
            }
            (_, Some(wanted)) if wanted != version => format!(
                "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: \
                 {version}"
            ),
            _ => return Ok(()),
        };
        return Err(ApiError::conflict(&resource.group, &resource.plural, object::name(v), &why));
    }
    // Events of either group are one kind inside of the server.
    let group = if resource.plural == "events" && resource.custom.is_none() { "" } else { &resource.group };
    let conflict = |why: String| Err(ApiError::conflict(group, &resource.kind, object::name(v), &why));
    if let Some(uid) = &options.uid
        && uid != object::uid(v)
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted \
             and then recreated",
            object::uid(v)
        ));
    }
    if let Some(rv) = &options.resource_version
        && rv != object::resource_version(v)
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({rv}) does not match the ResourceVersion in record ({}). The object \
             might have been modified",
            object::resource_version(v)
        ));
    }
    Ok(())
}

/// Marks a definition whose objects are about to be removed.
fn begin_definition(v: &mut Value, now: &str) {
    use crate::controllers::definitions::FINALIZER;
    let finalizers = object::metadata(v).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.contains(&json!(FINALIZER))
    {
        finalizers.push(FINALIZER.into());
    }
    object::metadata(v).insert("deletionTimestamp".into(), now.into());
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    crate::crd::establish::set_condition(v, "Terminating", "True", "InstanceDeletionPending", message, now);
}

fn has_own_finalizers(resource: &Resource, v: &Value) -> bool {
    resource.is("", "namespaces") && v["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}

/// Kinds whose dependents stay unless a client says otherwise, as they did before there was garbage collection.
fn orphans_by_default(resource: &Resource) -> bool {
    resource.is("", "replicationcontrollers") || resource.is("batch", "jobs")
}

fn set_finalizers(resource: &Resource, v: &mut Value, options: &Options) {
    // Nothing depends on events, so how to treat what depends on them is nothing to ask.
    if resource.plural == "events" && resource.custom.is_none() {
        return;
    }
    let kept = object::finalizers(v);
    let policy = match (&options.policy, options.orphan) {
        (Some(p), _) => p.as_str(),
        (None, Some(true)) => "Orphan",
        (None, Some(false)) => "Background",
        (None, None) if kept.contains(&"foregroundDeletion") => "Background",
        (None, None) if orphans_by_default(resource) => "Orphan",
        (None, None) => "Background",
    };
    let mut finalizers: Vec<String> = object::finalizers(v).into_iter().map(str::to_owned).collect();
    let explicit = options.policy.is_some() || options.orphan.is_some();
    if explicit && !object::is_deleting(v) || policy != "Background" {
        finalizers.retain(|f| f != "orphan" && f != "foregroundDeletion");
    }
    match policy {
        "Orphan" => finalizers.push("orphan".into()),
        "Foreground" => finalizers.push("foregroundDeletion".into()),
        _ => {}
    }
    let meta = object::metadata(v);
    if finalizers.is_empty() {
        meta.remove("finalizers");
    } else {
        meta.insert("finalizers".into(), json!(finalizers));
    }
}

/// Pods that run somewhere get time to stop.
fn grace_seconds(resource: &Resource, v: &Value, options: &Options) -> i64 {
    if !resource.is("", "pods") || text(v, &["spec", "nodeName"]).is_empty() {
        return 0;
    }
    if matches!(text(v, &["status", "phase"]), "Succeeded" | "Failed") {
        return 0;
    }
    let asked =
        options.grace_seconds.or_else(|| v["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30);
    match object::at(v, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64) {
        Some(current) => asked.min(current).max(0),
        None => asked.max(0),
    }
}

fn mark(core: &Core, resource: &Resource, v: &mut Value, grace: i64) {
    let already = object::is_deleting(v);
    let when = core.clock.now() + jiff::SignedDuration::from_secs(grace);
    let meta = object::metadata(v);
    if !already {
        meta.insert("deletionTimestamp".into(), crate::clock::seconds_text(when).into());
        if let Some(g) = meta.get("generation").and_then(Value::as_i64) {
            meta.insert("generation".into(), (g + 1).into());
        }
    }
    let is_definition = *resource.table == *crate::crd::establish::TABLE;
    if !resource.is("", "namespaces")
        && !is_definition
        && (!already || meta.get("deletionGracePeriodSeconds").and_then(Value::as_i64) != Some(grace))
    {
        meta.insert("deletionGracePeriodSeconds".into(), grace.into());
    }
    if resource.is("", "namespaces") {
        object::set_at(v, &["status", "phase"], "Terminating".into());
    }
}

/// Deletes for the server's own controllers. True when the object is gone.
pub(crate) fn delete_now(core: &Core, resource: &Resource, stored: &Arc<Stored>) -> bool {
    let key = ObjectKey::new(object::namespace(&stored.value), object::name(&stored.value));
    if object::finalizers(&stored.value).is_empty() && !has_own_finalizers(resource, &stored.value) {
        let gone = core.store.delete(&resource.table, &key, stored.revision, stored.value.clone()).is_ok();
        if gone && resource.is("", "services") {
            crate::controllers::ip_addresses::observe(core, stored);
        }
        return gone;
    }
    mark_deleting(core, resource, stored, &[]);
    false
}

/// Sets the deletion timestamp and adds finalizers.
pub(crate) fn mark_deleting(
    core: &Core,
    resource: &Resource,
    stored: &Arc<Stored>,
    finalizers: &[&str],
) -> Option<Arc<Stored>> {
    let key = ObjectKey::new(object::namespace(&stored.value), object::name(&stored.value));
    let mut v = stored.value.clone();
    let mut all: Vec<String> = object::finalizers(&v).into_iter().map(str::to_owned).collect();
    for f in finalizers {
        if !all.iter().any(|a| a == f) {
            all.push((*f).to_owned());
        }
    }
    if !all.is_empty() {
        object::metadata(&mut v).insert("finalizers".into(), json!(all));
    }
    mark(core, resource, &mut v, 0);
    if v == stored.value {
        return None;
    }
    core.store.update(&resource.table, &key, stored.revision, v).ok()
}
