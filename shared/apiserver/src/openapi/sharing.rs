//! The parameters that documents of version 2 keep in one place, where the operations refer to them.

use serde_json::{Map, Value, json};

use crate::validation::internal::go_json;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Replaces the parameters that are not of one kind of object by references, and gives what these refer to.
pub(super) fn share(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut shared = Map::new();
    let mut replace = |owner: &mut Value| {
        let parameters = owner.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten().filter(|p| is_shared(p)) {
            let name =
                format!("{}-{}", parameter["name"].as_str().unwrap_or_default(), hash(&text(parameter)));
            let reference = json!({"$ref": format!("#/parameters/{name}")});
            shared.insert(name, std::mem::replace(parameter, reference));
        }
    };
    for item in paths.values_mut() {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                replace(operation);
            }
        }
        replace(item);
    }
    shared
}

/// Names and most bodies are those of a kind; two others stay where old clients look for them.
fn is_shared(parameter: &Value) -> bool {
    let schema = parameter["schema"]["$ref"].as_str().unwrap_or_default();
    match (parameter["in"].as_str(), parameter["name"].as_str()) {
        (_, Some("name")) | (Some("query"), Some("fieldValidation" | "dryRun")) => false,
        (Some("body"), Some("body")) => schema.starts_with("#/definitions/io.k8s.apimachinery"),
        _ => true,
    }
}

/// The JSON of a parameter with its members in the order of Go's type.
fn text(parameter: &Value) -> String {
    const ORDER: [&str; 7] = ["uniqueItems", "type", "description", "name", "in", "required", "schema"];
    let members =
        ORDER.iter().filter_map(|name| Some(format!("\"{name}\":{}", go_json(parameter.get(*name)?))));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Six bytes of the FNV-1 hash of a text.
fn hash(text: &str) -> String {
    use base64::Engine;
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = text.bytes().fold(BASIS, |hash, byte| hash.wrapping_mul(PRIME) ^ u64::from(byte));
    base64::engine::general_purpose::URL_SAFE.encode(&hash.to_be_bytes()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_parameters_have_the_names_of_the_server() {
        let namespace = json!({
            "name": "namespace", "in": "path", "required": true, "type": "string", "uniqueItems": true,
            "description": "object name and auth scope, such as for teams and projects",
        });
        let patch = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
        let body = json!({"name": "body", "in": "body", "required": true, "schema": {"$ref": patch}});
        let name = json!({"name": "name", "in": "path", "description": "name of the Pod"});
        let mut paths = Map::new();
        paths.insert(
            "/p".to_owned(),
            json!({"parameters": [name, namespace], "patch": {"parameters": [body]}}),
        );
        let shared = share(&mut paths);
        assert_eq!(shared["namespace-vgWSWtn3"], namespace);
        assert_eq!(shared["body-78PwaGsr"], body);
        assert_eq!(
            paths["/p"],
            json!({
                "parameters": [name, {"$ref": "#/parameters/namespace-vgWSWtn3"}],
                "patch": {"parameters": [{"$ref": "#/parameters/body-78PwaGsr"}]},
            })
        );
    }
}
