//! Files to objects, with the errors that decide what else a path may be.

use fluxide_goyaml::{Error, Node};
use thiserror::Error;

/// Why a file does not hold objects.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// A document of the file is not YAML.
    #[error("MalformedYAMLError: {0}")]
    Malformed(String),
    /// A document separator with text behind it, or a document that is no object of Kubernetes.
    #[error("{0}")]
    NotObjects(String),
    /// An anchor or merge key that cannot be resolved.
    #[error("{0}")]
    Anchor(String),
}

impl ReadError {
    /// Whether the file is not YAML at all.
    pub fn is_malformed(&self) -> bool {
        matches!(self, ReadError::Malformed(_))
    }
}

/// Checks that an object still has a kind and a name.
pub(crate) fn check_object(object: &Node) -> Result<(), ReadError> {
    fluxide_goyaml::resource::check_object(object).map_err(|err| ReadError::NotObjects(err.to_string()))
}

/// Reads all objects of a file. Lists are replaced by their items.
pub(crate) fn read_objects(content: &[u8]) -> Result<Vec<Node>, ReadError> {
    fluxide_goyaml::resource::read_objects(content).map_err(|err| match err {
        Error::Context { source, .. } => ReadError::Malformed(source.to_string()),
        Error::Stream(text) => ReadError::NotObjects(text),
        other => ReadError::Anchor(other.to_string()),
    })
}
