//! The subresource `token` of ServiceAccounts.

use fluxide_structured_merge::{SingleVersion, UpdateRequest};
use serde_json::{Value, json};

use super::tokens::{self, Grant};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::handlers::Context;
use crate::handlers::answer::Answer;
use crate::handlers::write::review_body;
use crate::object::{self, text};
use crate::schema;
use crate::store::ObjectKey;

const SHORTEST_SECONDS: i64 = 600;
const LONGEST_SECONDS: i64 = 1 << 32;
const DEFAULT_SECONDS: i64 = 3600;
const GROUP: &str = "authentication.k8s.io";

/// Issues a token for a ServiceAccount.
pub(crate) fn create(ctx: &mut Context) -> ApiResult<Answer> {
    ctx.dry_run()?;
    let mut request = review_body(ctx, GROUP, "TokenRequest")?;
    let (namespace, name) = (ctx.target.namespace.clone(), ctx.target.name.clone());
    if !object::namespace(&request).is_empty() && object::namespace(&request) != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    object::child(&mut request, "spec").insert("expirationSeconds".into(), seconds.into());
    record_owner(ctx, &mut request);
    let sent = object::name(&request).to_owned();
    if !sent.is_empty() && sent != name {
        let why = "must match the service account name if specified";
        let error = FieldError::invalid("metadata.name", sent, why);
        return Err(ApiError::invalid(GROUP, "TokenRequest", &name, vec![error]));
    }
    let account = ctx
        .core
        .store
        .get("serviceaccounts", &ObjectKey::new(&namespace, &name))
        .ok_or_else(|| ctx.not_found(&name))?;
    let uid = object::uid(&account.value).to_owned();
    let asked = object::uid(&request);
    if !asked.is_empty() && asked != uid {
        let why = format!(
            "the UID in the token request ({asked}) does not match the UID of the service account ({uid})"
        );
        return Err(ApiError::conflict(GROUP, "TokenRequest", &name, &why));
    }
    let spec = object::child(&mut request, "spec");
    if spec.get("audiences").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("audiences".into(), json!([ctx.core.settings.issuer]));
    }
    let field = "spec.expirationSeconds";
    let refusal = if seconds < SHORTEST_SECONDS {
        Some(FieldError::invalid(field, seconds, "may not specify a duration less than 10 minutes"))
    } else if seconds > LONGEST_SECONDS {
        Some(FieldError::invalid(field, seconds, "may not specify a duration larger than 2^32 seconds"))
    } else {
        None
    };
    if let Some(e) = refusal {
        return Err(ApiError::invalid(GROUP, "TokenRequest", "", vec![e]));
    }
    let bound = bound_object(ctx, &request["spec"]["boundObjectRef"])?;
    let audiences: Vec<String> = request["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let meta = object::metadata(&mut request);
    meta.insert("name".into(), name.into());
    meta.insert("namespace".into(), namespace.into());
    meta.insert("creationTimestamp".into(), ctx.core.clock.now_text().into());
    meta.insert("uid".into(), uid.into());
    // Dry runs get one, too: nothing is stored for a token.
    let grant = Grant { account: &account.value, audiences: &audiences, seconds, bound };
    let (token, expires) = tokens::issue(ctx.core, &grant).map_err(|e| ApiError::internal(e.to_string()))?;
    request["status"] = json!({"token": token, "expirationTimestamp": crate::clock::seconds_text(expires)});
    Ok(Answer::document(201, &request, ctx.accepted))
}

/// Records what the client wrote of the request, as of any object.
fn record_owner(ctx: &Context, request: &mut Value) {
    let api_version = format!("{GROUP}/v1");
    let Some(ty) = schema::builtin().kind(GROUP, "v1", "TokenRequest") else { return };
    let mut empty = json!({"apiVersion": api_version, "kind": "TokenRequest"});
    if schema::decode(&mut empty, ty).is_err() {
        return;
    }
    let mut whole = request.clone();
    if let Some(written) = &ctx.written {
        schema::restore_empty_lists(&mut whole, written, ty);
    }
    let update = UpdateRequest {
        live: Some(&empty),
        new: &whole,
        manager: &ctx.manager(),
        api_version: &api_version,
        subresource: "token",
        now: &ctx.core.clock.now_text(),
    };
    let recorded = fluxide_structured_merge::update(&update, &SingleVersion::new(&api_version, ty));
    object::copy_managed_fields(&recorded, request);
}

fn bound_object(ctx: &Context, reference: &Value) -> ApiResult<Option<(&'static str, String, String)>> {
    if reference.is_null() {
        return Ok(None);
    }
    let (kind, table, namespace) = match (text(reference, &["apiVersion"]), text(reference, &["kind"])) {
        ("v1", "Pod") => ("pod", "pods", ctx.target.namespace.as_str()),
        ("v1", "Secret") => ("secret", "secrets", ctx.target.namespace.as_str()),
        ("v1", "Node") => ("node", "nodes", ""),
        (api_version, kind) => {
            let slash = if api_version.contains('/') { "" } else { "/" };
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {slash}{api_version}, Kind={kind}"
            )));
        }
    };
    let name = text(reference, &["name"]);
    let stored = ctx
        .core
        .store
        .get(table, &ObjectKey::new(namespace, name))
        .ok_or_else(|| ApiError::not_found("", table, name))?;
    let (asked, uid) = (text(reference, &["uid"]), object::uid(&stored.value));
    if !asked.is_empty() && asked != uid {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(ApiError::conflict("", text(reference, &["kind"]), name, &why));
    }
    Ok(Some((kind, name.to_owned(), uid.to_owned())))
}
