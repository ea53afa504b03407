//! How single objects are applied: whose fields they are, what annotations ask for, in which order, and how soon they are
//! corrected.

use std::time::{Duration, Instant};

use fluxide_e2e::wait;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{config, failed, get, inventory, push, uid, world, world_with_flags};

/// Sorted: the server orders them by time, which counts in whole seconds.
fn managers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = entries.filter_map(|entry| entry["manager"].as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_made_is_taken_over() -> anyhow::Result<()> {
    let (world, _repository, first) = world(&[("a.yaml", &config("a", "git"))]).await?;
    let maps = world.api("v1", "ConfigMap");
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"mine": "kubectl"}, "annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": "{}"}}, "data": {"value": "kubectl", "extra": "1"}});
    let object: DynamicObject = serde_json::from_value(object)?;
    let by = |manager: &str| PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
    maps.create(&by("kubectl-client-side-apply"), &object).await?;
    // Another controller's field stays its own.
    let foreign =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"theirs": "x"}});
    maps.patch("a", &PatchParams::apply("other-controller"), &Patch::Apply(&foreign)).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    world.applied("apps", &first).await?;
    let a = get(&maps, "a").await?;
    assert_eq!(a["data"], json!({"value": "git", "theirs": "x"}));
    assert_eq!(a["metadata"]["labels"].get("mine"), None);
    assert!(a["metadata"]["annotations"].is_null(), "{a}");
    assert_eq!(managers(&a), ["kustomize-controller", "other-controller"]);
    // And nothing more is written to it.
    let version = a["metadata"]["resourceVersion"].clone();
    world.reconcile(&world.kustomizations(), "apps").await?;
    assert_eq!(get(&maps, "a").await?["metadata"]["resourceVersion"], version);
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_of_objects_are_obeyed() -> anyhow::Result<()> {
    let annotated = |name: &str, key: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations:\n    kustomize.toolkit.fluxcd.io/{key}: {value}\n\
             data:\n  value: \"git\"\n"
        )
    };
    let files = [
        ("once.yaml", annotated("once", "ssa", "IfNotPresent")),
        ("ignored.yaml", annotated("ignored", "ssa", "Ignore")),
        ("merged.yaml", annotated("merged", "ssa", "Merge")),
        ("kept.yaml", annotated("kept", "prune", "disabled")),
        ("frozen.yaml", annotated("frozen", "reconcile", "Disabled")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let (world, repository, first) = world(&files).await?;
    let maps = world.api("v1", "ConfigMap");
    world.kustomization("apps", "fleet", json!({})).await?;
    world.applied("apps", &first).await?;
    assert_eq!(get(&maps, "ignored").await?, Value::Null);
    assert_eq!(get(&maps, "frozen").await?, Value::Null);
    let edit = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    for name in ["once", "merged", "kept"] {
        let patch = Patch::Merge(json!({"data": {"value": "hand", "more": "hand"}}));
        maps.patch(name, &edit, &patch).await?;
    }
    world.reconcile(&world.kustomizations(), "apps").await?;
    assert_eq!(get(&maps, "once").await?["data"], json!({"value": "hand", "more": "hand"}));
    assert_eq!(get(&maps, "merged").await?["data"], json!({"value": "git", "more": "hand"}));
    assert_eq!(get(&maps, "kept").await?["data"], json!({"value": "git"}));
    for (path, _) in &files {
        repository.remove(path)?;
    }
    repository.write("new.yaml", &config("new", "1"))?;
    let second = push(&world, &repository, "All gone").await?;
    let apps = world.applied("apps", &second).await?;
    assert_eq!(inventory(&apps).len(), 1);
    wait::until_gone(&maps, "merged").await?;
    wait::until_gone(&maps, "once").await?;
    assert_eq!(get(&maps, "kept").await?["data"]["value"], "git");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn force_is_for_what_cannot_change_and_never_for_what_is_wrong() -> anyhow::Result<()> {
    let secret = |value: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: fixed\n{more}immutable: true\nstringData:\n  value: {value}\n"
        )
    };
    let (world, repository, first) = world(&[("s.yaml", &secret("one", ""))]).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    world.applied("apps", &first).await?;
    let secrets = world.api("v1", "Secret");
    let before = uid(&secrets, "fixed").await?;
    repository.write("s.yaml", &secret("two", ""))?;
    let second = push(&world, &repository, "Two").await?;
    let message = failed(&world, "apps", "ReconciliationFailed", &second).await?;
    assert!(message.contains("dry-run failed (Invalid)"), "{message}");
    assert_eq!(uid(&secrets, "fixed").await?, before);
    // The object may ask for it itself.
    let forced = "  annotations:\n    kustomize.toolkit.fluxcd.io/force: Enabled\n";
    repository.write("s.yaml", &secret("two", forced))?;
    let third = push(&world, &repository, "Forced").await?;
    world.applied("apps", &third).await?;
    let after = uid(&secrets, "fixed").await?;
    assert_ne!(after, before);
    // What no cluster would take is not deleted first.
    repository.write(
        "s.yaml",
        &secret("three", &format!("{forced}type: kubernetes.io/tls\n")).replace("immutable: true\n", ""),
    )?;
    let fourth = push(&world, &repository, "Wrong").await?;
    failed(&world, "apps", "ReconciliationFailed", &fourth).await?;
    assert_eq!(uid(&secrets, "fixed").await?, after);
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_of_ones_own_come_before_the_rest() -> anyhow::Result<()> {
    let broken =
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: broken\nspec:\n  ports:\n  - port: 99999\n";
    let files = [("a.yaml", config("early", "1")), ("b.yaml", broken.to_owned())];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let flag = "--custom-apply-stage-kinds= ConfigMap , example.test/Thing";
    let (world, repository, first, processes) = world_with_flags(&[flag], &files).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    let message = failed(&world, "apps", "ReconciliationFailed", &first).await?;
    assert!(message.contains("broken dry-run failed (Invalid)"), "{message}");
    // Its stage was done when the next one was refused, and it is known to be there.
    let maps = world.api("v1", "ConfigMap");
    assert_eq!(get(&maps, "early").await?["data"]["value"], "1");
    let apps = get(&world.kustomizations(), "apps").await?;
    assert_eq!(inventory(&apps), [format!("{}_early__ConfigMap", world.cluster.namespace)]);
    repository.remove("a.yaml")?;
    repository.remove("b.yaml")?;
    repository.write("c.yaml", &config("late", "1"))?;
    let second = push(&world, &repository, "Mended").await?;
    world.applied("apps", &second).await?;
    wait::until_gone(&maps, "early").await?;
    drop(processes);
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_hand_is_corrected_within_two_seconds() -> anyhow::Result<()> {
    let flag = "--feature-gates=LiveDriftDetection=true";
    let files = [("a.yaml", config("a", "git")), ("b.yaml", config("b", "git"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let (world, _repository, first, processes) = world_with_flags(&[flag], &files).await?;
    world.kustomization("apps", "fleet", json!({"interval": "1h"})).await?;
    world.applied("apps", &first).await?;
    let maps = world.api("v1", "ConfigMap");
    // The watches begin with the first pass that wants to know.
    world.reconcile(&world.kustomizations(), "apps").await?;
    let mut fastest = Duration::MAX;
    for round in 0..3 {
        let edit = Patch::Merge(json!({"data": {"value": format!("by hand {round}")}}));
        let started = Instant::now();
        maps.patch("a", &PatchParams::default(), &edit).await?;
        wait::until(&maps, "a", "corrected", |a| a["data"]["value"] == "git").await?;
        fastest = fastest.min(started.elapsed());
    }
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    let started = Instant::now();
    maps.delete("b", &Default::default()).await?;
    wait::until(&maps, "b", "there again", |b| b["data"]["value"] == "git").await?;
    println!("corrected within {fastest:?}, put back within {:?}", started.elapsed());
    drop(processes);
    world.stop().await
}
