//! `fluxide helm package`.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use fluxide_helm::package::{package, package_file_name};
use fluxide_helm::{Chart, Time};
use fluxide_semver_range::Version;

use super::flags::os_words;
use super::locate::{Versions, load_chart};
use super::switch::Switch;

/// What to package, and how.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The charts: directories.
    #[arg(value_name = "CHART")]
    charts: Vec<String>,
    /// Write the archives to this directory.
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    destination: String,
    /// Give the chart this version.
    #[arg(long, default_value = "", hide_default_value = true)]
    version: String,
    /// Give the chart this version of the application.
    #[arg(long, default_value = "", hide_default_value = true)]
    app_version: String,
    /// Fetch the dependencies first; needs a network.
    #[arg(short = 'u', long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    dependency_update: Switch,
    /// Sign the archives; not available here.
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    sign: Switch,
    #[arg(long, hide = true, default_value = "")]
    key: String,
    #[arg(long, hide = true)]
    keyring: Option<String>,
    #[arg(long, hide = true)]
    passphrase_file: Option<String>,
}

/// Writes an archive for each chart.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.charts.is_empty() {
        bail!("need at least one argument, the path to the chart");
    }
    if options.sign.is_on() {
        if options.key.is_empty() {
            bail!("--key is required for signing a package");
        }
        bail!("--sign is not available here; sign the archive with `helm package --sign` or with cosign");
    }
    let now = Time::from_timestamp(jiff::Timestamp::now());
    for name in &options.charts {
        let path = std::path::absolute(name).unwrap_or_else(|_| PathBuf::from(name));
        std::fs::metadata(&path).map_err(|error| anyhow!("stat {name}: {}", os_words(&error)))?;
        if options.dependency_update.is_on() {
            bail!("--dependency-update needs a network; run `helm dependency update` on the chart first");
        }
        if !path.is_dir() {
            let inside = path.join("Chart.yaml");
            let inside = inside.display();
            bail!("unable to detect chart at {inside}: open {inside}: not a directory");
        }
        let mut chart = load_chart(&path, Versions::Installable)?;
        if !options.version.is_empty() {
            chart.metadata.version.clone_from(&options.version);
        }
        Version::parse(&chart.metadata.version).map_err(|error| anyhow!("{error}"))?;
        if !options.app_version.is_empty() {
            chart.metadata.app_version.clone_from(&options.app_version);
        }
        let written = write(&chart, &options.destination, now)?;
        println!("Successfully packaged chart and saved it to: {}", written.display());
    }
    Ok(())
}

fn write(chart: &Chart, destination: &str, now: Time) -> anyhow::Result<PathBuf> {
    let missing = chart.missing_dependencies();
    if !missing.is_empty() {
        bail!("found in Chart.yaml, but missing in charts/ directory: {}", missing.join(", "));
    }
    let archive = package(chart, now).map_err(|error| anyhow!("failed to save: {error}"))?;
    let failed = |action: &str, path: &Path, error: std::io::Error| {
        anyhow!("failed to save: {action} {}: {}", path.display(), os_words(&error))
    };
    let directory = match destination {
        "." => std::env::current_dir()?,
        destination => cleaned(destination),
    };
    match std::fs::metadata(&directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => bail!("failed to save: is not a directory: {}", directory.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(&directory).map_err(|error| failed("mkdir", &directory, error))?;
        }
        Err(error) => return Err(failed(&format!("stat {}: stat", directory.display()), &directory, error)),
    }
    let path = directory.join(package_file_name(chart));
    std::fs::write(&path, archive).map_err(|error| failed("open", &path, error))?;
    Ok(path)
}

/// A path without `.` and doubled slashes, and with `..` resolved as text, as Go cleans it.
fn cleaned(path: &str) -> PathBuf {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    PathBuf::from(if path.starts_with('/') { format!("/{joined}") } else { joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, expected) in
            [("out/", "out"), ("./out//x/../y", "out/y"), ("../a", "../a"), ("/../a/./b", "/a/b"), ("", "")]
        {
            assert_eq!(cleaned(path), PathBuf::from(expected));
        }
    }
}
