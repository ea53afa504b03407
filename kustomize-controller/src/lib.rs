//! Builds Kustomizations from artifacts and keeps them applied.

pub mod artifact_fs;
pub mod build;
pub mod decrypt;
mod dependency;
mod drift;
mod finalize;
pub mod generate;
pub mod options;
mod prepare;
pub mod reconciler;
pub mod remote_bases;
mod rollout;
pub mod source;
mod status;
mod stop;
pub mod substitute;
pub mod target;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fluxide_apply::order::parse_group_kinds;
use fluxide_artifact::fetch::FetchOptions;
use fluxide_artifact::{ArtifactCache, CacheOptions, Fetcher};
use fluxide_auth::TokenCache;
use fluxide_kustomize_api::Kustomization;
use fluxide_kustomize_api::kustomization::VariablesKind;
use fluxide_runtime::remote::{RemotePolicy, Remotes};
use fluxide_runtime::{CancellationToken, Error, Key, Manager, Trigger};
use fluxide_source_api::{Bucket, ExternalArtifact, GitRepository, OCIRepository};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

pub use options::{Options, PROFILE};
pub use prepare::{ignore_rules, owner};

use crate::dependency::Waiting;
use crate::drift::DriftWatch;
use crate::reconciler::{KustomizationReconciler, Memories, Settings};
use crate::source::Sources;
use crate::target::Targets;

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: kube::Client, shutdown: CancellationToken) -> Result<(), Error> {
    let manager = manager(&options, client)?;
    manager.run(shutdown).await
}

/// The controller, ready to run.
pub fn manager(options: &Options, client: kube::Client) -> Result<Manager, Error> {
    let mut manager = Manager::new(&PROFILE, &options.common, client)?;
    let gates = Arc::new(manager.gates().clone());

    let workload_identity = gates.enabled(fluxide_runtime::feature_gates::OBJECT_LEVEL_WORKLOAD_IDENTITY);

    let sources = Sources {
        git_repositories: manager.store::<GitRepository>(),
        oci_repositories: manager.store::<OCIRepository>(),
        buckets: manager.store::<Bucket>(),
        external_artifacts: gates
            .enabled(options::EXTERNAL_ARTIFACT)
            .then(|| manager.store::<ExternalArtifact>()),
        no_cross_namespace_refs: options.common.no_cross_namespace_refs,
        direct: gates.enabled(options::DIRECT_SOURCE_FETCH).then(|| manager.client()),
    };
    let configs = (!gates.enabled(options::DISABLE_CONFIG_WATCHERS))
        .then(|| (manager.config_store::<ConfigMap>(), manager.config_store::<Secret>()));
    let kustomizations = manager.primary_store::<Kustomization>();

    let settings = Settings {
        concurrent_ssa: options.concurrent_ssa,
        custom_stage_kinds: parse_group_kinds(&options.custom_apply_stage_kinds),
        requeue_dependency: options.common.requeue_dependency.0,
        no_cross_namespace_refs: options.common.no_cross_namespace_refs,
        no_remote_bases: options.no_remote_bases,
        runtime_namespace: options.common.runtime_namespace.clone(),
        sops_age_secret: options.sops_age_secret.clone(),
        sops_vault_config_map: options.sops_vault_configmap.clone(),
        default_decryption_account: options.default_decryption_service_account.clone(),
        gates,
    };
    let memories = Arc::new(Memories::new(&options.override_manager));
    let trigger = Trigger::default();
    let waiting = Arc::new(Waiting::default());
    let (live, drift_watch) = DriftWatch::new(memories.clone(), trigger.clone());
    let tokens = TokenCache::new(
        options.common.token_cache_max_size,
        options.common.token_cache_max_duration.0.min(MAX_TOKEN_LIFE),
    );
    let remotes = Remotes::new(PROFILE.name, remote_policy(options, workload_identity), tokens.clone());
    let reconciler = KustomizationReconciler {
        settings,
        sources: sources.clone(),
        kustomizations: kustomizations.clone(),
        artifacts: artifacts(options)?,
        targets: Targets::new(manager.client(), remotes, manager.metrics()),
        memories,
        waiting: waiting.clone(),
        live,
        http: http_client()?,
        tokens,
        metrics: manager.metrics(),
    };
    let manager = manager.service("drift-watch", |stop| async {
        drift_watch.run(stop).await;
        Ok::<(), Error>(())
    });
    Ok(manager.controller(reconciler, |mut watches| {
        watches = watches
            .triggered_by(&trigger)
            .on(&sources.git_repositories, |change, all| {
                watches::by_source(change, all, |source| source.status.as_ref()?.artifact.clone())
            })
            .on(&sources.oci_repositories, |change, all| {
                watches::by_source(change, all, |source| source.status.as_ref()?.artifact.clone())
            })
            .on(&sources.buckets, |change, all| {
                watches::by_source(change, all, |source| source.status.as_ref()?.artifact.clone())
            })
            .on(&kustomizations, move |change, all| watches::by_dependency(change, all, &waiting));
        if let Some(external_artifacts) = &sources.external_artifacts {
            watches = watches.on(external_artifacts, |change, all| {
                watches::by_source(change, all, |source| source.status.as_ref()?.artifact.clone())
            });
        }
        if let Some((config_maps, secrets)) = &configs {
            watches = watches
                .on(config_maps, |change, all| {
                    let key = change.object().map(|object| Key::of(object.as_ref()));
                    key.map(|key| watches::by_config(&VariablesKind::ConfigMap, &key, all))
                        .unwrap_or_default()
                })
                .on(secrets, |change, all| {
                    let key = change.object().map(|object| Key::of(object.as_ref()));
                    key.map(|key| watches::by_config(&VariablesKind::Secret, &key, all)).unwrap_or_default()
                });
        }
        watches
    }))
}

/// The longest that a token is kept.
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// A client for remote bases: it has no credentials of any kind.
fn http_client() -> Result<reqwest::Client, Error> {
    let agent = concat!("kustomize-controller/", env!("CARGO_PKG_VERSION"));
    reqwest::Client::builder().user_agent(agent).build().map_err(setup_error)
}

fn remote_policy(options: &Options, workload_identity: bool) -> RemotePolicy {
    RemotePolicy {
        allow_exec: options.insecure_kubeconfig_exec,
        allow_insecure_tls: options.insecure_kubeconfig_tls,
        default_service_account: options.common.default_service_account.clone(),
        default_kubeconfig_service_account: options.default_kubeconfig_service_account.clone(),
        object_level_workload_identity: workload_identity,
    }
}

/// The cache of unpacked artifacts, in a directory of its own among the temporary files of the process.
fn artifacts(options: &Options) -> Result<ArtifactCache, Error> {
    static INSTANCES: AtomicU32 = AtomicU32::new(0);
    let fetch = FetchOptions { retries: options.http_retry, ..FetchOptions::from_env() };
    let fetcher = Fetcher::new(fetch).map_err(setup_error)?;
    let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
    let name = format!("kustomize-controller-{}-artifacts-{instance}", std::process::id());
    let directory = tempfile::env::temp_dir().join(name);
    ArtifactCache::new(directory, fetcher, CacheOptions::default()).map_err(setup_error)
}

fn setup_error(error: impl ToString) -> Error {
    Error::Service { name: "setup".to_owned(), error: error.to_string() }
}
