//! Benchmarks of the controllers as processes, on the embedded API server or a real cluster.
//!
//! ```sh
//! cargo run --release -p fluxide-e2e --bin bench -- kustomizations --count 1000 [--kubeconfig FILE]
//! cargo run --release -p fluxide-e2e --bin bench -- idle
//! ```

mod idle;
mod kustomizations;
mod lab;

use clap::{Parser, Subcommand};

/// What to measure.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Kustomizations of four objects each from one GitRepository: first pass, unchanged, everything changed.
    Kustomizations(kustomizations::Options),
    /// Every controller with nothing to do.
    Idle(idle::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().scenario {
        Scenario::Kustomizations(options) => kustomizations::run(options).await,
        Scenario::Idle(options) => idle::run(options).await,
    }
}
