//! A plain HTTP/2 client of an API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Whatever goes wrong ends the benchmark.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A connection that takes many requests at once.
pub type Connection = http2::SendRequest<Full<Bytes>>;

/// How often a request is sent before it is given up.
const TRIES: usize = 4;
const BEFORE_NEXT_TRY: Duration = Duration::from_millis(250);

/// A connection that is opened again when the server closes it, as servers do that have too much to do.
pub struct Line {
    target: Arc<Target>,
    connection: Mutex<Option<Connection>>,
    failed: Arc<AtomicU64>,
}

impl Line {
    /// A line to the server, which counts what fails.
    pub fn new(target: Arc<Target>, failed: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Line { target, connection: Mutex::new(None), failed })
    }

    /// Sends a request and gives the length of the answer; `None` when it failed each time.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> Option<usize> {
        for attempt in 0..TRIES {
            let sent = async {
                let connection = self.connected().await?;
                self.target.send(&connection, method, path, body.to_owned()).await
            };
            match sent.await {
                Ok(length) => return Some(length),
                // What failed before was done all the same.
                Err(e) if attempt > 0 && e.to_string().contains(": 409 ") => return Some(0),
                Err(_) => self.count_failure().await,
            }
        }
        None
    }

    /// Opens a stream; `None` when that failed each time.
    pub async fn open(&self, path: &str) -> Option<Incoming> {
        for _ in 0..TRIES {
            let opened = async {
                let connection = self.connected().await?;
                self.target.open(&connection, "GET", path, String::new()).await
            };
            match opened.await {
                Ok(body) => return Some(body),
                Err(_) => self.count_failure().await,
            }
        }
        None
    }

    async fn connected(&self) -> Result<Connection, Error> {
        let mut connection = self.connection.lock().await;
        match connection.as_ref().filter(|connection| !connection.is_closed()) {
            Some(open) => Ok(open.clone()),
            None => Ok(connection.insert(self.target.connect().await?).clone()),
        }
    }

    async fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(BEFORE_NEXT_TRY).await;
    }
}

/// Where the server is.
pub struct Target {
    address: String,
    token: String,
    connector: TlsConnector,
}

impl Target {
    /// Reads the first cluster and the first user of a kubeconfig.
    pub fn of_kubeconfig(text: &str) -> Result<Arc<Self>, Error> {
        let config: serde_json::Value = serde_yaml::from_str(text)?;
        let cluster = &config["clusters"][0]["cluster"];
        let field = |value: &serde_json::Value, name: &str| -> Result<String, Error> {
            let text = value[name].as_str().ok_or_else(|| format!("the kubeconfig has no {name}"))?;
            Ok(text.to_owned())
        };
        let ca = field(cluster, "certificate-authority-data")?;
        let ca = base64::engine::general_purpose::STANDARD.decode(ca)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(Target {
            address: field(cluster, "server")?.trim_start_matches("https://").to_owned(),
            token: field(&config["users"][0]["user"], "token")?,
            connector: TlsConnector::from(Arc::new(tls)),
        }))
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host).to_owned();
        let stream = self.connector.connect(ServerName::try_from(host)?, stream).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // As large as those of client-go.
        builder.initial_stream_window_size(4 << 20).initial_connection_window_size(1 << 30);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a request and gives the body that is being answered.
    pub async fn open(
        &self,
        connection: &Connection,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<Incoming, Error> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("user-agent", "load/1")
            .body(Full::new(Bytes::from(body)))?;
        let mut connection = connection.clone();
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.into_body().collect().await?.to_bytes();
            return Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&bytes)).into());
        }
        Ok(response.into_body())
    }

    /// Sends a request, reads the answer and gives its length.
    pub async fn send(
        &self,
        connection: &Connection,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<usize, Error> {
        let mut answer = self.open(connection, method, path, body).await?;
        let mut length = 0;
        while let Some(frame) = answer.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }

    /// The document at a path.
    pub async fn get(&self, connection: &Connection, path: &str) -> Result<serde_json::Value, Error> {
        let body = self.open(connection, "GET", path, String::new()).await?;
        Ok(serde_json::from_slice(&body.collect().await?.to_bytes())?)
    }
}
