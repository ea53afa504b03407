//! Discovery documents: `/api`, `/apis` and below, in the legacy and the aggregated form.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::registry::{Catalog, Resource, group_version};

/// Media type of aggregated discovery.
pub(crate) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The documents of a catalog that do not depend on the request.
#[derive(Default)]
pub(crate) struct Documents {
    pub core_aggregated: Document,
    pub groups_aggregated: Document,
}

/// A rendered document and its entity tag.
#[derive(Default)]
pub(crate) struct Document {
    pub json: bytes::Bytes,
    pub etag: String,
}

impl Document {
    fn new(v: &Value) -> Self {
        let json = serde_json::to_vec(v).unwrap_or_default();
        let etag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&json)));
        Document { json: json.into(), etag }
    }
}

/// The documents of `catalog`, rendered at first use.
pub(crate) fn documents(catalog: &Catalog) -> &Documents {
    catalog.documents.get_or_init(|| Documents {
        core_aggregated: Document::new(&aggregated(catalog, |g| g.is_empty())),
        groups_aggregated: Document::new(&aggregated(catalog, |g| !g.is_empty())),
    })
}

/// The answer of `/api` from the server at `address`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// The answer of `/apis`.
pub(crate) fn group_list(catalog: &Catalog) -> Value {
    let groups: Vec<Value> = named_groups(catalog).map(|g| group(catalog, g)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn named_groups(catalog: &Catalog) -> impl Iterator<Item = &str> {
    catalog.groups.iter().map(|(g, _)| g.as_str()).filter(|g| !g.is_empty())
}

/// `APIGroup` as listed in `APIGroupList`.
pub(crate) fn group(catalog: &Catalog, name: &str) -> Value {
    let versions: Vec<Value> = catalog
        .group(name)
        .into_iter()
        .flat_map(|g| &g.versions)
        .map(|v| json!({"groupVersion": group_version(name, v), "version": v}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// The answer of `/apis/<group>`.
pub(crate) fn group_document(catalog: &Catalog, name: &str) -> Value {
    let mut v = group(catalog, name);
    crate::object::members(&mut v).insert("kind".into(), "APIGroup".into());
    crate::object::members(&mut v).insert("apiVersion".into(), "v1".into());
    v
}

/// `APIResourceList` of one version.
pub(crate) fn resource_list(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let resources = catalog.group(group)?.resources.get(version)?;
    let mut out = Vec::new();
    for r in resources {
        let mut v = json!({
            "name": r.plural,
            "singularName": r.singular,
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": r.verbs,
        });
        let m = crate::object::members(&mut v);
        add_names(m, r);
        if r.has_verb("create") && r.has_verb("watch") {
            m.insert("storageVersionHash".into(), storage_hash(r).into());
        }
        if !r.verbs.is_empty() {
            out.push(v);
        }
        for s in &r.subresources {
            let kind = s.response.as_ref().map_or(&r.kind, |(_, _, k)| k);
            let mut v = json!({
                "name": format!("{}/{}", r.plural, s.name),
                "singularName": "",
                "namespaced": r.namespaced,
                "kind": kind,
                "verbs": s.verbs,
            });
            if let Some((g, ver, _)) = &s.response
                && (g.as_str(), ver.as_str()) != (group, version)
            {
                let m = crate::object::members(&mut v);
                m.insert("group".into(), g.as_str().into());
                m.insert("version".into(), ver.as_str().into());
            }
            out.push(v);
        }
    }
    let mut v = json!({
        "kind": "APIResourceList",
        "groupVersion": group_version(group, version),
        "resources": out,
    });
    if !group.is_empty() {
        // The oldest version has none.
        crate::object::members(&mut v).insert("apiVersion".into(), "v1".into());
    }
    Some(v)
}

/// Adds the short names and categories, when there are any.
fn add_names(members: &mut serde_json::Map<String, Value>, resource: &Resource) {
    if !resource.short_names.is_empty() {
        members.insert("shortNames".into(), json!(resource.short_names));
    }
    if !resource.categories.is_empty() {
        members.insert("categories".into(), json!(resource.categories));
    }
}

fn storage_hash(r: &Resource) -> String {
    use base64::Engine;
    let (group, version) = match (r.group.as_str(), r.plural.as_str()) {
        // These are stored in an older version.
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies" | "mutatingadmissionpolicybindings")
        | ("apiextensions.k8s.io", "customresourcedefinitions") => (r.group.as_str(), "v1beta1"),
        _ => crate::registry::split_group_version(&r.storage_version),
    };
    let digest = Sha256::digest(format!("{group}/{version}/{}", r.kind));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

fn aggregated(catalog: &Catalog, wanted: impl Fn(&str) -> bool) -> Value {
    let items: Vec<Value> = catalog
        .groups
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, g)| {
            let versions: Vec<Value> = g
                .versions
                .iter()
                .map(|v| {
                    let resources: Vec<Value> =
                        g.resources.get(v).into_iter().flatten().map(|r| aggregated_resource(r)).collect();
                    json!({"version": v, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let meta = if name.is_empty() { json!({}) } else { json!({"name": name}) };
            json!({"metadata": meta, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(r: &Resource) -> Value {
    let own = |custom: bool| -> Value {
        if custom {
            json!({"group": r.group, "version": r.version, "kind": r.kind})
        } else {
            json!({"group": "", "version": "", "kind": r.kind})
        }
    };
    let custom = r.custom.is_some();
    let mut v = json!({
        "resource": r.plural,
        "responseKind": own(custom),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": r.singular,
        "verbs": r.verbs,
    });
    let m = crate::object::members(&mut v);
    add_names(m, r);
    if !r.subresources.is_empty() {
        let subs: Vec<Value> = r
            .subresources
            .iter()
            .map(|s| {
                let response = match &s.response {
                    Some((g, _, k)) if g.is_empty() => json!({"group": "", "version": "", "kind": k}),
                    Some((g, v, k)) => json!({"group": g, "version": v, "kind": k}),
                    None => own(custom),
                };
                json!({"subresource": s.name, "responseKind": response, "verbs": s.verbs})
            })
            .collect();
        m.insert("subresources".into(), subs.into());
    }
    v
}
