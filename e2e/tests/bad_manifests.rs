//! What a repository gets wrong ends in a condition and an event whose message says what to change, and takes nothing away.

use fluxide_e2e::{Repository, World, wait};
use kube::api::ListParams;
use serde_json::{Value, json};

const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: blue\n";

/// A world where `GOOD` was applied from `settings.yaml`.
async fn world() -> anyhow::Result<(World, Repository)> {
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", GOOD)?;
    let revision = repository.push("Good").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    wait::until(&world.kustomizations(), "apps", "ready", |object| {
        wait::is_ready(object) && object["status"]["lastAppliedRevision"] == revision.as_str()
    })
    .await?;
    Ok((world, repository))
}

/// Pushes what was written and waits for the failure with this reason; its condition and its event say all of `texts`.
async fn fails(
    world: &World,
    repository: &Repository,
    reason: &str,
    texts: &[&str],
) -> anyhow::Result<Value> {
    let revision = repository.push("Bad").await?;
    world.request_reconcile(&world.git_repositories(), "fleet").await?;
    let failed = wait::until(&world.kustomizations(), "apps", "failed", |object| {
        wait::failed_with(object, reason) && object["status"]["lastAttemptedRevision"] == revision.as_str()
    })
    .await?;
    let message = wait::condition(&failed, "Ready")["message"].as_str().unwrap_or_default().to_owned();
    for text in texts {
        assert!(message.contains(text), "the condition does not say {text:?}: {message}");
    }
    let events = world.api("v1", "Event");
    let end = tokio::time::Instant::now() + wait::DEADLINE;
    loop {
        let found = serde_json::to_value(events.list(&ListParams::default()).await?.items)?;
        let told = found.as_array().into_iter().flatten().any(|event| {
            let message = event["message"].as_str().unwrap_or_default();
            event["involvedObject"]["kind"] == "Kustomization"
                && event["type"] == "Warning"
                && event["reason"] == reason
                && texts.iter().all(|text| message.contains(text))
        });
        if told {
            break;
        }
        anyhow::ensure!(tokio::time::Instant::now() < end, "no event says {texts:?}: {found:#}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let settings = world.api("v1", "ConfigMap").get_opt("settings").await?;
    anyhow::ensure!(settings.is_some(), "what worked before is gone");
    Ok(failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_that_cannot_be_read_names_its_file() -> anyhow::Result<()> {
    let (world, repository) = world().await?;
    repository.write("broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n")?;
    fails(&world, &repository, "BuildFailed", &["broken.yaml"]).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_nobody_serves_is_named() -> anyhow::Result<()> {
    let (world, repository) = world().await?;
    repository.write("gadget.yaml", "apiVersion: example.com/v1\nkind: Gadget\nmetadata:\n  name: mine\n")?;
    fails(&world, &repository, "ReconciliationFailed", &["Gadget", "mine", "example.com/v1"]).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_cannot_change_is_named() -> anyhow::Result<()> {
    let (world, repository) = world().await?;
    let immutable = format!("{GOOD}immutable: true\n");
    repository.write("settings.yaml", &immutable)?;
    repository.push("For ever").await?;
    world.request_reconcile(&world.git_repositories(), "fleet").await?;
    wait::until(&world.api("v1", "ConfigMap"), "settings", "immutable", |object| object["immutable"] == true)
        .await?;
    repository.write("settings.yaml", &immutable.replace("blue", "red"))?;
    fails(&world, &repository, "ReconciliationFailed", &["ConfigMap", "settings", "immutable"]).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_the_tenant_may_not_touch_is_named() -> anyhow::Result<()> {
    let (world, repository) = world().await?;
    let namespace = world.cluster.namespace.clone();
    world
        .apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant"}}))
        .await?;
    world
        .apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "tenant"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]}))
        .await?;
    world
        .apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "tenant"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
            "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}]}))
        .await?;
    let elsewhere = GOOD.replace("  name: settings\n", "  name: intruder\n  namespace: kube-system\n");
    repository.write("intruder.yaml", &elsewhere)?;
    let spec = json!({"serviceAccountName": "tenant", "targetNamespace": null});
    repository.write(
        "settings.yaml",
        &GOOD.replace("settings\n", &format!("settings\n  namespace: {namespace}\n")),
    )?;
    world.kustomization("apps", "fleet", spec).await?;
    fails(&world, &repository, "ReconciliationFailed", &["intruder", "kube-system", "forbidden"]).await?;
    world.stop().await
}
