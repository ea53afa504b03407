//! `Impersonate-*` headers: acting as another user, for those who are allowed to.
//!
//! Each mode asks first whether the request may be made on behalf of others (`impersonate-on:MODE:VERB`), then whether the
//! user itself may be taken on. The plain verb `impersonate` is the last resort; the first refusal is the one that is told.

use std::collections::BTreeMap;

use fluxide_gotext::quote_str;

use super::rbac::{self, Attributes};
use super::{
    ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User, forbidden, service_account, service_account_groups,
};
use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::handlers::Request;
use crate::request::Target;

const EXTRA_PREFIX: &str = "impersonate-extra-";

/// The user to serve the request as.
pub(super) fn impersonate(
    core: &Core,
    requestor: User,
    request: &Request,
    target: &Target,
) -> ApiResult<User> {
    let Some(wanted) = wanted(request)? else { return Ok(requestor) };
    let mut first_refusal = None;
    for mode in [Some("arbitrary-node"), Some("serviceaccount"), Some("user-info"), None] {
        if mode.is_some_and(|mode| !applies(mode, &wanted)) {
            continue;
        }
        match attempt(core, mode, &requestor, &wanted, target) {
            Ok(user) => return Ok(user),
            Err(e) => {
                first_refusal.get_or_insert(e);
            }
        }
    }
    Err(first_refusal.unwrap_or_else(|| ApiError::internal("no impersonation mode applies")))
}

/// The user that the headers describe.
fn wanted(request: &Request) -> ApiResult<Option<User>> {
    let texts = |name: &str| -> Vec<String> {
        let values = request.headers.get_all(name).iter();
        values.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
    };
    let mut user = User {
        name: request.header("impersonate-user").to_owned(),
        uid: request.header("impersonate-uid").to_owned(),
        groups: texts("impersonate-group"),
        extra: BTreeMap::new(),
    };
    for name in request.headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) {
            let key = crate::request::query::decode(key, false);
            user.extra.entry(key).or_default().extend(texts(name.as_str()));
        }
    }
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user == User::default() {
        return Ok(None);
    }
    Err(ApiError::bad_request(format!("requested {} without impersonating a user name", go_syntax(&user))))
}

/// The user as Go's `%#v` prints it.
fn go_syntax(user: &User) -> String {
    let list = |items: &[String]| match items {
        [] => "[]string(nil)".to_owned(),
        items => {
            format!("[]string{{{}}}", items.iter().map(|i| quote_str(i)).collect::<Vec<_>>().join(", "))
        }
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries: Vec<String> =
            user.extra.iter().map(|(k, v)| format!("{}:{}", quote_str(k), list(v))).collect();
        format!("map[string][]string{{{}}}", entries.join(", "))
    };
    format!(
        "&user.DefaultInfo{{Name:{}, UID:{}, Groups:{}, Extra:{extra}}}",
        quote_str(&user.name),
        quote_str(&user.uid),
        list(&user.groups)
    )
}

/// Whether a mode is meant for the wanted user. Nodes and ServiceAccounts have their groups from the server.
fn applies(mode: &str, wanted: &User) -> bool {
    let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
    let is_node = node(&wanted.name).is_some();
    let is_account = service_account(&wanted.name).is_some();
    match mode {
        "arbitrary-node" => only_name && is_node,
        "serviceaccount" => only_name && is_account,
        _ => !is_node && !is_account,
    }
}

fn node(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:").filter(|name| !name.is_empty())
}

fn attempt(
    core: &Core,
    mode: Option<&str>,
    requestor: &User,
    wanted: &User,
    target: &Target,
) -> ApiResult<User> {
    let verb = match mode {
        Some(mode) => {
            let on = format!("impersonate-on:{mode}:{}", target.verb);
            check(core, &Attributes { verb: &on, ..Attributes::of_target(requestor, target) })?;
            format!("impersonate:{mode}")
        }
        None => "impersonate".to_owned(),
    };
    let constrained = mode.is_some();
    let group = if constrained { "authentication.k8s.io" } else { "" };
    let of = |group, resource, subresource, namespace, name| Attributes {
        user: requestor,
        verb: &verb,
        namespace,
        group,
        resource,
        subresource,
        name,
        path: "",
        is_resource: true,
    };
    let mut user = wanted.clone();
    if let Some(name) = node(&wanted.name).filter(|_| constrained) {
        check(core, &of(group, "nodes", "", "", name))?;
        user.groups = vec!["system:nodes".to_owned()];
    } else if let Some((namespace, name)) = service_account(&wanted.name) {
        check(core, &of(group, "serviceaccounts", "", namespace, name))?;
        if wanted.groups.is_empty() {
            user.groups = service_account_groups(namespace);
        }
    } else {
        check(core, &of(group, "users", "", "", &wanted.name))?;
    }
    if !wanted.uid.is_empty() {
        check(core, &of("authentication.k8s.io", "uids", "", "", &wanted.uid))?;
    }
    for name in &wanted.groups {
        check(core, &of(group, "groups", "", "", name))?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            check(core, &of("authentication.k8s.io", "userextras", key, "", value))?;
        }
    }
    if user.name == ANONYMOUS {
        user.ensure_group(UNAUTHENTICATED);
    } else if !user.is_in(UNAUTHENTICATED) {
        user.ensure_group(AUTHENTICATED);
    }
    Ok(user)
}

fn check(core: &Core, attributes: &Attributes) -> ApiResult<()> {
    let decision = rbac::authorize(core, attributes);
    if decision.allowed { Ok(()) } else { Err(forbidden(attributes, &decision.reason)) }
}
