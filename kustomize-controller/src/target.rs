//! The cluster that a Kustomization is applied to, seen by the identity that applies it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fluxide_apply::cluster::Cluster;
use fluxide_kustomize_api::Kustomization;
use fluxide_runtime::client;
use kube::ResourceExt as _;

/// How many identities keep their client.
const MAX_CLIENTS: usize = 1000;

/// Why there is no client for a Kustomization's cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service account cannot be impersonated.
    #[error("{0}")]
    Client(#[from] client::Error),
}

/// Makes and keeps the clients of target clusters.
pub struct Targets {
    local: Cluster,
    default_service_account: String,
    impersonating: Mutex<HashMap<(String, String), Cluster>>,
}

impl Targets {
    /// Targets that are reached by a client of the controller's own cluster.
    pub fn new(client: kube::Client, default_service_account: &str) -> Self {
        Self {
            local: Cluster::new(client),
            default_service_account: default_service_account.to_owned(),
            impersonating: Mutex::default(),
        }
    }

    /// The controller's own cluster with its own identity.
    pub fn local(&self) -> &Cluster {
        &self.local
    }

    /// The service account on whose behalf a Kustomization is applied, if any.
    pub fn service_account<'a>(&'a self, kustomization: &'a Kustomization) -> Option<&'a str> {
        let own = kustomization.spec.service_account_name.as_deref().filter(|name| !name.is_empty());
        own.or(Some(&*self.default_service_account)).filter(|name| !name.is_empty())
    }

    /// The cluster of a Kustomization.
    pub async fn cluster(&self, kustomization: &Kustomization) -> Result<Cluster, Error> {
        let Some(account) = self.service_account(kustomization) else { return Ok(self.local.clone()) };
        let namespace = kustomization.namespace().unwrap_or_default();
        let key = (namespace.clone(), account.to_owned());
        let mut kept = self.impersonating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = kept.get(&key) {
            return Ok(cluster.clone());
        }
        let client = client::impersonating(self.local.client().clone(), &namespace, account)?;
        let cluster = self.local.with_client(client);
        if kept.len() >= MAX_CLIENTS {
            kept.clear();
        }
        kept.insert(key, cluster.clone());
        Ok(cluster)
    }
}
