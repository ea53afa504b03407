//! How the bytes of an answer are laid out for a client: indented, compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::handlers::Request;
use crate::handlers::answer::{Answer, Payload};

/// Smaller answers are not worth compressing.
const WORTH_COMPRESSING: usize = 128 * 1024;
/// Indenting an answer needs it in memory once more.
const MOST_INDENTED: usize = 32 * 1024 * 1024;

/// What a request says about the bytes of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    gzip: bool,
    pretty: bool,
}

impl Encoding {
    /// Reads `Accept-Encoding` and `pretty`. Browsers and curl get indented answers unasked.
    pub fn of(request: &Request) -> Self {
        let accepted = request.header("accept-encoding").split(',');
        let gzip = accepted.into_iter().any(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            parts.next() == Some("gzip") && !parts.any(|q| matches!(q, "q=0" | "q=0.0"))
        });
        let agent = request.header("user-agent");
        let pretty = match request.query.optional_flag("pretty") {
            Some(pretty) => pretty,
            None => ["curl", "Wget", "Mozilla/5.0"].iter().any(|browser| agent.starts_with(browser)),
        };
        Encoding { gzip, pretty }
    }

    /// Lays the bytes of an answer out. Streams stay as they are.
    pub fn apply(self, answer: &mut Answer) {
        let Payload::Bytes(bytes) = &mut answer.body else { return };
        let is_json = answer.content_type.starts_with("application/json");
        if self.pretty
            && is_json
            && bytes.len() < MOST_INDENTED
            && let Ok(v) = serde_json::from_slice::<Value>(bytes)
            && let Ok(mut indented) = serde_json::to_vec_pretty(&v)
        {
            indented.push(b'\n');
            *bytes = indented.into();
        }
        if !self.gzip || bytes.len() < WORTH_COMPRESSING {
            return;
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
        if encoder.write_all(bytes).is_ok()
            && let Ok(compressed) = encoder.finish()
        {
            *bytes = compressed.into();
            answer.headers.push(("Content-Encoding", "gzip".to_owned()));
            if !answer.headers.iter().any(|(name, value)| *name == "Vary" && value == "Accept-Encoding") {
                answer.headers.push(("Vary", "Accept-Encoding".to_owned()));
            }
        }
    }
}
