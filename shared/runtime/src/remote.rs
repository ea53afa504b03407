//! Clients for the cluster an object's work goes to: another one by `spec.kubeConfig`, or this one,
//! as the controller itself or as a service account.

mod kubeconfig;
mod workload_identity;

use crate::{
    client,
    key::Key,
    secrets::{self, Secret},
};
use fluxide_meta::KubeConfigReference;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

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
    #[error("unable to read KubeConfig configmap '{config_map}' error: {reason}")]
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
    /// Naming a service account needs a feature gate.
    #[error(
        "to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"
    )]
    FeatureGateDisabled,
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

/// The client for an object's work.
///
/// `own` has the controller's identity in this cluster, and reads what the object refers to. A
/// service account must exist in this cluster, unless the work goes to another.
pub async fn client_for(
    own: &Client,
    controller: &str,
    namespace: &str,
    kube_config: Option<&KubeConfigReference>,
    of_object: Option<&str>,
    policy: &RemotePolicy,
) -> Result<Client, Error> {
    let account = service_account(of_object, policy);
    let client = match kube_config {
        Some(reference) => remote(own, controller, namespace, reference, policy).await?,
        None => {
            if let Some(account) = account {
                check_service_account(own, namespace, account).await?;
            }
            own.clone()
        }
    };
    match account {
        Some(account) => Ok(client::impersonating(client, namespace, account)?),
        None => Ok(client),
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

async fn remote(
    own: &Client,
    controller: &str,
    namespace: &str,
    reference: &KubeConfigReference,
    policy: &RemotePolicy,
) -> Result<Client, Error> {
    if let Some(secret_ref) = &reference.secret_ref {
        let key = Key::new(namespace, secret_ref.name.as_str());
        let secret = Secret::get(own, namespace, &secret_ref.name).await;
        let secret =
            secret.map_err(|error| Error::ReadSecret { secret: key.clone(), error: words(error) })?;
        let text = kubeconfig::find(&secret, secret_ref.key.as_deref())?;
        let failed = |reason| Error::Kubeconfig { secret: key.clone(), reason };
        let config = kubeconfig::config(text, policy).await.map_err(failed)?;
        return Ok(client::from_config(config, controller)?);
    }
    let Some(config_map_ref) = &reference.config_map_ref else {
        return Err(Error::NoReference);
    };
    workload_identity::client(own, controller, namespace, &config_map_ref.name, policy).await
}
