//! What goes wrong when a template is parsed or executed, in Go's words.

use crate::text::Text;

/// A failure of parsing, of executing, or of a function, with the texts that Go's `text/template` gives.
///
/// An execution error wraps the failure that caused it ([`Error::cause`]), through any number of `include`s.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: Text,
    execution: bool,
    limit: bool,
    #[source]
    cause: Option<Box<Error>>,
}

impl Error {
    /// A plain error, as a function returns it.
    pub fn new(text: impl Into<Text>) -> Error {
        Error { text: text.into(), execution: false, limit: false, cause: None }
    }

    /// An error that quotes and wraps another.
    pub fn wrapping(text: impl Into<Text>, cause: Error) -> Error {
        Error { text: text.into(), execution: false, limit: cause.limit, cause: Some(Box::new(cause)) }
    }

    /// A limit of the session was reached.
    pub(crate) fn limit(text: impl Into<Text>) -> Error {
        Error { text: text.into(), execution: false, limit: true, cause: None }
    }

    pub(crate) fn execution(text: impl Into<Text>, cause: Option<Error>) -> Error {
        let limit = cause.as_ref().is_some_and(|cause| cause.limit);
        Error { text: text.into(), execution: true, limit, cause: cause.map(Box::new) }
    }

    /// The whole message.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Whether a template's execution raised it, at a position that the message names.
    pub fn is_execution(&self) -> bool {
        self.execution
    }

    /// Whether a limit on steps, output, memory or depth ended the work.
    pub fn is_limit(&self) -> bool {
        self.limit
    }

    /// The error that this one wraps.
    pub fn cause(&self) -> Option<&Error> {
        self.cause.as_deref()
    }
}
