//! References to the objects that events are about and webhooks reconcile.

use std::collections::BTreeMap;

use fluxide_meta::string_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name that stands for every object of the kind.
pub const ANY_NAME: &str = "*";

/// Refers to one or more objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrossNamespaceObjectReference {
    /// API version of the objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the objects.
    pub kind: ReferenceKind,
    /// Name of the object; `*` for all.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the objects; that of the referring object when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub namespace: Option<String>,
    /// Labels the objects must have. Needs the name `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
}

impl CrossNamespaceObjectReference {
    /// The namespace of the objects, `own` being that of the referring object.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own)
    }
}

string_enum! {
    /// Kinds that events are about.
    pub enum ReferenceKind {
        /// A bucket.
        Bucket = "Bucket",
        /// A Git repository.
        GitRepository = "GitRepository",
        /// A Kustomization.
        Kustomization = "Kustomization",
        /// A HelmRelease.
        HelmRelease = "HelmRelease",
        /// A chart.
        HelmChart = "HelmChart",
        /// A chart repository.
        HelmRepository = "HelmRepository",
        /// An image repository.
        ImageRepository = "ImageRepository",
        /// An image policy.
        ImagePolicy = "ImagePolicy",
        /// An image update automation.
        ImageUpdateAutomation = "ImageUpdateAutomation",
        /// An OCI artifact.
        OciRepository = "OCIRepository",
        /// An artifact generator.
        ArtifactGenerator = "ArtifactGenerator",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}
