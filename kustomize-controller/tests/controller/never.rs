//! What must never happen, and defects of the original that are closed here.

use serde_json::json;

use crate::world::{World, config_map, inventory, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_of_a_broken_artifact() {
    let world = World::start().await;
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))])
        .await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    // The archive is not the one that the source announces.
    world.publish_broken("main@sha1:2", &[("a.yaml", &config_map("a", "2"))]).await;
    let app = world.until_failed("app", "ArtifactFailed").await;
    assert!(message(&app, "Ready").contains("digest"), "{}", message(&app, "Ready"));
    assert_eq!(inventory(&app).len(), 2);
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"]["key"], "1");
    assert!(world.get("v1", "ConfigMap", "b").await.is_some());
    assert_eq!(app["status"]["lastAppliedRevision"], "main@sha1:1");
    world.publish("main@sha1:3", &[("a.yaml", &config_map("a", "3"))]).await;
    world.until_applied("app", "main@sha1:3").await;
    assert!(world.get("v1", "ConfigMap", "b").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_is_gone_does_not_block_pruning() {
    let world = World::start().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.test"},
        "spec": {"group": "example.test", "names": {"kind": "Thing", "plural": "things"}, "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    world.apply(definition).await;
    let definitions = world.api("apiextensions.k8s.io/v1", "CustomResourceDefinition", None);
    world
        .until_in(&definitions, "things.example.test", "established", |definition| {
            crate::world::condition(definition, "Established").is_some_and(|c| c["status"] == "True")
        })
        .await;
    let thing = "apiVersion: example.test/v1\nkind: Thing\nmetadata:\n  name: t\n";
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("t.yaml", thing)]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.delete(&definitions, "things.example.test").await;
    world.until_gone(&definitions, "things.example.test").await;
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "1"))]).await;
    let app = world.until_applied("app", "main@sha1:2").await;
    assert_eq!(inventory(&app), ["apps_a__ConfigMap"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ciphertext_is_never_applied_as_a_secret() {
    let world = World::start().await;
    let secret = |body: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n{body}\nsops: {{version: 3.9.0}}\n")
    };
    let string_data = secret("stringData: {a: 'ENC[AES256_GCM,data:x,type:str]'}");
    let valid_data = secret("data: {a: RU5DW0FFUzI1Nl9HQ00=}");
    world.publish("main@sha1:1", &[("one/s.yaml", &string_data), ("two/s.yaml", &valid_data)]).await;
    for name in ["one", "two"] {
        world.kustomization(name, json!({"path": name})).await;
        let object = world.until_failed(name, "ReconciliationFailed").await;
        assert!(message(&object, "Ready").starts_with("Secret/apps/s is SOPS encrypted"), "{name}");
    }
    assert!(world.get("v1", "Secret", "s").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_namespace_is_not_waited_for() {
    let world = World::start().await;
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: foreign\n  annotations:\n    kustomize.toolkit.fluxcd.io/ssa: Ignore\n";
    let map = config_map("a", "1").replace("name: a", "name: a\n  namespace: apps");
    world.publish("main@sha1:1", &[("n.yaml", namespace), ("a.yaml", &map)]).await;
    let started = std::time::Instant::now();
    world.kustomization("app", json!({"targetNamespace": null})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert!(started.elapsed().as_secs() < 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_is_no_success_of_a_reconciliation() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.until_event("app", "ReconciliationSucceeded", "Reconciliation finished in ").await;
    let finished = |events: Vec<(String, String)>| {
        events.iter().filter(|(_, message)| message.starts_with("Reconciliation finished")).count()
    };
    let before = finished(world.events("app").await);
    world.delete(&world.kustomizations(), "app").await;
    world.until_gone(&world.kustomizations(), "app").await;
    world.until_event("app", "ReconciliationSucceeded", "ConfigMap/apps/a deleted").await;
    assert_eq!(finished(world.events("app").await), before);
}
