//! Validation of objects in Kubernetes' own error words.

pub(crate) mod formats;
pub(crate) mod metadata;
pub(crate) mod names;
