//! API types of `source.toolkit.fluxcd.io` and `source.extensions.fluxcd.io`.
//!
//! One module per kind. The types describe the stored version; `v1beta2` of the older kinds is
//! served with the same schema, so the few fields that only it had are part of these types,
//! marked as such, and either mapped to today's behaviour or ignored as they were before.

pub mod artifact_generator;
pub mod bucket;
pub mod external_artifact;
pub mod git_repository;
pub mod helm_chart;
pub mod helm_repository;
pub mod oci_repository;

pub use artifact_generator::ArtifactGenerator;
pub use bucket::Bucket;
pub use external_artifact::ExternalArtifact;
pub use git_repository::GitRepository;
pub use helm_chart::HelmChart;
pub use helm_repository::HelmRepository;
pub use oci_repository::OCIRepository;
