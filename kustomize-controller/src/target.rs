//! The cluster that a Kustomization is applied to, seen by the identity that applies it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fluxide_apply::cluster::Cluster;
use fluxide_auth::cluster::{Access, ClusterError};
use fluxide_kustomize_api::Kustomization;
use fluxide_meta::KubeConfigReference;
use fluxide_runtime::Key;
use fluxide_runtime::client;
use fluxide_runtime::metrics::{Metrics, TokenEvents};
use fluxide_runtime::remote::{self, Remote, Remotes};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt as _};

/// How many identities and how many remote clusters keep their client.
const MAX_CLIENTS: usize = 1000;

/// The operation that tokens for remote clusters are counted by.
const FETCH_KUBECONFIG: &str = "fetch_kubeconfig";

/// Why there is no client for a Kustomization's cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service account cannot be impersonated.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The remote cluster cannot be reached as the kubeconfig says.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The remote cluster cannot be entered any longer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Makes and keeps the clients of target clusters.
pub struct Targets {
    local: Cluster,
    remotes: Remotes,
    metrics: Arc<Metrics>,
    /// Clusters by namespace and service account.
    impersonating: Mutex<HashMap<(String, String), Cluster>>,
    /// Remote clusters, as long as what describes them is the same.
    remote: Mutex<HashMap<RemoteKey, Kept>>,
}

/// A remote cluster, and the version of what describes it.
#[derive(Clone)]
struct Kept {
    version: String,
    cluster: Cluster,
    access: Option<Arc<Access>>,
}

/// Which description of a remote cluster, seen by whom.
#[derive(Clone, PartialEq, Eq, Hash)]
struct RemoteKey {
    namespace: String,
    secret: Option<(String, Option<String>)>,
    config_map: Option<String>,
    account: Option<String>,
}

impl Targets {
    /// Targets that are reached by a client of the controller's own cluster.
    pub fn new(client: kube::Client, remotes: Remotes, metrics: Arc<Metrics>) -> Self {
        Self {
            local: Cluster::new(client),
            remotes,
            metrics,
            impersonating: Mutex::default(),
            remote: Mutex::default(),
        }
    }

    /// The service account on whose behalf a Kustomization is applied, if any.
    pub fn service_account<'a>(&'a self, kustomization: &'a Kustomization) -> Option<&'a str> {
        remote::service_account(kustomization.spec.service_account_name.as_deref(), &self.remotes.policy)
    }

    /// The cluster of a Kustomization.
    pub async fn cluster(&self, kustomization: &Kustomization, own: &kube::Client) -> Result<Cluster, Error> {
        match &kustomization.spec.kube_config {
            Some(reference) => self.remote(kustomization, reference, own).await,
            None => self.local(kustomization),
        }
    }

    /// The controller's own cluster, seen by the identity that applies a Kustomization there.
    pub fn local(&self, kustomization: &Kustomization) -> Result<Cluster, Error> {
        let Some(account) = self.service_account(kustomization) else { return Ok(self.local.clone()) };
        let namespace = kustomization.namespace().unwrap_or_default();
        let key = (namespace.clone(), account.to_owned());
        let mut kept = lock(&self.impersonating);
        if let Some(cluster) = kept.get(&key) {
            return Ok(cluster.clone());
        }
        let client = client::impersonating(self.local.client().clone(), &namespace, account)?;
        let cluster = self.local.with_identity(client, &format!("{namespace}/{account}"));
        if kept.len() >= MAX_CLIENTS {
            kept.clear();
        }
        kept.insert(key, cluster.clone());
        Ok(cluster)
    }

    /// A remote cluster. Its client and what it serves are kept until the Secret or ConfigMap that
    /// describes it changes.
    async fn remote(
        &self,
        kustomization: &Kustomization,
        reference: &KubeConfigReference,
        own: &kube::Client,
    ) -> Result<Cluster, Error> {
        let namespace = kustomization.namespace().unwrap_or_default();
        let account = self.service_account(kustomization);
        let key = RemoteKey {
            namespace: namespace.clone(),
            secret: reference.secret_ref.as_ref().map(|secret| (secret.name.clone(), secret.key.clone())),
            config_map: reference.config_map_ref.as_ref().map(|config_map| config_map.name.clone()),
            account: account.map(str::to_owned),
        };
        let version = version(reference, own, &namespace).await;
        let of_object = Key::of(kustomization);
        let events = TokenEvents::new(self.metrics.clone(), "Kustomization", of_object, FETCH_KUBECONFIG);
        if let Some(version) = &version {
            let kept = lock(&self.remote).get(&key).filter(|kept| kept.version == *version).cloned();
            if let Some(kept) = kept {
                // A token that cannot be had is told before anything is done.
                if let Some(access) = &kept.access {
                    access.renew(&events).await?;
                }
                return Ok(kept.cluster);
            }
        }
        let of_object = kustomization.spec.service_account_name.as_deref();
        let made = self.remotes.client_for(own, &namespace, Some(reference), of_object, &events);
        let Remote { client, access } = made.await?;
        let cluster = Cluster::new(client);
        let cluster = match account {
            Some(account) => {
                cluster.with_identity(cluster.client().clone(), &format!("{namespace}/{account}"))
            }
            None => cluster,
        };
        if let Some(version) = version {
            let mut kept = lock(&self.remote);
            if kept.len() >= MAX_CLIENTS {
                kept.clear();
            }
            kept.insert(key, Kept { version, cluster: cluster.clone(), access });
        }
        Ok(cluster)
    }
}

/// The version of what describes a remote cluster; `None` when it cannot be read.
async fn version(reference: &KubeConfigReference, own: &kube::Client, namespace: &str) -> Option<String> {
    let metadata = if let Some(secret) = &reference.secret_ref {
        Api::<Secret>::namespaced(own.clone(), namespace).get_metadata(&secret.name).await.ok()?.metadata
    } else {
        let config_map = reference.config_map_ref.as_ref()?;
        Api::<ConfigMap>::namespaced(own.clone(), namespace)
            .get_metadata(&config_map.name)
            .await
            .ok()?
            .metadata
    };
    Some(format!("{}/{}", metadata.uid?, metadata.resource_version?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
