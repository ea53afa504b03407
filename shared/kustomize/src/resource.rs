//! One resource of a build: its YAML, and what the build remembers of it.

use crate::error::Error;
use crate::id::{Gvk, ResourceId, effective_namespace, split_api_version};
use crate::node::{self, is_null_or_empty};
use crate::schema::{CustomSchemas, is_cluster_scoped};
use crate::twins::{self, Twins};
use fluxide_goyaml::node::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const INTERNAL_PREFIX: &str = "internal.config.kubernetes.io/";
pub(crate) const ORIGIN: &str = "config.kubernetes.io/origin";
pub(crate) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";

/// A Kubernetes object in the making or, after the build, made.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) node: Node,
    pub(crate) memory: Memory,
    pub(crate) twins: Twins,
    scopes: Option<Arc<CustomSchemas>>,
}

/// What kustomize keeps in internal annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) previous: Vec<PreviousId>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) behavior: Option<Behavior>,
    pub(crate) needs_hash: bool,
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
    pub(crate) vars: Vec<String>,
}

/// What a resource was called before a transformer renamed it. Group and version are read from the current ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PreviousId {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// What a generated resource does to one that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behavior {
    #[default]
    Unspecified,
    Create,
    Replace,
    Merge,
}

impl Behavior {
    pub(crate) fn parse(text: &str) -> Behavior {
        match text {
            "create" => Behavior::Create,
            "replace" => Behavior::Replace,
            "merge" => Behavior::Merge,
            _ => Behavior::Unspecified,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Behavior::Unspecified => "unspecified",
            Behavior::Create => "create",
            Behavior::Replace => "replace",
            Behavior::Merge => "merge",
        }
    }
}

impl Resource {
    pub(crate) fn new(node: Node, scopes: Option<Arc<CustomSchemas>>) -> Resource {
        Resource { node, memory: Memory::default(), twins: Twins::default(), scopes }
    }

    /// The apiVersion, as text.
    pub fn api_version(&self) -> &str {
        self.node.get("apiVersion").map_or("", |node| &node.value)
    }

    /// The kind, as text.
    pub fn kind(&self) -> &str {
        self.node.get("kind").map_or("", |node| &node.value)
    }

    /// `metadata.name`; empty when there is none.
    pub fn name(&self) -> &str {
        self.metadata_text("name")
    }

    /// `metadata.namespace`; empty when there is none.
    pub fn namespace(&self) -> &str {
        self.metadata_text("namespace")
    }

    /// The object as a YAML tree.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The object as a YAML tree, to change it after the build.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// The object as JSON. Fails when it has a key that is no string, or a value JSON cannot express.
    pub fn to_json(&self) -> Result<serde_json::Value, Error> {
        crate::yaml::node_to_json(&self.node).map_err(|err| self.output_error(err))
    }

    /// The object as `kustomize build` prints it.
    pub fn to_yaml(&self) -> Result<String, Error> {
        crate::yaml::print(&self.node).map_err(|err| self.output_error(err))
    }

    /// Where the object came from, when `buildMetadata: [originAnnotations]` asked for it: the annotation's text.
    pub fn origin(&self) -> Option<&str> {
        self.annotation(ORIGIN)
    }

    fn output_error(&self, err: fluxide_goyaml::Error) -> Error {
        let mut message = err.to_string();
        if let Some(path) =
            key_that_is_no_string(&self.node).filter(|_| message.starts_with("json: unsupported"))
        {
            message.push_str(&format!(": the key at '{path}' is no string; put it in quotes"));
        }
        Error::Output { id: self.current_id().to_string(), message }
    }

    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(self.api_version(), self.kind())
    }

    /// Group, version, kind, name and namespace as they are now.
    pub fn current_id(&self) -> ResourceId {
        ResourceId {
            gvk: self.gvk(),
            name: self.name().to_owned(),
            namespace: self.namespace().to_owned(),
            cluster_scoped: self.is_cluster_scoped(),
        }
    }

    /// The current id without regard to scope, as errors print it.
    pub(crate) fn plain_id(&self) -> ResourceId {
        ResourceId { cluster_scoped: false, ..self.current_id() }
    }

    /// Whether the type is one that is known to have no namespace.
    pub fn is_cluster_scoped(&self) -> bool {
        is_cluster_scoped(self.api_version(), self.kind())
            || self
                .scopes
                .as_ref()
                .is_some_and(|scopes| scopes.is_cluster_scoped(self.api_version(), self.kind()))
    }

    /// The namespace for comparisons: `default` when there is none, and a name that no namespace can have when the
    /// type has none.
    pub fn effective_namespace(&self) -> &str {
        effective_namespace(self.namespace(), self.is_cluster_scoped())
    }

    /// What the resource was called, oldest first.
    pub(crate) fn previous_ids(&self) -> impl Iterator<Item = ResourceId> + '_ {
        let (group, version) = split_api_version(self.api_version());
        self.memory.previous.iter().filter(|previous| !previous.name.is_empty()).map(move |previous| {
            ResourceId {
                gvk: Gvk { group: group.into(), version: version.into(), kind: previous.kind.clone() },
                name: previous.name.clone(),
                namespace: previous.namespace.clone(),
                cluster_scoped: false,
            }
        })
    }

    /// The first id the resource had.
    pub(crate) fn original_id(&self) -> ResourceId {
        self.previous_ids().next().unwrap_or_else(|| self.current_id())
    }

    /// Whether a predicate holds for any id the resource has or had.
    pub(crate) fn any_id(&self, mut holds: impl FnMut(&ResourceId) -> bool) -> bool {
        self.previous_ids().any(|id| holds(&id)) || holds(&self.current_id())
    }

    /// Whether the resource has or had this id.
    pub(crate) fn has_id(&self, id: &ResourceId) -> bool {
        let (group, version) = split_api_version(self.api_version());
        if id.gvk.group != group || id.gvk.version != version {
            return false;
        }
        let namespace = id.effective_namespace();
        (self.name() == id.name && self.kind() == id.gvk.kind && self.effective_namespace() == namespace)
            || self.memory.previous.iter().any(|previous| {
                previous.name == id.name
                    && !previous.name.is_empty()
                    && previous.kind == id.gvk.kind
                    && effective_namespace(&previous.namespace, false) == namespace
            })
    }

    /// Remembers the current id before it changes.
    ///
    /// kustomize keeps names, kinds and namespaces in lists of their own and leaves an empty name out. As long as there
    /// is no other name, there is no previous id then; with another it cannot tell any more what belongs together.
    pub(crate) fn store_previous_id(&mut self) -> Result<(), Error> {
        let previous = PreviousId {
            kind: self.kind().to_owned(),
            name: self.name().to_owned(),
            namespace: self.effective_namespace().to_owned(),
        };
        self.memory.previous.push(previous);
        self.clear_empty_annotations();
        let unnamed = self.memory.previous.iter().filter(|previous| previous.name.is_empty()).count();
        if unnamed > 0 && unnamed < self.memory.previous.len() {
            return Err(Error::PreviousIds { id: self.current_id().to_string() });
        }
        Ok(())
    }

    /// Removes annotations without entries, be they null or of a wrong kind: kustomize does so before it notes
    /// something in them.
    pub(crate) fn clear_empty_annotations(&mut self) {
        if let Some(metadata) = self.node.get_mut("metadata")
            && metadata.get("annotations").is_some_and(|annotations| annotations.content.is_empty())
        {
            metadata.remove("annotations");
        }
    }

    /// Writes to all twins what was written to one.
    pub(crate) fn spread_twins(&mut self) {
        if self.twins.exist {
            twins::spread(&mut self.node);
        }
    }

    /// Whether a patch has deleted everything.
    pub(crate) fn is_deleted(&self) -> bool {
        is_null_or_empty(&self.node)
    }

    pub(crate) fn delete(&mut self) {
        self.node = Node::null();
    }

    fn metadata_text(&self, field: &str) -> &str {
        self.metadata()
            .and_then(|metadata| metadata.get(field))
            .filter(|node| !is_null_or_empty(node))
            .map_or("", |node| &node.value)
    }

    fn metadata(&self) -> Option<&Node> {
        self.node.get("metadata").filter(|node| !is_null_or_empty(node))
    }

    pub(crate) fn set_name(&mut self, name: &str) -> Result<(), Error> {
        let metadata = node::mapping_field(&mut self.node, "metadata")?;
        Ok(node::set_field(metadata, "name", node::untagged(name))?)
    }

    /// Sets the namespace; empty removes it.
    pub(crate) fn set_namespace(&mut self, namespace: &str) -> Result<(), Error> {
        if namespace.is_empty() {
            if let Some(metadata) = self.node.get_mut("metadata") {
                metadata.remove("namespace");
            }
            return Ok(());
        }
        let metadata = node::mapping_field(&mut self.node, "metadata")?;
        Ok(node::set_field(metadata, "namespace", node::untagged(namespace))?)
    }

    pub(crate) fn set_kind(&mut self, kind: &str) -> Result<(), Error> {
        Ok(node::set_field(&mut self.node, "kind", node::untagged(kind))?)
    }

    pub(crate) fn set_api_version(&mut self, api_version: &str) -> Result<(), Error> {
        Ok(node::set_field(&mut self.node, "apiVersion", node::untagged(api_version))?)
    }

    /// The labels as texts.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        node::text_map(self.metadata().and_then(|metadata| metadata.get("labels")))
    }

    /// The annotations as texts, without the build's own.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        node::text_map(self.metadata().and_then(|metadata| metadata.get("annotations")))
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata()?.get("annotations")?;
        annotations.get(key).map(|node| node.value.as_str())
    }

    pub(crate) fn set_labels(&mut self, labels: BTreeMap<String, String>) -> Result<(), Error> {
        self.set_metadata_map("labels", labels)
    }

    pub(crate) fn set_annotations(&mut self, annotations: BTreeMap<String, String>) -> Result<(), Error> {
        self.set_metadata_map("annotations", annotations)
    }

    fn set_metadata_map(&mut self, field: &str, map: BTreeMap<String, String>) -> Result<(), Error> {
        if map.is_empty() && self.node.get("metadata").is_some_and(node::is_null) {
            return Ok(());
        }
        let metadata = node::mapping_field(&mut self.node, "metadata")?;
        metadata.remove(field);
        if !map.is_empty() {
            let pairs = map.into_iter().map(|(key, value)| (key, node::set_string(value)));
            metadata.content.push(Node::string(field));
            metadata.content.push(Node::mapping(pairs));
        }
        Ok(())
    }

    /// Adds one annotation, or changes it, and writes all of them anew as texts.
    pub(crate) fn set_annotation(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let mut annotations = self.annotations();
        annotations.insert(key.to_owned(), value.to_owned());
        self.set_annotations(annotations)
    }

    /// Adds one annotation to those that are there, or changes it.
    pub(crate) fn annotate(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let metadata = node::mapping_field(&mut self.node, "metadata")?;
        let annotations = node::mapping_field(metadata, "annotations")?;
        Ok(node::set_field(annotations, key, Node::string(value))?)
    }

    /// Whether the resource is for the build only.
    pub(crate) fn is_local_config(&self) -> bool {
        self.annotation(LOCAL_CONFIG).is_some_and(|value| value != "false")
    }
}

/// The path of the first key that YAML does not take for a string.
fn key_that_is_no_string(node: &Node) -> Option<String> {
    for (key, value) in node.pairs() {
        if !node::is_string(key) {
            return Some(key.value.to_string());
        }
        if let Some(path) = key_that_is_no_string(value) {
            return Some(format!("{}.{path}", key.value));
        }
    }
    node.items()
        .iter()
        .enumerate()
        .find_map(|(at, item)| key_that_is_no_string(item).map(|path| format!("{at}.{path}")))
}
