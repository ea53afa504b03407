//! API types of `helm.toolkit.fluxcd.io`.
//!
//! The types describe the stored version, v2. `v2beta1` and `v2beta2` are served with the same
//! schema; the fields that only they had are part of these types, marked as such.

pub mod actions;
pub mod chart;
pub mod helm_release;
pub mod status;

pub use helm_release::{HelmRelease, HelmReleaseSpec};
pub use status::HelmReleaseStatus;
