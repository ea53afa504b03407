//! What the controllers take when there is nothing to do.

use std::path::PathBuf;
use std::time::Duration;

use fluxide::dev::controllers::NAMES;

use crate::lab::{Lab, Phase};

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// The cluster to use instead of the embedded API server.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// How long to be idle, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Starts all controllers in an empty namespace and looks at them after a while.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let lab = Lab::start(options.kubeconfig.as_ref()).await?;
    let launcher = lab.launcher()?;
    let processes = NAMES.iter().map(|name| launcher.start(name, &[])).collect::<anyhow::Result<Vec<_>>>()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let phase = Phase::start("idle", &processes)?;
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    phase.end()?;
    drop(processes);
    lab.stop().await
}
