//! CustomResourceDefinitions: what they add to the catalog, and the schemas that custom resources obey.

pub(crate) mod custom_validation;
pub(crate) mod definition;
pub(crate) mod definition_validation;
mod embedded;
pub(crate) mod establish;
mod list_types;
mod patterns;
mod rule_checks;
mod rule_costs;
mod rules;
mod schema_validation;
pub(crate) mod structural;
mod value_validation;

use std::sync::Arc;

use fluxide_structured_merge::schema::Schema;
use serde_json::Value;

use crate::object::text;
use crate::registry::{Resource, Subresource};
use structural::Structural;

/// One served version of a custom resource.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    /// `spec.versions[].schema.openAPIV3Schema` as written.
    pub raw_schema: Value,
    pub schema: Structural,
    /// The schemas of all versions as server-side apply sees them.
    pub siblings: Arc<Vec<(String, Arc<Schema>)>>,
    pub selectable_fields: Vec<String>,
    pub columns: Vec<Column>,
    pub scale: Option<ScalePaths>,
    pub has_status: bool,
    /// The versions, as in `example.com/v1`, whose status is written apart.
    pub with_status: Vec<String>,
    /// Text of the deprecation warning, when the version is deprecated.
    pub deprecation: Option<String>,
    /// The schema of the version in which objects are stored, when that is another one.
    pub stored_schema: Option<Structural>,
    /// Whether the schema has rules in CEL.
    pub has_rules: bool,
    /// Whether the definition is being deleted: no new objects.
    pub terminating: bool,
}

/// An `additionalPrinterColumns` entry.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

/// Paths of the scale subresource, without the leading dot.
#[derive(Debug, Clone)]
pub(crate) struct ScalePaths {
    pub spec: Vec<String>,
    pub status: Vec<String>,
    pub selector: Option<Vec<String>>,
}

/// The resources that an established definition adds, one for each served version.
pub(crate) fn resources_of(crd: &Value) -> Vec<Resource> {
    let spec = &crd["spec"];
    let names = &crd["status"]["acceptedNames"];
    let group = text(spec, &["group"]).to_owned();
    let plural = text(names, &["plural"]).to_owned();
    let namespaced = text(spec, &["scope"]) == "Namespaced";
    let storage =
        versions(crd).find(|v| v["storage"] == true).map(|v| text(v, &["name"])).unwrap_or_default();
    let siblings = Arc::new(merge_schemas(crd));
    let strings = |v: &Value| -> Vec<String> {
        v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
    };
    versions(crd)
        .filter(|v| v["served"] == true)
        .map(|v| {
            let custom = CustomVersion::new(crd, v, siblings.clone());
            let mut subresources = Vec::new();
            let verbs = vec!["get", "patch", "update"];
            if custom.has_status {
                subresources.push(Subresource {
                    name: "status".into(),
                    verbs: verbs.clone(),
                    response: None,
                });
            }
            if custom.scale.is_some() {
                let response = Some(("autoscaling".to_owned(), "v1".to_owned(), "Scale".to_owned()));
                subresources.push(Subresource { name: "scale".into(), verbs, response });
            }
            Resource {
                group: group.clone(),
                version: text(v, &["name"]).to_owned(),
                plural: plural.clone(),
                singular: text(names, &["singular"]).to_owned(),
                kind: text(names, &["kind"]).to_owned(),
                list_kind: text(names, &["listKind"]).to_owned(),
                short_names: strings(&names["shortNames"]),
                categories: strings(&names["categories"]),
                namespaced,
                verbs: vec![
                    "delete",
                    "deletecollection",
                    "get",
                    "list",
                    "patch",
                    "create",
                    "update",
                    "watch",
                ],
                subresources,
                table: format!("{plural}.{group}").into(),
                storage_version: format!("{group}/{storage}"),
                custom: Some(Arc::new(custom)),
            }
        })
        .collect()
}

/// The served versions with their schemas for merging.
fn merge_schemas(crd: &Value) -> Vec<(String, Arc<Schema>)> {
    let group = text(crd, &["spec", "group"]);
    let preserve = crd["spec"]["preserveUnknownFields"] == true;
    versions(crd)
        .filter(|v| v["served"] == true)
        .map(|v| {
            let raw = &v["schema"]["openAPIV3Schema"];
            let schema = Schema::from_open_api(raw, preserve).unwrap_or_else(|_| Schema::deduced());
            (format!("{group}/{}", text(v, &["name"])), Arc::new(schema))
        })
        .collect()
}

/// `spec.versions`.
pub(crate) fn versions(crd: &Value) -> impl Iterator<Item = &Value> {
    crd["spec"]["versions"].as_array().into_iter().flatten()
}

impl CustomVersion {
    fn new(crd: &Value, version: &Value, siblings: Arc<Vec<(String, Arc<Schema>)>>) -> Self {
        let raw_schema = version["schema"]["openAPIV3Schema"].clone();
        let mut schema = Structural::compile_root(&raw_schema);
        if crd["spec"]["preserveUnknownFields"] == true {
            schema.preserve_unknown = true;
        }
        let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
        let stored_schema = versions
            .filter(|other| other["storage"] == true && other["name"] != version["name"])
            .map(|storage| Structural::compile_root(&storage["schema"]["openAPIV3Schema"]))
            .next();
        let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten().map(|c| Column {
            name: text(c, &["name"]).to_owned(),
            kind: text(c, &["type"]).to_owned(),
            format: text(c, &["format"]).to_owned(),
            description: text(c, &["description"]).to_owned(),
            priority: c["priority"].as_i64().unwrap_or(0),
            path: text(c, &["jsonPath"]).to_owned(),
        });
        let dotted =
            |p: &str| -> Vec<String> { p.trim_start_matches('.').split('.').map(str::to_owned).collect() };
        let scale = version["subresources"].get("scale").map(|s| ScalePaths {
            spec: dotted(text(s, &["specReplicasPath"])),
            status: dotted(text(s, &["statusReplicasPath"])),
            selector: s
                .get("labelSelectorPath")
                .and_then(Value::as_str)
                .filter(|p| !p.is_empty())
                .map(dotted),
        });
        let deprecation = (version["deprecated"] == true).then(|| {
            version["deprecationWarning"].as_str().map(str::to_owned).unwrap_or_else(|| {
                format!(
                    "{}/{} {} is deprecated",
                    text(crd, &["spec", "group"]),
                    text(version, &["name"]),
                    text(crd, &["spec", "names", "kind"])
                )
            })
        });
        let group = text(crd, &["spec", "group"]);
        let with_status = self::versions(crd)
            .filter(|v| v["subresources"].get("status").is_some())
            .map(|v| format!("{group}/{}", text(v, &["name"])))
            .collect();
        CustomVersion {
            siblings,
            with_status,
            stored_schema: stored_schema.filter(|_| crd["spec"]["preserveUnknownFields"] != true),
            has_rules: schema.has_rules(),
            schema,
            raw_schema,
            selectable_fields: version["selectableFields"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|f| text(f, &["jsonPath"]).trim_start_matches('.').to_owned())
                .collect(),
            columns: columns.collect(),
            scale,
            has_status: version["subresources"].get("status").is_some(),
            deprecation,
            terminating: crate::object::is_deleting(crd),
        }
    }
}
