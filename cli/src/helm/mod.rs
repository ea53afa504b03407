//! `fluxide helm`: renders and inspects charts without a cluster, as `helm` does.

mod package;
mod show;
mod switch;
mod template;
mod unavailable;
mod values;

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use fluxide_gotext::quote_str;
use fluxide_helm::{Chart, DiskDirectory, Limits};

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
    Template(Box<template::Options>),
    /// Print what is in a chart.
    Show(show::Options),
    /// Package charts into versioned archives.
    #[command(disable_version_flag = true)]
    Package(package::Options),
}

/// Runs the command. Errors are printed with Helm's words, and end in its exit code.
pub fn run(options: Options) -> ExitCode {
    let result = match options.command {
        Command::Template(options) => template::run(*options),
        Command::Show(options) => show::run(&options),
        Command::Package(options) => package::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What Helm says about a command line that it does not understand.
pub fn usage_error(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = text(ContextKind::InvalidArg);
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if !flag.starts_with('-') => {
            format!("Error: expected at most two arguments, unexpected arguments: {flag}")
        }
        ErrorKind::UnknownArgument if !flag.starts_with("--") => {
            let short = flag.trim_start_matches('-');
            format!("Error: unknown shorthand flag: '{short}' in {flag}")
        }
        ErrorKind::UnknownArgument => format!("Error: unknown flag: {flag}"),
        ErrorKind::MissingRequiredArgument if argument.contains("CHART") => {
            "Error: \"helm template\" requires at least 1 argument\n\n\
             Usage:  helm template [NAME] [CHART] [flags]"
                .to_owned()
        }
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_empty() => {
            format!("Error: flag needs an argument: {flag}")
        }
        ErrorKind::ValueValidation => {
            let value = quote_str(&text(ContextKind::InvalidValue));
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("Error: invalid argument {value} for {} flag: {cause}", quote_str(flag))
        }
        _ => {
            let text = error.render().to_string();
            format!("Error: {}", text.strip_prefix("error: ").unwrap_or(&text).trim_end())
        }
    }
}

/// Loads a chart from a directory or an archive on this machine.
fn load_chart(path: &str) -> anyhow::Result<Chart> {
    let path = path.trim();
    let Ok(metadata) = std::fs::metadata(path) else {
        if path.starts_with(['/', '.']) {
            bail!("path {} not found", quote_str(path));
        }
        bail!(
            "path {} not found; charts are read from this machine alone: give a directory or a .tgz archive",
            quote_str(path)
        );
    };
    if metadata.is_dir() {
        let root = std::path::absolute(path).with_context(|| format!("path {}", quote_str(path)))?;
        // The texts of these errors tell their causes themselves.
        return Chart::from_directory(&DiskDirectory::new(root)).map_err(|error| anyhow!("{error}"));
    }
    let limit = Limits::default().total;
    if metadata.len() > limit {
        bail!("file '{path}' is larger than {limit} bytes");
    }
    // Helm names archives by where they really are.
    let full = std::path::absolute(path).with_context(|| format!("path {}", quote_str(path)))?;
    let path = full.display().to_string();
    let archive = std::fs::read(&full).with_context(|| format!("file '{path}' cannot be read"))?;
    if !archive.starts_with(&[0x1F, 0x8B, 8]) {
        if path.ends_with(".yml") || path.ends_with(".yaml") {
            bail!("file '{path}' seems to be a YAML file, but expected a gzipped archive");
        }
        let head = &archive[..archive.len().min(512)];
        let binary = head.iter().any(|byte| matches!(byte, 0..=8 | 0x0E..=0x1A | 0x1C..=0x1F));
        let kind = if binary { "application/octet-stream" } else { "text/plain; charset=utf-8" };
        bail!("file '{path}' does not appear to be a gzipped archive; got '{kind}'");
    }
    match Chart::from_archive(&archive) {
        Err(fluxide_helm::LoadError::Archive(error)) => bail!("unable to load chart archive: {error}"),
        result => result.map_err(|error| anyhow!("{error}")),
    }
}
