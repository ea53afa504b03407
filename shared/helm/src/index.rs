//! Repository indexes (index.yaml): which charts a repository has, and which version of one to take.

use std::collections::BTreeMap;

use fluxide_goyaml::{Value, sigs};
use fluxide_semver_range::{Constraint, Version};
use thiserror::Error;

use crate::decode::{Decoder, decode_value};
use crate::metadata::{API_VERSION_V1, Metadata, MetadataError};
use fluxide_gotext::quote_str;

/// Why an index cannot be read, or has no fitting chart. The texts are Helm's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IndexError {
    /// There is nothing in it.
    #[error("empty index.yaml file")]
    Empty,
    /// It does not say which API version it has.
    #[error("no API version specified")]
    NoApiVersion,
    /// It is no index.
    #[error("{0}")]
    Syntax(String),
    /// There is no chart of this name.
    #[error("no chart name found")]
    NoChartName,
    /// The chart has no versions.
    #[error("no chart version found")]
    NoChartVersion,
    /// No version fits.
    #[error("no chart version found for {name}-{version}")]
    NoMatch {
        /// The chart.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// What was asked for is no range of versions.
    #[error("{0}")]
    Constraint(String),
}

/// The charts of a repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// The version of the format.
    pub api_version: String,
    /// The versions of every chart, newest first.
    pub entries: BTreeMap<String, Vec<ChartVersion>>,
}

/// One version of a chart in a repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChartVersion {
    /// What Chart.yaml says.
    pub metadata: Metadata,
    /// Where the package is; relative to the repository or absolute.
    pub urls: Vec<String>,
    /// When the package was made, as written.
    pub created: String,
    /// The SHA-256 of the package, as hexadecimal text.
    pub digest: String,
    /// Whether it was taken back.
    pub removed: bool,
}

impl Index {
    /// Reads index.yaml or its JSON form. Entries that are not valid are left out, as Helm leaves them out.
    pub fn parse(data: &[u8]) -> Result<Index, IndexError> {
        if data.is_empty() {
            return Err(IndexError::Empty);
        }
        let mut index = Index::default();
        let read = |decoder: &mut Decoder, key: &str, value: &Value| match key {
            "apiversion" => decoder.string("apiVersion", value, &mut index.api_version),
            "entries" => decoder.field("entries", |decoder| match value {
                Value::Null => {}
                Value::Object(map) => {
                    for (name, versions) in map {
                        index.entries.insert(name.clone(), read_versions(decoder, versions));
                    }
                }
                other => decoder.report(other, "map[string]repo.ChartVersions"),
            }),
            _ => {}
        };
        // JSON is read as such: it is many times faster, and large repositories serve it for that.
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(data) {
            decode_value(&Value::from(json), "repo.IndexFile", read).map_err(IndexError::Syntax)?;
        } else {
            let value = sigs::from_yaml_strict(data)
                .map_err(|error| IndexError::Syntax(format!("error converting YAML to JSON: {error}")))?;
            decode_value(&value, "repo.IndexFile", read).map_err(IndexError::Syntax)?;
        }
        for versions in index.entries.values_mut() {
            for version in versions.iter_mut() {
                // Very old entries do not say it.
                if version.metadata.api_version.is_empty() {
                    version.metadata.api_version = API_VERSION_V1.to_owned();
                }
            }
            versions.retain_mut(|version| {
                // Two dependencies of one name are forgiven here, since old charts have them.
                let forgiven = |error: &MetadataError| {
                    error.0.starts_with("more than one dependency with name or alias")
                };
                version.metadata.validate().map_or_else(|error| forgiven(&error), |()| true)
            });
            versions.sort_by_cached_key(|version| {
                std::cmp::Reverse(Version::parse(&version.metadata.version).ok())
            });
        }
        if index.api_version.is_empty() {
            return Err(IndexError::NoApiVersion);
        }
        Ok(index)
    }

    /// The version of a chart to take: the one named exactly, else the newest that is in the range. An empty range takes
    /// the newest that is no pre-release.
    pub fn get(&self, name: &str, version: &str) -> Result<&ChartVersion, IndexError> {
        let versions = self.entries.get(name).ok_or(IndexError::NoChartName)?;
        if versions.is_empty() {
            return Err(IndexError::NoChartVersion);
        }
        let constraint = Constraint::parse(if version.is_empty() { "*" } else { version })
            .map_err(|error| IndexError::Constraint(error.to_string()))?;
        if !version.is_empty()
            && let Some(exact) = versions.iter().find(|candidate| candidate.metadata.version == version)
        {
            return Ok(exact);
        }
        let fits = |candidate: &&ChartVersion| {
            Version::parse(&candidate.metadata.version).is_ok_and(|version| constraint.matches(&version))
        };
        versions
            .iter()
            .find(fits)
            .ok_or_else(|| IndexError::NoMatch { name: name.to_owned(), version: version.to_owned() })
    }
}

fn read_versions(decoder: &mut Decoder, value: &Value) -> Vec<ChartVersion> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::Null => &[],
        other => {
            decoder.report(other, "repo.ChartVersions");
            &[]
        }
    };
    let mut versions = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| **item != Value::Null) {
        let mut version = ChartVersion::default();
        decoder.structure(item, "repo.ChartVersion", |decoder, key, value| match key {
            "urls" => decoder.strings("urls", value, &mut version.urls),
            "created" => decoder.string("created", value, &mut version.created),
            "digest" => decoder.string("digest", value, &mut version.digest),
            "removed" => decoder.boolean("removed", value, &mut version.removed),
            key => version.metadata.read(decoder, key, value),
        });
        versions.push(version);
    }
    versions
}

/// The tag that a chart version has in an OCI registry, where `+` is not allowed.
pub fn oci_tag(version: &str) -> String {
    version.replace('+', "_")
}

/// The chart version that an OCI tag stands for.
pub fn version_of_oci_tag(tag: &str) -> String {
    tag.replace('_', "+")
}

/// The tag to take: the one named exactly, else the first in the range. `tags` are newest first.
pub fn choose_tag<'t>(tags: &[&'t str], version: &str) -> Result<&'t str, IndexError> {
    if !version.is_empty()
        && let Some(exact) = tags.iter().find(|tag| **tag == version)
    {
        return Ok(exact);
    }
    let constraint = Constraint::parse(if version.is_empty() { "*" } else { version })
        .map_err(|error| IndexError::Constraint(error.to_string()))?;
    let fits = |tag: &&&str| Version::parse(tag).is_ok_and(|version| constraint.matches(&version));
    tags.iter().find(fits).copied().ok_or_else(|| {
        IndexError::Syntax(format!("could not locate a version matching provided version string {version}"))
    })
}

/// Splits the reference of a chart in a registry, `oci://registry.example/charts/web`, into the repository and the name
/// that the chart must have.
pub fn oci_chart_name(reference: &str) -> Result<(&str, &str), IndexError> {
    let repository = reference
        .strip_prefix("oci://")
        .ok_or_else(|| IndexError::Syntax(format!("{} does not begin with oci://", quote_str(reference))))?;
    let repository = repository.trim_end_matches('/');
    match repository.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => Ok((repository, name)),
        _ => Err(IndexError::Syntax(format!("{} names no chart", quote_str(reference)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "apiVersion: v1\nentries:\n  web:\n  - {name: web, version: 1.0.0, urls: [a.tgz]}\n  - {name: web, \
                         version: 2.0.0-rc.1, urls: [c.tgz]}\n  - {name: web, version: 1.10.0, urls: [b.tgz], digest: ab}\n  \
                         - {name: web, version: bad}\n  - null\n  none: []\n";

    #[test]
    fn the_newest_fitting_version_is_taken() {
        let index = Index::parse(INDEX.as_bytes()).unwrap();
        let version = |name, range| index.get(name, range).map(|found| found.metadata.version.clone());
        assert_eq!(version("web", "").unwrap(), "1.10.0");
        assert_eq!(version("web", "<1.5").unwrap(), "1.0.0");
        assert_eq!(version("web", "2.0.0-rc.1").unwrap(), "2.0.0-rc.1");
        assert_eq!(version("web", ">0-0").unwrap(), "2.0.0-rc.1");
        assert_eq!(version("web", ">3").unwrap_err().to_string(), "no chart version found for web->3");
        assert_eq!(version("none", "").unwrap_err(), IndexError::NoChartVersion);
        assert_eq!(version("x", "").unwrap_err(), IndexError::NoChartName);
        assert_eq!(Index::parse(b"").unwrap_err(), IndexError::Empty);
        assert_eq!(Index::parse(b"entries: {}\n").unwrap_err(), IndexError::NoApiVersion);
    }

    #[test]
    fn registry_names_and_tags() {
        assert_eq!(oci_tag("1.2.3+a"), "1.2.3_a");
        assert_eq!(version_of_oci_tag("1.2.3_a"), "1.2.3+a");
        assert_eq!(oci_chart_name("oci://r.example/charts/web").unwrap(), ("r.example/charts/web", "web"));
        assert!(oci_chart_name("https://r.example/web").is_err());
        assert_eq!(choose_tag(&["2.0.0", "1.5.0", "x"], "1.x").unwrap(), "1.5.0");
    }
}
