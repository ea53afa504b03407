//! Looks for what is wrong with a chart, as `helm lint` does and in its words.

mod address;
mod chartfile;
mod deprecation;
mod manifest;
mod name;

use std::fmt;
use std::sync::Arc;

use fluxide_gotext::quote_str;
use fluxide_goyaml::sigs;

use crate::archive::{Limits, read_archive};
use crate::chart::Chart;
use crate::directory::{Directory, EntryKind};
use crate::file::{ChartFile, base_name, extension};
use crate::metadata::Metadata;
use crate::render::{RenderOptions, render_for_lint};
use crate::schema::validate_alone;
use crate::values::{Table, merge};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Against convention, and works.
    Warning,
    /// Does not work.
    Error,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// The file or directory it is about; may be empty.
    pub path: String,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        };
        write!(f, "[{severity}] {}: {}", self.path, self.text)
    }
}

/// Checks the chart in a directory, which messages call `shown`, with the values that a user gave.
///
/// The options say for which release and cluster it is rendered. There must be a Chart.yaml.
pub fn lint(
    directory: &dyn Directory,
    shown: &str,
    values: &Table,
    mut options: RenderOptions,
) -> Vec<Message> {
    options.lint = true;
    let chart = Chart::from_directory_of_any_version(directory);
    let chart = chart.map(Arc::new).map_err(|error| error.to_string());
    let mut linter = Linter { directory, shown, values, options, chart, messages: Vec::new() };
    linter.chart_file();
    linter.values();
    linter.templates();
    linter.dependencies();
    linter.crds();
    linter.messages
}

/// The files of an archive, and the name of the directory to put them into: that of the chart.
pub fn unpack(archive: &[u8]) -> Result<(String, Vec<ChartFile>), String> {
    let files = read_archive(archive, &Limits::default()).map_err(|error| error.to_string())?;
    let mut name = String::new();
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        let metadata = Metadata::from_yaml(&file.data);
        name = metadata.map_err(|problem| format!("cannot load Chart.yaml: {problem}"))?.name;
    }
    match name.as_str() {
        "" => Err("chart name not specified".to_owned()),
        "." | ".." => Err(format!("chart name {} is not allowed", quote_str(&name))),
        name if base(name) != name => {
            Err(format!("chart name {} must not contain path separators", quote_str(name)))
        }
        _ => Ok((name, files)),
    }
}

struct Linter<'l, 'r> {
    directory: &'l dyn Directory,
    shown: &'l str,
    values: &'l Table,
    options: RenderOptions<'r>,
    /// The chart, or why it cannot be loaded.
    chart: Result<Arc<Chart>, String>,
    messages: Vec<Message>,
}

impl Linter<'_, '_> {
    fn say(&mut self, severity: Severity, path: &str, text: impl Into<String>) {
        self.messages.push(Message { severity, path: path.to_owned(), text: text.into() });
    }

    /// Notes a problem, if there is one, and says whether there was none.
    fn check(&mut self, severity: Severity, path: &str, result: Result<(), String>) -> bool {
        match result {
            Ok(()) => true,
            Err(problem) => {
                self.say(severity, path, problem);
                false
            }
        }
    }

    fn kind(&self, name: &str) -> Option<EntryKind> {
        let names = self.directory.list("").unwrap_or_default();
        names.into_iter().find(|(entry, _)| entry == name).map(|(_, kind)| kind)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read = self.directory.read(name, Limits::default().file, &mut bytes);
        read.map(|_| bytes).map_err(|error| error.to_string())
    }

    fn chart_file(&mut self) {
        const FILE: &str = "Chart.yaml";
        if self.kind(FILE) == Some(EntryKind::Directory) {
            self.say(Severity::Error, FILE, "should be a file, not a directory");
            let path = self.directory.describe(FILE);
            self.say(Severity::Error, FILE, format!("unable to parse YAML\n\tread {path}: is a directory"));
            return;
        }
        let found = self.read(FILE).and_then(|bytes| chartfile::check(&bytes));
        match found {
            Err(problem) => self.say(Severity::Error, FILE, format!("unable to parse YAML\n\t{problem}")),
            Ok(found) => found.into_iter().for_each(|(severity, text)| self.say(severity, FILE, text)),
        }
    }

    fn values(&mut self) {
        const FILE: &str = "values.yaml";
        if self.kind(FILE).is_none() {
            self.say(Severity::Info, FILE, "file does not exist");
            return;
        }
        let result = self.read(FILE).and_then(|bytes| {
            let mut merged = sigs::unmarshal_map(&bytes).map_err(|error| {
                let error = error.to_string().replace("map[string]interface {}", "common.Values");
                format!("unable to parse YAML: {error}")
            })?;
            let schema = self.read("values.schema.json").unwrap_or_default();
            if self.options.skip_schema_validation {
                return Ok(());
            }
            merge(&mut merged, self.values.clone());
            without_nulls_of(self.values, &mut merged);
            validate_alone(&schema, &merged, self.options.schemas)
        });
        self.check(Severity::Error, FILE, result);
    }

    fn templates(&mut self) {
        const DIRECTORY: &str = "templates/";
        match self.kind("templates") {
            None => return self.say(Severity::Warning, DIRECTORY, "directory does not exist"),
            Some(EntryKind::Directory) => {}
            Some(_) => return self.say(Severity::Error, DIRECTORY, "not a directory"),
        }
        let chart = match self.chart.clone() {
            Ok(chart) => chart,
            Err(problem) => return self.say(Severity::Error, DIRECTORY, problem),
        };
        let (files, broken) = match render_for_lint(&chart, self.values, &self.options) {
            Ok(Some(rendered)) => rendered,
            Ok(None) => return,
            Err(error) => return self.say(Severity::Error, DIRECTORY, error.to_string()),
        };
        let version = &self.options.capabilities.kube_version;
        let version = (version.major.parse().unwrap_or_default(), version.minor.parse().unwrap_or_default());
        for template in &chart.templates {
            let name = template.name.as_str();
            let kind = extension(name);
            if ![".yaml", ".yml", ".tpl", ".txt"].contains(&kind) {
                self.say(
                    Severity::Error,
                    name,
                    format!(
                        "file extension '{kind}' not valid. Valid extensions are .yaml, .yml, .tpl, or .txt"
                    ),
                );
            }
            if !matches!(kind.to_ascii_lowercase().as_str(), ".yaml" | ".yml") {
                continue;
            }
            let path = format!("{}/{name}", chart.name());
            if let Some(broken) = broken.as_ref().filter(|broken| broken.path == path) {
                return self.say(Severity::Error, name, format!("unable to parse YAML: {}", broken.problem));
            }
            let text = files.get(&path).map_or("", String::as_str);
            if text.trim().is_empty() {
                continue;
            }
            self.check(Severity::Warning, name, manifest::check_indent(text));
            for document in manifest::documents(text) {
                let object = match document {
                    Ok(object) => object,
                    // What comes behind is left unread, in the other files, too.
                    Err(problem) => {
                        return self.say(Severity::Error, name, format!("unable to parse YAML: {problem}"));
                    }
                };
                self.check(Severity::Warning, name, name::check(&object.kind, &object.name));
                if !object.api_version.is_empty()
                    && !object.kind.is_empty()
                    && let Some(warning) = deprecation::warning(&object.api_version, &object.kind, version)
                {
                    self.say(Severity::Warning, name, warning);
                }
                self.check(Severity::Error, name, object.check_selector(text));
                self.check(Severity::Error, name, object.check_list(text));
            }
        }
    }

    fn dependencies(&mut self) {
        let chart = match self.chart.clone() {
            Ok(chart) => chart,
            Err(problem) => {
                return self.say(Severity::Error, "", format!("unable to load chart\n\t{problem}"));
            }
        };
        let listed: Vec<_> = chart.metadata.dependencies().collect();
        let unlisted: Vec<&str> = chart
            .subcharts
            .iter()
            .map(|subchart| subchart.name())
            .filter(|name| !listed.iter().any(|dependency| dependency.name == *name))
            .collect();
        let shown = self.shown.to_owned();
        if !unlisted.is_empty() {
            let names = unlisted.join(",");
            self.say(
                Severity::Error,
                &shown,
                format!("chart metadata is missing these dependencies: {names}"),
            );
        }
        let names: Vec<&str> = listed.iter().map(|dependency| dependency.effective_name()).collect();
        let twice: Vec<&str> = names
            .iter()
            .enumerate()
            .filter(|(at, name)| names[..*at].contains(name))
            .map(|(_, name)| *name)
            .collect();
        if !twice.is_empty() {
            let names = twice.join(",");
            self.say(Severity::Error, &shown, format!("multiple dependencies with name or alias: {names}"));
        }
        let absent: Vec<&str> = listed
            .iter()
            .map(|dependency| dependency.name.as_str())
            .filter(|name| !chart.subcharts.iter().any(|subchart| subchart.name() == *name))
            .collect();
        if !absent.is_empty() {
            let names = absent.join(",");
            self.say(
                Severity::Warning,
                &shown,
                format!("chart directory is missing these dependencies: {names}"),
            );
        }
    }

    fn crds(&mut self) {
        const DIRECTORY: &str = "crds/";
        match self.kind("crds") {
            None => return,
            Some(EntryKind::Directory) => {}
            Some(_) => return self.say(Severity::Error, DIRECTORY, "not a directory"),
        }
        let chart = match self.chart.clone() {
            Ok(chart) => chart,
            Err(problem) => return self.say(Severity::Error, DIRECTORY, problem),
        };
        for file in chart.crd_files() {
            for document in manifest::documents(&file.text()) {
                let object = match document {
                    Ok(object) => object,
                    Err(problem) => {
                        let problem = format!("unable to parse YAML: {problem}");
                        return self.say(Severity::Error, &file.name, problem);
                    }
                };
                if !object.api_version.starts_with("apiextensions.k8s.io") {
                    self.say(Severity::Error, &file.name, "apiVersion is not in 'apiextensions.k8s.io'");
                }
                if object.kind != "CustomResourceDefinition" {
                    self.say(Severity::Error, &file.name, "object kind is not 'CustomResourceDefinition'");
                }
            }
        }
    }
}

/// Takes out of merged values what the user's have as null.
fn without_nulls_of(user: &Table, merged: &mut Table) {
    use fluxide_goyaml::Value;
    for (key, value) in user {
        match (value, merged.get_mut(key)) {
            (Value::Null, _) => {
                merged.remove(key);
            }
            (Value::Object(user), Some(Value::Object(merged))) => without_nulls_of(user, merged),
            _ => {}
        }
    }
}

/// The part of a path behind its last slash, as Go's `filepath.Base` gives it.
fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { base_name(path) }
}
