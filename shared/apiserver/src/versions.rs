//! Conversion between the stored and the served version of an object.

mod autoscaler;
mod events;

use serde_json::Value;

use crate::object;
use crate::registry::Resource;

/// An object of a built-in kind in another version of its group.
pub(crate) fn convert_builtin(v: &Value, api_version: &str) -> Value {
    let mut v = v.clone();
    let from = object::text(&v, &["apiVersion"]).to_owned();
    match (from.as_str(), api_version) {
        ("autoscaling/v1", "autoscaling/v2") => autoscaler::to_v2(&mut v),
        ("autoscaling/v2", "autoscaling/v1") => autoscaler::to_v1(&mut v),
        ("events.k8s.io/v1", "v1") => events::to_core(&mut v),
        ("v1", "events.k8s.io/v1") => events::to_events_group(&mut v),
        _ => {}
    }
    let (group, version) = crate::registry::split_group_version(api_version);
    let kind = object::text(&v, &["kind"]).to_owned();
    if from != api_version
        && let Some(ty) = crate::schema::builtin().kind(group, version, &kind)
    {
        // What was read from a typed object converts into one; nothing is left to refuse.
        let _ = crate::schema::decode(&mut v, ty);
    }
    object::members(&mut v).insert("apiVersion".into(), api_version.into());
    v
}

/// A stored object as `resource` serves it.
pub(crate) fn to_served(resource: &Resource, stored: &Value) -> Value {
    let mut v = stored.clone();
    let api_version = resource.api_version();
    if api_version != object::text(&v, &["apiVersion"]) {
        // Defaults come with reading, by the schema of the stored version; converting adds none.
        if let Some(schema) = resource.custom.as_ref().and_then(|custom| custom.stored_schema.as_ref()) {
            schema.prune_object(&mut v);
            schema.default_object(&mut v);
            object::members(&mut v).insert("apiVersion".into(), api_version.into());
            if let Some(custom) = &resource.custom {
                custom.schema.prune_object(&mut v);
            }
            return v;
        }
        if resource.custom.is_none() {
            v = convert_builtin(&v, &api_version);
        } else {
            object::members(&mut v).insert("apiVersion".into(), api_version.into());
        }
    }
    if let Some(c) = &resource.custom {
        c.schema.prune_object(&mut v);
        c.schema.default_object(&mut v);
    }
    v
}

/// An object in the served version as it is stored.
pub(crate) fn to_stored(resource: &Resource, mut v: Value) -> Value {
    if resource.api_version() != resource.storage_version {
        if resource.custom.is_none() {
            let mut stored = convert_builtin(&v, &resource.storage_version);
            let (group, version) = crate::registry::split_group_version(&resource.storage_version);
            crate::defaulting::default_builtin(group, version, &resource.kind, &mut stored);
            return stored;
        }
        object::members(&mut v).insert("apiVersion".into(), resource.storage_version.clone().into());
        if let Some(schema) = resource.custom.as_ref().and_then(|custom| custom.stored_schema.as_ref()) {
            schema.prune_object(&mut v);
        }
    }
    v
}

/// Whether a stored custom resource is served unchanged: its version is the one asked for and no default is missing.
pub(crate) fn needs_nothing(resource: &Resource, stored: &Value) -> bool {
    match &resource.custom {
        Some(c) if resource.api_version() == resource.storage_version => {
            let mut v = stored.clone();
            c.schema.prune_object(&mut v);
            c.schema.default_object(&mut v);
            v == *stored
        }
        _ => false,
    }
}
