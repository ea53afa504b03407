//! Kubernetes objects as kustomize reads them from a stream and prints them.

use crate::alias;
use crate::decode::decode;
use crate::emit::{EncodeOptions, encode};
use crate::error::Error;
use crate::json::to_json;
use crate::node::{Node, tag};
use crate::parse::parse_one;
use crate::sigs::json_to_yaml;
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
        let mut document = match parse_one(&chunk) {
            Ok(document) => document,
            Err(Error::Empty) => continue,
            Err(error) => return Err(error.context("MalformedYAMLError")),
        };
        if document.root().tag == tag::NULL {
            continue;
        }
        alias::resolve(&mut document)?;
        let mut root = document.into_root();
        let list = matches!(root.get_text("kind"), Some("List" | "ResourceList"));
        if single && list && (root.get("items").is_some() || root.get("functionConfig").is_some()) {
            nodes.extend(root.remove("items").into_iter().flat_map(|items| items.content));
        } else {
            nodes.push(root);
        }
    }
    Ok(nodes)
}

/// Splits a stream at every line that begins with `---`, but for the first line. CR LF becomes LF.
///
/// After `---` only a comment may follow on the line.
pub fn chunks(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let mut text = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        if !(byte == b'\r' && bytes.get(at + 1) == Some(&b'\n')) {
            text.push(byte);
        }
    }
    let mut chunks = Vec::new();
    if text.is_empty() {
        return Ok(chunks);
    }
    let mut start = 0;
    let mut at = 0;
    while let Some(found) = find_separator(&text, at) {
        let Some(length) = text[found + 1..].iter().position(|&b| b == b'\n') else { break };
        let end = found + 1 + length + 1;
        let separator = String::from_utf8_lossy(&text[found..end]);
        let rest = separator[4..].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(Error::Stream(format!("invalid document separator: {}", separator.trim())));
        }
        let mut chunk = text[start..found].to_vec();
        chunk.push(b'\n');
        chunks.push(chunk);
        start = end;
        at = end;
    }
    chunks.push(text[start..].to_vec());
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
    let text = encode(resource, EncodeOptions::KYAML);
    decode(&parse_one(text.as_bytes())?)
}

/// A resource as JSON, as kustomize's `MarshalJSON` gives it.
pub fn resource_to_json(resource: &Node) -> Result<String, Error> {
    to_json(&to_value(resource)?)
}

/// A resource as `kustomize build` prints it.
pub fn to_yaml(resource: &Node) -> Result<String, Error> {
    json_to_yaml(resource_to_json(resource)?.as_bytes())
}
