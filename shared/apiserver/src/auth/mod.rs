//! Who makes a request and what they may do: credentials, impersonation, RBAC, reviews and tokens.

pub(crate) mod aggregation;
pub(crate) mod certificate;
pub(crate) mod escalation;
mod impersonation;
pub(crate) mod rbac;
pub(crate) mod reviews;
pub(crate) mod token_requests;
pub(crate) mod tokens;

use std::collections::BTreeMap;

use fluxide_gotext::quote_str;
use serde_json::{Value, json};

pub(crate) use rbac::Attributes;

use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::handlers::Request;
use crate::request::Target;

/// The group whose members may do everything.
pub(crate) const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ANONYMOUS: &str = "system:anonymous";
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// An authenticated (or anonymous) user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The administrator: who holds the server's own token, and everyone when authentication is off.
    pub fn administrator() -> Self {
        User { name: "admin".into(), groups: vec![MASTERS.into(), AUTHENTICATED.into()], ..User::default() }
    }

    /// The user that a ServiceAccount is.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        User {
            name: format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            groups: groups.into_iter().chain([AUTHENTICATED.to_owned()]).collect(),
            ..User::default()
        }
    }

    fn anonymous() -> Self {
        User { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..User::default() }
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    fn ensure_group(&mut self, group: &str) {
        if !self.is_in(group) {
            self.groups.push(group.to_owned());
        }
    }

    /// The user as reviews show it.
    pub fn to_info(&self) -> Value {
        let mut info = json!({"username": self.name});
        let members = crate::object::members(&mut info);
        if !self.uid.is_empty() {
            members.insert("uid".into(), self.uid.as_str().into());
        }
        if !self.groups.is_empty() {
            members.insert("groups".into(), json!(self.groups));
        }
        if !self.extra.is_empty() {
            members.insert("extra".into(), json!(self.extra));
        }
        info
    }
}

/// Namespace and name in the user name of a ServiceAccount.
pub(crate) fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
}

/// The user of a request after authentication and impersonation.
pub(crate) fn identify(core: &Core, request: &Request, target: &Target) -> ApiResult<User> {
    let requestor = authenticate(core, request)?;
    impersonation::impersonate(core, requestor, request, target)
}

fn authenticate(core: &Core, request: &Request) -> ApiResult<User> {
    let Some(admin_token) = &core.settings.admin_token else { return Ok(User::administrator()) };
    if let Some(user) = &request.certificate {
        let mut user = User::clone(user);
        user.ensure_group(AUTHENTICATED);
        return Ok(user);
    }
    let header = request.header("authorization").trim();
    let Some((scheme, token)) = header.split_once(' ') else { return Ok(User::anonymous()) };
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Ok(User::anonymous());
    }
    let mut user = token_user(core, admin_token, token.trim()).ok_or_else(ApiError::unauthorized)?;
    user.ensure_group(AUTHENTICATED);
    Ok(user)
}

/// The user that a bearer token stands for, for the server's own audience.
pub(crate) fn token_user(core: &Core, admin_token: &str, token: &str) -> Option<User> {
    if same_secret(admin_token, token) {
        return Some(User::administrator());
    }
    tokens::verify(core, token, &[&core.settings.issuer]).map(|verified| verified.user)
}

/// Compares digests, so that the time taken says nothing about the secret.
fn same_secret(a: &str, b: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(a) == Sha256::digest(b)
}

/// Refuses what RBAC does not allow, in the server's words.
pub(crate) fn authorize(core: &Core, user: &User, target: &Target) -> ApiResult<()> {
    let attributes = Attributes::of_target(user, target);
    let decision = rbac::authorize(core, &attributes);
    if decision.allowed { Ok(()) } else { Err(forbidden(&attributes, &decision.reason)) }
}

/// 403 for a request with these attributes.
pub(crate) fn forbidden(a: &Attributes, reason: &str) -> ApiError {
    let user = quote_str(&a.user.name);
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if !a.is_resource {
        let message = format!("forbidden: User {user} cannot {} path {}{because}", a.verb, quote_str(a.path));
        return ApiError::new(403, "Forbidden", message).with_empty_details();
    }
    let resource = match a.subresource {
        "" => a.resource.to_owned(),
        sub => format!("{}/{sub}", a.resource),
    };
    let scope = match a.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {}", quote_str(namespace)),
    };
    let why = format!(
        "User {user} cannot {} resource {} in API group {} {scope}{because}",
        a.verb,
        quote_str(&resource),
        quote_str(a.group)
    );
    ApiError::forbidden(a.group, a.resource, a.name, &why)
}
