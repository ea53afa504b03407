//! Which cluster a command talks to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use fluxide_runtime::duration::GoDuration;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Flags of commands that need a cluster.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct ConnectionOptions {
    /// The kubeconfig file [default: what KUBECONFIG names, or ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of its current one.
    #[arg(long)]
    pub context: Option<String>,
    /// The namespace to look in.
    #[arg(short, long, default_value = "flux-system")]
    pub namespace: String,
    /// How long the command may take.
    #[arg(long, default_value = "5m0s")]
    pub timeout: GoDuration,
}

impl ConnectionOptions {
    /// A client of the cluster.
    pub async fn client(&self) -> anyhow::Result<Client> {
        fluxide_runtime::tls::install_provider();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path)
                    .with_context(|| format!("the kubeconfig {} cannot be read", path.display()))?;
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .with_context(|| format!("the kubeconfig {} cannot be used", path.display()))?
            }
            None if self.context.is_some() => {
                Config::from_kubeconfig(&options).await.context("the kubeconfig cannot be used")?
            }
            None => Config::infer()
                .await
                .context("there is no cluster to talk to: set KUBECONFIG or give --kubeconfig")?,
        };
        Ok(fluxide_runtime::client::from_config(config, "fluxide")?)
    }

    /// How long the command may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.0
    }
}
