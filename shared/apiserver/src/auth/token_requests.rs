//! The subresource `token` of ServiceAccounts.

use serde_json::{Value, json};

use super::tokens::{self, Grant};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::handlers::Context;
use crate::handlers::answer::Answer;
use crate::handlers::write::review_body;
use crate::object::{self, text};
use crate::store::ObjectKey;

const SHORTEST_SECONDS: i64 = 600;
const LONGEST_SECONDS: i64 = 1 << 32;
const DEFAULT_SECONDS: i64 = 3600;
const GROUP: &str = "authentication.k8s.io";

/// Issues a token for a ServiceAccount.
pub(crate) fn create(ctx: &mut Context) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let mut request = review_body(ctx, GROUP, "TokenRequest")?;
    let (namespace, name) = (ctx.target.namespace.clone(), ctx.target.name.clone());
    let account = ctx
        .core
        .store
        .get("serviceaccounts", &ObjectKey::new(&namespace, &name))
        .ok_or_else(|| ctx.not_found(&name))?;
    let spec = object::child(&mut request, "spec");
    if spec.get("audiences").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("audiences".into(), json!([ctx.core.settings.issuer]));
    }
    let seconds = spec.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
    spec.insert("expirationSeconds".into(), seconds.into());
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
    meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    if !dry_run {
        let grant = Grant { account: &account.value, audiences: &audiences, seconds, bound };
        let (token, expires) =
            tokens::issue(ctx.core, &grant).map_err(|e| ApiError::internal(e.to_string()))?;
        request["status"] =
            json!({"token": token, "expirationTimestamp": crate::clock::seconds_text(expires)});
    }
    Ok(Answer::document(201, &request, ctx.accepted))
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
        return Err(ApiError::conflict("", table, name, &why));
    }
    Ok(Some((kind, name.to_owned(), uid.to_owned())))
}
