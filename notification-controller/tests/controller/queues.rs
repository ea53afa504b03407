//! Queues, where the server itself is there to be tested with.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::tls::{Authority, complaint};
use crate::world::{World, event, free_port, until};
use async_nats::ConnectOptions;
use futures::StreamExt;
use serde_json::{Value, json};

/// Ends the server with the test.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with these arguments, and its port; none where it is not installed.
fn server(arguments: &[&str]) -> Option<(Server, u16)> {
    let port = free_port();
    let spawned = Command::new("nats-server")
        .args([
            "--addr",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--user",
            "flux",
            "--pass",
            "test-password",
        ])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match spawned {
        Ok(spawned) => Some((Server(spawned), port)),
        Err(_) => {
            println!("nats-server is not installed: nothing was tested");
            None
        }
    }
}

async fn connected(address: &str, options: impl Fn(ConnectOptions) -> ConnectOptions) -> async_nats::Client {
    let connected = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let user = ConnectOptions::with_user_and_password("flux".into(), "test-password".into());
            match options(user).connect(address).await {
                Ok(client) => return client,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    connected.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_has_the_event() {
    let Some((_server, port)) = server(&[]) else { return };
    let address = format!("nats://127.0.0.1:{port}");
    let client = connected(&address, |options| options).await;
    let mut subscription = client.subscribe("flux.events").await.unwrap();

    let world = World::start().await;
    for (name, password) in [("good", "test-password"), ("bad", "other-password")] {
        world.secret("notify", name, json!({"username": "flux", "password": password})).await;
        world.alert_with(name, json!({"type": "nats", "address": address, "channel": "flux.events", "secretRef": {"name": name}}), json!({})).await;
    }
    assert_eq!(world.post(&event("app", "to the queue")).await, 202);
    let message = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await.unwrap().unwrap();
    let received: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(received["message"], "to the queue");
    assert_eq!(received["metadata"]["revision"], "main@sha1:0123456789abcdef0123456789abcdef01234567");
    until("a complaint about the password", || async {
        let events = world.events_about("Alert", "bad").await;
        events.iter().any(|(_, reason, message, _)| {
            assert!(!message.contains("other-password"), "{message}");
            reason == "NotificationDispatchFailed"
                && message.contains("error publishing event to subject flux.events")
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_behind_tls_must_prove_itself_and_asks_who_comes() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (own, client) = (authority.issue("localhost"), clients.issue("flux"));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("server.crt", &own.certificate), file("server.key", &own.key));
    let (ca, client_ca) = (file("ca.crt", &authority.pem()), file("clients.crt", &clients.pem()));
    let (client_certificate, client_key) =
        (file("client.crt", &client.certificate), file("client.key", &client.key));
    let tls =
        ["--tls", "--tlsverify", "--tlscert", &certificate, "--tlskey", &key, "--tlscacert", &client_ca];
    let Some((_server, port)) = server(&tls) else { return };
    fluxide_runtime::tls::install_provider();
    let address = format!("nats://localhost:{port}");
    let subscriber = connected(&address, |options| {
        options
            .require_tls(true)
            .add_root_certificates(ca.clone().into())
            .add_client_certificate(client_certificate.clone().into(), client_key.clone().into())
    })
    .await;
    let mut subscription = subscriber.subscribe("flux.events").await.unwrap();

    let world = World::start().await;
    world.secret("notify", "login", json!({"username": "flux", "password": "test-password"})).await;
    let whole = json!({"ca.crt": authority.pem(), "tls.crt": client.certificate, "tls.key": client.key});
    let stranger = json!({"ca.crt": clients.pem(), "tls.crt": client.certificate, "tls.key": client.key});
    let nobody = json!({"ca.crt": authority.pem()});
    for (name, certificates) in [("whole", whole), ("stranger", stranger), ("nobody", nobody)] {
        world.secret("notify", &format!("{name}-tls"), certificates).await;
        let provider = json!({"type": "nats", "address": address, "channel": "flux.events",
            "secretRef": {"name": "login"}, "certSecretRef": {"name": format!("{name}-tls")}});
        world.alert_with(name, provider, json!({"eventMetadata": {"alert": name}})).await;
    }
    assert_eq!(world.post(&event("app", "through TLS")).await, 202);
    let message = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await.unwrap().unwrap();
    let received: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(
        (&received["message"], &received["metadata"]["alert"]),
        (&json!("through TLS"), &json!("whole"))
    );
    for name in ["stranger", "nobody"] {
        let message = complaint(&world, name).await;
        assert!(message.contains("error connecting to server"), "{message}");
    }
}
