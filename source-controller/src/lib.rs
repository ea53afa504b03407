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
use fluxide_runtime::{CancellationToken, Error, Manager, Profile};
use fluxide_source_api::GitRepository;
use kube::Client;

pub use options::Options;

use crate::git_repository::GitRepositoryReconciler;
use crate::identity::Identities;

/// What differs from other controllers.
pub const PROFILE: Profile = Profile { concurrent: 2, ..Profile::new("source-controller") };

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let storage_error = |error: String| Error::Service { name: "artifact storage".to_owned(), error };
    let algorithm = options
        .artifact_digest_algo
        .parse()
        .map_err(|error| storage_error(format!("--artifact-digest-algo: {error}")))?;
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
    let identities = Identities::new(&manager, &options);
    let reconciler = GitRepositoryReconciler::new(store, repositories.clone(), identities, &options);
    manager
        .controller(reconciler, |watches| watches.on(&repositories, git_repository::including))
        .run(shutdown)
        .await
}
