//! The cluster of a test or a benchmark: the embedded API server, or one that a kubeconfig names.

use std::path::Path;

use anyhow::Context;
use fluxide::dev::cluster::{client_from_kubeconfig, install_definitions};
use fluxide_apiserver::{RunningServer, Server};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::sync::OnceCell;

/// A cluster with Flux's CRDs in it and a namespace to work in.
pub struct Cluster {
    /// A client with the administrator's rights.
    pub client: Client,
    /// The text of the administrator's kubeconfig.
    pub kubeconfig: String,
    /// A namespace that was made for this use.
    pub namespace: String,
    /// The embedded API server, when that is the cluster.
    pub server: Option<RunningServer>,
}

impl Cluster {
    /// Starts the embedded API server, or connects to the cluster of a kubeconfig. The name of the namespace begins with
    /// `prefix`.
    pub async fn start(kubeconfig: Option<&Path>, prefix: &str) -> anyhow::Result<Self> {
        fluxide_runtime::tls::install_provider();
        let (kubeconfig, server) = match kubeconfig {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("the kubeconfig {} cannot be read", path.display()))?;
                (text, None)
            }
            None => {
                let server = Server::builder().start().await?;
                (server.kubeconfig(), Some(server))
            }
        };
        let client = client_from_kubeconfig(&kubeconfig).await?;
        if server.is_some() {
            install_definitions(&client).await?;
        } else {
            // Several tests of one process share the cluster that is there.
            static INSTALLED: OnceCell<()> = OnceCell::const_new();
            INSTALLED.get_or_try_init(|| install_definitions(&client)).await?;
        }
        let wanted = serde_json::from_value(json!({"metadata": {"generateName": prefix}}))?;
        let created = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &wanted).await?;
        let namespace = created.metadata.name.context("the API server gave no name")?;
        Ok(Self { client, kubeconfig, namespace, server })
    }

    /// Ends the embedded API server, or deletes the namespace from a cluster that goes on.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self.server {
            Some(server) => server.shutdown().await,
            None => {
                Api::<Namespace>::all(self.client).delete(&self.namespace, &Default::default()).await?;
            }
        }
        Ok(())
    }
}
