//! Random webhooks, answered as Flux answered the same: statuses, bodies, and whether a reconciliation was asked for.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::{World, corpus_text, until};

const RECEIVER: &str = "notification.toolkit.fluxcd.io/v1";
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Call(Call),
    Receiver { receiver: usize, spec: Value },
}

#[derive(Deserialize)]
struct Call {
    receiver: usize,
    method: String,
    headers: Option<Vec<(String, String)>>,
    body: String,
    status: u16,
    asked: bool,
}

fn lines() -> Vec<Line> {
    let text = match std::env::var_os("FLUXIDE_WEBHOOK_CALLS") {
        Some(path) => std::fs::read_to_string(path).unwrap(),
        None => corpus_text("webhook-calls.jsonl"),
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_webhooks_are_answered_as_flux_answers_them() {
    let world = World::start().await;
    world
        .secret("hooks", "token", json!({"token": "s3cret-token", "email": "a@b.c", "audience": "aud"}))
        .await;
    world
        .apply(json!({"apiVersion": SOURCE, "kind": "GitRepository", "metadata": {"name": "app", "namespace": "hooks"},
            "spec": {"interval": "1h", "url": "https://example.test/app.git"}}))
        .await;
    let (mut specs, mut calls) = (BTreeMap::new(), Vec::new());
    for line in lines() {
        match line {
            Line::Receiver { receiver, spec } => {
                specs.insert(receiver, spec);
            }
            Line::Call(call) => calls.push(call),
        }
    }
    for (number, spec) in &specs {
        world
            .apply(json!({"apiVersion": RECEIVER, "kind": "Receiver", "spec": spec,
                "metadata": {"name": format!("r{number}"), "namespace": "hooks"}}))
            .await;
    }
    let receivers = world.api(RECEIVER, "Receiver", "hooks");
    let mut paths = BTreeMap::new();
    for (number, spec) in &specs {
        let name = format!("r{number}");
        until(&format!("{name} is ready: {spec}"), || async {
            serde_json::to_value(receivers.get(&name).await.unwrap()).unwrap()["status"]["webhookPath"]
                .is_string()
        })
        .await;
        let object = serde_json::to_value(receivers.get(&name).await.unwrap()).unwrap();
        paths.insert(*number, object["status"]["webhookPath"].as_str().unwrap().to_owned());
    }
    let repositories = world.api(SOURCE, "GitRepository", "hooks");
    let asked_at = async || {
        let object = repositories.get("app").await.unwrap();
        object.metadata.annotations.and_then(|all| all.get("reconcile.fluxcd.io/requestedAt").cloned())
    };
    let (mut before, mut wrong) = (asked_at().await, Vec::new());
    for call in &calls {
        let body = STANDARD.decode(&call.body).unwrap();
        let shown = String::from_utf8_lossy(&body).chars().take(400).collect::<String>();
        let url = format!("{}{}", world.webhooks, paths[&call.receiver]);
        let mut request = world.http.request(call.method.parse().unwrap(), url).body(body);
        for (name, value) in call.headers.iter().flatten() {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let now = asked_at().await;
        let asked = now != before;
        before = now;
        if status != call.status || asked != call.asked || !text.is_empty() {
            wrong.push(format!(
                "{} {} {:?} {shown}\n  {status} {asked} {text:?}, not {} {}",
                specs[&call.receiver], call.method, call.headers, call.status, call.asked
            ));
        }
    }
    println!("{} calls of {} receivers", calls.len(), specs.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), calls.len(), wrong.join("\n"));
}
