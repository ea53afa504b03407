//! Kubernetes objects as kustomize reads them from a stream and prints them.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use crate::alias;
use crate::decode::decode;
use crate::emit::{EncodeOptions, encode, encode_resource};
use crate::error::Error;
use crate::json::to_json;
use crate::node::{Kind, Node, Style, tag};
use crate::parse::parse_one;
use crate::resolve::{Rules, Scalar, resolve};
use crate::sigs;
use crate::value::Value;

/// Reads a stream of objects as kustomize does: documents split at lines that begin with `---`, empty ones dropped,
/// a single `List` or `ResourceList` replaced by its items, aliases and merge keys resolved.
///
/// The nodes are roots, not documents. They are not checked to be objects.
pub fn read(bytes: &[u8]) -> Result<Vec<Node>, Error> {
    let chunks = chunks(bytes)?;
    let single = chunks.len() == 1;
    let mut nodes = Vec::new();
    for chunk in chunks {
        let Some(mut document) = document(&chunk)? else { continue };
        alias::resolve(&mut document)?;
        let mut root = document.into_root();
        if single && is_wrapper(&root) {
            nodes.extend(root.remove("items").into_iter().flat_map(|items| items.content));
        } else {
            nodes.push(root);
        }
    }
    Ok(nodes)
}

/// The document of a chunk, unless it is empty.
pub(crate) fn document(chunk: &[u8]) -> Result<Option<Node>, Error> {
    match parse_one(chunk) {
        Ok(document) => Ok((document.root().tag() != tag::NULL).then_some(document)),
        Err(Error::Empty) => Ok(None),
        Err(error) => Err(error.context("MalformedYAMLError")),
    }
}

/// Whether an object only holds others, and stands for them when it is alone in its stream.
pub(crate) fn is_wrapper(root: &Node) -> bool {
    matches!(root.get_text("kind"), Some("List" | "ResourceList"))
        && (root.get("items").is_some() || root.get("functionConfig").is_some())
}

/// Reads a stream of objects and checks them as kustomize does: each needs a kind and, unless it is a list, a name.
///
/// Lists of any kind (`ConfigMapList`) with `items` are replaced by their items, which go to the end.
pub fn read_objects(bytes: &[u8]) -> Result<Vec<Node>, Error> {
    let mut queue: VecDeque<Node> = checked(read(bytes)?)?.into();
    let mut objects = Vec::new();
    while let Some(object) = queue.pop_front() {
        let kind = object.get("kind").map(|kind| kind.value.clone()).unwrap_or_default();
        if !kind.ends_with("List") {
            objects.push(object);
            continue;
        }
        let value = decode(&object).map_err(|error| {
            let text = encode(&object, EncodeOptions::KYAML);
            let problem = format!("received error {error} for the following resource:\n{text}");
            Error::Stream(format!("trouble expanding list of {kind}; {problem}"))
        })?;
        match value.get("items") {
            None => objects.push(object),
            Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                for item in items {
                    queue.extend(checked(read(to_json(item)?.as_bytes())?)?);
                }
            }
            Some(other) => {
                let found = go_type(other);
                return Err(Error::Stream(format!("expected array in {kind}/items, but found {found}")));
            }
        }
    }
    Ok(objects)
}

/// The objects that are not empty, each with what kustomize insists on.
fn checked(nodes: Vec<Node>) -> Result<Vec<Node>, Error> {
    let mut objects = Vec::with_capacity(nodes.len());
    for node in nodes {
        if node.is_null_or_empty() {
            continue;
        }
        check_object(&node)?;
        objects.push(node);
    }
    Ok(objects)
}

/// Checks that an object has what kustomize insists on: a kind and, unless it is a list, a name.
pub fn check_object(object: &Node) -> Result<(), Error> {
    let text = |parent: Option<&Node>, key: &str| -> String {
        let value = parent.and_then(|node| node.get(key)).filter(|value| !value.is_null_or_empty());
        value.map(|value| value.value.to_string()).unwrap_or_default()
    };
    let metadata = object.get("metadata").filter(|metadata| !metadata.is_null_or_empty());
    let kind = text(Some(object), "kind");
    let name = text(metadata, "name");
    let present = |parent: Option<&Node>, key: &str| {
        parent.and_then(|node| node.get(key)).is_some_and(|value| !value.is_null_or_empty())
    };
    let any = present(Some(object), "apiVersion")
        || present(Some(object), "kind")
        || ["name", "namespace", "labels", "annotations"].iter().any(|key| present(metadata, key));
    if !any {
        return Err(Error::Stream("missing Resource metadata".to_owned()));
    }
    let missing = match (kind.as_str(), name.as_str()) {
        ("", _) => "missing kind",
        (kind, "") if !kind.ends_with("List") => "missing metadata.name",
        _ => return Ok(()),
    };
    let api_version = text(Some(object), "apiVersion");
    let namespace = text(metadata, "namespace");
    let labels = go_map(metadata.and_then(|node| node.get("labels")));
    let annotations = go_map(metadata.and_then(|node| node.get("annotations")));
    Err(Error::Stream(format!(
        "{missing} in object {{{{{api_version} {kind}}} {{{{{name} {namespace}}} {labels} {annotations}}}}}"
    )))
}

/// A map of strings as Go's `%v` prints it.
fn go_map(node: Option<&Node>) -> String {
    let entries: BTreeMap<&str, &str> = node
        .into_iter()
        .flat_map(Node::pairs)
        .map(|(key, value)| (key.value.as_str(), if value.is_null() { "" } else { value.value.as_str() }))
        .collect();
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("map[{}]", entries.join(" "))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Splits a stream at every line that begins with `---`, but for the first line. CR LF becomes LF.
///
/// After `---` only a comment may follow on the line.
pub fn chunks(bytes: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, Error> {
    if !bytes.windows(2).any(|pair| pair == b"\r\n") {
        return Ok(split(bytes)?.into_iter().map(Cow::Borrowed).collect());
    }
    let mut text = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        if !(byte == b'\r' && bytes.get(at + 1) == Some(&b'\n')) {
            text.push(byte);
        }
    }
    Ok(split(&text)?.into_iter().map(|chunk| Cow::Owned(chunk.to_vec())).collect())
}

/// The chunks of a text, each with the line feed before the separator.
fn split(text: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut chunks = Vec::new();
    if text.is_empty() {
        return Ok(chunks);
    }
    let mut start = 0;
    while let Some(found) = find_separator(text, start) {
        let Some(length) = text[found + 1..].iter().position(|&b| b == b'\n') else { break };
        let end = found + 1 + length + 1;
        let separator = String::from_utf8_lossy(&text[found..end]);
        let rest = separator[4..].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(Error::Stream(format!("invalid document separator: {}", separator.trim())));
        }
        chunks.push(&text[start..=found]);
        start = end;
    }
    chunks.push(&text[start..]);
    Ok(chunks)
}

/// The next line feed at or after `from` that is followed by `---`.
fn find_separator(text: &[u8], from: usize) -> Option<usize> {
    text[from..].windows(4).position(|window| window == b"\n---").map(|at| from + at)
}

/// The value of a resource as kustomize sees it: the text that kyaml would write, read back.
///
/// In flow collections that turns empty values and times into strings, which is why the tree itself will not do.
pub fn to_value(resource: &Node) -> Result<Value, Error> {
    if resource.is_mapping()
        && reads_back(resource, false)
        && let Ok(value) = decode(resource)
    {
        return Ok(value);
    }
    read_back(resource)
}

/// The value of a resource by way of its text.
fn read_back(resource: &Node) -> Result<Value, Error> {
    let text = encode(resource, EncodeOptions::KYAML);
    decode(&parse_one(text.as_bytes())?)
}

/// Whether a tree surely means the same after it was written and read again, so that this can be saved.
fn reads_back(node: &Node, flow: bool) -> bool {
    let flow = flow || node.style.contains(Style::FLOW);
    is_read_back(node, flow)
        && match node.kind {
            Kind::Document | Kind::Alias => false,
            Kind::Scalar => scalar_is_read_back(node, flow),
            Kind::Sequence => node.content.iter().all(|item| reads_back(item, flow)),
            Kind::Mapping => {
                node.pairs().all(|(key, value)| key_is_read_back(key, flow) && reads_back(value, flow))
            }
        }
}

/// [`reads_back`] for what is about the node itself, scalars and children aside.
pub(crate) fn is_read_back(node: &Node, flow: bool) -> bool {
    let plain = !node.style.intersects(Style::TAGGED.with(Style::FOLDED)) && node.anchor().is_empty();
    let standard_tag = match node.kind {
        Kind::Sequence => node.tag() == tag::SEQ || node.tag().is_empty(),
        Kind::Mapping => node.tag() == tag::MAP || node.tag().is_empty(),
        Kind::Document | Kind::Scalar | Kind::Alias => true,
    };
    plain && standard_tag && !(flow && node.has_comments())
}

pub(crate) fn key_is_read_back(key: &Node, flow: bool) -> bool {
    let string = key.tag() == tag::STR
        || key.tag().is_empty() && resolve(Rules::V3, "", &key.value) == Ok(Scalar::String);
    key.kind == Kind::Scalar
        && string
        && (key.value != "<<" || !key.style.is_plain())
        && key.value.len() <= 128
        && !key.value.contains('\n')
        && is_read_back(key, flow)
        && scalar_is_read_back(key, flow)
}

pub(crate) fn scalar_is_read_back(node: &Node, flow: bool) -> bool {
    let text = node.value.as_str();
    if text.bytes().any(|byte| matches!(byte, b'\r' | 0xC2 | 0xE2 | 0xEF)) {
        // Perhaps a line break or byte order mark.
        return false;
    }
    let quoted = node.style.intersects(Style::SINGLE_QUOTED.with(Style::DOUBLE_QUOTED));
    if text.contains('\n') && !node.style.contains(Style::DOUBLE_QUOTED) {
        let first = text.trim_start_matches('\n').bytes().next();
        if quoted || flow || !matches!(first, Some(first) if first != b'\t' && first != b' ') {
            return false;
        }
        return node.tag().is_empty() || node.tag() == tag::STR;
    }
    if quoted || node.style.contains(Style::LITERAL) {
        return node.tag().is_empty() || node.tag() == tag::STR;
    }
    if node.tag() == tag::STR {
        return true;
    }
    let Ok(resolved) = resolve(Rules::V3, "", text) else { return false };
    let same = node.tag().is_empty() || node.tag() == resolved.tag();
    same && !(flow && (text.is_empty() || matches!(resolved, Scalar::Timestamp(_))))
}

/// A resource as JSON, as kustomize's `MarshalJSON` gives it.
pub fn resource_to_json(resource: &Node) -> Result<String, Error> {
    to_json(&to_value(resource)?)
}

/// A resource as `kustomize build` prints it.
pub fn to_yaml(resource: &Node) -> Result<String, Error> {
    if resource.is_mapping()
        && let Some(text) = encode_resource(resource)
    {
        return Ok(text);
    }
    sigs::to_yaml(&to_value(resource)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed straight from the tree is what the way through JSON prints.
    #[test]
    fn a_short_cut_changes_nothing() {
        let corpus = include_str!("../tests/corpus/goyaml.jsonl");
        let mut short = 0;
        for line in corpus.lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("a case is JSON");
            let Some(text) = case["in"]["text"].as_str() else { continue };
            for resource in read(text.as_bytes()).unwrap_or_default() {
                if resource.is_mapping()
                    && let Some(printed) = encode_resource(&resource)
                {
                    let long = read_back(&resource).and_then(|value| sigs::to_yaml(&value));
                    assert_eq!(long, Ok(printed), "{text}");
                    short += 1;
                }
            }
        }
        assert!(short > 1000, "only {short} cases were compared");
    }

    /// Everything that is said to read back as it is does so.
    #[test]
    fn a_saved_round_trip_changes_nothing() {
        let corpus = include_str!("../tests/corpus/goyaml.jsonl");
        let mut saved = 0;
        for line in corpus.lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("a case is JSON");
            let Some(text) = case["in"]["text"].as_str() else { continue };
            for resource in read(text.as_bytes()).unwrap_or_default() {
                if !resource.is_mapping() || !reads_back(&resource, false) {
                    continue;
                }
                if let Ok(value) = decode(&resource) {
                    // Compared as text, since NaN is not equal to itself.
                    assert_eq!(
                        format!("{:?}", read_back(&resource)),
                        format!("{:?}", Ok::<_, Error>(value)),
                        "{text}"
                    );
                    saved += 1;
                }
            }
        }
        assert!(saved > 1000, "only {saved} cases were compared");
    }
}
