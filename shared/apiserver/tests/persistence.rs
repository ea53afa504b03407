//! A server that is killed has everything it answered when it comes back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use fluxide_apiserver::Server;

/// The example binary that lies beside this test.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/serve")
}

fn start(directory: &Path, kubeconfig: &Path) -> Child {
    let _ = std::fs::remove_file(kubeconfig);
    let child = Command::new(binary())
        .args(["--simulate-workloads=false", "--state"])
        .arg(directory)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !kubeconfig.exists() {
        assert!(Instant::now() < end, "the server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn field(kubeconfig: &str, name: &str) -> String {
    let line = kubeconfig.lines().find(|l| l.trim_start().starts_with(name)).unwrap();
    line.split_once(": ").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing() {
    if !binary().exists() {
        println!("skipped: {} is not built", binary().display());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (state, kubeconfig) = (directory.path().join("state"), directory.path().join("kubeconfig"));
    let mut last = 0;
    for round in 0..3 {
        let mut child = start(&state, &kubeconfig);
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        let client = Client::new(&text);
        for earlier in 0..round {
            for i in 0..20 {
                let (status, body) = client.send("GET", &format!("{CONFIG_MAPS}/c-{earlier}-{i}"), "").await;
                assert_eq!(status, 200, "round {round}: {body}");
            }
            assert_eq!(client.send("GET", &format!("{CONFIG_MAPS}/gone-{earlier}"), "").await.0, 404);
            let (status, body) =
                client.send("GET", "/apis/example.com/v1/namespaces/default/things", "").await;
            assert_eq!(status, 200, "{body}");
        }
        if round == 0 {
            let crd = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.example.com"},
                "spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"things","kind":"Thing"},"versions":[{"name":"v1",
                "served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}"#;
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            assert_eq!(client.send("POST", path, crd).await.0, 201);
        }
        for name in (0..20).map(|i| format!("c-{round}-{i}")).chain([format!("gone-{round}")]) {
            let body = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
            let (status, answer) = client.send("POST", CONFIG_MAPS, &body).await;
            assert_eq!(status, 201, "{answer}");
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            let version: u64 = answer["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            assert!(version > last, "resourceVersions go on after a restart");
            last = version;
        }
        assert_eq!(client.send("DELETE", &format!("{CONFIG_MAPS}/gone-{round}"), "").await.0, 200);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Client {
    port: u16,
    token: String,
    connector: tokio_rustls::TlsConnector,
}

impl Client {
    fn new(kubeconfig: &str) -> Self {
        use base64::Engine;
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        let ca = base64::engine::general_purpose::STANDARD
            .decode(field(kubeconfig, "certificate-authority-data"))
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client {
            port: field(kubeconfig, "server").rsplit_once(':').unwrap().1.parse().unwrap(),
            token: field(kubeconfig, "token"),
            connector: tokio_rustls::TlsConnector::from(std::sync::Arc::new(config)),
        }
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut stream = self.connector.connect(name, stream).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map(|(_, b)| b.to_owned()).unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_readable_by_the_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let server = Server::builder().state(&state).simulate_workloads(false).start().await.unwrap();
    server.write_kubeconfig(&directory.path().join("kubeconfig")).unwrap();
    #[cfg(unix)]
    for path in
        [state.join("ca.key"), state.join("token"), state.join("log-0"), directory.path().join("kubeconfig")]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    server.shutdown().await;
}
