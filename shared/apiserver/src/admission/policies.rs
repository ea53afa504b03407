//! ValidatingAdmissionPolicies: what their expressions say of a write, and what their bindings do about it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cel::common::value::Val;
use fluxide_cel::{Outcome, Program, Type, Value as CelValue};
use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::auth::User;
use crate::auth::rbac::{self, Attributes};
use crate::cel::authorizer::{self, Authority, Check, Decide};
use crate::handlers::Context;
use crate::object::{self, text};
use crate::registry::Resource;
use crate::selectors::LabelSelector;
use crate::store::{ObjectKey, Stored};

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
        let of_policy =
            bindings.iter().filter(|b| text(&b.value, &["spec", "policyName"]) == object::name(policy));
        for binding in of_policy {
            let binding = &binding.value;
            match judge(ctx, &attempt, policy, binding) {
                Ok(verdict) => {
                    denied = denied.or(verdict);
                }
                Err(broken) if text(policy, &["spec", "failurePolicy"]) != "Ignore" => {
                    denied = denied.or(Some((broken.describe(policy, binding), String::new())));
                }
                Err(_) => {}
            }
        }
    }
    match denied {
        Some((why, reason)) => Err(denial(ctx, &attempt.name, &why, &reason)),
        None => Ok(()),
    }
}

/// A policy or a binding that cannot be held against a write.
enum Broken {
    Policy(String),
    Binding(String),
}

impl Broken {
    fn describe(&self, policy: &Value, binding: &Value) -> String {
        let (policy, binding) = (object::name(policy), object::name(binding));
        match self {
            Broken::Policy(why) => format!(
                "ValidatingAdmissionPolicy '{policy}' denied request: failed to configure policy: {why}"
            ),
            Broken::Binding(why) => format!(
                "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: failed to configure \
                 binding: {why}"
            ),
        }
    }
}

/// What a policy says of a write by way of one of its bindings: why it is denied and with which reason. Warns on the way.
fn judge(
    ctx: &mut Context,
    attempt: &Attempt,
    policy: &Value,
    binding: &Value,
) -> Result<Option<(String, String)>, Broken> {
    let kind = param_kind(ctx, policy)?;
    if !matches(ctx, attempt, &binding["spec"]["matchResources"], false) {
        return Ok(None);
    }
    let does = |action: &str| {
        let actions = binding["spec"]["validationActions"].as_array();
        actions.is_some_and(|actions| actions.iter().any(|a| a == action))
    };
    let mut denied = None;
    for params in params(ctx, attempt, kind, binding)? {
        for failure in failures(ctx, attempt, policy, &params) {
            let (policy, binding) = (object::name(policy), object::name(binding));
            let message = &failure.message;
            if does("Warn") && !failure.always_denies {
                ctx.warn(vec![format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {message}"
                )]);
            }
            if does("Deny") || failure.always_denies {
                let why = format!(
                    "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}"
                );
                denied = denied.or(Some((why, failure.reason)));
            }
        }
    }
    Ok(denied)
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
    /// Whether it denies whatever the binding says: audit annotations do.
    always_denies: bool,
}

impl Failure {
    fn of_error(message: String) -> Self {
        Failure { message, reason: String::new(), always_denies: false }
    }
}

/// What expressions may read.
struct Scope {
    names: Vec<(&'static str, CelValue)>,
    authority: [(&'static str, Authority); 2],
    /// Variables without a value, and why: only expressions that read them fail.
    failed: Vec<(String, String)>,
    /// What is left of what all expressions may cost together.
    budget: Cell<u64>,
}

/// What the expressions of one policy may cost together, and so how large their values can get.
const BUDGET: u64 = 256 * 1024 * 1024;
const NO_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// Why an expression has no value.
enum Fault {
    NoBudget,
    Expression(String),
}

impl Scope {
    /// The value of an expression; the error names the expression.
    fn evaluate(&self, expression: &str) -> Result<Outcome, String> {
        self.run(expression).map_err(|fault| match fault {
            Fault::NoBudget => NO_BUDGET.to_owned(),
            Fault::Expression(why) => format!("expression '{expression}' resulted in error: {why}"),
        })
    }

    fn run(&self, expression: &str) -> Result<Outcome, Fault> {
        let mut budget = self.budget.get();
        if budget == 0 {
            return Err(Fault::NoBudget);
        }
        let outcome = evaluate(expression, &self.names, &self.authority, &mut budget);
        self.budget.set(budget);
        outcome.map_err(|why| {
            let missing = |(name, _): &&(String, String)| why == format!("no such key: {name}");
            Fault::Expression(match self.failed.iter().find(missing) {
                Some((name, why)) => format!("composited variable \"{name}\" fails to evaluate: {why}"),
                None => why,
            })
        })
    }

    fn set_variables(&mut self, policy: &Value) {
        let mut variables: Vec<(String, CelValue)> = Vec::new();
        for variable in list(policy, "variables") {
            let name = text(variable, &["name"]).to_owned();
            let value = match self.run(text(variable, &["expression"])) {
                Ok(Outcome::Bool(value)) => CelValue::Bool(value),
                Ok(Outcome::Text(value)) => CelValue::String(value.into()),
                Ok(Outcome::Other(value)) => value,
                Err(fault) => {
                    let why = match fault {
                        Fault::NoBudget => NO_BUDGET.to_owned(),
                        Fault::Expression(why) => why,
                    };
                    self.failed.push((name, why));
                    continue;
                }
            };
            variables.push((name, value));
            self.names.pop();
            self.names.push(("variables", fluxide_cel::members(&variables)));
        }
    }
}

fn list<'a>(policy: &'a Value, name: &str) -> &'a [Value] {
    policy["spec"][name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn failures(ctx: &Context, attempt: &Attempt, policy: &Value, params: &Value) -> Vec<Failure> {
    let ignores = text(policy, &["spec", "failurePolicy"]) == "Ignore";
    let broken = |message: String| (!ignores).then(|| Failure::of_error(message));
    let null = Value::Null;
    let named = [
        ("object", attempt.new.unwrap_or(&null)),
        ("oldObject", attempt.old.unwrap_or(&null)),
        ("request", &request(ctx, attempt)),
        ("params", params),
        ("namespaceObject", attempt.namespace.as_ref().unwrap_or(&null)),
        ("variables", &json!({})),
    ];
    let names = named.into_iter().map(|(name, v)| (name, Type::Dyn.value(v))).collect();
    let budget = Cell::new(BUDGET);
    let mut scope = Scope { names, authority: authority(ctx, attempt), failed: Vec::new(), budget };
    match conditions(&scope, policy) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(why) => return broken(why).into_iter().collect(),
    }
    scope.set_variables(policy);
    let mut failures = Vec::new();
    for validation in list(policy, "validations") {
        match scope.evaluate(text(validation, &["expression"])) {
            Ok(Outcome::Bool(true)) => {}
            Ok(_) => {
                let reason = text(validation, &["reason"]).to_owned();
                let message = message(&scope, validation);
                failures.push(Failure { message, reason, always_denies: false });
            }
            Err(why) => failures.extend(broken(why)),
        }
    }
    for annotation in list(policy, "auditAnnotations") {
        let expression = text(annotation, &["valueExpression"]);
        let message = match scope.evaluate(expression) {
            Ok(Outcome::Text(_) | Outcome::Other(CelValue::Null)) => continue,
            Ok(_) => format!(
                "valueExpression '{expression}' resulted in unsupported return type. Return type must be either string \
                 or null."
            ),
            Err(_) if ignores => continue,
            Err(why) => why,
        };
        failures.push(Failure { always_denies: true, ..Failure::of_error(message) });
    }
    failures
}

/// Whether all conditions hold. One that does not decides, whatever is wrong with others.
fn conditions(scope: &Scope, policy: &Value) -> Result<bool, String> {
    let mut errors = Vec::new();
    for condition in list(policy, "matchConditions") {
        match scope.evaluate(text(condition, &["expression"])) {
            Ok(Outcome::Bool(true)) => {}
            Ok(_) => return Ok(false),
            Err(why) => errors.push(why),
        }
    }
    match errors.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// The longest text that an expression may say.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// What is said of a validation that does not hold.
fn message(scope: &Scope, validation: &Value) -> String {
    let expression = text(validation, &["messageExpression"]);
    if !expression.is_empty()
        && let Ok(Outcome::Text(said)) = scope.evaluate(expression)
    {
        let said = said.trim();
        if !said.is_empty() && said.len() <= LONGEST_MESSAGE && !said.contains('\n') {
            return said.to_owned();
        }
    }
    match text(validation, &["message"]).trim() {
        "" => format!("failed expression: {}", text(validation, &["expression"]).trim()),
        message => message.to_owned(),
    }
}

/// The kind of the objects that a policy takes as parameters.
fn param_kind(ctx: &Context, policy: &Value) -> Result<Option<Arc<Resource>>, Broken> {
    let kind = &policy["spec"]["paramKind"];
    if kind.is_null() {
        return Ok(None);
    }
    let (api_version, name) = (text(kind, &["apiVersion"]), text(kind, &["kind"]));
    match ctx.core.catalog().by_kind(api_version, name) {
        Some(resource) => Ok(Some(resource.clone())),
        None => {
            let what = format!("'{api_version}, Kind={name}'");
            Err(Broken::Policy(format!("failed to find resource referenced by paramKind: {what}")))
        }
    }
}

/// The objects that a binding gives its policy, each on its own; none when the binding does not care that they are missing.
fn params(
    ctx: &Context,
    attempt: &Attempt,
    kind: Option<Arc<Resource>>,
    binding: &Value,
) -> Result<Vec<Value>, Broken> {
    let reference = &binding["spec"]["paramRef"];
    let Some(resource) = kind.filter(|_| !reference.is_null()) else { return Ok(vec![Value::Null]) };
    let own =
        if ctx.resource.is("", "namespaces") { attempt.name.as_str() } else { ctx.target.namespace.as_str() };
    let namespace = match (resource.namespaced, text(reference, &["namespace"]), own) {
        (false, "", _) => "",
        (false, ..) => {
            let why = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`";
            return Err(Broken::Binding(why.to_owned()));
        }
        (true, "", "") => {
            let why =
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources";
            return Err(Broken::Binding(why.to_owned()));
        }
        (true, "", own) => own,
        (true, namespace, _) => namespace,
    };
    let found: Vec<Arc<Stored>> = match text(reference, &["name"]) {
        "" => {
            let selector = LabelSelector::from_object(reference.get("selector"));
            let namespace = resource.namespaced.then_some(namespace);
            let mut objects = ctx.core.store.list(&resource.table, namespace).objects;
            objects.retain(|p| selector.matches(&p.value));
            objects
        }
        name => ctx.core.store.get(&resource.table, &ObjectKey::new(namespace, name)).into_iter().collect(),
    };
    if found.is_empty() && text(reference, &["parameterNotFoundAction"]) == "Deny" {
        let why = "no params found for policy binding with `Deny` parameterNotFoundAction";
        return Err(Broken::Binding(why.to_owned()));
    }
    Ok(found.iter().map(|stored| crate::versions::to_served(&resource, &stored.value)).collect())
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
    budget: &mut u64,
) -> Result<Outcome, String> {
    let program = compiled(expression, names, authority)?;
    let others = authority.iter().map(|(name, value)| (*name, Box::new(value.clone()) as Box<dyn Val>));
    program.evaluate_with(names, others.collect(), budget)
}

/// How many expressions are kept compiled.
const MOST_COMPILED: usize = 1000;

/// Compiles an expression, unless that was done for an earlier write: all see the same names.
fn compiled(
    expression: &str,
    names: &[(&str, CelValue)],
    authority: &[(&'static str, Authority); 2],
) -> Result<Arc<Program>, String> {
    static COMPILED: Mutex<BTreeMap<String, Arc<Program>>> = Mutex::new(BTreeMap::new());
    let cache = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = cache().get(expression) {
        return Ok(program.clone());
    }
    let dialect = crate::cel::dialect().ok_or("the CEL environment cannot be built")?;
    let mut types: Vec<(&str, Type)> = names.iter().map(|(name, _)| (*name, Type::Dyn)).collect();
    let kinds = [authorizer::AUTHORIZER, authorizer::RESOURCE];
    types.extend(authority.iter().zip(kinds).map(|((name, _), kind)| (*name, Type::Simple(kind))));
    let program = dialect.compile(expression, &types).map_err(|why| format!("compilation failed: {why}"))?;
    let program = Arc::new(program);
    let mut cache = cache();
    if cache.len() >= MOST_COMPILED {
        cache.clear();
    }
    cache.insert(expression.to_owned(), program.clone());
    Ok(program)
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
