//! References from one object to another.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Refers to an object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct LocalObjectReference {
    /// Name of the object.
    pub name: String,
}

/// Refers to an object in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NamespacedObjectReference {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; that of the referring object when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Refers to an object of any kind in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedObjectKindReference {
    /// API version of the object; the cluster's preferred one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; that of the referring object when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Refers to a key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyReference {
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret; the consumer's default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Refers to an object that must be ready first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyReference {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; that of the referring object when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// CEL expression over `self` and `dep` that tells whether the dependency is ready, instead of
    /// its Ready condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_expr: Option<String>,
}

/// Where to find the connection to a remote cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "message": "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        "rule": "has(self.configMapRef) || has(self.secretRef)",
    },
    {
        "message": "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
        "rule": "!has(self.configMapRef) || !has(self.secretRef)",
    },
]))]
pub struct KubeConfigReference {
    /// ConfigMap with the address of the cluster and the provider to authenticate with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalObjectReference>,
    /// Secret with a kubeconfig, under `value` or `value.yaml` unless a key is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
}

impl LocalObjectReference {
    /// A reference to the object called `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl NamespacedObjectReference {
    /// The namespace referred to, `own` being that of the referring object.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        namespace_or(self.namespace.as_deref(), own)
    }
}

impl NamespacedObjectKindReference {
    /// The namespace referred to, `own` being that of the referring object.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        namespace_or(self.namespace.as_deref(), own)
    }
}

impl DependencyReference {
    /// The namespace referred to, `own` being that of the referring object.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        namespace_or(self.namespace.as_deref(), own)
    }
}

fn namespace_or<'a>(namespace: Option<&'a str>, own: &'a str) -> &'a str {
    match namespace {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => own,
    }
}

/// `name` or `namespace/name`.
impl fmt::Display for NamespacedObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        qualified(f, self.namespace.as_deref(), &self.name)
    }
}

/// `Kind/name` or `Kind/namespace/name`.
impl fmt::Display for NamespacedObjectKindReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind)?;
        qualified(f, self.namespace.as_deref(), &self.name)
    }
}

/// `name` or `namespace/name`.
impl fmt::Display for DependencyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        qualified(f, self.namespace.as_deref(), &self.name)
    }
}

fn qualified(f: &mut fmt::Formatter<'_>, namespace: Option<&str>, name: &str) -> fmt::Result {
    match namespace {
        Some(namespace) if !namespace.is_empty() => write!(f, "{namespace}/{name}"),
        _ => f.write_str(name),
    }
}
