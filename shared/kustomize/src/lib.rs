//! The kustomize build engine, byte for byte.
//!
//! [`build`] turns a directory with a `kustomization.yaml` into Kubernetes objects: what `kustomize build` 5.8.1 prints
//! or, with [`Options::flux`], what Flux applies. The engine is pure: it reads through a [`FileSystem`], fetches remote
//! bases only through a [`RemoteLoader`] that the caller brings, and keeps all state in the build, so that builds can
//! run at the same time.
//!
//! ```
//! use fluxide_kustomize::{MemoryFs, Options, build};
//!
//! let fs = MemoryFs::new()
//!     .with("/app/kustomization.yaml", "namePrefix: demo-\nresources: [config.yaml]\n")
//!     .with("/app/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n");
//! let resources = build(&fs, "/app", &Options::kustomize())?;
//! assert_eq!(resources.to_yaml()?, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: demo-settings\n");
//! # Ok::<(), fluxide_kustomize::Error>(())
//! ```

mod allowance;
mod annotations;
mod build;
mod config;
mod configurations;
mod error;
mod fieldspec;
mod fs;
mod generate;
mod id;
mod jsonpatch;
mod kustomization;
mod loader;
mod merge;
mod nameref;
mod node;
mod options;
mod origin;
mod plugin;
mod reader;
mod remote;
mod replacement;
mod resource;
mod resources;
mod schema;
mod selector;
mod sort;
mod transform;
mod twins;
mod vars;
mod yaml;

pub use config::ConfigError;
pub use error::Error;
pub use fieldspec::{ConflictingFieldSpecs, FieldError, FieldSpecError};
pub use fs::{DiskFs, FileSystem, FsError, MemoryFs, Resolved, clean};
pub use generate::GeneratorError;
pub use id::{Gvk, ResourceId};
pub use jsonpatch::JsonPatchError;
pub use kustomization::KustomizationError;
pub use kustomization::decode::DecodeError;
pub use loader::LoadError;
pub use merge::MergeError;
pub use node::NodeError;
pub use options::{Limits, LoadRestrictor, Mode, Options, ResourceOrder};
pub use plugin::PluginError;
pub use reader::ReadError;
pub use remote::{Checkout, RemoteError, RemoteLoader, RepositoryAddress};
pub use replacement::ReplacementError;
pub use resource::Resource;
pub use resources::Resources;
pub use schema::SchemaError;
pub use selector::SelectorError;
pub use sort::SortError;
pub use transform::TransformError;
pub use vars::VarError;

/// Builds the kustomization in a directory: an absolute path of the file system, or a Git address.
pub fn build(fs: &dyn FileSystem, directory: &str, options: &Options<'_>) -> Result<Resources, Error> {
    build::run(fs, directory, options)
}

/// Reads a kustomization file as Flux does before it adds the fields of a Kustomization to it, which is more lenient than
/// [`build`]: unknown fields are left out, names are in their own letter case, and numbers and booleans are text where
/// text is wanted.
///
/// The result can be written with [`fluxide_goyaml::sigs::to_yaml`].
pub fn read_kustomization(
    content: &[u8],
) -> Result<serde_json::Map<String, serde_json::Value>, KustomizationError> {
    kustomization::read_leniently(content)
}

/// Reads the objects of a file as a build does: each needs a kind and, unless it is a list, a name.
pub fn read_objects(content: &[u8]) -> Result<Vec<fluxide_goyaml::Node>, ReadError> {
    reader::read_objects(content)
}

/// The suffix that kustomize gives a generated ConfigMap or Secret for its content.
pub fn name_hash(object: &fluxide_goyaml::Node) -> Result<String, Error> {
    generate::name_hash(object)
}
