//! Events are kept for an hour after they were last written.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::core::Core;
use crate::object::{self, text};
use crate::store::ObjectKey;

const TABLE: &str = "events";
const KEPT_SECONDS: i64 = 3600;
const EVERY: Duration = Duration::from_secs(30);

/// Removes old events until the server stops.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        expire(&core);
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes the events that are too old now.
fn expire(core: &Core) {
    let now = core.clock.now();
    for stored in core.store.list(TABLE, None).objects {
        let last = last_written(&stored.value);
        if last.is_some_and(|t| now.as_second() - t.as_second() > KEPT_SECONDS) {
            let key = ObjectKey::new(object::namespace(&stored.value), object::name(&stored.value));
            let _ = core.store.delete(TABLE, &key, stored.revision, stored.value.clone());
        }
    }
}

fn last_written(event: &Value) -> Option<Timestamp> {
    let managed = event["metadata"]["managedFields"].as_array();
    let times = managed.into_iter().flatten().map(|m| text(m, &["time"]));
    let created = text(event, &["metadata", "creationTimestamp"]);
    times.chain([created]).filter_map(|t| t.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_write_counts() {
        let event = json!({"metadata": {
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"time": "2026-01-01T00:30:00Z"}, {"time": "2026-01-01T00:10:00Z"}],
        }});
        assert_eq!(last_written(&event), "2026-01-01T00:30:00Z".parse().ok());
        assert_eq!(last_written(&json!({})), None);
    }
}
