//! Server-side apply as pure functions: field sets, typed merges, managers and conflicts.
//!
//! [`apply()`] merges a configuration into an object, [`update()`] records any other write. Both take the kind as
//! [`Versions`]: its [`schema`] at each version, and how versions convert. Objects are [`serde_json::Value`]s in the form
//! in which the API serves them; nothing here reads a clock or a network.

pub mod apply;
pub mod conflict;
pub mod fieldset;
pub mod go_format;
pub mod managers;
mod ownership;
pub mod path;
pub mod scale;
pub mod schema;
pub mod strategic;
pub mod typed;
pub mod update;
pub mod versions;

pub use apply::{Applied, ApplyError, ApplyRequest, apply};
pub use conflict::{Conflict, Conflicts};
pub use fieldset::FieldSet;
pub use managers::{ManagerId, Managers, Operation, Owned, validate_managed_fields};
pub use path::{Path, PathElement};
pub use strategic::{PatchError, strategic_merge_patch};
pub use update::{UpdateRequest, keep_times, update};
pub use versions::{SingleVersion, Versions};
