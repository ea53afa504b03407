//! The schemas of custom resources and of their lists.

use serde_json::{Map, Value, json};

use super::schemas::reference;
use crate::registry::Resource;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
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

/// The schemas of a custom resource by their names; version 2 has words for less of them.
pub(super) fn schemas(resource: &Resource, version_2: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(custom) = &resource.custom else { return out };
    let item = name(resource, &resource.kind);
    let mut object = own_schema(&custom.raw_schema, version_2);
    object["x-kubernetes-group-version-kind"] = gvk(resource, &resource.kind);
    let mut list = json!({
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
                "description": format!(
                    "List of {}. More info: \
                     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md",
                    resource.plural
                ),
                "items": reference(&item),
            },
        },
        "x-kubernetes-group-version-kind": gvk(resource, &resource.list_kind),
    });
    if !custom.selectable_fields.is_empty() {
        let fields: Vec<Value> =
            custom.selectable_fields.iter().map(|field| json!({"fieldPath": field})).collect();
        object["x-kubernetes-selectable-fields"] = fields.clone().into();
        list["x-kubernetes-selectable-fields"] = fields.into();
    }
    out.insert(name(resource, &resource.list_kind), list);
    out.insert(item, object);
    out
}

fn own_schema(raw: &Value, version_2: bool) -> Value {
    let preserves = raw[PRESERVE] == true;
    if !raw.is_object() || version_2 && preserves {
        return json!({"type": "object"});
    }
    let mut object = raw.clone();
    unfold(&mut object);
    if version_2 {
        fit_version_2(&mut object);
    }
    let properties = crate::object::child(&mut object, "properties");
    properties.insert("apiVersion".into(), text(API_VERSION));
    properties.insert("kind".into(), text(KIND));
    properties.insert("metadata".into(), object_meta());
    embedded(&mut object, version_2);
    object
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn described(name: &str, description: &str) -> Value {
    json!({"allOf": [reference(name)], "description": description})
}

fn object_meta() -> Value {
    described(
        OBJECT_META,
        "Standard object's metadata. More info: \
         https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    )
}

/// The schemas directly below one: of members, of items and of other members.
fn below(schema: &mut Value) -> Vec<&mut Value> {
    let Value::Object(members) = schema else { return Vec::new() };
    let mut out = Vec::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => out.extend(properties.values_mut()),
            ("items" | "additionalProperties", inner @ Value::Object(_)) => out.push(inner),
            _ => {}
        }
    }
    out
}

/// Says in plain words of the schema what `x-kubernetes-int-or-string` says.
fn unfold(schema: &mut Value) {
    let either = json!([{"type": "integer"}, {"type": "string"}]);
    if schema["x-kubernetes-int-or-string"] == true
        && schema["anyOf"] != either
        && schema["allOf"][0]["anyOf"] != either
    {
        let members = crate::object::members(schema);
        if !members.contains_key("anyOf") {
            members.insert("anyOf".into(), either);
        } else {
            let all = members.entry("allOf").or_insert_with(|| json!([]));
            if let Some(all) = all.as_array_mut() {
                all.insert(0, json!({"anyOf": either}));
            }
        }
    }
    below(schema).into_iter().for_each(unfold);
}

/// Removes what version 2 has no words for, or its clients trip over.
fn fit_version_2(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    for name in ["allOf", "anyOf", "oneOf", "not"] {
        members.remove(name);
    }
    let preserves = members.get(PRESERVE) == Some(&Value::Bool(true));
    if members.remove("nullable") == Some(Value::Bool(true)) {
        members.remove("type");
        members.remove("items");
        members.remove("properties");
    }
    if preserves {
        members.remove("items");
        members.remove("properties");
    }
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind == "array" && !members.contains_key("items") || kind == "object" && preserves {
        members.remove("type");
    }
    let nullable = |schema: &Value| schema["nullable"] == true;
    let optional: Vec<String> = members
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, schema)| nullable(schema))
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(Value::Array(required)) = members.get_mut("required") {
        required.retain(|name| !optional.iter().any(|optional| name == optional));
    }
    if members.get("additionalProperties").is_some_and(nullable)
        || members.get("required").is_some_and(|required| required == &json!([]))
    {
        members.remove("required");
    }
    below(schema).into_iter().for_each(fit_version_2);
}

/// Adds what every object has to the schemas of embedded ones.
fn embedded(schema: &mut Value, version_2: bool) {
    below(schema).into_iter().for_each(|inner| embedded(inner, version_2));
    if schema["x-kubernetes-embedded-resource"] != true || version_2 && schema[PRESERVE] == true {
        return;
    }
    let version = "apiVersion defines the versioned schema of this representation of an object. More info: \
        https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
    let kind = "kind is a string value representing the type of this object. In CamelCase. More info: \
        https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
    let properties = crate::object::child(schema, "properties");
    properties.insert("apiVersion".into(), text(version));
    properties.insert("kind".into(), text(kind));
    properties.insert("metadata".into(), object_meta());
    let required = crate::object::members(schema).entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut() {
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|known| known == name) {
                required.push(name.into());
            }
        }
    }
}

fn gvk(resource: &Resource, kind: &str) -> Value {
    json!([{"group": resource.group, "version": resource.version, "kind": kind}])
}
