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

type Found<'f> = &'f mut dyn FnMut(&mut Node) -> Result<(), PathError>;

/// Calls `found` on every field at the end of the path and counts them. `create` is the kind of node to make where
/// the path ends in nothing.
pub(super) fn visit(
    node: &mut Node,
    path: &[String],
    create: Option<Kind>,
    found: Found<'_>,
) -> Result<usize, PathError> {
    let Some((step, rest)) = path.split_first() else {
        found(node)?;
        return Ok(1);
    };
    if let Ok(index) = step.parse::<u32>() {
        return visit_index(node, index as usize, rest, create, found);
    }
    if is_list_step(step) {
        return visit_matches(node, step, rest, create, found);
    }
    if step == "*" {
        node::expect_kind(node, Kind::Sequence)?;
        let mut count = 0;
        for item in &mut node.content {
            count += visit(item, rest, create, found)?;
        }
        return Ok(count);
    }
    visit_field(node, step, rest, create, found)
}

fn visit_field(
    node: &mut Node,
    name: &str,
    rest: &[String],
    create: Option<Kind>,
    found: Found<'_>,
) -> Result<usize, PathError> {
    node::expect_kind(node, Kind::Mapping)?;
    if node::is_null(node) && create.is_none() {
        return Ok(0);
    }
    if node.get(name).is_none() {
        let Some(kind) = create else { return Ok(0) };
        node::become_kind(node, Kind::Mapping);
        node.content.push(Node::string(name));
        node.content.push(Node::new(rest.first().map_or(kind, |next| kind_for_step(next)), ""));
    }
    let Some(field) = node.get_mut(name) else { return Ok(0) };
    if field.kind == Kind::Scalar && !rest.is_empty() {
        // kustomize looks into the text, and forgets what it does there.
        if field.value.is_empty() {
            let list = rest[0] == "*" || kind_for_step(&rest[0]) == Kind::Sequence;
            return Err(PathError::Nothing(if list { "SequenceNode" } else { "MappingNode" }));
        }
        let mut inner = parse(&field.value)?;
        return visit(&mut inner, rest, create, found);
    }
    visit(field, rest, create, found)
}

fn visit_index(
    node: &mut Node,
    index: usize,
    rest: &[String],
    create: Option<Kind>,
    found: Found<'_>,
) -> Result<usize, PathError> {
    node::expect_kind(node, Kind::Sequence)?;
    if let Some(kind) = create.filter(|_| node.content.len() == index) {
        node::become_kind(node, Kind::Sequence);
        node.content.push(Node::new(rest.first().map_or(kind, |next| kind_for_step(next)), ""));
    }
    let count = node.content.len();
    match node.content.get_mut(index) {
        Some(item) => visit(item, rest, create, found),
        None => Err(PathError::Index { index, count }),
    }
}

/// `[field=expression]` and `[=expression]`: the expression is searched for in the item's YAML.
fn visit_matches(
    node: &mut Node,
    step: &str,
    rest: &[String],
    create: Option<Kind>,
    found: Found<'_>,
) -> Result<usize, PathError> {
    let (field, expression) = split_list_step(step)?;
    let regex = compile(expression)?;
    node::expect_kind(node, Kind::Sequence)?;
    let mut count = 0;
    for item in &mut node.content {
        let text = if field.is_empty() {
            crate::yaml::encode(item)
        } else {
            match item.get(field) {
                Some(value) => crate::yaml::encode(value),
                None => continue,
            }
        };
        if regex.is_match(text.trim()) {
            // A path that goes on after a primitive is not followed.
            count += if field.is_empty() {
                found(item)?;
                1
            } else {
                visit(item, rest, create, found)?
            };
        }
    }
    if count > 0 || create.is_none() {
        return Ok(count);
    }
    node::become_kind(node, Kind::Sequence);
    let value = node::untagged(expression);
    if !regex.is_match(crate::yaml::encode(&value).trim()) {
        return Ok(0);
    }
    node.content.push(if field.is_empty() { value } else { Node::mapping([(field, value)]) });
    match node.content.last_mut() {
        Some(item) if field.is_empty() => {
            found(item)?;
            Ok(1)
        }
        Some(item) => visit(item, rest, create, found),
        None => Ok(0),
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
