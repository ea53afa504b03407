//! GET and LIST.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Value, json};

use super::Context;
use super::answer::{Answer, Payload};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::output::table::{IncludeObject, table};
use crate::output::{self, Accepted, Form, Syntax};
use crate::protobuf;
use crate::registry::Resource;
use crate::selectors::{FieldSelector, LabelSelector, field_selector};
use crate::store::{Listing, ObjectKey, Stored, TooOld};

/// Answers one object.
pub(crate) fn get(ctx: &Context) -> ApiResult<Answer> {
    if let Some(rv) = ctx.request.query.get("resourceVersion") {
        check_not_future(ctx, parse_revision(rv).map_err(ApiError::internal_text)?)?;
    }
    let key = ObjectKey::new(namespace_of(ctx), &ctx.target.name);
    let stored = ctx.core.store.get(&ctx.resource.table, &key).ok_or_else(|| ctx.not_found(&key.name))?;
    refuse_list_form(ctx, false)?;
    single(ctx, 200, &stored)
}

/// The answer for one stored object in the accepted form.
pub(crate) fn single(ctx: &Context, status: u16, stored: &Stored) -> ApiResult<Answer> {
    if ctx.accepted == Accepted::JSON && is_plain(ctx.resource) {
        let mut a = Answer::json(status, &Value::Null);
        a.body = Payload::Bytes(stored.json());
        return Ok(a);
    }
    let v = presented(ctx.resource, &stored.value);
    one(ctx, status, &v)
}

/// The answer for one object, already in the served version.
pub(crate) fn one(ctx: &Context, status: u16, v: &Value) -> ApiResult<Answer> {
    let v = match ctx.accepted.form {
        Form::Object => return Ok(Answer::document(status, v, ctx.accepted)),
        Form::PartialMetadata | Form::PartialMetadataList => output::partial_metadata(v),
        Form::Table => {
            let include = IncludeObject::parse(ctx.request.query.text("includeObject"))?;
            let meta = json!({"resourceVersion": crate::object::resource_version(v)});
            table(ctx.resource, &[v], meta, include, true, ctx.core.clock.now())
        }
    };
    Ok(Answer::document(status, &v, ctx.accepted))
}

/// Whether stored objects are answered as they are.
pub(crate) fn is_plain(resource: &Resource) -> bool {
    resource.custom.is_none() && resource.api_version() == resource.storage_version
}

/// A stored object in the version and with the read-time defaults of `resource`.
pub(crate) fn presented(resource: &Resource, stored: &Value) -> Value {
    crate::versions::to_served(resource, stored)
}

pub(crate) fn namespace_of<'a>(ctx: &'a Context) -> &'a str {
    if ctx.resource.namespaced { &ctx.target.namespace } else { "" }
}

/// The selectors of a list, watch or deletecollection.
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    pub fn parse(ctx: &Context) -> ApiResult<Self> {
        let query = &ctx.request.query;
        let labels = LabelSelector::parse(query.text("labelSelector")).map_err(ApiError::bad_request)?;
        let fields =
            field_selector(query.text("fieldSelector"), ctx.resource).map_err(ApiError::bad_request)?;
        Ok(Selection { labels, fields })
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub fn matches(&self, v: &Value) -> bool {
        self.labels.matches(v) && self.fields.matches(v)
    }
}

/// Answers a list.
pub(crate) fn list(ctx: &Context) -> ApiResult<Answer> {
    let limit = limit(ctx)?;
    LabelSelector::parse(ctx.request.query.text("labelSelector")).map_err(ApiError::bad_request)?;
    check_list_options(ctx)?;
    let selection = Selection::parse(ctx)?;
    let narrowed = narrowed_to(ctx, &selection);
    let (listing, after) = listing(ctx, narrowed.as_deref())?;
    refuse_list_form(ctx, true)?;
    let mut objects = listing.objects;
    if let Some(after) = &after {
        let everywhere = ctx.resource.namespaced && ctx.target.namespace.is_empty();
        objects.retain(|s| {
            let (namespace, name) = (crate::object::namespace(&s.value), crate::object::name(&s.value));
            if everywhere && after.namespace.is_empty() {
                // A token of one namespace names a place among all of them here.
                return format!("{namespace}/{name}") > after.name;
            }
            (namespace, name) > (after.namespace.as_str(), after.name.as_str())
        });
    }
    let mut meta = json!({"resourceVersion": listing.revision.to_string()});
    let Page { objects, more } = page(ctx, objects, &selection, limit);
    if let Some(left) = more {
        let m = crate::object::members(&mut meta);
        if let Some(last) = objects.last() {
            let token = continue_token(listing.revision, &last.value, narrowed.is_some());
            m.insert("continue".into(), token.into());
        }
        if selection.is_everything() {
            m.insert("remainingItemCount".into(), left.into());
        }
    }
    list_answer(ctx, &objects, meta)
}

/// The objects of one answer, and how many were not looked at, when there are any.
pub(super) struct Page {
    pub objects: Vec<Arc<Stored>>,
    pub more: Option<usize>,
}

/// The first objects that the selectors match. Whether there are more counts those that they do not match, too, except
/// where one name is asked for.
pub(super) fn page(
    ctx: &Context,
    mut objects: Vec<Arc<Stored>>,
    selection: &Selection,
    limit: Option<usize>,
) -> Page {
    let one_namespace =
        !ctx.resource.namespaced || !ctx.target.namespace.is_empty() || narrowed_to(ctx, selection).is_some();
    let Some(limit) = limit.filter(|_| ctx.target.selected_name.is_empty() || !one_namespace) else {
        if !selection.is_everything() {
            objects.retain(|s| selection.matches(&s.value));
        }
        return Page { objects, more: None };
    };
    let mut kept = Vec::new();
    let mut left = objects.len();
    for stored in objects {
        if kept.len() == limit {
            break;
        }
        left -= 1;
        if selection.matches(&stored.value) {
            kept.push(stored);
        }
    }
    Page { objects: kept, more: (left > 0).then_some(left) }
}

pub(super) fn list_answer(ctx: &Context, objects: &[Arc<Stored>], meta: Value) -> ApiResult<Answer> {
    let r = ctx.resource;
    match ctx.accepted.form {
        Form::Object => {
            let mut meta = meta;
            if r.custom.is_some() {
                crate::object::members(&mut meta).entry("continue").or_insert_with(|| "".into());
            }
            match ctx.accepted.syntax {
                Syntax::Json => return Ok(fast_list(ctx, objects, &meta)),
                Syntax::Protobuf => {
                    if let Some(bytes) = protobuf_list(r, objects, &meta) {
                        return Ok(Answer::bytes(200, protobuf::MEDIA_TYPE, bytes.into()));
                    }
                }
                Syntax::Yaml => {}
            }
            let items: Vec<Value> = objects.iter().map(|s| item(r, &s.value)).collect();
            let v =
                json!({"kind": r.list_kind, "apiVersion": r.api_version(), "metadata": meta, "items": items});
            Ok(Answer::document(200, &v, ctx.accepted))
        }
        Form::PartialMetadata | Form::PartialMetadataList => {
            let items: Vec<Value> = objects.iter().map(|s| output::partial_metadata(&s.value)).collect();
            let items = if items.is_empty() { Value::Null } else { Value::Array(items) };
            let v = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items,
            });
            Ok(Answer::document(200, &v, ctx.accepted))
        }
        Form::Table => {
            let include = IncludeObject::parse(ctx.request.query.text("includeObject"))?;
            let shown: Vec<Value> = objects.iter().map(|s| presented(r, &s.value)).collect();
            let refs: Vec<&Value> = shown.iter().collect();
            let v = table(r, &refs, meta, include, true, ctx.core.clock.now());
            Ok(Answer::document(200, &v, ctx.accepted))
        }
    }
}

fn protobuf_list(r: &Resource, objects: &[Arc<Stored>], meta: &Value) -> Option<Vec<u8>> {
    let plain = is_plain(r);
    let items = objects.iter().map(|s| match plain {
        true => Cow::Borrowed(&s.value),
        false => Cow::Owned(presented(r, &s.value)),
    });
    protobuf::encode_list(&r.api_version(), &r.kind, meta, items)
}

/// Items of built-in lists carry neither kind nor apiVersion.
fn item(resource: &Resource, stored: &Value) -> Value {
    let mut v = presented(resource, stored);
    if resource.custom.is_none() {
        let m = crate::object::members(&mut v);
        m.remove("kind");
        m.remove("apiVersion");
    }
    v
}

/// A list written straight into its bytes.
fn fast_list(ctx: &Context, objects: &[Arc<Stored>], meta: &Value) -> Answer {
    let r = ctx.resource;
    let size: usize =
        if is_plain(r) { objects.iter().map(|s| s.item().len() + 1).sum() } else { objects.len() * 1024 };
    let mut out = Vec::with_capacity(256 + size);
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        Value::from(r.list_kind.as_str()),
        Value::from(r.api_version()),
        meta
    );
    out.extend_from_slice(head.as_bytes());
    let plain_custom = r.custom.is_some() && r.api_version() == r.storage_version;
    for (i, s) in objects.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if is_plain(r) {
            out.extend_from_slice(s.item());
        } else if plain_custom && crate::versions::needs_nothing(r, &s.value) {
            s.write_json(&mut out);
        } else {
            let _ = serde_json::to_writer(&mut out, &item(r, &s.value));
        }
    }
    out.extend_from_slice(b"]}\n");
    Answer::bytes(200, "application/json", out.into())
}

/// The one namespace that the selector of a list over all of them allows; later pages look at all again.
fn narrowed_to(ctx: &Context, selection: &Selection) -> Option<String> {
    let narrows = ctx.resource.namespaced
        && ctx.target.namespace.is_empty()
        && ctx.request.query.text("continue").is_empty();
    let namespace = selection.fields.exact("metadata.namespace").filter(|_| narrows)?;
    crate::validation::names::is_label(namespace).then(|| namespace.to_owned())
}

/// The objects to answer from and the key after which to start.
fn listing(ctx: &Context, narrowed: Option<&str>) -> ApiResult<(Listing, Option<ObjectKey>)> {
    let query = &ctx.request.query;
    let namespace = match ctx.target.namespace.as_str() {
        "" => narrowed,
        namespace => Some(namespace),
    };
    let store = &ctx.core.store;
    let table = &ctx.resource.table;
    let token = query.text("continue");
    if !token.is_empty() {
        let (revision, after) = parse_continue(token)
            .map_err(|why| ApiError::bad_request(format!("invalid continue token: {why}")))?;
        if !matches!(query.text("resourceVersion"), "" | "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        if revision == 0 {
            return Ok((store.list(table, namespace), Some(after)));
        }
        let listing = store.list_at(table, namespace, revision).map_err(|_| {
            let mut e = ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                 without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
                 results. Continuing with the provided token results in an inconsistent list - objects that were created, \
                 modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            );
            e.details = None;
            e
        })?;
        return Ok((listing, Some(after)));
    }
    let revision = parse_list_revision(query.text("resourceVersion"))?;
    let matching = query.text("resourceVersionMatch");
    check_not_future(ctx, revision).map_err(|mut e| {
        // What is one object of the storage is not waited for, and nobody says how long to wait.
        let one = !ctx.target.selected_name.is_empty() && (namespace.is_some() || !ctx.resource.namespaced);
        if let Some(Value::Object(details)) = e.details.as_mut().filter(|_| one && matching == "Exact") {
            details.remove("retryAfterSeconds");
        }
        e
    })?;
    let paged = query.number("limit").is_some_and(|n| n > 0);
    if matching == "Exact" || matching.is_empty() && revision > 0 && paged {
        let gone = |_| ApiError::expired("The resourceVersion for the provided list is too old.");
        let listing = store.list_at(table, namespace, revision).map_err(gone)?;
        return Ok((listing, None));
    }
    Ok((store.list(table, namespace), None))
}

pub(crate) fn too_old(asked: u64, e: TooOld) -> ApiError {
    ApiError::expired(format!("too old resource version: {asked} ({})", e.oldest))
}

fn check_list_options(ctx: &Context) -> ApiResult<()> {
    let query = &ctx.request.query;
    let (rv, matching) = (query.text("resourceVersion"), query.text("resourceVersionMatch"));
    let mut errors = Vec::new();
    if !matching.is_empty() {
        if rv.is_empty() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !query.text("continue").is_empty() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            errors.push(FieldError::not_supported(
                "resourceVersionMatch",
                matching,
                &["Exact", "NotOlderThan", ""],
            ));
        }
        if matching == "Exact" && rv == "0" {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if query.get("sendInitialEvents").is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", errors)) }
}

/// The most objects that an answer may hold. Lists from the cache ignore it, as the server's do.
pub(super) fn limit(ctx: &Context) -> ApiResult<Option<usize>> {
    let query = &ctx.request.query;
    let limit = query.integer("limit").map_err(ApiError::bad_request)?.filter(|n| *n > 0);
    query.integer("timeoutSeconds").map_err(ApiError::bad_request)?;
    if query.text("resourceVersion") == "0" && query.text("continue").is_empty() {
        return Ok(None);
    }
    Ok(limit.and_then(|n| usize::try_from(n).ok()))
}

/// Refuses the form of one object for a list, and that of a list for one object.
fn refuse_list_form(ctx: &Context, is_list: bool) -> ApiResult<()> {
    let (asked, why) = match (ctx.accepted.form, is_list) {
        (Form::PartialMetadata, true) => ("PartialObjectMetadata", "is a list"),
        (Form::PartialMetadataList, false) if ctx.resource.custom.is_some() => {
            return Err(ApiError::unclassified("content is not a list"));
        }
        (Form::PartialMetadataList, false) => ("PartialObjectMetadataList", "is not a list"),
        _ => return Ok(()),
    };
    let suffix = if is_list { "List" } else { "" };
    let go_type = match &ctx.resource.custom {
        Some(_) => format!("unstructured.Unstructured{suffix}"),
        None => {
            // Events of either group are one kind inside of the server.
            let group = if ctx.resource.plural == "events" { "" } else { &ctx.resource.group };
            format!("{}.{}{suffix}", super::patch::internal_package(group), ctx.resource.kind)
        }
    };
    Err(ApiError::new(
        406,
        "NotAcceptable",
        format!("you requested {asked}, but the requested object {why} (*{go_type})"),
    ))
}

/// A resourceVersion of a list or get; the error is the one of the cache.
fn parse_list_revision(rv: &str) -> ApiResult<u64> {
    parse_revision(rv).map_err(|why| ApiError::bad_request(format!("invalid resource version: {why}")))
}

pub(crate) fn parse_revision(rv: &str) -> Result<u64, String> {
    if rv.is_empty() {
        return Ok(0);
    }
    if !rv.starts_with('+')
        && let Ok(revision) = rv.parse()
    {
        return Ok(revision);
    }
    let quoted = fluxide_gotext::quote_str(rv);
    let digits = rv.bytes().all(|b| b.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    Err(format!("resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: {why}"))
}

fn check_not_future(ctx: &Context, revision: u64) -> ApiResult<()> {
    let current = ctx.core.store.revision();
    if revision <= current {
        return Ok(());
    }
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    let mut e = ApiError::new(504, "Timeout", message);
    e.details = Some(json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }));
    Err(e)
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// The token of the objects after `last`, whose namespace it names unless the list is of that one only.
pub(super) fn continue_token(revision: u64, last: &Value, narrowed: bool) -> String {
    let name = crate::object::name(last);
    let start = match narrowed {
        true => format!("{name}\u{0}"),
        false => format!("{}/{name}\u{0}", crate::object::namespace(last)),
    };
    let token = json!({"v": TOKEN_VERSION, "rv": revision, "start": start});
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token.to_string())
}

fn parse_continue(token: &str) -> Result<(u64, ObjectKey), String> {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let invalid = |why: &str| format!("continue key is not valid: {why}");
    let bytes = LENIENT.decode(token).map_err(|e| {
        let at = match e {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            // The last character alone is half a byte.
            _ => token.len().saturating_sub(token.trim_end_matches('=').len() % 4 % 2),
        };
        invalid(&format!("illegal base64 data at input byte {at}"))
    })?;
    let parsed: Result<Value, _> = serde_json::from_slice(&bytes);
    let v = parsed
        .map_err(|e| invalid(&super::go_json::syntax_error(&bytes).unwrap_or_else(|| e.to_string())))?;
    if v["v"] != TOKEN_VERSION {
        let version = v["v"].as_str().unwrap_or_default();
        return Err(invalid(&format!("server does not recognize this encoded version {version}")));
    }
    // A negative one asks for the rest of the list as it is now.
    let revision = v["rv"].as_i64().filter(|rv| *rv != 0).ok_or_else(|| {
        invalid(&format!("incorrect encoded start resourceVersion (version {TOKEN_VERSION})"))
    })?;
    let start = v["start"].as_str().unwrap_or_default();
    if start.is_empty() {
        return Err(invalid(&format!("encoded start key empty (version {TOKEN_VERSION})")));
    }
    let start = start.trim_end_matches('\0');
    let (namespace, name) = start.split_once('/').unwrap_or(("", start));
    if name.contains('/') || name == ".." || namespace == ".." {
        return Err(invalid(start));
    }
    Ok((u64::try_from(revision).unwrap_or(0), ObjectKey::new(namespace, name)))
}
