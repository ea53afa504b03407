//! The `fluxide` command: try, build, inspect and run a GitOps repository.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use deferred::Deferred;

pub mod apiserver;
pub mod connection;
pub mod decrypt;
mod deferred;
pub mod dev;
pub mod helm;
pub mod kustomization;
pub mod kustomize;
pub mod test;

/// Flux in Rust: keep a Kubernetes cluster equal to what its Git repositories, registries and charts say.
#[derive(Debug, Parser)]
#[command(name = "fluxide", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try a GitOps repository on this machine: API server, Git repository and controllers in one process.
    Dev(Deferred<dev::Options>),
    /// Run the embedded Kubernetes API server alone.
    Apiserver(Deferred<apiserver::Options>),
    /// Render and inspect Helm charts.
    Helm(helm::Options),
    /// Print what Flux would apply, from manifests on this machine.
    Build(Deferred<kustomization::BuildOptions>),
    /// Print what Flux would change, from manifests on this machine.
    Diff(Deferred<kustomization::DiffOptions>),
    /// Decrypt a SOPS file, as kustomize-controller would.
    Decrypt(Deferred<decrypt::Options>),
    /// Try parts of a running setup, such as an Alert.
    Test(Deferred<test::Options>),
    /// Build kustomizations.
    Kustomize(Deferred<kustomize::Options>),
}

/// Runs the command. The code is what the process ends with; an error is printed by the caller.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        // Neither needs a cluster; what they need of threads they start themselves, which mostly is nothing.
        Command::Helm(options) => Ok(helm::run(options)),
        Command::Kustomize(options) => Ok(kustomize::run(options.into_inner())),
        Command::Dev(options) => block_on(dev::run(options.into_inner())),
        Command::Apiserver(options) => block_on(apiserver::run(options.into_inner())),
        Command::Build(options) => block_on(kustomization::run_build(options.into_inner())),
        Command::Diff(options) => block_on(kustomization::run_diff(options.into_inner())),
        Command::Decrypt(options) => block_on(decrypt::run(options.into_inner())),
        Command::Test(options) => block_on(test::run(options.into_inner())),
    }
}

/// An error with its causes, each once: many tell their causes themselves.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(command);
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// A boolean as Go's flags take it.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", fluxide_gotext::quote_str(text))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    /// Every command with what its parent says of it.
    fn listed(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        for command in command.get_subcommands() {
            let path = format!("{path} {}", command.get_name());
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            found.push((path.clone(), about));
            listed(command, &path, found);
        }
    }

    #[test]
    fn commands_say_of_themselves_what_their_list_says() {
        let mut program = super::Arguments::command();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        listed(&program, "fluxide", &mut before);
        program.build();
        listed(&program, "fluxide", &mut after);
        assert!(before.len() >= 12, "{before:?}");
        for (path, about) in before {
            let built = after.iter().find(|(built, _)| *built == path).unwrap();
            assert!(!about.is_empty(), "{path}");
            assert_eq!(built.1, about, "{path}");
        }
        let template = after.iter().find(|(path, _)| path == "fluxide helm template").unwrap();
        assert!(template.1.starts_with("Render a chart"), "{template:?}");
    }

    #[test]
    fn an_error_says_nothing_twice() {
        let error = anyhow::anyhow!("no such file")
            .context("cannot read a.yaml: no such file")
            .context("build failed");
        assert_eq!(super::message(&error), "build failed: cannot read a.yaml: no such file");
    }
}
