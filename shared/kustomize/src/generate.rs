//! ConfigMaps and Secrets made of literals, files and env files.

mod hash;
mod pairs;

pub(crate) use hash::name_hash;

use crate::error::Error;
use crate::kustomization::{GeneratorArgs, GeneratorOptions};
use crate::loader::Loader;
use crate::node;
use crate::resource::{Behavior, Resource};
use base64::Engine;
use fluxide_goyaml::node::{Node, Style};
use std::collections::BTreeMap;
use thiserror::Error;

/// The width of the lines that long base64 is cut into.
const BASE64_WIDTH: usize = 70;

/// Why a ConfigMap or Secret cannot be generated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GeneratorError {
    /// A generator without name. (kustomize says configmap of secrets too.)
    #[error("a configmap must have a name")]
    NoName,
    /// A key that comes twice.
    #[error("configmap {name} illegally repeats the key `{key}`")]
    RepeatedKey {
        /// The generator.
        name: String,
        /// The key.
        key: String,
    },
    /// A literal without `=`, or without a key.
    #[error("invalid literal source {0}, expected key=value")]
    Literal(String),
    /// `=path`.
    #[error("missing key name for file path {path:?} in source {source_text:?}")]
    NoFileKey {
        /// The path.
        path: String,
        /// The entry.
        source_text: String,
    },
    /// `key=`.
    #[error("missing file path for key name {key:?} in source {source_text:?}")]
    NoFilePath {
        /// The key.
        key: String,
        /// The entry.
        source_text: String,
    },
    /// More than one `=`.
    #[error("source {0:?} key name or file path contains '='")]
    TooManyEquals(String),
    /// A line of an env file that is not UTF-8.
    #[error("line {line} of env file '{path}' has invalid utf8 bytes")]
    EnvEncoding {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
}

/// Which of the two kinds to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generated {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Makes the resource that an entry of `configMapGenerator` or `secretGenerator` describes.
pub(crate) fn generate(
    kind: Generated,
    args: &GeneratorArgs,
    global: Option<&GeneratorOptions>,
    loader: &Loader<'_>,
) -> Result<Resource, Error> {
    if args.name.is_empty() {
        return Err(GeneratorError::NoName.into());
    }
    let options = merged_options(args.options.as_ref(), global);
    let mut metadata = Node::mapping([("name", node::set_string(&args.name))]);
    if !args.namespace.is_empty() {
        metadata.set("namespace", node::set_string(&args.namespace));
    }
    let data = pairs::load(args, loader)?;
    let mut object = Node::mapping([
        ("apiVersion", Node::string("v1")),
        ("kind", Node::string(if kind == Generated::ConfigMap { "ConfigMap" } else { "Secret" })),
    ]);
    for (field, map) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if let Some(map) = map.as_ref().filter(|map| !map.is_empty()) {
            let quoted = |value: &String| {
                let mut node = Node::string(value);
                node.style = Style::SINGLE_QUOTED;
                node
            };
            metadata.set(field, Node::mapping(map.iter().map(|(key, value)| (key.as_str(), quoted(value)))));
        }
    }
    object.set("metadata", metadata);
    match kind {
        Generated::ConfigMap => set_config_data(&mut object, data),
        Generated::Secret => {
            let secret_type = if args.secret_type.is_empty() { "Opaque" } else { &args.secret_type };
            object.set("type", node::set_string(secret_type));
            let pairs = data.into_iter().map(|(key, value)| (key, block_text(encode_base64(&value))));
            object.set("data", Node::mapping(pairs));
        }
    }
    if options.immutable {
        object.set("immutable", Node::bool(true));
    }
    let mut resource = Resource::new(object, None);
    resource.memory.behavior = Some(Behavior::parse(&args.behavior));
    resource.memory.needs_hash = !options.disable_name_suffix_hash;
    Ok(resource)
}

/// Local options with the global ones where nothing local is said; flags that are set globally stay set.
fn merged_options(local: Option<&GeneratorOptions>, global: Option<&GeneratorOptions>) -> GeneratorOptions {
    let mut options = local.cloned().unwrap_or_default();
    let Some(global) = global else { return options };
    for (local, global) in
        [(&mut options.labels, &global.labels), (&mut options.annotations, &global.annotations)]
    {
        for (key, value) in global.iter().flatten() {
            local.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    options.disable_name_suffix_hash |= global.disable_name_suffix_hash;
    options.immutable |= global.immutable;
    options
}

/// Lets a generated resource take the place of one that exists, with its name, place and history.
pub(crate) fn take_over(new: &mut Resource, old: &Resource, merge_data: bool) -> Result<(), Error> {
    let origin = old.origin().map(str::to_owned);
    let mut labels = old.labels();
    labels.extend(new.labels());
    new.set_labels(labels)?;
    let mut annotations = old.annotations();
    annotations.extend(new.annotations());
    if let Some(origin) = origin.filter(|_| merge_data) {
        annotations.insert(crate::resource::ORIGIN.to_owned(), origin);
    }
    new.set_annotations(annotations)?;
    new.set_name(old.name())?;
    new.set_namespace(old.namespace())?;
    let needs_hash = new.memory.needs_hash && old.memory.needs_hash;
    new.memory = old.memory.clone();
    new.memory.needs_hash = needs_hash;
    if merge_data {
        for field in ["data", "binaryData"] {
            let mut merged = texts(&old.node, field);
            merged.extend(texts(&new.node, field));
            new.node.remove(field);
            for (key, value) in merged {
                let map = node::mapping_field(&mut new.node, field)?;
                node::set_field(map, &key, block_text(value))?;
            }
        }
    }
    Ok(())
}

/// The texts of a field of data; null is empty.
fn texts(object: &Node, field: &str) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for (key, value) in object.get(field).into_iter().flat_map(Node::pairs) {
        let text = crate::yaml::text_of(Some(value)).to_owned();
        map.entry(key.value.to_string()).or_insert(text);
    }
    map
}

/// Text goes to `data`, what is not UTF-8 to `binaryData`.
fn set_config_data(object: &mut Node, data: BTreeMap<String, Vec<u8>>) {
    for (key, value) in data {
        let (field, text) = match String::from_utf8(value) {
            Ok(text) => ("data", text),
            Err(err) => ("binaryData", encode_base64(err.as_bytes())),
        };
        if let Some(map) = object.get_or_insert_with(field, Node::empty_mapping) {
            map.set(&key, block_text(text));
        }
    }
}

fn block_text(text: String) -> Node {
    if !text.contains('\n') {
        return node::set_string(text);
    }
    let mut node = Node::string(text);
    node.style = Style::LITERAL;
    node
}

/// Base64 in one line when it is shorter than a line, otherwise in lines that each end in a line feed.
fn encode_base64(bytes: &[u8]) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    if encoded.len() < BASE64_WIDTH {
        return encoded;
    }
    let mut text = String::with_capacity(encoded.len() + encoded.len() / BASE64_WIDTH + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(BASE64_WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_long_base64() {
        assert_eq!(encode_base64(&[0; 51]).len(), 68);
        assert_eq!(encode_base64(&[0; 52]), format!("{}\n==\n", "A".repeat(70)));
        assert_eq!(encode_base64(b""), "");
    }
}
