//! What can go wrong when reading YAML.

use thiserror::Error;

/// Why a YAML text could not be read. The texts and line numbers are go-yaml's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The text is not YAML.
    #[error("yaml: {}{problem}", at_line(*.line))]
    Syntax {
        /// The line go-yaml names, absent for the first.
        line: Option<u32>,
        /// What is wrong there.
        problem: String,
    },
    /// There is no document in the text.
    #[error("EOF")]
    Empty,
    /// `*name` without `&name` before it.
    #[error("yaml: unknown anchor '{0}' referenced")]
    UnknownAnchor(String),
    /// An anchor whose value refers to the anchor.
    #[error("yaml: anchor '{0}' value contains itself")]
    RecursiveAnchor(String),
    /// Aliases would expand to far more than the text says.
    #[error("yaml: document contains excessive aliasing")]
    ExcessiveAliasing,
    /// A scalar does not fit its tag, a key is no scalar, and the like.
    #[error("yaml: {0}")]
    Decode(String),
    /// One or more places that are well-formed and still wrong, such as duplicate keys.
    #[error("yaml: unmarshal errors:\n  {}", .0.join("\n  "))]
    Values(Vec<String>),
    /// A merge key (`<<`) that cannot be merged.
    #[error("{0}")]
    Merge(&'static str),
    /// A value that JSON cannot express.
    #[error("{0}")]
    Json(String),
    /// The stream of documents is wrong, not the YAML in it.
    #[error("{0}")]
    Stream(String),
    /// Another error, with what was being done.
    #[error("{context}: {source}")]
    Context {
        /// What was being done.
        context: &'static str,
        /// What went wrong.
        source: Box<Error>,
    },
}

impl Error {
    /// The error with what was being done in front of it.
    pub fn context(self, context: &'static str) -> Error {
        Error::Context { context, source: Box::new(self) }
    }
}

fn at_line(line: Option<u32>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}
