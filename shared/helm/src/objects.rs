//! `.Chart` and `.Capabilities` as templates see them.

use fluxide_gotemplate::helm;
use fluxide_gotemplate::{Map, STRING_MAP, Value};

use crate::capabilities::Capabilities;
use crate::convert::to_value;
use crate::metadata::{Dependency, Metadata};

/// A map with these members.
pub(crate) fn table<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn texts(texts: &[String]) -> Value {
    Value::from(texts.iter().map(|text| Value::from(text.as_str())).collect::<Vec<_>>())
}

pub(crate) fn capabilities_value(capabilities: &Capabilities) -> Value {
    let version = &capabilities.kube_version;
    helm::Capabilities {
        kube_version: helm::KubeVersion {
            version: version.version.clone(),
            normalized: version.normalized().to_owned(),
            major: version.major.clone(),
            minor: version.minor.clone(),
        },
        api_versions: capabilities.api_versions.clone(),
        helm_version: helm::HelmVersion {
            version: capabilities.helm_version.clone(),
            git_commit: "3900f434fd3ef2b84065dc04508df48f288dba00".to_owned(),
            git_tree_state: "clean".to_owned(),
            go_version: "go1.26.8".to_owned(),
            kube_client_version: "v1.36".to_owned(),
        },
    }
    .into_value()
}

/// `.Chart`: a map with the names of Helm's own fields.
pub(crate) fn metadata_value(metadata: &Metadata, is_root: bool) -> Value {
    let text = |text: &str| Value::from(text);
    let maintainers = metadata.maintainers.iter().flatten().map(|maintainer| {
        table([
            ("Name", text(&maintainer.name)),
            ("Email", text(&maintainer.email)),
            ("URL", text(&maintainer.url)),
        ])
    });
    let annotations = match &metadata.annotations {
        None => Map::nil(&STRING_MAP),
        Some(annotations) => {
            let map = Map::with_type(&STRING_MAP);
            for (key, value) in annotations {
                map.insert(key.as_str(), text(value));
            }
            map
        }
    };
    table([
        ("Name", text(&metadata.name)),
        ("Home", text(&metadata.home)),
        ("Sources", texts(&metadata.sources)),
        ("Version", text(&metadata.version)),
        ("Description", text(&metadata.description)),
        ("Keywords", texts(&metadata.keywords)),
        ("Maintainers", Value::from(maintainers.collect::<Vec<_>>())),
        ("Icon", text(&metadata.icon)),
        ("APIVersion", text(&metadata.api_version)),
        ("Condition", text(&metadata.condition)),
        ("Tags", text(&metadata.tags)),
        ("AppVersion", text(&metadata.app_version)),
        ("Deprecated", Value::Bool(metadata.deprecated)),
        ("Annotations", Value::Map(annotations)),
        ("KubeVersion", text(&metadata.kube_version)),
        ("Dependencies", Value::from(metadata.dependencies().map(dependency_value).collect::<Vec<_>>())),
        ("Type", text(&metadata.kind)),
        ("IsRoot", Value::Bool(is_root)),
    ])
}

fn dependency_value(dependency: &Dependency) -> Value {
    let text = |text: &str| Value::from(text);
    let imports = dependency.import_values.iter().map(|item| match item {
        fluxide_goyaml::Value::Object(pair) => {
            let map = Map::with_type(&STRING_MAP);
            for (key, value) in pair {
                map.insert(key.as_str(), to_value(value));
            }
            Value::Map(map)
        }
        other => to_value(other),
    });
    table([
        ("Name", text(&dependency.name)),
        ("Version", text(&dependency.version)),
        ("Repository", text(&dependency.repository)),
        ("Condition", text(&dependency.condition)),
        ("Tags", texts(&dependency.tags)),
        ("Enabled", Value::Bool(dependency.enabled)),
        ("ImportValues", Value::from(imports.collect::<Vec<_>>())),
        ("Alias", text(&dependency.alias)),
    ])
}
