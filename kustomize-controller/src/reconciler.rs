//! One pass over a Kustomization: from the artifact of its source to healthy objects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fluxide_apply::live::{Live, Sight};
use fluxide_apply::managed_fields::TakeOver;
use fluxide_apply::memory::{Marks, Memory};
use fluxide_apply::order::GroupKind;
use fluxide_artifact::{ArtifactCache, FetchError};
use fluxide_auth::TokenCache;
use fluxide_cel::Expression;
use fluxide_kustomize_api::Kustomization;
use fluxide_meta::condition::reasons;
use fluxide_meta::{Artifact, DependencyReference};
use fluxide_runtime::conditions::{self, HEALTHY, READY};
use fluxide_runtime::feature_gates::OBJECT_LEVEL_WORKLOAD_IDENTITY;
use fluxide_runtime::metrics::{Metrics, TokenEvents};
use fluxide_runtime::{Failure, FeatureGates, Key, Outcome, Pass, Reconciler, Store};
use kube::{Api, ResourceExt as _};

use crate::dependency::Waiting;
use crate::prepare::{Rules, owner, terminal};
use crate::rollout::Rollout;
use crate::source::{self, Sources};
use crate::status::{self, Progress};
use crate::stop::{Done, Stop, event_metadata};
use crate::target::Targets;
use crate::{build, dependency, finalize, options};

/// API group whose labels mark applied objects.
pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";

/// Field manager of applied objects.
pub const FIELD_MANAGER: &str = "kustomize-controller";

/// Annotation of a Kustomization that turns live drift correction on or off for it.
pub const LIVE_DRIFT_ANNOTATION: &str = "kustomize.toolkit.fluxcd.io/live-drift-detection";

/// How this controller was told to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many objects of one stage are tried and written in parallel.
    pub concurrent_ssa: usize,
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
    /// The Secret with age keys for Kustomizations that name none, in the controller's namespace.
    pub sops_age_secret: String,
    /// The ConfigMap that says how to log in to Vault servers, in the controller's namespace.
    pub sops_vault_config_map: String,
    /// Whose identity opens data keys for Kustomizations that name none.
    pub default_decryption_account: String,
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
    pub memories: Arc<Memories>,
    /// Which Kustomizations wait for what they depend on.
    pub waiting: Arc<Waiting>,
    /// Live knowledge of applied objects, for the Kustomizations that use it.
    pub live: Live,
    /// Fetches the remote bases of builds.
    pub http: reqwest::Client,
    /// Tokens for key management services.
    pub tokens: TokenCache,
    /// Counts how often a token was at hand.
    pub metrics: Arc<Metrics>,
}

/// What earlier passes found out about the objects of each Kustomization, at one generation of its
/// spec.
pub struct Memories {
    marks: Marks,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    of: HashMap<Key, Recollection>,
    /// Which Kustomizations are being worked on.
    running: HashSet<Key>,
}

struct Recollection {
    generation: i64,
    memory: Arc<Memory>,
    /// Digest of the artifact that was brought about completely.
    settled: Option<String>,
}

impl Memories {
    /// Memories of objects whose fields are taken over from further managers.
    pub fn new(override_managers: &[String]) -> Self {
        let take_over = TakeOver {
            field_manager: FIELD_MANAGER.to_owned(),
            override_managers: override_managers.to_vec(),
        };
        Self { marks: Marks { take_over, group: GROUP.to_owned() }, remembered: Mutex::default() }
    }

    /// What objects are known by.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// What is known of the objects of a Kustomization.
    pub fn of(&self, object: &Kustomization) -> Arc<Memory> {
        let generation = object.metadata.generation.unwrap_or(0);
        let mut remembered = self.lock();
        let fresh =
            || Recollection { generation, memory: Arc::new(Memory::new(self.marks.clone())), settled: None };
        let known = remembered.of.entry(Key::of(object)).or_insert_with(fresh);
        if known.generation != generation {
            *known = fresh();
        }
        known.memory.clone()
    }

    /// What is known of the objects of a Kustomization that a pass was made over.
    pub fn known(&self, key: &Key) -> Option<Arc<Memory>> {
        self.lock().of.get(key).map(|known| known.memory.clone())
    }

    /// True while a pass is made over a Kustomization.
    pub fn is_running(&self, key: &Key) -> bool {
        self.lock().running.contains(key)
    }

    /// True when an artifact was brought about completely and the spec is still the same.
    fn is_settled(&self, object: &Kustomization, digest: &str) -> bool {
        let remembered = self.lock();
        let known = remembered.of.get(&Key::of(object));
        known.is_some_and(|known| {
            known.generation == object.metadata.generation.unwrap_or(0)
                && known.settled.as_deref() == Some(digest)
        })
    }

    fn settle(&self, key: &Key, digest: Option<&str>) {
        if let Some(known) = self.lock().of.get_mut(key) {
            known.settled = digest.map(str::to_owned);
        }
    }

    /// Forgets a Kustomization that is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().of.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a Kustomization as being worked on.
struct Running<'a>(&'a Memories, Key);

impl<'a> Running<'a> {
    fn start(memories: &'a Memories, key: &Key) -> Self {
        memories.lock().running.insert(key.clone());
        Self(memories, key.clone())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running.remove(&self.1);
    }
}

impl Reconciler for KustomizationReconciler {
    type Kind = Kustomization;

    async fn reconcile(&self, object: &mut Kustomization, pass: &Pass) -> Result<Outcome, Failure> {
        let _running = Running::start(&self.memories, pass.key());
        let will_wait = object.spec.wait || !object.spec.health_checks.is_empty();
        let mut progress = Progress::new(will_wait);
        let mut artifact = None;
        let result = self.attempt(object, pass, &mut progress, &mut artifact).await;
        let metadata = artifact.as_ref().map(event_metadata).unwrap_or_default();
        match result {
            Ok(done) => Ok(self.succeeded(object, pass, done, metadata)),
            Err(stop) => Err(self.stopped(object, pass, &progress, stop, metadata)),
        }
    }

    async fn finalize(&self, object: &mut Kustomization, pass: &Pass) -> Result<(), Failure> {
        finalize::finalize(self, object, pass).await
    }

    fn settles_suspended(&self) -> bool {
        true
    }

    fn settle(
        &self,
        object: &mut Kustomization,
        result: Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        if !object.spec.suspend {
            return fluxide_runtime::settle::settle(object, result);
        }
        if conditions::is_ready(object) {
            conditions::delete(object, conditions::RECONCILING);
            status::status_mut(object).observed_generation = object.metadata.generation.unwrap_or(0);
        }
        Ok(Outcome::Done)
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
    ) -> Result<Done, Stop> {
        let rules = Rules::of(object)?;
        self.check_gates(object)?;
        let artifact = self.artifact(object).await?;
        *found = Some(artifact.clone());
        self.waiting.begin(pass.key());
        let checked = self.check_dependencies(object, pass, &artifact.revision).await;
        if !matches!(checked, Err(Stop::Waiting { .. })) {
            self.waiting.end(pass.key());
        }
        checked?;

        if self.is_untouched(object, &artifact).await {
            return Ok(Done::Untouched);
        }
        self.memories.settle(pass.key(), None);

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

        build::find(directory.path(), &object.spec)
            .map_err(|error| Stop::failed(reasons::ARTIFACT_FAILED, error))?;
        status::status_mut(object).last_attempted_revision = Some(revision.clone());
        progress.step(object, pass, phase("Building manifests")).await;
        let cluster = self
            .targets
            .cluster(object, pass.client())
            .await
            .map_err(|error| Stop::NoCluster { message: error.to_string() })?;
        let built = build::build(self, object, pass.client(), directory).await?;

        progress.step(object, pass, phase("Detecting drift")).await;
        let origin = artifact.origin_revision().map(str::to_owned);
        let started = Instant::now() - pass.elapsed();
        let digest = built.digest.clone();
        let rollout = Rollout {
            reconciler: self,
            pass,
            artifact: &artifact,
            cluster: &cluster,
            owner: owner(object),
            old_inventory,
            memory: self.memories.of(object),
        };
        let result = rollout.run(object, progress, built, rules).await;
        let record = |object: &mut Kustomization, reason: &str| {
            status::record_history(object, &digest, reason, started.elapsed(), &revision, origin.as_deref());
        };
        match &result {
            Ok(_) => {
                self.memories.settle(pass.key(), Some(&artifact.digest));
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

    /// Live knowledge of the objects of a Kustomization, if it uses that.
    pub(crate) fn live_for(&self, object: &Kustomization) -> Option<Live> {
        let by_annotation = object
            .annotations()
            .get(LIVE_DRIFT_ANNOTATION)
            .map(|value| value.eq_ignore_ascii_case("enabled"));
        let is_wanted =
            by_annotation.unwrap_or_else(|| self.settings.gates.enabled(options::LIVE_DRIFT_DETECTION));
        // Objects of other clusters carry the same labels for the same names.
        (is_wanted && object.spec.kube_config.is_none()).then(|| self.live.clone())
    }

    /// True when all is known to be as the last pass left it: the same artifact and spec, and every
    /// object unchanged and still healthy by the word of the watches.
    async fn is_untouched(&self, object: &Kustomization, artifact: &Artifact) -> bool {
        let Some(live) = self.live_for(object) else { return false };
        let spec = &object.spec;
        let reads_others = spec.decryption.is_some()
            || spec.post_build.as_ref().is_some_and(|post_build| !post_build.substitute_from.is_empty());
        let is_requested = fluxide_runtime::predicate::requested_at(object).is_some_and(|requested| {
            object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref())
                != Some(requested)
        });
        if reads_others
            || is_requested
            || !conditions::is_ready(object)
            || !self.memories.is_settled(object, &artifact.digest)
        {
            return false;
        }
        let (Ok(cluster), Ok(inventory)) = (self.targets.local(object), status::inventory(object)) else {
            return false;
        };
        let memory = self.memories.of(object);
        for entry in &inventory {
            let id = &entry.id;
            let Ok(resource) = cluster.resource(&entry.api_version(), &id.kind).await else { return false };
            let Sight::At(state) = live.sight(&cluster, &resource, &id.namespace, &id.name) else {
                return false;
            };
            let is_checked = spec.wait || !spec.health_checks.is_empty();
            let is_healthy = !is_checked || memory.was_healthy_at(id, &state.resource_version);
            if !is_healthy || !memory.is_as_applied(id, &state) {
                return false;
            }
        }
        // Objects of others that are checked have to be read.
        spec.wait || spec.health_checks.is_empty()
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

    /// Namespaces that are never pruned: that of the object and that of the controller.
    pub(crate) fn protected(&self, object: &Kustomization) -> Vec<String> {
        let own = object.namespace().unwrap_or_default();
        let controller = self.settings.runtime_namespace.clone();
        [own, controller].into_iter().filter(|namespace| !namespace.is_empty()).collect()
    }

    /// Who is told about tokens that the builds of a Kustomization need.
    pub(crate) fn observe_tokens(&self, object: &Kustomization) -> fluxide_kms::Observer {
        let (metrics, key) = (self.metrics.clone(), Key::of(object));
        Arc::new(move |operation| {
            Box::new(TokenEvents::new(metrics.clone(), "Kustomization", key.clone(), operation))
        })
    }

    fn requeue(&self) -> String {
        status::go_duration(self.settings.requeue_dependency)
    }
}
