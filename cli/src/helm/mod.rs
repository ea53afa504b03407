//! `fluxide helm`: renders and inspects charts without a cluster, as `helm` does.

mod flags;
mod lint;
mod locate;
mod package;
mod show;
mod switch;
mod template;
mod unavailable;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fluxide_gotext::quote_str;

use crate::deferred::Deferred;

/// Render and inspect Helm charts.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Render a chart and print its manifests, byte for byte as `helm template` does.
    #[command(disable_version_flag = true, args_override_self = true)]
    Template(Deferred<template::Options>),
    /// Print what is in a chart.
    #[command(disable_version_flag = true, args_override_self = true, alias = "inspect")]
    Show(Deferred<show::Options>),
    /// Look for what is wrong with charts, as `helm lint` does.
    #[command(disable_version_flag = true, args_override_self = true)]
    Lint(Deferred<lint::Options>),
    /// Package charts into versioned archives.
    #[command(disable_version_flag = true, args_override_self = true)]
    Package(Deferred<package::Options>),
}

/// Runs the command. Errors are printed with Helm's words, and end in its exit code.
pub fn run(options: Options) -> ExitCode {
    let result = match options.command {
        Command::Template(options) => template::run(options.into_inner()),
        Command::Lint(options) => lint::run(&options.into_inner()),
        Command::Show(options) => show::run(&options.into_inner()),
        Command::Package(options) => package::run(&options.into_inner()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command line with its flags as Go would have read them, when it is one of `fluxide helm`.
///
/// `program` describes the whole command line. The error is what Helm says about it.
pub fn command_line(program: &clap::Command, arguments: Vec<OsString>) -> Result<Vec<OsString>, String> {
    if arguments.get(1).is_none_or(|command| command != "helm") {
        return Ok(arguments);
    }
    let texts: Option<Vec<String>> =
        arguments.iter().skip(2).map(|argument| argument.to_str().map(str::to_owned)).collect();
    let Some((name, rest)) = texts.as_ref().and_then(|texts| texts.split_first()) else {
        return Ok(arguments);
    };
    let helm = program.find_subcommand("helm");
    let Some(command) = helm.and_then(|helm| described(helm, name)) else { return Ok(arguments) };
    let rest = flags::rewrite(&command, rest).map_err(|error| format!("Error: {error}"))?;
    Ok(arguments.into_iter().take(3).chain(rest.into_iter().map(OsString::from)).collect())
}

/// A subcommand with its flags.
fn described(helm: &clap::Command, name: &str) -> Option<clap::Command> {
    let mut command = helm.find_subcommand(name)?.clone();
    command.build();
    Some(command)
}

/// What Helm says about a command line that it does not understand.
pub fn usage_error(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = text(ContextKind::InvalidArg);
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = quote_str(&text(ContextKind::InvalidSubcommand));
            format!("Error: unknown command {command} for \"helm\"\nRun 'fluxide helm --help' for usage.")
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let value = quote_str(&text(ContextKind::InvalidValue));
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let helm = Options::augment_args(clap::Command::new("helm"));
            let long = flag.trim_start_matches('-');
            let flag = std::env::args()
                .nth(2)
                .and_then(|name| described(&helm, &name).map(|command| flags::describe(&command, long)))
                .unwrap_or_else(|| flag.to_owned());
            format!("Error: invalid argument {value} for {} flag: {cause}", quote_str(&flag))
        }
        _ => {
            let text = error.render().to_string();
            format!("Error: {}", text.strip_prefix("error: ").unwrap_or(&text).trim_end())
        }
    }
}
