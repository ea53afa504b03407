//! What happens to objects when their Kustomization is deleted.

use serde_json::json;

use crate::world::{World, config_map, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies() {
    let world = World::start().await;
    let names = ["mirror", "mirror-off", "delete", "wait", "orphan", "suspended"];
    let files: Vec<(String, String)> =
        names.iter().map(|name| (format!("{name}/a.yaml"), config_map(name, "1"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    world.publish("main@sha1:1", &files).await;
    for name in names {
        let (policy, prune) = match name {
            "mirror-off" => (json!(null), false),
            "delete" => (json!("Delete"), false),
            "wait" => (json!("WaitForTermination"), false),
            "orphan" => (json!("Orphan"), true),
            _ => (json!(null), true),
        };
        world.kustomization(name, json!({"path": name, "prune": prune, "deletionPolicy": policy})).await;
    }
    let api = world.kustomizations();
    for name in names {
        world.until_applied(name, "main@sha1:1").await;
    }
    world.edit(&api, "suspended", json!({"spec": {"suspend": true}})).await;
    // No source is needed to delete.
    let sources = world.here("source.toolkit.fluxcd.io/v1", "GitRepository");
    world.delete(&sources, "fleet").await;
    for name in names {
        world.delete(&api, name).await;
    }
    for name in names {
        world.until_gone(&api, name).await;
        let stays = matches!(name, "mirror-off" | "orphan" | "suspended");
        assert_eq!(world.get("v1", "ConfigMap", name).await.is_some(), stays, "{name}");
    }
    world.until_event("delete", "ReconciliationSucceeded", "ConfigMap/apps/delete deleted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_adopted_without_a_write() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({"deletionPolicy": "Orphan"})).await;
    world.until_applied("app", "main@sha1:1").await;
    let before = world.get("v1", "ConfigMap", "a").await.unwrap();
    world.delete(&world.kustomizations(), "app").await;
    world.until_gone(&world.kustomizations(), "app").await;
    world.kustomization("app", json!({"deletionPolicy": "Orphan"})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_namespace_of_the_kustomization_is_never_pruned() {
    let world = World::start().await;
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: apps\n";
    world.publish("main@sha1:1", &[("n.yaml", namespace), ("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "1"))]).await;
    let app = world.until_failed("app", "PruneFailed").await;
    assert!(message(&app, "Ready").contains("Namespace/apps"), "{}", message(&app, "Ready"));
    assert!(
        world.api("v1", "Namespace", None).get("apps").await.unwrap().metadata.deletion_timestamp.is_none()
    );
}
