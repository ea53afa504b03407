//! Chart.yaml and the lists of dependencies: what they say, and what makes them invalid.

use std::collections::{BTreeMap, BTreeSet};

use fluxide_gotemplate::go;
use fluxide_goyaml::{Value, sigs};
use fluxide_semver_range::Version;
use thiserror::Error;

use crate::decode::{Decoder, decode_struct, decode_value};
use crate::file::base_name;
use crate::json::ObjectWriter;
use crate::time::{Time, ZERO};
use fluxide_gotext::{quote_str, unicode::is_print};

/// The API version of charts that list their dependencies in requirements.yaml.
pub const API_VERSION_V1: &str = "v1";
/// The API version of charts that list their dependencies in Chart.yaml.
pub const API_VERSION_V2: &str = "v2";

/// Why Chart.yaml is not valid. The text is Helm's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("validation: {0}")]
pub struct MetadataError(pub String);

/// What Chart.yaml says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The name of the chart.
    pub name: String,
    /// A page of the project.
    pub home: String,
    /// Where the chart's and the application's sources are.
    pub sources: Vec<String>,
    /// The version of the chart, a semantic version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Words to find the chart by.
    pub keywords: Vec<String>,
    /// Who keeps the chart; null items are a validation error.
    pub maintainers: Vec<Option<Maintainer>>,
    /// The address of an image.
    pub icon: String,
    /// `v1` or `v2`.
    pub api_version: String,
    /// The condition of the chart itself; Helm keeps it without using it.
    pub condition: String,
    /// The tags of the chart itself; Helm keeps them without using them.
    pub tags: String,
    /// The version of what the chart installs.
    pub app_version: String,
    /// Whether the chart should no longer be used.
    pub deprecated: bool,
    /// Notes for other programs; absent is not the same as empty in templates.
    pub annotations: Option<BTreeMap<String, String>>,
    /// The range of Kubernetes versions the chart works with.
    pub kube_version: String,
    /// The charts this one needs. `None` when there is no list at all; null items are a validation error.
    pub dependencies: Option<Vec<Option<Dependency>>>,
    /// `application`, `library` or empty.
    pub kind: String,
}

/// A person who keeps a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintainer {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// A page.
    pub url: String,
}

/// A chart that another chart needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependency {
    /// The name in the dependency's own Chart.yaml.
    pub name: String,
    /// The range of versions that fit.
    pub version: String,
    /// Where to get it.
    pub repository: String,
    /// Paths into the values, separated by commas; the first boolean found switches the dependency on or off.
    pub condition: String,
    /// Names that switch several dependencies together.
    pub tags: Vec<String>,
    /// Whether it is switched on; set when dependencies are processed.
    pub enabled: bool,
    /// Values of the dependency that its parent takes over: texts or `{child, parent}`.
    pub import_values: Vec<Value>,
    /// Another name for it within this chart.
    pub alias: String,
}

/// The chart versions that a dependency update settled on (Chart.lock).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// When it was made.
    pub generated: Option<Time>,
    /// The digest of the list of dependencies it was made from.
    pub digest: String,
    /// The exact versions.
    pub dependencies: Option<Vec<Option<Dependency>>>,
}

impl Metadata {
    /// Reads Chart.yaml.
    pub fn from_yaml(yaml: &[u8]) -> Result<Metadata, String> {
        let mut metadata = Metadata::default();
        metadata.merge_yaml(yaml)?;
        Ok(metadata)
    }

    /// Reads YAML over what is there: fields the text does not have stay (requirements.yaml adds dependencies).
    pub(crate) fn merge_yaml(&mut self, yaml: &[u8]) -> Result<(), String> {
        decode_struct(yaml, "v2.Metadata", |decoder, key, value| self.read(decoder, key, value))
    }

    pub(crate) fn from_value(value: &Value) -> Result<Metadata, String> {
        let mut metadata = Metadata::default();
        decode_value(value, "v2.Metadata", |decoder, key, value| metadata.read(decoder, key, value))?;
        Ok(metadata)
    }

    pub(crate) fn read(&mut self, decoder: &mut Decoder, key: &str, value: &Value) {
        match key {
            "name" => decoder.string("name", value, &mut self.name),
            "home" => decoder.string("home", value, &mut self.home),
            "sources" => decoder.strings("sources", value, &mut self.sources),
            "version" => decoder.string("version", value, &mut self.version),
            "description" => decoder.string("description", value, &mut self.description),
            "keywords" => decoder.strings("keywords", value, &mut self.keywords),
            "maintainers" => {
                let read = |decoder: &mut Decoder, item: &Value, into: &mut Option<Maintainer>| {
                    if *item != Value::Null {
                        *into = Some(Maintainer::read(decoder, item));
                    }
                };
                decoder.list("maintainers", value, "[]*v2.Maintainer", &mut self.maintainers, read);
            }
            "icon" => decoder.string("icon", value, &mut self.icon),
            "apiversion" => decoder.string("apiVersion", value, &mut self.api_version),
            "condition" => decoder.string("condition", value, &mut self.condition),
            "tags" => decoder.string("tags", value, &mut self.tags),
            "appversion" => decoder.string("appVersion", value, &mut self.app_version),
            "deprecated" => decoder.boolean("deprecated", value, &mut self.deprecated),
            "annotations" => decoder.string_map("annotations", value, &mut self.annotations),
            "kubeversion" => decoder.string("kubeVersion", value, &mut self.kube_version),
            "dependencies" => read_dependencies(decoder, value, &mut self.dependencies),
            "type" => decoder.string("type", value, &mut self.kind),
            _ => {}
        }
    }

    /// Cleans the texts of control characters, then checks what Helm checks.
    pub fn validate(&mut self) -> Result<(), MetadataError> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            sanitize(text);
        }
        self.sources.iter_mut().chain(&mut self.keywords).for_each(sanitize);
        let invalid = |message: String| Err(MetadataError(message));
        if self.api_version.is_empty() {
            return invalid("chart.metadata.apiVersion is required".to_owned());
        }
        if self.name.is_empty() {
            return invalid("chart.metadata.name is required".to_owned());
        }
        if self.name == "." || self.name == ".." {
            return invalid(format!("chart.metadata.name {} is not allowed", quote_str(&self.name)));
        }
        if self.name != base_name(&self.name) {
            return invalid(format!("chart.metadata.name {} is invalid", quote_str(&self.name)));
        }
        if self.version.is_empty() {
            return invalid("chart.metadata.version is required".to_owned());
        }
        if Version::parse(&self.version).is_err() {
            return invalid(format!("chart.metadata.version {} is invalid", quote_str(&self.version)));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return invalid("chart.metadata.type must be application or library".to_owned());
        }
        for maintainer in &mut self.maintainers {
            let Some(maintainer) = maintainer else {
                return invalid("maintainers must not contain empty or null nodes".to_owned());
            };
            [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url].into_iter().for_each(sanitize);
        }
        let mut names = BTreeSet::new();
        for dependency in self.dependencies.iter_mut().flatten() {
            let Some(dependency) = dependency else {
                return invalid("dependencies must not contain empty or null nodes".to_owned());
            };
            dependency.validate()?;
            let name = dependency.effective_name();
            if !names.insert(name.to_owned()) {
                return invalid(format!("more than one dependency with name or alias {}", quote_str(name)));
            }
        }
        Ok(())
    }

    /// Whether the chart only lends templates to others.
    pub fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }

    /// The dependencies that are written down.
    pub fn dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().flatten().flatten()
    }

    /// Go's JSON of the struct: its field order, empty fields left out.
    pub(crate) fn to_json(&self) -> String {
        let mut out = ObjectWriter::new();
        out.text_unless_empty("name", &self.name);
        out.text_unless_empty("home", &self.home);
        out.texts_unless_empty("sources", &self.sources);
        out.text_unless_empty("version", &self.version);
        out.text_unless_empty("description", &self.description);
        out.texts_unless_empty("keywords", &self.keywords);
        let maintainers = self.maintainers.iter().map(|item| match item {
            None => "null".to_owned(),
            Some(maintainer) => {
                let mut out = ObjectWriter::new();
                out.text_unless_empty("name", &maintainer.name);
                out.text_unless_empty("email", &maintainer.email);
                out.text_unless_empty("url", &maintainer.url);
                out.finish()
            }
        });
        out.list_unless_empty("maintainers", maintainers);
        out.text_unless_empty("icon", &self.icon);
        out.text_unless_empty("apiVersion", &self.api_version);
        out.text_unless_empty("condition", &self.condition);
        out.text_unless_empty("tags", &self.tags);
        out.text_unless_empty("appVersion", &self.app_version);
        if self.deprecated {
            out.raw("deprecated", "true");
        }
        if let Some(annotations) = self.annotations.as_ref().filter(|map| !map.is_empty()) {
            out.text_map("annotations", annotations);
        }
        out.text_unless_empty("kubeVersion", &self.kube_version);
        out.list_unless_empty("dependencies", dependencies_json(&self.dependencies));
        out.text_unless_empty("type", &self.kind);
        out.finish()
    }

    /// Chart.yaml as Helm writes it.
    pub fn to_yaml(&self) -> Result<String, fluxide_goyaml::Error> {
        sigs::json_to_yaml(self.to_json().as_bytes())
    }
}

impl Maintainer {
    fn read(decoder: &mut Decoder, value: &Value) -> Maintainer {
        let mut maintainer = Maintainer::default();
        decoder.structure(value, "v2.Maintainer", |decoder, key, value| match key {
            "name" => decoder.string("name", value, &mut maintainer.name),
            "email" => decoder.string("email", value, &mut maintainer.email),
            "url" => decoder.string("url", value, &mut maintainer.url),
            _ => {}
        });
        maintainer
    }
}

impl Dependency {
    /// The name the dependency goes by in its parent: the alias, when it has one.
    pub fn effective_name(&self) -> &str {
        if self.alias.is_empty() { &self.name } else { &self.alias }
    }

    fn read(decoder: &mut Decoder, value: &Value) -> Dependency {
        let mut dependency = Dependency::default();
        decoder.structure(value, "v2.Dependency", |decoder, key, value| match key {
            "name" => decoder.string("name", value, &mut dependency.name),
            "version" => decoder.string("version", value, &mut dependency.version),
            "repository" => decoder.string("repository", value, &mut dependency.repository),
            "condition" => decoder.string("condition", value, &mut dependency.condition),
            "tags" => decoder.strings("tags", value, &mut dependency.tags),
            "enabled" => decoder.boolean("enabled", value, &mut dependency.enabled),
            "import-values" => {
                let read = |decoder: &mut Decoder, item: &Value, into: &mut Value| match sigs::go_floats(
                    item.clone(),
                ) {
                    Ok(value) => *into = value,
                    Err(error) => decoder.problem(error.to_string()),
                };
                decoder.list("import-values", value, "[]interface {}", &mut dependency.import_values, read);
            }
            "alias" => decoder.string("alias", value, &mut dependency.alias),
            _ => {}
        });
        dependency
    }

    fn validate(&mut self) -> Result<(), MetadataError> {
        let texts = [&mut self.name, &mut self.version, &mut self.repository, &mut self.condition];
        texts.into_iter().chain(&mut self.tags).for_each(sanitize);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !self.alias.bytes().all(allowed) {
            return Err(MetadataError(format!(
                "dependency {} has disallowed characters in the alias",
                quote_str(&self.name)
            )));
        }
        Ok(())
    }

    fn to_json(&self) -> String {
        let mut out = ObjectWriter::new();
        out.text("name", &self.name);
        out.text_unless_empty("version", &self.version);
        out.text("repository", &self.repository);
        out.text_unless_empty("condition", &self.condition);
        out.texts_unless_empty("tags", &self.tags);
        if self.enabled {
            out.raw("enabled", "true");
        }
        if !self.import_values.is_empty() {
            out.value("import-values", &Value::Array(self.import_values.clone()));
        }
        out.text_unless_empty("alias", &self.alias);
        out.finish()
    }
}

impl Lock {
    /// Reads Chart.lock. `None` for a text that says null.
    pub fn from_yaml(yaml: &[u8]) -> Result<Option<Lock>, String> {
        let value =
            sigs::from_yaml(yaml).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
        Lock::from_value(&value)
    }

    pub(crate) fn from_value(value: &Value) -> Result<Option<Lock>, String> {
        if *value == Value::Null {
            return Ok(None);
        }
        let mut lock = Lock::default();
        decode_value(value, "v2.Lock", |decoder, key, value| match key {
            "generated" => decoder.field("generated", |decoder| match value {
                Value::Null => {}
                Value::String(text) => match Time::parse(text) {
                    Some(time) => lock.generated = Some(time).filter(|time| time.to_string() != ZERO),
                    None => {
                        let problem = go::check_time("2006-01-02T15:04:05Z07:00", text).err();
                        let problem = problem.unwrap_or_else(|| format!("parsing time {}", quote_str(text)));
                        decoder.problem(problem);
                    }
                },
                _ => decoder.problem("Time.UnmarshalJSON: input is not a JSON string".to_owned()),
            }),
            "digest" => decoder.string("digest", value, &mut lock.digest),
            "dependencies" => read_dependencies(decoder, value, &mut lock.dependencies),
            _ => {}
        })?;
        Ok(Some(lock))
    }

    pub(crate) fn to_json(&self) -> String {
        let mut out = ObjectWriter::new();
        out.text("generated", &self.generated.map_or(ZERO.to_owned(), |time| time.to_string()));
        out.text("digest", &self.digest);
        match &self.dependencies {
            None => out.raw("dependencies", "null"),
            Some(_) => out.list("dependencies", dependencies_json(&self.dependencies)),
        }
        out.finish()
    }
}

fn read_dependencies(decoder: &mut Decoder, value: &Value, target: &mut Option<Vec<Option<Dependency>>>) {
    if *value == Value::Null {
        *target = None;
        return;
    }
    let list = target.get_or_insert_with(Vec::new);
    decoder.list("dependencies", value, "[]*v2.Dependency", list, |decoder, item, into| {
        if *item != Value::Null {
            *into = Some(Dependency::read(decoder, item));
        }
    });
}

fn dependencies_json(list: &Option<Vec<Option<Dependency>>>) -> impl Iterator<Item = String> {
    list.iter().flatten().map(|item| item.as_ref().map_or("null".to_owned(), Dependency::to_json))
}

/// White space becomes blanks, and what cannot be printed goes.
fn sanitize(text: &mut String) {
    if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return;
    }
    let clean = text.chars().filter_map(|character| {
        if character.is_whitespace() { Some(' ') } else { is_print(character).then_some(character) }
    });
    *text = clean.collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Metadata, String> {
        let mut metadata = Metadata::from_yaml(yaml.as_bytes())?;
        metadata.validate().map_err(|error| error.to_string())?;
        Ok(metadata)
    }

    #[test]
    fn scalars_become_text_as_in_helm() {
        let metadata =
            read("apiVersion: v2\nNAME: a\nversion: 1\nappVersion: 1.10\ndescription: \"a\\tb\\u0007\"\n");
        let metadata = metadata.unwrap();
        assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("a", "1"));
        assert_eq!((metadata.app_version.as_str(), metadata.description.as_str()), ("1.1", "a b"));
    }

    #[test]
    fn errors_have_the_words_of_helm_and_go() {
        let base = "apiVersion: v2\nname: a\nversion: 1.0.0\n";
        for (yaml, error) in [
            ("name: a\n", "validation: chart.metadata.apiVersion is required"),
            ("apiVersion: v2\n", "validation: chart.metadata.name is required"),
            (
                "apiVersion: v2\nname: a/b\nversion: 1.0.0\n",
                "validation: chart.metadata.name \"a/b\" is invalid",
            ),
            ("apiVersion: v2\nname: a\nversion: x\n", "validation: chart.metadata.version \"x\" is invalid"),
            (
                &format!("{base}dependencies: [{{name: x}}, {{name: y, alias: x}}]\n"),
                "validation: more than one dependency with name or alias \"x\"",
            ),
            (
                &format!("{base}dependencies: [{{name: x, alias: 'a b'}}]\n"),
                "validation: dependency \"x\" has disallowed characters in the alias",
            ),
            (
                &format!("{base}maintainers: [null]\n"),
                "validation: maintainers must not contain empty or null nodes",
            ),
            (
                &format!("{base}maintainers: [x]\n"),
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field \
                 Metadata.maintainers of type v2.Maintainer",
            ),
            (
                &format!("{base}dependencies: [{{name: []}}]\n"),
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go struct field \
                 Dependency.dependencies.name of type string",
            ),
            (
                "[]",
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type v2.Metadata",
            ),
        ] {
            assert_eq!(read(yaml).unwrap_err(), error);
        }
    }
}
