//! ExternalArtifact: an artifact that another controller makes.

use fluxide_meta::{Artifact, Condition, NamespacedObjectKindReference};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Condition reasons of ExternalArtifact.
pub mod reasons {
    /// The content failed verification.
    pub const VERIFICATION_FAILED: &str = "VerificationFailed";
    /// The content could not be fetched.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// The content could not be stored.
    pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
}

/// What the artifact was made from.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "ExternalArtifact",
    plural = "externalartifacts",
    shortname = "ea",
    namespaced,
    status = "ExternalArtifactStatus",
    derive = "PartialEq",
    doc = "Offers an artifact that another controller makes.",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
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
    ),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.sourceRef.name")
)]
#[serde(rename_all = "camelCase", from = "Option<MaybeSpec>")]
pub struct ExternalArtifactSpec {
    /// The object the artifact is made for; for people only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<NamespacedObjectKindReference>,
}

/// What is offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExternalArtifactStatus {
    /// What is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// State of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fluxide_meta::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Reads a spec that may be missing altogether, as it is when the maker names no source.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MaybeSpec {
    /// The object the artifact is made for; for people only.
    source_ref: Option<NamespacedObjectKindReference>,
}

impl From<Option<MaybeSpec>> for ExternalArtifactSpec {
    fn from(spec: Option<MaybeSpec>) -> Self {
        Self { source_ref: spec.and_then(|spec| spec.source_ref) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_may_be_missing() {
        let artifact: ExternalArtifact = serde_json::from_value(serde_json::json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "ExternalArtifact",
            "metadata": {"name": "app"},
        }))
        .unwrap();
        assert_eq!(artifact.spec, ExternalArtifactSpec::default());
    }
}
