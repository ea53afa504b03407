//! What happens to applied objects when their Kustomization is deleted.

use std::collections::BTreeMap;

use fluxide_apply::Entry;
use fluxide_apply::apply::Action;
use fluxide_apply::prune;
use fluxide_kustomize_api::Kustomization;
use fluxide_kustomize_api::kustomization::DeletionPolicy;
use fluxide_meta::condition::reasons;
use fluxide_meta::names::META_REVISION;
use fluxide_runtime::conditions::READY;
use fluxide_runtime::{Failure, Key, Pass, Severity, conditions};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, ResourceExt as _};

use crate::prepare::owner;
use crate::reconciler::KustomizationReconciler;
use crate::status;

/// Deletes the applied objects if the deletion policy says so.
pub async fn finalize(
    reconciler: &KustomizationReconciler,
    object: &Kustomization,
    pass: &Pass,
) -> Result<(), Failure> {
    let key = Key::of(object);
    reconciler.memories.forget(&key);
    reconciler.waiting.end(&key);
    let entries = status::inventory(object)?;
    if entries.is_empty() || !deletes(object) {
        return Ok(());
    }
    let revision = object.status.as_ref().and_then(|status| status.last_applied_revision.clone());
    let metadata: BTreeMap<String, String> =
        revision.map(|revision| (META_REVISION.to_owned(), revision)).into_iter().collect();
    let event = |severity, message: String| {
        let reason = match conditions::reason(object, READY) {
            "" => reasons::RECONCILIATION_FAILED,
            reason => reason,
        };
        reconciler.event(object, pass, severity, reason, message, metadata.clone());
    };

    if object.spec.kube_config.is_none()
        && let Some(account) = reconciler.targets.service_account(object)
        && !exists(pass, object, account).await?
    {
        event(Severity::Error, format!("unable to prune objects: \n{}", subjects(&entries)));
        return Ok(());
    }
    let cluster = match reconciler.targets.cluster(object, pass.client()).await {
        Ok(cluster) => cluster,
        Err(error) if is_overdue(object) => {
            let message = format!("unable to prune objects: {error}\n{}", subjects(&entries));
            event(Severity::Error, message);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let outcome = prune::delete_all(&cluster, entries, &owner(object), &reconciler.protected(object)).await;
    if let Some(message) = outcome.error() {
        event(Severity::Error, "pruning for deleted resource failed".to_owned());
        return Err(Failure::retry(message));
    }
    let lines = outcome.changes.lines(|_| true);
    if !lines.is_empty() {
        event(Severity::Info, lines);
    }
    if object.spec.deletion_policy == Some(DeletionPolicy::WaitForTermination) {
        let deleted: Vec<Entry> = outcome
            .changes
            .changes
            .into_iter()
            .filter(|change| change.action == Action::Deleted)
            .map(|change| change.entry)
            .collect();
        let remaining = prune::wait_for_termination(&cluster, &deleted, status::timeout(&object.spec)).await;
        if !remaining.is_empty() {
            let subjects: Vec<String> = remaining.iter().map(|entry| entry.id.subject()).collect();
            let message = format!("failed to wait for resources termination: {}", subjects.join(", "));
            event(Severity::Error, message);
        }
    }
    Ok(())
}

fn subjects(entries: &[Entry]) -> String {
    let subjects: Vec<String> = entries.iter().map(|entry| entry.id.subject()).collect();
    subjects.join("\n")
}

/// True when the deletion has been waiting for longer than the timeout: a cluster that cannot be
/// reached any more must not keep the object for ever.
fn is_overdue(object: &Kustomization) -> bool {
    let Some(asked) = &object.metadata.deletion_timestamp else { return false };
    let waited = jiff::Timestamp::now().duration_since(asked.0).unsigned_abs();
    waited > status::timeout(&object.spec)
}

/// True when the objects go with their Kustomization.
fn deletes(object: &Kustomization) -> bool {
    let spec = &object.spec;
    let by_policy = match spec.deletion_policy.as_ref().unwrap_or(&DeletionPolicy::MirrorPrune) {
        DeletionPolicy::Delete | DeletionPolicy::WaitForTermination => true,
        DeletionPolicy::MirrorPrune => spec.prune,
        DeletionPolicy::Orphan | DeletionPolicy::Other(_) => false,
    };
    by_policy && !spec.suspend
}

async fn exists(pass: &Pass, object: &Kustomization, account: &str) -> Result<bool, kube::Error> {
    let namespace = object.namespace().unwrap_or_default();
    let accounts = Api::<ServiceAccount>::namespaced(pass.client().clone(), &namespace);
    Ok(accounts.get_metadata_opt(account).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies() {
        let deletes = |policy: Option<&str>, prune: bool, suspend: bool| {
            let spec = json!({
                "interval": "1m", "prune": prune, "suspend": suspend, "deletionPolicy": policy,
                "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            });
            deletes(&Kustomization::new("x", serde_json::from_value(spec).unwrap()))
        };
        for prune in [true, false] {
            assert_eq!(deletes(None, prune, false), prune);
            assert_eq!(deletes(Some("MirrorPrune"), prune, false), prune);
            assert!(deletes(Some("Delete"), prune, false));
            assert!(deletes(Some("WaitForTermination"), prune, false));
            assert!(!deletes(Some("Orphan"), prune, false));
            assert!(!deletes(Some("Delete"), prune, true), "suspended");
        }
    }
}
