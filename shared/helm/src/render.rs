//! Renders charts: values in, manifests, hooks and notes out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use fluxide_gotemplate::helm;
use fluxide_gotemplate::{Limits, Map, MissingKey, Session, Templates, Text, Value};
use fluxide_semver_range::{Constraint, Version};
use jiff::Timestamp;
use thiserror::Error;

use crate::cache::TemplateCache;
use crate::capabilities::Capabilities;
use crate::chart::{Chart, Crd};
use crate::coalesce::{TypeMismatch, coalesce_values};
use crate::convert::{into_string, to_map, to_table};
use crate::file::{ChartFile, base_name, clean_path};
use crate::hook::{Hook, HookEvent};
use crate::manifest::{Manifest, ManifestError, readable_hooks, sort_manifests};
use crate::metadata::Metadata;
use crate::name::{ReleaseNameError, check_release_name};
use crate::objects::{capabilities_value, metadata_value, table};
use crate::postrender::{PostRenderError, PostRenderStrategy, PostRenderer, post_render};
use crate::release::StoredChart;
use crate::schema::{self, NoRemoteSchemas, SchemaLoader};
use crate::scope::{Scope, table_at};
use crate::values::Table;

/// Why a chart cannot be rendered. The texts are Helm's.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RenderError {
    /// The chart only lends templates to others.
    #[error("library charts are not installable")]
    Library,
    /// The name of the release is not allowed.
    #[error("release name check failed: {0}")]
    ReleaseName(#[from] ReleaseNameError),
    /// Values and subcharts do not fit each other.
    #[error("chart dependencies processing failed: {0}")]
    Dependencies(TypeMismatch),
    /// Values and subcharts do not fit each other.
    #[error("{0}")]
    Values(TypeMismatch),
    /// Values do not fit a schema.
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
    /// The chart does not want this version of Kubernetes.
    #[error("chart requires kubeVersion: {range} which is incompatible with Kubernetes {version}")]
    KubeVersion {
        /// What the chart wants.
        range: String,
        /// What there is.
        version: String,
    },
    /// A template cannot be parsed or executed.
    #[error("{0}")]
    Template(String),
    /// Rendered text is no Kubernetes object.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The same, with what there is to look at: when [`RenderOptions::keep_unreadable`] is set.
    #[error("{error}")]
    Unreadable {
        /// What is wrong.
        error: ManifestError,
        /// The text of all files, each behind a line that names it.
        text: String,
        /// The hooks that were read until then.
        hooks: Vec<Hook>,
    },
    /// Post-rendering failed.
    #[error(transparent)]
    PostRender(#[from] PostRenderError),
}

impl RenderError {
    /// Whether the error is one of rendering itself, to which `helm template` adds a hint.
    pub fn is_rendering(&self) -> bool {
        matches!(
            self,
            RenderError::KubeVersion { .. }
                | RenderError::Template(_)
                | RenderError::Manifest(_)
                | RenderError::Unreadable { .. }
                | RenderError::PostRender(_)
        )
    }
}

/// The release that is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The revision that is made, from 1.
    pub revision: i64,
    /// Whether it exists already.
    pub is_upgrade: bool,
}

/// How a chart is rendered.
pub struct RenderOptions<'r> {
    /// The release.
    pub release: ReleaseOptions,
    /// What templates learn about the cluster.
    pub capabilities: &'r Capabilities,
    /// The moment that `now` gives.
    pub now: Timestamp,
    /// Leaves schemas unchecked.
    pub skip_schema_validation: bool,
    /// Missing values are errors.
    pub strict: bool,
    /// Text that is no Kubernetes object is handed out with the error, for people to look at.
    pub keep_unreadable: bool,
    /// `required` and `fail` do not fail.
    pub lint: bool,
    /// Notes of subcharts are added to those of the chart.
    pub subchart_notes: bool,
    /// The live objects that `lookup` finds; without it there are none.
    pub lookup: Option<Arc<dyn helm::Lookup>>,
    /// The schemas outside the chart that values.schema.json refers to.
    pub schemas: &'r dyn SchemaLoader,
    /// What a rendering may use.
    pub limits: Limits,
    /// What changes the manifests afterwards.
    pub post_renderer: Option<&'r mut dyn PostRenderer>,
    /// Which manifests go through the post-renderer together.
    pub post_render_strategy: PostRenderStrategy,
}

impl<'r> RenderOptions<'r> {
    /// Options for the first revision of a release, as `helm template` and `helm install` render it.
    pub fn new(release: ReleaseOptions, capabilities: &'r Capabilities, now: Timestamp) -> RenderOptions<'r> {
        RenderOptions {
            release,
            capabilities,
            now,
            skip_schema_validation: false,
            strict: false,
            keep_unreadable: false,
            lint: false,
            subchart_notes: false,
            lookup: None,
            schemas: &NoRemoteSchemas,
            limits: Limits::default(),
            post_renderer: None,
            post_render_strategy: PostRenderStrategy::Combined,
        }
    }
}

/// A rendered chart.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The manifests in the order of installation.
    pub manifests: Vec<Manifest>,
    /// The hooks, by kind.
    pub hooks: Vec<Hook>,
    /// The files below `crds/`, which are never templates.
    pub crds: Vec<Crd>,
    /// NOTES.txt.
    pub notes: String,
    /// The chart that was rendered.
    source: Arc<Chart>,
    /// Chart.yaml after the dependencies were processed.
    metadata: Metadata,
    /// The default values after the dependencies were processed, when that changed them.
    defaults: Option<Map>,
    /// What the templates saw as `.Values`, with what they did to it.
    values: Map,
    /// What is odd about values and dependencies, and no error.
    pub warnings: Vec<String>,
}

impl Rendered {
    /// What is stored of the chart with the release.
    pub fn stored_chart(&self) -> StoredChart {
        let defaults = match &self.defaults {
            Some(defaults) => Some(to_table(defaults)),
            None => self.source.values.clone(),
        };
        StoredChart::of(&self.source, self.metadata.clone(), defaults)
    }

    /// The values that the templates saw, those of subcharts below their names, with what the templates did to them.
    pub fn values(&self) -> Table {
        to_table(&self.values)
    }

    /// The text of all manifests, as it is stored with the release.
    pub fn manifest(&self) -> String {
        let mut out = String::new();
        for manifest in &self.manifests {
            push_source(&mut out, &manifest.path, &manifest.content);
        }
        out
    }

    /// What `helm template` prints: the manifests, behind the CRDs when these are wanted, and then the hooks.
    pub fn template_output(&self, output: &TemplateOutput) -> String {
        let mut out = Vec::new();
        // Writing to memory cannot fail.
        let _ = self.write_template_output(output, &mut out);
        into_string(out)
    }

    /// Writes [`Rendered::template_output`] piece by piece.
    pub fn write_template_output(&self, output: &TemplateOutput, out: &mut dyn Write) -> io::Result<()> {
        let crds = if output.include_crds { self.crds.as_slice() } else { &[] };
        let crds = crds.iter().map(|crd| (crd.path.as_str(), crd.file.text()));
        let manifests =
            self.manifests.iter().map(|manifest| (manifest.path.as_str(), Cow::from(&manifest.content)));
        let mut manifests = crds.chain(manifests).peekable();
        if manifests.peek().is_none() {
            out.write_all(b"\n")?;
        }
        while let Some((path, content)) = manifests.next() {
            // White space at the end of all manifests is left out.
            match content.trim_end() {
                _ if manifests.peek().is_some() => write_source(out, path, &content)?,
                "" => writeln!(out, "---\n# Source: {}", path.trim_end())?,
                content => write_source(out, path, content)?,
            }
        }
        let hooks = if output.no_hooks { &[] } else { self.hooks.as_slice() };
        for hook in hooks {
            if !(output.skip_tests && hook.events.contains(&HookEvent::Test)) {
                write_source(out, &hook.path, &hook.manifest)?;
            }
        }
        Ok(())
    }
}

/// What `helm template` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateOutput {
    /// CRDs too.
    pub include_crds: bool,
    /// No hooks.
    pub no_hooks: bool,
    /// No hooks that are tests.
    pub skip_tests: bool,
}

fn push_source(out: &mut String, path: &str, content: &str) {
    out.push_str("---\n# Source: ");
    out.push_str(path);
    out.push('\n');
    out.push_str(content);
    out.push('\n');
}

fn write_source(out: &mut dyn Write, path: &str, content: &str) -> io::Result<()> {
    for piece in ["---\n# Source: ", path, "\n", content, "\n"] {
        out.write_all(piece.as_bytes())?;
    }
    Ok(())
}

/// Renders a chart with the values that a user gave.
///
/// ```
/// use fluxide_helm::{Capabilities, Chart, ChartFile, ReleaseOptions, RenderOptions, render, values::read_values};
///
/// let chart = Chart::from_files(vec![
///     ChartFile::new("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
///     ChartFile::new("values.yaml", "replicas: 1\n"),
///     ChartFile::new("templates/a.yaml", "kind: A\nname: {{ .Release.Name }}\nreplicas: {{ .Values.replicas }}\n"),
/// ])?;
/// let release =
///     ReleaseOptions { name: "shop".into(), namespace: "apps".into(), revision: 1, is_upgrade: false };
/// let capabilities = Capabilities::default();
/// let options = RenderOptions::new(release, &capabilities, "2026-01-01T00:00:00Z".parse()?);
/// let rendered = render(&chart.into(), &read_values(b"replicas: 3\n")?, options)?;
/// assert_eq!(rendered.manifest(), "---\n# Source: web/templates/a.yaml\nkind: A\nname: shop\nreplicas: 3\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render(chart: &Arc<Chart>, values: &Table, options: RenderOptions) -> Result<Rendered, RenderError> {
    if chart.metadata.is_library() {
        return Err(RenderError::Library);
    }
    check_release_name(&options.release.name)?;
    let mut rendered = Rendered::default();
    let mut warnings = Vec::new();
    let user = to_map(values);
    let mut warn = |warning: String| warnings.push(warning);
    let scope = Scope::process(chart.clone(), &user, &mut warn).map_err(RenderError::Dependencies)?;
    let values = coalesce_values(&scope, &user, &mut warn).map_err(RenderError::Values)?;
    rendered.warnings = warnings;
    if !options.skip_schema_validation {
        let problems = check_schemas(&scope, &values, options.schemas);
        if !problems.is_empty() {
            return Err(RenderError::Schema(problems));
        }
    }
    check_kube_version(&chart.metadata.kube_version, options.capabilities)?;
    rendered.values = values.clone();
    let (mut files, broken) = Execution::new(&options).run(&scope, values)?;
    rendered.notes = take_notes(&mut files, scope.name(), options.subchart_notes);
    if let Some(renderer) = options.post_renderer {
        files = post_render(files, options.post_render_strategy, renderer)?;
    }
    let kept = options.keep_unreadable.then(|| files.clone());
    let sorted = sort_manifests(files);
    let earlier = |broken: &ManifestError| !sorted.as_ref().is_err_and(|error| error.path < broken.path);
    let sorted = match broken.filter(earlier) {
        Some(broken) => Err(broken),
        None => sorted,
    };
    (rendered.hooks, rendered.manifests) = match (sorted, kept) {
        (Ok(sorted), _) => sorted,
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(files)) => {
            let mut text = String::new();
            for (path, content) in files.iter().filter(|(_, content)| !content.trim().is_empty()) {
                push_source(&mut text, path, content);
            }
            return Err(RenderError::Unreadable { error, text, hooks: readable_hooks(&files) });
        }
    };
    scope.crds(&mut rendered.crds);
    rendered.metadata = scope.metadata();
    rendered.defaults = scope.changed_defaults().cloned();
    rendered.source = chart.clone();
    Ok(rendered)
}

/// Renders for a linter: no version, name or kind of chart is refused. `None` when values cannot be put together, which
/// Helm's linter passes over.
pub(crate) fn render_for_lint(
    chart: &Arc<Chart>,
    values: &Table,
    options: &RenderOptions,
) -> Result<Option<Texts>, RenderError> {
    let user = to_map(values);
    let mut warn = |_| {};
    let Ok(scope) = Scope::process(chart.clone(), &user, &mut warn) else { return Ok(None) };
    let Ok(values) = coalesce_values(&scope, &user, &mut warn) else { return Ok(None) };
    if !options.skip_schema_validation {
        let problems = check_schemas(&scope, &values, options.schemas);
        if !problems.is_empty() {
            return Err(RenderError::Schema(problems));
        }
    }
    Execution::new(options).run(&scope, values).map(Some)
}

fn check_kube_version(range: &str, capabilities: &Capabilities) -> Result<(), RenderError> {
    if range.is_empty() {
        return Ok(());
    }
    let fits = match (Version::parse(capabilities.kube_version.normalized()), Constraint::parse(range)) {
        (Ok(version), Ok(range)) => range.matches(&version),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(RenderError::KubeVersion {
        range: range.to_owned(),
        version: capabilities.kube_version.version.clone(),
    })
}

/// What the schemas of the chart and its subcharts find wrong; empty when all is well.
fn check_schemas(scope: &Scope, values: &Map, loader: &dyn SchemaLoader) -> String {
    let mut problems = String::new();
    if let Some(schema) = &scope.chart().schema {
        let json = serde_json::Value::from(fluxide_goyaml::Value::Object(to_table(values)));
        if let Err(problem) = schema::validate(&schema.data, &json, loader) {
            problems.push_str(&format!("{}:\n{problem}", scope.name()));
        }
    }
    for child in scope.children() {
        match values.get(child.name()) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(values)) => problems.push_str(&check_schemas(child, &values, loader)),
            Some(other) => problems.push_str(&format!(
                "{}:\ninvalid type for values: expected object (map), got {}\n",
                child.name(),
                other.type_name()
            )),
        }
    }
    problems
}

/// Takes what is rendered from NOTES.txt out of the files.
fn take_notes(files: &mut BTreeMap<String, String>, chart: &str, all: bool) -> String {
    let own = format!("{chart}/templates/NOTES.txt");
    let mut notes = String::new();
    files.retain(|path, text| {
        if !path.ends_with("NOTES.txt") {
            return true;
        }
        if all || *path == own {
            if !notes.is_empty() {
                notes.push('\n');
            }
            notes.push_str(text);
        }
        false
    });
    notes
}

/// The text of each file, and the first of them that no YAML can be since it is not UTF-8.
type Texts = (BTreeMap<String, String>, Option<ManifestError>);

/// What a YAML reader says about the document around a byte that is not UTF-8.
fn encoding_problem(text: &[u8], at: usize) -> String {
    let separator = b"\n---";
    let start = text[..at].windows(separator.len()).rposition(|window| window == separator);
    let start = start.map_or(0, |start| start + separator.len());
    let end = text[at..].windows(separator.len()).position(|window| window == separator);
    let document = &text[start..end.map_or(text.len(), |end| at + end)];
    let error = fluxide_goyaml::sigs::unmarshal_map(document).err();
    error.map_or_else(|| "text is not UTF-8".to_owned(), |error| error.to_string())
}

/// One execution of all templates.
struct Execution<'e, 'r> {
    options: &'e RenderOptions<'r>,
    release: Value,
    capabilities: Value,
    templates: BTreeMap<Order, Template>,
}

/// Templates deeper in the tree of files come first, and within one depth the last path.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Order(std::cmp::Reverse<(usize, String)>);

struct Template {
    file: ChartFile,
    data: Map,
    base_path: String,
}

impl<'e, 'r> Execution<'e, 'r> {
    fn new(options: &'e RenderOptions<'r>) -> Execution<'e, 'r> {
        let release = &options.release;
        let members = [
            ("Name", Value::from(release.name.as_str())),
            ("Namespace", Value::from(release.namespace.as_str())),
            ("IsUpgrade", Value::Bool(release.is_upgrade)),
            ("IsInstall", Value::Bool(!release.is_upgrade)),
            ("Revision", Value::int(release.revision)),
            ("Service", Value::from("Helm")),
        ];
        Execution {
            options,
            release: table(members),
            capabilities: capabilities_value(options.capabilities),
            templates: BTreeMap::new(),
        }
    }

    fn run(mut self, scope: &Scope, values: Map) -> Result<Texts, RenderError> {
        self.collect(scope, true, Some(helm::values(&values)));
        let set = self.parse(&scope.chart().parsed)?;
        let mut session = Session::new(self.options.limits.clone()).at(self.options.now);
        if self.options.lint {
            session.set_lint(true);
        }
        if let Some(lookup) = &self.options.lookup {
            session.set_lookup(lookup.clone());
        }
        let mut files = BTreeMap::new();
        let mut broken = None;
        for (Order(std::cmp::Reverse((_, path))), template) in &self.templates {
            if base_name(path).starts_with('_') {
                continue;
            }
            let about = [
                ("Name", Value::from(path.as_str())),
                ("BasePath", Value::from(template.base_path.as_str())),
            ];
            let about: Map = about.into_iter().map(|(key, value)| (key.into(), value)).collect();
            template.data.insert("Template", helm::values(&about));
            let data = helm::values(&template.data);
            let mut text = set
                .execute(path, &data, &mut session)
                .map_err(|error| template_error(&helm::execution_error_text(path, &error)))?;
            helm::strip_no_value(&mut text);
            text.shrink_to_fit();
            if let Err(error) = std::str::from_utf8(&text)
                && !path.ends_with("NOTES.txt")
            {
                // The files come in the reverse of the order in which they are read as YAML.
                let problem = encoding_problem(&text, error.valid_up_to());
                let first = broken.as_ref().is_none_or(|other: &ManifestError| *path < other.path);
                if first {
                    broken = Some(ManifestError { path: path.clone(), problem });
                }
            }
            files.insert(path.clone(), into_string(text));
        }
        Ok((files, broken))
    }

    /// Parses all templates, or finds the same ones parsed by an earlier rendering.
    fn parse(&self, cache: &TemplateCache) -> Result<Templates, RenderError> {
        let sources = || {
            self.templates
                .iter()
                .map(|(Order(std::cmp::Reverse((_, path))), template)| (path, &template.file))
        };
        cache.get_or_parse(self.options.strict, sources, |strict| {
            let missing = if strict { MissingKey::Error } else { MissingKey::Zero };
            let mut set = Templates::new("gotpl", functions(), missing);
            for (path, file) in sources() {
                set.parse(path.as_str(), file.data.clone())
                    .map_err(|error| template_error(&helm::parse_error_text(path, &error)))?;
            }
            Ok(set)
        })
    }

    /// Notes the templates of a chart and its subcharts with the data that they see; gives this data.
    fn collect(&mut self, scope: &Scope, is_root: bool, values: Option<Value>) -> Map {
        let chart = scope.chart();
        let path = scope.path();
        let values = values.unwrap_or_else(|| helm::values(&Map::new()));
        let subcharts = Map::new();
        let files = chart.files.iter().map(|file| (file.name.clone(), Text::from(file.data.clone())));
        let data: Map = [
            ("Chart", metadata_value(&scope.metadata(), is_root)),
            ("Files", helm::Files::value(files)),
            ("Release", self.release.clone()),
            ("Capabilities", self.capabilities.clone()),
            ("Values", values.clone()),
            ("Subcharts", Value::Map(subcharts.clone())),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect();
        for child in scope.children() {
            // A name with dots is a path here, and finds nothing.
            let own = match &values {
                Value::Map(values) => table_at(values, child.name()),
                _ => None,
            };
            let data = self.collect(child, false, own.as_ref().map(helm::values));
            subcharts.insert(child.name(), Value::Map(data));
        }
        for file in &chart.templates {
            if chart.metadata.is_library() && !base_name(&file.name).starts_with('_') {
                continue;
            }
            let name = clean_path(&format!("{path}/{}", file.name));
            let depth = name.matches('/').count();
            let template = Template {
                file: file.clone(),
                data: data.clone(),
                base_path: clean_path(&format!("{path}/templates")),
            };
            self.templates.insert(Order(std::cmp::Reverse((depth, name))), template);
        }
        data
    }
}

/// The error with the text that Helm makes of a template's error.
fn template_error(text: &(impl AsRef<[u8]> + ?Sized)) -> RenderError {
    RenderError::Template(String::from_utf8_lossy(text.as_ref()).into_owned())
}

/// The functions that templates may call, built once.
fn functions() -> fluxide_gotemplate::Functions {
    static FUNCTIONS: std::sync::OnceLock<fluxide_gotemplate::Functions> = std::sync::OnceLock::new();
    FUNCTIONS.get_or_init(helm::functions).clone()
}
