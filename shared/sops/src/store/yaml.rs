//! YAML with its comments and the order of its keys.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fluxide_goyaml::node::tag;
use fluxide_goyaml::number::format_float;
use fluxide_goyaml::resolve::{Rules, Scalar, is_base60, resolve};
use fluxide_goyaml::{EncodeOptions, Kind, Node, Style, decode, encode_all, parse};

use super::StoreError;
use crate::document::{Document, Entry, Value};

/// Aliases are expanded; a document that grows beyond this is an attack.
const MOST_NODES: usize = 1_000_000;

pub fn load(bytes: &[u8]) -> Result<Document, StoreError> {
    let documents = parse(bytes)?;
    if let Some(first) = documents.first() {
        // This is for what makes it fail: duplicate keys, tags that do not fit.
        decode(first)?;
    }
    let mut branches = Vec::new();
    for document in &documents {
        let mut reader = Reader { anchors: HashMap::new(), nodes: 0 };
        let mut entries = Vec::new();
        comment_entries(&mut entries, document.head_comment());
        comment_entries(&mut entries, document.line_comment());
        for root in &document.content {
            reader.root(root, &mut entries)?;
        }
        comment_entries(&mut entries, document.foot_comment());
        branches.push(entries);
    }
    Ok(Document { branches })
}

struct Reader<'a> {
    anchors: HashMap<&'a str, &'a Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn root(&mut self, node: &'a Node, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
        self.count(node)?;
        match node.kind {
            Kind::Mapping => self.mapping(node, false, entries),
            Kind::Alias => {
                let target = self.target(node)?;
                self.root(target, entries)
            }
            Kind::Scalar if node.tag() == tag::NULL => Ok(()),
            Kind::Scalar => {
                Err(StoreError::Unsupported("YAML documents that are values are not supported".to_owned()))
            }
            Kind::Sequence | Kind::Document => {
                Err(StoreError::Unsupported("YAML documents that are sequences are not supported".to_owned()))
            }
        }
    }

    fn mapping(&mut self, node: &'a Node, handled: bool, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
        if !handled {
            comment_entries(entries, node.head_comment());
            comment_entries(entries, node.line_comment());
        }
        for (key, value) in node.pairs() {
            self.count(key)?;
            comment_entries(entries, key.head_comment());
            comment_entries(entries, key.line_comment());
            let flat = matches!(value.kind, Kind::Scalar | Kind::Alias);
            if flat {
                comment_entries(entries, value.head_comment());
                comment_entries(entries, value.line_comment());
            }
            let name = match self.scalar_of(key)? {
                Value::String(name) => name,
                other => {
                    let found = other.type_name();
                    let problem = format!(
                        "Tree contains a non-string key (type {found}). Only string keys are supported"
                    );
                    return Err(StoreError::Unsupported(problem));
                }
            };
            entries.push(Entry::Pair(name, self.value(value, flat)?));
            if flat {
                comment_entries(entries, value.foot_comment());
            }
            comment_entries(entries, key.foot_comment());
        }
        if !handled {
            comment_entries(entries, node.foot_comment());
        }
        Ok(())
    }

    fn value(&mut self, node: &'a Node, handled: bool) -> Result<Value, StoreError> {
        self.count(node)?;
        match node.kind {
            Kind::Scalar => scalar(node),
            Kind::Alias => {
                let target = self.target(node)?;
                self.value(target, false)
            }
            Kind::Mapping => {
                let mut entries = Vec::new();
                self.mapping(node, handled, &mut entries)?;
                Ok(Value::Map(entries))
            }
            Kind::Sequence | Kind::Document => {
                let mut items = Vec::new();
                if !handled {
                    comment_items(&mut items, node.head_comment());
                    comment_items(&mut items, node.line_comment());
                }
                for item in node.items() {
                    comment_items(&mut items, item.head_comment());
                    comment_items(&mut items, item.line_comment());
                    items.push(self.value(item, true)?);
                    comment_items(&mut items, item.foot_comment());
                }
                if !handled {
                    comment_items(&mut items, node.foot_comment());
                }
                Ok(Value::List(items))
            }
        }
    }

    fn scalar_of(&mut self, node: &'a Node) -> Result<Value, StoreError> {
        match node.kind {
            Kind::Scalar => scalar(node),
            Kind::Alias => {
                let target = self.target(node)?;
                self.scalar_of(target)
            }
            _ => Ok(Value::Null),
        }
    }

    /// Counts a node, and remembers it when others may refer to it.
    fn count(&mut self, node: &'a Node) -> Result<(), StoreError> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(fluxide_goyaml::Error::ExcessiveAliasing.into());
        }
        if !node.anchor().is_empty() {
            self.anchors.insert(node.anchor(), node);
        }
        Ok(())
    }

    fn target(&self, alias: &Node) -> Result<&'a Node, StoreError> {
        let name = alias.value.as_str();
        self.anchors
            .get(name)
            .copied()
            .ok_or_else(|| fluxide_goyaml::Error::UnknownAnchor(name.to_owned()).into())
    }
}

fn scalar(node: &Node) -> Result<Value, StoreError> {
    if node.tag() == tag::BINARY {
        let bytes = STANDARD
            .decode(node.value.split_whitespace().collect::<String>())
            .map_err(|_| StoreError::Unsupported("!!binary value contains invalid base64 data".to_owned()))?;
        return Ok(match String::from_utf8(bytes) {
            Ok(text) => Value::String(text),
            Err(error) => Value::Bytes(error.into_bytes()),
        });
    }
    Ok(match resolve(Rules::V3, node.tag(), &node.value)? {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::Int(value),
        Scalar::Uint(_) => {
            return Err(StoreError::Unsupported("Cannot walk value, unknown type: uint64".to_owned()));
        }
        Scalar::Float(value) => Value::Float(value),
        Scalar::Timestamp(time) => Value::Time(time.to_string()),
        Scalar::Merge | Scalar::String | Scalar::Other => Value::String(node.value.to_string()),
    })
}

/// The lines of a comment without their marks.
fn lines(comment: &str) -> impl Iterator<Item = String> {
    comment
        .split('\n')
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned())
}

fn comment_entries(entries: &mut Vec<Entry>, comment: &str) {
    entries.extend(lines(comment).map(Entry::Comment));
}

fn comment_items(items: &mut Vec<Value>, comment: &str) {
    items.extend(lines(comment).map(Value::Comment));
}

pub fn emit(document: &Document) -> String {
    let documents: Vec<Node> = document
        .branches
        .iter()
        .map(|branch| {
            let mut mapping = mapping(branch);
            let head = mapping.head_comment().to_owned();
            let mut document = if mapping.content.is_empty() && !head.is_empty() {
                mapping.set_head_comment("");
                Node::document(mapping)
            } else {
                return Node::document(mapping);
            };
            document.set_head_comment(head);
            document
        })
        .collect();
    encode_all(documents.iter().map(|document| (document, EncodeOptions::GO_YAML)))
}

fn mapping(entries: &[Entry]) -> Node {
    let mut node = Node::empty_mapping();
    let mut comments = Vec::new();
    for entry in entries {
        match entry {
            Entry::Comment(text) => comments.push(text.as_str()),
            Entry::Pair(key, value) => {
                let mut key = key_node(key);
                add_head(&mut key, &mut comments);
                node.content.push(key);
                node.content.push(value_node(value));
            }
        }
    }
    if !comments.is_empty() {
        let last_key = node.content.len().checked_sub(2);
        match last_key {
            Some(at) => add_foot(&mut node.content[at], &mut comments),
            None => add_head(&mut node, &mut comments),
        }
    }
    node
}

fn key_node(key: &str) -> Node {
    if key == "<<" { Node::scalar(tag::MERGE, key) } else { text_node(key) }
}

fn value_node(value: &Value) -> Node {
    match value {
        Value::Null | Value::Comment(_) => Node::null(),
        Value::Bool(value) => Node::bool(*value),
        Value::Int(value) => Node::int(*value),
        Value::Float(value) => Node::scalar("", format_float(*value)),
        Value::String(text) => text_node(text),
        Value::Time(text) => Node::scalar(tag::TIMESTAMP, text.as_str()),
        Value::Bytes(bytes) => Node::scalar(tag::BINARY, STANDARD.encode(bytes)),
        Value::List(items) => sequence(items),
        Value::Map(entries) => mapping(entries),
    }
}

/// Text; quoted when older readers of YAML take it for a boolean or a number.
fn text_node(text: &str) -> Node {
    let mut node = Node::string(text);
    if is_base60(text) || matches!(resolve(Rules::V2, "", text), Ok(Scalar::Bool(_))) {
        node.style = Style::DOUBLE_QUOTED;
    }
    node
}

fn sequence(items: &[Value]) -> Node {
    let mut node = Node::sequence([]);
    let mut comments = Vec::new();
    for item in items {
        if let Value::Comment(text) = item {
            comments.push(text.as_str());
            continue;
        }
        if node.content.is_empty() {
            add_head(&mut node, &mut comments);
        }
        let mut item = value_node(item);
        add_head(&mut item, &mut comments);
        node.content.push(item);
    }
    if !comments.is_empty() {
        match node.content.last_mut() {
            Some(last) => add_foot(last, &mut comments),
            None => add_head(&mut node, &mut comments),
        }
    }
    node
}

fn add_head(node: &mut Node, comments: &mut Vec<&str>) {
    if comments.is_empty() {
        return;
    }
    let mut text = joined(comments);
    if !node.head_comment().is_empty() {
        text = format!("{text}\n{}", node.head_comment());
    }
    node.set_head_comment(text);
}

fn add_foot(node: &mut Node, comments: &mut Vec<&str>) {
    let mut text = joined(comments);
    if !node.foot_comment().is_empty() {
        text = format!("{}\n{text}", node.foot_comment());
    }
    node.set_foot_comment(text);
}

/// Takes the comments, with their marks.
fn joined(comments: &mut Vec<&str>) -> String {
    let text = format!("#{}", comments.join("\n#"));
    comments.clear();
    text
}
