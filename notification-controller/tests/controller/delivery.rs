//! What happens to notifications when services, or this controller, fail.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::world::{DEADLINE, World, event, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_provider_delays_nobody() {
    let world = World::start().await;
    world.alert("dead", "/hang/x", json!({})).await;
    world.alert("alive", "/alive", json!({})).await;
    let started = std::time::Instant::now();
    for number in 0..200 {
        assert_eq!(world.post(&event(&format!("app-{number}"), "m")).await, 202);
    }
    until("all notifications of the living one", || async { world.sink.at("/alive").len() == 200 }).await;
    assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
    assert!(world.sink.at("/hang/x").len() <= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_tried_again_and_keeps_its_order() {
    let world = World::start().await;
    world.sink.set_broken(true);
    let provider =
        json!({"type": "generic", "address": format!("{}/a", world.sink.address), "timeout": "1s"});
    world.alert_with("a", provider, json!({})).await;
    for number in 0..3 {
        assert_eq!(world.post(&event("app", &format!("message {number}"))).await, 202);
    }
    until("a complaint", || async {
        let events = world.events_about("Alert", "a").await;
        events.iter().any(|(_, reason, message, _)| {
            reason == "NotificationDispatchFailed" && message.contains("giving up after 1 attempt(s)")
        })
    })
    .await;
    world.sink.set_broken(false);
    let told = || {
        let told = world.sink.at("/a").into_iter().filter(|received| !received.refused);
        told.map(|received| received.json()["message"].clone()).collect::<Vec<Value>>()
    };
    until("all messages", || async { told().len() >= 3 }).await;
    assert_eq!(told(), [json!("message 0"), json!("message 1"), json!("message 2")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_revision_become_one_message() {
    let world = World::start().await;
    world.alert("digest", "/digest", json!({})).await;
    let annotation = json!({"metadata": {"annotations": {"notification.fluxide.io/digest-window": "1s"}}});
    let alerts = world.api("notification.toolkit.fluxcd.io/v1beta3", "Alert", "notify");
    let alert =
        alerts.patch("digest", &Default::default(), &kube::api::Patch::Merge(&annotation)).await.unwrap();
    world.until_known(&alert).await;
    for number in 0..20 {
        let mut event = event(&format!("app-{number:02}"), "applied");
        if number == 7 {
            event["severity"] = "error".into();
        }
        assert_eq!(world.post(&event).await, 202);
    }
    until("a message", || async { !world.sink.at("/digest").is_empty() }).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let messages = world.sink.at("/digest");
    assert_eq!(messages.len(), 1);
    let message = messages[0].json();
    assert_eq!(message["severity"], "error");
    assert_eq!(message["involvedObject"]["name"], "app-07");
    let text = message["message"].as_str().unwrap();
    assert!(text.starts_with("20 events, 1 of them errors\n"), "{text}");
    assert_eq!(text.lines().count(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_addresses_can_be_refused() {
    let world = World::start_with(&["--provider-address-policy=external"]).await;
    world.alert("internal", "/internal", json!({})).await;
    assert_eq!(world.post(&event("app", "m")).await, 202);
    until("a complaint", || async {
        let events = world.events_about("Alert", "internal").await;
        events.iter().any(|(_, _, message, _)| {
            message.contains("is not allowed by --provider-address-policy=external")
        })
    })
    .await;
    assert!(world.sink.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_but_credentials_stay() {
    let world = World::start().await;
    let other = crate::world::Sink::start().await;
    world
        .secret("notify", "s", json!({"token": "hunter2-token", "headers": "X-Api-Key: key-in-header\n"}))
        .await;
    for (name, target) in [("same", "/same".to_owned()), ("cross", format!("/{}/cross", other.address))] {
        // The sink redirects to what follows; another server is named by its whole address.
        let address = format!("{}/redirect{}", world.sink.address, target);
        world
            .alert_with(
                name,
                json!({"type": "slack", "address": address, "secretRef": {"name": "s"}}),
                json!({}),
            )
            .await;
    }
    assert_eq!(world.post(&event("app", "m")).await, 202);
    until("the redirected request", || async { !world.sink.at("/same").is_empty() }).await;
    let same = world.sink.at("/same").remove(0);
    assert_eq!(
        (same.method.as_str(), &same.headers["authorization"]),
        ("POST", &"Bearer hunter2-token".parse().unwrap())
    );
    assert!(same.json()["attachments"].is_array());
    until("the request at the other server", || async { !other.at("/cross").is_empty() }).await;
    let cross = other.at("/cross").remove(0);
    assert!(cross.json()["attachments"].is_array());
    assert!(!cross.headers.contains_key("authorization") && !cross.headers.contains_key("x-api-key"));
}

/// The binary, as it runs in a pod.
struct Process {
    child: Child,
    events: String,
}

impl Process {
    fn start(world: &World, kubeconfig: &std::path::Path, queue: &std::path::Path, port: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_notification-controller"))
            .args(["--metrics-addr=0", "--health-addr=0", "--receiverAddr=0", "--log-level=error"])
            .arg(format!("--events-addr=127.0.0.1:{port}"))
            .arg(format!("--delivery-queue-path={}", queue.display()))
            .env("KUBECONFIG", kubeconfig)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = world;
        Self { child, events: format!("http://127.0.0.1:{port}/") }
    }

    /// As `kill -9`.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_kill_9() {
    let world = World::without_controller().await;
    world.sink.set_broken(true);
    world.alert("a", "/a", json!({})).await;
    let directory = tempfile::tempdir().unwrap();
    let (kubeconfig, queue) = (directory.path().join("kubeconfig"), directory.path().join("queue"));
    std::fs::write(&kubeconfig, world.server.kubeconfig()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);

    let mut process = Process::start(&world, &kubeconfig, &queue, port);
    let accepts = async |event: Value| {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            let sent = world.http.post(&process.events).json(&event).send().await;
            match sent {
                Ok(answer) if answer.status() == 202 => return,
                _ => assert!(tokio::time::Instant::now() < end, "no answer: {sent:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    for number in 0..50 {
        accepts(event(&format!("app-{number}"), "m")).await;
    }
    process.kill();
    world.sink.set_broken(false);
    let before = world.sink.received().len();
    let _process = Process::start(&world, &kubeconfig, &queue, port);
    until("all of them", || async {
        let received = world.sink.received();
        let mut names: Vec<String> =
            received[before..].iter().map(|r| r.json()["involvedObject"]["name"].to_string()).collect();
        names.sort();
        names.dedup();
        names.len() == 50
    })
    .await;
}
