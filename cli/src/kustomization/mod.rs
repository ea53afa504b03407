//! `fluxide build kustomization` and `fluxide diff kustomization`: what a Kustomization would apply, and
//! what that would change, from manifests on this machine.

mod build;
mod diff;
mod local;
mod mask;
mod report;

use std::process::ExitCode;

use crate::deferred::Deferred;

/// What to build.
#[derive(Debug, clap::Args)]
pub struct BuildOptions {
    #[command(subcommand)]
    what: Buildable,
}

#[derive(Debug, clap::Subcommand)]
enum Buildable {
    /// Print the objects that a Kustomization would apply, built from local manifests.
    ///
    /// The Kustomization is read from the cluster, or from --kustomization-file. With --dry-run no cluster is asked
    /// at all: variables that come from it have no value then, and a Kustomization that no file was given for is looked
    /// for in the repository. Values that SOPS encrypted are shown as **SOPS**.
    #[command(visible_alias = "ks")]
    Kustomization(Deferred<build::Options>),
}

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct DiffOptions {
    #[command(subcommand)]
    what: Comparable,
}

#[derive(Debug, clap::Subcommand)]
enum Comparable {
    /// Print what a Kustomization would change in the cluster if it was built from local manifests.
    ///
    /// Every object is tried in a server-side dry-run. Values of Secrets are never shown. Exit status: 0 when nothing would
    /// change, 1 when something would, 2 when it cannot be found out.
    #[command(visible_alias = "ks")]
    Kustomization(Deferred<diff::Options>),
}

/// Builds and prints.
pub async fn run_build(options: BuildOptions) -> anyhow::Result<ExitCode> {
    let Buildable::Kustomization(options) = options.what;
    build::run(options.into_inner()).await
}

/// Compares and prints.
pub async fn run_diff(options: DiffOptions) -> anyhow::Result<ExitCode> {
    let Comparable::Kustomization(options) = options.what;
    diff::run(options.into_inner()).await
}
