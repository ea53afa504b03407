//! The Helm chart engine.

mod archive;
mod capabilities;
mod chart;
mod decode;
pub mod digest;
mod directory;
mod file;
mod hook;
mod ignore;
pub mod index;
mod json;
mod load;
pub mod manifest;
mod metadata;
pub mod package;
pub mod pattern;
pub mod release;
pub mod schema;
pub mod strvals;
mod text;
mod time;
pub mod values;

pub use archive::{ArchiveError, Limits};
pub use capabilities::{Capabilities, DEFAULT_API_VERSIONS, HELM_VERSION, KubeVersion, KubeVersionError};
pub use chart::{Chart, Crd};
pub use directory::{Directory, DirectoryError, DiskDirectory, EntryKind};
pub use file::ChartFile;
pub use hook::{Hook, HookEvent, HookExecution, hooks_of};
pub use ignore::{IgnoreError, IgnoreRules};
pub use load::LoadError;
pub use metadata::{API_VERSION_V1, API_VERSION_V2, Dependency, Lock, Maintainer, Metadata, MetadataError};
pub use release::Release;
pub use time::Time;
