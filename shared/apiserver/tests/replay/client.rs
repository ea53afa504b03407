//! A small HTTP/1.1 client: one connection for each request, and streams of lines for watches.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Where the server is, and as whom requests are made.
pub struct Client {
    address: String,
    token: String,
}

/// A complete answer.
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("connection: {0}")]
    Connection(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("request: {0}")]
    Request(#[from] http::Error),
}

impl Client {
    pub fn new(url: &str, token: &str) -> Self {
        Client { address: url.trim_start_matches("http://").to_owned(), token: token.to_owned() }
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: Option<Vec<u8>>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(target).header("host", &self.address);
        for (name, value) in self.complete(headers) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        Ok(sender.send_request(request).await?)
    }

    /// The headers of every request, unless a request sets them itself; those set to nothing are left out.
    fn complete(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        let mut all = vec![
            ("user-agent".to_owned(), "replay".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), format!("Bearer {}", self.token)),
        ];
        for (name, value) in headers {
            let name = name.to_lowercase();
            all.retain(|(n, _)| *n != name);
            if !value.is_empty() {
                all.push((name, value.clone()));
            }
        }
        all
    }

    pub async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, ClientError> {
        let response = self.send(method, target, headers, body).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    pub async fn watch(&self, target: &str, headers: &[(String, String)]) -> Result<Watch, ClientError> {
        let response = self.send("GET", target, headers, None).await?;
        let (parts, body) = response.into_parts();
        let (sender, lines) = mpsc::unbounded_channel();
        let reader = tokio::spawn(split_lines(body, sender));
        Ok(Watch { status: parts.status.as_u16(), headers: parts.headers, lines, reader })
    }
}

async fn split_lines(mut body: Incoming, sender: mpsc::UnboundedSender<Vec<u8>>) {
    let mut rest = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line = rest.drain(..=end).collect();
            if sender.send(line).is_err() {
                return;
            }
        }
    }
    if !rest.is_empty() {
        let _ = sender.send(rest);
    }
}

/// An open watch; dropping it closes the connection.
pub struct Watch {
    pub status: u16,
    pub headers: http::HeaderMap,
    lines: mpsc::UnboundedReceiver<Vec<u8>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watch {
    /// Reads so many events, then a moment more to see that nothing follows. True when the server ended the stream.
    pub async fn read(&mut self, count: usize, timeout: Duration) -> (Vec<Vec<u8>>, bool) {
        const QUIET: Duration = Duration::from_millis(300);
        let end = Instant::now() + timeout;
        let mut out = Vec::new();
        loop {
            let until = if out.len() < count { end } else { Instant::now() + QUIET };
            match tokio::time::timeout_at(until, self.lines.recv()).await {
                Err(_) => return (out, false),
                Ok(None) => return (out, true),
                Ok(Some(line)) => {
                    let text = String::from_utf8_lossy(&line);
                    if text.contains("\"BOOKMARK\"") && !text.contains("initial-events-end") {
                        continue;
                    }
                    out.push(line);
                }
            }
        }
    }
}
