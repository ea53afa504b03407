//! `fluxide helm`: renders and inspects charts without a cluster, as `helm` does.

mod show;
mod template;
mod values;

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use fluxide_helm::text::go_quote;
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
    Template(Box<template::Options>),
    /// Print what is in a chart.
    Show(show::Options),
}

/// Runs the command.
pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    match options.command {
        Command::Template(options) => template::run(*options),
        Command::Show(options) => show::run(&options),
    }
}

/// Loads a chart from a directory or an archive on this machine.
fn load_chart(path: &str) -> anyhow::Result<Chart> {
    let path = path.trim();
    let Ok(metadata) = std::fs::metadata(path) else {
        if path.starts_with(['/', '.']) {
            bail!("path {} not found", go_quote(path));
        }
        bail!(
            "path {} not found; charts are read from this machine alone: give a directory or a .tgz archive",
            go_quote(path)
        );
    };
    if metadata.is_dir() {
        let root = std::path::absolute(path).with_context(|| format!("path {}", go_quote(path)))?;
        return Ok(Chart::from_directory(&DiskDirectory::new(root))?);
    }
    let limit = Limits::default().total;
    if metadata.len() > limit {
        bail!("file '{path}' is larger than {limit} bytes");
    }
    let archive = std::fs::read(path).with_context(|| format!("file '{path}' cannot be read"))?;
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
        result => Ok(result?),
    }
}
