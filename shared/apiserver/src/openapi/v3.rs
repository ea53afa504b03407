//! Documents of version 3.

use serde_json::{Map, Value, json};

use super::operations::{DELETE_OPTIONS, Operation, PATCH, Parameter, STATUS, paths};
use super::schemas::{add_with_references, published, reference, references};
use super::{Part, custom, info};

/// The document of one group and version.
pub(super) fn document(part: &Part) -> Value {
    let mut shown = Map::new();
    for resource in part.resources {
        for path in paths(resource) {
            let mut item = Map::new();
            if !path.parameters.is_empty() {
                item.insert("parameters".into(), path.parameters.iter().map(parameter).collect());
            }
            for operation in &path.operations {
                item.insert(operation.method.to_owned(), operation_v3(operation));
            }
            shown.insert(path.path, item.into());
        }
    }
    let mut schemas = Map::new();
    let mut roots = vec![DELETE_OPTIONS.to_owned(), PATCH.to_owned(), STATUS.to_owned()];
    for resource in part.resources {
        let own = custom::schemas(resource);
        references(&Value::Object(own.clone()), &mut roots);
        schemas.extend(own);
    }
    if part.builtin {
        roots.extend(kinds(part.group, part.version));
    }
    references(&Value::Object(shown.clone()), &mut roots);
    add_with_references(roots, &mut schemas);
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": shown,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
            }},
        },
    })
}

/// The schemas of all kinds of a group and version.
fn kinds(group: &str, version: &str) -> impl Iterator<Item = String> {
    published().iter().filter_map(move |(name, schema)| {
        let gvks = schema["x-kubernetes-group-version-kind"].as_array()?;
        let own = gvks.iter().any(|g| g["group"] == group && g["version"] == version);
        (own && gvks.len() == 1).then(|| name.clone())
    })
}

fn parameter(p: &Parameter) -> Value {
    let mut v = json!({
        "name": p.name, "in": if p.in_path { "path" } else { "query" }, "description": p.description,
        "schema": {"type": p.kind, "uniqueItems": true},
    });
    if p.in_path {
        v["required"] = true.into();
    }
    v
}

fn operation_v3(o: &Operation) -> Value {
    let content = |types: &[&str], schema: &str| -> Value {
        let entries = types.iter().map(|t| ((*t).to_owned(), json!({"schema": reference(schema)})));
        Value::Object(entries.collect())
    };
    let answer = content(&["application/json", "application/yaml"], &o.response);
    let mut responses = json!({
        "200": {"description": "OK", "content": answer},
        "401": {"description": "Unauthorized"},
    });
    if o.created {
        responses["201"] = json!({"description": "Created", "content": answer});
    }
    let mut v = json!({
        "tags": [o.tag], "description": o.description, "operationId": o.id, "responses": responses,
        "x-kubernetes-action": o.action, "x-kubernetes-group-version-kind": o.gvk,
    });
    if !o.parameters.is_empty() {
        v["parameters"] = o.parameters.iter().map(parameter).collect();
    }
    if let Some((types, schema)) = &o.body {
        v["requestBody"] = json!({"content": content(types, schema), "required": o.action == "patch"});
    }
    v
}
