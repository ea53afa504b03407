//! What recent reconciliations led to.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many snapshots a history keeps.
pub const MAX_LENGTH: usize = 5;

/// One entry of `status.history`: reconciliations with the same content and the same outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Digest of what was reconciled, as `<algorithm>:<hex>`.
    pub digest: String,
    /// When this content first had this outcome.
    pub first_reconciled: Time,
    /// When this content last had this outcome.
    pub last_reconciled: Time,
    /// How long the last reconciliation took.
    pub last_reconciled_duration: crate::Duration,
    /// The outcome: the reason of the Ready condition.
    pub last_reconciled_status: String,
    /// How many reconciliations had this outcome.
    pub total_reconciliations: i64,
    /// What else is known of the content, such as its revision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Records a reconciliation, newest first.
///
/// An entry with the same digest and status is counted up and moved to the front; otherwise
/// `snapshot` becomes the new front. At most [`MAX_LENGTH`] entries stay.
pub fn record(history: &mut Vec<Snapshot>, mut snapshot: Snapshot) {
    let same = history.iter().position(|entry| {
        entry.digest == snapshot.digest && entry.last_reconciled_status == snapshot.last_reconciled_status
    });
    if let Some(index) = same {
        let earlier = history.remove(index);
        snapshot.first_reconciled = earlier.first_reconciled;
        snapshot.total_reconciliations = earlier.total_reconciliations.saturating_add(1);
    } else {
        snapshot.total_reconciliations = 1;
    }
    history.insert(0, snapshot);
    history.truncate(MAX_LENGTH);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(digest: &str, status: &str, time: &str) -> Snapshot {
        let time = Time(time.parse().unwrap());
        Snapshot {
            digest: digest.into(),
            first_reconciled: time.clone(),
            last_reconciled: time,
            last_reconciled_duration: crate::Duration::from_secs(1),
            last_reconciled_status: status.into(),
            total_reconciliations: 1,
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn counts_repetitions_and_moves_them_to_the_front() {
        let mut history = Vec::new();
        record(&mut history, snapshot("a", "Ok", "2026-01-01T00:00:00Z"));
        record(&mut history, snapshot("b", "Ok", "2026-01-01T00:01:00Z"));
        record(&mut history, snapshot("a", "Failed", "2026-01-01T00:02:00Z"));
        record(&mut history, snapshot("a", "Ok", "2026-01-01T00:03:00Z"));
        let seen: Vec<_> = history
            .iter()
            .map(|s| (s.digest.as_str(), s.last_reconciled_status.as_str(), s.total_reconciliations))
            .collect();
        assert_eq!(seen, [("a", "Ok", 2), ("a", "Failed", 1), ("b", "Ok", 1)]);
        assert_eq!(history[0].first_reconciled.0.to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn keeps_the_newest_entries() {
        let mut history = Vec::new();
        for n in 0..7 {
            record(&mut history, snapshot(&n.to_string(), "Ok", "2026-01-01T00:00:00Z"));
        }
        let digests: Vec<_> = history.iter().map(|s| s.digest.as_str()).collect();
        assert_eq!(digests, ["6", "5", "4", "3", "2"]);
    }
}
