//! PodDisruptionBudgets count healthy pods; HorizontalPodAutoscalers report that they could scale.

use serde_json::{Value, json};

use super::writing::{is_active, is_ready, set_condition, set_status};
use super::{Again, Item};
use crate::object::{self, text};
use crate::selectors::LabelSelector;
use crate::store::ObjectKey;

/// The counts and the condition of a budget.
pub(super) fn reconcile_budget(item: &Item) -> Again {
    let b = item.value();
    if object::is_deleting(b) {
        return None;
    }
    let selector = LabelSelector::from_object(b["spec"].get("selector"));
    let pods = item.core.store.list("pods", Some(object::namespace(b))).objects;
    let expected = pods.iter().filter(|p| is_active(&p.value) && selector.matches(&p.value)).count() as i64;
    let healthy = pods.iter().filter(|p| is_ready(&p.value) && selector.matches(&p.value)).count() as i64;
    let desired = match (b["spec"].get("minAvailable"), b["spec"].get("maxUnavailable")) {
        (Some(min), _) => amount(min, expected),
        (None, Some(max)) => (expected - amount(max, expected)).max(0),
        (None, None) => (expected - 1).max(0),
    };
    let allowed = (healthy - desired).max(0);
    let now = item.core.clock.now_text();
    let mut list = b["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let (status, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let generation = b["metadata"]["generation"].clone();
    let condition = json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "", "observedGeneration": generation,
    });
    set_condition(&mut list, condition, &now, "lastTransitionTime");
    let status = json!({
        "observedGeneration": generation, "expectedPods": expected, "currentHealthy": healthy, "desiredHealthy": desired,
        "disruptionsAllowed": allowed, "conditions": list,
    });
    set_status(item, status);
    None
}

fn amount(v: &Value, of: i64) -> i64 {
    match v {
        Value::Number(n) => n.as_i64().unwrap_or(0),
        Value::String(s) => {
            let percent = s.trim_end_matches('%').parse::<i64>().unwrap_or(0);
            (percent * of + 99) / 100
        }
        _ => 0,
    }
}

/// The replicas and the conditions of an autoscaler, which never scales.
pub(super) fn reconcile_autoscaler(item: &Item) -> Again {
    let h = item.value();
    if object::is_deleting(h) {
        return None;
    }
    let target = &h["spec"]["scaleTargetRef"];
    let table = match text(target, &["kind"]) {
        "Deployment" => "deployments.apps",
        "StatefulSet" => "statefulsets.apps",
        "ReplicaSet" => "replicasets.apps",
        _ => return None,
    };
    let key = ObjectKey::new(object::namespace(h), text(target, &["name"]));
    let found = item.core.store.get(table, &key);
    let replicas = found.as_ref().and_then(|t| t.value["spec"]["replicas"].as_i64()).unwrap_or(0);
    let now = item.core.clock.now_text();
    let mut list = h["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let able = if found.is_some() {
        json!({"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale",
            "message": "recommended size matches current size"})
    } else {
        json!({"type": "AbleToScale", "status": "False", "reason": "FailedGetScale",
            "message": "the HPA controller was unable to get the target's current scale"})
    };
    let missing = found.is_none();
    set_condition(&mut list, able, &now, "lastTransitionTime");
    if !missing {
        let active = json!({"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound",
            "message": "the HPA was able to successfully calculate a replica count"});
        let limited = json!({"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange",
            "message": "the desired count is within the acceptable range"});
        set_condition(&mut list, active, &now, "lastTransitionTime");
        set_condition(&mut list, limited, &now, "lastTransitionTime");
    }
    let mut status = h["status"].as_object().cloned().unwrap_or_default();
    status.insert("currentReplicas".into(), replicas.into());
    status.insert("desiredReplicas".into(), replicas.into());
    status.insert("conditions".into(), list.into());
    status.entry("currentMetrics").or_insert(Value::Null);
    set_status(item, status.into());
    missing.then_some(std::time::Duration::from_secs(1))
}
