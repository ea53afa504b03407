//! One pass over a Kustomization: from the artifact of its source to healthy objects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fluxide_apply::apply::{self, Action, ChangeSet};
use fluxide_apply::cluster::Cluster;
use fluxide_apply::health;
use fluxide_apply::managed_fields::TakeOver;
use fluxide_apply::memory::Memory;
use fluxide_apply::metadata::{Owner, is_encrypted_secret, set_common_metadata};
use fluxide_apply::order::GroupKind;
use fluxide_apply::selector::SelectorText;
use fluxide_apply::wait::{self, Health, Target};
use fluxide_apply::{Entry, Object, ObjectId, ignore, inventory, prune};
use fluxide_artifact::{ArtifactCache, FetchError};
use fluxide_cel::Expression;
use fluxide_kustomize_api::Kustomization;
use fluxide_meta::condition::reasons;
use fluxide_meta::names::{META_COMMIT_STATUS, META_ORIGIN_REVISION, META_REVISION};
use fluxide_meta::{Artifact, DependencyReference, Selector};
use fluxide_runtime::conditions::{self, HEALTHY, READY};
use fluxide_runtime::feature_gates::OBJECT_LEVEL_WORKLOAD_IDENTITY;
use fluxide_runtime::{Failure, FeatureGates, Key, Outcome, Pass, Reconciler, Severity, Store};
use kube::{Api, ResourceExt as _};

use crate::build::{self, Built};
use crate::source::{self, Sources};
use crate::status::{self, Progress};
use crate::target::Targets;
use crate::{dependency, finalize, options};

/// API group whose labels mark applied objects.
pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";

/// Field manager of applied objects.
pub const FIELD_MANAGER: &str = "kustomize-controller";

/// How this controller was told to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many objects of one stage are tried and written in parallel.
    pub concurrent_ssa: usize,
    /// Further field managers to take over from.
    pub override_managers: Vec<String>,
    /// Kinds that are applied before the rest.
    pub custom_stage_kinds: BTreeSet<GroupKind>,
    /// When to look again at what waits for something else.
    pub requeue_dependency: Duration,
    /// Whether references to other namespaces are refused.
    pub no_cross_namespace_refs: bool,
    /// Whether remote bases are refused.
    pub no_remote_bases: bool,
    /// Namespace of the controller itself, if known.
    pub runtime_namespace: String,
    /// The feature gates.
    pub gates: Arc<FeatureGates>,
}

/// Reconciles Kustomizations.
pub struct KustomizationReconciler {
    /// How to work.
    pub settings: Settings,
    /// Where artifacts come from.
    pub sources: Sources,
    /// All Kustomizations of this shard.
    pub kustomizations: Store<Kustomization>,
    /// Unpacked artifacts.
    pub artifacts: ArtifactCache,
    /// Where objects go.
    pub targets: Targets,
    /// What earlier passes found out.
    pub memories: Memories,
}

/// What earlier passes found out about the objects of each Kustomization, at one generation of its
/// spec.
#[derive(Default)]
pub struct Memories(Mutex<HashMap<Key, (i64, Arc<Memory>)>>);

impl Memories {
    fn of(&self, object: &Kustomization) -> Arc<Memory> {
        let generation = object.metadata.generation.unwrap_or(0);
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = memories.entry(Key::of(object)).or_default();
        if entry.0 != generation {
            *entry = (generation, Arc::default());
        }
        entry.1.clone()
    }

    /// Forgets a Kustomization that is gone.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Why a pass ends before its end.
pub(crate) enum Stop {
    /// The spec has to change.
    Terminal { reason: &'static str, message: String },
    /// Something else has to happen first.
    Waiting { reason: &'static str, message: String, event: Option<String> },
    /// The source does not exist; its creation will be noticed.
    NoSource { message: String },
    /// Reading something failed for no fault of the object.
    Unreadable { message: String },
    /// A step failed and will be tried again.
    Failed { reason: &'static str, message: String },
    /// A newer state is waiting to be applied.
    Superseded { by: String },
}

impl Stop {
    pub(crate) fn failed(reason: &'static str, error: impl ToString) -> Self {
        Self::Failed { reason, message: error.to_string() }
    }
}

impl Reconciler for KustomizationReconciler {
    type Kind = Kustomization;

    async fn reconcile(&self, object: &mut Kustomization, pass: &Pass) -> Result<Outcome, Failure> {
        let mut progress = Progress::default();
        let mut artifact = None;
        let result = self.attempt(object, pass, &mut progress, &mut artifact).await;
        let metadata = artifact.as_ref().map(event_metadata).unwrap_or_default();
        match result {
            Ok(()) => Ok(self.succeeded(object, pass, metadata)),
            Err(stop) => Err(self.stopped(object, pass, &progress, stop, metadata)),
        }
    }

    async fn finalize(&self, object: &mut Kustomization, pass: &Pass) -> Result<(), Failure> {
        finalize::finalize(self, object, pass).await
    }

    fn owned_conditions(&self) -> &'static [&'static str] {
        &[HEALTHY, READY, conditions::RECONCILING, conditions::STALLED]
    }
}

impl KustomizationReconciler {
    async fn attempt(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        progress: &mut Progress,
        found: &mut Option<Artifact>,
    ) -> Result<(), Stop> {
        let rules = Rules { health: health_rules(object)?, ignore: ignore_rules(object)? };
        self.check_gates(object)?;
        let artifact = self.artifact(object).await?;
        *found = Some(artifact.clone());
        self.check_dependencies(object, pass, &artifact.revision).await?;

        let revision = artifact.revision.clone();
        let timeout = status::timeout(&object.spec);
        let phase = |what: &str| {
            format!("{what} for revision {revision} with a timeout of {}", status::go_duration(timeout))
        };
        progress.start(phase("Fetching manifests"));
        let old_inventory =
            status::inventory(object).map_err(|error| Stop::failed(reasons::RECONCILIATION_FAILED, error))?;
        let directory = tokio::select! {
            directory = self.artifacts.get(&artifact.url, &artifact.digest) => directory.map_err(|error| self.fetch_error(&error))?,
            () = pass.shutdown().cancelled() => return Err(Stop::failed(reasons::ARTIFACT_FAILED, "the controller is shutting down")),
        };

        status::status_mut(object).last_attempted_revision = Some(revision.clone());
        progress.step(object, pass, phase("Building manifests")).await;
        let cluster = self
            .targets
            .cluster(object)
            .await
            .map_err(|error| Stop::failed(reasons::RECONCILIATION_FAILED, error))?;
        let built = build::build(self, object, pass.client(), directory).await?;

        progress.step(object, pass, phase("Detecting drift")).await;
        let origin = artifact.origin_revision().map(str::to_owned);
        let started = Instant::now() - pass.elapsed();
        let digest = built.digest.clone();
        let result =
            self.bring_about(object, pass, progress, &artifact, &cluster, built, rules, old_inventory).await;
        let record = |object: &mut Kustomization, reason: &str| {
            status::record_history(object, &digest, reason, started.elapsed(), &revision, origin.as_deref());
        };
        match &result {
            Ok(()) => {
                let status = status::status_mut(object);
                status.last_applied_revision = Some(revision.clone());
                status.last_applied_origin_revision = origin.clone();
                conditions::mark_true(
                    object,
                    READY,
                    reasons::RECONCILIATION_SUCCEEDED,
                    format!("Applied revision: {revision}"),
                );
                record(object, reasons::RECONCILIATION_SUCCEEDED);
            }
            Err(Stop::Failed { reason, .. }) => record(object, reason),
            Err(_) => {}
        }
        result
    }

    fn check_gates(&self, object: &Kustomization) -> Result<(), Stop> {
        let account =
            object.spec.decryption.as_ref().and_then(|decryption| decryption.service_account_name.as_ref());
        if account.is_some() && !self.settings.gates.enabled(OBJECT_LEVEL_WORKLOAD_IDENTITY) {
            return Err(Stop::Terminal {
                reason: reasons::FEATURE_GATE_DISABLED,
                message:
                    "to use spec.decryption.serviceAccountName for decryption authentication please enable \
                          the ObjectLevelWorkloadIdentity feature gate in the controller"
                        .to_owned(),
            });
        }
        Ok(())
    }

    /// The artifact to apply.
    async fn artifact(&self, object: &Kustomization) -> Result<Artifact, Stop> {
        match self.sources.artifact(object).await {
            Ok(Some(artifact)) => Ok(artifact),
            Ok(None) => {
                let message = format!("Source artifact not found, retrying in {}", self.requeue());
                Err(Stop::Waiting { reason: reasons::ARTIFACT_FAILED, message, event: None })
            }
            Err(source::Error::AccessDenied(message)) => {
                Err(Stop::Terminal { reason: reasons::ACCESS_DENIED, message })
            }
            Err(error @ source::Error::NotFound { .. }) => Err(Stop::NoSource { message: error.to_string() }),
            Err(error) => Err(Stop::Unreadable { message: error.to_string() }),
        }
    }

    async fn check_dependencies(
        &self,
        object: &Kustomization,
        pass: &Pass,
        revision: &str,
    ) -> Result<(), Stop> {
        let own = object.namespace().unwrap_or_default();
        for reference in &object.spec.depends_on {
            let namespace = reference.namespace_or(&own);
            if self.settings.no_cross_namespace_refs && namespace != own {
                return Err(Stop::Terminal {
                    reason: reasons::ACCESS_DENIED,
                    message: format!(
                        "can't access 'Kustomization/{namespace}/{}', cross-namespace references have been blocked",
                        reference.name
                    ),
                });
            }
            let not_ready = match self.dependency(pass, namespace, reference).await {
                Ok(dependency) => self.judge_dependency(object, reference, &dependency, revision)?,
                Err(error) => Some(format!("dependency '{namespace}/{}' not found: {error}", reference.name)),
            };
            if let Some(message) = not_ready {
                let event =
                    format!("Dependencies do not meet ready condition, retrying in {}", self.requeue());
                return Err(Stop::Waiting {
                    reason: reasons::DEPENDENCY_NOT_READY,
                    message,
                    event: Some(event),
                });
            }
        }
        Ok(())
    }

    /// A dependency: of this shard from memory, else from the API server.
    async fn dependency(
        &self,
        pass: &Pass,
        namespace: &str,
        reference: &DependencyReference,
    ) -> Result<Arc<Kustomization>, String> {
        if let Some(known) = self.kustomizations.find(namespace, &reference.name) {
            return Ok(known);
        }
        let api = Api::<Kustomization>::namespaced(pass.client().clone(), namespace);
        let found = api.get(&reference.name).await;
        found.map(Arc::new).map_err(|error| fluxide_runtime::client::message(&error))
    }

    fn judge_dependency(
        &self,
        object: &Kustomization,
        reference: &DependencyReference,
        dependency: &Kustomization,
        revision: &str,
    ) -> Result<Option<String>, Stop> {
        let expression = reference.ready_expr.as_deref().filter(|text| !text.is_empty());
        if let Some(text) = expression {
            let expression =
                Expression::parse_checked(text, &["self", "dep"]).map_err(|error| Stop::Terminal {
                    reason: reasons::INVALID_CEL_EXPRESSION,
                    message: terminal(format!(
                        "terminal error: failed to evaluate dependency {}: {error}",
                        reference.name
                    )),
                })?;
            if let Some(not_ready) =
                dependency::not_ready_by_expression(object, reference, dependency, &expression)
            {
                return Ok(Some(not_ready));
            }
            if !self.settings.gates.enabled(options::ADDITIVE_CEL_DEPENDENCY_CHECK) {
                return Ok(None);
            }
        }
        Ok(dependency::not_ready(object, reference, dependency, revision))
    }

    fn fetch_error(&self, error: &FetchError) -> Stop {
        match error {
            FetchError::NotFound => Stop::Waiting {
                reason: reasons::ARTIFACT_FAILED,
                message: format!("Source is not ready, artifact not found, retrying in {}", self.requeue()),
                event: None,
            },
            error => Stop::failed(reasons::ARTIFACT_FAILED, error),
        }
    }

    /// Applies what was built, prunes what is gone and waits for health.
    #[expect(clippy::too_many_arguments, reason = "the steps of one pass share all of its state")]
    async fn bring_about(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        progress: &mut Progress,
        artifact: &Artifact,
        cluster: &Cluster,
        built: Built,
        rules: Rules,
        old_inventory: Vec<Entry>,
    ) -> Result<(), Stop> {
        let was_healthy = conditions::is_true(object, HEALTHY);
        let is_new_revision = object
            .status
            .as_ref()
            .is_none_or(|status| status.last_applied_revision.as_deref() != Some(&*artifact.revision));

        let owner = owner(object);
        let (objects, dropped) = prepare(object, &owner, built.objects)?;
        if is_new_revision {
            for message in dropped {
                tracing::warn!("{message}");
                self.event(
                    object,
                    pass,
                    Severity::Info,
                    reasons::PROGRESSING,
                    message,
                    event_metadata(artifact),
                );
            }
        }
        let vanishing_jobs = vanishing_jobs(&objects);
        let options = self.apply_options(object, owner.clone(), rules.ignore, &old_inventory);
        let changes = self.apply(object, pass, artifact, cluster, objects, options, &old_inventory).await?;
        let new_inventory = changes.inventory();
        status::set_inventory(object, &new_inventory);

        let stale = inventory::stale(&old_inventory, &new_inventory);
        if object.spec.prune {
            self.prune(object, pass, artifact, cluster, &owner, stale).await?;
        }

        let health = Health { vanishing_jobs, rules: rules.health };
        let targets = health_targets(object, &changes);
        let check = HealthCheck { artifact, was_healthy, notify: is_new_revision && changes.has_changes() };
        self.check_health(object, pass, progress, cluster, targets, &health, &check).await
    }

    fn apply_options(
        &self,
        object: &Kustomization,
        owner: Owner,
        ignore: ignore::Rules,
        old_inventory: &[Entry],
    ) -> apply::Options {
        apply::Options {
            owner,
            take_over: TakeOver {
                field_manager: FIELD_MANAGER.to_owned(),
                override_managers: self.settings.override_managers.clone(),
            },
            custom_stage_kinds: self.settings.custom_stage_kinds.clone(),
            concurrency: self.settings.concurrent_ssa,
            force: object.spec.force,
            migrate_api_version: self.settings.gates.enabled(options::MIGRATE_API_VERSION),
            timeout: status::timeout(&object.spec),
            ignore,
            expected: old_inventory.iter().map(|entry| entry.id.clone()).collect(),
            memory: self.memories.of(object),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the steps of one pass share all of its state")]
    async fn apply(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        artifact: &Artifact,
        cluster: &Cluster,
        objects: Vec<Object>,
        options: apply::Options,
        old_inventory: &[Entry],
    ) -> Result<ChangeSet, Stop> {
        let (changes, error) = match apply::apply_all(cluster, objects, &options).await {
            Ok(changes) => (changes, None),
            Err(failure) => {
                options.memory.clear();
                let message = failure.to_string();
                (failure.changes, Some(message))
            }
        };
        let lines = changes.lines(|action| matches!(action, Action::Created | Action::Configured));
        if let Some(message) = error {
            // What was applied before the failure is ours now, and nothing that was before is gone.
            let known = inventory::union(old_inventory, &changes.inventory());
            status::set_inventory(object, &known);
            return Err(Stop::failed(reasons::RECONCILIATION_FAILED, message));
        }
        if !lines.is_empty() {
            self.event(object, pass, Severity::Info, reasons::PROGRESSING, lines, event_metadata(artifact));
        }
        self.log_changes(&changes, &artifact.revision);
        Ok(changes)
    }

    fn log_changes(&self, changes: &ChangeSet, revision: &str) {
        let mut output: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        for change in &changes.changes {
            let (subject, action) = (change.entry.id.subject(), change.action.as_str());
            if self.settings.gates.enabled(options::GROUP_CHANGE_LOG) {
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
            tracing::info!(%output, revision, "server-side apply completed");
        }
    }

    async fn prune(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        artifact: &Artifact,
        cluster: &Cluster,
        owner: &Owner,
        stale: Vec<Entry>,
    ) -> Result<(), Stop> {
        if stale.is_empty() {
            return Ok(());
        }
        let outcome = prune::delete_all(cluster, stale, owner, &self.protected(object)).await;
        if let Some(message) = outcome.error() {
            let kept = status::inventory(object)
                .map_err(|error| Stop::failed(reasons::RECONCILIATION_FAILED, error))?;
            status::set_inventory(object, &inventory::union(&kept, &outcome.survivors()));
            return Err(Stop::failed(reasons::PRUNE_FAILED, message));
        }
        let lines = outcome.changes.lines(|_| true);
        if !lines.is_empty() {
            tracing::info!("garbage collection completed: {lines}");
            self.event(object, pass, Severity::Info, reasons::PROGRESSING, lines, event_metadata(artifact));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the steps of one pass share all of its state")]
    async fn check_health(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        progress: &mut Progress,
        cluster: &Cluster,
        targets: Vec<Target>,
        health: &Health,
        check: &HealthCheck<'_>,
    ) -> Result<(), Stop> {
        if targets.is_empty() {
            conditions::delete(object, HEALTHY);
            return Ok(());
        }
        let started = Instant::now();
        let timeout = status::timeout(&object.spec);
        let message = format!(
            "Running health checks for revision {} with a timeout of {}",
            check.artifact.revision,
            status::go_duration(timeout)
        );
        progress.message = message.clone();
        let options = wait::Options {
            timeout,
            interval: Duration::from_secs(1),
            fail_fast: !self.settings.gates.enabled(options::DISABLE_FAIL_FAST),
            concurrency: self.settings.concurrent_ssa,
        };
        let pending = wait::pending(cluster, targets, health, &options).await;
        let result = match pending {
            Ok(pending) if pending.is_empty() => Ok(()),
            Ok(pending) => {
                progress.waiting(object, pass, &message).await;
                tokio::select! {
                    result = wait::until_ready(cluster, pending, health, &options) => result,
                    by = self.superseded(pass, &check.artifact.revision) => {
                        return Err(Stop::Superseded { by });
                    }
                }
            }
            Err(error) => Err(error),
        };
        let elapsed = status::go_duration(started.elapsed());
        if let Err(error) = result {
            let message = format!("health check failed after {elapsed}: {error}");
            conditions::mark_false(object, HEALTHY, reasons::HEALTH_CHECK_FAILED, message.clone());
            return Err(Stop::failed(reasons::HEALTH_CHECK_FAILED, message));
        }
        let message = format!("Health check passed in {elapsed}");
        if !check.was_healthy || check.notify {
            let metadata = event_metadata(check.artifact);
            self.event(object, pass, Severity::Info, reasons::PROGRESSING, message.clone(), metadata);
        }
        conditions::mark_true(object, HEALTHY, reasons::SUCCEEDED, message);
        Ok(())
    }

    /// Ends when a wait is not worth it any more, and says because of what.
    async fn superseded(&self, pass: &Pass, revision: &str) -> String {
        if !self.settings.gates.enabled(options::CANCEL_HEALTH_CHECK) {
            return std::future::pending().await;
        }
        let cause = pass.superseded().await;
        let is_source =
            matches!(&*cause.kind, "GitRepository" | "OCIRepository" | "Bucket" | "ExternalArtifact");
        if is_source && self.has_revision(&cause.kind, &cause.key.namespace, &cause.key.name, revision) {
            return std::future::pending().await;
        }
        cause.to_string()
    }

    fn has_revision(&self, kind: &str, namespace: &str, name: &str, revision: &str) -> bool {
        self.sources.current_revision(kind, namespace, name).as_deref() == Some(revision)
    }

    fn succeeded(
        &self,
        object: &Kustomization,
        pass: &Pass,
        mut metadata: BTreeMap<String, String>,
    ) -> Outcome {
        let interval = status::interval(&object.spec);
        let message = format!(
            "Reconciliation finished in {}, next run in {}",
            status::go_duration(pass.elapsed()),
            status::go_duration(interval)
        );
        tracing::info!(revision = metadata.get(META_REVISION), "{message}");
        metadata.insert(META_COMMIT_STATUS.to_owned(), "update".to_owned());
        self.event(object, pass, Severity::Info, reasons::RECONCILIATION_SUCCEEDED, message, metadata);
        Outcome::interval(interval)
    }

    fn stopped(
        &self,
        object: &mut Kustomization,
        pass: &Pass,
        progress: &Progress,
        stop: Stop,
        metadata: BTreeMap<String, String>,
    ) -> Failure {
        let retry = status::retry_interval(&object.spec);
        match stop {
            Stop::Terminal { reason, message } => {
                conditions::mark_false(object, READY, reason, message.clone());
                self.event(object, pass, Severity::Error, reason, message.clone(), metadata);
                Failure::stalled(reason, message)
            }
            Stop::Waiting { reason, message, event } => {
                conditions::mark_false(object, READY, reason, message.clone());
                tracing::info!("{}", event.as_deref().unwrap_or(&message));
                if let Some(event) = event {
                    self.event(object, pass, Severity::Info, reason, event, metadata);
                }
                Failure::wait(self.settings.requeue_dependency, message)
            }
            Stop::NoSource { message } => {
                conditions::mark_false(object, READY, reasons::ARTIFACT_FAILED, message.clone());
                tracing::info!("Source '{}' not found", object.spec.source_ref);
                Failure::wait(retry, message)
            }
            Stop::Unreadable { message } => {
                conditions::mark_false(object, READY, reasons::ARTIFACT_FAILED, message.clone());
                Failure::retry(message)
            }
            Stop::Failed { reason, message } => {
                conditions::mark_false(object, READY, reason, message.clone());
                progress.mark_retrying(object);
                tracing::error!(
                    revision = metadata.get(META_REVISION),
                    error = message,
                    "Reconciliation failed after {}, next try in {}",
                    status::go_duration(pass.elapsed()),
                    status::go_duration(retry)
                );
                self.event(object, pass, Severity::Error, reason, message.clone(), metadata);
                Failure::wait(retry, message)
            }
            Stop::Superseded { by } => {
                let message = format!("New reconciliation triggered by {by}");
                conditions::mark_false(object, READY, reasons::HEALTH_CHECK_CANCELED, message.clone());
                progress.mark_retrying(object);
                let event = format!("Health checks canceled due to new reconciliation triggered by {by}");
                tracing::info!("{event}");
                self.event(object, pass, Severity::Info, reasons::HEALTH_CHECK_CANCELED, event, metadata);
                Failure::wait(Duration::from_secs(1), message)
            }
        }
    }

    pub(crate) fn event(
        &self,
        object: &Kustomization,
        pass: &Pass,
        severity: Severity,
        reason: &str,
        message: String,
        metadata: BTreeMap<String, String>,
    ) {
        pass.event(object, severity, reason, message, metadata);
    }

    /// Namespaces that are never pruned: that of the object and that of the controller.
    pub(crate) fn protected(&self, object: &Kustomization) -> Vec<String> {
        let own = object.namespace().unwrap_or_default();
        let controller = self.settings.runtime_namespace.clone();
        [own, controller].into_iter().filter(|namespace| !namespace.is_empty()).collect()
    }

    fn requeue(&self) -> String {
        status::go_duration(self.settings.requeue_dependency)
    }
}

/// The rules that users write into the spec, parsed.
struct Rules {
    health: health::Rules,
    ignore: ignore::Rules,
}

fn health_rules(object: &Kustomization) -> Result<health::Rules, Stop> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let texts: Vec<health::RuleText> = object
        .spec
        .health_check_exprs
        .iter()
        .map(|check| health::RuleText {
            api_version: check.api_version.clone(),
            kind: text(&check.kind),
            in_progress: text(&check.in_progress),
            failed: text(&check.failed),
            current: check.current.clone(),
        })
        .collect();
    health::Rules::parse(&texts)
        .map_err(|error| Stop::Terminal { reason: reasons::INVALID_CEL_EXPRESSION, message: terminal(error) })
}

fn ignore_rules(object: &Kustomization) -> Result<ignore::Rules, Stop> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let selector = |target: &Selector| SelectorText {
        group: text(&target.group),
        version: text(&target.version),
        kind: text(&target.kind),
        name: text(&target.name),
        namespace: text(&target.namespace),
        label_selector: text(&target.label_selector),
        annotation_selector: text(&target.annotation_selector),
    };
    let texts: Vec<ignore::RuleText> = object
        .spec
        .ignore
        .iter()
        .map(|rule| ignore::RuleText {
            paths: rule.paths.clone(),
            target: rule.target.as_ref().map(selector),
        })
        .collect();
    ignore::Rules::parse(&texts)
        .map_err(|error| Stop::Terminal { reason: reasons::RECONCILIATION_FAILED, message: terminal(error) })
}

fn terminal(error: impl std::fmt::Display) -> String {
    format!("Reconciliation failed terminally due to configuration error: {error}")
}

/// What decides whether a passed health check is worth an event.
struct HealthCheck<'a> {
    artifact: &'a Artifact,
    was_healthy: bool,
    /// A new revision changed something.
    notify: bool,
}

fn event_metadata(artifact: &Artifact) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([(META_REVISION.to_owned(), artifact.revision.clone())]);
    if let Some(origin) = artifact.origin_revision() {
        metadata.insert(META_ORIGIN_REVISION.to_owned(), origin.to_owned());
    }
    metadata
}

/// Who applied objects belong to.
pub(crate) fn owner(object: &Kustomization) -> Owner {
    Owner {
        group: GROUP.to_owned(),
        name: object.name_any(),
        namespace: object.namespace().unwrap_or_default(),
    }
}

/// Marks the built objects as ours, refuses ciphertext, and brings them to the form in which they
/// are applied. Also says which fields get lost by that.
fn prepare(
    object: &Kustomization,
    owner: &Owner,
    mut objects: Vec<Object>,
) -> Result<(Vec<Object>, Vec<String>), Stop> {
    let common = object.spec.common_metadata.as_ref();
    let mut dropped = Vec::new();
    for built in &mut objects {
        let keeps_ciphertext = built
            .annotation("kustomize.toolkit.fluxcd.io/decrypt")
            .is_some_and(|value| value.eq_ignore_ascii_case("disabled"));
        if is_encrypted_secret(built) && !keeps_ciphertext {
            return Err(Stop::failed(
                reasons::RECONCILIATION_FAILED,
                format!(
                    "{} is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
                    built.subject()
                ),
            ));
        }
        owner.label(built);
        let unknown = fluxide_apply::normalize::normalize(built);
        if !unknown.is_empty() {
            let fields = unknown.join(", ");
            dropped.push(format!("{} has unknown fields that are dropped: {fields}", built.subject()));
        }
        if let Some(common) = common {
            set_common_metadata(built, &common.labels, &common.annotations);
        }
    }
    Ok((objects, dropped))
}

/// Jobs that remove themselves when they have ended.
fn vanishing_jobs(objects: &[Object]) -> HashSet<ObjectId> {
    objects
        .iter()
        .filter(|object| object.group() == "batch" && object.kind() == "Job")
        .filter(|job| {
            job.fields().get("spec").is_some_and(|spec| spec.get("ttlSecondsAfterFinished").is_some())
        })
        .map(ObjectId::of)
        .collect()
}

/// The objects whose health decides: everything applied, or those of `healthChecks`.
fn health_targets(object: &Kustomization, changes: &ChangeSet) -> Vec<Target> {
    let applied = |id: &ObjectId| changes.changes.iter().find(|change| change.entry.id == *id);
    let targets: Vec<Target> = if object.spec.wait {
        changes.changes.iter().filter(|change| change.action != Action::Skipped).map(Target::from).collect()
    } else {
        let own = object.namespace().unwrap_or_default();
        let ids = object.spec.health_checks.iter().map(|reference| {
            let api_version = reference.api_version.as_deref().filter(|version| !version.is_empty());
            let (group, _) = fluxide_apply::object::split_api_version(api_version.unwrap_or("apps/v1"));
            ObjectId {
                namespace: reference.namespace_or(&own).to_owned(),
                name: reference.name.clone(),
                group: group.to_owned(),
                kind: reference.kind.clone(),
            }
        });
        ids.map(|id| match applied(&id) {
            Some(change) => Target::from(change),
            None => Target { id, seen: None },
        })
        .collect()
    };
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let is_self = |id: &ObjectId| id.kind == "Kustomization" && id.name == name && id.namespace == namespace;
    targets.into_iter().filter(|target| !is_self(&target.id)).collect()
}
