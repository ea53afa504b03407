//! Makes charts of files: from an archive, a directory, or memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::archive::{ArchiveError, Limits, read_archive};
use crate::chart::Chart;
use crate::directory::DirectoryError;
use crate::file::{ChartFile, extension};
use crate::ignore::IgnoreError;
use crate::metadata::{API_VERSION_V1, API_VERSION_V2, Lock, Metadata, MetadataError};
use crate::values::read_values;

/// Why a chart cannot be loaded. The texts are Helm's.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The archive is refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// `.helmignore` cannot be used.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
    /// A file is not what its name promises.
    #[error("cannot load {file}: {problem}")]
    File {
        /// `Chart.yaml`, `values.yaml`, ...
        file: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no Chart.yaml.
    #[error("Chart.yaml file is missing")]
    Missing,
    /// There is no Chart.yaml in the archive.
    #[error("unable to detect chart version, no Chart.yaml found")]
    Undetected,
    /// The chart's API version is not `v1`, `v2` or `v3`.
    #[error("unsupported chart version")]
    Unsupported,
    /// The chart's API version is `v3`, which Helm reads and does not install.
    #[error("invalid chart apiVersion")]
    NotInstallable,
    /// Chart.yaml is not valid.
    #[error(transparent)]
    Invalid(#[from] MetadataError),
    /// A subchart cannot be loaded.
    #[error("error unpacking subchart {name} in {parent}: {source}")]
    Subchart {
        /// The file or directory in `charts/`.
        name: String,
        /// The chart it is in.
        parent: String,
        /// Why.
        source: Box<LoadError>,
    },
    /// A directory in `charts/` has the name of an archive.
    #[error("error unpacking subchart tar in {parent}: expected {name}, got {found}")]
    SubchartArchive {
        /// The chart it is in.
        parent: String,
        /// The directory.
        name: String,
        /// A file in it.
        found: String,
    },
    /// Charts within charts are too many, too deep or too large.
    #[error("chart with its subcharts {0}")]
    Limit(String),
}

impl Chart {
    /// Reads a packaged chart within Helm's limits.
    ///
    /// ```no_run
    /// let archive = std::fs::read("web-1.2.3.tgz")?;
    /// let chart = fluxide_helm::Chart::from_archive(&archive)?;
    /// println!("{} {}", chart.metadata.name, chart.metadata.version);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_archive(archive: &[u8]) -> Result<Chart, LoadError> {
        Chart::from_archive_within(archive, &Limits::default())
    }

    /// [`Chart::from_archive`] with other limits.
    pub fn from_archive_within(archive: &[u8], limits: &Limits) -> Result<Chart, LoadError> {
        let files = read_archive(archive, limits)?;
        let chart_yaml = files.iter().find(|file| file.name == "Chart.yaml").ok_or(LoadError::Undetected)?;
        require_known_version(chart_yaml)?;
        Loader::new(limits).load(files)
    }

    /// [`Chart::from_archive`] for charts of any API version, to look at what is in them.
    pub fn from_archive_of_any_version(archive: &[u8]) -> Result<Chart, LoadError> {
        let limits = Limits::default();
        Loader::new(&limits).load(read_archive(archive, &limits)?)
    }

    /// Makes a chart of files that were read already, with paths below the chart's root.
    pub fn from_files(files: Vec<ChartFile>) -> Result<Chart, LoadError> {
        Loader::new(&Limits::default()).load(files)
    }
}

/// Charts of other API versions are refused before anything else is looked at.
pub(crate) fn require_known_version(chart_yaml: &ChartFile) -> Result<(), LoadError> {
    let metadata = Metadata::from_yaml(&chart_yaml.data).map_err(|problem| {
        // Helm looks at the version alone here, with a type of its own.
        let problem = problem
            .replace("value of type v2.Metadata", "value of type loader.chartBase")
            .replace("struct field Metadata.apiVersion", "struct field chartBase.apiVersion");
        LoadError::File { file: "Chart.yaml", problem }
    })?;
    match metadata.api_version.as_str() {
        "" | API_VERSION_V1 | API_VERSION_V2 => Ok(()),
        "v3" => Err(LoadError::NotInstallable),
        _ => Err(LoadError::Unsupported),
    }
}

/// What loading a chart with all its subcharts may use.
pub(crate) struct Loader<'l> {
    limits: &'l Limits,
    bytes: u64,
    files: usize,
    depth: usize,
}

impl<'l> Loader<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Loader<'l> {
        Loader { limits, bytes: 0, files: 0, depth: 0 }
    }

    pub(crate) fn load(&mut self, files: Vec<ChartFile>) -> Result<Chart, LoadError> {
        self.files += files.len();
        self.bytes += files.iter().map(|file| file.data.len() as u64).sum::<u64>();
        self.chart(files)
    }

    fn chart(&mut self, files: Vec<ChartFile>) -> Result<Chart, LoadError> {
        if self.depth > self.limits.depth {
            return Err(LoadError::Limit(format!("is nested deeper than {} levels", self.limits.depth)));
        }
        if self.files > self.limits.files || self.bytes > self.limits.total {
            let Limits { files, total, .. } = self.limits;
            return Err(LoadError::Limit(format!("is larger than {files} files or {total} bytes")));
        }
        let mut chart = Chart::default();
        let mut has_metadata = false;
        for file in files.iter().filter(|file| file.name == "Chart.yaml") {
            let read = chart.metadata.merge_yaml(&file.data);
            read.map_err(|problem| LoadError::File { file: "Chart.yaml", problem })?;
            // Charts of Helm 2 need not say which API version they have.
            if chart.metadata.api_version.is_empty() {
                chart.metadata.api_version = API_VERSION_V1.to_owned();
            }
            chart.modified = file.modified;
            has_metadata = true;
        }
        let mut subcharts: BTreeMap<String, Vec<ChartFile>> = BTreeMap::new();
        for file in files {
            match file.name.as_str() {
                "Chart.yaml" => {}
                "Chart.lock" => chart.lock = read_lock("Chart.lock", &file)?,
                "values.yaml" => {
                    let values = read_values(&file.data);
                    chart.values =
                        Some(values.map_err(|problem| LoadError::File { file: "values.yaml", problem })?);
                    chart.values_file = Some(file);
                }
                "values.schema.json" => chart.schema = Some(file),
                "requirements.yaml" => {
                    let read = chart.metadata.merge_yaml(&file.data);
                    read.map_err(|problem| LoadError::File { file: "requirements.yaml", problem })?;
                    has_metadata = true;
                    if chart.metadata.api_version == API_VERSION_V1 {
                        chart.files.push(file);
                    }
                }
                "requirements.lock" => {
                    chart.lock = read_lock("requirements.lock", &file)?;
                    has_metadata = true;
                    if chart.metadata.api_version == API_VERSION_V1 {
                        chart.files.push(file);
                    }
                }
                name if name.starts_with("templates/") => chart.templates.push(file),
                name => match name.strip_prefix("charts/") {
                    Some(path) if extension(path) != ".prov" => {
                        let path = path.to_owned();
                        let directory = path.split('/').next().unwrap_or_default().to_owned();
                        subcharts.entry(directory).or_default().push(ChartFile { name: path, ..file });
                    }
                    _ => chart.files.push(file),
                },
            }
        }
        if !has_metadata {
            return Err(LoadError::Missing);
        }
        chart.metadata.validate()?;
        for (name, files) in subcharts {
            if name.starts_with(['_', '.']) {
                continue;
            }
            let subchart = self.subchart(&name, files, chart.name())?;
            chart.subcharts.push(Arc::new(subchart));
        }
        Ok(chart)
    }

    fn subchart(&mut self, name: &str, files: Vec<ChartFile>, parent: &str) -> Result<Chart, LoadError> {
        self.depth += 1;
        let subchart = if extension(name) == ".tgz" {
            match files.first() {
                Some(file) if file.name == name => read_archive(&file.data, self.limits)
                    .map_err(LoadError::from)
                    .and_then(|files| self.load(files)),
                file => {
                    return Err(LoadError::SubchartArchive {
                        parent: parent.to_owned(),
                        name: name.to_owned(),
                        found: file.map(|file| file.name.clone()).unwrap_or_default(),
                    });
                }
            }
        } else {
            // A file that lies directly in charts/ has no directory to take off.
            let below = files.into_iter().filter_map(|file| {
                let name = file.name.split_once('/')?.1.to_owned();
                Some(ChartFile { name, ..file })
            });
            self.chart(below.collect())
        };
        self.depth -= 1;
        subchart.map_err(|source| LoadError::Subchart {
            name: name.to_owned(),
            parent: parent.to_owned(),
            source: Box::new(source),
        })
    }
}

fn read_lock(name: &'static str, file: &ChartFile) -> Result<Option<Lock>, LoadError> {
    Lock::from_yaml(&file.data).map_err(|problem| LoadError::File { file: name, problem })
}
