//! What a source offers its consumers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Metadata key of an artifact that names the revision its content was made from.
pub const ORIGIN_REVISION: &str = "org.opencontainers.image.revision";

/// Content fetched or built by a source, as found in `status.artifact`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Path of the file below the root of the artifact store.
    pub path: String,
    /// HTTP address the file is served from inside the cluster.
    pub url: String,
    /// Where the content comes from, readable by people: a commit, a tag, a chart version.
    pub revision: String,
    /// Digest of the file, as `<algorithm>:<checksum>`.
    #[schemars(extend("pattern" = "^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$"))]
    pub digest: String,
    /// When the artifact was last stored.
    pub last_update_time: Time,
    /// Size of the file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// What the origin says about the content, such as OCI annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Artifact {
    /// The revision of the origin, when the artifact's metadata names one.
    pub fn origin_revision(&self) -> Option<&str> {
        self.metadata.get(ORIGIN_REVISION).map(String::as_str)
    }

    /// Whether the artifact's content is that of `revision`.
    pub fn has_revision(&self, revision: &str) -> bool {
        self.revision == revision
    }
}
