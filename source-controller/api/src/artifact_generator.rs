//! ArtifactGenerator: artifacts put together from parts of other artifacts.

use fluxide_meta::object::Object;
use fluxide_meta::{CommonMetadata, Condition, string_enum};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Finalizer of ArtifactGenerator.
pub const FINALIZER: &str = "source.extensions.fluxcd.io/finalizer";
/// Annotation that stops reconciliation while it is [`DISABLED`].
pub const RECONCILE_ANNOTATION: &str = "source.extensions.fluxcd.io/reconcile";
/// Value of [`RECONCILE_ANNOTATION`] that stops reconciliation, in any letter case.
pub const DISABLED: &str = "disabled";
/// Label of an ExternalArtifact with the UID of its generator.
pub const GENERATOR_LABEL: &str = "source.extensions.fluxcd.io/generator";

/// Condition reasons of ArtifactGenerator.
pub mod reasons {
    /// The spec contradicts itself.
    pub const VALIDATION_FAILED: &str = "ValidationFailed";
    /// A source is missing or has no artifact.
    pub const SOURCE_FETCH_FAILED: &str = "SourceFetchFailed";
    /// An artifact could not be put together.
    pub const BUILD_FAILED: &str = "BuildFailed";
}

/// Which artifacts to make from which sources.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.extensions.fluxcd.io",
    version = "v1beta1",
    kind = "ArtifactGenerator",
    plural = "artifactgenerators",
    shortname = "ag",
    namespaced,
    status = "ArtifactGeneratorStatus",
    derive = "PartialEq",
    doc = "Puts artifacts together from parts of other artifacts.",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
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
    "message": "artifact names must be valid Kubernetes object names when pathPattern is not set",
    "rule": r"has(self.pathPattern) && size(self.pathPattern) > 0 || self.artifacts.all(a, a.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))",
}]))]
pub struct ArtifactGeneratorSpec {
    /// Labels and annotations to set on the artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Makes one set of artifacts for each directory that matches, as `@alias/dir/{name}/..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)/(.*)$"))]
    pub path_pattern: Option<String>,
    /// The sources.
    #[schemars(length(min = 1, max = 1000))]
    pub sources: Vec<ArtifactGeneratorSource>,
    /// The artifacts.
    #[schemars(length(min = 1, max = 1000))]
    pub artifacts: Vec<OutputArtifact>,
}

/// A source of a generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactGeneratorSource {
    /// What the rest of the generator calls the source.
    #[schemars(length(max = 63), extend("pattern" = "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"))]
    pub alias: String,
    /// Kind of the source.
    pub kind: GeneratorSourceKind,
    /// Name of the source.
    #[schemars(length(max = 253), extend("pattern" = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the source; that of the generator when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}

string_enum! {
    /// Kinds of sources a generator can take from.
    pub enum GeneratorSourceKind {
        /// A bucket.
        Bucket = "Bucket",
        /// A Git repository.
        GitRepository = "GitRepository",
        /// An OCI artifact.
        OciRepository = "OCIRepository",
        /// A chart.
        HelmChart = "HelmChart",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}

/// An artifact to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputArtifact {
    /// Name of the ExternalArtifact.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Source whose revision the artifact has, as `@alias`; made from its digest when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)$"))]
    pub revision: Option<String>,
    /// Source whose origin revision the artifact has, as `@alias`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)$"))]
    pub origin_revision: Option<String>,
    /// What to copy, in order.
    #[schemars(length(min = 1))]
    pub copy: Vec<CopyOperation>,
}

/// Files to copy into an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CopyOperation {
    /// Files to copy, as `@alias/glob`.
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)/(.*)$"))]
    pub from: String,
    /// Where to put them, as `@artifact/path`.
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^@(artifact)/(.*)$"))]
    pub to: String,
    /// Globs of files to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub exclude: Vec<String>,
    /// What to do with files that exist; overwrite when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<CopyStrategy>,
}

string_enum! {
    /// How files get into an artifact.
    pub enum CopyStrategy {
        /// Replace files that exist.
        Overwrite(default) = "Overwrite",
        /// Merge YAML files that exist.
        Merge = "Merge",
        /// Unpack archives.
        Extract = "Extract",
    }
}

/// What was made last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactGeneratorStatus {
    /// State of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fluxide_meta::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The ExternalArtifacts that belong to the generator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<GeneratedArtifact>,
    /// Digest over the sources the artifacts were made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_sources_digest: Option<String>,
    /// Value of the reconcile request that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// An ExternalArtifact that belongs to a generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratedArtifact {
    /// Name of the ExternalArtifact.
    pub name: String,
    /// Namespace of the ExternalArtifact.
    pub namespace: String,
    /// Digest of the file.
    pub digest: String,
    /// Name of the file in the store.
    pub filename: String,
}

/// The status has no `observedGeneration`; that of the Ready condition stands in for it.
impl Object for ArtifactGenerator {
    fn suspended(&self) -> bool {
        self.metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(RECONCILE_ANNOTATION))
            .is_some_and(|value| value.eq_ignore_ascii_case(DISABLED))
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| status.conditions.as_slice())
    }

    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        &mut self.status.get_or_insert_default().conditions
    }

    fn observed_generation(&self) -> i64 {
        let ready = self.conditions().iter().find(|condition| condition.type_ == "Ready");
        ready.and_then(|condition| condition.observed_generation).unwrap_or(0)
    }

    fn set_observed_generation(&mut self, _: i64) {}

    fn last_handled_reconcile_at(&self) -> Option<&str> {
        self.status.as_ref()?.last_handled_reconcile_at.as_deref()
    }

    fn set_last_handled_reconcile_at(&mut self, value: String) {
        self.status.get_or_insert_default().last_handled_reconcile_at = Some(value);
    }
}
