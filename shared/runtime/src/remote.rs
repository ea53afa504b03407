//! Clients for the cluster an object's work goes to: another one by `spec.kubeConfig`, or this one,
//! as the controller itself or as a service account.

mod kubeconfig;
mod workload_identity;

use crate::{
    client,
    key::Key,
    secrets::{self, Secret},
};
use fluxide_auth::{
    CacheEvents, TokenCache,
    cluster::{Access, ClusterError, Clusters},
};
use fluxide_meta::KubeConfigReference;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use std::sync::Arc;

/// What remote kubeconfigs may do, and whose name work is done in by default.
#[derive(Clone, Debug, Default)]
pub struct RemotePolicy {
    /// `--insecure-kubeconfig-exec`: kubeconfigs may start programs.
    pub allow_exec: bool,
    /// `--insecure-kubeconfig-tls`: kubeconfigs may turn TLS verification off.
    pub allow_insecure_tls: bool,
    /// `--default-service-account`: who to act as when the object does not say.
    pub default_service_account: String,
    /// `--default-kubeconfig-service-account`: whose identity to show a remote cluster when the
    /// ConfigMap does not say.
    pub default_kubeconfig_service_account: String,
    /// The feature gate `ObjectLevelWorkloadIdentity`.
    pub object_level_workload_identity: bool,
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Secret cannot be read.
    #[error("unable to read KubeConfig secret '{secret}' error: {error}")]
    ReadSecret {
        /// Which.
        secret: Key,
        /// Why not.
        error: String,
    },
    /// The Secret has no kubeconfig under the key.
    #[error("KubeConfig secret '{secret}' does not contain a '{key}' key with a kubeconfig")]
    NoKubeconfig {
        /// Which.
        secret: Key,
        /// The key that was looked for.
        key: String,
    },
    /// The kubeconfig is wrong.
    #[error("KubeConfig secret '{secret}': {reason}")]
    Kubeconfig {
        /// Which Secret.
        secret: Key,
        /// What is wrong, without its text.
        reason: String,
    },
    /// The ConfigMap cannot be read.
    #[error("failed to get configmap {config_map}: {reason}")]
    ReadConfigMap {
        /// Which.
        config_map: Key,
        /// Why not.
        reason: String,
    },
    /// The ConfigMap is wrong.
    #[error("KubeConfig configmap '{config_map}': {reason}")]
    ConfigMap {
        /// Which.
        config_map: Key,
        /// What is wrong.
        reason: String,
    },
    /// Neither a Secret nor a ConfigMap.
    #[error("exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified")]
    NoReference,
    /// Showing the identity of a service account needs a feature gate.
    #[error(
        "failed to get access token for cluster: ObjectLevelWorkloadIdentity feature gate is not enabled"
    )]
    FeatureGateDisabled,
    /// The cluster cannot be entered.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The service account to act as does not exist.
    #[error("serviceaccount '{0}' not found")]
    ServiceAccountNotFound(Key),
    /// The API server did not say whether the service account exists.
    #[error("failed to get serviceaccount '{account}': {reason}")]
    ServiceAccount {
        /// Which.
        account: Key,
        /// Why not.
        reason: String,
    },
    /// No client for valid settings.
    #[error(transparent)]
    Client(#[from] client::Error),
}

/// The service account an object's work is done as, if any.
pub fn service_account<'a>(of_object: Option<&'a str>, policy: &'a RemotePolicy) -> Option<&'a str> {
    of_object
        .filter(|name| !name.is_empty())
        .or(Some(policy.default_service_account.as_str()))
        .filter(|name| !name.is_empty())
}

/// Makes the clients for objects' work.
#[derive(Clone)]
pub struct Remotes {
    /// The name that clients give themselves.
    pub controller: String,
    /// What kubeconfigs may do, and whose name work is done in.
    pub policy: RemotePolicy,
    /// Enters clusters without kubeconfigs.
    pub clusters: Clusters,
}

/// A client for an object's work, and by what it is let in if that is not a kubeconfig.
pub struct Remote {
    /// The client.
    pub client: Client,
    /// What makes its tokens.
    pub access: Option<Arc<Access>>,
}

impl Remotes {
    /// Remotes of a controller, whose tokens are kept in a cache.
    pub fn new(controller: &str, policy: RemotePolicy, tokens: TokenCache) -> Self {
        let clusters = Clusters::new(fluxide_auth::Environment::process(), tokens);
        Self { controller: controller.to_owned(), policy, clusters }
    }

    /// The client for an object's work.
    ///
    /// `own` has the controller's identity in this cluster, and reads what the object refers to. A
    /// service account must exist in this cluster, unless the work goes to another. `events` hear
    /// whether tokens for the other cluster were at hand.
    pub async fn client_for(
        &self,
        own: &Client,
        namespace: &str,
        kube_config: Option<&KubeConfigReference>,
        of_object: Option<&str>,
        events: &dyn CacheEvents,
    ) -> Result<Remote, Error> {
        let account = service_account(of_object, &self.policy);
        let mut remote = match kube_config {
            Some(reference) => self.remote(own, namespace, reference, events).await?,
            None => {
                if let Some(account) = account {
                    check_service_account(own, namespace, account).await?;
                }
                Remote { client: own.clone(), access: None }
            }
        };
        if let Some(account) = account {
            remote.client = client::impersonating(remote.client, namespace, account)?;
        }
        Ok(remote)
    }

    async fn remote(
        &self,
        own: &Client,
        namespace: &str,
        reference: &KubeConfigReference,
        events: &dyn CacheEvents,
    ) -> Result<Remote, Error> {
        if let Some(secret_ref) = &reference.secret_ref {
            let key = Key::new(namespace, secret_ref.name.as_str());
            let secret = Secret::get(own, namespace, &secret_ref.name).await;
            let secret =
                secret.map_err(|error| Error::ReadSecret { secret: key.clone(), error: words(error) })?;
            let text = kubeconfig::find(&secret, secret_ref.key.as_deref())?;
            let failed = |reason| Error::Kubeconfig { secret: key.clone(), reason };
            let config = kubeconfig::config(text, &self.policy).await.map_err(failed)?;
            return Ok(Remote { client: client::from_config(config, &self.controller)?, access: None });
        }
        let Some(config_map_ref) = &reference.config_map_ref else {
            return Err(Error::NoReference);
        };
        workload_identity::client(self, own, namespace, &config_map_ref.name, events).await
    }
}

/// Fails unless a service account exists in this cluster.
pub async fn check_service_account(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let account = Key::new(namespace, name);
    let api = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    match api.get_metadata_opt(name).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::ServiceAccountNotFound(account)),
        Err(error) => Err(Error::ServiceAccount { account, reason: client::message(&error) }),
    }
}

/// What the API server says of a Secret that it does not give.
fn words(error: secrets::Error) -> String {
    match error {
        secrets::Error::NotFound(secret) => format!("secrets \"{}\" not found", secret.name),
        secrets::Error::Get { reason, .. } => reason,
        error => error.to_string(),
    }
}
