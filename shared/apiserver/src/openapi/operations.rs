//! The operations on the paths of a resource, independent of the version of OpenAPI that shows them.

use serde_json::{Map, Value, json};

use super::parameters::{Parameter, named, of_kind, patching_manager};
use super::{custom, schemas};
use crate::registry::{Resource, Subresource};

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const JSON_AND_YAML: &[&str] = &["application/json", "application/yaml"];
pub(super) const OBJECTS: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const STREAMS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
const LOGS: &[&str] =
    &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const ANYTHING: &[&str] = &["*/*"];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
const CUSTOM_PATCHES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
const SELECTING: [&str; 9] = [
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
];
const WATCHING: [&str; 2] = ["allowWatchBookmarks", "watch"];
const DELETING: [&str; 5] = [
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];

/// A path and what can be done with it.
pub(super) struct Path {
    pub path: String,
    /// Parameters that all operations have.
    pub parameters: Vec<Parameter>,
    pub operations: Vec<Operation>,
}

/// One method on a path.
pub(super) struct Operation {
    pub method: &'static str,
    pub action: Option<&'static str>,
    pub id: String,
    pub description: String,
    pub tag: String,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    /// Media types of bodies.
    pub consumes: &'static [&'static str],
    /// Media types of answers.
    pub produces: &'static [&'static str],
    /// The schema of what is answered; none for text.
    pub response: Option<String>,
    /// Codes of answers that carry it.
    pub codes: &'static [u16],
    pub gvk: Option<Value>,
}

impl Operation {
    /// Adds what Kubernetes says of an operation beyond the format to a description of it.
    pub fn extend(&self, shown: &mut Value) {
        if let Some(action) = self.action {
            shown["x-kubernetes-action"] = action.into();
        }
        if let Some(gvk) = &self.gvk {
            shown["x-kubernetes-group-version-kind"] = gvk.clone();
        }
    }
}

/// What a request carries.
pub(super) struct Body {
    pub schema: String,
    pub required: bool,
}

impl Path {
    /// A path with the parameters that all its operations have moved to it.
    pub fn new(path: String, mut operations: Vec<Operation>) -> Self {
        let mut parameters = operations.first().map(|o| o.parameters.clone()).unwrap_or_default();
        parameters.retain(|p| operations.iter().all(|o| o.parameters.contains(p)));
        for operation in &mut operations {
            operation.parameters.retain(|p| !parameters.contains(p));
            operation.parameters.sort();
        }
        parameters.sort();
        Path { path, parameters, operations }
    }

    /// The path as a document shows it, which has its own forms of parameters and operations.
    pub fn item(&self, parameter: fn(&Parameter) -> Value, operation: fn(&Operation) -> Value) -> Value {
        let mut item = Map::new();
        if !self.parameters.is_empty() {
            item.insert("parameters".into(), self.parameters.iter().map(parameter).collect());
        }
        item.extend(self.operations.iter().map(|o| (o.method.to_owned(), operation(o))));
        item.into()
    }
}

/// The paths of a resource and its subresources.
pub(super) fn paths(r: &Resource) -> Vec<Path> {
    let base = match r.group.as_str() {
        "" => format!("/api/{}", r.version),
        group => format!("/apis/{group}/{}", r.version),
    };
    let maker = Maker { r, title: title_of(&r.group, &r.version), tag: tag_of(&r.group, &r.version) };
    let scope = if r.namespaced { "/namespaces/{namespace}" } else { "" };
    let everywhere = (r.namespaced && r.has_verb("list")).then(|| maker.list(true));
    let mut out = Vec::new();
    if let Some(list) = everywhere {
        out.push(Path::new(format!("{base}/{}", r.plural), vec![list]));
    }
    let collection = format!("{base}{scope}/{}", r.plural);
    out.push(Path::new(collection.clone(), maker.collection()));
    out.push(Path::new(format!("{collection}/{{name}}"), maker.item()));
    for sub in &r.subresources {
        let path = format!("{collection}/{{name}}/{}", sub.name);
        if sub.name == "proxy" {
            out.push(Path::new(format!("{path}/{{path}}"), maker.connections(sub, true)));
        }
        out.push(Path::new(path, maker.subresource(sub)));
    }
    if r.has_verb("watch") && r.custom.is_none() {
        if r.namespaced {
            out.push(Path::new(format!("{base}/watch/{}", r.plural), vec![maker.watch(Watched::Everywhere)]));
        }
        let collection = format!("{base}/watch{scope}/{}", r.plural);
        out.push(Path::new(format!("{collection}/{{name}}"), vec![maker.watch(Watched::Item)]));
        out.push(Path::new(collection, vec![maker.watch(Watched::Collection)]));
    }
    out.retain(|p| !p.operations.is_empty());
    out
}

/// The path under which a group and version says what it has.
pub(super) fn resource_list(group: &str, version: &str) -> Path {
    let base = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    let document = Document {
        id: format!("get{}APIResources", title_of(group, version)),
        description: "get available resources",
        tag: tag_of(group, version),
        schema: "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
    };
    document.at(format!("{base}/{version}/"))
}

/// The path under which a group says which versions it has.
pub(super) fn group(group: &str) -> Path {
    let document = Document {
        id: format!("get{}APIGroup", title_of(group, "")),
        description: "get information of a group",
        tag: tag_of(group, ""),
        schema: "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup",
    };
    document.at(format!("/apis/{group}/"))
}

/// A document that describes a part of the server.
pub(super) struct Document {
    pub id: String,
    pub description: &'static str,
    pub tag: String,
    pub schema: &'static str,
}

impl Document {
    /// The document at its path, in the media types of objects.
    pub fn at(self, path: String) -> Path {
        let operation = Operation {
            method: "get",
            action: None,
            id: self.id,
            description: self.description.to_owned(),
            tag: self.tag,
            parameters: Vec::new(),
            body: None,
            consumes: OBJECTS,
            produces: OBJECTS,
            response: Some(self.schema.to_owned()),
            codes: &[200],
            gvk: None,
        };
        Path::new(path, vec![operation])
    }
}

/// A group as identifiers show it, without what all groups of Kubernetes have.
fn short(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) }
}

/// The letters and digits of a text, in capitals after what is neither.
fn identifier(text: &str, capitalize: bool) -> String {
    let mut capital = capitalize;
    let mut out = String::new();
    for (index, c) in text.char_indices() {
        if !(c.is_alphabetic() || c == '_' || index > 0 && c.is_numeric()) {
            capital = true;
        } else if std::mem::take(&mut capital) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn capital(word: &str) -> String {
    identifier(word, true)
}

/// `RbacAuthorizationV1`.
fn title_of(group: &str, version: &str) -> String {
    capital(short(group)) + &capital(version)
}

/// `rbacAuthorization_v1`.
fn tag_of(group: &str, version: &str) -> String {
    let group = identifier(short(group), false);
    if version.is_empty() { group } else { format!("{group}_{}", identifier(version, false)) }
}

/// ` a `, ` an ` or, before a plural, nothing.
fn article(noun: &str) -> &'static str {
    if noun.ends_with('s') && !noun.ends_with("ss") {
        " "
    } else if noun.starts_with(['A', 'E', 'I', 'O', 'U', 'a', 'e', 'i', 'o', 'u']) {
        " an "
    } else {
        " a "
    }
}

fn schema_name(r: &Resource, group: &str, version: &str, kind: &str) -> String {
    if r.custom.is_some() && group == r.group {
        return custom::name(r, kind);
    }
    schemas::name_of(group, version, kind).unwrap_or(STATUS).to_owned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watched {
    Everywhere,
    Collection,
    Item,
}

struct Maker<'a> {
    r: &'a Resource,
    title: String,
    tag: String,
}

impl Maker<'_> {
    fn is_custom(&self) -> bool {
        self.r.custom.is_some()
    }

    fn own_schema(&self) -> String {
        schema_name(self.r, &self.r.group, &self.r.version, &self.r.kind)
    }

    fn own_gvk(&self) -> Value {
        json!({"group": self.r.group, "version": self.r.version, "kind": self.r.kind})
    }

    /// `NamespacedPod` or `Node`.
    fn scoped_kind(&self) -> String {
        let scope = if self.r.namespaced { "Namespaced" } else { "" };
        format!("{scope}{}", self.r.kind)
    }

    fn in_path(&self, name_of: Option<&str>) -> Vec<Parameter> {
        let mut out: Vec<Parameter> = name_of.map(Parameter::name_of).into_iter().collect();
        if self.r.namespaced {
            out.push(Parameter::namespace());
        }
        out
    }

    fn operation(
        &self,
        method: &'static str,
        action: &'static str,
        id: String,
        description: String,
    ) -> Operation {
        let types = if self.is_custom() { JSON_AND_YAML } else { OBJECTS };
        Operation {
            method,
            action: Some(action),
            id,
            description,
            tag: self.tag.clone(),
            parameters: vec![named("pretty")],
            body: None,
            consumes: if self.is_custom() { JSON_AND_YAML } else { ANYTHING },
            produces: types,
            response: Some(self.own_schema()),
            codes: &[200],
            gvk: Some(self.own_gvk()),
        }
    }

    fn list(&self, everywhere: bool) -> Operation {
        let kind = &self.r.kind;
        let id = match everywhere {
            true => format!("list{}{kind}ForAllNamespaces", self.title),
            false => format!("list{}{}", self.title, self.scoped_kind()),
        };
        let watches = !self.is_custom() && self.r.has_verb("watch");
        let what = if watches { "list or watch" } else { "list" };
        let mut list = self.operation("get", "list", id, format!("{what} objects of kind {kind}"));
        list.response = Some(schema_name(self.r, &self.r.group, &self.r.version, &self.r.list_kind));
        list.parameters.extend(SELECTING.iter().chain(&WATCHING).map(|name| named(name)));
        if !everywhere {
            list.parameters.extend(self.in_path(None));
        }
        if !self.is_custom() {
            list.produces = STREAMS;
        }
        list
    }

    fn collection(&self) -> Vec<Operation> {
        let mut out = Vec::new();
        let kind = &self.r.kind;
        if self.r.has_verb("list") {
            out.push(self.list(false));
        }
        if self.r.has_verb("create") {
            let id = format!("create{}{}", self.title, self.scoped_kind());
            let description = format!("create{}{kind}", article(kind));
            let mut create = self.create(id, description, self.own_schema());
            create.parameters.extend(self.in_path(None));
            out.push(create);
        }
        if self.r.has_verb("deletecollection") {
            let id = format!("delete{}Collection{}", self.title, self.scoped_kind());
            let description = format!("delete collection of {kind}");
            let mut delete = self.operation("delete", "deletecollection", id, description);
            delete.parameters.extend(self.in_path(None));
            delete.parameters.extend(SELECTING.iter().map(|name| named(name)));
            if self.is_custom() {
                delete.parameters.extend(WATCHING.iter().map(|name| named(name)));
            } else {
                delete.parameters.extend(DELETING.iter().map(|name| named(name)));
                delete.body = Some(Body { schema: DELETE_OPTIONS.to_owned(), required: false });
            }
            delete.response = Some(STATUS.to_owned());
            out.push(delete);
        }
        out
    }

    fn create(&self, id: String, description: String, schema: String) -> Operation {
        let mut create = self.operation("post", "post", id, description);
        create.parameters.extend(["dryRun", "fieldManager", "fieldValidation"].map(named));
        create.codes = &[200, 201, 202];
        create.body = Some(Body { schema: schema.clone(), required: true });
        create.response = Some(schema);
        create
    }

    fn item(&self) -> Vec<Operation> {
        let (kind, own) = (self.r.kind.clone(), self.own_schema());
        let mut out = self.of_object(&self.r.verbs, "", &own);
        if self.r.has_verb("delete") {
            let id = format!("delete{}{}", self.title, self.scoped_kind());
            let mut delete =
                self.operation("delete", "delete", id, format!("delete{}{kind}", article(&kind)));
            delete.parameters.extend(DELETING.iter().map(|name| named(name)));
            delete.body = Some(Body { schema: DELETE_OPTIONS.to_owned(), required: false });
            delete.codes = &[200, 202];
            delete.response = Some(if answers_deleted(self.r) { own } else { STATUS.to_owned() });
            out.push(delete);
        }
        for operation in &mut out {
            operation.parameters.extend(self.in_path(Some(&kind)));
        }
        out
    }

    /// Reading, replacing and patching an object or a part of it.
    fn of_object(&self, verbs: &[&str], sub: &str, schema: &str) -> Vec<Operation> {
        let id = |verb: &str| format!("{verb}{}{}{}", self.title, self.scoped_kind(), capital(sub));
        let what = if sub.is_empty() { String::new() } else { format!(" {sub} of") };
        let text = |verb: &str| format!("{verb}{what} the specified {}", self.r.kind);
        let mut out = Vec::new();
        if verbs.contains(&"get") {
            let mut get = self.operation("get", "get", id("read"), text("read"));
            if self.is_custom() {
                get.parameters.push(named("resourceVersion"));
            }
            out.push(get);
        }
        if verbs.contains(&"update") {
            let mut put = self.operation("put", "put", id("replace"), text("replace"));
            put.parameters.extend(["dryRun", "fieldManager", "fieldValidation"].map(named));
            put.body = Some(Body { schema: schema.to_owned(), required: true });
            put.codes = &[200, 201];
            out.push(put);
        }
        if verbs.contains(&"patch") {
            let mut patch = self.operation("patch", "patch", id("patch"), text("partially update"));
            patch.parameters.extend(["dryRun", "fieldValidation", "force"].map(named));
            patch.parameters.push(patching_manager());
            patch.body = Some(Body { schema: PATCH.to_owned(), required: true });
            if self.is_custom() {
                patch.consumes = CUSTOM_PATCHES;
            } else {
                patch.consumes = PATCHES;
                patch.codes = &[200, 201];
            }
            out.push(patch);
        }
        for operation in &mut out {
            operation.response = Some(schema.to_owned());
        }
        out
    }

    fn subresource(&self, sub: &Subresource) -> Vec<Operation> {
        if matches!(sub.name.as_str(), "attach" | "exec" | "portforward" | "proxy") {
            return self.connections(sub, false);
        }
        let own = (self.r.group.clone(), self.r.version.clone(), self.r.kind.clone());
        let (group, version, kind) = sub.response.clone().unwrap_or(own);
        let schema = schema_name(self.r, &group, &version, &kind);
        let mut out = self.of_object(&sub.verbs, &sub.name, &schema);
        if sub.verbs.contains(&"create") {
            let id = format!("create{}{}{}", self.title, self.scoped_kind(), capital(&sub.name));
            let description = format!("create {} of{}{}", sub.name, article(&self.r.kind), self.r.kind);
            out.push(self.create(id, description, schema));
        }
        // The objects of a definition are all of its kind here.
        let shown = if self.is_custom() { self.r.kind.clone() } else { kind.clone() };
        for operation in &mut out {
            operation.parameters.extend(self.in_path(Some(&shown)));
            if !self.is_custom() {
                operation.gvk = Some(json!({"group": group, "version": version, "kind": kind}));
            }
            if sub.name == "log" {
                operation.parameters.extend(of_kind("PodLogOptions"));
                operation.produces = LOGS;
                operation.response = None;
            }
        }
        out
    }

    /// Connections to what runs, with a path of their own or without.
    fn connections(&self, sub: &Subresource, with_path: bool) -> Vec<Operation> {
        let methods: &[&'static str] = match sub.name.as_str() {
            "proxy" => &["get", "put", "post", "delete", "options", "head", "patch"],
            _ => &["get", "post"],
        };
        let kind = sub.response.as_ref().map(|(_, _, kind)| kind.clone()).unwrap_or_default();
        let suffix = if with_path { "WithPath" } else { "" };
        let operations = methods.iter().copied().map(|method| {
            let verb = capital(method);
            let id =
                format!("connect{}{verb}{}{}{suffix}", self.title, self.scoped_kind(), capital(&sub.name));
            let upper = method.to_uppercase();
            let description = format!("connect {upper} requests to {} of {}", sub.name, self.r.kind);
            let mut operation = self.operation(method, "connect", id, description);
            operation.parameters = self.in_path(Some(&kind));
            operation.parameters.extend(of_kind(&kind));
            if with_path {
                operation.parameters.push(Parameter::path());
            }
            operation.produces = ANYTHING;
            operation.response = None;
            operation.gvk = Some(json!({"group": self.r.group, "version": self.r.version, "kind": kind}));
            operation
        });
        operations.collect()
    }

    fn watch(&self, watched: Watched) -> Operation {
        let kind = &self.r.kind;
        let (action, id) = match watched {
            Watched::Everywhere => ("watchlist", format!("{kind}ListForAllNamespaces")),
            Watched::Collection => ("watchlist", format!("{}List", self.scoped_kind())),
            Watched::Item => ("watch", self.scoped_kind()),
        };
        let description = match watched {
            Watched::Item => format!(
                "watch changes to an object of kind {kind}. deprecated: use the 'watch' parameter with a list operation \
                 instead, filtered to a single item with the 'fieldSelector' parameter."
            ),
            _ => format!(
                "watch individual changes to a list of {kind}. deprecated: use the 'watch' parameter with a list operation \
                 instead."
            ),
        };
        let mut watch = self.operation("get", action, format!("watch{}{id}", self.title), description);
        watch.parameters.extend(SELECTING.iter().chain(&WATCHING).map(|name| named(name)));
        match watched {
            Watched::Everywhere => {}
            Watched::Collection => watch.parameters.extend(self.in_path(None)),
            Watched::Item => watch.parameters.extend(self.in_path(Some(kind))),
        }
        watch.produces = STREAMS;
        watch.response = Some(WATCH_EVENT.to_owned());
        watch
    }
}

/// Whether a delete is described to answer with the object instead of a status; that of a namespace is not.
fn answers_deleted(r: &Resource) -> bool {
    !r.is("", "namespaces") && crate::handlers::delete::answers_object(r)
}
