//! Kustomization: manifests from a source, built and kept applied.

use std::collections::BTreeMap;

use fluxide_meta::kustomize::merge_patches;
use fluxide_meta::schema::{is_false, is_zero};
use fluxide_meta::{
    CommonMetadata, Condition, CustomHealthCheck, DependencyReference, Duration, IgnoreRule, Image,
    JsonPatch, KubeConfigReference, LocalObjectReference, NamespacedObjectKindReference, Patch,
    ResourceInventory, Snapshot, string_enum,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to build from which source, and how to apply it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kustomize.toolkit.fluxcd.io",
    version = "v1",
    kind = "Kustomization",
    plural = "kustomizations",
    shortname = "ks",
    namespaced,
    status = "KustomizationStatus",
    derive = "PartialEq",
    doc = "Builds manifests from a source and keeps them applied to a cluster.",
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
pub struct KustomizationSpec {
    /// Labels and annotations to set on every object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Kustomizations that must be ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// How to decrypt Secrets before they are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// How often to reconcile.
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: Duration,
    /// How long to wait after a failure; the interval when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub retry_interval: Option<Duration>,
    /// The cluster to apply to; the controller's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// Directory of the source with the kustomization.yaml, or the manifests to make one for; the
    /// root when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What happens to the built manifests before they are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,
    /// Whether to delete objects that disappear from the source.
    pub prune: bool,
    /// What happens to the objects when this Kustomization is deleted; MirrorPrune when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Objects whose health is part of this Kustomization's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<NamespacedObjectKindReference>,
    /// Prefix for the names of all objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_prefix: Option<String>,
    /// Suffix for the names of all objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_suffix: Option<String>,
    /// Patches for the built objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    /// Images to replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// ServiceAccount to impersonate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Where the manifests come from.
    pub source_ref: SourceReference,
    /// Stops reconciliation while true.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// Namespace for all namespaced objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Limit for health checks; the interval when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<Duration>,
    /// Whether to recreate objects when an immutable field changes.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub force: bool,
    /// Whether to check the health of everything that is applied; healthChecks is ignored then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wait: bool,
    /// Directories of kustomize components, relative to the path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Whether to leave out components whose directory does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_missing_components: bool,
    /// How to tell the health of custom resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
    /// Build metadata that kustomize adds to the objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_metadata: Vec<BuildMetadataOption>,
    /// Fields that drift detection and apply leave alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
    /// Only in v1beta2: strategic merge patches, which take effect before `patches`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fluxide_meta::schema::any_values")]
    pub patches_strategic_merge: Vec<serde_json::Value>,
    /// Only in v1beta2: JSON6902 patches, which take effect after `patches`.
    #[serde(default, rename = "patchesJson6902", skip_serializing_if = "Vec::is_empty")]
    pub patches_json6902: Vec<JsonPatch>,
    /// Only in v1beta2, where it chose how to validate manifests. Ignored: the API server does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["none", "client", "server"]))]
    pub validation: Option<String>,
}

impl KustomizationSpec {
    /// All patches, those of the older fields included, in the order they take effect.
    pub fn all_patches(&self) -> Vec<Patch> {
        merge_patches(&self.patches_strategic_merge, &self.patches, &self.patches_json6902)
    }
}

/// Where the manifests come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceReference {
    /// API version of the source; not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the source.
    pub kind: SourceKind,
    /// Name of the source.
    pub name: String,
    /// Namespace of the source; that of the Kustomization when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl SourceReference {
    /// The namespace of the source, `own` being that of the Kustomization.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        match self.namespace.as_deref() {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => own,
        }
    }
}

/// `Kind/name` or `Kind/namespace/name`.
impl std::fmt::Display for SourceReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_deref() {
            Some(namespace) if !namespace.is_empty() => {
                write!(f, "{}/{namespace}/{}", self.kind, self.name)
            }
            _ => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

string_enum! {
    /// Kinds of sources that hold manifests.
    pub enum SourceKind {
        /// An OCI artifact.
        OciRepository = "OCIRepository",
        /// A Git repository.
        GitRepository = "GitRepository",
        /// A bucket.
        Bucket = "Bucket",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}

/// How to decrypt Secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// The format of encrypted files.
    pub provider: DecryptionProvider,
    /// ServiceAccount whose identity authenticates to a key management service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Secret with private keys and credentials, which go before the ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

string_enum! {
    /// Formats of encrypted files.
    pub enum DecryptionProvider {
        /// Mozilla SOPS.
        Sops = "sops",
    }
}

/// What happens to the built manifests before they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostBuild {
    /// Variables and their values, for `${var}` in the manifests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, String>,
    /// ConfigMaps and Secrets whose keys are variables; later ones go before earlier ones, and
    /// `substitute` before all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitute_from: Vec<SubstituteReference>,
    /// When to substitute; WithVariables when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute_strategy: Option<SubstituteStrategy>,
}

string_enum! {
    /// When to substitute variables.
    pub enum SubstituteStrategy {
        /// When at least one variable is defined.
        WithVariables(default) = "WithVariables",
        /// Always.
        Always = "Always",
    }
}

/// A ConfigMap or Secret with variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubstituteReference {
    /// Secret or ConfigMap.
    pub kind: VariablesKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub optional: bool,
}

string_enum! {
    /// Kinds that can hold variables.
    pub enum VariablesKind {
        /// A Secret.
        Secret = "Secret",
        /// A ConfigMap.
        ConfigMap = "ConfigMap",
    }
}

string_enum! {
    /// What happens to applied objects when their Kustomization is deleted.
    pub enum DeletionPolicy {
        /// Delete them if `prune` is true, else leave them.
        MirrorPrune(default) = "MirrorPrune",
        /// Delete them.
        Delete = "Delete",
        /// Delete them and wait until they are gone.
        WaitForTermination = "WaitForTermination",
        /// Leave them.
        Orphan = "Orphan",
    }
}

string_enum! {
    /// Build metadata that kustomize can add.
    pub enum BuildMetadataOption {
        /// Annotations that tell which file an object comes from.
        OriginAnnotations = "originAnnotations",
        /// Annotations that tell which transformers changed an object.
        TransformerAnnotations = "transformerAnnotations",
    }
}

/// What was applied last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = { "observedGeneration": -1 }))]
pub struct KustomizationStatus {
    /// Generation that was last reconciled to an end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// State of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fluxide_meta::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Revision that was last applied with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// Revision of the origin of what was last applied with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_origin_revision: Option<String>,
    /// Revision of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The objects that are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,
    /// Outcomes of recent reconciliations, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
    /// Value of the reconcile request that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

fluxide_meta::object!(Kustomization);
