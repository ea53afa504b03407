//! Starting and stopping: certificates, listener, kubeconfig, controllers.

mod certificates;
mod connection;
mod encoding;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::core::{Core, Settings};
use crate::faults::Faults;
use crate::request_log::RequestLog;
use certificates::Certificates;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be used.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificates cannot be made.
    #[error("cannot create certificates: {0}")]
    Certificates(String),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The state directory cannot be used.
    #[error("cannot use the state directory {path}: {reason}")]
    State {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The embedded API server. Start with [`Server::builder`].
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Settings for a new server: a free port, TLS and a token, no persistence, workloads simulated.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            port: 0,
            tls: true,
            authentication: true,
            simulate_workloads: true,
            history: 20_000,
            state: None,
            clock: Arc::new(Clock::default()),
        }
    }
}

/// Settings of a server that is not started yet.
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    port: u16,
    tls: bool,
    authentication: bool,
    simulate_workloads: bool,
    history: usize,
    state: Option<PathBuf>,
    clock: Arc<Clock>,
}

impl ServerBuilder {
    /// Listens on this port; 0 takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serves HTTPS with a generated CA (the default) or plain HTTP.
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Demands credentials (the default), or takes every request as the administrator's.
    pub fn authentication(mut self, authentication: bool) -> Self {
        self.authentication = authentication;
        self
    }

    /// Whether Deployments and the like become ready by themselves (the default).
    pub fn simulate_workloads(mut self, simulate: bool) -> Self {
        self.simulate_workloads = simulate;
        self
    }

    /// How many changes of each resource watches can go back.
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes;
        self
    }

    /// Keeps the objects in this directory.
    pub fn state(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state = Some(directory.into());
        self
    }

    /// Uses this clock.
    pub fn clock(mut self, clock: Arc<Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts serving.
    pub async fn start(self) -> Result<RunningServer, ServerError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServerError::Listen { port: self.port, source })?;
        let port =
            listener.local_addr().map_err(|source| ServerError::Listen { port: self.port, source })?.port();
        let certificates = Certificates::generate(self.state.as_deref())?;
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        let settings = Settings {
            admin_token: self.authentication.then(|| certificates.admin_token.clone()),
            simulate_workloads: self.simulate_workloads,
            issuer: "https://kubernetes.default.svc".to_owned(),
        };
        let state = self.state.as_deref();
        let core = Core::new(settings, self.clock, self.history, certificates.ca_pem.clone(), state);
        let core = Arc::new(core);
        if let Some(directory) = state {
            core.store
                .persist_in(directory)
                .map_err(|e| ServerError::State { path: directory.to_owned(), reason: e.to_string() })?;
        }
        crate::crd::establish::refresh_catalog(&core);
        crate::seed::seed(&core);
        if self.simulate_workloads {
            crate::seed::seed_simulation(&core);
        }
        crate::controllers::namespaces::sync(&core);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = crate::controllers::start(&core);
        let acceptor = self.tls.then(|| certificates.acceptor()).transpose()?;
        tasks.push(tokio::spawn(connection::accept(listener, acceptor, core.clone(), stopped)));
        Ok(RunningServer { url, port, tls: self.tls, certificates, core, stop, tasks })
    }
}

/// A server that serves until it is shut down or dropped.
pub struct RunningServer {
    url: String,
    port: u16,
    tls: bool,
    certificates: Certificates,
    core: Arc<Core>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningServer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RunningServer {
    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The administrator's bearer token.
    pub fn token(&self) -> &str {
        &self.certificates.admin_token
    }

    /// The CA certificate in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.certificates.ca_pem
    }

    /// The clock, to move it.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.core.clock
    }

    /// Faults to inject.
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// A client certificate for a user in a group (empty: in none), signed by the server's CA: certificate and key in PEM.
    pub fn client_certificate(&self, user: &str, group: &str) -> Result<(String, String), ServerError> {
        self.certificates.client(user, group)
    }

    /// Counts of requests.
    pub fn request_log(&self) -> &RequestLog {
        &self.core.log
    }

    /// Forgets the history, so that watches from the past and old continue tokens answer Expired.
    pub fn forget_history(&self) {
        self.core.store.forget_history();
    }

    /// Adds to what the log of a pod shows.
    pub fn append_pod_log(&self, namespace: &str, pod: &str, text: &str) {
        self.core.logs.append(namespace, pod, text);
    }

    /// Stops the simulated workloads where they are.
    pub fn pause_workloads(&self) {
        self.core.simulator.pause();
    }

    /// Lets the simulated workloads go on.
    pub fn resume_workloads(&self) {
        self.core.simulator.resume();
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> String {
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.certificates.ca_pem);
        let ca = if self.tls { format!("    certificate-authority-data: {ca}\n") } else { String::new() };
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fluxide\nclusters:\n- name: fluxide\n  cluster:\n    server: {}\n\
             {ca}users:\n- name: admin\n  user:\n    token: {}\ncontexts:\n- name: fluxide\n  context:\n    cluster: fluxide\n    \
             user: admin\n",
            self.url, self.certificates.admin_token
        )
    }

    /// Writes the kubeconfig to a file that only the owner can read.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), ServerError> {
        write_private(path, self.kubeconfig().as_bytes())
    }

    /// Stops listening, ends all watches and waits for the tasks.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        let tasks = std::mem::take(&mut self.tasks);
        for t in tasks {
            t.abort();
            let _ = t.await;
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for t in &self.tasks {
            t.abort();
        }
    }
}

/// Writes a file with mode 0600, replacing it at once.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), ServerError> {
    use std::io::Write;
    let fail = |source| ServerError::Write { path: path.to_owned(), source };
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary).map_err(fail)?;
    file.write_all(contents).map_err(fail)?;
    drop(file);
    std::fs::rename(&temporary, path).map_err(fail)
}
