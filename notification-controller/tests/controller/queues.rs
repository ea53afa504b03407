//! Queues, where the server itself is there to be tested with.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::world::{World, event, until};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_has_the_event() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
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
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(spawned) = spawned else {
        println!("nats-server is not installed: nothing was tested");
        return;
    };
    let _server = Server(spawned);
    let address = format!("nats://127.0.0.1:{port}");
    let connected = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let options =
                async_nats::ConnectOptions::with_user_and_password("flux".into(), "test-password".into());
            match options.connect(&address).await {
                Ok(client) => return client,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let mut subscription = connected.await.unwrap().subscribe("flux.events").await.unwrap();

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
