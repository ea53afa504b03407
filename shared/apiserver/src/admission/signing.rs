//! Admission of CertificateSigningRequests: who asks for them, and who may approve and sign them.

use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::auth::rbac::{self, Attributes};
use crate::auth::{MASTERS, User};
use crate::handlers::Context;
use crate::object::{self, text};
use crate::validation::signing_request;

const GROUP: &str = "certificates.k8s.io";
const RESOURCE: &str = "certificatesigningrequests";
/// Who holds a certificate of this signer is a client of the server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// The user who asks is the one who sends the request, whatever the request says.
pub(super) fn name_requestor(user: &User, v: &mut Value) {
    let spec = object::child(v, "spec");
    for (member, value) in [
        ("username", json!(user.name)),
        ("uid", json!(user.uid)),
        ("groups", json!(user.groups)),
        ("extra", json!(user.extra)),
    ] {
        if crate::go_value::is_empty(&value) {
            spec.remove(member);
        } else {
            spec.insert(member.to_owned(), value);
        }
    }
}

/// Refuses certificates of the highest group, and approvals and signatures by those who may not give them.
pub(super) fn validate(ctx: &Context, new: Option<&Value>, old: Option<&Value>) -> ApiResult<()> {
    match (ctx.target.subresource.as_str(), new, old) {
        ("", Some(new), None) => refuse_masters(new),
        ("approval", Some(_), Some(old)) => allow(ctx, old, "approve"),
        ("status", Some(new), Some(old)) => {
            let same = |member: &str| new["status"].get(member) == old["status"].get(member);
            if same("certificate") && same("conditions") { Ok(()) } else { allow(ctx, old, "sign") }
        }
        _ => Ok(()),
    }
}

fn refuse_masters(v: &Value) -> ApiResult<()> {
    if text(v, &["spec", "signerName"]) != CLIENT_SIGNER {
        return Ok(());
    }
    let forbidden = |why: &str| Err(ApiError::forbidden(GROUP, RESOURCE, object::name(v), why));
    match signing_request::organizations(text(v, &["spec", "request"])) {
        Err(why) => forbidden(&format!("failed to parse CSR: {why}")),
        Ok(groups) if groups.iter().any(|group| group == MASTERS) => {
            forbidden(&format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"))
        }
        Ok(_) => Ok(()),
    }
}

/// Checks that the user has `verb` on the signer, or on all signers of its domain.
fn allow(ctx: &Context, request: &Value, verb: &str) -> ApiResult<()> {
    let signer = text(request, &["spec", "signerName"]);
    let domain = signer.split('/').next().unwrap_or_default();
    let may = |name: &str| {
        let attributes = Attributes {
            user: ctx.user,
            verb,
            namespace: "",
            group: GROUP,
            resource: "signers",
            subresource: "",
            name,
            path: "",
            is_resource: true,
        };
        rbac::authorize(ctx.core, &attributes).allowed
    };
    if may(signer) || may(&format!("{domain}/*")) {
        return Ok(());
    }
    let signer = fluxide_gotext::quote_str(signer);
    let why = format!("user not permitted to {verb} requests with signerName {signer}");
    Err(ApiError::forbidden(GROUP, RESOURCE, object::name(request), &why))
}
