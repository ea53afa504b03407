//! The document of version 2, made from the schemas of version 3.

use serde_json::{Map, Value, json};

use super::operations::{Operation, Parameter, paths};
use super::schemas::published;
use super::{Part, custom, info};

/// The document of everything that is served.
pub(super) fn document(parts: &[Part]) -> Value {
    let mut shown = Map::new();
    let mut definitions: Map<String, Value> =
        published().iter().map(|(name, schema)| (name.clone(), definition(schema))).collect();
    for resource in parts.iter().flat_map(|part| part.resources) {
        for path in paths(resource) {
            let mut item = Map::new();
            if !path.parameters.is_empty() {
                item.insert("parameters".into(), path.parameters.iter().map(parameter).collect());
            }
            for operation in &path.operations {
                item.insert(operation.method.to_owned(), operation_v2(operation));
            }
            shown.insert(path.path, item.into());
        }
        for (name, schema) in custom::schemas(resource) {
            let mut schema = definition(&schema);
            drop_unknown(&mut schema);
            definitions.insert(name, schema);
        }
    }
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": shown,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header",
        }},
        "security": [{"BearerToken": []}],
    })
}

/// A schema in version 2: plain references, no defaults.
fn definition(schema: &Value) -> Value {
    let Value::Object(m) = schema else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in m {
        match (key.as_str(), value) {
            ("default", _) => {}
            ("$ref", Value::String(s)) => {
                out.insert(key.clone(), s.replace("#/components/schemas/", "#/definitions/").into());
            }
            ("allOf", Value::Array(all)) if all.len() == 1 && all[0].get("$ref").is_some() => {
                if let Value::Object(inner) = definition(&all[0]) {
                    out.extend(inner);
                }
            }
            ("properties" | "patternProperties" | "definitions", Value::Object(members)) => {
                let members: Map<String, Value> =
                    members.iter().map(|(name, schema)| (name.clone(), definition(schema))).collect();
                out.insert(key.clone(), members.into());
            }
            ("items" | "additionalProperties" | "not", value) => {
                out.insert(key.clone(), definition(value));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                out.insert(key.clone(), all.iter().map(definition).collect());
            }
            (_, value) => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    out.into()
}

/// Removes what version 2 has no words for.
fn drop_unknown(schema: &mut Value) {
    let Some(m) = schema.as_object_mut() else { return };
    for key in ["nullable", "anyOf", "oneOf", "not"] {
        m.remove(key);
    }
    if m.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        m.remove("items");
        m.remove("properties");
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = m.get_mut(key) {
            drop_unknown(inner);
        }
    }
    if let Some(Value::Object(members)) = m.get_mut("properties") {
        members.values_mut().for_each(drop_unknown);
    }
}

fn parameter(p: &Parameter) -> Value {
    let mut v = json!({
        "name": p.name, "in": if p.in_path { "path" } else { "query" }, "description": p.description, "type": p.kind,
        "uniqueItems": true,
    });
    if p.in_path {
        v["required"] = true.into();
    }
    v
}

fn operation_v2(o: &Operation) -> Value {
    let schema = |name: &str| json!({"$ref": format!("#/definitions/{name}")});
    let mut responses = json!({
        "200": {"description": "OK", "schema": schema(&o.response)},
        "401": {"description": "Unauthorized"},
    });
    if o.created {
        responses["201"] = json!({"description": "Created", "schema": schema(&o.response)});
    }
    let mut parameters: Vec<Value> = o.parameters.iter().map(parameter).collect();
    let mut consumes = vec!["*/*"];
    if let Some((types, name)) = &o.body {
        consumes.clone_from(types);
        let mut body = json!({"name": "body", "in": "body", "schema": schema(name)});
        if o.action != "delete" && o.action != "deletecollection" {
            body["required"] = true.into();
        }
        parameters.insert(0, body);
    }
    json!({
        "tags": [o.tag], "description": o.description, "operationId": o.id, "schemes": ["https"], "consumes": consumes,
        "produces": ["application/json", "application/yaml"], "parameters": parameters, "responses": responses,
        "x-kubernetes-action": o.action, "x-kubernetes-group-version-kind": o.gvk,
    })
}
