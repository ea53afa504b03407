//! `fluxide helm package`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use fluxide_helm::package::{package, package_file_name};
use fluxide_helm::{Chart, Time};

use super::load_chart;

/// What to package, and how.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The charts: directories.
    #[arg(value_name = "CHART", required = true)]
    charts: Vec<String>,
    /// Write the archives to this directory.
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    destination: PathBuf,
    /// Give the chart this version.
    #[arg(long)]
    version: Option<String>,
    /// Give the chart this version of the application.
    #[arg(long)]
    app_version: Option<String>,
}

/// Writes an archive for each chart.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let now = Time::from_timestamp(jiff::Timestamp::now());
    for path in &options.charts {
        let mut chart = load_chart(path)?;
        if let Some(version) = &options.version {
            chart.metadata.version.clone_from(version);
        }
        if let Some(version) = &options.app_version {
            chart.metadata.app_version.clone_from(version);
        }
        let written = write(&chart, &options.destination, now)?;
        println!("Successfully packaged chart and saved it to: {}", written.display());
    }
    Ok(())
}

fn write(chart: &Chart, directory: &Path, now: Time) -> anyhow::Result<PathBuf> {
    let missing = chart.missing_dependencies();
    if !missing.is_empty() {
        bail!("found in Chart.yaml, but missing in charts/ directory: {}", missing.join(", "));
    }
    let archive = package(chart, now).map_err(|error| anyhow!("failed to save: {error}"))?;
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let directory = std::path::absolute(directory)?;
    let path = directory.join(package_file_name(chart));
    std::fs::write(&path, archive).with_context(|| path.display().to_string())?;
    Ok(path)
}
