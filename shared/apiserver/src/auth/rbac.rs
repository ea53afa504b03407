//! Role-based access control over the stored Roles, ClusterRoles and their bindings.

use std::sync::Arc;

use fluxide_gotext::quote_str;
use serde_json::Value;

use super::{MASTERS, User};
use crate::core::Core;
use crate::object::{self, text};
use crate::request::Target;
use crate::store::{ObjectKey, Stored};

/// The API group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";
const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";

/// What a request is about, as rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub user: &'a User,
    pub verb: &'a str,
    pub namespace: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub name: &'a str,
    pub path: &'a str,
    pub is_resource: bool,
}

impl<'a> Attributes<'a> {
    /// The attributes of a request by `user`.
    pub fn of_target(user: &'a User, target: &'a Target) -> Self {
        Attributes {
            user,
            verb: target.verb,
            namespace: &target.namespace,
            group: &target.group,
            resource: &target.resource,
            subresource: &target.subresource,
            name: if target.name.is_empty() { &target.selected_name } else { &target.name },
            path: &target.path,
            is_resource: target.is_resource,
        }
    }
}

/// Whether a request is allowed, and by what; for a refusal what kept roles from being found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub allowed: bool,
    pub reason: String,
}

/// Decides about a request.
pub(crate) fn authorize(core: &Core, attributes: &Attributes) -> Decision {
    if attributes.user.is_in(MASTERS) {
        return Decision { allowed: true, reason: String::new() };
    }
    let mut missing = Vec::new();
    let mut allowed_by = None;
    visit_rules(core, attributes.user, attributes.namespace, |found| match found {
        Found::Rule { rule, grant } if allows(rule, attributes) => {
            allowed_by = Some(grant.describe());
            false
        }
        Found::Rule { .. } => true,
        Found::Missing(why) => {
            missing.push(why);
            true
        }
    });
    match allowed_by {
        Some(by) => Decision { allowed: true, reason: format!("RBAC: allowed by {by}") },
        None => Decision { allowed: false, reason: refusal(&missing) },
    }
}

fn refusal(missing: &[String]) -> String {
    match missing {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    }
}

/// A binding that gives a user the rules of a role.
pub(crate) struct Grant<'a> {
    binding: &'a Value,
    subject: &'a Value,
}

impl Grant<'_> {
    /// `RoleBinding "b/ns" of Role "r" to User "jane"`.
    fn describe(&self) -> String {
        let (name, namespace) = (object::name(self.binding), object::namespace(self.binding));
        let role = &self.binding["roleRef"];
        let (kind, binding) = match namespace {
            "" => ("ClusterRoleBinding", name.to_owned()),
            ns => ("RoleBinding", format!("{name}/{ns}")),
        };
        let subject = match text(self.subject, &["kind"]) {
            "ServiceAccount" => {
                let name =
                    format!("{}/{}", text(self.subject, &["name"]), text(self.subject, &["namespace"]));
                format!("ServiceAccount {}", quote_str(&name))
            }
            kind => format!("{kind} {}", quote_str(text(self.subject, &["name"]))),
        };
        format!(
            "{kind} {} of {} {} to {subject}",
            quote_str(&binding),
            text(role, &["kind"]),
            quote_str(text(role, &["name"]))
        )
    }
}

/// What looking for a user's rules comes upon.
pub(crate) enum Found<'a> {
    Rule { rule: &'a Value, grant: Grant<'a> },
    Missing(String),
}

/// Shows every rule of the user in a namespace (empty: only those of the whole cluster) until `visit` says false.
pub(crate) fn visit_rules(core: &Core, user: &User, namespace: &str, mut visit: impl FnMut(Found) -> bool) {
    let cluster = core.store.list(CLUSTER_ROLE_BINDINGS, None).objects;
    let local = match namespace {
        "" => Vec::new(),
        ns => core.store.list(ROLE_BINDINGS, Some(ns)).objects,
    };
    for stored in cluster.iter().chain(&local) {
        let binding = &stored.value;
        let Some(subject) = subject_of(binding, user) else { continue };
        let role = match role_of(core, binding) {
            Ok(role) => role,
            Err(why) => {
                if !visit(Found::Missing(why)) {
                    return;
                }
                continue;
            }
        };
        for rule in rules(&role.value) {
            if !visit(Found::Rule { rule, grant: Grant { binding, subject } }) {
                return;
            }
        }
    }
}

/// The rules of a role.
pub(crate) fn rules(role: &Value) -> impl Iterator<Item = &Value> {
    role["rules"].as_array().into_iter().flatten()
}

/// The role that a binding refers to; the error says that it is missing.
pub(crate) fn role_of(core: &Core, binding: &Value) -> Result<Arc<Stored>, String> {
    let reference = &binding["roleRef"];
    let name = text(reference, &["name"]);
    let (table, key, kind) = match text(reference, &["kind"]) {
        "Role" => (ROLES, ObjectKey::new(object::namespace(binding), name), "role"),
        _ => (CLUSTER_ROLES, ObjectKey::new("", name), "clusterrole"),
    };
    core.store.get(table, &key).ok_or_else(|| format!("{kind}.{GROUP} {} not found", quote_str(name)))
}

/// The first subject of a binding that the user is.
fn subject_of<'a>(binding: &'a Value, user: &User) -> Option<&'a Value> {
    binding["subjects"].as_array()?.iter().find(|subject| {
        let name = text(subject, &["name"]);
        match text(subject, &["kind"]) {
            "User" => user.name == name,
            "Group" => user.is_in(name),
            "ServiceAccount" => {
                let namespace = match text(subject, &["namespace"]) {
                    "" => object::namespace(binding),
                    ns => ns,
                };
                super::service_account(&user.name) == Some((namespace, name))
            }
            _ => false,
        }
    })
}

/// Whether a rule allows a request.
fn allows(rule: &Value, a: &Attributes) -> bool {
    if !has(rule, "verbs", a.verb) {
        return false;
    }
    if !a.is_resource {
        return strings(rule, "nonResourceURLs").any(|url| match url.strip_suffix('*') {
            Some(prefix) => a.path.starts_with(prefix),
            None => a.path == url,
        });
    }
    let combined = match a.subresource {
        "" => a.resource.to_owned(),
        sub => format!("{}/{sub}", a.resource),
    };
    let resource = strings(rule, "resources").any(|r| {
        r == "*"
            || r == combined
            || (!a.subresource.is_empty() && r.strip_prefix("*/") == Some(a.subresource))
    });
    let mut names = strings(rule, "resourceNames").peekable();
    resource && has(rule, "apiGroups", a.group) && (names.peek().is_none() || names.any(|n| n == a.name))
}

fn has(rule: &Value, member: &str, wanted: &str) -> bool {
    strings(rule, member).any(|s| s == "*" || s == wanted)
}

/// A list of strings in a rule.
pub(crate) fn strings<'a>(rule: &'a Value, member: &str) -> impl Iterator<Item = &'a str> {
    rule[member].as_array().into_iter().flatten().filter_map(Value::as_str)
}
