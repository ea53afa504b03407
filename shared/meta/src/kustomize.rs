//! Patches, images, selectors and metadata that change manifests on their way to the cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels and annotations to set on every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonMetadata {
    /// Annotations to set, over any existing ones with the same key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels to set, over any existing ones with the same key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Replaces the name, tag or digest of a container image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Image name without tag.
    pub name: String,
    /// Name to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    /// Tag to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_tag: Option<String>,
    /// Digest to use instead of a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// An inline strategic merge or JSON6902 patch and what it applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// The patch: a strategic merge patch, or a list of JSON6902 operations, in YAML.
    pub patch: String,
    /// The objects to patch; may be left out when the patch itself names its object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// Selects objects. Group, version, kind, name and namespace are anchored regular expressions;
/// whatever is left out selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// API group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// API version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Label selector expression over the annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation_selector: Option<String>,
    /// Label selector expression over the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
}

/// Fields that drift detection and apply leave alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreRule {
    /// JSON Pointers (RFC 6901) to the fields.
    pub paths: Vec<String>,
    /// The objects the rule is for; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// One JSON6902 operation of the older `patchesJson6902` fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatchOperation {
    /// The operation: add, remove, replace, move, copy or test.
    #[schemars(extend("enum" = ["test", "remove", "add", "replace", "move", "copy"]))]
    pub op: String,
    /// JSON Pointer to the target.
    pub path: String,
    /// JSON Pointer to the source of move and copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value of add, replace and test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_value")]
    pub value: Option<serde_json::Value>,
}

/// JSON6902 patches of the older `patchesJson6902` fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatch {
    /// The operations.
    pub patch: Vec<JsonPatchOperation>,
    /// The objects to patch.
    pub target: Selector,
}

/// Brings the older patch fields together with `patches`, in the order they take effect:
/// strategic merge patches, patches, JSON6902 patches.
pub fn merge_patches(
    strategic_merge: &[serde_json::Value],
    patches: &[Patch],
    json6902: &[JsonPatch],
) -> Vec<Patch> {
    let merged = strategic_merge.iter().map(|patch| Patch { patch: patch.to_string(), target: None });
    let operations = json6902.iter().map(|entry| {
        let operations: Vec<_> = entry.patch.iter().map(operation_value).collect();
        Patch { patch: serde_json::Value::from(operations).to_string(), target: Some(entry.target.clone()) }
    });
    merged.chain(patches.iter().cloned()).chain(operations).collect()
}

fn operation_value(operation: &JsonPatchOperation) -> serde_json::Value {
    let mut value = serde_json::Map::new();
    value.insert("op".into(), operation.op.clone().into());
    value.insert("path".into(), operation.path.clone().into());
    if let Some(from) = &operation.from {
        value.insert("from".into(), from.clone().into());
    }
    if let Some(operand) = &operation.value {
        value.insert("value".into(), operand.clone());
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn older_patches_keep_their_order_and_content() {
        let json6902: Vec<JsonPatch> = serde_json::from_value(json!([
            {"target": {"kind": "Deployment"}, "patch": [{"op": "add", "path": "/a", "value": 1}]},
        ]))
        .unwrap();
        let patches = [Patch { patch: "kind: X".into(), target: None }];
        let merged = merge_patches(&[json!({"kind": "Y"})], &patches, &json6902);
        let texts: Vec<_> = merged.iter().map(|p| p.patch.as_str()).collect();
        assert_eq!(texts, [r#"{"kind":"Y"}"#, "kind: X", r#"[{"op":"add","path":"/a","value":1}]"#]);
        assert_eq!(merged[2].target.as_ref().unwrap().kind.as_deref(), Some("Deployment"));
    }
}
