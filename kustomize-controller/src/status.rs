//! The status of a Kustomization: progress, inventory, history, and the times its spec asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use fluxide_apply::inventory::InvalidId;
use fluxide_apply::{Entry, ObjectId};
use fluxide_kustomize_api::{Kustomization, KustomizationSpec, KustomizationStatus};
use fluxide_meta::condition::reasons;
use fluxide_meta::{ResourceInventory, ResourceRef, Snapshot, history};
use fluxide_runtime::Pass;
use fluxide_runtime::conditions::{self, HEALTHY, READY};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The shortest timeout there is.
const MIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A pass that takes longer than this shows what it is doing.
pub const SHOW_AFTER: Duration = Duration::from_secs(1);

/// What a pass is doing.
///
/// It is written to the object only when it takes a while: most passes need one status write.
pub struct Progress {
    /// The current step.
    pub message: String,
    /// A wait follows, which is shown itself.
    will_wait: bool,
    shown: bool,
}

impl Progress {
    /// Of a pass that has just begun, and that may wait for health.
    pub fn new(will_wait: bool) -> Self {
        Self { message: String::new(), will_wait, shown: false }
    }

    /// The first step.
    pub fn start(&mut self, message: String) {
        self.message = message;
    }

    /// The next step; shown when the pass has been running for a while.
    pub async fn step(&mut self, object: &mut Kustomization, pass: &Pass, message: String) {
        self.message = message;
        if !self.shown && !self.will_wait && pass.elapsed() > SHOW_AFTER {
            self.show(object, pass).await;
        }
    }

    /// A wait that takes long: shown.
    pub async fn waiting(&mut self, object: &mut Kustomization, pass: &Pass, message: &str) {
        conditions::mark_unknown(object, HEALTHY, conditions::PROGRESSING, message);
        message.clone_into(&mut self.message);
        self.show(object, pass).await;
    }

    async fn show(&mut self, object: &mut Kustomization, pass: &Pass) {
        conditions::mark_reconciling(object, conditions::PROGRESSING, self.message.clone());
        conditions::mark_unknown(object, READY, conditions::PROGRESSING, "Reconciliation in progress");
        self.shown = true;
        if let Err(error) = pass.patch_progress(object).await {
            tracing::error!(%error, "failed to update status");
        }
    }

    /// Says in which step a pass failed that will be tried again.
    pub fn mark_retrying(&self, object: &mut Kustomization) {
        conditions::mark_reconciling(object, reasons::PROGRESSING_WITH_RETRY, self.message.clone());
    }
}

/// The status, created when missing.
pub fn status_mut(object: &mut Kustomization) -> &mut KustomizationStatus {
    object.status.get_or_insert_with(KustomizationStatus::default)
}

/// The inventory of a Kustomization.
pub fn inventory(object: &Kustomization) -> Result<Vec<Entry>, InvalidId> {
    let inventory = object.status.as_ref().and_then(|status| status.inventory.as_ref());
    let entries = inventory.map_or(&[][..], |inventory| &inventory.entries);
    entries
        .iter()
        .map(|entry| Ok(Entry { id: ObjectId::parse(&entry.id)?, version: entry.version.clone() }))
        .collect()
}

/// Replaces the inventory of a Kustomization.
pub fn set_inventory(object: &mut Kustomization, entries: &[Entry]) {
    let entries = entries
        .iter()
        .map(|entry| ResourceRef { id: entry.id.to_string(), version: entry.version.clone() })
        .collect();
    status_mut(object).inventory = Some(ResourceInventory { entries });
}

/// Adds the outcome of a pass to the history.
pub fn record_history(
    object: &mut Kustomization,
    digest: &str,
    reason: &str,
    took: Duration,
    revision: &str,
    origin_revision: Option<&str>,
) {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut metadata = BTreeMap::from([("revision".to_owned(), revision.to_owned())]);
    if let Some(origin) = origin_revision {
        metadata.insert("originRevision".to_owned(), origin.to_owned());
    }
    let snapshot = Snapshot {
        digest: digest.to_owned(),
        first_reconciled: Time(now),
        last_reconciled: Time(now),
        last_reconciled_duration: took.into(),
        last_reconciled_status: reason.to_owned(),
        total_reconciliations: 1,
        metadata,
    };
    history::record(&mut status_mut(object).history, snapshot);
}

/// How often to reconcile.
pub fn interval(spec: &KustomizationSpec) -> Duration {
    spec.interval.to_std_or(Duration::from_secs(600))
}

/// When to try again after a failure.
pub fn retry_interval(spec: &KustomizationSpec) -> Duration {
    spec.retry_interval.as_ref().map_or_else(|| interval(spec), |retry| retry.to_std_or(interval(spec)))
}

/// How long waiting may take: what the spec says or a bit less than the interval, at least 30 s.
pub fn timeout(spec: &KustomizationSpec) -> Duration {
    let default = interval(spec).saturating_sub(Duration::from_secs(30));
    spec.timeout.as_ref().map_or(default, |timeout| timeout.to_std_or(default)).max(MIN_TIMEOUT)
}

/// A duration as Go prints it.
pub fn go_duration(duration: Duration) -> String {
    fluxide_runtime::duration::format(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(interval: &str, timeout: Option<&str>, retry: Option<&str>) -> KustomizationSpec {
        serde_json::from_value(json!({
            "interval": interval, "timeout": timeout, "retryInterval": retry, "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
        }))
        .unwrap()
    }

    #[test]
    fn timeouts() {
        let of = |interval, given| go_duration(timeout(&spec(interval, given, None)));
        assert_eq!(of("10m", None), "9m30s");
        assert_eq!(of("20s", None), "30s");
        assert_eq!(of("10m", Some("10s")), "30s");
        assert_eq!(of("20s", Some("5m")), "5m0s");
    }

    #[test]
    fn retries_at_the_interval_unless_told_otherwise() {
        assert_eq!(retry_interval(&spec("10m", None, None)).as_secs(), 600);
        assert_eq!(retry_interval(&spec("10m", None, Some("1m"))).as_secs(), 60);
    }
}
