//! API types of `kustomize.toolkit.fluxcd.io`.
//!
//! The types describe the stored version, v1. `v1beta2` is served with the same schema; the
//! fields that only it had are part of [`KustomizationSpec`], marked as such.

pub mod kustomization;

pub use kustomization::{Kustomization, KustomizationSpec, KustomizationStatus};
