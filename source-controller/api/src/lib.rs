//! API types of `source.toolkit.fluxcd.io` and `source.extensions.fluxcd.io`.
//!
//! One module per kind. The types describe the stored version; `v1beta2` of the older kinds is
//! served with the same schema, so the few fields that only it had are part of these types,
//! marked as such, and either mapped to today's behaviour or ignored as they were before.

pub mod git_repository;

pub use git_repository::GitRepository;
