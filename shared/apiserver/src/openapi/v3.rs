//! Documents of version 3.

use serde_json::{Map, Value, json};

use super::operations::{DELETE_OPTIONS, Operation, Path, WATCH_EVENT, paths, resource_list};
use super::parameters::Parameter;
use super::schemas::{add_with_references, reference, references};
use super::{Part, custom, info};

/// The document of one group and version.
pub(super) fn document(part: &Part) -> Value {
    let mut shown: Vec<Path> = part.resources.iter().flat_map(|resource| paths(resource)).collect();
    if part.builtin {
        shown.push(resource_list(part.group, part.version));
    }
    let mut own = Map::new();
    for resource in part.resources {
        own.extend(custom::schemas(resource, false));
    }
    let mut document = with_schemas(shown, own);
    // Each group has the options of deletes and the events of watches as kinds of its own, too.
    for (name, kind) in [(DELETE_OPTIONS, "DeleteOptions"), (WATCH_EVENT, "WatchEvent")] {
        if part.builtin
            && let Some(schema) = document["components"]["schemas"].get_mut(name)
        {
            let groups = if part.group.is_empty() { vec![""] } else { vec!["", part.group] };
            let gvk = |group: &str| {
                let version = if group.is_empty() { "v1" } else { part.version };
                json!({"group": group, "version": version, "kind": kind})
            };
            schema["x-kubernetes-group-version-kind"] = groups.into_iter().map(gvk).collect();
        }
    }
    if !part.builtin {
        introduce_custom(&mut document);
    }
    document
}

/// The documents of custom resources come from a server within the server, which knows fewer groups.
fn introduce_custom(document: &mut Value) {
    document["info"] = json!({"title": "Kubernetes CRD Swagger", "version": "v0.1.0"});
    let components = crate::object::child(document, "components");
    components.remove("securitySchemes");
    let unknown =
        ["admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "imagepolicy.k8s.io"];
    let options = components.get_mut("schemas").and_then(|schemas| schemas.get_mut(DELETE_OPTIONS));
    if let Some(Value::Array(kinds)) = options.map(|schema| &mut schema["x-kubernetes-group-version-kind"]) {
        kinds.retain(|kind| !unknown.iter().any(|group| kind["group"] == *group));
    }
}

/// A document with these paths, and all schemas that they refer to.
pub(super) fn with_schemas(paths: Vec<Path>, own: Map<String, Value>) -> Value {
    let mut shown = Map::new();
    for path in paths {
        let item = path.item(parameter, operation_v3);
        shown.insert(path.path, item);
    }
    let mut roots = Vec::new();
    references(&Value::Object(own.clone()), &mut roots);
    references(&Value::Object(shown.clone()), &mut roots);
    let mut schemas = own;
    add_with_references(roots, &mut schemas);
    let mut components = json!({
        "securitySchemes": {"BearerToken": {
            "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
        }},
    });
    if !schemas.is_empty() {
        components["schemas"] = schemas.into();
    }
    json!({"openapi": "3.0.0", "info": info(), "paths": shown, "components": components})
}

fn parameter(p: &Parameter) -> Value {
    let mut v = json!({
        "name": p.name, "in": p.place, "description": p.description,
        "schema": {"type": p.kind, "uniqueItems": true},
    });
    if p.place == "path" {
        v["required"] = true.into();
    }
    v
}

fn operation_v3(o: &Operation) -> Value {
    let content = |types: &[&str], schema: Value| -> Value {
        Value::Object(types.iter().map(|t| ((*t).to_owned(), json!({"schema": schema}))).collect())
    };
    let schema = o.response.as_ref().map_or_else(|| json!({"type": "string"}), |name| reference(name));
    let answer = content(o.produces, schema);
    let mut responses = json!({"401": {"description": "Unauthorized"}});
    for code in o.codes {
        let description = status_text(*code);
        responses[code.to_string()] = json!({"description": description, "content": answer});
    }
    let mut v = json!({
        "tags": [o.tag], "description": o.description, "operationId": o.id, "responses": responses,
    });
    o.extend(&mut v);
    if !o.parameters.is_empty() {
        v["parameters"] = o.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = &o.body {
        v["requestBody"] = json!({"content": content(o.consumes, reference(&body.schema))});
        if body.required {
            v["requestBody"]["required"] = true.into();
        }
    }
    v
}

/// What a code of an answer means.
pub(super) fn status_text(code: u16) -> &'static str {
    match code {
        201 => "Created",
        202 => "Accepted",
        _ => "OK",
    }
}
