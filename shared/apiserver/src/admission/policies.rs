//! ValidatingAdmissionPolicies: what their expressions say of a write, and what their bindings do about it.

use std::sync::Arc;

use cel::common::value::Val;
use fluxide_cel::{Outcome, Type, Value as CelValue};
use serde_json::{Map, Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::auth::User;
use crate::auth::rbac::{self, Attributes};
use crate::cel::authorizer::{self, Authority, Check, Decide};
use crate::handlers::Context;
use crate::object::{self, text};
use crate::selectors::LabelSelector;
use crate::store::ObjectKey;

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";

/// A write as policies see it.
struct Attempt<'a> {
    operation: &'static str,
    new: Option<&'a Value>,
    old: Option<&'a Value>,
    name: String,
    namespace: Option<Value>,
}

/// Holds a create, update (both given) or delete (only `old`) against every policy. The first denial is the answer.
pub(super) fn check(ctx: &mut Context, new: Option<&Value>, old: Option<&Value>) -> ApiResult<()> {
    if ctx.resource.group == "admissionregistration.k8s.io" {
        return Ok(());
    }
    let policies = ctx.core.store.list(POLICIES, None).objects;
    if policies.is_empty() {
        return Ok(());
    }
    let bindings = ctx.core.store.list(BINDINGS, None).objects;
    let attempt = Attempt {
        operation: match (new, old) {
            (Some(_), None) => "CREATE",
            (Some(_), Some(_)) => "UPDATE",
            (None, _) => "DELETE",
        },
        new,
        old,
        name: new.or(old).map(object::name).unwrap_or_default().to_owned(),
        namespace: namespace_of(ctx, new.or(old)),
    };
    let mut denied = None;
    for policy in &policies {
        let policy = &policy.value;
        if !matches(ctx, &attempt, &policy["spec"]["matchConstraints"], true) {
            continue;
        }
        for binding in &bindings {
            let binding = &binding.value;
            if text(binding, &["spec", "policyName"]) != object::name(policy)
                || !matches(ctx, &attempt, &binding["spec"]["matchResources"], false)
            {
                continue;
            }
            for failure in failures(ctx, &attempt, policy, binding) {
                let does = |action: &str| {
                    let actions = binding["spec"]["validationActions"].as_array();
                    actions.is_some_and(|actions| actions.iter().any(|a| a == action))
                };
                let (policy, binding) = (object::name(policy), object::name(binding));
                if does("Warn") {
                    ctx.warn(vec![format!(
                        "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {}",
                        failure.message
                    )]);
                }
                if does("Deny") {
                    let why = format!(
                        "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {}",
                        failure.message
                    );
                    denied.get_or_insert((why, failure.reason));
                }
            }
        }
    }
    match denied {
        Some((why, reason)) => Err(denial(ctx, &attempt.name, &why, &reason)),
        None => Ok(()),
    }
}

fn denial(ctx: &Context, name: &str, why: &str, reason: &str) -> ApiError {
    let (code, reason) = match reason {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    let resource = ctx.resource;
    let forbidden = ApiError::forbidden(&resource.group, &resource.plural, name, why);
    let mut error = ApiError::new(code, reason, forbidden.message.clone());
    error.details = forbidden.details;
    if let Some(Value::Object(details)) = &mut error.details {
        details.insert("causes".into(), json!([{"message": why}]));
    }
    error
}

/// The namespace of the object; for a namespace the object itself.
fn namespace_of(ctx: &Context, v: Option<&Value>) -> Option<Value> {
    if ctx.resource.is("", "namespaces") {
        return v.cloned();
    }
    if !ctx.resource.namespaced {
        return None;
    }
    let name = match v.map(object::namespace) {
        None | Some("") => ctx.target.namespace.as_str(),
        Some(name) => name,
    };
    ctx.core.store.get("namespaces", &ObjectKey::new("", name)).map(|stored| stored.value.clone())
}

/// Whether rules and selectors choose the write. Bindings may have no rules, and then choose every resource.
fn matches(ctx: &Context, attempt: &Attempt, constraints: &Value, needs_rules: bool) -> bool {
    let selector = |name: &str| match constraints.get(name) {
        None | Some(Value::Null) => LabelSelector::from_object(Some(&json!({}))),
        Some(selector) => LabelSelector::from_object(Some(selector)),
    };
    if let Some(namespace) = &attempt.namespace
        && !selector("namespaceSelector").matches(namespace)
    {
        return false;
    }
    let objects = selector("objectSelector");
    if !attempt.new.into_iter().chain(attempt.old).any(|v| objects.matches(v)) {
        return false;
    }
    let rules = |name: &str| constraints[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let chosen = |rule: &Value| rule_matches(ctx, attempt, rule);
    if rules("excludeResourceRules").iter().any(chosen) {
        return false;
    }
    let included = rules("resourceRules");
    included.iter().any(chosen) || included.is_empty() && !needs_rules
}

fn rule_matches(ctx: &Context, attempt: &Attempt, rule: &Value) -> bool {
    let has = |member: &str, wanted: &[&str]| {
        let list = rule[member].as_array();
        list.is_some_and(|list| list.iter().any(|v| v.as_str().is_some_and(|v| wanted.contains(&v))))
    };
    let (r, part) = (ctx.resource, ctx.target.subresource.as_str());
    let resources = if part.is_empty() {
        vec!["*".to_owned(), r.plural.clone(), format!("{}/*", r.plural), "*/*".to_owned()]
    } else {
        let plural = &r.plural;
        vec![format!("{plural}/{part}"), format!("{plural}/*"), format!("*/{part}"), "*/*".to_owned()]
    };
    let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
    let names = rule["resourceNames"].as_array().is_none_or(Vec::is_empty);
    let scope = match text(rule, &["scope"]) {
        "Namespaced" => r.namespaced,
        "Cluster" => !r.namespaced,
        _ => true,
    };
    has("apiGroups", &["*", &r.group])
        && has("apiVersions", &["*", &r.version])
        && has("operations", &["*", attempt.operation])
        && has("resources", &resources)
        && (names || has("resourceNames", &[&attempt.name]))
        && scope
}

/// An expression that does not hold.
struct Failure {
    message: String,
    reason: String,
}

fn failures(ctx: &Context, attempt: &Attempt, policy: &Value, binding: &Value) -> Vec<Failure> {
    let ignores = text(policy, &["spec", "failurePolicy"]) == "Ignore";
    let broken = |message: String| match ignores {
        true => Vec::new(),
        false => vec![Failure { message, reason: String::new() }],
    };
    let params = match params(ctx, attempt, policy, binding) {
        Ok(Some(params)) => params,
        Ok(None) => return Vec::new(),
        Err(why) => return broken(why),
    };
    let authority = authority(ctx, attempt);
    let mut seen = Map::new();
    seen.insert("object".into(), attempt.new.cloned().unwrap_or_default());
    seen.insert("oldObject".into(), attempt.old.cloned().unwrap_or_default());
    seen.insert("request".into(), request(ctx, attempt));
    seen.insert("params".into(), params);
    seen.insert("namespaceObject".into(), attempt.namespace.clone().unwrap_or_default());
    let mut names: Vec<(&str, CelValue)> =
        seen.iter().map(|(name, v)| (name.as_str(), Type::Dyn.value(v))).collect();
    names.push(("variables", Type::Dyn.value(&json!({}))));
    let list = |name: &str| policy["spec"][name].as_array().map(Vec::as_slice).unwrap_or_default();
    for condition in list("matchConditions") {
        match evaluate(text(condition, &["expression"]), &names, &authority) {
            Ok(Outcome::Bool(true)) => {}
            Ok(_) => return Vec::new(),
            Err(why) => return broken(why),
        }
    }
    let mut variables: Vec<(String, CelValue)> = Vec::new();
    for variable in list("variables") {
        // A variable that fails is missing, which fails only the expressions that read it.
        let value = match evaluate(text(variable, &["expression"]), &names, &authority) {
            Ok(Outcome::Bool(value)) => CelValue::Bool(value),
            Ok(Outcome::Text(value)) => CelValue::String(value.into()),
            Ok(Outcome::Other(value)) => value,
            Err(_) => continue,
        };
        variables.push((text(variable, &["name"]).to_owned(), value));
        names.pop();
        names.push(("variables", fluxide_cel::members(&variables)));
    }
    let mut failures = Vec::new();
    for validation in list("validations") {
        let expression = text(validation, &["expression"]);
        match evaluate(expression, &names, &authority) {
            Ok(Outcome::Bool(true)) => {}
            Ok(_) => {
                let said = evaluate(text(validation, &["messageExpression"]), &names, &authority);
                let said = match said {
                    Ok(Outcome::Text(said)) if !said.trim().is_empty() && !said.contains('\n') => said,
                    _ => match text(validation, &["message"]) {
                        "" => format!("failed expression: {}", expression.trim()),
                        message => message.to_owned(),
                    },
                };
                let reason = text(validation, &["reason"]).to_owned();
                failures.push(Failure { message: said, reason });
            }
            Err(why) => {
                failures.extend(broken(format!("expression '{expression}' resulted in error: {why}")))
            }
        }
    }
    failures
}

/// The object that a binding gives its policy; none when the binding does not care that it is missing.
fn params(
    ctx: &Context,
    attempt: &Attempt,
    policy: &Value,
    binding: &Value,
) -> Result<Option<Value>, String> {
    let kind = &policy["spec"]["paramKind"];
    if kind.is_null() {
        return Ok(Some(Value::Null));
    }
    let (api_version, name) = (text(kind, &["apiVersion"]), text(kind, &["kind"]));
    let catalog = ctx.core.catalog();
    let resource = catalog.by_kind(api_version, name).ok_or_else(|| {
        format!("failed to find resource referenced by paramKind: '{api_version}, Kind={name}'")
    })?;
    let reference = &binding["spec"]["paramRef"];
    let namespace = match (resource.namespaced, text(reference, &["namespace"])) {
        (false, _) => "",
        (true, "") => attempt.namespace.as_ref().map(object::name).unwrap_or_default(),
        (true, namespace) => namespace,
    };
    let found = match text(reference, &["name"]) {
        "" => {
            let selector = LabelSelector::from_object(reference.get("selector"));
            let namespace = resource.namespaced.then_some(namespace);
            ctx.core
                .store
                .list(&resource.table, namespace)
                .objects
                .into_iter()
                .find(|p| selector.matches(&p.value))
        }
        name => ctx.core.store.get(&resource.table, &ObjectKey::new(namespace, name)),
    };
    match found {
        Some(found) => Ok(Some(found.value.clone())),
        None if text(reference, &["parameterNotFoundAction"]) == "Allow" => Ok(None),
        None => Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()),
    }
}

/// The `request` variable.
fn request(ctx: &Context, attempt: &Attempt) -> Value {
    let r = ctx.resource;
    let kind = json!({"group": r.group, "version": r.version, "kind": r.kind});
    let resource = json!({"group": r.group, "version": r.version, "resource": r.plural});
    json!({
        "kind": kind, "resource": resource, "subResource": ctx.target.subresource,
        "requestKind": kind, "requestResource": resource, "requestSubResource": ctx.target.subresource,
        "name": attempt.name, "namespace": ctx.target.namespace, "operation": attempt.operation,
        "userInfo": ctx.user.to_info(), "dryRun": ctx.request.query.text("dryRun") == "All",
    })
}

fn evaluate(
    expression: &str,
    names: &[(&str, CelValue)],
    authority: &[(&'static str, Authority); 2],
) -> Result<Outcome, String> {
    let dialect = crate::cel::dialect().ok_or("the CEL environment cannot be built")?;
    let mut types: Vec<(&str, Type)> = names.iter().map(|(name, _)| (*name, Type::Dyn)).collect();
    let kinds = [authorizer::AUTHORIZER, authorizer::RESOURCE];
    types.extend(authority.iter().zip(kinds).map(|((name, _), kind)| (*name, Type::Simple(kind))));
    let program = dialect.compile(expression, &types).map_err(|why| format!("compilation failed: {why}"))?;
    let others = authority.iter().map(|(name, value)| (*name, Box::new(value.clone()) as Box<dyn Val>));
    program.evaluate_with(names, others.collect())
}

/// `authorizer`, which answers for the user of the request, and its check of the resource of the request.
fn authority(ctx: &Context, attempt: &Attempt) -> [(&'static str, Authority); 2] {
    let (core, user) = (ctx.core.clone(), ctx.user.clone());
    let decide: Decide = Arc::new(move |check: &Check| {
        let account = check.account.as_ref().map(|(namespace, name)| User::service_account(namespace, name));
        let attributes = Attributes {
            user: account.as_ref().unwrap_or(&user),
            verb: &check.verb,
            namespace: &check.namespace,
            group: &check.group,
            resource: &check.resource,
            subresource: &check.subresource,
            name: &check.name,
            path: &check.path,
            is_resource: check.path.is_empty(),
        };
        let decision = rbac::authorize(&core, &attributes);
        (decision.allowed, decision.reason)
    });
    let check = Check {
        group: ctx.resource.group.clone(),
        resource: ctx.resource.plural.clone(),
        subresource: ctx.target.subresource.clone(),
        namespace: ctx.target.namespace.clone(),
        name: attempt.name.clone(),
        ..Check::default()
    };
    [
        ("authorizer", Authority::new(decide.clone())),
        ("authorizer.requestResource", Authority::of_resource(decide, check)),
    ]
}
