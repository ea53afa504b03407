//! Formats: text to trees and back.

mod dotenv;
mod ini;
mod json;
mod yaml;

use crate::document::{Document, Entry, Value};
use crate::flat;
use crate::format::Format;
use crate::metadata::MetadataError;

/// The key under which the metadata lies.
const SOPS: &str = "sops";

/// Why a text is not in its format, or a document cannot be written in one.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is no YAML.
    #[error(transparent)]
    Yaml(#[from] fluxide_goyaml::Error),
    /// It is YAML, and no document that SOPS can hold.
    #[error("{0}")]
    Unsupported(String),
    /// It is no JSON.
    #[error("Could not unmarshal input data: {0}")]
    Json(String),
    /// A line of a dotenv or INI file is neither comment nor `key=value`.
    #[error("{format} line {line} has no '=': every line must be a comment or key=value")]
    Line {
        /// Which format.
        format: &'static str,
        /// Counted from 1.
        line: usize,
    },
    /// It is no text.
    #[error("the file is not UTF-8")]
    NotText,
    /// Lists and mappings cannot be written in the format.
    #[error("cannot use complex value in {format} file; offending key {key}")]
    Complex {
        /// Which format.
        format: &'static str,
        /// Whose value it is.
        key: String,
    },
    /// A document without `data` is no binary file.
    #[error("error emitting binary store: no binary data found in tree")]
    NoBinaryData,
}

/// Reads an encrypted file: the document without its metadata, and the metadata.
pub fn load(bytes: &[u8], format: Format) -> Result<(Document, Value), crate::Error> {
    match format {
        Format::Yaml => {
            let mut document = yaml::load(bytes)?;
            let metadata = take_metadata(&mut document)?;
            Ok((document, metadata))
        }
        Format::Json | Format::Binary => {
            let mut document = Document { branches: vec![json::load(bytes)?] };
            let metadata = take_metadata(&mut document)?;
            Ok((document, metadata))
        }
        Format::Dotenv => {
            let text = std::str::from_utf8(bytes).map_err(|_| StoreError::NotText)?;
            let mut flattened = Vec::new();
            let mut entries = Vec::new();
            for entry in dotenv::load(text)? {
                match entry {
                    Entry::Pair(key, Value::String(value)) if key.starts_with("sops_") => {
                        flattened.push((key["sops_".len()..].to_owned(), value));
                    }
                    other => entries.push(other),
                }
            }
            Ok((Document { branches: vec![entries] }, unflattened(&flattened)?))
        }
        Format::Ini => {
            let text = std::str::from_utf8(bytes).map_err(|_| StoreError::NotText)?;
            let mut document = Document { branches: vec![ini::load(text)?] };
            let Value::Map(section) = take_metadata(&mut document)? else {
                return Err(MetadataError::NotMapping.into());
            };
            let flattened: Vec<_> = section
                .into_iter()
                .filter_map(|entry| match entry {
                    Entry::Pair(key, Value::String(value)) => Some((key, value.replace("\\n", "\n"))),
                    _ => None,
                })
                .collect();
            Ok((document, unflattened(&flattened)?))
        }
    }
}

impl Document {
    /// Writes the document exactly as SOPS does.
    pub fn emit(&self, format: Format) -> Result<Vec<u8>, StoreError> {
        let first = self.branches.first().map(Vec::as_slice).unwrap_or_default();
        match format {
            Format::Yaml => Ok(yaml::emit(self).into_bytes()),
            Format::Json => Ok(json::emit(first).into_bytes()),
            Format::Dotenv => Ok(dotenv::emit(first)?.into_bytes()),
            Format::Ini => Ok(ini::emit(first)?.into_bytes()),
            Format::Binary => match self.get("data") {
                Some(Value::String(text)) => Ok(text.clone().into_bytes()),
                Some(Value::Bytes(bytes)) => Ok(bytes.clone()),
                _ => Err(StoreError::NoBinaryData),
            },
        }
    }
}

/// Takes the metadata of the first document, and drops it from the others.
fn take_metadata(document: &mut Document) -> Result<Value, MetadataError> {
    let mut found = None;
    for (index, branch) in document.branches.iter_mut().enumerate() {
        let position = branch.iter().position(|entry| matches!(entry, Entry::Pair(key, _) if key == SOPS));
        let Some(position) = position else { continue };
        if let Entry::Pair(_, value) = branch.remove(position)
            && index == 0
        {
            found = Some(value);
        }
    }
    found.ok_or(MetadataError::NotFound)
}

fn unflattened(pairs: &[(String, String)]) -> Result<Value, MetadataError> {
    if pairs.is_empty() {
        return Err(MetadataError::NotFound);
    }
    flat::unflatten(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).map(Value::Map)
}

/// A leaf as the text of formats that know nothing else.
fn plain_text(format: &'static str, key: &str, value: &Value) -> Result<String, StoreError> {
    Ok(match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::List(_) | Value::Map(_) | Value::Comment(_) => {
            return Err(StoreError::Complex { format, key: key.to_owned() });
        }
        leaf => String::from_utf8_lossy(&leaf.bytes().unwrap_or_default()).into_owned(),
    })
}
