//! One Kubernetes object as JSON, with the accessors that every step of an apply needs.

use std::fmt;

use serde_json::{Map, Value};

/// A Kubernetes object of any kind: a JSON object that has at least `apiVersion` and `kind`.
///
/// Numbers, unknown fields and explicit nulls are kept as they were read.
#[derive(Clone, PartialEq)]
pub struct Object(Map<String, Value>);

impl Object {
    /// Takes a JSON value, or returns `None` when it is not a JSON object.
    pub fn new(value: Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// The fields of the object.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields of the object, for editing.
    pub fn fields_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// The object as a JSON value.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// `apiVersion`, empty when missing.
    pub fn api_version(&self) -> &str {
        self.0.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
    }

    /// `kind`, empty when missing.
    pub fn kind(&self) -> &str {
        self.0.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// The group of `apiVersion`; empty for the core group.
    pub fn group(&self) -> &str {
        split_api_version(self.api_version()).0
    }

    /// The version of `apiVersion`.
    pub fn version(&self) -> &str {
        split_api_version(self.api_version()).1
    }

    /// `metadata.name`, empty when missing.
    pub fn name(&self) -> &str {
        self.metadata("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// `metadata.namespace`, empty when missing.
    pub fn namespace(&self) -> &str {
        self.metadata("namespace").and_then(Value::as_str).unwrap_or_default()
    }

    /// `metadata.uid`, empty when missing.
    pub fn uid(&self) -> &str {
        self.metadata("uid").and_then(Value::as_str).unwrap_or_default()
    }

    /// `metadata.resourceVersion`, empty when missing.
    pub fn resource_version(&self) -> &str {
        self.metadata("resourceVersion").and_then(Value::as_str).unwrap_or_default()
    }

    /// One field of `metadata`.
    pub fn metadata(&self, field: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(field)
    }

    /// `metadata` for editing; created when missing or not a map.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        map_entry(&mut self.0, "metadata")
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata("labels")?.get(key)?.as_str()
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata("annotations")?.get(key)?.as_str()
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        map_entry(self.metadata_mut(), "labels").insert(key.to_owned(), value.into());
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        map_entry(self.metadata_mut(), "annotations").insert(key.to_owned(), value.into());
    }

    /// True for a core `v1` Secret.
    pub fn is_secret(&self) -> bool {
        self.api_version() == "v1" && self.kind() == "Secret"
    }

    /// True for a CustomResourceDefinition of any version.
    pub fn is_custom_resource_definition(&self) -> bool {
        self.group() == "apiextensions.k8s.io" && self.kind() == "CustomResourceDefinition"
    }

    /// How the object is called in events, messages and logs: `Kind/namespace/name`, or `Kind/name`
    /// when it has no namespace.
    pub fn subject(&self) -> String {
        subject(self.kind(), self.namespace(), self.name())
    }
}

/// Shows which object it is and nothing of its content, which may be secret.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {})", self.api_version(), self.subject())
    }
}

/// `Kind/namespace/name`, or `Kind/name` without a namespace.
pub fn subject(kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{kind}/{name}") } else { format!("{kind}/{namespace}/{name}") }
}

/// Splits an `apiVersion` into group (empty for core) and version.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The map at `key`, created (or put in the place of anything else) when missing.
pub(crate) fn map_entry<'a>(fields: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = fields.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("just made a map"),
    }
}
