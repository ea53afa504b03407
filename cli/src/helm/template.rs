//! `fluxide helm template`.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use fluxide_helm::manifest::split_manifests;
use fluxide_helm::{
    Capabilities, KubeVersion, ReleaseOptions, RenderOptions, Rendered, TemplateOutput, name_from_template,
    pattern, render,
};

use super::load_chart;
use super::switch::Switch;
use super::unavailable::Unavailable;
use super::values::ValueOptions;

/// What to render, and how.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The name of the release, and the chart: a directory or an archive.
    #[arg(value_name = "[NAME] CHART", required = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    values: ValueOptions,
    /// The namespace of the release.
    #[arg(short, long, env = "HELM_NAMESPACE", default_value = "default")]
    namespace: String,
    /// The Kubernetes version that templates see.
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// Further API versions that templates find: `cert-manager.io/v1`.
    #[arg(short, long, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Print the files below crds/ too.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    include_crds: Switch,
    /// Do not print hooks.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    no_hooks: Switch,
    /// Do not print hooks that are tests.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    skip_tests: Switch,
    /// Print only what comes from these templates: `templates/service.yaml`; `*` stands for any part of a name.
    #[arg(short, long, value_name = "TEMPLATE")]
    show_only: Vec<String>,
    /// Render as an upgrade.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    is_upgrade: Switch,
    /// Do not check values against values.schema.json.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    skip_schema_validation: Switch,
    /// Write each template's manifests to a file of its own below this directory.
    #[arg(long, value_name = "DIRECTORY")]
    output_dir: Option<String>,
    /// Put the name of the release into the path below --output-dir.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    release_name: Switch,
    /// Make a name for the release.
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    generate_name: Switch,
    /// Make the name of the release of a template.
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,
    /// Ask a cluster; without one only `false` is possible.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    validate: Option<bool>,
    /// Only `client` is possible without a cluster.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: Option<String>,
    #[command(flatten)]
    unavailable: Unavailable,
    /// CRDs are printed with --include-crds alone; accepted as Helm does.
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    skip_crds: Switch,
    /// Names are never looked up; accepted as Helm does.
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    enable_dns: Switch,
}

/// Renders the chart and prints it.
pub fn run(options: Options) -> anyhow::Result<()> {
    options.unavailable.refuse()?;
    if options.validate.is_some() && options.dry_run.is_some() {
        bail!(
            "if any flags in the group [validate dry-run] are set none of the others can be; [dry-run validate] were all \
             set"
        );
    }
    if options.validate == Some(true) || options.dry_run.as_deref() == Some("server") {
        bail!("charts are rendered without a cluster here; leave out --validate and --dry-run=server");
    }
    if let Some(how) = options.dry_run.as_deref()
        && !matches!(how, "client" | "none" | "unset" | "true" | "false")
    {
        bail!("invalid dry-run value ({how:?}). Must be \"none\", \"server\", or \"client\"");
    }
    let mut capabilities = Capabilities::default();
    if let Some(version) = options.kube_version.as_deref().filter(|version| !version.is_empty()) {
        capabilities.kube_version =
            KubeVersion::parse(version).with_context(|| format!("invalid kube version '{version}'"))?;
    }
    capabilities.api_versions.extend(options.api_versions.iter().cloned());
    let now = jiff::Timestamp::now();
    let (name, path) = match options.arguments.as_slice() {
        [_, _] if options.generate_name.is_on() => {
            bail!("cannot set --generate-name and also specify a name")
        }
        [_, _] if options.name_template.is_some() => {
            bail!("cannot set --name-template and also specify a name")
        }
        [_, _, more @ ..] if !more.is_empty() => {
            bail!("expected at most two arguments, unexpected arguments: {}", more.join(", "))
        }
        [name, chart, ..] => (name.clone(), chart),
        [chart] => match &options.name_template {
            Some(template) if !template.is_empty() => {
                (name_from_template(template, now).map_err(|error| anyhow!(error))?, chart)
            }
            _ if options.generate_name.is_on() => (generated_name(chart, now), chart),
            _ => ("release-name".to_owned(), chart),
        },
        [] => bail!("\"helm template\" requires at least 1 argument"),
    };
    let values = options.values.read()?;
    let chart = load_chart(path)?;
    let missing = chart.missing_dependencies();
    if !chart.metadata.is_library() && !missing.is_empty() {
        bail!(
            "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to \
             fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
            missing.join(", ")
        );
    }
    if chart.metadata.deprecated {
        eprintln!("warning: this chart is deprecated");
    }
    let release = ReleaseOptions {
        name: name.clone(),
        namespace: options.namespace.clone(),
        revision: 1,
        is_upgrade: options.is_upgrade.is_on(),
    };
    let mut render_options = RenderOptions::new(release, &capabilities, now);
    render_options.skip_schema_validation = options.skip_schema_validation.is_on();
    let chart = Arc::new(chart);
    // The process ends soon: taking the chart apart would be time lost.
    std::mem::forget(chart.clone());
    let rendered = render(&chart, &values, render_options).map_err(|error| {
        let hint = if error.is_rendering() { "\n\nUse --debug flag to render out invalid YAML" } else { "" };
        anyhow!("{error}{hint}")
    })?;
    let rendered = std::mem::ManuallyDrop::new(rendered);
    for warning in &rendered.warnings {
        eprintln!("{warning}");
    }
    match &options.output_dir {
        Some(directory) => {
            let directory = Path::new(directory);
            let hooks_below =
                if options.release_name.is_on() { directory.join(&name) } else { directory.to_owned() };
            write_files(&options, &rendered, directory, &hooks_below)?;
            // Nothing is left to be shown then, which Helm calls an error.
            if let Some(wanted) = options.show_only.first() {
                bail!("could not find template {wanted} in chart");
            }
            // Helm ends the manifests that it did not print with a line feed.
            println!();
        }
        None => print(&options, &rendered)?,
    }
    Ok(())
}

fn generated_name(chart: &str, now: jiff::Timestamp) -> String {
    let base = chart.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let base = if base.is_empty() || base == "." { "chart" } else { base };
    format!("{}-{}", base.split('.').next().unwrap_or(base), now.as_second())
}

fn print(options: &Options, rendered: &Rendered) -> anyhow::Result<()> {
    let output = TemplateOutput {
        include_crds: options.include_crds.is_on(),
        no_hooks: options.no_hooks.is_on(),
        skip_tests: options.skip_tests.is_on(),
    };
    let mut stdout = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    if options.show_only.is_empty() {
        rendered.write_template_output(&output, &mut stdout)?;
    } else {
        stdout.write_all(selected(&rendered.template_output(&output), &options.show_only)?.as_bytes())?;
    }
    stdout.flush()?;
    Ok(())
}

/// The documents that come from the templates asked for.
fn selected(text: &str, wanted: &[String]) -> anyhow::Result<String> {
    let documents = split_manifests(text);
    let mut out = String::new();
    for wanted in wanted {
        let mut found = false;
        for document in &documents {
            let Some(source) = source_in_chart(document) else { continue };
            if pattern::matches(wanted, source).unwrap_or(false) {
                found = true;
                out.push_str(&format!("---\n{document}\n"));
            }
        }
        if !found {
            bail!("could not find template {wanted} in chart");
        }
    }
    Ok(out)
}

/// The template that a document comes from, without the name of the chart.
fn source_in_chart(document: &str) -> Option<&str> {
    document.match_indices("# Source: ").find_map(|(at, marker)| {
        let line = document[at + marker.len()..].lines().next()?;
        let (chart, path) = line.split_once('/')?;
        (!chart.is_empty() && !path.is_empty()).then_some(path)
    })
}

fn write_files(
    options: &Options,
    rendered: &Rendered,
    directory: &Path,
    hooks_below: &Path,
) -> anyhow::Result<()> {
    let mut written = BTreeSet::new();
    if options.include_crds.is_on() {
        for crd in &rendered.crds {
            write_file(directory, &crd.path, &crd.file.text(), &mut written)?;
        }
    }
    for manifest in &rendered.manifests {
        write_file(hooks_below, &manifest.path, &manifest.content, &mut written)?;
    }
    if !options.no_hooks.is_on() {
        let tests = |hook: &&fluxide_helm::Hook| {
            !(options.skip_tests.is_on() && hook.events.contains(&fluxide_helm::HookEvent::Test))
        };
        for hook in rendered.hooks.iter().filter(tests) {
            write_file(hooks_below, &hook.path, &hook.manifest, &mut written)?;
        }
    }
    Ok(())
}

fn write_file(
    directory: &Path,
    path: &str,
    text: &str,
    written: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    let full = directory.join(path);
    if let Some(parent) = full.parent() {
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    let append = !written.insert(path.to_owned());
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).append(append).truncate(!append);
    let mut file = options.open(&full).with_context(|| full.display().to_string())?;
    write!(file, "---\n# Source: {path}\n{text}\n").with_context(|| full.display().to_string())?;
    println!("wrote {}", full.display());
    Ok(())
}
