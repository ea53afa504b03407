//! The reviews: questions about users, tokens and rights that are answered and not stored.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rbac::{self, Attributes, strings};
use super::{User, escalation, tokens};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::handlers::Context;
use crate::handlers::answer::Answer;
use crate::handlers::write::review_body;
use crate::object::{self, text};
use crate::validation::{internal, invalid_text};

const ACCESS: &str = "authorization.k8s.io";
const IDENTITY: &str = "authentication.k8s.io";

/// Answers a review; `None` when the resource is none.
pub(crate) fn create(ctx: &mut Context) -> Option<ApiResult<Answer>> {
    let answer = match (ctx.resource.group.as_str(), ctx.resource.plural.as_str()) {
        (ACCESS, "selfsubjectaccessreviews") => own_access(ctx),
        (ACCESS, "subjectaccessreviews") => access(ctx),
        (ACCESS, "localsubjectaccessreviews") => access(ctx),
        (ACCESS, "selfsubjectrulesreviews") => rules(ctx),
        (IDENTITY, "selfsubjectreviews") => who_am_i(ctx),
        (IDENTITY, "tokenreviews") => token(ctx),
        _ => return None,
    };
    Some(answer.map(|v| Answer::document(201, &v, ctx.accepted)))
}

fn body(ctx: &mut Context) -> ApiResult<Value> {
    ctx.dry_run()?;
    let (group, kind) = (ctx.resource.group.clone(), ctx.resource.kind.clone());
    let review = review_body(ctx, &group, &kind)?;
    let (resource, manager) = (ctx.resource.clone(), ctx.manager());
    let now = ctx.core.clock.now_text();
    Ok(crate::typing::record_update(&resource, "", None, &review, &manager, &now))
}

fn own_access(ctx: &mut Context) -> ApiResult<Value> {
    let mut review = body(ctx)?;
    let mut errors = check_attributes(&review["spec"]);
    errors.extend(check_metadata(&review, None));
    refuse(errors)?;
    let user = ctx.user.clone();
    review["status"] = decide(ctx, &user, &review["spec"]);
    Ok(review)
}

fn access(ctx: &mut Context) -> ApiResult<Value> {
    let mut review = body(ctx)?;
    let spec = &review["spec"];
    let mut errors = check_attributes(spec);
    let groups: Vec<String> = strings(spec, "groups").map(str::to_owned).collect();
    if text(spec, &["user"]).is_empty() && groups.is_empty() {
        errors.push(FieldError::invalid("spec.user", "", "at least one of user or group must be specified"));
    }
    let namespace = ctx.resource.namespaced.then_some(ctx.target.namespace.as_str());
    errors.extend(check_metadata(&review, namespace));
    if ctx.resource.namespaced {
        errors.extend(check_local(&review, &ctx.target.namespace));
        object::metadata(&mut review).insert("namespace".into(), ctx.target.namespace.clone().into());
    }
    refuse(errors)?;
    let spec = &review["spec"];
    let user = User {
        name: text(spec, &["user"]).to_owned(),
        uid: text(spec, &["uid"]).to_owned(),
        groups,
        extra: BTreeMap::new(),
    };
    review["status"] = decide(ctx, &user, spec);
    Ok(review)
}

/// Reviews carry no metadata of their own.
fn check_metadata(review: &Value, namespace: Option<&str>) -> Option<FieldError> {
    let mut meta = review.get("metadata").cloned().unwrap_or_default();
    let extra = |(name, value): (&String, &Value)| {
        let allowed = name == "managedFields" || name == "namespace" && namespace.is_some();
        !allowed && !crate::go_value::is_empty(value)
    };
    if !meta.as_object().is_some_and(|members| members.iter().any(extra)) {
        return None;
    }
    if let Some(namespace) = namespace {
        meta["namespace"] = namespace.into();
    }
    let shown = internal::text("metav1.ObjectMeta", &meta);
    let why = if namespace.is_some() { "must be empty except for namespace" } else { "must be empty" };
    Some(invalid_text("metadata", &shown, why))
}

fn refuse(errors: Vec<FieldError>) -> ApiResult<()> {
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(ACCESS, "", "", errors)) }
}

fn check_attributes(spec: &Value) -> Vec<FieldError> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    match (resource.is_null(), path.is_null()) {
        (false, false) => vec![FieldError::invalid(
            "spec.nonResourceAttributes",
            go_attributes(path),
            "cannot be specified in combination with resourceAttributes",
        )],
        (true, true) => vec![FieldError::invalid(
            "spec.resourceAttributes",
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )],
        _ => Vec::new(),
    }
}

/// Non-resource attributes with the names of their Go fields.
fn go_attributes(path: &Value) -> Value {
    json!({"Path": text(path, &["path"]), "Verb": text(path, &["verb"])})
}

fn check_local(review: &Value, namespace: &str) -> Vec<FieldError> {
    let spec = &review["spec"];
    let mut errors = Vec::new();
    let asked = text(spec, &["resourceAttributes", "namespace"]);
    if !spec["resourceAttributes"].is_null() && asked != namespace {
        let why = "must match metadata.namespace";
        errors.push(FieldError::invalid("spec.resourceAttributes.namespace", asked, why));
    }
    if !spec["nonResourceAttributes"].is_null() {
        let attributes = go_attributes(&spec["nonResourceAttributes"]);
        let why = "disallowed on this kind of request";
        errors.push(FieldError::invalid("spec.nonResourceAttributes", attributes, why));
    }
    errors
}

fn decide(ctx: &Context, user: &User, spec: &Value) -> Value {
    let resource = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let is_resource = !resource.is_null();
    let asked = if is_resource { resource } else { path };
    let attributes = Attributes {
        user,
        verb: text(asked, &["verb"]),
        namespace: text(asked, &["namespace"]),
        group: text(asked, &["group"]),
        resource: text(asked, &["resource"]),
        subresource: text(asked, &["subresource"]),
        name: text(asked, &["name"]),
        path: text(asked, &["path"]),
        is_resource,
    };
    let decision = rbac::authorize(ctx.core, &attributes);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    status
}

fn rules(ctx: &mut Context) -> ApiResult<Value> {
    let mut review = body(ctx)?;
    let namespace = text(&review["spec"], &["namespace"]).to_owned();
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let (mut resource_rules, mut path_rules) = (Vec::new(), Vec::new());
    let (found, missing) = escalation::rules_of(ctx, ctx.user, &namespace);
    for rule in found {
        let part = |members: &[&str]| -> Value {
            let kept = members.iter().filter_map(|m| Some(((*m).to_owned(), rule.get(*m)?.clone())));
            Value::Object(kept.collect::<Map<String, Value>>())
        };
        if strings(&rule, "resources").next().is_some() {
            resource_rules.push(part(&["verbs", "apiGroups", "resources", "resourceNames"]));
        }
        if strings(&rule, "nonResourceURLs").next().is_some() {
            path_rules.push(part(&["verbs", "nonResourceURLs"]));
        }
    }
    let mut status = json!({
        "resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": !missing.is_empty(),
    });
    if !missing.is_empty() {
        status["evaluationError"] = missing.join(", ").into();
    }
    review["metadata"] = json!({});
    review["spec"] = json!({});
    review["status"] = status;
    Ok(review)
}

fn who_am_i(ctx: &mut Context) -> ApiResult<Value> {
    let mut review = body(ctx)?;
    review["metadata"] = json!({"creationTimestamp": ctx.core.clock.now_text()});
    review["status"] = json!({"userInfo": ctx.user.to_info()});
    Ok(review)
}

fn token(ctx: &mut Context) -> ApiResult<Value> {
    let mut review = body(ctx)?;
    let spec = &review["spec"];
    let asked = text(spec, &["token"]).to_owned();
    if asked.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let own = ctx.core.settings.issuer.as_str();
    let mut audiences: Vec<&str> = strings(spec, "audiences").collect();
    if audiences.is_empty() {
        audiences.push(own);
    }
    let administrator = ctx.core.settings.admin_token.as_deref() == Some(asked.as_str());
    let verified = if administrator && audiences.contains(&own) {
        Some(tokens::Verified { user: User::administrator(), audiences: vec![own.to_owned()] })
    } else {
        tokens::verify(ctx.core, &asked, &audiences)
    };
    review["status"] = match verified {
        Some(mut verified) => {
            verified.user.ensure_group(super::AUTHENTICATED);
            json!({"authenticated": true, "user": verified.user.to_info(), "audiences": verified.audiences})
        }
        None => json!({"user": {}, "error": "invalid bearer token"}),
    };
    Ok(review)
}
