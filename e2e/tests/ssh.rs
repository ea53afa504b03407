//! Git over SSH from OpenSSH's server: by key, and only from the host that is known.

#[path = "../../shared/git/tests/support/sshd.rs"]
#[allow(dead_code, reason = "written for the tests of the Git crate, which use more of it")]
mod sshd;

use std::path::Path;

use anyhow::Context;
use fluxide_e2e::{World, wait};
use serde_json::{Value, json};
use sshd::{Sshd, keygen};

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: blue\n";

fn credentials(identity: &Path, known_hosts: &str, password: Option<&str>) -> anyhow::Result<Value> {
    let mut data = json!({"identity": std::fs::read_to_string(identity)?, "known_hosts": known_hosts});
    if let Some(password) = password {
        data["password"] = json!(password);
    }
    Ok(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "deploy-key"}, "stringData": data}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_applied_from_a_server_that_is_known() -> anyhow::Result<()> {
    let server = Sshd::start("").context("OpenSSH's server is not installed")?;
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", CONFIG)?;
    let first = repository.push("Blue").await?;
    let url = server.url(&world.bare_repository("fleet"));
    let sources = world.git_repositories();

    // The key of another host: nothing is sent to whoever answers.
    keygen(&server.path("stranger"), "ed25519", "");
    let stranger = format!("[127.0.0.1]:{} {}", server.port, server.read("stranger.pub"));
    world.apply(credentials(&server.path("client"), &stranger, None)?).await?;
    world.git_repository("fleet", &url, json!({"secretRef": {"name": "deploy-key"}})).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    let failed = wait::until(&sources, "fleet", "refused", |object| {
        wait::condition(object, "Ready")["status"] == "False"
    })
    .await?;
    let message = wait::condition(&failed, "Ready")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("key mismatch") || message.contains("known_hosts"), "{message}");
    assert!(!failed.to_string().contains("PRIVATE KEY"), "the identity is in the status");
    assert!(failed["status"]["artifact"].is_null());

    // The right host, and a key with a passphrase.
    keygen(&server.path("guarded"), "rsa", "open sesame");
    server.authorize("guarded");
    let known = server.known_hosts("ed25519");
    world.apply(credentials(&server.path("guarded"), &known, Some("open sesame"))?).await?;
    world.request_reconcile(&sources, "fleet").await?;
    let source = wait::until(&sources, "fleet", "ready", wait::is_ready).await?;
    assert_eq!(source["status"]["artifact"]["revision"], first.as_str());
    let kustomizations = world.kustomizations();
    wait::until(&kustomizations, "apps", "ready", wait::is_ready).await?;

    repository.write("settings.yaml", &CONFIG.replace("blue", "red"))?;
    let second = repository.push("Red").await?;
    world.request_reconcile(&sources, "fleet").await?;
    wait::until(&kustomizations, "apps", "at the new revision", |object| {
        object["status"]["lastAppliedRevision"] == second.as_str()
    })
    .await?;
    let settings = serde_json::to_value(world.api("v1", "ConfigMap").get("settings").await?)?;
    assert_eq!(settings["data"]["colour"], "red");
    world.stop().await
}
