//! The objects an applier owns, as written to `status.inventory`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The objects that were applied and are to be pruned when they disappear from the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceInventory {
    /// The objects.
    pub entries: Vec<ResourceRef>,
}

/// Identifies an object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRef {
    /// `<namespace>_<name>_<group>_<kind>`.
    pub id: String,
    /// API version of the object, without the group.
    #[serde(rename = "v")]
    pub version: String,
}
