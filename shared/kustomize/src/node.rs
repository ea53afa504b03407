//! Reading and writing fields of YAML nodes the way kustomize's kyaml does: what counts as missing, which style
//! survives a write, and what a path step may be.

use fluxide_goyaml::node::{Kind, Node, Style, Text, tag};
use thiserror::Error;

/// A node is not what the operation needs, or a path step makes no sense.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// Another kind of node was needed.
    #[error("wrong node kind: expected {expected} but got {actual}: node contents:\n{contents}")]
    WrongKind {
        /// What was needed.
        expected: &'static str,
        /// What is there.
        actual: &'static str,
        /// The node as YAML.
        contents: String,
    },
    /// `[x]` without `=`.
    #[error("list path element must contain fieldName=fieldValue for element to match")]
    BadListStep,
    /// `*` where only one field can be meant.
    #[error("wildcard is not supported in PathGetter")]
    Wildcard,
    /// A negative number as path step.
    #[error("array index {0} cannot be negative")]
    NegativeIndex(i64),
}

/// Fails unless the node is of the kind; null is of every kind.
pub(crate) fn expect_kind(node: &Node, kind: Kind) -> Result<(), NodeError> {
    if is_null(node) || node.kind == kind {
        return Ok(());
    }
    Err(NodeError::WrongKind {
        expected: kind_name(kind),
        actual: kind_name(node.kind),
        contents: crate::yaml::encode(node),
    })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Scalar => "ScalarNode",
        Kind::Mapping => "MappingNode",
        Kind::Sequence => "SequenceNode",
        Kind::Alias => "AliasNode",
        Kind::Document => "DocumentNode",
    }
}

/// Whether the node is tagged null, whatever its kind.
pub(crate) fn is_null(node: &Node) -> bool {
    node.tag() == tag::NULL
}

/// Null, or a collection without entries.
pub(crate) fn is_null_or_empty(node: &Node) -> bool {
    is_null(node) || (matches!(node.kind, Kind::Mapping | Kind::Sequence) && node.content.is_empty())
}

/// Null or a mapping without entries.
pub(crate) fn is_empty_map(node: &Node) -> bool {
    is_null(node) || (node.kind == Kind::Mapping && node.content.is_empty())
}

/// Whether the node is a scalar that is, or by its missing tag may be, a string.
pub(crate) fn is_string(node: &Node) -> bool {
    node.kind == Kind::Scalar && (node.tag() == tag::STR || node.tag().is_empty())
}

/// A scalar whose type its text decides.
pub(crate) fn untagged(value: impl Into<Text>) -> Node {
    Node::scalar("", value)
}

/// A string that a field is set to, in quotes if it would be something else without them: a value that is put in its
/// place keeps the quotes.
pub(crate) fn set_string(value: impl Into<Text>) -> Node {
    let mut node = Node::string(value);
    quote_if_string(&mut node);
    node
}

/// Replaces a scalar by another; the style of the old one stays.
pub(crate) fn set_scalar(node: &mut Node, mut value: Node) -> Result<(), NodeError> {
    expect_kind(node, Kind::Scalar)?;
    if !is_null(&value) {
        value.style = node.style;
        crate::twins::inherit(node, &mut value);
        *node = value;
    }
    Ok(())
}

/// Sets a field of a mapping; the style of an old value stays, and null removes the field.
pub(crate) fn set_field(map: &mut Node, name: &str, mut value: Node) -> Result<(), NodeError> {
    expect_kind(map, Kind::Mapping)?;
    become_kind(map, Kind::Mapping);
    if is_null(&value) {
        map.remove(name);
        return Ok(());
    }
    match map.get_mut(name) {
        Some(field) => {
            value.style = field.style;
            crate::twins::inherit(field, &mut value);
            *field = value;
        }
        None => {
            quote_if_string(&mut value);
            map.content.push(Node::string(name));
            map.content.push(value);
        }
    }
    Ok(())
}

/// Puts a plain string into quotes, if it would be something else than a string without them.
pub(crate) fn quote_if_string(node: &mut Node) {
    if is_string(node) && node.style.is_plain() && crate::yaml::is_not_string_in_yaml_1_1(&node.value) {
        node.style = Style::DOUBLE_QUOTED;
    }
}

/// Turns null into an empty collection (or scalar) of a kind, so that it can be written to.
pub(crate) fn become_kind(node: &mut Node, kind: Kind) {
    if is_null(node) && node.kind != kind {
        node.kind = kind;
        node.set_tag("");
        node.value.clear();
    }
}

/// The mapping under `name`, created when it is missing.
pub(crate) fn mapping_field<'a>(map: &'a mut Node, name: &str) -> Result<&'a mut Node, NodeError> {
    expect_kind(map, Kind::Mapping)?;
    become_kind(map, Kind::Mapping);
    let at = match map.position(name) {
        Some(at) => at,
        None => {
            map.content.push(Node::string(name));
            map.content.push(Node::new(Kind::Mapping, ""));
            map.content.len() - 2
        }
    };
    let field = &mut map.content[at + 1];
    expect_kind(field, Kind::Mapping)?;
    become_kind(field, Kind::Mapping);
    Ok(field)
}

/// A mapping of texts, as `metadata.labels` and `data` are read: every value's text, whatever its type.
pub(crate) fn text_map(node: Option<&Node>) -> std::collections::BTreeMap<String, String> {
    let mut map = std::collections::BTreeMap::new();
    for (key, value) in node.into_iter().flat_map(Node::pairs) {
        map.entry(key.value.to_string()).or_insert_with(|| value.value.to_string());
    }
    map
}

/// A step of a field path, as text: a name, an index, `-`, or `[field=value]`.
pub(crate) enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Last,
    Match { field: &'a str, value: &'a str },
}

impl<'a> Step<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Step<'a>, NodeError> {
        if let Ok(index) = text.parse::<i64>() {
            return usize::try_from(index).map(Step::Index).map_err(|_| NodeError::NegativeIndex(index));
        }
        match text {
            "-" => Ok(Step::Last),
            "*" => Err(NodeError::Wildcard),
            _ if is_list_step(text) => {
                let (field, value) = split_list_step(text)?;
                Ok(Step::Match { field, value })
            }
            _ => Ok(Step::Field(text)),
        }
    }
}

pub(crate) fn is_list_step(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}

/// `[field=value]` in its two parts; `field` is empty for `[=value]`.
pub(crate) fn split_list_step(text: &str) -> Result<(&str, &str), NodeError> {
    let inner = text.strip_suffix(']').unwrap_or(text);
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    inner.split_once('=').ok_or(NodeError::BadListStep)
}

/// What is at the end of a path, following exact matches only.
pub(crate) fn lookup<'a, S: AsRef<str>>(node: &'a Node, path: &[S]) -> Result<Option<&'a Node>, NodeError> {
    let mut current = node;
    for step in path {
        let text = step.as_ref().trim();
        if text.is_empty() {
            continue;
        }
        let next = match Step::parse(text)? {
            Step::Field(name) => {
                if is_null(current) {
                    return Ok(None);
                }
                expect_kind(current, Kind::Mapping)?;
                current.get(name)
            }
            Step::Index(index) => {
                expect_kind(current, Kind::Sequence)?;
                current.content.get(index)
            }
            Step::Last => {
                expect_kind(current, Kind::Sequence)?;
                current.content.last()
            }
            Step::Match { field, value } => {
                expect_kind(current, Kind::Sequence)?;
                current.content.iter().find(|item| {
                    if field.is_empty() { item.value == value } else { has_field_text(item, field, value) }
                })
            }
        };
        match next {
            Some(next) => current = next,
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}

/// The same as [`lookup`], to change what is there.
pub(crate) fn lookup_mut<'a, S: AsRef<str>>(
    node: &'a mut Node,
    path: &[S],
) -> Result<Option<&'a mut Node>, NodeError> {
    let mut current = node;
    for step in path {
        let text = step.as_ref().trim();
        if text.is_empty() {
            continue;
        }
        if lookup(current, &[text])?.is_none() {
            return Ok(None);
        }
        let next = match Step::parse(text)? {
            Step::Field(name) => current.get_mut(name),
            Step::Index(index) => current.content.get_mut(index),
            Step::Last => current.content.last_mut(),
            Step::Match { field, value } => current.content.iter_mut().find(|item| {
                if field.is_empty() { item.value == value } else { has_field_text(item, field, value) }
            }),
        };
        match next {
            Some(next) => current = next,
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}

/// What is at the end of a path, with everything missing on the way created. The node at the end is of `kind` then.
pub(crate) fn lookup_create<'a, S: AsRef<str>>(
    node: &'a mut Node,
    path: &[S],
    kind: Kind,
) -> Result<Option<&'a mut Node>, NodeError> {
    let steps: Vec<&str> =
        path.iter().map(|step| step.as_ref().trim()).filter(|step| !step.is_empty()).collect();
    let mut current = node;
    for (at, text) in steps.iter().enumerate() {
        let kind = steps.get(at + 1).map_or(kind, |next| kind_for_step(next));
        if lookup(current, &[text])?.is_none() {
            match Step::parse(text)? {
                Step::Field(name) => {
                    become_kind(current, Kind::Mapping);
                    current.content.push(Node::string(name));
                    current.content.push(Node::new(kind, ""));
                }
                Step::Match { field, value } => {
                    become_kind(current, Kind::Sequence);
                    current.content.push(if field.is_empty() {
                        untagged(value)
                    } else {
                        Node::mapping([(field, untagged(value))])
                    });
                }
                Step::Index(_) | Step::Last => return Ok(None),
            }
        }
        match lookup_mut(current, &[text])? {
            Some(next) => current = next,
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}

/// The kind a node has to be of for a path step to make sense in it.
pub(crate) fn kind_for_step(step: &str) -> Kind {
    if is_list_step(step) || step.parse::<u32>().is_ok() { Kind::Sequence } else { Kind::Mapping }
}

fn has_field_text(item: &Node, field: &str, value: &str) -> bool {
    item.kind == Kind::Mapping && item.get(field).is_some_and(|node| node.value == value)
}

/// Splits at a delimiter that a backslash can escape; a leading delimiter is ignored.
pub(crate) fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts: Vec<&str> = path.split(delimiter).collect();
    if parts.len() > 1 && parts[0].is_empty() {
        parts.remove(0);
    }
    let mut result: Vec<String> = Vec::with_capacity(parts.len());
    for part in parts {
        match result.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => result.push(part.to_owned()),
        }
    }
    result
}

/// [`split_path`] at dots that keeps `[a.b=c]` together, and unwraps `[a.b]` to the name `a.b`.
pub(crate) fn split_field_path(path: &str) -> Vec<String> {
    let mut result = Vec::new();
    let mut parts = split_path(path, '.').into_iter();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            result.push(part);
            continue;
        }
        let mut joined = part;
        for next in parts.by_ref() {
            joined.push('.');
            joined.push_str(&next);
            if next.ends_with(']') {
                break;
            }
        }
        if joined.contains('=') {
            result.push(joined);
        } else {
            result.push(joined.trim_matches(['[', ']']).to_owned());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_paths() {
        assert_eq!(split_path("/a/b", '/'), ["a", "b"]);
        assert_eq!(split_path(r"metadata/annotations/a.io\/b", '/'), ["metadata", "annotations", "a.io/b"]);
        assert_eq!(
            split_field_path("spec.[name=a.b].data.[x.y/z].w"),
            ["spec", "[name=a.b]", "data", "x.y/z", "w"]
        );
        assert_eq!(split_field_path(r"a.b\.c.[d]"), ["a", "b.c", "[d]"]);
    }
}
