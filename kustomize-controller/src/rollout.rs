//! Brings about what was built: applies it, prunes what is gone, and waits for health.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fluxide_apply::apply::{self, Action, ChangeSet};
use fluxide_apply::cluster::Cluster;
use fluxide_apply::memory::Memory;
use fluxide_apply::metadata::Owner;
use fluxide_apply::wait::{self, Health, Target};
use fluxide_apply::{Entry, ignore, inventory, known_kinds, prune};
use fluxide_kustomize_api::Kustomization;
use fluxide_meta::Artifact;
use fluxide_meta::condition::reasons;
use fluxide_runtime::conditions::{self, HEALTHY};
use fluxide_runtime::{Pass, Severity};

use crate::build::Built;
use crate::options;
use crate::prepare::{self, Rules};
use crate::reconciler::KustomizationReconciler;
use crate::status::{self, Progress};
use crate::stop::{Done, Stop, event_metadata};

/// The work of one pass on one cluster.
pub(crate) struct Rollout<'a> {
    pub reconciler: &'a KustomizationReconciler,
    pub pass: &'a Pass,
    pub artifact: &'a Artifact,
    pub cluster: &'a Cluster,
    pub owner: Owner,
    /// What earlier passes applied.
    pub old_inventory: Vec<Entry>,
    /// What earlier passes found out.
    pub memory: Arc<Memory>,
}

impl Rollout<'_> {
    /// Applies what was built, prunes what is gone and waits for health.
    pub async fn run(
        &self,
        object: &mut Kustomization,
        progress: &mut Progress,
        built: Built,
        rules: Rules,
    ) -> Result<Done, Stop> {
        let was_healthy = conditions::is_true(object, HEALTHY);
        let was_ready = conditions::is_ready(object);
        let is_new_revision = object
            .status
            .as_ref()
            .is_none_or(|status| status.last_applied_revision.as_deref() != Some(&*self.artifact.revision));

        let (objects, dropped) = prepare::prepare(object, &self.owner, built.objects)?;
        if is_new_revision {
            for message in dropped {
                tracing::warn!("{message}");
                self.event(object, message);
            }
        }
        let vanishing_jobs = prepare::vanishing_jobs(&objects);
        let options = self.apply_options(object, rules.ignore);
        let changes = self.apply(object, apply::apply_all(self.cluster, objects, &options).await)?;
        let new_inventory = changes.inventory();
        status::set_inventory(object, &new_inventory);
        let kept: HashSet<_> = new_inventory.iter().map(|entry| &entry.id).collect();
        self.memory.retain(|id| kept.contains(id));

        let stale = inventory::stale(&self.old_inventory, &new_inventory);
        let has_pruned = object.spec.prune && self.prune(object, stale).await?;

        let settings = &self.reconciler.settings;
        let known_kinds = settings.gates.enabled(options::BUILT_IN_HEALTH_CHECKS).then(known_kinds::rules);
        let health =
            Health { vanishing_jobs, rules: rules.health, known_kinds, memory: Some(self.memory.clone()) };
        let targets = prepare::health_targets(object, &changes);
        let notify = !was_healthy || is_new_revision && changes.has_changes();
        self.check_health(object, progress, targets, &health, notify).await?;
        let is_unchanged = was_ready && !is_new_revision && !changes.has_changes() && !has_pruned;
        Ok(if is_unchanged { Done::Unchanged } else { Done::Changed })
    }

    fn apply_options(&self, object: &Kustomization, ignore: ignore::Rules) -> apply::Options {
        let settings = &self.reconciler.settings;
        apply::Options {
            owner: self.owner.clone(),
            take_over: self.reconciler.memories.marks().take_over.clone(),
            custom_stage_kinds: settings.custom_stage_kinds.clone(),
            concurrency: settings.concurrent_ssa,
            force: object.spec.force,
            migrate_api_version: settings.gates.enabled(options::MIGRATE_API_VERSION),
            timeout: status::timeout(&object.spec),
            ignore,
            expected: self.old_inventory.iter().map(|entry| entry.id.clone()).collect(),
            memory: self.memory.clone(),
            live: self.reconciler.live_for(object),
        }
    }

    /// Says what was applied, and remembers it even when not everything was.
    fn apply(
        &self,
        object: &mut Kustomization,
        applied: Result<ChangeSet, apply::Failure>,
    ) -> Result<ChangeSet, Stop> {
        let changes = match applied {
            Ok(changes) => changes,
            Err(failure) => {
                self.memory.clear();
                // What was applied before the failure is ours now, and nothing that was before is gone.
                let known = inventory::union(&self.old_inventory, &failure.changes.inventory());
                if !known.is_empty() {
                    status::set_inventory(object, &known);
                }
                return Err(Stop::failed(reasons::RECONCILIATION_FAILED, failure));
            }
        };
        let lines = changes.lines(|action| matches!(action, Action::Created | Action::Configured));
        if !lines.is_empty() {
            self.event(object, lines);
        }
        self.log_changes(&changes);
        Ok(changes)
    }

    fn log_changes(&self, changes: &ChangeSet) {
        let is_grouped = self.reconciler.settings.gates.enabled(options::GROUP_CHANGE_LOG);
        let mut output: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        for change in &changes.changes {
            let (subject, action) = (change.entry.id.subject(), change.action.as_str());
            if is_grouped {
                let group = output.entry(action.to_owned()).or_insert_with(|| serde_json::json!([]));
                if let Some(subjects) = group.as_array_mut() {
                    subjects.push(subject.into());
                }
            } else {
                output.insert(subject, action.into());
            }
        }
        if !output.is_empty() {
            let output = serde_json::json!(output);
            tracing::info!(%output, revision = self.artifact.revision, "server-side apply completed");
        }
    }

    /// Deletes what is no longer declared. Says whether there was anything.
    async fn prune(&self, object: &mut Kustomization, stale: Vec<Entry>) -> Result<bool, Stop> {
        if stale.is_empty() {
            return Ok(false);
        }
        let protected = self.reconciler.protected(object);
        let outcome = prune::delete_all(self.cluster, stale, &self.owner, &protected).await;
        if let Some(message) = outcome.error() {
            let kept = status::inventory(object)
                .map_err(|error| Stop::failed(reasons::RECONCILIATION_FAILED, error))?;
            status::set_inventory(object, &inventory::union(&kept, &outcome.survivors()));
            return Err(Stop::failed(reasons::PRUNE_FAILED, message));
        }
        let lines = outcome.changes.lines(|_| true);
        if !lines.is_empty() {
            tracing::info!("garbage collection completed: {lines}");
            self.event(object, lines);
        }
        Ok(true)
    }

    async fn check_health(
        &self,
        object: &mut Kustomization,
        progress: &mut Progress,
        mut targets: Vec<Target>,
        health: &Health,
        notify: bool,
    ) -> Result<(), Stop> {
        if targets.is_empty() {
            conditions::delete(object, HEALTHY);
            return Ok(());
        }
        targets.retain(|target| !target.is_known_healthy(&self.memory));
        let started = Instant::now();
        let timeout = status::timeout(&object.spec);
        let message = format!(
            "Running health checks for revision {} with a timeout of {}",
            self.artifact.revision,
            status::go_duration(timeout)
        );
        progress.message = message.clone();
        let settings = &self.reconciler.settings;
        let options = wait::Options {
            timeout,
            interval: Duration::from_secs(2),
            label: Some(self.owner.name_label()),
            fail_fast: !settings.gates.enabled(options::DISABLE_FAIL_FAST),
            concurrency: settings.concurrent_ssa,
        };
        let result = match wait::pending(self.cluster, targets, health, &options).await {
            Ok(pending) if pending.is_empty() => Ok(()),
            Ok(pending) => {
                let mut ready = pin!(wait::until_ready(self.cluster, pending, health, &options));
                // Most waits are over before anybody could read that there was one.
                match tokio::time::timeout(status::SHOW_AFTER, &mut ready).await {
                    Ok(result) => result,
                    Err(_) => {
                        progress.waiting(object, self.pass, &message).await;
                        tokio::select! {
                            result = ready => result,
                            by = self.superseded() => return Err(Stop::Superseded { by }),
                        }
                    }
                }
            }
            Err(error) => Err(error),
        };
        let elapsed = status::go_duration(started.elapsed());
        if let Err(error) = result {
            conditions::mark_false(object, HEALTHY, reasons::HEALTH_CHECK_FAILED, error.to_string());
            let message = format!("health check failed after {elapsed}: {error}");
            return Err(Stop::failed(reasons::HEALTH_CHECK_FAILED, message));
        }
        let message = format!("Health check passed in {elapsed}");
        if notify {
            self.event(object, message.clone());
        }
        conditions::mark_true(object, HEALTHY, reasons::SUCCEEDED, message);
        Ok(())
    }

    /// Ends when a wait is not worth it any more, and says because of what.
    async fn superseded(&self) -> String {
        if !self.reconciler.settings.gates.enabled(options::CANCEL_HEALTH_CHECK) {
            return std::future::pending().await;
        }
        let cause = self.pass.superseded().await;
        let is_source =
            matches!(&*cause.kind, "GitRepository" | "OCIRepository" | "Bucket" | "ExternalArtifact");
        if is_source {
            let sources = &self.reconciler.sources;
            let current = sources.current_revision(&cause.kind, &cause.key.namespace, &cause.key.name);
            if current.as_deref() == Some(&*self.artifact.revision) {
                return std::future::pending().await;
            }
        }
        cause.to_string()
    }

    fn event(&self, object: &Kustomization, message: String) {
        let metadata = event_metadata(self.artifact);
        self.reconciler.event(object, self.pass, Severity::Info, reasons::PROGRESSING, message, metadata);
    }
}
