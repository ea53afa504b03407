//! Build metadata: where resources and changes come from.

use crate::error::Error;
use crate::fs::join_relative;
use crate::remote::RepositoryAddress;
use crate::resource::{ORIGIN, Resource, TRANSFORMATIONS};
use crate::resources::Resources;
use std::fmt::Write;

/// Where something comes from, relative to the top kustomization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) path: String,
    pub(crate) repo: String,
    pub(crate) reference: String,
    pub(crate) configured_in: String,
    pub(crate) configured_by: Option<ConfiguredBy>,
}

/// The generator or transformer that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfiguredBy {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl Origin {
    /// The origin of what a path leads to from here.
    pub(crate) fn enter(&self, path: &str) -> Origin {
        let mut origin = self.clone();
        match RepositoryAddress::parse(path) {
            Some(address) => {
                origin.repo = address.clone_url();
                origin.reference = address.reference.clone();
                origin.path = join_relative("", &address.directory);
            }
            None => origin.path = join_relative(&origin.path, path),
        }
        origin
    }

    /// The origin of what a built-in generator or transformer of the kustomization here does.
    pub(crate) fn builtin(&self, file: &str, kind: &str) -> Origin {
        Origin {
            path: String::new(),
            repo: self.repo.clone(),
            reference: self.reference.clone(),
            configured_in: join_relative(&self.path, file),
            configured_by: Some(ConfiguredBy {
                api_version: "builtin".into(),
                kind: kind.into(),
                ..ConfiguredBy::default()
            }),
        }
    }

    /// The origin of what a plugin does, from that of its configuration.
    pub(crate) fn of_plugin(config: &Resource) -> Option<Origin> {
        let text = config.origin()?;
        let value = crate::yaml::to_json(text.as_bytes()).ok()?;
        let field = |name: &str| value.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        Some(Origin {
            path: String::new(),
            repo: field("repo"),
            reference: field("ref"),
            configured_in: field("path"),
            configured_by: Some(ConfiguredBy {
                api_version: config.api_version().to_owned(),
                kind: config.kind().to_owned(),
                name: config.name().to_owned(),
                namespace: config.namespace().to_owned(),
            }),
        })
    }

    /// The annotation's text.
    pub(crate) fn to_yaml(&self) -> String {
        let mut text = String::new();
        for (name, value) in [
            ("path", &self.path),
            ("repo", &self.repo),
            ("ref", &self.reference),
            ("configuredIn", &self.configured_in),
        ] {
            write_field(&mut text, name, value);
        }
        if let Some(by) = &self.configured_by {
            text.push_str("configuredBy:\n");
            for (name, value) in [
                ("  apiVersion", &by.api_version),
                ("  kind", &by.kind),
                ("  name", &by.name),
                ("  namespace", &by.namespace),
            ] {
                write_field(&mut text, name, value);
            }
        }
        if text.is_empty() { "{}\n".to_owned() } else { text }
    }
}

fn write_field(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let value = crate::yaml::encode(&crate::yaml::string(value));
        let _ = writeln!(text, "{name}: {}", value.trim_end());
    }
}

/// Notes that a transformer has been at work on all resources, changed or not.
pub(crate) fn add_transformation(resources: &mut Resources, origin: &Origin) -> Result<(), Error> {
    let text = origin.to_yaml();
    let mut entry = String::new();
    for (at, line) in text.lines().enumerate() {
        let _ = writeln!(entry, "{}{line}", if at == 0 { "- " } else { "  " });
    }
    // What was just deleted is on its way out, and remembers nothing.
    for resource in resources.iter_mut().filter(|resource| !resource.is_deleted()) {
        if resource.origin().is_none() {
            resource.set_annotation(ORIGIN, &text)?;
            continue;
        }
        let mut list = resource.annotation(TRANSFORMATIONS).unwrap_or_default().to_owned();
        list.push_str(&entry);
        resource.set_annotation(TRANSFORMATIONS, &list)?;
    }
    Ok(())
}
