//! A chart as it was read: immutable, cheap to share, ready to be rendered any number of times.

use std::sync::Arc;

use crate::cache::TemplateCache;
use crate::file::{ChartFile, extension};
use crate::metadata::Metadata;
use crate::time::Time;
use crate::values::Table;

pub use crate::metadata::Lock;

/// A chart with its subcharts, as it was read from a directory or an archive.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What Chart.yaml (and requirements.yaml) says.
    pub metadata: Metadata,
    /// The exact versions of the dependencies.
    pub lock: Option<Lock>,
    /// The files below `templates/`.
    pub templates: Vec<ChartFile>,
    /// The default values; `None` when there is no values.yaml.
    pub values: Option<Table>,
    /// values.yaml as it was written.
    pub values_file: Option<ChartFile>,
    /// values.schema.json.
    pub schema: Option<ChartFile>,
    /// Everything else, for `.Files` and `crds/`.
    pub files: Vec<ChartFile>,
    /// When Chart.yaml was last changed.
    pub modified: Option<Time>,
    /// The charts in `charts/`.
    pub subcharts: Vec<Arc<Chart>>,
    /// The templates as they were parsed for earlier renderings.
    pub(crate) parsed: TemplateCache,
}

/// A file below `crds/` of a chart or of one of its subcharts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crd {
    /// The path with the chart's own in front: `web/charts/db/crds/crd.yaml`.
    pub path: String,
    /// The file.
    pub file: ChartFile,
}

impl Chart {
    /// The name in Chart.yaml.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The names of the dependencies that Chart.yaml asks for and `charts/` does not have.
    pub fn missing_dependencies(&self) -> Vec<&str> {
        let present = |name: &str| self.subcharts.iter().any(|subchart| subchart.name() == name);
        self.metadata
            .dependencies()
            .map(|dependency| dependency.name.as_str())
            .filter(|name| !present(name))
            .collect()
    }

    /// The files below `crds/` with the extension of a manifest, those of subcharts behind the chart's own.
    pub fn crd_files(&self) -> Vec<&ChartFile> {
        self.own_crds().chain(self.subcharts.iter().flat_map(|subchart| subchart.crd_files())).collect()
    }

    /// The files below `crds/` with the extension of a manifest.
    pub(crate) fn own_crds(&self) -> impl Iterator<Item = &ChartFile> {
        self.files.iter().filter(|file| {
            let extension = extension(&file.name);
            file.name.starts_with("crds/")
                && [".yaml", ".yml", ".json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        })
    }
}
