//! Loads an API server the way a busy cluster does, and prints how it kept up.
//!
//!     cargo run --release -p fluxide-apiserver --example load [-- KUBECONFIG]
//!
//! Without a kubeconfig it starts a server of its own in the same process. The load: 20,000 ConfigMaps of 4 kB in 100
//! namespaces, 1,000 watches (10 on each namespace), then 500 writes a second for 20 seconds. Printed are the time to
//! create, lists of 10,000, how late the watches saw the writes, and the memory of the serving process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use bytes::Bytes;
use fluxide_apiserver::Server;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const NAMESPACES: usize = 100;
const OBJECTS: usize = 20_000;
const OBJECT_BYTES: usize = 4096;
const WATCHES_PER_NAMESPACE: usize = 10;
const WRITES_PER_SECOND: u64 = 500;
const WRITING: Duration = Duration::from_secs(20);
const STREAMS_PER_CONNECTION: usize = 100;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let kubeconfig = std::env::args().nth(1);
    let own = match &kubeconfig {
        Some(_) => None,
        None => Some(Server::builder().simulate_workloads(false).start().await?),
    };
    let text = match (&kubeconfig, &own) {
        (Some(path), _) => std::fs::read_to_string(path)?,
        (None, Some(server)) => server.kubeconfig(),
        (None, None) => return Err("no server".into()),
    };
    let target = Arc::new(Target::of_kubeconfig(&text)?);
    let serving = match &own {
        Some(_) => std::process::id(),
        None => std::env::var("SERVER_PID").ok().and_then(|p| p.parse().ok()).unwrap_or(0),
    };

    let started = Instant::now();
    create(&target).await?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "created {OBJECTS} objects of {OBJECT_BYTES} bytes: {seconds:.1} s, {:.0}/s",
        OBJECTS as f64 / seconds
    );
    println!("memory: {} MiB", resident_mebibytes(serving));

    for _ in 0..3 {
        let started = Instant::now();
        let connection = target.connect().await?;
        let bytes = target.get(&connection, "/api/v1/configmaps?limit=10000").await?;
        println!("list of 10,000: {} ms, {} MiB", started.elapsed().as_millis(), bytes.len() >> 20);
    }

    let seen = Arc::new(Seen::default());
    let mut connections = Vec::new();
    for n in 0..NAMESPACES * WATCHES_PER_NAMESPACE {
        if n % STREAMS_PER_CONNECTION == 0 {
            connections.push(target.connect().await?);
        }
        let connection = connections.last().ok_or("no connection")?.clone();
        let path =
            format!("/api/v1/namespaces/load-{}/configmaps?watch=true&resourceVersion=", n % NAMESPACES);
        tokio::spawn(watch(target.clone(), connection, path, seen.clone()));
    }
    while seen.open.load(Ordering::Relaxed) < (NAMESPACES * WATCHES_PER_NAMESPACE) as u64 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let base = seen.events.load(Ordering::Relaxed);
    write(&target).await?;
    let expected = WRITES_PER_SECOND * WRITING.as_secs() * WATCHES_PER_NAMESPACE as u64;
    let end = Instant::now() + Duration::from_secs(30);
    while seen.events.load(Ordering::Relaxed) - base < expected && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let events = seen.events.load(Ordering::Relaxed) - base;
    println!(
        "watch events: {events} of {expected}; latest {} ms, mean {:.1} ms; ended early: {}",
        seen.latest.load(Ordering::Relaxed) / 1000,
        seen.total.load(Ordering::Relaxed) as f64 / 1000.0 / events.max(1) as f64,
        seen.ended.load(Ordering::Relaxed)
    );
    println!("memory: {} MiB", resident_mebibytes(serving));
    Ok(())
}

/// What the watches saw; times in microseconds.
#[derive(Default)]
struct Seen {
    open: AtomicU64,
    events: AtomicU64,
    latest: AtomicU64,
    total: AtomicU64,
    ended: AtomicU64,
}

async fn create(target: &Arc<Target>) -> Result<(), Error> {
    let connection = target.connect().await?;
    for n in 0..NAMESPACES {
        let body = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"load-{n}"}}}}"#);
        target.send(&connection, "POST", "/api/v1/namespaces", body).await?;
    }
    let mut workers = Vec::new();
    for worker in 0..16 {
        let (target, connection) = (target.clone(), target.connect().await?);
        workers.push(tokio::spawn(async move {
            for i in (worker..OBJECTS).step_by(16) {
                let path = format!("/api/v1/namespaces/load-{}/configmaps", i % NAMESPACES);
                target.send(&connection, "POST", &path, object(i, 0)).await?;
            }
            Ok::<(), Error>(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

fn object(i: usize, stamp: u128) -> String {
    let filling = "x".repeat(OBJECT_BYTES - 200);
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c{i}"}},"data":{{"stamp":"{stamp}","filling":"{filling}"}}}}"#
    )
}

fn now_micros() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_micros())
}

/// Replaces objects at a steady rate, spread over all namespaces.
async fn write(target: &Arc<Target>) -> Result<(), Error> {
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(target.connect().await?);
    }
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / WRITES_PER_SECOND));
    let started = Instant::now();
    let mut pending = tokio::task::JoinSet::new();
    for i in 0..WRITES_PER_SECOND * WRITING.as_secs() {
        ticks.tick().await;
        let i = i as usize;
        let (target, connection) = (target.clone(), connections[i % connections.len()].clone());
        pending.spawn(async move {
            let n = (i * 7919) % OBJECTS;
            let path = format!("/api/v1/namespaces/load-{}/configmaps/c{n}", n % NAMESPACES);
            target.send(&connection, "PUT", &path, object(n, now_micros())).await
        });
    }
    while let Some(done) = pending.join_next().await {
        done??;
    }
    let rate = (WRITES_PER_SECOND * WRITING.as_secs()) as f64 / started.elapsed().as_secs_f64();
    println!("writes: {rate:.0}/s");
    Ok(())
}

async fn watch(target: Arc<Target>, connection: Sender, path: String, seen: Arc<Seen>) -> Result<(), Error> {
    let list = path.split('?').next().unwrap_or_default().to_owned() + "?limit=1";
    let listed: serde_json::Value = serde_json::from_slice(&target.get(&connection, &list).await?)?;
    let version = listed["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let request = target.request("GET", &format!("{path}{version}"), String::new())?;
    let mut body = connection.clone().send_request(request).await?.into_body();
    seen.open.fetch_add(1, Ordering::Relaxed);
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            note(&line, &seen);
        }
    }
    seen.ended.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn note(line: &[u8], seen: &Seen) {
    let text = String::from_utf8_lossy(line);
    let Some((_, stamp)) = text.split_once("\"stamp\":\"") else { return };
    let stamp: u128 = stamp.split('"').next().and_then(|s| s.parse().ok()).unwrap_or(0);
    if stamp == 0 {
        return;
    }
    let late = u64::try_from(now_micros().saturating_sub(stamp)).unwrap_or(u64::MAX);
    seen.events.fetch_add(1, Ordering::Relaxed);
    seen.latest.fetch_max(late, Ordering::Relaxed);
    seen.total.fetch_add(late, Ordering::Relaxed);
}

type Sender = http2::SendRequest<Full<Bytes>>;

/// Where the server is.
struct Target {
    address: String,
    token: String,
    connector: TlsConnector,
}

impl Target {
    /// Reads the few fields needed, from the plain YAML or JSON such files are written in.
    fn of_kubeconfig(text: &str) -> Result<Self, Error> {
        let field = |name: &str| -> Option<String> {
            let (_, rest) = text.split_once(&format!("{name}:"))?;
            let rest = rest.trim_start().trim_start_matches('"');
            Some(rest.chars().take_while(|c| !c.is_whitespace() && !"\",}".contains(*c)).collect())
        };
        let ca = field("certificate-authority-data").ok_or("no certificate-authority-data")?;
        let ca = base64::engine::general_purpose::STANDARD.decode(ca)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let server = field("server").ok_or("no server")?;
        Ok(Target {
            address: server.trim_start_matches("https://").to_owned(),
            token: field("token").ok_or("no token")?,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn connect(&self) -> Result<Sender, Error> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 24);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, method: &str, path: &str, body: String) -> Result<http::Request<Full<Bytes>>, Error> {
        Ok(http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?)
    }

    async fn send(
        &self,
        connection: &Sender,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<Bytes, Error> {
        let request = self.request(method, path, body)?;
        let mut connection = connection.clone();
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&bytes)).into());
        }
        Ok(bytes)
    }

    async fn get(&self, connection: &Sender, path: &str) -> Result<Bytes, Error> {
        self.send(connection, "GET", path, String::new()).await
    }
}

/// Resident memory of a process, from /proc.
fn resident_mebibytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
