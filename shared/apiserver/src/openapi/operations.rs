//! The operations on the paths of a resource, independent of the version of OpenAPI that shows them.

use serde_json::{Value, json};

use super::{custom, schemas};
use crate::registry::Resource;

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// A path and what can be done with it.
pub(super) struct Path {
    pub path: String,
    /// Parameters in the path.
    pub parameters: Vec<Parameter>,
    pub operations: Vec<Operation>,
}

/// A parameter of the path or the query.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub kind: &'static str,
    pub description: &'static str,
    pub in_path: bool,
}

/// One method on a path.
pub(super) struct Operation {
    pub method: &'static str,
    pub action: &'static str,
    pub id: String,
    pub description: String,
    pub tag: String,
    pub parameters: Vec<Parameter>,
    /// Media types and schema of the body.
    pub body: Option<(Vec<&'static str>, String)>,
    pub response: String,
    pub created: bool,
    pub gvk: Value,
}

const fn query(name: &'static str, kind: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind, description, in_path: false }
}

const NAME: Parameter =
    Parameter { name: "name", kind: "string", description: "name of the object", in_path: true };
const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    kind: "string",
    description: "object name and auth scope, such as for teams and projects",
    in_path: true,
};
const DRY_RUN: Parameter = query("dryRun", "string", "with the value All nothing is persisted");
const FIELD_MANAGER: Parameter = query(
    "fieldManager",
    "string",
    "the name under which changed fields are owned; required for apply patches",
);
const FIELD_VALIDATION: Parameter = query(
    "fieldValidation",
    "string",
    "what becomes of unknown and duplicate fields: Ignore drops them, Warn (the default) drops them with a warning, Strict \
     refuses the request",
);
const FORCE: Parameter = query("force", "boolean", "apply patches only: take over fields that others own");
const LISTING: [Parameter; 10] = [
    query("allowWatchBookmarks", "boolean", "asks for BOOKMARK events in watches"),
    query("continue", "string", "the token of an earlier page, to get the next one"),
    query("fieldSelector", "string", "restricts the list by fields"),
    query("labelSelector", "string", "restricts the list by labels"),
    query("limit", "integer", "the most objects in one answer"),
    query("resourceVersion", "string", "the version that the answer must not be older than, or be exactly"),
    query("resourceVersionMatch", "string", "how resourceVersion is meant: NotOlderThan or Exact"),
    query(
        "sendInitialEvents",
        "boolean",
        "watches begin with the objects that exist, and a bookmark after them",
    ),
    query("timeoutSeconds", "integer", "ends the call after this time"),
    query("watch", "boolean", "sends changes as they happen instead of a list"),
];
const DELETION: [Parameter; 3] = [
    query("gracePeriodSeconds", "integer", "the time an object gets to end; 0 means at once"),
    query("orphanDependents", "boolean", "deprecated, see propagationPolicy"),
    query("propagationPolicy", "string", "what becomes of dependents: Orphan, Background or Foreground"),
];

/// The paths of a resource and its subresources.
pub(super) fn paths(r: &Resource) -> Vec<Path> {
    let base = match r.group.as_str() {
        "" => format!("/api/{}", r.version),
        group => format!("/apis/{group}/{}", r.version),
    };
    let tag = format!("{}_{}", short_group(&r.group), r.version);
    let own = schema_name(r, &r.group, &r.version, &r.kind);
    let list = schema_name(r, &r.group, &r.version, &r.list_kind);
    let maker = Maker { r, tag };
    let mut out = Vec::new();
    let (scope, in_scope) =
        if r.namespaced { ("/namespaces/{namespace}", vec![NAMESPACE]) } else { ("", Vec::new()) };
    let collection = format!("{base}{scope}/{}", r.plural);
    let mut operations = Vec::new();
    if r.has_verb("list") {
        operations.push(maker.operation("get", "list", LISTING.to_vec(), None, &list));
        if r.namespaced {
            let everywhere = vec![maker.operation("get", "list", LISTING.to_vec(), None, &list)];
            let path = format!("{base}/{}", r.plural);
            out.push(Path { path, parameters: Vec::new(), operations: everywhere });
        }
    }
    if r.has_verb("create") {
        let parameters = vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
        operations.push(maker.operation("post", "post", parameters, Some(own.clone()), &own));
    }
    if r.has_verb("deletecollection") {
        let parameters = [&[DRY_RUN], &DELETION[..], &LISTING[..]].concat();
        let body = Some(DELETE_OPTIONS.to_owned());
        operations.push(maker.operation("delete", "deletecollection", parameters, body, STATUS));
    }
    out.push(Path { path: collection.clone(), parameters: in_scope.clone(), operations });
    let parameters = [&[NAME], &in_scope[..]].concat();
    let item = format!("{collection}/{{name}}");
    let operations = maker.of_item(&r.verbs, &own);
    if !operations.is_empty() {
        out.push(Path { path: item.clone(), parameters: parameters.clone(), operations });
    }
    for sub in &r.subresources {
        let name = match &sub.response {
            Some((group, version, kind)) => schema_name(r, group, version, kind),
            None => own.clone(),
        };
        let operations = maker.of_item(&sub.verbs, &name);
        out.push(Path { path: format!("{item}/{}", sub.name), parameters: parameters.clone(), operations });
    }
    out.retain(|p| !p.operations.is_empty());
    out
}

/// `apps`, `rbacAuthorization`, or `core`.
fn short_group(group: &str) -> String {
    if group.is_empty() { "core".to_owned() } else { group.trim_end_matches(".k8s.io").replace('.', "_") }
}

fn schema_name(r: &Resource, group: &str, version: &str, kind: &str) -> String {
    if r.custom.is_some() && group == r.group {
        return custom::name(r, kind);
    }
    schemas::name_of(group, version, kind).unwrap_or(STATUS).to_owned()
}

struct Maker<'a> {
    r: &'a Resource,
    tag: String,
}

impl Maker<'_> {
    fn of_item(&self, verbs: &[&str], schema: &str) -> Vec<Operation> {
        let mut out = Vec::new();
        let has = |verb: &str| verbs.contains(&verb);
        if has("get") {
            out.push(self.operation("get", "get", Vec::new(), None, schema));
        }
        if has("create") && !self.r.verbs.iter().eq(verbs) {
            let parameters = vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
            out.push(self.operation("post", "post", parameters, Some(schema.to_owned()), schema));
        }
        if has("update") {
            let parameters = vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
            out.push(self.operation("put", "put", parameters, Some(schema.to_owned()), schema));
        }
        if has("delete") {
            let parameters = [&[DRY_RUN], &DELETION[..]].concat();
            out.push(self.operation("delete", "delete", parameters, Some(DELETE_OPTIONS.to_owned()), STATUS));
        }
        if has("patch") {
            let parameters = vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
            out.push(self.operation("patch", "patch", parameters, Some(PATCH.to_owned()), schema));
        }
        out
    }

    fn operation(
        &self,
        method: &'static str,
        action: &'static str,
        parameters: Vec<Parameter>,
        body: Option<String>,
        response: &str,
    ) -> Operation {
        let r = self.r;
        let types = match (action, r.custom.is_some()) {
            ("patch", true) => {
                vec![
                    "application/apply-patch+yaml",
                    "application/json-patch+json",
                    "application/merge-patch+json",
                ]
            }
            ("patch", false) => vec![
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ],
            _ => vec!["application/json", "application/yaml"],
        };
        let verb = match action {
            "post" => "create",
            "put" => "replace",
            "get" => "read",
            other => other,
        };
        let scope = if r.namespaced { "Namespaced" } else { "" };
        Operation {
            method,
            action,
            id: format!("{verb}{}{scope}{}", self.tag, r.kind),
            description: format!("{verb} objects of kind {}", r.kind),
            tag: self.tag.clone(),
            parameters,
            body: body.map(|schema| (types, schema)),
            response: response.to_owned(),
            created: matches!(action, "post" | "put" | "patch"),
            gvk: json!({"group": r.group, "version": r.version, "kind": r.kind}),
        }
    }
}
