//! OpenAPI documents: version 3 of each group and version, and version 2 of everything in JSON and protobuf.

mod custom;
mod gnostic;
mod operations;
mod parameters;
mod schemas;
mod server;
mod sharing;
mod v2;
mod v3;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::registry::{Catalog, Resource};

/// The title and version that every document carries.
fn info() -> Value {
    json!({"title": "Kubernetes", "version": "1.36"})
}

/// Rendered documents of a catalog.
#[derive(Default)]
pub(crate) struct Cache {
    documents: Mutex<HashMap<String, Bytes>>,
}

/// Documents of built-in groups are the same in every catalog.
static BUILTIN: LazyLock<Cache> = LazyLock::new(Cache::default);

impl Cache {
    fn get_or_render(&self, key: &str, render: impl FnOnce() -> Bytes) -> Bytes {
        let kept = || self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept().get(key) {
            return bytes.clone();
        }
        let bytes = render();
        kept().insert(key.to_owned(), bytes.clone());
        bytes
    }
}

/// A group and version with its path below `/openapi/v3/` and a hash of what its document shows.
struct Part<'a> {
    path: String,
    group: &'a str,
    version: &'a str,
    builtin: bool,
    resources: &'a [Arc<Resource>],
    hash: String,
}

fn parts(catalog: &Catalog) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    for (group, facts) in &catalog.groups {
        for version in &facts.versions {
            let path = match group.as_str() {
                "" => format!("api/{version}"),
                group => format!("apis/{group}/{version}"),
            };
            let resources = facts.resources.get(version).map(Vec::as_slice).unwrap_or_default();
            let mut digest = Sha256::new();
            digest.update(&path);
            for r in resources {
                digest.update(&r.plural);
                if let Some(custom) = &r.custom {
                    digest.update(custom.raw_schema.to_string());
                    digest.update(&r.kind);
                }
            }
            let hash = hex::encode_upper(digest.finalize());
            out.push(Part { path, group, version, builtin: facts.builtin, resources, hash });
        }
    }
    out
}

/// The list of the documents of version 3.
pub(crate) fn index(catalog: &Catalog) -> Value {
    let of_parts = parts(catalog).into_iter().map(|p| (p.path, p.hash));
    let around = server::documents(catalog).into_iter().map(|d| (d.place, d.hash));
    let paths: Map<String, Value> = of_parts
        .chain(around)
        .map(|(path, hash)| {
            let url = format!("/openapi/v3/{path}?hash={hash}");
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// The document of version 3 at a path such as `apis/apps/v1`, and its hash.
pub(crate) fn version_3(catalog: &Catalog, path: &str) -> Option<(Bytes, String)> {
    let render = |document: Value| -> Bytes { serde_json::to_vec(&document).unwrap_or_default().into() };
    if let Some(part) = parts(catalog).into_iter().find(|p| p.path == path) {
        let cache = if part.builtin { &*BUILTIN } else { &catalog.openapi };
        return Some((cache.get_or_render(&part.path, || render(v3::document(&part))), part.hash));
    }
    let found = server::documents(catalog).into_iter().find(|d| d.place == path)?;
    let bytes = BUILTIN.get_or_render(path, || render(v3::with_schemas(vec![found.path], Map::new())));
    Some((bytes, found.hash))
}

/// The document of version 2, and its hash.
pub(crate) fn version_2(catalog: &Catalog, protobuf: bool) -> (Bytes, String) {
    let parts = parts(catalog);
    let around = || server::documents(catalog).into_iter().map(|d| d.path);
    let mut digest = Sha256::new();
    parts.iter().for_each(|p| digest.update(&p.hash));
    let hash = hex::encode_upper(digest.finalize());
    let json = || -> Bytes { serde_json::to_vec(&v2::document(&parts, around())).unwrap_or_default().into() };
    let bytes = if protobuf {
        catalog
            .openapi
            .get_or_render("v2.protobuf", || gnostic::encode(&v2::document(&parts, around())).into())
    } else {
        catalog.openapi.get_or_render("v2.json", json)
    };
    (bytes, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_a_document_leads_somewhere() {
        let catalog = Catalog::new(Vec::new());
        for part in parts(&catalog) {
            let document = v3::document(&part);
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let mut wanted = Vec::new();
            schemas::references(&document, &mut wanted);
            for name in wanted {
                assert!(schemas.contains_key(&name), "{} lacks {name}", part.path);
            }
        }
    }

    #[test]
    fn version_2_has_the_kinds_in_both_encodings() {
        let catalog = Catalog::new(Vec::new());
        let (json, _) = version_2(&catalog, false);
        let v: Value = serde_json::from_slice(&json).unwrap();
        let pod = &v["definitions"]["io.k8s.api.core.v1.PodSpec"];
        assert_eq!(pod["properties"]["containers"]["x-kubernetes-patch-merge-key"], "name");
        let (protobuf, _) = version_2(&catalog, true);
        assert!(protobuf.len() > 500_000, "{}", protobuf.len());
    }
}
