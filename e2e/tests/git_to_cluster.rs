//! A push to Git reaches the cluster, and the cluster stays so.

use fluxide_e2e::{World, wait};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: blue\n";
const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: robot\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_applied_and_a_removal_pruned() -> anyhow::Result<()> {
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", CONFIG)?;
    repository.write("robot.yaml", ACCOUNT)?;
    let first = repository.push("Settings and a robot").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    world.kustomization("apps", "fleet", json!({"wait": true})).await?;

    let (sources, kustomizations) = (world.git_repositories(), world.kustomizations());
    let source = wait::until(&sources, "fleet", "ready", wait::is_ready).await?;
    assert_eq!(source["status"]["artifact"]["revision"], first.as_str());
    assert_eq!(
        wait::condition(&source, "Ready")["message"],
        format!("stored artifact for revision '{first}'"),
    );
    let apps = wait::until(&kustomizations, "apps", "ready", wait::is_ready).await?;
    assert_eq!(apps["status"]["lastAppliedRevision"], first.as_str());
    assert_eq!(wait::condition(&apps, "Ready")["message"], format!("Applied revision: {first}"));
    let mut entries: Vec<_> =
        apps["status"]["inventory"]["entries"].as_array().into_iter().flatten().collect();
    entries.sort_by_key(|entry| entry["id"].as_str());
    let namespace = &world.cluster.namespace;
    assert_eq!(
        json!(entries),
        json!([{"id": format!("{namespace}_robot__ServiceAccount"), "v": "v1"},
               {"id": format!("{namespace}_settings__ConfigMap"), "v": "v1"}]),
    );
    let settings = serde_json::to_value(world.api("v1", "ConfigMap").get("settings").await?)?;
    assert_eq!(settings["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "apps");
    assert_eq!(settings["metadata"]["managedFields"][0]["manager"], "kustomize-controller");

    repository.remove("robot.yaml")?;
    repository.write("settings.yaml", &CONFIG.replace("blue", "red"))?;
    let second = repository.push("Red, and no robot").await?;
    world.reconcile(&sources, "fleet").await?;
    wait::until(&kustomizations, "apps", "at the new revision", |object| {
        wait::is_ready(object) && object["status"]["lastAppliedRevision"] == second.as_str()
    })
    .await?;
    let settings = serde_json::to_value(world.api("v1", "ConfigMap").get("settings").await?)?;
    assert_eq!(settings["data"]["colour"], "red");
    wait::until_gone(&world.api("v1", "ServiceAccount"), "robot").await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_comes_back() -> anyhow::Result<()> {
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", CONFIG)?;
    repository.write("robot.yaml", ACCOUNT)?;
    repository.push("Settings and a robot").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    let kustomizations = world.kustomizations();
    wait::until(&kustomizations, "apps", "ready", wait::is_ready).await?;

    let configs = world.api("v1", "ConfigMap");
    let edit = PatchParams { field_manager: Some("kubectl-edit".into()), ..Default::default() };
    configs.patch("settings", &edit, &Patch::Merge(json!({"data": {"colour": "green"}}))).await?;
    world.api("v1", "ServiceAccount").delete("robot", &DeleteParams::default()).await?;
    wait::until_gone(&world.api("v1", "ServiceAccount"), "robot").await?;
    world.reconcile(&kustomizations, "apps").await?;
    let settings = serde_json::to_value(configs.get("settings").await?)?;
    assert_eq!(settings["data"]["colour"], "blue");
    assert!(world.api("v1", "ServiceAccount").get_opt("robot").await?.is_some());
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_kustomization_prunes_what_it_applied() -> anyhow::Result<()> {
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", CONFIG)?;
    repository.push("Settings").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    let kustomizations = world.kustomizations();
    wait::until(&kustomizations, "apps", "ready", wait::is_ready).await?;
    kustomizations.delete("apps", &DeleteParams::default()).await?;
    wait::until_gone(&kustomizations, "apps").await?;
    wait::until_gone(&world.api("v1", "ConfigMap"), "settings").await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kustomization_waits_for_what_it_depends_on() -> anyhow::Result<()> {
    let world = World::start().await?;
    let repository = world.repository("fleet").await?;
    repository.write("base/settings.yaml", CONFIG)?;
    repository.write("app/robot.yaml", ACCOUNT)?;
    repository.push("A base and an application").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    let depends = json!({"path": "./app", "dependsOn": [{"name": "base"}]});
    world.kustomization("app", "fleet", depends).await?;
    let kustomizations = world.kustomizations();
    let waiting = wait::until(&kustomizations, "app", "waiting", |object| {
        wait::failed_with(object, "DependencyNotReady")
    })
    .await?;
    assert_eq!(waiting["status"]["inventory"], json!(null));
    world.kustomization("base", "fleet", json!({"path": "./base"})).await?;
    wait::until(&kustomizations, "base", "ready", wait::is_ready).await?;
    world.reconcile(&kustomizations, "app").await?;
    wait::until(&kustomizations, "app", "ready", wait::is_ready).await?;
    world.stop().await
}
