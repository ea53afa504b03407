//! The schemas of custom resources and of their lists.

use serde_json::{Map, Value, json};

use super::schemas::reference;
use crate::registry::Resource;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should \
    convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this \
    from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// `com.example.v1.Lens`: the group reversed, version and kind.
pub(super) fn name(resource: &Resource, kind: &str) -> String {
    let mut parts: Vec<&str> = resource.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{kind}", parts.join("."), resource.version)
}

/// The schemas of a custom resource by their names.
pub(super) fn schemas(resource: &Resource) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(custom) = &resource.custom else { return out };
    let mut object = custom.raw_schema.clone();
    if !object.is_object() {
        object = json!({"type": "object"});
    }
    let text = |description: &str| json!({"type": "string", "description": description});
    let described =
        |name: &str, description: &str| json!({"allOf": [reference(name)], "description": description});
    let properties = crate::object::child(&mut object, "properties");
    properties.insert("apiVersion".into(), text(API_VERSION));
    properties.insert("kind".into(), text(KIND));
    properties.insert(
        "metadata".into(),
        described(
            OBJECT_META,
            "Standard object's metadata. More info: \
             https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        ),
    );
    object["x-kubernetes-group-version-kind"] = gvk(resource, &resource.kind);
    let item = name(resource, &resource.kind);
    let list = json!({
        "type": "object",
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": text(API_VERSION),
            "kind": text(KIND),
            "metadata": described(
                LIST_META,
                "Standard list metadata. More info: \
                 https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
            ),
            "items": {
                "type": "array",
                "description": format!("List of {}.", resource.plural),
                "items": reference(&item),
            },
        },
        "x-kubernetes-group-version-kind": gvk(resource, &resource.list_kind),
    });
    out.insert(name(resource, &resource.list_kind), list);
    out.insert(item, object);
    out
}

fn gvk(resource: &Resource, kind: &str) -> Value {
    json!([{"group": resource.group, "version": resource.version, "kind": kind}])
}
