//! CustomResourceDefinition objects themselves: defaults and status at creation.

use serde_json::{Value, json};

use crate::object::{self, text};

/// Fills in names and the initial status of a new definition.
pub(crate) fn prepare_create(crd: &mut Value) {
    default_names(crd);
    let stored: Vec<Value> = storage_version(crd).into_iter().collect();
    object::members(crd).insert(
        "status".into(),
        json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}),
    );
}

/// A version that objects are written in from now on is one that they may be found in.
pub(crate) fn prepare_update(crd: &mut Value) {
    if let Some(name) = storage_version(crd) {
        let stored = object::child(crd, "status").entry("storedVersions").or_insert_with(|| json!([]));
        if let Some(list) = stored.as_array_mut()
            && !list.contains(&name)
        {
            list.push(name);
        }
    }
}

/// The version that objects are stored in.
fn storage_version(crd: &Value) -> Option<Value> {
    super::versions(crd).find(|v| v["storage"] == true).map(|v| v["name"].clone())
}

/// Singular and list kind follow from the kind.
pub(crate) fn default_names(crd: &mut Value) {
    let kind = text(crd, &["spec", "names", "kind"]).to_owned();
    if text(crd, &["spec", "names", "singular"]).is_empty() {
        object::set_at(crd, &["spec", "names", "singular"], kind.to_lowercase().into());
    }
    if text(crd, &["spec", "names", "listKind"]).is_empty() && !kind.is_empty() {
        object::set_at(crd, &["spec", "names", "listKind"], format!("{kind}List").into());
    }
    if crd["spec"].get("conversion").is_none() {
        object::set_at(crd, &["spec", "conversion"], json!({"strategy": "None"}));
    }
}

/// Defaults of the definition itself.
pub(crate) fn default_definition(crd: &mut Value) {
    if !crd["spec"].is_object() {
        return;
    }
    default_names(crd);
    if crd["status"]["storedVersions"].as_array().is_none_or(Vec::is_empty)
        && let Some(name) = storage_version(crd)
    {
        object::set_at(crd, &["status", "storedVersions"], json!([name]));
    }
    let service = crd["spec"]["conversion"]["webhook"]["clientConfig"].get("service").is_some();
    if service {
        let path = ["spec", "conversion", "webhook", "clientConfig", "service", "port"];
        if object::at(crd, &path).is_none() {
            object::set_at(crd, &path, 443.into());
        }
    }
}
