//! Nobody may grant more than they hold: checks on writes of roles and bindings.

use std::collections::BTreeMap;

use fluxide_gotext::quote_str;
use serde_json::{Value, json};

use super::User;
use super::rbac::{self, Attributes, Found, GROUP, strings};
use crate::api_error::{ApiError, ApiResult};
use crate::handlers::Context;
use crate::object::{self, text};

/// Refuses a role or binding that would give away rights that the user does not have.
pub(crate) fn check(ctx: &Context, new: &Value, live: Option<&Value>) -> ApiResult<()> {
    if ctx.resource.group != GROUP || live.is_some_and(|live| same_grants(new, live)) {
        return Ok(());
    }
    let name = object::name(new);
    match ctx.resource.plural.as_str() {
        plural @ ("roles" | "clusterroles") => {
            if may(ctx, "escalate", plural, object::namespace(new), name) {
                return Ok(());
            }
            let rules: Vec<Value> = rbac::rules(new).cloned().collect();
            confirm(ctx, name, object::namespace(new), &rules)
        }
        "rolebindings" | "clusterrolebindings" => {
            let reference = &new["roleRef"];
            let role_name = text(reference, &["name"]);
            let plural = if text(reference, &["kind"]) == "Role" { "roles" } else { "clusterroles" };
            if may(ctx, "bind", plural, object::namespace(new), role_name) {
                return Ok(());
            }
            let role =
                rbac::role_of(ctx.core, new).map_err(|_| ApiError::not_found(GROUP, plural, role_name))?;
            let rules: Vec<Value> = rbac::rules(&role.value).cloned().collect();
            confirm(ctx, name, object::namespace(new), &rules)
        }
        _ => Ok(()),
    }
}

/// Whether a change leaves what is granted as it was.
fn same_grants(new: &Value, live: &Value) -> bool {
    ["rules", "aggregationRule", "roleRef", "subjects"].iter().all(|m| {
        let (a, b) = (new.get(*m).unwrap_or(&Value::Null), live.get(*m).unwrap_or(&Value::Null));
        a == b
    })
}

fn may(ctx: &Context, verb: &str, plural: &str, namespace: &str, name: &str) -> bool {
    let attributes = Attributes {
        user: ctx.user,
        verb,
        namespace,
        group: GROUP,
        resource: plural,
        subresource: "",
        name,
        path: "",
        is_resource: true,
    };
    rbac::authorize(ctx.core, &attributes).allowed
}

fn confirm(ctx: &Context, name: &str, namespace: &str, rules: &[Value]) -> ApiResult<()> {
    let mut held = Vec::new();
    let mut missing = Vec::new();
    rbac::visit_rules(ctx.core, ctx.user, namespace, |found| {
        match found {
            Found::Rule { rule, .. } => held.push(rule.clone()),
            Found::Missing(why) => missing.push(why),
        }
        true
    });
    let lacking: Vec<Value> = rules
        .iter()
        .flat_map(single_rights)
        .filter(|right| !held.iter().any(|rule| covers(rule, right)))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let mut why = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quote_str(&ctx.user.name),
        quoted(ctx.user.groups.iter().map(String::as_str)),
        describe(&lacking)
    );
    if !missing.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", missing.join(", ")));
    }
    Err(ApiError::forbidden(GROUP, &ctx.resource.plural, name, &why))
}

/// A rule as rules that each have one verb on one thing.
fn single_rights(rule: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    for verb in strings(rule, "verbs") {
        for url in strings(rule, "nonResourceURLs") {
            out.push(json!({"verbs": [verb], "nonResourceURLs": [url]}));
        }
        for group in strings(rule, "apiGroups") {
            for resource in strings(rule, "resources") {
                let one = json!({"verbs": [verb], "apiGroups": [group], "resources": [resource]});
                let mut names = strings(rule, "resourceNames").peekable();
                if names.peek().is_none() {
                    out.push(one);
                    continue;
                }
                for name in names {
                    let mut one = one.clone();
                    one["resourceNames"] = json!([name]);
                    out.push(one);
                }
            }
        }
    }
    out
}

/// Whether a rule includes one right.
fn covers(rule: &Value, right: &Value) -> bool {
    let one = |member: &str| strings(right, member).next();
    let any = |member: &str, want: &str| strings(rule, member).any(|s| s == "*" || s == want);
    if !one("verbs").is_some_and(|verb| any("verbs", verb)) {
        return false;
    }
    if let Some(url) = one("nonResourceURLs") {
        return strings(rule, "nonResourceURLs").any(|held| match held.strip_suffix('*') {
            Some(prefix) => url.starts_with(prefix),
            None => held == url,
        });
    }
    let resource = one("resources").is_some_and(|want| {
        any("resources", want)
            || want.split_once('/').is_some_and(|(_, sub)| {
                strings(rule, "resources").any(|held| held.strip_prefix("*/") == Some(sub))
            })
    });
    let mut names = strings(rule, "resourceNames").peekable();
    let name = names.peek().is_none() || one("resourceNames").is_some_and(|n| names.any(|held| held == n));
    resource && name && one("apiGroups").is_some_and(|group| any("apiGroups", group))
}

/// Rights as rules again, the verbs on the same resource together, one a line.
fn describe(rights: &[Value]) -> String {
    let mut merged: BTreeMap<String, (Value, Vec<String>)> = BTreeMap::new();
    for right in rights {
        let mut thing = right.clone();
        object::members(&mut thing).remove("verbs");
        let mut key = thing.to_string();
        if right.get("resourceNames").is_some() || right.get("nonResourceURLs").is_some() {
            key = right.to_string();
        }
        let verbs = &mut merged.entry(key).or_insert_with(|| (thing, Vec::new())).1;
        for verb in strings(right, "verbs") {
            if !verbs.iter().any(|v| v == verb) {
                verbs.push(verb.to_owned());
            }
        }
    }
    let mut lines: Vec<String> = merged
        .into_values()
        .map(|(thing, verbs)| {
            let mut parts = Vec::new();
            for (member, title) in [
                ("apiGroups", "APIGroups"),
                ("resources", "Resources"),
                ("nonResourceURLs", "NonResourceURLs"),
                ("resourceNames", "ResourceNames"),
            ] {
                if thing.get(member).is_some() {
                    parts.push(format!("{title}:{}", quoted(strings(&thing, member))));
                }
            }
            parts.push(format!("Verbs:{}", quoted(verbs.iter().map(String::as_str))));
            format!("{{{}}}", parts.join(", "))
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// A list as Go's `%q` prints it.
fn quoted<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quote_str).collect::<Vec<_>>().join(" "))
}

/// All rules of a user in a namespace, for rules reviews.
pub(crate) fn rules_of(ctx: &Context, user: &User, namespace: &str) -> (Vec<Value>, Vec<String>) {
    let (mut rules, mut missing) = (Vec::new(), Vec::new());
    rbac::visit_rules(ctx.core, user, namespace, |found| {
        match found {
            Found::Rule { rule, .. } => rules.push(rule.clone()),
            Found::Missing(why) => missing.push(why),
        }
        true
    });
    (rules, missing)
}
