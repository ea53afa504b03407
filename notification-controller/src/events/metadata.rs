//! The metadata of an event joined with that of the alert that selected it.

use std::collections::BTreeMap;

use fluxide_notification_api::Alert;
use fluxide_runtime::events::{ANNOTATION_PREFIX, Event};

use super::incoming::group;

const ANNOTATIONS: &str = "involved object annotations";
const EVENT_METADATA: &str = "Alert object .spec.eventMetadata";
const SUMMARY: &str = "Alert object .spec.summary";
const CONTROLLER: &str = "involved object controller metadata";

/// Joined metadata.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The metadata, by keys without prefix.
    pub metadata: BTreeMap<String, String>,
    /// The keys that have more than one source, and their sources.
    pub conflicts: BTreeMap<String, String>,
}

/// Joins metadata: what the controller says wins over the alert's, and that over annotations.
pub fn merge(event: &Event, alert: &Alert) -> Merged {
    let own = format!("{}/", group(event));
    let stripped = |prefix: &str| -> BTreeMap<String, String> {
        let pairs = event.metadata.iter();
        pairs.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone()))).collect()
    };
    let summary = alert.spec.summary.clone().filter(|summary| !summary.is_empty());
    let sources = [
        (ANNOTATIONS, stripped(ANNOTATION_PREFIX)),
        (EVENT_METADATA, alert.spec.event_metadata.clone()),
        (SUMMARY, summary.map(|summary| ("summary".to_owned(), summary)).into_iter().collect()),
        (CONTROLLER, stripped(&own)),
    ];
    let mut metadata = BTreeMap::new();
    let mut given: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (source, pairs) in sources {
        for (key, value) in pairs {
            given.entry(key.clone()).or_default().push(source);
            metadata.insert(key, value);
        }
    }
    let conflicts =
        given.into_iter().filter(|(_, by)| by.len() > 1).map(|(key, by)| (key, by.join(", "))).collect();
    Merged { metadata, conflicts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_controller_wins_and_conflicts_are_told() {
        let event: Event = serde_json::from_value(json!({
            "involvedObject": {"apiVersion": "k.io/v1"},
            "metadata": {"k.io/revision": "controller", "event.toolkit.fluxcd.io/revision": "annotation",
                "event.toolkit.fluxcd.io/region": "annotation", "event.toolkit.fluxcd.io/only": "annotation"},
        }))
        .unwrap();
        let alert: Alert = serde_json::from_value(json!({
            "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Alert", "metadata": {"name": "a"},
            "spec": {"providerRef": {"name": "p"}, "eventSources": [], "summary": "from spec",
                "eventMetadata": {"region": "alert", "summary": "from metadata", "revision": "alert"}},
        }))
        .unwrap();
        let merged = merge(&event, &alert);
        assert_eq!(
            json!(merged.metadata),
            json!({
                "revision": "controller", "region": "alert", "only": "annotation", "summary": "from spec",
            })
        );
        assert_eq!(
            json!(merged.conflicts),
            json!({
                "region": "involved object annotations, Alert object .spec.eventMetadata",
                "revision": "involved object annotations, Alert object .spec.eventMetadata, involved object controller metadata",
                "summary": "Alert object .spec.eventMetadata, Alert object .spec.summary",
            })
        );
    }
}
