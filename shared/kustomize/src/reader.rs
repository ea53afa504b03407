//! Files to resources: unfolding lists, refusing what is no object.

use crate::node::{self, is_null_or_empty};
use fluxide_goyaml::node::{Kind, Node, Style, tag};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use thiserror::Error;

/// Why a file does not hold resources.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The file is not UTF-8, or a document of it is not YAML.
    #[error("MalformedYAMLError: {0}")]
    Malformed(String),
    /// The stream cannot be split into documents, for text after `---`.
    #[error("{0}")]
    Stream(String),
    /// An anchor or merge key that cannot be resolved.
    #[error("{0}")]
    Anchor(String),
    /// A document that is not an object of Kubernetes.
    #[error("missing Resource metadata")]
    NoMetadata,
    /// An object without kind.
    #[error("missing kind in object {0}")]
    NoKind(String),
    /// An object without name.
    #[error("missing metadata.name in object {0}")]
    NoName(String),
    /// A list whose `items` are no list.
    #[error("expected array in {kind}/items, but found {found}")]
    Items {
        /// The list's kind.
        kind: String,
        /// Go's name of the type found.
        found: &'static str,
    },
    /// A list that cannot be converted.
    #[error("trouble expanding list of {kind}; {problem}")]
    List {
        /// The list's kind.
        kind: String,
        /// Why.
        problem: String,
    },
}

impl ReadError {
    /// Whether the file is not YAML at all.
    pub fn is_malformed(&self) -> bool {
        matches!(self, ReadError::Malformed(_))
    }
}

/// Reads all objects of a file. Lists are replaced by their items.
pub(crate) fn read_objects(content: &[u8]) -> Result<Vec<Node>, ReadError> {
    let objects = good_objects(read_documents(content)?)?;
    unfold_lists(objects)
}

fn read_documents(content: &[u8]) -> Result<Vec<Node>, ReadError> {
    use fluxide_goyaml::Error;
    fluxide_goyaml::resource::read(content).map_err(|err| match err {
        Error::Context { source, .. } => ReadError::Malformed(source.to_string()),
        Error::Stream(text) => ReadError::Stream(text),
        other => ReadError::Anchor(other.to_string()),
    })
}

fn good_objects(documents: Vec<Node>) -> Result<Vec<Node>, ReadError> {
    let mut objects = Vec::with_capacity(documents.len());
    for document in documents {
        if !is_null_or_empty(&document) {
            check(&document)?;
            objects.push(document);
        }
    }
    Ok(objects)
}

/// Every object needs a kind, and a name unless it is a list.
fn check(object: &Node) -> Result<(), ReadError> {
    let text = |node: Option<&Node>| {
        node.filter(|node| !is_null_or_empty(node)).map(|node| node.value.clone()).unwrap_or_default()
    };
    let present = |node: Option<&Node>| node.is_some_and(|node| !is_null_or_empty(node));
    let metadata = object.get("metadata").filter(|node| !is_null_or_empty(node));
    let of_metadata = |field: &str| metadata.and_then(|metadata| metadata.get(field));
    let known = present(object.get("apiVersion"))
        || present(object.get("kind"))
        || ["name", "namespace", "labels", "annotations"].iter().any(|field| present(of_metadata(field)));
    if !known {
        return Err(ReadError::NoMetadata);
    }
    let kind = text(object.get("kind"));
    let name = text(of_metadata("name"));
    if !kind.is_empty() && (kind.ends_with("List") || !name.is_empty()) {
        return Ok(());
    }
    let described = format!(
        "{{{{{} {kind}}} {{{{{name} {}}} {} {}}}}}",
        text(object.get("apiVersion")),
        text(of_metadata("namespace")),
        go_map(&node::text_map(of_metadata("labels"))),
        go_map(&node::text_map(of_metadata("annotations"))),
    );
    Err(if kind.is_empty() { ReadError::NoKind(described) } else { ReadError::NoName(described) })
}

fn go_map(map: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("map[{}]", entries.join(" "))
}

/// Puts the items of every list at the end of the queue.
fn unfold_lists(objects: Vec<Node>) -> Result<Vec<Node>, ReadError> {
    if !objects.iter().any(|object| is_list(object)) {
        return Ok(objects);
    }
    let mut queue = VecDeque::from(objects);
    let mut result = Vec::with_capacity(queue.len());
    while let Some(object) = queue.pop_front() {
        if !is_list(&object) {
            result.push(object);
            continue;
        }
        let kind = object.get("kind").map(|kind| kind.value.clone()).unwrap_or_default();
        let value = crate::yaml::node_to_json(&object)
            .map_err(|err| ReadError::List { kind: kind.clone(), problem: err.to_string() })?;
        let found = match value {
            Value::Object(mut map) => map.remove("items"),
            _ => None,
        };
        match found {
            None => result.push(object),
            Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                queue.extend(good_objects(items.into_iter().map(json_text_node).collect())?);
            }
            Some(other) => return Err(ReadError::Items { kind, found: go_type(&other) }),
        }
    }
    Ok(result)
}

fn is_list(object: &Node) -> bool {
    object.get("kind").is_some_and(|kind| kind.value.ends_with("List"))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The node that reading a JSON text gives: flow collections, quoted strings.
fn json_text_node(value: Value) -> Node {
    let quoted = |text: String| {
        let mut node = Node::string(text);
        node.style = Style::DOUBLE_QUOTED;
        node
    };
    match value {
        Value::Null => Node::null(),
        Value::Bool(value) => Node::bool(value),
        Value::Number(number) => {
            let kind = if number.is_f64() { tag::FLOAT } else { tag::INT };
            Node::scalar(kind, crate::yaml::number_text(&number))
        }
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let mut node = Node::sequence(items.into_iter().map(json_text_node));
            node.style = Style::FLOW;
            node
        }
        Value::Object(map) => {
            let mut node = Node::new(Kind::Mapping, tag::MAP);
            node.style = Style::FLOW;
            for (key, value) in map {
                node.content.push(quoted(key));
                node.content.push(json_text_node(value));
            }
            node
        }
    }
}
