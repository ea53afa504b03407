//! What strategic merge has to know of Kubernetes types: which lists merge by key, and where they are. The built-in
//! types are those of Kubernetes 1.21.2, as kustomize has them; a kustomization can bring its own.

use serde_json::Value;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use thiserror::Error;

/// One definition a line: its name, then its fields as `name=type`. A type is `s` (scalar), the number of a
/// definition's line, `[type` (list), `{type` (map), or `<keys:type` (list that merges by keys).
static DEFINITIONS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../tables/openapi.tsv").lines().collect());

/// apiVersion, kind and definition number, sorted by the first two.
static TYPES: LazyLock<Vec<(&'static str, &'static str, usize)>> = LazyLock::new(|| {
    include_str!("../tables/types.tsv")
        .lines()
        .filter_map(|line| {
            let mut parts = line.split('\t');
            Some((parts.next()?, parts.next()?, parts.next()?.parse().ok()?))
        })
        .collect()
});

/// Why a schema cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SchemaError {
    /// `openapi.version` names a version that is not there.
    #[error("the specified OpenAPI version is not built in")]
    UnknownVersion,
    /// `openapi` has both `version` and `path`.
    #[error("builtin version and custom schema provided, cannot use both")]
    VersionAndPath,
    /// The document of `openapi.path` cannot be read.
    #[error("invalid schema file: {0}")]
    Invalid(String),
}

/// The schemas of one build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schemas {
    custom: Option<Arc<CustomSchemas>>,
    chosen: bool,
    /// Whether something has asked for what only the built-in schema can tell. kustomize keeps it from then on, even
    /// if a custom document is chosen later.
    builtin_wanted: Cell<bool>,
}

/// The document that `openapi.path` names.
#[derive(Debug)]
pub(crate) struct CustomSchemas {
    definitions: serde_json::Map<String, Value>,
    types: HashMap<(String, String), String>,
    scopes: HashMap<(String, String), bool>,
    with_builtin: bool,
}

/// What is known of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schema<'s> {
    /// The fields of a built-in definition.
    Definition(usize),
    /// A built-in type in the notation of [`DEFINITIONS`], other than a definition.
    Expression(&'static str),
    /// A schema object of a custom document.
    Custom(&'s Value),
}

impl Schemas {
    /// Takes the `openapi` field of a kustomization into account. `content` is that of the file that `path` names.
    /// Only the first that says anything counts, and the top one is asked first.
    pub(crate) fn choose(
        &mut self,
        version: Option<&str>,
        content: Option<&Value>,
        extend_builtin: bool,
    ) -> Result<(), SchemaError> {
        if self.chosen {
            return Ok(());
        }
        match (version, content) {
            (Some(_), Some(_)) => return Err(SchemaError::VersionAndPath),
            (None, Some(document)) => {
                let with_builtin = extend_builtin || self.builtin_wanted.get();
                self.custom = Some(Arc::new(CustomSchemas::new(document, with_builtin)?));
                self.chosen = true;
            }
            (Some("v1.21.2"), None) => self.chosen = true,
            (Some("") | None, None) => {}
            (Some(_), None) => return Err(SchemaError::UnknownVersion),
        }
        Ok(())
    }

    /// Whether a type that is not in the fixed list has a namespace, as far as a custom document tells.
    pub(crate) fn custom_scopes(&self) -> Option<Arc<CustomSchemas>> {
        self.custom.clone().filter(|custom| !custom.scopes.is_empty())
    }

    /// Notes that there is a resource of a type.
    pub(crate) fn note_type(&self, api_version: &str, kind: &str) {
        if !self.builtin_wanted.get() && find_type(api_version, kind).is_none() {
            self.builtin_wanted.set(true);
        }
    }

    /// The schema of a resource type.
    pub(crate) fn of_type(&self, api_version: &str, kind: &str) -> Option<Schema<'_>> {
        self.builtin_wanted.set(true);
        if let Some(custom) = &self.custom {
            let key = (api_version.to_owned(), kind.to_owned());
            if let Some(value) = custom.types.get(&key).and_then(|name| custom.definitions.get(name)) {
                return Some(Schema::Custom(value));
            }
        }
        if !self.has_builtin() {
            return None;
        }
        find_type(api_version, kind).map(|number| self.definition(number))
    }

    /// The schema of a field of an object.
    pub(crate) fn field<'s>(&'s self, schema: Schema<'s>, name: &str) -> Option<Schema<'s>> {
        match schema {
            Schema::Definition(number) => {
                let line = DEFINITIONS.get(number)?;
                let found = line
                    .split('\t')
                    .skip(1)
                    .find_map(|field| field.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))?;
                Some(self.expression(found))
            }
            Schema::Expression(text) => text.strip_prefix('{').map(|inner| self.expression(inner)),
            Schema::Custom(value) => {
                let field = match value.get("properties").and_then(|properties| properties.get(name)) {
                    Some(field) => field,
                    None => value.get("additionalProperties").filter(|more| more.is_object())?,
                };
                self.follow(field)
            }
        }
    }

    /// The schema of the items of a list.
    pub(crate) fn items<'s>(&'s self, schema: Schema<'s>) -> Option<Schema<'s>> {
        match schema {
            Schema::Definition(_) => None,
            Schema::Expression(text) => {
                let inner = match text.as_bytes().first()? {
                    b'[' => &text[1..],
                    b'<' => text.split_once(':')?.1,
                    _ => return None,
                };
                Some(self.expression(inner))
            }
            Schema::Custom(value) => {
                if value.get("type").and_then(Value::as_str) != Some("array") {
                    return None;
                }
                self.follow(value.get("items")?)
            }
        }
    }

    /// The keys by which a list merges; `None` when it is replaced as a whole, no keys when it holds scalars.
    pub(crate) fn merge_keys<'s>(&'s self, schema: Schema<'s>) -> Option<Vec<&'s str>> {
        match schema {
            Schema::Definition(_) => None,
            Schema::Expression(text) => {
                let keys = text.strip_prefix('<')?.split_once(':')?.0;
                Some(keys.split(',').filter(|key| !key.is_empty()).collect())
            }
            Schema::Custom(value) => {
                let strategy = value.get("x-kubernetes-patch-strategy")?.as_str()?;
                if !strategy.split(',').any(|part| part == "merge") {
                    return None;
                }
                if let Some(keys) = value.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
                    return Some(keys.iter().filter_map(Value::as_str).collect());
                }
                Some(value.get("x-kubernetes-patch-merge-key").and_then(Value::as_str).into_iter().collect())
            }
        }
    }

    fn has_builtin(&self) -> bool {
        self.custom.as_ref().is_none_or(|custom| custom.with_builtin)
    }

    fn expression(&self, text: &'static str) -> Schema<'_> {
        match text.parse() {
            Ok(number) => self.definition(number),
            Err(_) => Schema::Expression(text),
        }
    }

    /// A built-in definition, unless a custom document has one of the same name.
    fn definition(&self, number: usize) -> Schema<'_> {
        let replaced = self.custom.as_ref().and_then(|custom| {
            let name = DEFINITIONS.get(number)?.split('\t').next()?;
            custom.definitions.get(name)
        });
        replaced.map_or(Schema::Definition(number), Schema::Custom)
    }

    fn follow<'s>(&'s self, mut value: &'s Value) -> Option<Schema<'s>> {
        // A chain of references longer than this can only be a circle.
        for _ in 0..64 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Some(Schema::Custom(value));
            };
            let name = reference.strip_prefix("#/definitions/")?;
            let name = name.replace("~1", "/").replace("~0", "~");
            match self.custom.as_ref().and_then(|custom| custom.definitions.get(&name)) {
                Some(next) => value = next,
                None if self.has_builtin() => {
                    let number =
                        DEFINITIONS.iter().position(|line| line.split('\t').next() == Some(&name))?;
                    return Some(Schema::Definition(number));
                }
                None => return None,
            }
        }
        None
    }
}

/// The number of the definition of a built-in type.
fn find_type(api_version: &str, kind: &str) -> Option<usize> {
    let at = TYPES.binary_search_by(|(a, k, _)| (*a, *k).cmp(&(api_version, kind))).ok()?;
    Some(TYPES[at].2)
}

impl CustomSchemas {
    fn new(document: &Value, with_builtin: bool) -> Result<CustomSchemas, SchemaError> {
        let invalid = |text: &str| SchemaError::Invalid(text.to_owned());
        let root = document.as_object().ok_or_else(|| invalid("the document is not an object"))?;
        let definitions = match root.get("definitions") {
            None | Some(Value::Null) => serde_json::Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => return Err(invalid("'definitions' is not an object")),
        };
        let mut types = HashMap::new();
        for (name, definition) in &definitions {
            let listed = definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            for gvk in listed.into_iter().flatten() {
                if let Some(key) = type_key(gvk) {
                    types.insert(key, name.clone());
                }
            }
        }
        let mut scopes = HashMap::new();
        for (path, item) in root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let gvk = item.get("get").and_then(|get| get.get("x-kubernetes-group-version-kind"));
            let Some(key) = gvk.and_then(type_key) else { continue };
            if path.contains("namespaces/{namespace}") {
                scopes.insert(key, true);
            } else {
                scopes.entry(key).or_insert(false);
            }
        }
        Ok(CustomSchemas { definitions, types, scopes, with_builtin })
    }

    /// Whether the document says that the type has no namespace.
    pub(crate) fn is_cluster_scoped(&self, api_version: &str, kind: &str) -> bool {
        self.scopes.get(&(api_version.to_owned(), kind.to_owned())) == Some(&false)
    }
}

fn type_key(gvk: &Value) -> Option<(String, String)> {
    let text = |name: &str| gvk.get(name).and_then(Value::as_str);
    let version = text("version")?;
    let api_version = match text("group") {
        Some(group) if !group.is_empty() => format!("{group}/{version}"),
        _ => version.to_owned(),
    };
    Some((api_version, text("kind")?.to_owned()))
}

/// Whether kustomize knows that a built-in type has no namespace.
pub(crate) fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    let versions: &[&str] = match kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            &["admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"]
        }
        "CustomResourceDefinition" => &["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"],
        "APIService" => &["apiregistration.k8s.io/v1", "apiregistration.k8s.io/v1beta1"],
        "CertificateSigningRequest" => &["certificates.k8s.io/v1", "certificates.k8s.io/v1beta1"],
        "FlowSchema" | "PriorityLevelConfiguration" => &["flowcontrol.apiserver.k8s.io/v1beta1"],
        "IngressClass" => &["networking.k8s.io/v1", "networking.k8s.io/v1beta1"],
        "RuntimeClass" => &["node.k8s.io/v1", "node.k8s.io/v1beta1"],
        "PodSecurityPolicy" => &["policy/v1beta1"],
        "ClusterRole" | "ClusterRoleBinding" => {
            &["rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1beta1"]
        }
        "PriorityClass" => &["scheduling.k8s.io/v1", "scheduling.k8s.io/v1beta1"],
        "CSIDriver" | "CSINode" | "StorageClass" | "VolumeAttachment" => {
            &["storage.k8s.io/v1", "storage.k8s.io/v1beta1"]
        }
        "ComponentStatus" | "Namespace" | "Node" | "NodeProxyOptions" | "PersistentVolume" => &["v1"],
        _ => &[],
    };
    versions.contains(&api_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(path: &[&str]) -> Option<Vec<String>> {
        let schemas = Schemas::default();
        let mut schema = schemas.of_type("apps/v1", "Deployment").unwrap();
        for step in path {
            schema = match *step {
                "[]" => schemas.items(schema)?,
                name => schemas.field(schema, name)?,
            };
        }
        schemas.merge_keys(schema).map(|keys| keys.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn knows_the_lists_that_merge() {
        let pod = ["spec", "template", "spec"];
        let at = |rest: &[&'static str]| keys(&[&pod[..], rest].concat());
        assert_eq!(at(&["containers"]).unwrap(), ["name"]);
        assert_eq!(at(&["containers", "[]", "ports"]).unwrap(), ["containerPort", "protocol"]);
        assert_eq!(at(&["tolerations"]), None);
        assert_eq!(keys(&["metadata", "finalizers"]).unwrap(), [""; 0]);
    }

    #[test]
    fn a_custom_document_replaces_or_extends() {
        let document = serde_json::json!({"definitions": {"x.Thing": {
            "x-kubernetes-group-version-kind": [{"group": "x", "version": "v1", "kind": "Thing"}],
            "properties": {"items": {"type": "array", "x-kubernetes-patch-strategy": "merge",
                "x-kubernetes-patch-merge-key": "id", "items": {"$ref": "#/definitions/x.Thing"}}}}}});
        for (extend, known) in [(false, false), (true, true)] {
            let mut schemas = Schemas::default();
            schemas.choose(None, Some(&document), extend).unwrap();
            let thing = schemas.of_type("x/v1", "Thing").unwrap();
            let items = schemas.field(thing, "items").unwrap();
            assert_eq!(schemas.merge_keys(items).unwrap(), ["id"]);
            assert!(schemas.field(schemas.items(items).unwrap(), "items").is_some());
            assert_eq!(schemas.of_type("apps/v1", "Deployment").is_some(), known);
        }
    }
}
