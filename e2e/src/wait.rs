//! Waiting for a state of an object, with a deadline and an error that shows what was there instead.

use std::time::Duration;

use anyhow::bail;
use kube::api::{Api, DynamicObject};
use serde_json::Value;

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// How often an object is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the object meets `condition`; returns it as JSON.
pub async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    condition: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let end = tokio::time::Instant::now() + DEADLINE;
    let mut last = Value::Null;
    while tokio::time::Instant::now() < end {
        if let Some(object) = api.get_opt(name).await? {
            last = serde_json::to_value(&object)?;
            if condition(&last) {
                return Ok(last);
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
    bail!("{name} is not {what} after {DEADLINE:?}; it is {}", serde_json::to_string_pretty(&last)?)
}

/// Waits until the object is gone.
pub async fn until_gone(api: &Api<DynamicObject>, name: &str) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + DEADLINE;
    while tokio::time::Instant::now() < end {
        if api.get_opt(name).await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
    bail!("{name} is still there after {DEADLINE:?}")
}

/// The condition of a type, or null.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    object["status"]["conditions"]
        .as_array()
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == kind))
        .unwrap_or(&NULL)
}

/// Whether the object is Ready for its current generation and nothing is under way.
pub fn is_ready(object: &Value) -> bool {
    let ready = condition(object, "Ready");
    ready["status"] == "True"
        && ready["observedGeneration"] == object["metadata"]["generation"]
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && condition(object, "Reconciling").is_null()
}

/// Whether the object's Ready condition is False with this reason.
pub fn failed_with(object: &Value, reason: &str) -> bool {
    let ready = condition(object, "Ready");
    ready["status"] == "False" && ready["reason"] == reason
}
