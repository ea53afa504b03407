//! The fields that a path of a replacement target leads to.

use crate::node::{self, NodeError, is_list_step, kind_for_step, split_list_step};
use crate::selector::{SelectorError, compile};
use fluxide_goyaml::node::{Kind, Node};
use thiserror::Error;

/// Why a path cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum PathError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Regex(#[from] SelectorError),
    #[error("index {index} specified but only {count} elements found")]
    Index { index: usize, count: usize },
    #[error("{0}")]
    Structured(fluxide_goyaml::Error),
    #[error("wrong node kind: expected {0} but got : node contents:\nnull")]
    Nothing(&'static str),
    #[error("stopped")]
    Stopped,
}

/// What is called with a field and where it is: positions in the contents of the nodes on the way to it, or nothing
/// for a field inside a text, which is no part of the object.
type Found<'f> = &'f mut dyn FnMut(&mut Node, Option<&[usize]>) -> Result<(), PathError>;

/// Calls `found` on every field at the end of the path and counts them. `create` is the kind of node to make where
/// the path ends in nothing.
pub(super) fn visit(
    node: &mut Node,
    path: &[String],
    create: Option<Kind>,
    found: Found<'_>,
) -> Result<usize, PathError> {
    Visitor { create, found, place: Some(Vec::new()) }.visit(node, path)
}

/// The node at a place that [`visit`] has told.
pub(super) fn node_at<'n>(node: &'n mut Node, place: &[usize]) -> Option<&'n mut Node> {
    place.iter().try_fold(node, |node, at| node.content.get_mut(*at))
}

struct Visitor<'f> {
    create: Option<Kind>,
    found: Found<'f>,
    place: Option<Vec<usize>>,
}

impl Visitor<'_> {
    fn visit(&mut self, node: &mut Node, path: &[String]) -> Result<usize, PathError> {
        let Some((step, rest)) = path.split_first() else {
            (self.found)(node, self.place.as_deref())?;
            return Ok(1);
        };
        if let Ok(index) = step.parse::<u32>() {
            return self.visit_index(node, index as usize, rest);
        }
        if is_list_step(step) {
            return self.visit_matches(node, step, rest);
        }
        if step == "*" {
            node::expect_kind(node, Kind::Sequence)?;
            let mut count = 0;
            for at in 0..node.content.len() {
                count += self.descend(node, at, rest)?;
            }
            return Ok(count);
        }
        self.visit_field(node, step, rest)
    }

    /// Goes on in the child at a position.
    fn descend(&mut self, node: &mut Node, at: usize, path: &[String]) -> Result<usize, PathError> {
        let Some(child) = node.content.get_mut(at) else { return Ok(0) };
        if let Some(place) = &mut self.place {
            place.push(at);
        }
        let count = self.visit(child, path)?;
        if let Some(place) = &mut self.place {
            place.pop();
        }
        Ok(count)
    }

    fn visit_field(&mut self, node: &mut Node, name: &str, rest: &[String]) -> Result<usize, PathError> {
        node::expect_kind(node, Kind::Mapping)?;
        if node::is_null(node) && self.create.is_none() {
            return Ok(0);
        }
        let at = match node.position(name) {
            Some(at) => at + 1,
            None => {
                let Some(kind) = self.create else { return Ok(0) };
                node::become_kind(node, Kind::Mapping);
                node.content.push(Node::string(name));
                node.content.push(Node::new(rest.first().map_or(kind, |next| kind_for_step(next)), ""));
                node.content.len() - 1
            }
        };
        let Some(field) = node.content.get(at) else { return Ok(0) };
        if field.kind == Kind::Scalar && !rest.is_empty() {
            // kustomize looks into the text, and forgets what it does there.
            if field.value.is_empty() {
                let list = rest[0] == "*" || kind_for_step(&rest[0]) == Kind::Sequence;
                return Err(PathError::Nothing(if list { "SequenceNode" } else { "MappingNode" }));
            }
            let mut inner = parse(&field.value)?;
            let place = self.place.take();
            let count = self.visit(&mut inner, rest)?;
            self.place = place;
            return Ok(count);
        }
        self.descend(node, at, rest)
    }

    fn visit_index(&mut self, node: &mut Node, index: usize, rest: &[String]) -> Result<usize, PathError> {
        node::expect_kind(node, Kind::Sequence)?;
        if let Some(kind) = self.create.filter(|_| node.content.len() == index) {
            node::become_kind(node, Kind::Sequence);
            node.content.push(Node::new(rest.first().map_or(kind, |next| kind_for_step(next)), ""));
        }
        if index >= node.content.len() {
            return Err(PathError::Index { index, count: node.content.len() });
        }
        self.descend(node, index, rest)
    }

    /// `[field=expression]` and `[=expression]`: the expression is searched for in the item's YAML.
    fn visit_matches(&mut self, node: &mut Node, step: &str, rest: &[String]) -> Result<usize, PathError> {
        let (field, expression) = split_list_step(step)?;
        let regex = compile(expression)?;
        node::expect_kind(node, Kind::Sequence)?;
        // A path that goes on after a primitive is not followed.
        let rest = if field.is_empty() { &[] } else { rest };
        let mut count = 0;
        for at in 0..node.content.len() {
            let item = &node.content[at];
            let text = match field {
                "" => crate::yaml::encode(item),
                _ => match item.get(field) {
                    Some(value) => crate::yaml::encode(value),
                    None => continue,
                },
            };
            if regex.is_match(text.trim()) {
                count += self.descend(node, at, rest)?;
            }
        }
        if count > 0 || self.create.is_none() {
            return Ok(count);
        }
        node::become_kind(node, Kind::Sequence);
        let value = node::untagged(expression);
        if !regex.is_match(crate::yaml::encode(&value).trim()) {
            return Ok(0);
        }
        node.content.push(if field.is_empty() { value } else { Node::mapping([(field, value)]) });
        self.descend(node, node.content.len() - 1, rest)
    }
}

/// The document in a text.
pub(super) fn parse(text: &str) -> Result<Node, PathError> {
    match fluxide_goyaml::parse_one(text.as_bytes()) {
        Ok(document) => Ok(document.into_root()),
        Err(fluxide_goyaml::Error::Empty) => Ok(node::untagged("")),
        Err(err) => Err(PathError::Structured(err)),
    }
}
