//! What was released.

use std::collections::BTreeMap;

use fluxide_meta::schema::is_zero;
use fluxide_meta::{Condition, Duration, ResourceInventory, Time, string_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::helm_release::HelmRelease;

/// Condition types of HelmRelease.
pub mod condition_types {
    /// The last installation, upgrade or rollback.
    pub const RELEASED: &str = "Released";
    /// The last tests.
    pub const TEST_SUCCESS: &str = "TestSuccess";
    /// The last remediation.
    pub const REMEDIATED: &str = "Remediated";
    /// Whether the objects differ from the release.
    pub const DRIFTED: &str = "Drifted";
}

/// What was released last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = { "observedGeneration": -1 }))]
pub struct HelmReleaseStatus {
    /// Generation that was last reconciled to an end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Digest of the post-renderers of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_post_renderers_digest: Option<String>,
    /// Digest of the common metadata of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_common_metadata_digest: Option<String>,
    /// Generation of the last attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_attempted_generation: i64,
    /// State of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fluxide_meta::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The HelmChart made for the release, as `<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_chart: Option<String>,
    /// Namespace of Helm's release Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_namespace: Option<String>,
    /// The releases, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
    /// The objects of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,
    /// The last action: install or upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_release_action: Option<ReleaseAction>,
    /// How long the last action took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_release_action_duration: Option<Duration>,
    /// How often reconciliation failed since it last worked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i64,
    /// How often installation failed since it last worked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub install_failures: i64,
    /// How often upgrades failed since one last worked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upgrade_failures: i64,
    /// Chart version of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// Digest of the chart of the last attempt, when it comes from an OCIRepository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision_digest: Option<String>,
    /// Older form of the values' digest; not written any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_values_checksum: Option<String>,
    /// Older form of the release's revision; not written any more.
    #[serde(default, skip_serializing_if = "is_zero_revision")]
    pub last_release_revision: i32,
    /// Digest of the values of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_config_digest: Option<String>,
    /// Value of the reconcile request that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Value of the force request that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_force_at: Option<String>,
    /// Value of the reset request that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reset_at: Option<String>,
    /// Only in v2beta1 and v2beta2: the chart version that was last applied; not written any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
}

string_enum! {
    /// What was done to a release.
    pub enum ReleaseAction {
        /// It was installed.
        Install = "install",
        /// It was upgraded.
        Upgrade = "upgrade",
    }
}

/// A release, as it stood when it was last looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Version of this record; `v2` when the digest is made the way it is today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Digest of the release, as `<algorithm>:<hex>`.
    pub digest: String,
    /// Name of the release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Revision of the release.
    pub version: i32,
    /// Helm's status of the release.
    pub status: String,
    /// Name of the chart.
    pub chart_name: String,
    /// Version of the chart.
    pub chart_version: String,
    /// Version of what the chart installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Digest of the values.
    pub config_digest: String,
    /// When the release was first installed.
    pub first_deployed: Time,
    /// When this revision was installed.
    pub last_deployed: Time,
    /// When the release was uninstalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Time>,
    /// The tests of the release: none ever ran when absent, none was selected when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_hooks: Option<BTreeMap<String, TestHookStatus>>,
    /// Digest of the chart, when it comes from an OCIRepository.
    #[serde(default, rename = "ociDigest", skip_serializing_if = "Option::is_none")]
    pub oci_digest: Option<String>,
    /// What made this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// The last run of a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestHookStatus {
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_started: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completed: Option<Time>,
    /// Helm's phase of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

fluxide_meta::object!(HelmRelease);

fn is_zero_revision(revision: &i32) -> bool {
    *revision == 0
}
