//! The vocabulary all API crates share: conditions, references, artifacts, history.
//!
//! Every type here is plain data as it stands in a custom resource. The schemas generated from
//! them are part of the CRDs, so a change here changes what the API server accepts.

pub mod acl;
pub mod artifact;
pub mod chart;
pub mod condition;
pub mod duration;
pub mod git;
pub mod health;
pub mod history;
pub mod inventory;
pub mod kustomize;
pub mod names;
pub mod object;
pub mod oci;
pub mod reference;
pub mod schema;
mod string_enum;

pub use acl::{AccessFrom, NamespaceSelector};
pub use artifact::Artifact;
pub use condition::Condition;
pub use duration::{Duration, DurationError};
pub use health::CustomHealthCheck;
pub use history::Snapshot;
pub use inventory::{ResourceInventory, ResourceRef};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use kustomize::{CommonMetadata, IgnoreRule, Image, JsonPatch, JsonPatchOperation, Patch, Selector};
pub use reference::{
    DependencyReference, KubeConfigReference, LocalObjectReference, NamespacedObjectKindReference,
    NamespacedObjectReference, SecretKeyReference,
};

#[doc(hidden)]
pub mod __private {
    //! What the macros of this crate expand to.
    pub use schemars;
    pub use serde;
    pub use serde_json;
}
