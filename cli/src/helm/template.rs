//! `fluxide helm template`.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use fluxide_gotext::quote_str;
use fluxide_helm::manifest::split_manifests;
use fluxide_helm::schema::{NoRemoteSchemas, SchemaLoader};
use fluxide_helm::{
    Capabilities, Hook, HookEvent, KubeVersion, ReleaseOptions, RenderError, RenderOptions, Rendered,
    TemplateOutput, name_from_template, pattern, render,
};

use super::flags::{List, os_words};
use super::locate::{Versions, load_chart, locate_chart};
use super::switch::Switch;
use super::unavailable::Unavailable;
use super::values::ValueOptions;

/// What to render, and how.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The name of the release, and the chart: a directory or an archive.
    #[arg(value_name = "[NAME] CHART")]
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
    #[arg(short, long, value_name = "VERSION")]
    api_versions: Vec<List>,
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

/// What Helm says behind an error of rendering.
const HINT: &str = "\n\nUse --debug flag to render out invalid YAML";

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
    if options.arguments.is_empty() {
        bail!(
            "\"helm template\" requires at least 1 argument\n\nUsage:  helm template [NAME] [CHART] [flags]"
        );
    }
    let mut capabilities = Capabilities::default();
    if let Some(version) = options.kube_version.as_deref().filter(|version| !version.is_empty()) {
        capabilities.kube_version =
            KubeVersion::parse(version).with_context(|| format!("invalid kube version '{version}'"))?;
    }
    if let Some(how) = options.dry_run.as_deref() {
        let choices = match (how, crate::parse_bool(how)) {
            ("client" | "unset", _) | (_, Ok(true)) => None,
            ("none", _) | (_, Ok(false)) => Some("\"server\" or \"client\""),
            _ => Some("\"none\", \"server\", or \"client\""),
        };
        if let Some(choices) = choices {
            bail!("invalid dry-run value ({}). Must be {choices}", quote_str(how));
        }
    }
    capabilities.api_versions.extend(options.api_versions.iter().flat_map(|list| list.0.iter().cloned()));
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
            // Helm has set this name before it looks whether one is to be made.
            _ => ("release-name".to_owned(), chart),
        },
        [] => bail!("no chart is given"),
    };
    let located = locate_chart(path)?;
    let values = options.values.read()?;
    let chart = load_chart(&located, Versions::Installable)?;
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
    render_options.schemas = &LocalSchemas;
    render_options.keep_unreadable = options.unavailable.debug.is_on();
    let chart = Arc::new(chart);
    // The process ends soon: taking the chart apart would be time lost.
    std::mem::forget(chart.clone());
    let rendered = match render(&chart, &values, render_options) {
        Ok(rendered) => rendered,
        Err(error) if !error.is_rendering() => return Err(anyhow!("{error}")),
        Err(error) if !options.unavailable.debug.is_on() => return Err(anyhow!("{error}{HINT}")),
        Err(error) => {
            show_unreadable(&options, &name, &error)?;
            return Err(anyhow!("{error}"));
        }
    };
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

/// Prints what was rendered before an error, as far as there is something.
fn show_unreadable(options: &Options, name: &str, error: &RenderError) -> anyhow::Result<()> {
    let (text, hooks) = match error {
        RenderError::Unreadable { text, hooks, .. } => (text.trim(), hooks.as_slice()),
        _ => ("", [].as_slice()),
    };
    let mut text = format!("{text}\n");
    let is_test = |hook: &Hook| hook.events.contains(&HookEvent::Test);
    let mut written = BTreeSet::new();
    for hook in hooks.iter().filter(|hook| !(options.skip_tests.is_on() && is_test(hook))) {
        match &options.output_dir {
            _ if options.no_hooks.is_on() => {}
            None => text.push_str(&format!("---\n# Source: {}\n{}\n", hook.path, hook.manifest)),
            Some(directory) => {
                let mut directory = Path::new(directory).to_owned();
                if options.release_name.is_on() {
                    directory.push(name);
                }
                write_file(&directory, &hook.path, &hook.manifest, &mut written)?;
            }
        }
    }
    if !options.show_only.is_empty() {
        // What is not there is no news beside the error.
        text = selected(&text, &options.show_only).unwrap_or_default();
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Tells files that schemas name and that are not there from those that are there and are not read.
pub(super) struct LocalSchemas;

impl SchemaLoader for LocalSchemas {
    fn load(&self, url: &str) -> Result<serde_json::Value, String> {
        NoRemoteSchemas.load(url)
    }

    fn refuse_file(&self) -> fn(&str) -> String {
        |path| match std::fs::metadata(path) {
            Err(error) => format!("open {path}: {}", os_words(&error)),
            Ok(_) => NoRemoteSchemas.refuse_file()(path),
        }
    }
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
    // Helm writes these while it renders, where errors come with its hint.
    let hinted = |error| anyhow!("{error}{HINT}");
    if options.include_crds.is_on() {
        for crd in &rendered.crds {
            write_file(directory, &crd.path, &crd.file.text(), &mut written).map_err(hinted)?;
        }
    }
    for manifest in &rendered.manifests {
        write_file(hooks_below, &manifest.path, &manifest.content, &mut written).map_err(hinted)?;
    }
    if !options.no_hooks.is_on() {
        let tests = |hook: &&Hook| !(options.skip_tests.is_on() && hook.events.contains(&HookEvent::Test));
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
    let failed =
        |action: &str, path: &Path, error| anyhow!("{action} {}: {}", path.display(), os_words(&error));
    if let Some(parent) = full.parent() {
        if let Err(error) = std::fs::metadata(parent)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(failed("stat", parent, error));
        }
        std::fs::create_dir_all(parent).map_err(|error| failed("mkdir", parent, error))?;
    }
    let append = !written.insert(path.to_owned());
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).append(append).truncate(!append);
    let mut file = options.open(&full).map_err(|error| failed("open", &full, error))?;
    write!(file, "---\n# Source: {path}\n{text}\n").map_err(|error| failed("write", &full, error))?;
    println!("wrote {}", full.display());
    Ok(())
}
