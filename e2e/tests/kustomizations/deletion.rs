//! What is left when a Kustomization is deleted.

use fluxide_e2e::wait;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::{config, get, push, world};

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_says_what_is_left() -> anyhow::Result<()> {
    let (world, repository, _) = world(&[]).await?;
    let cases = [
        ("mirror", json!({"prune": true}), false),
        ("mirror-kept", json!({"prune": false}), true),
        ("delete", json!({"prune": false, "deletionPolicy": "Delete"}), false),
        ("orphan", json!({"prune": true, "deletionPolicy": "Orphan"}), true),
        ("suspended", json!({"prune": true, "deletionPolicy": "Delete"}), true),
    ];
    for (name, _, _) in &cases {
        repository.write(&format!("{name}/a.yaml"), &config(name, "1"))?;
    }
    let revision = push(&world, &repository, "All").await?;
    for (name, spec, _) in &cases {
        let mut spec = spec.clone();
        spec["path"] = format!("./{name}").into();
        world.kustomization(name, "fleet", spec).await?;
    }
    for (name, _, _) in &cases {
        world.applied(name, &revision).await?;
    }
    let (kustomizations, maps) = (world.kustomizations(), world.api("v1", "ConfigMap"));
    let suspend = Patch::Merge(json!({"spec": {"suspend": true}}));
    kustomizations.patch("suspended", &PatchParams::default(), &suspend).await?;
    for (name, _, _) in &cases {
        kustomizations.delete(name, &DeleteParams::default()).await?;
    }
    for (name, _, is_kept) in &cases {
        wait::until_gone(&kustomizations, name).await?;
        if *is_kept {
            assert!(!get(&maps, name).await?.is_null(), "{name}");
        } else {
            wait::until_gone(&maps, name).await?;
        }
    }
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn termination_is_waited_for() -> anyhow::Result<()> {
    let (world, _repository, first) = world(&[("a.yaml", &config("a", "1"))]).await?;
    world.kustomization("apps", "fleet", json!({"deletionPolicy": "WaitForTermination"})).await?;
    world.applied("apps", &first).await?;
    let (kustomizations, maps) = (world.kustomizations(), world.api("v1", "ConfigMap"));
    let finalizers = |list: serde_json::Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    maps.patch("a", &PatchParams::default(), &finalizers(json!(["e2e.test/held"]))).await?;
    kustomizations.delete("apps", &DeleteParams::default()).await?;
    wait::until(&maps, "a", "terminating", |a| !a["metadata"]["deletionTimestamp"].is_null()).await?;
    assert!(!get(&kustomizations, "apps").await?.is_null(), "it is gone before its object");
    maps.patch("a", &PatchParams::default(), &finalizers(json!(null))).await?;
    wait::until_gone(&kustomizations, "apps").await?;
    assert!(get(&maps, "a").await?.is_null());
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_does_not_keep_it() -> anyhow::Result<()> {
    let (world, _repository, first) = world(&[("a.yaml", &config("a", "1"))]).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    world.applied("apps", &first).await?;
    world.git_repositories().delete("fleet", &DeleteParams::default()).await?;
    wait::until_gone(&world.git_repositories(), "fleet").await?;
    world.kustomizations().delete("apps", &DeleteParams::default()).await?;
    wait::until_gone(&world.kustomizations(), "apps").await?;
    wait::until_gone(&world.api("v1", "ConfigMap"), "a").await?;
    world.stop().await
}
