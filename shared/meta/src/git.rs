//! What to check out of a Git repository.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to check out. `commit` goes before `name`, that before `semver`, `tag` and `branch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitReference {
    /// Branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Range of semantic versions; the greatest tag in it is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// Full name of a reference, such as `refs/pull/420/head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Commit; with `branch`, one that the branch contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
