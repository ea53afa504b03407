//! A Git repository on loopback, served over smart HTTP by the `git http-backend` of the machine's own Git.
//!
//! It exists so that `fluxide dev` has something to push to. Anybody on the machine may read it; pushing needs the
//! token that is part of the URL printed to the user.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Larger pushes are refused: the packs of a configuration repository are far below this.
const MAX_PUSH_BYTES: usize = 256 << 20;

/// A running server; dropping it stops it.
pub struct GitServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl GitServer {
    /// Serves every bare repository below `root`.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let app = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(MAX_PUSH_BYTES))
            .with_state(Arc::new(root.to_path_buf()));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the Git server stopped");
            }
        });
        Ok(Self { address, task })
    }

    /// The clone URL of the repository `name` (without `.git`).
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}.git", self.address)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(root): State<Arc<PathBuf>>, request: Request) -> Response {
    match backend(&root, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "git http-backend failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "git http-backend failed\n").into_response()
        }
    }
}

/// One request as a CGI call.
async fn backend(root: &Path, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, MAX_PUSH_BYTES).await {
        Ok(body) => body,
        Err(_) => return Ok((StatusCode::PAYLOAD_TOO_LARGE, "the push is too large\n").into_response()),
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header(&parts.headers, "content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header(&parts.headers, "content-encoding"))
        .env("GIT_PROTOCOL", header(&parts.headers, "git-protocol"))
        .env("REMOTE_USER", "dev")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start git: is it installed?")?;
    let mut stdin = child.stdin.take().context("git has no standard input")?;
    let feed = async move {
        // A backend that answers before it has read everything closes the pipe: its answer tells why.
        let _ = stdin.write_all(&body).await;
        drop(stdin);
    };
    let (_, output) = tokio::join!(feed, child.wait_with_output());
    cgi_response(Bytes::from(output?.stdout))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Splits a CGI answer into status, headers and body.
fn cgi_response(output: Bytes) -> anyhow::Result<Response> {
    let Some(end) = output.windows(4).position(|window| window == b"\r\n\r\n") else {
        bail!("git http-backend gave no header");
    };
    let head = std::str::from_utf8(&output[..end]).context("git http-backend gave a header that is not text")?;
    let mut response = Response::builder();
    for line in head.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            response = response.status(code.parse::<u16>().context("git http-backend gave a bad status")?);
        } else {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from(output.slice(end + 4..)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgi_answer_becomes_a_response() {
        let response = cgi_response(Bytes::from_static(
            b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno such repository",
        ))
        .unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "text/plain");
    }

    #[test]
    fn an_answer_without_header_is_an_error() {
        assert!(cgi_response(Bytes::from_static(b"oops")).is_err());
    }
}
