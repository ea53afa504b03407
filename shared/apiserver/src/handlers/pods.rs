//! The subresources of pods that are more than a part of the object: eviction, binding, log.

use serde_json::{Value, json};

use super::Context;
use super::answer::Answer;
use super::write::{Proposed, Recorded, review_body, review_body_of, update_object};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::object::{self, text};
use crate::request::Target;
use crate::selectors::LabelSelector;
use crate::store::ObjectKey;

/// Evicts a pod: deletes it unless a disruption budget forbids that.
pub(crate) fn evict(ctx: &mut Context) -> ApiResult<Answer> {
    let eviction = review_body_of(ctx, "policy", &["v1", "v1beta1"], "Eviction")?;
    let name = ctx.target.name.clone();
    if object::name(&eviction) != name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let key = ObjectKey::new(&ctx.target.namespace, &name);
    let pod = ctx.core.store.get(&ctx.resource.table, &key).ok_or_else(|| ctx.not_found(&name))?;
    let finished = matches!(text(&pod.value, &["status", "phase"]), "Succeeded" | "Failed" | "Pending");
    if !finished && !object::is_deleting(&pod.value) {
        check_budgets(ctx, &pod.value)?;
    }
    super::delete::delete_with(ctx, &eviction["deleteOptions"])?;
    Ok(Answer::document(201, &success(201), ctx.accepted))
}

fn success(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code})
}

fn check_budgets(ctx: &Context, pod: &Value) -> ApiResult<()> {
    let budgets = ctx.core.store.list("poddisruptionbudgets.policy", Some(&ctx.target.namespace)).objects;
    let selecting: Vec<_> = budgets
        .iter()
        .filter(|b| LabelSelector::from_object(b.value["spec"].get("selector")).matches(pod))
        .collect();
    let refuse = |code, reason, message: &str| Err(ApiError::new(code, reason, message));
    match selecting.as_slice() {
        [] => Ok(()),
        [budget] => {
            let (name, status) = (object::name(&budget.value), &budget.value["status"]);
            if status["disruptionsAllowed"].as_i64().unwrap_or(0) > 0 {
                return Ok(());
            }
            let observed = status["observedGeneration"].as_i64().unwrap_or(0);
            let generation = budget.value["metadata"]["generation"].as_i64().unwrap_or(0);
            let mut e = ApiError::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            );
            let message = format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status["desiredHealthy"].as_i64().unwrap_or(0),
                status["currentHealthy"].as_i64().unwrap_or(0)
            );
            e.details = Some(json!({"causes": [{"reason": "DisruptionBudget", "message": message}]}));
            if observed < generation {
                let message = format!("The disruption budget {name} is still being processed by the server.");
                e.details = Some(json!({
                    "causes": [{"reason": "DisruptionBudget", "message": message}], "retryAfterSeconds": 10,
                }));
            }
            Err(e)
        }
        _ => refuse(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ),
    }
}

/// Binds the pod of the request to a node, as a scheduler does.
pub(crate) fn bind(ctx: &mut Context) -> ApiResult<Answer> {
    let binding = review_body(ctx, "", "Binding")?;
    if object::name(&binding) != ctx.target.name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    bind_as(ctx, &binding)
}

/// Binds the pod that a new Binding names.
pub(crate) fn bind_named(ctx: &mut Context) -> ApiResult<Answer> {
    let binding = review_body(ctx, "", "Binding")?;
    let name = object::name(&binding);
    if name.is_empty() {
        return Err(ApiError::bad_request("Name parameter required."));
    }
    let catalog = ctx.core.catalog();
    let pods = catalog.find("", "v1", "pods").ok_or_else(ApiError::unknown_resource)?;
    let target = Target { name: name.to_owned(), subresource: "binding".to_owned(), ..ctx.target.clone() };
    let mut of_pod = Context {
        core: ctx.core,
        request: ctx.request,
        target: &target,
        user: ctx.user,
        resource: pods,
        accepted: ctx.accepted,
        warnings: Vec::new(),
        written: None,
    };
    bind_as(&mut of_pod, &binding)
}

fn bind_as(ctx: &mut Context, binding: &Value) -> ApiResult<Answer> {
    let dry_run = ctx.dry_run()?;
    let name = ctx.target.name.clone();
    let (kind, node) = (text(binding, &["target", "kind"]), text(binding, &["target", "name"]).to_owned());
    let mut errors = Vec::new();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    match errors.iter().map(|e| format!("{}: {}", e.field, e.body())).collect::<Vec<_>>().as_slice() {
        [] => {}
        [one] => return Err(ApiError::unclassified(one)),
        all => return Err(ApiError::unclassified(format!("[{}]", all.join(", ")))),
    }
    let key = ObjectKey::new(&ctx.target.namespace, &name);
    let manager = ctx.manager();
    let now = ctx.core.clock.now_text();
    let conflict = |why: String| Err(ApiError::conflict("", "pods/binding", &name, &why));
    update_object(ctx, &key, dry_run, |_, live| {
        for (precondition, found) in [
            (object::uid(binding), object::uid(live)),
            (object::resource_version(binding), object::resource_version(live)),
        ] {
            if !precondition.is_empty() && precondition != found {
                let what = if found == object::uid(live) { "UID" } else { "ResourceVersion" };
                let registry = if dry_run { "" } else { "/registry" };
                let why = format!(
                    "StorageError: invalid object, Code: 4, Key: {registry}/pods/{}/{name}, ResourceVersion: 0, \
                     AdditionalErrorMsg: Precondition failed: {what} in precondition: {precondition}, {what} in object \
                     meta: {found}",
                    key.namespace
                );
                return Err(ApiError::conflict("", "pods", &name, &why));
            }
        }
        if object::is_deleting(live) {
            return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        let bound = text(live, &["spec", "nodeName"]);
        if !bound.is_empty() {
            return conflict(format!("pod {name} is already assigned to node \"{bound}\""));
        }
        if live["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        let mut value = live.clone();
        object::set_at(&mut value, &["spec", "nodeName"], node.clone().into());
        for part in ["annotations", "labels"] {
            for (key, text) in binding["metadata"][part].as_object().into_iter().flatten() {
                object::set_at(&mut value, &["metadata", part, key], text.clone());
            }
        }
        let scheduled = json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
        });
        let conditions = object::child(&mut value, "status").entry("conditions").or_insert_with(|| json!([]));
        if let Some(list) = conditions.as_array_mut() {
            list.retain(|c| c["type"] != "PodScheduled");
            list.push(scheduled);
        }
        Ok(Proposed { value, recorded: Recorded::Nothing, manager: manager.clone() })
    })?;
    Ok(Answer::document(201, &success(201), ctx.accepted))
}

/// Why a subresource that would connect to something running does not: nothing runs here.
pub(crate) fn unconnected(ctx: &Context) -> ApiError {
    let namespace = if ctx.resource.namespaced { ctx.target.namespace.as_str() } else { "" };
    let key = ObjectKey::new(namespace, &ctx.target.name);
    match ctx.core.store.get(&ctx.resource.table, &key) {
        Some(_) => ApiError::method_not_allowed(),
        None => ctx.not_found(&ctx.target.name),
    }
}

/// The log of a container: what was appended for the pod, or one line that says that nothing runs.
pub(crate) fn log(ctx: &Context) -> ApiResult<Answer> {
    let (namespace, name) = (&ctx.target.namespace, &ctx.target.name);
    let key = ObjectKey::new(namespace, name);
    let pod = ctx.core.store.get(&ctx.resource.table, &key).ok_or_else(|| ctx.not_found(name))?;
    let containers: Vec<&str> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|member| pod.value["spec"][member].as_array().into_iter().flatten())
        .map(|c| text(c, &["name"]))
        .collect();
    let asked = ctx.request.query.text("container");
    if asked.is_empty() && containers.len() > 1 {
        return Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            containers.join(" ")
        )));
    }
    if !asked.is_empty() && !containers.contains(&asked) {
        return Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    if text(&pod.value, &["spec", "nodeName"]).is_empty() {
        return Ok(Answer::text(200, ""));
    }
    let text = ctx.core.logs.read(namespace, name).unwrap_or_else(|| {
        let container =
            if asked.is_empty() { containers.first().copied().unwrap_or_default() } else { asked };
        format!("{container} of pod {name} runs in the simulator\n")
    });
    let text = match ctx.request.query.number("tailLines") {
        Some(lines) => {
            let all: Vec<&str> = text.split_inclusive('\n').collect();
            all[all.len().saturating_sub(usize::try_from(lines).unwrap_or(0))..].concat()
        }
        None => text,
    };
    Ok(Answer::bytes(200, "text/plain", text.into()))
}
