//! Providers behind TLS, with certificates of their own.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::world::{Received, Sink, World, event, until};

/// A certificate with its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Who issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn issue(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A service behind TLS that keeps what it receives; with `clients` only for those with its certificates.
async fn service(server: &Pair, clients: Option<&Authority>) -> Sink {
    let certificates = vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(certificates, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sink = Sink::of(format!("https://localhost:{port}"));
    let kept = sink.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, kept) = (acceptor.clone(), kept.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let kept = kept.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let received = Received {
                            method: head.method.to_string(),
                            target: head.uri.to_string(),
                            headers: head.headers,
                            body: body.collect().await.unwrap().to_bytes().to_vec(),
                            refused: false,
                        };
                        kept.keep(received);
                        Ok::<_, std::convert::Infallible>(hyper::Response::new(Full::new(Bytes::from("[]"))))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    sink
}

/// Waits for a complaint about an alert and returns it.
pub async fn complaint(world: &World, alert: &str) -> String {
    let mut found = None;
    until(&format!("a complaint about {alert}"), || {
        let events = world.events_about("Alert", alert);
        async {
            let events = events.await;
            events.into_iter().any(|(_, reason, ..)| reason == "NotificationDispatchFailed")
        }
    })
    .await;
    for (_, reason, message, _) in world.events_about("Alert", alert).await {
        if reason == "NotificationDispatchFailed" {
            found = Some(message);
        }
    }
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_a_secret_are_all_that_is_trusted() {
    let world = World::start().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let sink = service(&authority.issue("localhost"), None).await;
    world.secret("notify", "ca", json!({"ca.crt": authority.pem()})).await;
    world.secret("notify", "legacy", json!({"caFile": authority.pem()})).await;
    world.secret("notify", "other", json!({"ca.crt": other.pem()})).await;
    world.secret("notify", "half", json!({"tls.crt": authority.pem()})).await;
    world.secret("notify", "nothing", json!({"x": "y"})).await;
    world.secret("notify", "broken", json!({"ca.crt": "no certificate"})).await;
    for (name, reference) in [
        ("ca", json!({"certSecretRef": {"name": "ca"}})),
        ("legacy", json!({"certSecretRef": {"name": "legacy"}})),
        ("other", json!({"certSecretRef": {"name": "other"}})),
        ("half", json!({"certSecretRef": {"name": "half"}})),
        ("nothing", json!({"certSecretRef": {"name": "nothing"}})),
        ("broken", json!({"certSecretRef": {"name": "broken"}})),
        ("missing", json!({"certSecretRef": {"name": "missing"}})),
        ("system", json!({})),
        ("in-secret-ref", json!({"secretRef": {"name": "ca"}})),
    ] {
        let mut spec =
            json!({"type": "generic", "timeout": "2s", "address": format!("{}/{name}", sink.address)});
        spec.as_object_mut().unwrap().extend(reference.as_object().unwrap().clone());
        world.alert_with(name, spec, json!({})).await;
    }
    // A discord provider ignored the certificates before; here it does not.
    let address = format!("{}/discord", sink.address);
    world
        .alert_with(
            "discord",
            json!({"type": "discord", "address": address, "certSecretRef": {"name": "ca"}}),
            json!({}),
        )
        .await;
    assert_eq!(world.post(&event("app", "m")).await, 202);
    for target in ["/ca", "/legacy", "/discord/slack"] {
        until(target, || async { sink.at(target).len() == 1 }).await;
    }
    let start = |name: &str| {
        format!(
            "failed to dispatch notification for Kustomization/notify/app: failed to initialize notifier for provider '{name}': "
        )
    };
    for (name, expected) in [
        (
            "half",
            format!(
                "{}failed to get TLS config: secret 'notify/half' contains 'tls.crt' but missing 'tls.key'",
                start("half")
            ),
        ),
        (
            "nothing",
            format!(
                "{}failed to get TLS config: secret 'notify/nothing' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'",
                start("nothing")
            ),
        ),
        (
            "broken",
            format!("{}failed to initialize notifier: failed to parse CA certificate", start("broken")),
        ),
        (
            "missing",
            format!(
                "{}failed to get secret 'notify/missing': secrets \"missing\" not found",
                start("missing")
            ),
        ),
    ] {
        let found = complaint(&world, name).await;
        assert!(found.starts_with(&expected), "{name}: {found}\nexpected: {expected}");
    }
    for name in ["other", "system", "in-secret-ref"] {
        let found = complaint(&world, name).await;
        assert!(found.contains("certificate"), "{name}: {found}");
        assert!(!found.contains("giving up"), "a certificate does not become good by asking again: {found}");
        assert!(sink.at(&format!("/{name}")).is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_to_who_asks() {
    let world = World::start().await;
    let authority = Authority::new();
    let sink = service(&authority.issue("localhost"), Some(&authority)).await;
    let client = authority.issue("notification-controller");
    let stranger = Authority::new().issue("notification-controller");
    let pair =
        |pair: &Pair| json!({"ca.crt": authority.pem(), "tls.crt": pair.certificate, "tls.key": pair.key});
    world.secret("notify", "client", pair(&client)).await;
    world.secret("notify", "stranger", pair(&stranger)).await;
    world
        .secret(
            "notify",
            "mixed",
            pair(&Pair { certificate: client.certificate.clone(), key: stranger.key.clone() }),
        )
        .await;
    let mut hook = pair(&client);
    hook["token"] = "t".into();
    world.secret("notify", "gitea", hook).await;
    for name in ["client", "stranger", "mixed"] {
        let address = format!("{}/{name}", sink.address);
        let spec =
            json!({"type": "generic", "timeout": "2s", "address": address, "certSecretRef": {"name": name}});
        world.alert_with(name, spec, json!({})).await;
    }
    // Types that set commit statuses find certificates in the Secret with the token as well.
    let address = format!("{}/org/repo", sink.address);
    world
        .alert_with(
            "gitea",
            json!({"type": "gitea", "address": address, "secretRef": {"name": "gitea"}}),
            json!({}),
        )
        .await;
    let mut event = event("app", "m");
    event["severity"] = "error".into();
    event["metadata"]["event.toolkit.fluxcd.io/commit"] =
        "main@sha1:0123456789abcdef0123456789abcdef01234567".into();
    assert_eq!(world.post(&event).await, 202);
    until("the certificate was shown", || async { sink.at("/client").len() == 1 }).await;
    until("two refusals", || async {
        !world.events_about("Alert", "stranger").await.is_empty()
            && !world.events_about("Alert", "mixed").await.is_empty()
    })
    .await;
    assert!(sink.at("/stranger").is_empty() && sink.at("/mixed").is_empty());
    let status = "/api/v1/repos/org/repo/statuses/0123456789abcdef0123456789abcdef01234567";
    let metadata = world.events_about("Alert", "gitea").await;
    until(&format!("a commit status; {metadata:?}"), || async { sink.at(status).len() == 1 }).await;
    assert_eq!(sink.at(status)[0].headers["authorization"], "token t");
    assert_eq!(sink.at(status)[0].json()["state"], "failure");
}
