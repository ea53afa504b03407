//! What a linter finds in Chart.yaml.

use fluxide_gotext::quote_str;
use fluxide_goyaml::{Value, sigs};
use fluxide_semver_range::{Constraint, Version};

use super::{Severity, address, base};
use crate::metadata::{API_VERSION_V1, API_VERSION_V2, Metadata};

/// The findings in their order, or why the file cannot be read.
pub(super) fn check(yaml: &[u8]) -> Result<Vec<(Severity, String)>, String> {
    let metadata = Metadata::from_yaml(yaml)?;
    let mut found = Vec::new();
    let mut note = |severity, result: Result<(), String>| {
        if let Err(text) = result {
            found.push((severity, text));
        }
    };
    let strict = check_strictly(yaml);
    note(
        Severity::Warning,
        strict.map_err(|error| format!("failed to strictly parse chart metadata file\n\t{error}")),
    );
    let members = match sigs::from_yaml(yaml) {
        Ok(Value::Object(members)) => members,
        _ => Default::default(),
    };
    let api_version = metadata.api_version.as_str();
    note(Severity::Error, name(&metadata.name));
    note(
        Severity::Error,
        match api_version {
            "" => Err("apiVersion is required. The value must be either \"v1\" or \"v2\"".to_owned()),
            API_VERSION_V1 | API_VERSION_V2 => Ok(()),
            other => {
                Err(format!("apiVersion '{other}' is not valid. The value must be either \"v1\" or \"v2\""))
            }
        },
    );
    note(Severity::Error, is_text("version", members.get("version")));
    note(Severity::Error, version(&metadata.version));
    note(Severity::Error, is_text("appVersion", members.get("appVersion")));
    note(Severity::Error, maintainers(&metadata));
    let wrong = metadata.sources.iter().find(|source| !address::is_request_url(source));
    note(Severity::Error, wrong.map_or(Ok(()), |source| Err(format!("invalid source URL '{source}'"))));
    if metadata.icon.is_empty() {
        note(Severity::Info, Err("icon is recommended".to_owned()));
    } else if !address::is_request_url(&metadata.icon) {
        note(Severity::Error, Err(format!("invalid icon URL '{}'", metadata.icon)));
    }
    if api_version != API_VERSION_V2 {
        if !metadata.kind.is_empty() {
            note(
                Severity::Error,
                Err(format!(
                    "chart type is not valid in apiVersion '{api_version}'. It is valid in apiVersion 'v2'"
                )),
            );
        }
        if metadata.dependencies.as_ref().is_some_and(|dependencies| !dependencies.is_empty()) {
            note(
                Severity::Error,
                Err(format!(
                    "dependencies are not valid in the Chart file with apiVersion '{api_version}'. They are valid in \
                 apiVersion 'v2'"
                )),
            );
        }
    }
    if Version::parse_strict(&metadata.version).is_err() {
        note(Severity::Warning, Err(format!("version '{}' is not a valid SemVerV2", metadata.version)));
    }
    Ok(found)
}

fn name(name: &str) -> Result<(), String> {
    match name {
        "" => Err("name is required".to_owned()),
        name if base(name) != name => Err(format!("chart name {} is invalid", quote_str(name))),
        _ => Ok(()),
    }
}

fn is_text(key: &str, value: Option<&Value>) -> Result<(), String> {
    let found = match value {
        None | Some(Value::String(_)) => return Ok(()),
        Some(Value::Null) => "<nil>",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Array(_)) => "[]interface {}",
        Some(Value::Object(_)) => "map[string]interface {}",
        Some(_) => "float64",
    };
    Err(format!("{key} should be of type string but it's of type {found}"))
}

fn version(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("version is required".to_owned());
    }
    let version = Version::parse(text).map_err(|_| format!("version '{text}' is not a valid SemVer"))?;
    let released = Constraint::parse(">0.0.0-0").map_err(|error| error.to_string())?;
    match released.validate(&version) {
        Ok(()) => Ok(()),
        Err(problems) => problems.first().map_or(Ok(()), |problem| Err(format!("version {problem}"))),
    }
}

fn maintainers(metadata: &Metadata) -> Result<(), String> {
    for maintainer in &metadata.maintainers {
        let Some(maintainer) = maintainer else { return Err("a maintainer entry is empty".to_owned()) };
        let (name, email, url) = (&maintainer.name, &maintainer.email, &maintainer.url);
        if name.is_empty() {
            return Err("each maintainer requires a name".to_owned());
        }
        if !email.is_empty() && !address::is_email(email) {
            return Err(format!("invalid email '{email}' for maintainer '{name}'"));
        }
        if !url.is_empty() && !address::is_url(url) {
            return Err(format!("invalid url '{url}' for maintainer '{name}'"));
        }
    }
    Ok(())
}

const FIELDS: [&str; 17] = [
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];
const MAINTAINER_FIELDS: [&str; 3] = ["name", "email", "url"];
const DEPENDENCY_FIELDS: [&str; 8] =
    ["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];

/// Refuses keys that stand twice, and members that nothing reads.
fn check_strictly(yaml: &[u8]) -> Result<(), String> {
    let value =
        sigs::from_yaml_strict(yaml).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    match unknown(&value, &FIELDS) {
        None => Ok(()),
        Some(key) => Err(format!(
            "error unmarshaling JSON: while decoding JSON: json: unknown field {}",
            quote_str(key)
        )),
    }
}

/// The first member that is not known, in the order of the names.
fn unknown<'v>(value: &'v Value, known: &[&str]) -> Option<&'v str> {
    let Value::Object(members) = value else { return None };
    members.iter().find_map(|(key, value)| {
        let Some(field) = known.iter().find(|field| field.eq_ignore_ascii_case(key)) else {
            return Some(key.as_str());
        };
        let below: &[&str] = match (*field, known.len()) {
            ("maintainers", 17) => &MAINTAINER_FIELDS,
            ("dependencies", 17) => &DEPENDENCY_FIELDS,
            _ => return None,
        };
        let Value::Array(items) = value else { return None };
        items.iter().find_map(|item| unknown(item, below))
    })
}
