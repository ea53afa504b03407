//! The schemas of the built-in types, with their descriptions, as published for Kubernetes 1.36.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

use serde_json::{Map, Value};

const PUBLISHED: &[u8] = include_bytes!("../../data/kubernetes-1.36-openapi.json.gz");
const PREFIX: &str = "#/components/schemas/";

const GROUP_VERSIONS: &str = include_str!("../../data/kubernetes-1.36-group-versions.json");

/// Every schema by its name. The data is part of the program: unreadable data leaves no schemas, which the tests notice.
pub(super) fn published() -> &'static BTreeMap<String, Value> {
    static ALL: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
        let mut text = Vec::new();
        match flate2::read::GzDecoder::new(PUBLISHED).read_to_end(&mut text) {
            Ok(_) => with_all_groups(serde_json::from_slice(&text).unwrap_or_default()),
            Err(_) => BTreeMap::new(),
        }
    });
    &ALL
}

/// Every group and version that Kubernetes knows has the options of deletes and the events of watches.
fn with_all_groups(mut schemas: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let known: Vec<(String, String)> = serde_json::from_str(GROUP_VERSIONS).unwrap_or_default();
    for (name, kind) in
        [(super::operations::DELETE_OPTIONS, "DeleteOptions"), (super::operations::WATCH_EVENT, "WatchEvent")]
    {
        if let Some(schema) = schemas.get_mut(name) {
            let gvk = |(group, version): &(String, String)| serde_json::json!({"group": group, "version": version, "kind": kind});
            schema["x-kubernetes-group-version-kind"] = known.iter().map(gvk).collect();
        }
    }
    schemas
}

/// The name of the schema of a kind.
pub(super) fn name_of(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    static NAMES: LazyLock<BTreeMap<(String, String, String), &'static str>> = LazyLock::new(|| {
        let mut names = BTreeMap::new();
        for (name, schema) in published() {
            for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let text = |member: &str| gvk[member].as_str().unwrap_or_default().to_owned();
                names.insert((text("group"), text("version"), text("kind")), name.as_str());
            }
        }
        names
    });
    NAMES.get(&(group.to_owned(), version.to_owned(), kind.to_owned())).copied()
}

/// Adds the named schemas, and all that they refer to.
pub(super) fn add_with_references(roots: Vec<String>, into: &mut Map<String, Value>) {
    let mut todo = roots;
    while let Some(name) = todo.pop() {
        if into.contains_key(&name) {
            continue;
        }
        let Some(schema) = published().get(&name) else { continue };
        references(schema, &mut todo);
        into.insert(name, schema.clone());
    }
}

/// The names of the schemas that a value refers to.
pub(super) fn references(v: &Value, out: &mut Vec<String>) {
    match v {
        Value::Object(m) => {
            for (key, value) in m {
                match value.as_str().and_then(|s| s.strip_prefix(PREFIX)) {
                    Some(name) if key == "$ref" => out.push(name.to_owned()),
                    _ => references(value, out),
                }
            }
        }
        Value::Array(a) => a.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

/// A reference to a schema.
pub(super) fn reference(name: &str) -> Value {
    serde_json::json!({"$ref": format!("{PREFIX}{name}")})
}
