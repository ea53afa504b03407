//! The server as a command: what `fluxide apiserver` and the example binary run.

use std::path::PathBuf;

use crate::server::{Server, ServerError};

/// Options of the command.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on the loopback interface; 0 takes a free one.
    pub port: u16,
    /// Where to write the admin kubeconfig; by default a file in the temporary directory.
    pub kubeconfig: Option<PathBuf>,
    /// Directory that keeps the objects between runs; without it they live in memory.
    pub state: Option<PathBuf>,
    /// Whether Deployments and the like become ready.
    pub simulate_workloads: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { port: 0, kubeconfig: None, state: None, simulate_workloads: true }
    }
}

/// Runs the server until SIGTERM or SIGINT. Prints the path of the kubeconfig when it serves.
pub async fn run(options: Options) -> Result<(), ServerError> {
    let mut builder = Server::builder().port(options.port).simulate_workloads(options.simulate_workloads);
    if let Some(state) = options.state {
        builder = builder.state(state);
    }
    let running = builder.start().await?;
    let path = options.kubeconfig.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("fluxide-apiserver-{}.kubeconfig", running.port()))
    });
    running.write_kubeconfig(&path)?;
    println!("{}", path.display());
    wait_for_signal().await;
    running.shutdown().await;
    Ok(())
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    let _ = tokio::signal::ctrl_c().await;
}
