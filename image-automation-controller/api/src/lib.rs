//! API types of `image.toolkit.fluxcd.io`.
//!
//! The types describe the stored version, v1. `v1beta2` is served with the same schema; the
//! fields that only it had are part of these types, marked as such.

pub mod image_policy;
pub mod image_repository;
pub mod image_update_automation;

pub use image_policy::{ImagePolicy, ImageRef};
pub use image_repository::ImageRepository;
pub use image_update_automation::ImageUpdateAutomation;
