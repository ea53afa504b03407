//! What single built-in kinds set by themselves.

use serde_json::{Value, json};

use crate::api_error::ApiResult;
use crate::core::Core;
use crate::object;
use crate::registry::Resource;

/// Sets what the server chooses for a new object of a built-in kind.
pub(crate) fn prepare_create(_core: &Core, resource: &Resource, v: &mut Value) -> ApiResult<()> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            let name = object::name(v).to_owned();
            let spec = object::child(v, "spec");
            spec.insert("finalizers".into(), json!(["kubernetes"]));
            object::members(v).insert("status".into(), json!({"phase": "Active"}));
            let labels = object::metadata(v).entry("labels").or_insert_with(|| json!({}));
            object::members(labels).insert("kubernetes.io/metadata.name".into(), name.into());
        }
        ("", "secrets") => {
            string_data(v);
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            crate::crd::definition::prepare_create(v);
        }
        _ => {}
    }
    Ok(())
}

/// Sets what the server chooses on an update of a built-in kind.
pub(crate) fn prepare_update(
    _core: &Core,
    resource: &Resource,
    _subresource: &str,
    new: &mut Value,
    _live: &Value,
) -> ApiResult<()> {
    if resource.is("", "secrets") {
        string_data(new);
    }
    Ok(())
}

/// Moves `stringData` into `data`.
fn string_data(v: &mut Value) {
    use base64::Engine;
    let Some(Value::Object(plain)) = object::members(v).remove("stringData") else { return };
    let data = object::child(v, "data");
    for (k, s) in plain {
        let encoded = base64::engine::general_purpose::STANDARD.encode(s.as_str().unwrap_or_default());
        data.insert(k, encoded.into());
    }
}

/// Adds the members that even an empty object of a built-in kind shows.
pub(crate) fn complete_empty(_resource: &Resource, _v: &mut Value) {}
