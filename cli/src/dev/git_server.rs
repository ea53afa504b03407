//! A Git repository on loopback, served over smart HTTP by the `git http-backend` of the machine's own Git.
//!
//! It exists so that `fluxide dev` has something to push to. It listens on loopback only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Larger pushes are refused: the packs of a configuration repository are far below this.
const MAX_PUSH_BYTES: usize = 256 << 20;

/// A running server; dropping it stops it.
pub struct GitServer {
    address: SocketAddr,
    pushes: Arc<Notify>,
    task: JoinHandle<()>,
}

/// A user name and password that every request must carry.
#[derive(Clone, Debug)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

/// What a request needs to know.
struct Shared {
    root: PathBuf,
    pushes: Arc<Notify>,
    /// The value of the `Authorization` header to insist on.
    authorization: Option<String>,
}

impl GitServer {
    /// Serves every bare repository below `root`, to anybody or to who knows the password.
    pub async fn start(root: &Path, auth: Option<BasicAuth>) -> anyhow::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), root, auth).await
    }

    /// As [`start`](Self::start), at an address of loopback that the caller chooses.
    pub async fn start_at(address: SocketAddr, root: &Path, auth: Option<BasicAuth>) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind(address).await.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let pushes = Arc::new(Notify::new());
        let authorization = auth.map(|BasicAuth { username, password }| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
        });
        let shared = Arc::new(Shared { root: root.to_path_buf(), pushes: pushes.clone(), authorization });
        let app =
            Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_PUSH_BYTES)).with_state(shared);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the Git server stopped");
            }
        });
        Ok(Self { address, pushes, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Is notified after each push.
    pub fn pushes(&self) -> Arc<Notify> {
        self.pushes.clone()
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

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if let Some(wanted) = &shared.authorization
        && header(request.headers(), "authorization") != wanted
    {
        let challenge = [("www-authenticate", "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "authorization required\n").into_response();
    }
    let push = request.uri().path().ends_with("/git-receive-pack");
    match backend(&shared.root, request).await {
        Ok(response) => {
            if push {
                shared.pushes.notify_one();
            }
            response
        }
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
    let head =
        std::str::from_utf8(&output[..end]).context("git http-backend gave a header that is not text")?;
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
