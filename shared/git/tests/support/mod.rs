//! Repositories made by Git itself, and Git's own server over HTTP.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod sshd;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use tokio::io::AsyncWriteExt;

/// A directory of bare repositories.
pub struct Repositories {
    pub root: tempfile::TempDir,
}

impl Repositories {
    pub fn new() -> Self {
        Repositories { root: tempfile::tempdir().unwrap() }
    }

    /// A new bare repository with branch `main` to be.
    pub fn create(&self, name: &str) -> Repository {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        run(&path, &["init", "-q", "--bare", "-b", "main", "."]);
        run(&path, &["config", "http.receivepack", "true"]);
        let work = tempfile::tempdir().unwrap();
        run(work.path(), &["init", "-q", "-b", "main", "."]);
        run(work.path(), &["remote", "add", "origin", path.to_str().unwrap()]);
        Repository { path, work }
    }
}

/// A bare repository and a work tree that pushes to it.
pub struct Repository {
    pub path: PathBuf,
    pub work: tempfile::TempDir,
}

impl Repository {
    pub fn git(&self, arguments: &[&str]) -> String {
        run(self.work.path(), arguments)
    }

    pub fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.work.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Commits everything, pushes all branches and tags, and gives the hash.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.push();
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn push(&self) {
        self.git(&["push", "-q", "--force", "--all", "origin"]);
        self.git(&["push", "-q", "--force", "--tags", "origin"]);
    }
}

/// Runs Git with nothing of the user's.
pub fn run(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "C")
        .env("GIT_COMMITTER_EMAIL", "c@example.com")
        .env("GIT_ALLOW_PROTOCOL", "file")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What the server wants and has seen.
#[derive(Default)]
pub struct ServerState {
    pub root: PathBuf,
    /// The value of the Authorization header that is needed.
    pub authorization: Option<String>,
    /// The paths it is needed for, by their beginning; all if empty.
    pub protected: String,
    /// Repositories are known by their names with `.git` alone.
    pub full_names: bool,
    /// `METHOD path?query authorization`
    pub requests: Mutex<Vec<String>>,
    /// Answer discovery with a redirect to this base.
    pub redirect_to: Mutex<Option<String>>,
    /// Speak the old protocol.
    pub protocol_v0: bool,
}

pub struct GitServer {
    pub url: String,
    pub state: Arc<ServerState>,
}

impl GitServer {
    pub async fn start(state: ServerState) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(state);
        let router = Router::new().fallback(serve).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        GitServer { url, state }
    }

    pub async fn open(repositories: &Repositories) -> Self {
        Self::start(ServerState { root: repositories.root.path().to_owned(), ..ServerState::default() }).await
    }

    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.requests.lock().unwrap())
    }
}

pub fn basic(username: &str, password: &str) -> String {
    let pair = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

pub fn router(state: Arc<ServerState>) -> Router {
    Router::new().fallback(serve).with_state(state)
}

/// `git http-backend` as a CGI program.
async fn serve(State(state): State<Arc<ServerState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let authorization = header("authorization");
    let target = parts.uri.path_and_query().unwrap().as_str();
    state.requests.lock().unwrap().push(format!(
        "{} {target} {}",
        parts.method,
        authorization.as_deref().unwrap_or("-")
    ));
    let redirect = state.redirect_to.lock().unwrap().clone();
    if let Some(base) = redirect
        && target.contains("/info/refs")
    {
        return (http::StatusCode::FOUND, [("location", format!("{base}{target}"))]).into_response();
    }
    if state.full_names && !target.contains(".git/") {
        return (http::StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    if state.authorization.is_some()
        && target.starts_with(&state.protected)
        && state.authorization != authorization
    {
        return (http::StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut command = tokio::process::Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &state.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("REMOTE_USER", "test")
        .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if !state.protocol_v0 {
        command.env("GIT_PROTOCOL", header("git-protocol").unwrap_or_default());
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await.unwrap().stdout;
    let _ = feed.await;
    let Some(split) = output.windows(4).position(|w| w == b"\r\n\r\n") else {
        return http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::from(output[split + 4..].to_vec()));
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
        } else {
            let name: http::HeaderName = name.parse().unwrap();
            response.headers_mut().append(name, value.parse().unwrap());
        }
    }
    response
}

/// Serves a router over TLS; gives the address.
pub async fn serve_tls(
    router: Router,
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: Vec<u8>,
) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    serve_tls_with(router, config).await
}

/// Serves a router over TLS as a configuration says; gives the address.
pub async fn serve_tls_with(router: Router, config: rustls::ServerConfig) -> String {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let stream = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            });
        }
    });
    url
}
