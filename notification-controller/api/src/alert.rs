//! Alert: which events go to which provider.

use std::collections::BTreeMap;

use fluxide_meta::schema::is_false;
use fluxide_meta::{LocalObjectReference, string_enum};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::CrossNamespaceObjectReference;

/// Which events go to which provider.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "notification.toolkit.fluxcd.io",
    version = "v1beta3",
    kind = "Alert",
    plural = "alerts",
    namespaced,
    derive = "PartialEq",
    doc = "Sends the events of objects to a provider.",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-notifications",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AlertSpec {
    /// Provider in the same namespace.
    pub provider_ref: LocalObjectReference,
    /// The least severity of events to send.
    #[serde(default)]
    pub event_severity: EventSeverity,
    /// The objects whose events to send.
    pub event_sources: Vec<CrossNamespaceObjectReference>,
    /// Regular expressions; when there are any, the message must match one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inclusion_list: Vec<String>,
    /// Metadata to add to the events; what the event has already wins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub event_metadata: BTreeMap<String, String>,
    /// Regular expressions; the message must not match any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusion_list: Vec<String>,
    /// Older way to set the metadata `summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub summary: Option<String>,
    /// Sends nothing while true.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
}

string_enum! {
    /// Severities of events.
    pub enum EventSeverity {
        /// All events.
        Info(default) = "info",
        /// Errors.
        Error = "error",
    }
}
