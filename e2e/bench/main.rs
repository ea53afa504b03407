//! Benchmarks of the controllers as processes, on the embedded API server or a real cluster.
//!
//! ```sh
//! cargo build --release --bins
//! cargo run --release -p fluxide-e2e --bin bench -- kustomizations --count 1000 [--kubeconfig FILE]
//! cargo run --release -p fluxide-e2e --bin bench -- idle
//! cargo run --release -p fluxide-e2e --bin bench -- notifications [--kill]
//! ```

mod idle;
mod kustomizations;
mod lab;
mod notifications;

use clap::{Parser, Subcommand};

/// What to measure.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Kustomizations of four objects or more from one GitRepository: first pass, unchanged, everything changed.
    Kustomizations(kustomizations::Options),
    /// A storm of events with a dead provider, and a storm of webhooks.
    Notifications(notifications::Options),
    /// Every controller with nothing to do.
    Idle(idle::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().scenario {
        Scenario::Kustomizations(options) => kustomizations::run(options).await,
        Scenario::Notifications(options) => notifications::run(options).await,
        Scenario::Idle(options) => idle::run(options).await,
    }
}
