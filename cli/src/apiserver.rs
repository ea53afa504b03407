//! `fluxide apiserver`: the embedded Kubernetes API server alone.

use std::path::PathBuf;
use std::process::ExitCode;

use fluxide_apiserver::command;

/// Where it listens and what it keeps.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Port on the loopback interface; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Where to write the kubeconfig of the administrator [default: a file in the temporary directory].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Keep the objects in this directory between runs [default: in memory only].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Play the workload controllers: Deployments get ready, Jobs complete, Nodes and a StorageClass exist.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    simulate_workloads: bool,
}

/// Runs the server until SIGTERM or Ctrl-C; prints the kubeconfig's path when it serves.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let Options { port, kubeconfig, state, simulate_workloads } = options;
    command::run(command::Options { port, kubeconfig, state, simulate_workloads }).await?;
    Ok(ExitCode::SUCCESS)
}
