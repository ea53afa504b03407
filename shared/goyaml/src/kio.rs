//! Streams of documents read and written with their comments, as kustomize's `kio` package does it.
//!
//! Helm passes manifests through this around its post-renderers, and Flux's image automation rewrote files with it.
//! kio keeps what it needs to know about a document in annotations; they are set by the reader and removed by the
//! writer.

use crate::emit::{EncodeOptions, encode_all};
use crate::error::Error;
use crate::node::{Kind, Node, Style, tag};
use crate::resource::{chunks, document, is_wrapper};

const INDEX: &str = "internal.config.kubernetes.io/index";
const LEGACY_INDEX: &str = "config.kubernetes.io/index";
const SEQUENCE_INDENT: &str = "internal.config.kubernetes.io/seqindent";
/// Annotations that exist under an old and a new name; the reader gives a document both.
const RENAMED: [(&str, &str); 3] = [
    ("config.kubernetes.io/path", "internal.config.kubernetes.io/path"),
    (LEGACY_INDEX, INDEX),
    ("config.k8s.io/id", "internal.config.kubernetes.io/id"),
];

/// Reads all documents (`kio.ParseAll`). Empty ones are left out; a single `List` is replaced by its items.
///
/// Every document must be a mapping. Aliases stay aliases.
pub fn parse_all(bytes: &[u8]) -> Result<Vec<Node>, Error> {
    read(bytes, false)
}

/// [`parse_all`], noting for each document whether its sequences are indented below their keys, so that
/// [`string_all`] writes them the same way.
pub fn parse_all_preserving_indent(bytes: &[u8]) -> Result<Vec<Node>, Error> {
    read(bytes, true)
}

/// Writes documents as one stream (`kio.StringAll`), without the annotations of the reader.
pub fn string_all(documents: &[Node]) -> Result<String, Error> {
    let mut cleaned = Vec::with_capacity(documents.len());
    for document in documents {
        let mut document = document.clone();
        let root = document.root_mut();
        let wide = annotation(root, SEQUENCE_INDENT) == "wide";
        for name in [INDEX, LEGACY_INDEX, SEQUENCE_INDENT] {
            clear_annotation(root, name)?;
        }
        clear_empty_annotations(root)?;
        cleaned.push((document, if wide { EncodeOptions::WIDE } else { EncodeOptions::KYAML }));
    }
    Ok(encode_all(cleaned.iter().map(|(document, options)| (document, *options))))
}

fn read(bytes: &[u8], preserve_indent: bool) -> Result<Vec<Node>, Error> {
    let chunks = chunks(bytes)?;
    let single = chunks.len() == 1;
    let mut documents = Vec::with_capacity(chunks.len());
    let mut index = 0;
    for chunk in chunks {
        let Some(mut document) = document(&chunk)? else { continue };
        let root = document.root_mut();
        copy_renamed_annotations(root)?;
        let mut annotations = vec![(LEGACY_INDEX, index.to_string()), (INDEX, index.to_string())];
        if preserve_indent {
            annotations.push((SEQUENCE_INDENT, sequence_indent(&chunk).to_owned()));
        }
        for (name, value) in annotations {
            set_annotation(root, name, &value)?;
        }
        if single && is_wrapper(root) {
            documents.extend(root.remove("items").into_iter().flat_map(|items| items.content));
            continue;
        }
        documents.push(document);
        index += 1;
    }
    Ok(documents)
}

fn copy_renamed_annotations(root: &mut Node) -> Result<(), Error> {
    for (old, new) in RENAMED {
        let (old_value, new_value) = (annotation(root, old).to_owned(), annotation(root, new).to_owned());
        match (old_value.is_empty(), new_value.is_empty()) {
            (true, false) => set_annotation(root, old, &new_value)?,
            (false, true) => set_annotation(root, new, &old_value)?,
            _ => {}
        }
    }
    Ok(())
}

/// The text of an annotation; empty when there is none.
pub fn annotation<'n>(root: &'n Node, name: &str) -> &'n str {
    let value = root.get("metadata").and_then(|metadata| metadata.get("annotations")?.get(name));
    value.filter(|value| !value.is_null()).map_or("", |value| &value.value)
}

/// Gives a document an annotation. A new one is written in single quotes.
pub fn set_annotation(root: &mut Node, name: &str, value: &str) -> Result<(), Error> {
    clear_empty_annotations(root)?;
    let metadata = mapping_at(root, "metadata")?;
    let annotations = mapping_at(metadata, "annotations")?;
    match annotations.get_mut(name) {
        Some(known) => {
            let style = known.style;
            *known = Node::string(value);
            known.style = style;
        }
        None => {
            let mut node = Node::string(value);
            node.style = Style::SINGLE_QUOTED;
            annotations.content.push(Node::scalar("", name));
            annotations.content.push(node);
        }
    }
    Ok(())
}

/// The mapping under `key`, made when it is absent.
fn mapping_at<'n>(parent: &'n mut Node, key: &str) -> Result<&'n mut Node, Error> {
    if parent.position(key).is_none() {
        parent.content.push(Node::scalar("", key));
        parent.content.push(Node::new(Kind::Mapping, ""));
    }
    let child = parent.get_mut(key).ok_or_else(|| Error::Stream(format!("no field {key}")))?;
    expect_mapping(child)?;
    Ok(child)
}

/// Takes an annotation from a document.
pub fn clear_annotation(root: &mut Node, name: &str) -> Result<(), Error> {
    let mut node = root;
    for key in ["metadata", "annotations"] {
        expect_mapping(node)?;
        match node.get_mut(key) {
            Some(child) => node = child,
            None => return Ok(()),
        }
    }
    expect_mapping(node)?;
    node.remove(name);
    Ok(())
}

/// Removes annotations and metadata without entries.
fn clear_empty_annotations(root: &mut Node) -> Result<(), Error> {
    expect_mapping(root)?;
    if let Some(metadata) = root.get_mut("metadata") {
        expect_mapping(metadata)?;
        clear_if_empty(metadata, "annotations");
    }
    clear_if_empty(root, "metadata");
    Ok(())
}

fn clear_if_empty(parent: &mut Node, key: &str) {
    if parent.get(key).is_some_and(|value| value.content.is_empty()) {
        parent.remove(key);
    }
}

fn expect_mapping(node: &Node) -> Result<(), Error> {
    if node.kind == Kind::Mapping || node.tag() == tag::NULL {
        return Ok(());
    }
    let found = match node.kind {
        Kind::Document => "DocumentNode",
        Kind::Mapping => "MappingNode",
        Kind::Sequence => "SequenceNode",
        Kind::Scalar => "ScalarNode",
        Kind::Alias => "AliasNode",
    };
    Err(Error::Stream(format!("wrong node kind: expected MappingNode but got {found}")))
}

/// Whether the first sequence of a text stands right below its key ("compact") or is indented ("wide").
fn sequence_indent(text: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.split('\n').collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((before, _)) = line.split_once("- ") else { continue };
        if !before.trim_matches(' ').is_empty() {
            continue;
        }
        let above = lines[..at].iter().rev().find(|line| !line.trim_matches(' ').starts_with('#'));
        let key = above.map_or("", |line| line.split('#').next().unwrap_or(""));
        let trimmed = key.trim_matches(' ');
        if trimmed.matches(':').count() != 1 || !trimmed.ends_with(':') {
            continue;
        }
        let key_indent = key.len() - key.trim_start_matches(' ').len();
        if before.len() == key_indent {
            return "compact";
        }
        if before.len() == key_indent + 2 {
            return "wide";
        }
    }
    "compact"
}
