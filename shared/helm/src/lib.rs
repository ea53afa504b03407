//! The Helm chart engine: a chart and values in, the manifests of Helm 4.2 out, byte for byte.
//!
//! ```
//! use std::sync::Arc;
//! use fluxide_helm::values::read_values;
//! use fluxide_helm::{Capabilities, Chart, ChartFile, ReleaseOptions, RenderOptions, render};
//!
//! // Charts come from archives, directories, or files in memory. They are parsed once and rendered often.
//! let chart = Arc::new(Chart::from_files(vec![
//!     ChartFile::new("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
//!     ChartFile::new("values.yaml", "replicas: 1\n"),
//!     ChartFile::new("templates/web.yaml", "kind: Web\nreplicas: {{ .Values.replicas }}\n"),
//! ])?);
//! let values = read_values(b"replicas: 2\n")?;
//! let release = ReleaseOptions { name: "a".into(), namespace: "b".into(), revision: 1, is_upgrade: false };
//! let capabilities = Capabilities::default();
//! let options = RenderOptions::new(release, &capabilities, "2026-01-01T00:00:00Z".parse()?);
//! let rendered = render(&chart, &values, options)?;
//! assert_eq!(rendered.manifests[0].content, "kind: Web\nreplicas: 2\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where things are:
//!
//! - [`Chart`] and how it is loaded: [`Chart::from_archive`], [`Chart::from_directory`], [`Chart::from_files`];
//! - values: [`values`] reads and merges files, [`strvals`] is `--set` and its family, [`schema`] checks them;
//! - [`render()`]: dependencies, values, templates, hooks, sort order, post-rendering;
//! - [`release`]: the records that Helm stores, and [`digest`]: how Flux recognises them;
//! - [`package`] and [`index`]: making packages, and choosing them from repositories and registries.
//!
//! Nothing here reads a clock, the environment or the network. Charts and values are hostile input: archives, schemas
//! and templates are read and run within [`Limits`] and [`TemplateLimits`].

mod archive;
mod cache;
mod capabilities;
mod chart;
mod coalesce;
mod convert;
mod decode;
pub mod digest;
mod directory;
mod file;
mod hook;
mod ignore;
pub mod index;
mod json;
pub mod lint;
mod load;
pub mod manifest;
mod metadata;
mod name;
mod objects;
pub mod package;
pub mod pattern;
mod postrender;
pub mod release;
mod render;
pub mod schema;
mod scope;
pub mod strvals;
mod time;
pub mod values;

pub use archive::{ArchiveError, Limits};
pub use capabilities::{Capabilities, DEFAULT_API_VERSIONS, HELM_VERSION, KubeVersion, KubeVersionError};
pub use chart::{Chart, Crd};
pub use directory::{Directory, DirectoryError, DiskDirectory, EntryKind};
pub use file::ChartFile;
pub use fluxide_gotemplate::Limits as TemplateLimits;
pub use fluxide_gotemplate::Value as TemplateValue;
pub use fluxide_gotemplate::helm::Lookup;
pub use hook::{Hook, HookEvent, HookExecution, hooks_of};
pub use ignore::{IgnoreError, IgnoreRules};
pub use load::LoadError;
pub use metadata::{API_VERSION_V1, API_VERSION_V2, Dependency, Lock, Maintainer, Metadata, MetadataError};
pub use name::{ReleaseNameError, check_release_name, name_from_template};
pub use postrender::{PostRenderError, PostRenderStrategy, PostRenderer};
pub use release::Release;
pub use render::{ReleaseOptions, RenderError, RenderOptions, Rendered, TemplateOutput, render};
pub use time::Time;
