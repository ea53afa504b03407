//! HelmRelease: a chart, its values, and how to keep it installed.

use fluxide_meta::kustomize::merge_patches;
use fluxide_meta::schema::is_false;
use fluxide_meta::{
    CommonMetadata, CustomHealthCheck, DependencyReference, Duration, IgnoreRule, Image, JsonPatch,
    KubeConfigReference, Patch, string_enum,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actions::{Install, Rollback, Test, Uninstall, Upgrade};
use crate::chart::{ChartReference, HelmChartTemplate};
use crate::status::HelmReleaseStatus;

/// Which chart to install with which values, and how.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "helm.toolkit.fluxcd.io",
    version = "v2",
    kind = "HelmRelease",
    plural = "helmreleases",
    shortname = "hr",
    namespaced,
    status = "HelmReleaseStatus",
    derive = "PartialEq",
    doc = "Keeps a Helm chart installed in a cluster.",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-appliers",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": "either chart or chartRef must be set",
    "rule": "(has(self.chart) && !has(self.chartRef)) || (!has(self.chart) && has(self.chartRef))",
}]))]
pub struct HelmReleaseSpec {
    /// The HelmChart to create for the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<HelmChartTemplate>,
    /// The existing source to take the chart from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_ref: Option<ChartReference>,
    /// How often to reconcile.
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: Duration,
    /// The cluster to install to; the controller's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// Stops reconciliation while true.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// Name of the release; made from namespace and name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release_name: Option<String>,
    /// Namespace of the release; that of the HelmRelease when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Namespace of Helm's release Secrets; that of the HelmRelease when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_namespace: Option<String>,
    /// HelmReleases that must be ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// Limit for each Kubernetes operation of a Helm action; 5m when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// How many revisions Helm keeps; 0 keeps all, 5 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_history: Option<i32>,
    /// ServiceAccount to impersonate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Whether to keep what is known of the cluster's APIs during a reconciliation; true when left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_client: Option<bool>,
    /// What to do about changes made to the release's objects by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_detection: Option<DriftDetection>,
    /// How to install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// How to upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// How to test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// How to roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// How to uninstall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<Uninstall>,
    /// ConfigMaps and Secrets with values, the last one winning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_from: Vec<ValuesReference>,
    /// Values, over those of `valuesFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fluxide_meta::schema::any_value")]
    pub values: Option<Value>,
    /// Labels and annotations to set on every object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Changes to the rendered manifests, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_renderers: Vec<PostRenderer>,
    /// Which manifests the post-renderers get to see; `combined` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_render_strategy: Option<PostRenderStrategy>,
    /// How to wait for objects to become ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_strategy: Option<WaitStrategy>,
    /// How to tell the health of custom resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
}

/// What to do about changes made to the release's objects by others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftDetection {
    /// Whether to look for changes and undo them; disabled when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DriftDetectionMode>,
    /// Fields that may differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
}

string_enum! {
    /// What to do about changes.
    pub enum DriftDetectionMode {
        /// Undo them.
        Enabled = "enabled",
        /// Report them.
        Warn = "warn",
        /// Do not look for them.
        Disabled(default) = "disabled",
    }
}

/// A ConfigMap or Secret with values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesReference {
    /// Secret or ConfigMap.
    pub kind: ValuesKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key with the values; `values.yaml` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), extend("pattern" = r"^[\-._a-zA-Z0-9]+$"))]
    pub values_key: Option<String>,
    /// Path in the values to set to the content of the key; the content is YAML with values when
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250), extend("pattern" = r"^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$"))]
    pub target_path: Option<String>,
    /// Whether the object, its key or the path may be missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Whether `targetPath` is set to the content as it is, without parsing it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub literal: bool,
}

impl ValuesReference {
    /// Key with the values.
    pub fn values_key(&self) -> &str {
        match self.values_key.as_deref() {
            Some(key) if !key.is_empty() => key,
            _ => "values.yaml",
        }
    }
}

string_enum! {
    /// Kinds that can hold values.
    pub enum ValuesKind {
        /// A Secret.
        Secret = "Secret",
        /// A ConfigMap.
        ConfigMap = "ConfigMap",
    }
}

/// A change to the rendered manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PostRenderer {
    /// Changes made by kustomize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<KustomizePostRenderer>,
}

/// Changes made by kustomize.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KustomizePostRenderer {
    /// Patches for the rendered objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    /// Images to replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Only in v2beta1 and v2beta2: strategic merge patches, which take effect before `patches`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fluxide_meta::schema::any_values")]
    pub patches_strategic_merge: Vec<Value>,
    /// Only in v2beta1 and v2beta2: JSON6902 patches, which take effect after `patches`.
    #[serde(default, rename = "patchesJson6902", skip_serializing_if = "Vec::is_empty")]
    pub patches_json6902: Vec<JsonPatch>,
}

impl KustomizePostRenderer {
    /// All patches, those of the older fields included, in the order they take effect.
    pub fn all_patches(&self) -> Vec<Patch> {
        merge_patches(&self.patches_strategic_merge, &self.patches, &self.patches_json6902)
    }
}

string_enum! {
    /// Which manifests the post-renderers get to see.
    pub enum PostRenderStrategy {
        /// Those of the release, without hooks.
        NoHooks = "nohooks",
        /// Those of the release and the hooks, in one stream.
        Combined(default) = "combined",
        /// Those of the release and the hooks, in two streams.
        Separate = "separate",
    }
}

/// How to wait for objects to become ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitStrategy {
    /// The strategy.
    pub name: WaitStrategyName,
}

string_enum! {
    /// Ways to wait for objects.
    pub enum WaitStrategyName {
        /// The rules all appliers share.
        Poller(default) = "poller",
        /// The rules of Helm 3.
        Legacy = "legacy",
    }
}
