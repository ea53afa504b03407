//! The document of version 2, made from the schemas of version 3.

use serde_json::{Map, Value, json};

use super::operations::{Operation, Path, paths};
use super::parameters::Parameter;
use super::schemas::published;
use super::v3::status_text;
use super::{Part, custom, info};

/// The document of everything that is served: the parts, and the paths `around` them.
pub(super) fn document(parts: &[Part], around: impl Iterator<Item = Path>) -> Value {
    let mut shown = Map::new();
    let mut definitions: Map<String, Value> =
        published().iter().map(|(name, schema)| (name.clone(), definition(schema))).collect();
    let of_parts = parts.iter().flat_map(|part| {
        let list = part.builtin.then(|| super::operations::resource_list(part.group, part.version));
        part.resources.iter().flat_map(|resource| paths(resource)).chain(list)
    });
    for path in of_parts.chain(around) {
        let item = path.item(parameter, operation_v2);
        shown.insert(path.path, item);
    }
    for resource in parts.iter().flat_map(|part| part.resources) {
        let own = custom::schemas(resource, true);
        definitions.extend(own.into_iter().map(|(name, schema)| (name, definition(&schema))));
    }
    let parameters = super::sharing::share(&mut shown);
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": shown,
        "definitions": definitions,
        "parameters": parameters,
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
            // Quantities and numbers by name are texts here.
            ("oneOf", Value::Array(_)) if m.contains_key("format") || !m.contains_key("type") => {
                out.insert("type".to_owned(), "string".into());
            }
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

fn parameter(p: &Parameter) -> Value {
    let mut v = json!({
        "name": p.name, "in": p.place, "description": p.description, "type": p.kind, "uniqueItems": true,
    });
    if p.place == "path" {
        v["required"] = true.into();
    }
    v
}

fn operation_v2(o: &Operation) -> Value {
    let schema = |name: &str| json!({"$ref": format!("#/definitions/{name}")});
    let answer = o.response.as_ref().map_or_else(|| json!({"type": "string"}), |name| schema(name));
    let mut responses = json!({"401": {"description": "Unauthorized"}});
    for code in o.codes {
        responses[code.to_string()] = json!({"description": status_text(*code), "schema": answer});
    }
    let mut parameters: Vec<Value> = o.parameters.iter().map(parameter).collect();
    if let Some(body) = &o.body {
        let mut v = json!({"name": "body", "in": "body", "schema": schema(&body.schema)});
        if body.required {
            v["required"] = true.into();
        }
        let after = parameters.iter().position(|p| p["name"].as_str() > Some("body"));
        parameters.insert(after.unwrap_or(parameters.len()), v);
    }
    let mut v = json!({
        "tags": [o.tag], "description": o.description, "operationId": o.id, "schemes": ["https"],
        "produces": o.produces, "responses": responses,
    });
    if !o.consumes.is_empty() {
        v["consumes"] = o.consumes.into();
    }
    if !parameters.is_empty() {
        v["parameters"] = parameters.into();
    }
    o.extend(&mut v);
    v
}
