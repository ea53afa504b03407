//! What happens in the cluster is told, once and to the right ones, also when something dies on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use fluxide_e2e::{Setup, Sink, World, wait};
use serde_json::{Value, json};

const CONTROLLER: &str = env!("CARGO_BIN_EXE_controller");
const NOTIFICATION: &str = "notification-controller";
const API: &str = "notification.toolkit.fluxcd.io/v1beta3";

/// A Provider that sends to `address`, and an Alert that selects all Kustomizations for it.
async fn alert(world: &World, name: &str, provider: Value, more: Value) -> anyhow::Result<()> {
    world
        .apply(json!({"apiVersion": API, "kind": "Provider", "metadata": {"name": name}, "spec": provider}))
        .await?;
    let mut spec =
        json!({"providerRef": {"name": name}, "eventSources": [{"kind": "Kustomization", "name": "*"}]});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    world.apply(json!({"apiVersion": API, "kind": "Alert", "metadata": {"name": name}, "spec": spec})).await
}

fn attachment(body: &[u8]) -> Value {
    serde_json::from_slice::<Value>(body).unwrap_or_default()["attachments"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_fails_and_one_that_mends_it_are_told() -> anyhow::Result<()> {
    let world = World::start().await?;
    let sink = Sink::start().await?;
    alert(&world, "chat", json!({"type": "slack", "address": sink.url("/chat")}), json!({})).await?;
    let bad = json!({"eventSeverity": "error", "eventMetadata": {"cluster": "e2e"}});
    alert(&world, "errors", json!({"type": "generic", "address": sink.url("/errors")}), bad).await?;

    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n")?;
    let first = repository.push("Settings").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    let kustomizations = world.kustomizations();
    wait::until(&kustomizations, "apps", "ready", wait::is_ready).await?;
    let namespace = world.cluster.namespace.clone();
    sink.until("told of the ConfigMap", |received| {
        received.iter().any(|received| {
            let said = attachment(&received.body);
            received.path == "/chat"
                && said["author_name"] == format!("kustomization/apps.{namespace}")
                && said["color"] == "good"
                && said["text"] == format!("ConfigMap/{namespace}/settings created")
                && said["fields"] == json!([{"title": "revision", "value": first, "short": false}])
        })
    })
    .await?;

    repository.write("broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Not_A_Name\n")?;
    let second = repository.push("Broken").await?;
    world.reconcile(&world.git_repositories(), "fleet").await?;
    sink.until("told of the failure", |received| {
        let of_errors = received.iter().filter(|received| received.path == "/errors");
        let mut events =
            of_errors.map(|received| serde_json::from_slice::<Value>(&received.body).unwrap_or_default());
        events.any(|event| {
            event["severity"] == "error"
                && event["involvedObject"]["name"] == "apps"
                && event["metadata"]["cluster"] == "e2e"
                && event["metadata"]["revision"] == second.as_str()
                && event["message"].as_str().is_some_and(|message| message.contains("Not_A_Name"))
        })
    })
    .await?;
    let errors = |received: &[fluxide_e2e::sink::Received]| {
        received.iter().filter(|received| received.path == "/errors").count()
    };
    assert!(errors(&sink.received()) >= 1);
    repository.remove("broken.yaml")?;
    repository.write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\n")?;
    repository.push("Mended").await?;
    world.reconcile(&world.git_repositories(), "fleet").await?;
    sink.until("told that it is mended", |received| {
        received.iter().any(|received| {
            attachment(&received.body)["text"] == format!("ConfigMap/{namespace}/other created")
        })
    })
    .await?;
    world.stop().await
}

fn event(namespace: &str, name: &str) -> Value {
    json!({
        "involvedObject": {"kind": "Kustomization", "namespace": namespace, "name": name, "uid": name,
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1"},
        "severity": "error", "timestamp": "2026-08-01T10:00:00Z", "message": "it broke", "reason": "HealthCheckFailed",
        "reportingController": "kustomize-controller",
    })
}

fn names(sink: &Sink) -> BTreeSet<String> {
    let name = |body: &[u8]| {
        let event = serde_json::from_slice::<Value>(body).unwrap_or_default();
        event["involvedObject"]["name"].as_str().unwrap_or_default().to_owned()
    };
    sink.received().iter().map(|received| name(&received.body)).collect()
}

/// Posts until the controller takes it, as the other controllers do.
async fn posted(client: &reqwest::Client, address: &str, event: &Value) -> anyhow::Result<bool> {
    for _ in 0..400 {
        match client.post(address).json(event).send().await {
            Ok(answer) if answer.status() == 202 => return Ok(true),
            Ok(answer) if answer.status() == 429 => return Ok(false),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    anyhow::bail!("the event server does not answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_told_after_kill_9() -> anyhow::Result<()> {
    let world = World::start_with(Setup { no_controllers: true, ..Setup::default() }).await?;
    let sink = Sink::start().await?;
    sink.set_broken(true);
    let provider = json!({"type": "generic", "address": sink.url("/"), "timeout": "1s"});
    alert(&world, "generic", provider, json!({})).await?;
    let launcher = world.launcher(CONTROLLER)?;
    let queue = format!("--delivery-queue-path={}", world.process_home().join("queue").display());
    let address = format!("http://{}/", launcher.flag(NOTIFICATION, "--events-addr")?);
    let namespace = world.cluster.namespace.clone();
    let client = reqwest::Client::new();

    let mut accepted = BTreeSet::new();
    let mut number = 0;
    for _ in 0..4 {
        let process = launcher.start(NOTIFICATION, &[&queue])?;
        for _ in 0..40 {
            let name = format!("app-{number}");
            if posted(&client, &address, &event(&namespace, &name)).await? {
                accepted.insert(name);
            }
            number += 1;
        }
        // While more comes in: what was answered with 202 counts, what was not does not.
        let flood: Vec<_> = (0..40)
            .map(|more| {
                let (name, client, address) =
                    (format!("app-{}", number + more), client.clone(), address.clone());
                let event = event(&namespace, &name);
                tokio::spawn(async move {
                    let answer = client.post(address).json(&event).send().await;
                    answer.is_ok_and(|answer| answer.status() == 202).then_some(name)
                })
            })
            .collect();
        number += 40;
        tokio::time::sleep(Duration::from_millis(10)).await;
        process.kill()?;
        for sent in flood {
            accepted.extend(sent.await?);
        }
    }
    assert!(accepted.len() >= 160, "{}", accepted.len());
    assert_eq!(sink.count(), 0);
    sink.set_broken(false);
    let process = launcher.start(NOTIFICATION, &[&queue])?;
    sink.until("all of them there", |_| names(&sink).is_superset(&accepted)).await?;
    // What is delivered is not delivered once more by the next process.
    process.terminate()?;
    let delivered = sink.count();
    let process = launcher.start(NOTIFICATION, &[&queue])?;
    assert!(posted(&client, &address, &event(&namespace, "the-last")).await?);
    sink.until("the last there", |_| names(&sink).contains("the-last")).await?;
    assert_eq!(sink.count(), delivered + 1);
    process.terminate()?;
    println!("{} notifications, accepted by 4 processes that were killed, are told", accepted.len());
    world.stop().await
}
