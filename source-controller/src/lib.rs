//! Fetches sources and publishes them as artifacts.
//!
//! [`run`] is the whole controller: an artifact store, the server of its files and one reconciler for each kind.

mod git_repository;
mod identity;
mod options;
mod source;

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fluxide_artifact::{Store, StoreOptions};
use fluxide_runtime::{CancellationToken, Error, Manager, Profile, Store as Objects};
use fluxide_source_api::GitRepository;
use kube::Client;

pub use options::Options;

use crate::git_repository::GitRepositoryReconciler;
use crate::identity::Identities;

/// What differs from other controllers.
pub const PROFILE: Profile = Profile {
    concurrent: 2,
    retired_feature_gates: &["OptimizedGitClones"],
    ..Profile::new("source-controller")
};

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let storage_error = |error: String| Error::Service { name: "artifact storage".to_owned(), error };
    let algorithm = options.digest_algorithm().map_err(storage_error)?;
    if options.helm_cache_max_size == 0 {
        tracing::info!(logger = "setup", "caching of Helm index files is disabled");
    }
    let listener = fluxide_runtime::server::listen(&options.storage_addr).await?;
    let advertised = options
        .advertised_address(listener.as_ref().and_then(|l| l.local_addr().ok()))
        .map_err(storage_error)?;
    let store = Store::new(StoreOptions {
        root: options.storage_path.clone(),
        advertised_address: advertised,
        retention_ttl: options.artifact_retention_ttl.0,
        retention_records: options.artifact_retention_records,
        algorithm,
    })
    .map_err(|error| storage_error(error.to_string()))?;
    let store = Arc::new(store);

    let mut manager = Manager::new(&PROFILE, &options.common, client)?;
    let is_leader = Arc::new(AtomicBool::new(false));
    if let Some(listener) = listener {
        let router = fluxide_artifact::server::router(store.root(), is_leader.clone());
        manager = manager.service("artifact server", move |stop| {
            axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).into_future()
        });
    }
    manager = manager.leader_service("artifact server gate", move |stop| async move {
        is_leader.store(true, Ordering::Relaxed);
        stop.cancelled().await;
        Ok::<(), std::convert::Infallible>(())
    });

    let repositories = manager.store::<GitRepository>();
    let own_repositories = manager.primary_store::<GitRepository>();
    manager = manager.leader_service("artifact sweep", {
        let (store, repositories) = (store.clone(), repositories.clone());
        let namespace = options.common.watched_namespace()?.map(str::to_owned);
        move |stop| sweep(store, [repositories, own_repositories], namespace, stop)
    });
    let identities = Identities::new(&manager, &options);
    let reconciler = GitRepositoryReconciler::new(store, repositories.clone(), identities, &options);
    manager
        .controller(reconciler, |watches| watches.on(&repositories, git_repository::including))
        .run(shutdown)
        .await
}

/// Removes what is stored for repositories that were deleted while nobody watched; in one namespace if only that is
/// watched.
async fn sweep(
    store: Arc<Store>,
    repositories: [Objects<GitRepository>; 2],
    watched: Option<String>,
    stop: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    let ready = async {
        for repositories in &repositories {
            repositories.wait_ready().await;
        }
    };
    tokio::select! {
        () = ready => {}
        () = stop.cancelled() => return Ok(()),
    }
    let swept = source::blocking(move || {
        // Asked about each directory after it was found: an object that made one since is there by then.
        store.sweep("gitrepository", &|namespace, name| {
            watched.as_deref().is_some_and(|watched| watched != namespace)
                || repositories.iter().any(|repositories| repositories.find(namespace, name).is_some())
        })
    })
    .await;
    match swept {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "removed the artifacts of objects that are gone"),
        Err(error) => tracing::error!(%error, "failed to remove the artifacts of objects that are gone"),
    }
    stop.cancelled().await;
    Ok(())
}
