//! Bad input ends in a condition whose message a person can act on.

use fluxide::dev::git_server::BasicAuth;
use fluxide_e2e::{Setup, World, wait};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_branch_is_named() -> anyhow::Result<()> {
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("a.yaml", "")?;
    repository.push("Nothing much").await?;
    world.git_repository("fleet", repository.url(), json!({"ref": {"branch": "absent"}})).await?;
    let failed = wait::until(&world.git_repositories(), "fleet", "failed", |object| {
        wait::condition(object, "Ready")["status"] == "False"
    })
    .await?;
    let message = wait::condition(&failed, "Ready")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("absent"), "{message}");
    assert_eq!(wait::condition(&failed, "Ready")["reason"], "GitOperationFailed");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_used_and_never_shown() -> anyhow::Result<()> {
    let auth = BasicAuth { username: "flux".into(), password: "correct-horse".into() };
    let world = World::start_with(Setup { auth: Some(auth), ..Setup::default() }).await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n")?;
    let revision = repository.push("Settings").await?;
    let secret = |password: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git"},
               "stringData": {"username": "flux", "password": password}})
    };
    world.apply(secret("battery-staple")).await?;
    world.git_repository("fleet", repository.url(), json!({"secretRef": {"name": "git"}})).await?;
    let sources = world.git_repositories();
    let failed = wait::until(&sources, "fleet", "refused", |object| {
        wait::condition(object, "Ready")["status"] == "False"
    })
    .await?;
    assert!(!failed.to_string().contains("battery-staple"), "the password is in the status");
    world.apply(secret("correct-horse")).await?;
    world.request_reconcile(&sources, "fleet").await?;
    let ready = wait::until(&sources, "fleet", "ready", wait::is_ready).await?;
    assert_eq!(ready["status"]["artifact"]["revision"], revision.as_str());
    world.stop().await
}
