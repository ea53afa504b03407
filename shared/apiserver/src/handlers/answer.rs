//! An answer before it is written to the connection.

use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::output::{self, Accepted};

/// The body of an answer.
pub(crate) enum Payload {
    Bytes(Bytes),
    Stream(BoxStream<'static, Bytes>),
    /// Close the connection without an answer.
    Reset,
}

/// Status, headers and body.
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(&'static str, String)>,
    pub warnings: Vec<String>,
    pub body: Payload,
}

impl Answer {
    /// A document in the syntax that the client accepts.
    pub fn document(status: u16, v: &Value, accepted: Accepted) -> Self {
        let (syntax, bytes) = output::encode(v, accepted.syntax);
        Self::bytes(status, syntax.content_type(), bytes.into())
    }

    pub fn json(status: u16, v: &Value) -> Self {
        Self::document(status, v, Accepted::JSON)
    }

    pub fn bytes(status: u16, content_type: &str, body: Bytes) -> Self {
        Answer {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            warnings: Vec::new(),
            body: Payload::Bytes(body),
        }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(body.as_bytes()))
    }

    pub fn error(e: &ApiError) -> Self {
        if e.plain {
            return Self::text(e.code, &e.message).with_header("X-Content-Type-Options", "nosniff");
        }
        Self::error_as(e, Accepted::JSON)
    }

    /// An error in the syntax that the client accepts.
    pub fn error_as(e: &ApiError, accepted: Accepted) -> Self {
        let mut a = Self::document(e.code, &e.to_status(), accepted);
        if let Some(s) = e.details.as_ref().and_then(|d| d["retryAfterSeconds"].as_u64()) {
            a.headers.push(("Retry-After", s.to_string()));
        }
        a
    }

    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
