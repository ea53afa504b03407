//! How to install, upgrade, test, roll back and uninstall a release.

use fluxide_meta::schema::is_false;
use fluxide_meta::{Duration, string_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// Limit for each Kubernetes operation; `spec.timeout` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// What to do when the installation fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<InstallStrategy>,
    /// How often to retry, and what to do before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<InstallRemediation>,
    /// Refuses objects that belong to another release or to none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_take_ownership: bool,
    /// Does not wait for objects to become ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait_for_jobs: bool,
    /// Does not run hooks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Does not validate manifests against the cluster's OpenAPI schema.
    #[serde(default, rename = "disableOpenAPIValidation", skip_serializing_if = "is_false")]
    pub disable_openapi_validation: bool,
    /// Does not validate values against the chart's JSON schema.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_schema_validation: bool,
    /// Reuses the name of a release that is deleted but kept in the history.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replace: bool,
    /// Older way to say `crds: Skip`.
    #[serde(default, rename = "skipCRDs", skip_serializing_if = "is_false")]
    pub skip_crds: bool,
    /// What to do with the chart's CRDs; Create when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Creates the target namespace when it does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub create_namespace: bool,
    /// Whether to use server-side apply; true when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<bool>,
}

impl Install {
    /// What to do with the chart's CRDs, `skipCRDs` taken into account.
    pub fn crds(&self) -> CrdsPolicy {
        match &self.crds {
            Some(policy) => policy.clone(),
            None if self.skip_crds => CrdsPolicy::Skip,
            None => CrdsPolicy::Create,
        }
    }
}

/// What to do when an installation fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": ".retryInterval cannot be set when .name is 'RemediateOnFailure'",
    "rule": "!has(self.retryInterval) || self.name != 'RemediateOnFailure'",
}]))]
pub struct InstallStrategy {
    /// The strategy.
    pub name: ActionStrategyName,
    /// How long to wait before a retry; 5m when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub retry_interval: Option<Duration>,
}

/// What to do when an upgrade fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": ".retryInterval can only be set when .name is 'RetryOnFailure'",
    "rule": "!has(self.retryInterval) || self.name == 'RetryOnFailure'",
}]))]
pub struct UpgradeStrategy {
    /// The strategy.
    pub name: ActionStrategyName,
    /// How long to wait before a retry; 5m when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub retry_interval: Option<Duration>,
}

string_enum! {
    /// What to do when an action fails.
    pub enum ActionStrategyName {
        /// Roll back or uninstall, then retry.
        RemediateOnFailure(default) = "RemediateOnFailure",
        /// Retry.
        RetryOnFailure = "RetryOnFailure",
    }
}

/// How often to retry an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallRemediation {
    /// How often to retry, uninstalling before each; without end when negative.
    #[serde(default, skip_serializing_if = "is_zero_retries")]
    pub retries: i32,
    /// Whether failed tests count as success; `test.ignoreFailures` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Whether to uninstall after the last failure too; false when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
}

string_enum! {
    /// What to do with the CRDs of a chart.
    pub enum CrdsPolicy {
        /// Leave them out.
        Skip = "Skip",
        /// Create those that do not exist.
        Create(default) = "Create",
        /// Create or replace them.
        CreateReplace = "CreateReplace",
    }
}

/// How to upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// Limit for each Kubernetes operation; `spec.timeout` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// What to do when the upgrade fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<UpgradeStrategy>,
    /// How often to retry, and what to do before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<UpgradeRemediation>,
    /// Refuses objects that belong to another release or to none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_take_ownership: bool,
    /// Does not wait for objects to become ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait_for_jobs: bool,
    /// Does not run hooks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Does not validate manifests against the cluster's OpenAPI schema.
    #[serde(default, rename = "disableOpenAPIValidation", skip_serializing_if = "is_false")]
    pub disable_openapi_validation: bool,
    /// Does not validate values against the chart's JSON schema.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_schema_validation: bool,
    /// Replaces objects instead of patching them. Has no effect with server-side apply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// Merges the values of the previous release.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preserve_values: bool,
    /// Deletes new objects when the upgrade fails.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cleanup_on_fail: bool,
    /// What to do with the chart's CRDs; Create when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Whether to use server-side apply; auto when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApplyMode>,
    /// What to do when the release has another chart now; Reinstall when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_name_change_strategy: Option<ChartNameChangeStrategy>,
}

/// How often to retry an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRemediation {
    /// How often to retry, remediating before each; without end when negative.
    #[serde(default, skip_serializing_if = "is_zero_retries")]
    pub retries: i32,
    /// Whether failed tests count as success; `test.ignoreFailures` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Whether to remediate after the last failure too; when left out, if there are retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// How to remediate; rollback when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RemediationStrategy>,
}

string_enum! {
    /// How to remediate a failed upgrade.
    pub enum RemediationStrategy {
        /// Go back to the last good release.
        Rollback(default) = "rollback",
        /// Uninstall.
        Uninstall = "uninstall",
    }
}

string_enum! {
    /// Whether to use server-side apply.
    pub enum ServerSideApplyMode {
        /// Use it.
        Enabled = "enabled",
        /// Do not use it.
        Disabled = "disabled",
        /// Do what the previous release did.
        Auto(default) = "auto",
    }
}

string_enum! {
    /// What to do when a release has another chart now.
    pub enum ChartNameChangeStrategy {
        /// Upgrade.
        InPlaceUpdate = "InPlaceUpdate",
        /// Uninstall and install.
        Reinstall(default) = "Reinstall",
    }
}

/// How to test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    /// Runs the chart's tests after an installation or upgrade.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enable: bool,
    /// Limit for each test; `spec.timeout` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// Whether failed tests count as success.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_failures: bool,
    /// Which tests to run; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<TestFilter>,
}

/// Selects or excludes a test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestFilter {
    /// Name of the test.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether to leave the test out instead.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclude: bool,
}

/// How to roll back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Limit for each Kubernetes operation; `spec.timeout` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// Does not wait for objects to become ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait_for_jobs: bool,
    /// Does not run hooks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Has no effect any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recreate: bool,
    /// Replaces objects instead of patching them. Has no effect with server-side apply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// Deletes new objects when the rollback fails.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cleanup_on_fail: bool,
    /// Whether to use server-side apply; auto when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApplyMode>,
}

/// How to uninstall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uninstall {
    /// Limit for each Kubernetes operation; `spec.timeout` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// Does not run hooks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Keeps the history of the release.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_history: bool,
    /// Does not wait for objects to be gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// How dependents are deleted.
    #[serde(default)]
    pub deletion_propagation: DeletionPropagation,
}

string_enum! {
    /// How dependents are deleted.
    pub enum DeletionPropagation {
        /// By the garbage collector, later.
        Background(default) = "background",
        /// Before the object.
        Foreground = "foreground",
        /// Not at all.
        Orphan = "orphan",
    }
}

fn is_zero_retries(retries: &i32) -> bool {
    *retries == 0
}
