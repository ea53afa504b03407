//! `fluxide helm lint`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use fluxide_helm::lint::{Message, Severity, lint, unpack};
use fluxide_helm::values::Table;
use fluxide_helm::{Capabilities, DiskDirectory, KubeVersion, ReleaseOptions, RenderOptions};

use super::flags::os_words;
use super::switch::Switch;
use super::template::LocalSchemas;
use super::values::ValueOptions;

/// Which charts to look at, and how.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The charts: directories or archives.
    #[arg(value_name = "CHART")]
    charts: Vec<String>,
    #[command(flatten)]
    values: ValueOptions,
    /// The namespace of the release.
    #[arg(short, long, env = "HELM_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Fail on warnings.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    strict: Switch,
    /// Look at the charts in charts/, too.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    with_subcharts: Switch,
    /// Print warnings and errors only.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    quiet: Switch,
    /// Do not check values against values.schema.json.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    skip_schema_validation: Switch,
    /// The Kubernetes version that templates see, and for which deprecated kinds are told.
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    debug: Switch,
}

/// Prints what is found in each chart. The error says how many failed.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.charts.is_empty() {
        bail!("\"helm lint\" requires at least 1 argument\n\nUsage:  helm lint PATH [flags]");
    }
    let mut capabilities = Capabilities::default();
    if let Some(version) = options.kube_version.as_deref().filter(|version| !version.is_empty()) {
        capabilities.kube_version = KubeVersion::parse(version)
            .map_err(|error| anyhow!("invalid kube version '{version}': {error}"))?;
    }
    let mut charts = options.charts.clone();
    if options.with_subcharts.is_on() {
        for chart in &options.charts {
            find_charts(&Path::new(chart).join("charts"), &mut charts);
        }
    }
    let values = options.values.read()?;
    let tolerated = if options.strict.is_on() { Severity::Warning } else { Severity::Error };
    let mut out = String::new();
    let (mut failed, mut troubled) = (0, 0);
    for path in &charts {
        let (messages, error) = match lint_chart(path, &values, options, &capabilities) {
            Ok(messages) => (messages, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let is_troubled = error.is_some() || messages.iter().any(|message| message.severity > Severity::Info);
        troubled += usize::from(is_troubled);
        if options.quiet.is_on() && !is_troubled {
            continue;
        }
        out.push_str(&format!("==> Linting {path}\n"));
        if let Some(error) = &error {
            out.push_str(&format!("Error {error}\n"));
        }
        for message in &messages {
            if !options.quiet.is_on() || message.severity > Severity::Info {
                out.push_str(&format!("{message}\n"));
            }
        }
        let fails = messages.iter().any(|message| message.severity >= tolerated);
        failed += usize::from(error.is_some() || fails);
        out.push('\n');
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(out.as_bytes())?;
    let summary = format!("{} chart(s) linted, {failed} chart(s) failed", charts.len());
    if failed > 0 {
        bail!(summary);
    }
    if !options.quiet.is_on() || troubled > 0 {
        writeln!(stdout, "{summary}")?;
    }
    Ok(())
}

/// Charts and archives below a directory, in the order of their paths.
fn find_charts(directory: &Path, charts: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let shown = path.display().to_string();
        if path.file_name().is_some_and(|name| name == "Chart.yaml") {
            charts.push(directory.display().to_string());
        } else if is_archive(&shown) {
            charts.push(shown);
        }
        if path.is_dir() && !path.is_symlink() {
            find_charts(&path, charts);
        }
    }
}

fn is_archive(path: &str) -> bool {
    path.ends_with(".tgz") || path.ends_with(".tar.gz")
}

fn lint_chart(
    path: &str,
    values: &Table,
    options: &Options,
    capabilities: &Capabilities,
) -> anyhow::Result<Vec<Message>> {
    if !is_archive(path) {
        return lint_directory(Path::new(path), values, options, capabilities);
    }
    let archive = std::fs::read(path)
        .map_err(|error| anyhow!("unable to open tarball: open {path}: {}", os_words(&error)))?;
    let (name, files) = unpack(&archive).map_err(|error| anyhow!("unable to extract tarball: {error}"))?;
    let directory = tempfile::Builder::new().prefix("helm-lint").tempdir()?;
    let root = directory.path().join(name);
    for file in &files {
        let full = root.join(&file.name);
        if let Some(parent) = full.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(full, &file.data)?;
    }
    lint_directory(&root, values, options, capabilities)
}

fn lint_directory(
    path: &Path,
    values: &Table,
    options: &Options,
    capabilities: &Capabilities,
) -> anyhow::Result<Vec<Message>> {
    let chart_yaml = path.join("Chart.yaml");
    std::fs::metadata(&chart_yaml).map_err(|error| {
        let shown = chart_yaml.display();
        anyhow!("unable to check Chart.yaml file in chart: stat {shown}: {}", os_words(&error))
    })?;
    let root = std::path::absolute(path)?;
    let release = ReleaseOptions {
        name: "test-release".to_owned(),
        namespace: options.namespace.clone(),
        revision: 0,
        is_upgrade: false,
    };
    let mut render = RenderOptions::new(release, capabilities, jiff::Timestamp::now());
    render.skip_schema_validation = options.skip_schema_validation.is_on();
    render.schemas = &LocalSchemas;
    Ok(lint(&DiskDirectory::new(&root), &root.display().to_string(), values, render))
}
