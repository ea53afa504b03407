//! Private authorities, client certificates and proxies over HTTP.

mod support;

use std::sync::{Arc, Mutex};

use fluxide_git::{
    Auth, Checkout, CheckoutOptions, ClientCertificate, GitError, Proxy, Reference, Remote, checkout,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use support::{Repositories, ServerState};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};

/// An authority and what it vouches for.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.0).unwrap(), key)
    }
}

async fn try_checkout(remote: &Remote) -> Result<(), GitError> {
    let directory = tempfile::tempdir().unwrap();
    let branch = Reference::Branch("main".to_owned());
    match checkout(remote, &branch, &CheckoutOptions::default(), directory.path()).await? {
        Checkout::Done(_) => Ok(()),
        Checkout::Unchanged(_) => panic!("unchanged"),
    }
}

/// Git's server that wants a certificate of one authority and shows one of another.
async fn server(repositories: &Repositories, shown: &Authority, wanted: &Authority) -> String {
    let (certificate, key) = shown.certificate("127.0.0.1");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(wanted.0.der().clone()).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let state = ServerState { root: repositories.root.path().to_owned(), ..ServerState::default() };
    let url = support::serve_tls_with(support::router(Arc::new(state)), config).await;
    format!("{url}/app.git")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_show_who_they_are() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("file", "x");
    app.commit("first");
    let (servers, clients) = (Authority::new(), Authority::new());
    let url = server(&repositories, &servers, &clients).await;
    let own = |authority: &Authority| {
        let (certificate, key) = authority.certificate("client");
        let (certificate, key) = (certificate.pem().into_bytes(), key.serialize_pem().into_bytes());
        ClientCertificate { certificate, key }
    };
    let mut remote = Remote::new(&url).unwrap();
    remote.tls.client_certificate = Some(own(&clients));
    let unknown = try_checkout(&remote).await.unwrap_err().to_string();
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    remote.tls.ca = Some(servers.0.pem().into_bytes());
    try_checkout(&remote).await.unwrap();
    remote.tls.client_certificate = None;
    let nobody = try_checkout(&remote).await.unwrap_err().to_string();
    assert!(nobody.contains("CertificateRequired"), "{nobody}");
    remote.tls.client_certificate = Some(own(&servers));
    assert!(try_checkout(&remote).await.is_err(), "of another authority");
    remote.tls.client_certificate =
        Some(ClientCertificate { certificate: b"x".to_vec(), key: b"secret".to_vec() });
    let broken = try_checkout(&remote).await.unwrap_err();
    assert!(matches!(broken, GitError::Settings(_)) && !broken.to_string().contains("secret"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_sees_its_own_password_and_nothing_of_the_repository() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("file", "x");
    app.commit("first");
    let authority = Authority::new();
    let (certificate, key) = authority.certificate("git.example.com");
    let state = ServerState {
        root: repositories.root.path().to_owned(),
        authorization: Some(support::basic("flux", "secret")),
        ..ServerState::default()
    };
    let router = support::router(Arc::new(state));
    let server = support::serve_tls(router, certificate.der().clone(), key.serialize_der()).await;
    let server = server.trim_start_matches("https://").to_owned();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://user:proxy-pass@{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(String::new()));
    let heads = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (heads, server) = (heads.clone(), server.clone());
            tokio::spawn(async move {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(char::from(client.read_u8().await.unwrap()));
                }
                heads.lock().unwrap().push_str(&head);
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut upstream = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut upstream).await;
            });
        }
    });
    // The name is for the proxy to resolve; here it would lead nowhere.
    let mut remote = Remote::new("https://git.example.com/app.git").unwrap();
    remote.auth = Auth::Basic { username: "flux".into(), password: "secret".into() };
    remote.tls.ca = Some(authority.0.pem().into_bytes());
    remote.proxy = Some(Proxy { address, credentials: None });
    try_checkout(&remote).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.starts_with("CONNECT git.example.com:443 "), "{seen}");
    let expected = support::basic("user", "proxy-pass");
    assert!(seen.to_lowercase().contains(&format!("proxy-authorization: {}", expected.to_lowercase())));
    assert!(!seen.contains(support::basic("flux", "secret").trim_start_matches("Basic ")));
}
