//! Conversion between the stored and the served version of an object.

use serde_json::Value;

use crate::object;
use crate::registry::Resource;

/// A stored object as `resource` serves it.
pub(crate) fn to_served(resource: &Resource, stored: &Value) -> Value {
    let mut v = stored.clone();
    if resource.api_version() != resource.storage_version {
        object::members(&mut v).insert("apiVersion".into(), resource.api_version().into());
    }
    if let Some(c) = &resource.custom {
        c.schema.default_object(&mut v);
    }
    v
}

/// An object in the served version as it is stored.
pub(crate) fn to_stored(resource: &Resource, mut v: Value) -> Value {
    if resource.api_version() != resource.storage_version {
        object::members(&mut v).insert("apiVersion".into(), resource.storage_version.clone().into());
    }
    v
}

/// Whether a stored custom resource is served unchanged: its version is the one asked for and no default is missing.
pub(crate) fn needs_nothing(resource: &Resource, stored: &Value) -> bool {
    match &resource.custom {
        Some(c) if resource.api_version() == resource.storage_version => {
            let mut v = stored.clone();
            c.schema.default_object(&mut v);
            v == *stored
        }
        _ => false,
    }
}
