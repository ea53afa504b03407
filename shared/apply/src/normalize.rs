//! Brings an object to the form in which it is applied.

use serde_json::Value;

use crate::object::Object;

/// Removes what a manifest has no say in: `status` (except of CustomResourceDefinitions, which keep
/// it) and the creation time.
pub fn normalize(object: &mut Object) {
    object.metadata_mut().insert("creationTimestamp".to_owned(), Value::Null);
    if !object.is_custom_resource_definition() {
        object.fields_mut().remove("status");
    }
}
