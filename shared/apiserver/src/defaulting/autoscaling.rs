//! HorizontalPodAutoscalers.

use serde_json::{Value, json};

use super::set;
use crate::object;

/// Fills in replicas, the CPU metric and the parts of `behavior`.
pub(super) fn autoscaler(version: &str, v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set(spec, "minReplicas", 1);
    if version == "v1" {
        return;
    }
    if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
        let cpu = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }]);
        object::members(spec).insert("metrics".into(), cpu);
    }
    if spec.get("behavior").is_some_and(Value::is_object) {
        let behavior = object::child(spec, "behavior");
        let up = behavior.entry("scaleUp").or_insert_with(|| json!({}));
        set(up, "stabilizationWindowSeconds", 0);
        set(up, "selectPolicy", "Max");
        set(
            up,
            "policies",
            json!([
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ]),
        );
        let down = behavior.entry("scaleDown").or_insert_with(|| json!({}));
        set(down, "selectPolicy", "Max");
        set(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
}
