//! From a request to an answer: authorisation, routing, and one module per verb.

pub(crate) mod answer;
mod component_statuses;
pub(crate) mod decode;
pub(crate) mod delete;
pub(crate) mod go_json;
mod health;
mod nonresource;
pub(crate) mod options;
pub(crate) mod patch;
mod pods;
mod read;
mod scale;
mod watch;
pub(crate) mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::api_error::{ApiError, ApiResult};
use crate::auth::{self, User};
use crate::core::Core;
use crate::faults::Fault;
use crate::output::{self, Accepted};
use crate::registry::Resource;
use crate::request::{Query, Target, query};
use crate::request_log::RequestKey;
use answer::{Answer, Payload};

/// A request that was read completely.
pub(crate) struct Request {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The user of the connection's client certificate.
    pub certificate: Option<Arc<User>>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// What the verbs need to know.
pub(crate) struct Context<'a> {
    pub core: &'a Arc<Core>,
    pub request: &'a Request,
    pub target: &'a Target,
    pub user: &'a User,
    pub resource: &'a Arc<Resource>,
    pub accepted: Accepted,
    pub warnings: Vec<String>,
    /// The object as the client wrote it, where its empty lists and maps are not seen otherwise.
    pub written: Option<serde_json::Value>,
}

impl Context<'_> {
    pub fn not_found(&self, name: &str) -> ApiError {
        ApiError::not_found(&self.resource.group, &self.resource.plural, name)
    }

    /// Adds warnings that the answer does not carry yet.
    pub fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// Whether nothing is to be stored; checks the other options of a write on the way.
    pub fn dry_run(&self) -> ApiResult<bool> {
        options::validate(self)?;
        Ok(self.request.query.text("dryRun") == "All")
    }

    /// The field manager of a write: the query parameter, else the user agent up to its first slash.
    pub fn manager(&self) -> String {
        match self.request.query.text("fieldManager") {
            "" => {
                let agent = self.request.header("user-agent").split('/').next().unwrap_or_default();
                let agent: String = agent.chars().filter(|c| !c.is_control()).take(128).collect();
                if agent.is_empty() { "unknown".to_owned() } else { agent }
            }
            m => m.to_owned(),
        }
    }
}

/// Serves one request.
pub(crate) async fn serve(core: &Arc<Core>, request: Request) -> Answer {
    let target = Target::parse(&request.method, &request.path, &request.query);
    if target.is_unfinished() {
        let (quoted, path) = (fluxide_gotext::quote_str(&request.path), &request.path);
        let why = "unable to determine kind and namespace from url";
        let text = format!("Internal Server Error: {quoted}: failed to create RequestInfo: {why}, {path}\n");
        return Answer::text(500, &text);
    }
    record(core, &request, &target);
    match core.faults.take(&target) {
        Some(Fault::Delay(d)) => tokio::time::sleep(d).await,
        Some(Fault::Reset) => return Answer { body: Payload::Reset, ..Answer::text(500, "") },
        Some(Fault::Status(code)) => {
            let e = ApiError::new(code, reason_of(code), format!("injected fault: HTTP {code}"));
            return Answer::error(&e);
        }
        None => {}
    }
    let mut warnings = Vec::new();
    let mut answer = match route(core, &request, &target, &mut warnings) {
        Ok(a) => a,
        Err(e) if e.plain => Answer::error(&e),
        Err(e) => {
            let accepted = output::negotiate(request.header("accept"), false, false);
            Answer::error_as(
                &e,
                Accepted { form: output::Form::Object, ..accepted.unwrap_or(Accepted::JSON) },
            )
        }
    };
    answer.warnings.append(&mut warnings);
    answer
}

fn record(core: &Core, request: &Request, target: &Target) {
    let resource = if target.is_resource {
        let r = crate::api_error::qualified(&target.resource, &target.group);
        if target.subresource.is_empty() { r } else { format!("{r}/{}", target.subresource) }
    } else {
        target.path.clone()
    };
    let user_agent = request.header("user-agent").split('/').next().unwrap_or_default().to_owned();
    core.log.record(RequestKey { verb: target.verb.to_owned(), resource, user_agent });
}

fn reason_of(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    }
}

fn route(
    core: &Arc<Core>,
    request: &Request,
    target: &Target,
    warnings: &mut Vec<String>,
) -> ApiResult<Answer> {
    check_deadline(request, target)?;
    let user = auth::identify(core, request, target)?;
    auth::authorize(core, &user, target)?;
    if !target.is_resource {
        return nonresource::serve(core, request);
    }
    let catalog = core.catalog();
    let Some(resource) = catalog.find(&target.group, &target.version, &target.resource) else {
        let known = catalog.group(&target.group).is_some_and(|g| g.builtin);
        return Err(if known { ApiError::unknown_resource() } else { ApiError::unknown_path() });
    };
    if !resource.namespaced && !target.namespace.is_empty() && target.resource != "namespaces" {
        let custom = resource.custom.is_some();
        return Err(if custom { ApiError::unknown_path() } else { ApiError::unknown_resource() });
    }
    let odd =
        target.resource == "namespaces" && !target.namespace.is_empty() && target.name != target.namespace;
    if odd && resource.is("", "namespaces") {
        return Err(ApiError::unknown_resource());
    }
    if request.method == Method::HEAD {
        let known = target.subresource.is_empty() || resource.subresource(&target.subresource).is_some();
        if !known {
            return Err(ApiError::unknown_resource());
        }
        if target.subresource != "proxy" {
            return Err(ApiError::method_not_allowed());
        }
    }
    check_shape(resource, target)?;
    if let Some(d) = resource.custom.as_ref().and_then(|c| c.deprecation.clone()) {
        warnings.push(d);
    }
    let transforms =
        matches!(target.verb, "get" | "list" | "watch" | "patch" | "create" | "update" | "delete");
    let custom = resource.custom.is_some();
    let accepted = output::negotiate(request.header("accept"), transforms, custom)
        .map_err(|e| if matches!(target.verb, "list" | "watch") { output::with_streams(e) } else { e })?;
    if resource.is("", "endpoints") && target.subresource.is_empty() {
        warnings
            .push("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned());
    }
    let mut ctx = Context {
        core,
        request,
        target,
        user: &user,
        resource,
        accepted,
        warnings: Vec::new(),
        written: None,
    };
    let answer = dispatch(&mut ctx);
    warnings.append(&mut ctx.warnings);
    answer
}

/// Requests may say how long they may take, unless they may take forever.
fn check_deadline(request: &Request, target: &Target) -> ApiResult<()> {
    let endless = target.verb == "watch"
        || matches!(target.subresource.as_str(), "attach" | "exec" | "proxy" | "log" | "portforward");
    let problem = if endless { None } else { query::duration_problem(request.query.text("timeout")) };
    problem.map_or(Ok(()), |why| {
        Err(ApiError::bad_request(format!("invalid timeout specified in the request URL - time: {why}")))
    })
}

/// Hands the request to the module of its verb.
fn dispatch(ctx: &mut Context) -> ApiResult<Answer> {
    let (resource, target) = (ctx.resource, ctx.target);
    if target.subresource.is_empty() {
        if !resource.has_verb(target.verb) {
            return Err(ApiError::method_not_allowed());
        }
        if resource.is("", "componentstatuses") {
            return component_statuses::serve(ctx);
        }
        if target.verb == "create" && resource.is("", "bindings") {
            return pods::bind_named(ctx);
        }
        if target.verb == "create"
            && let Some(answer) = auth::reviews::create(ctx)
        {
            return answer;
        }
        return match target.verb {
            "get" => read::get(ctx),
            "list" => read::list(ctx),
            "watch" => watch::watch(ctx),
            "create" => write::create(ctx),
            "update" => write::update(ctx),
            "patch" => patch::patch(ctx),
            "delete" => delete::delete(ctx),
            "deletecollection" => delete::delete_collection(ctx),
            _ => Err(ApiError::method_not_allowed()),
        };
    }
    let sub = resource.subresource(&target.subresource).ok_or_else(|| match &resource.custom {
        Some(_) => ctx.not_found(&target.name),
        None => ApiError::unknown_resource(),
    })?;
    let any_method = target.subresource == "proxy" && ctx.request.method == Method::OPTIONS;
    if !sub.verbs.contains(&target.verb) && !any_method {
        return Err(ApiError::method_not_allowed());
    }
    match (target.subresource.as_str(), target.verb) {
        ("token", "create") => auth::token_requests::create(ctx),
        ("eviction", "create") => pods::evict(ctx),
        ("binding", "create") => pods::bind(ctx),
        ("log", "get") => pods::log(ctx),
        ("status" | "approval" | "ephemeralcontainers" | "resize", "get") => read::get(ctx),
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "update") => {
            write::update(ctx)
        }
        ("status" | "approval" | "ephemeralcontainers" | "resize", "patch") => patch::patch(ctx),
        ("scale", "get") => scale::get(ctx),
        ("scale", "update") => scale::put(ctx),
        ("scale", "patch") => scale::patch(ctx),
        _ => Err(pods::unconnected(ctx)),
    }
}

/// Collections are created into and listed, objects are named; neither the other way round.
fn check_shape(resource: &Resource, target: &Target) -> ApiResult<()> {
    let named = !target.name.is_empty();
    let everywhere = resource.namespaced && target.namespace.is_empty();
    let has_items = ["get", "update", "patch", "delete"].iter().any(|verb| resource.has_verb(verb));
    if named && target.subresource.is_empty() && !has_items {
        return Err(ApiError::unknown_resource());
    }
    match target.verb {
        "create" if target.subresource.is_empty() && (named || everywhere) => {
            Err(ApiError::method_not_allowed())
        }
        "update" | "patch" if !named => Err(ApiError::method_not_allowed()),
        "deletecollection" if everywhere => Err(ApiError::method_not_allowed()),
        "get" | "update" | "patch" | "delete" if everywhere && named => Err(ApiError::unknown_resource()),
        _ => Ok(()),
    }
}
