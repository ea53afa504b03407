//! Field specs: which fields of which kinds a transformer writes, and the walk to them.

use crate::id::{Gvk, split_api_version};
use crate::node::{self, NodeError};
use crate::resource::Resource;
use fluxide_goyaml::node::{Kind, Node};
use std::sync::Arc;
use thiserror::Error;

/// Why a field cannot be reached or written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FieldSpecError {
    /// The path meets a scalar before its end.
    #[error("expected sequence or mapping node")]
    NotACollection,
    /// A path with two slashes in a row, or one at its end.
    #[error("cannot set or create an empty field name")]
    EmptyName,
    /// A node is not what it has to be.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A list on the way has an item that is wrong.
    #[error("visit traversal on path: [{path}]: {source}")]
    Traversal {
        /// What was left of the path.
        path: String,
        /// What is wrong.
        source: Box<FieldSpecError>,
    },
    /// A field on the way is wrong.
    #[error("fieldName: {name}: {source}")]
    Field {
        /// The field.
        name: String,
        /// What is wrong.
        source: NodeError,
    },
    /// What the transformer does with the field failed.
    #[error("{0}")]
    Set(String),
}

/// A field of a resource cannot be reached or written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("considering field '{path}' of object {id}: {source}")]
pub struct FieldError {
    /// The path of the field spec.
    pub path: String,
    /// The resource.
    pub id: String,
    /// What is wrong.
    pub source: Box<FieldSpecError>,
}

/// A field of the kinds that `gvk` selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldSpec {
    pub(crate) gvk: Gvk,
    pub(crate) path: String,
    pub(crate) create: bool,
    steps: Arc<[String]>,
}

/// What to create when a field is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    /// Nothing: leave it.
    Never,
    /// A node of a kind, if the field spec allows it.
    Kind(Kind, &'static str),
}

impl FieldSpec {
    pub(crate) fn new(gvk: Gvk, path: impl Into<String>, create: bool) -> FieldSpec {
        let path = path.into();
        let steps = node::split_path(&path, '/').into();
        FieldSpec { gvk, path, create, steps }
    }

    /// Whether the spec is about an object of this apiVersion and kind.
    pub(crate) fn selects(&self, api_version: &str, kind: &str) -> bool {
        if !self.gvk.kind.is_empty() && self.gvk.kind != kind {
            return false;
        }
        if self.gvk.group.is_empty() && self.gvk.version.is_empty() {
            return true;
        }
        let (group, version) = split_api_version(api_version);
        (self.gvk.group.is_empty() || self.gvk.group == group)
            && (self.gvk.version.is_empty() || self.gvk.version == version)
    }

    /// Calls `set` on every field of the resource that the spec means.
    pub(crate) fn apply(
        &self,
        resource: &mut Resource,
        create: Create,
        set: &mut dyn FnMut(&mut Node) -> Result<(), FieldSpecError>,
    ) -> Result<(), FieldError> {
        if !self.selects(resource.api_version(), resource.kind()) {
            return Ok(());
        }
        self.apply_to_any(resource, create, set)
    }

    /// The same without a look at the resource's kind.
    pub(crate) fn apply_to_any(
        &self,
        resource: &mut Resource,
        create: Create,
        set: &mut dyn FnMut(&mut Node) -> Result<(), FieldSpecError>,
    ) -> Result<(), FieldError> {
        let create = if self.create { create } else { Create::Never };
        let mut walk = Walk { create, set };
        walk.visit(&mut resource.node, &self.steps).map_err(|source| FieldError {
            path: self.path.clone(),
            id: resource.plain_id().to_string(),
            source: Box::new(source),
        })
    }
}

struct Walk<'a> {
    create: Create,
    set: &'a mut dyn FnMut(&mut Node) -> Result<(), FieldSpecError>,
}

impl Walk<'_> {
    fn visit(&mut self, node: &mut Node, steps: &[String]) -> Result<(), FieldSpecError> {
        let Some((step, rest)) = steps.split_first() else { return (self.set)(node) };
        if node::is_null(node) {
            return Ok(());
        }
        match node.kind {
            Kind::Sequence => {
                for item in &mut node.content {
                    self.visit(item, steps).map_err(|source| FieldSpecError::Traversal {
                        path: steps.join(" "),
                        source: Box::new(source),
                    })?;
                }
                Ok(())
            }
            Kind::Mapping => self.visit_field(node, step, rest),
            _ => Err(FieldSpecError::NotACollection),
        }
    }

    fn visit_field(&mut self, node: &mut Node, step: &str, rest: &[String]) -> Result<(), FieldSpecError> {
        let (name, must_be_list) = match step.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (step, false),
        };
        if name.is_empty() {
            return Err(FieldSpecError::EmptyName);
        }
        if name.parse::<i64>().is_ok() || name == "-" || name == "*" || node::is_list_step(name) {
            // Such a name would be an index, and a mapping has none.
            return match node::lookup(node, &[name]) {
                Ok(_) => Ok(()),
                Err(source) => Err(FieldSpecError::Field { name: name.to_owned(), source }),
            };
        }
        let wanted = match self.create {
            _ if must_be_list => None,
            Create::Never => None,
            Create::Kind(kind, tag) if rest.is_empty() => Some((kind, tag)),
            Create::Kind(..) => Some((Kind::Mapping, fluxide_goyaml::node::tag::MAP)),
        };
        let name = name.trim();
        let at = match node.position(name) {
            Some(at) => at,
            None => {
                let Some((kind, _)) = wanted else { return Ok(()) };
                node.content.push(Node::string(name));
                node.content.push(Node::new(kind, ""));
                node.content.len() - 2
            }
        };
        let field = &mut node.content[at + 1];
        if node::is_null(field) {
            let becomes = if must_be_list { Some((Kind::Sequence, "")) } else { wanted };
            if let Some((kind, tag)) = becomes {
                field.kind = kind;
                field.set_tag(tag);
                if kind != Kind::Scalar {
                    field.value.clear();
                }
            }
        }
        self.visit(field, rest)
    }
}

/// Two specs mean the same field and disagree whether to create it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("conflicting fieldspecs")]
pub struct ConflictingFieldSpecs;

/// Adds a spec unless one of the same path selects its kinds already.
pub(crate) fn merge_one(specs: &mut Vec<FieldSpec>, other: &FieldSpec) -> Result<(), ConflictingFieldSpecs> {
    let same = specs.iter().find(|spec| spec.path == other.path && spec.gvk.is_selected(&other.gvk));
    match same {
        Some(spec) if spec.create != other.create => Err(ConflictingFieldSpecs),
        Some(_) => Ok(()),
        None => {
            specs.push(other.clone());
            Ok(())
        }
    }
}

/// [`merge_one`] for each of `others`.
pub(crate) fn merge_all(
    specs: &mut Vec<FieldSpec>,
    others: &[FieldSpec],
) -> Result<(), ConflictingFieldSpecs> {
    others.iter().try_for_each(|other| merge_one(specs, other))
}
