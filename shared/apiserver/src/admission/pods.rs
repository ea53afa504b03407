//! Admission of Pods: default tolerations and priority.

use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::object::{self, text};
use crate::store::ObjectKey;

const PRIORITY_CLASSES: &str = "priorityclasses.scheduling.k8s.io";

/// Pods stay five minutes on a node that stopped answering, unless they say otherwise.
pub(super) fn tolerations(v: &mut Value) {
    let list = object::child(v, "spec").entry("tolerations").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list.iter().any(|t| {
            let same_key = t["key"] == key || text(t, &["key"]).is_empty();
            same_key && matches!(text(t, &["effect"]), "NoExecute" | "")
        });
        if !tolerated {
            list.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
}

/// The number and preemption policy of the priority class.
pub(super) fn priority(core: &Core, v: &mut Value) -> ApiResult<()> {
    let table = PRIORITY_CLASSES;
    let name = text(v, &["spec", "priorityClassName"]).to_owned();
    let class = if name.is_empty() {
        core.store.list(table, None).objects.into_iter().find(|c| c.value["globalDefault"] == true)
    } else {
        match core.store.get(table, &ObjectKey::new("", &name)) {
            Some(c) => Some(c),
            None if name.starts_with("system-") => {
                let value = if name == "system-node-critical" { 2_000_001_000 } else { 2_000_000_000 };
                return set_priority(v, value, "PreemptLowerPriority");
            }
            None => {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(ApiError::forbidden("", "pods", object::name(v), &why));
            }
        }
    };
    let (value, policy) = match &class {
        Some(c) => (c.value["value"].as_i64().unwrap_or(0), text(&c.value, &["preemptionPolicy"])),
        None => (0, ""),
    };
    if let Some(c) = &class {
        object::child(v, "spec").insert("priorityClassName".into(), object::name(&c.value).into());
    }
    set_priority(v, value, if policy.is_empty() { "PreemptLowerPriority" } else { policy })
}

/// Sets what the class of a pod says, which the pod may say itself only if it says the same.
fn set_priority(v: &mut Value, value: i64, policy: &str) -> ApiResult<()> {
    let pod = object::name(v).to_owned();
    let refused = |what: String, computed: &str| {
        let why = format!(
            "the {what} must not be provided in pod spec; priority admission controller computed {computed} from the \
             given PriorityClass name"
        );
        Err(ApiError::forbidden("", "pods", &pod, &why))
    };
    let spec = object::child(v, "spec");
    if let Some(own) = spec.get("priority").and_then(Value::as_i64).filter(|own| *own != value) {
        return refused(format!("integer value of priority ({own})"), &value.to_string());
    }
    if let Some(own) = spec.get("preemptionPolicy").and_then(Value::as_str).filter(|own| *own != policy) {
        return refused(format!("string value of PreemptionPolicy ({own})"), policy);
    }
    spec.insert("priority".into(), value.into());
    spec.insert("preemptionPolicy".into(), policy.into());
    Ok(())
}

/// Only one class gives pods their priority that ask for none.
pub(super) fn one_default_priority(core: &Core, v: &Value, is_new: bool) -> ApiResult<()> {
    let name = object::name(v);
    if v["globalDefault"] != true {
        return Ok(());
    }
    let classes = core.store.list(PRIORITY_CLASSES, None).objects;
    let defaults = classes.iter().filter(|c| c.value["globalDefault"] == true);
    let Some(class) = defaults.min_by_key(|c| c.value["value"].as_i64().unwrap_or(0)) else { return Ok(()) };
    let taken = object::name(&class.value);
    if !is_new && taken == name {
        return Ok(());
    }
    let why = format!("PriorityClass {taken} is already marked as default. Only one default can exist");
    Err(ApiError::forbidden("scheduling.k8s.io", "priorityclasses", name, &why))
}

/// The priority that a pod was created with stays.
pub(super) fn keep_priority(new: &mut Value, live: &Value) {
    let spec = object::child(new, "spec");
    for name in ["priority", "preemptionPolicy"] {
        if !spec.contains_key(name)
            && let Some(value) = live["spec"].get(name)
        {
            spec.insert(name.to_owned(), value.clone());
        }
    }
}

/// What the RuntimeClass of a pod adds to it; the class must exist.
pub(super) fn runtime_class(core: &Core, v: &mut Value) -> ApiResult<()> {
    let pod = object::name(v).to_owned();
    let refused = |why: &str| {
        let why = format!("pod rejected: {why}");
        Err(ApiError::forbidden("", "pods", &pod, &why))
    };
    let Some(name) = v["spec"]["runtimeClassName"].as_str().map(str::to_owned) else {
        let overhead = v["spec"].get("overhead").and_then(Value::as_object);
        if overhead.is_some_and(|overhead| !overhead.is_empty()) {
            return refused("Pod Overhead set without corresponding RuntimeClass defined Overhead");
        }
        return Ok(());
    };
    if name.is_empty() {
        return Err(ApiError::unclassified("resource name may not be empty"));
    }
    let Some(class) = core.store.get("runtimeclasses.node.k8s.io", &ObjectKey::new("", &name)) else {
        return refused(&format!("RuntimeClass {} not found", fluxide_gotext::quote_str(&name)));
    };
    let spec = object::child(v, "spec");
    if let Some(overhead) = object::at(&class.value, &["overhead", "podFixed"]) {
        if spec.get("overhead").is_some_and(|own| own != overhead) {
            return refused("Pod's Overhead doesn't match RuntimeClass's defined Overhead");
        }
        spec.insert("overhead".into(), overhead.clone());
    }
    let Some(scheduling) = class.value.get("scheduling") else { return Ok(()) };
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let selector = object::members(spec.entry("nodeSelector").or_insert_with(|| json!({})));
        if selector.get(key).is_some_and(|own| own != value) {
            return refused(&format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                value.as_str().unwrap_or_default(),
                selector[key].as_str().unwrap_or_default()
            ));
        }
        selector.insert(key.clone(), value.clone());
    }
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if let Some(own) = tolerations.as_array_mut() {
        for toleration in scheduling["tolerations"].as_array().into_iter().flatten() {
            if !own.contains(toleration) {
                own.push(toleration.clone());
            }
        }
    }
    Ok(())
}
