//! The life of a Kustomization: created, applied, changed, corrected, pruned, suspended, deleted.

use crate::world::{World, condition, config_map, inventory, message};
use std::time::Duration;

use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applies_corrects_and_prunes() {
    let world = World::start().await;
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))])
        .await;
    world.kustomization("app", json!({})).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    assert_eq!(app["metadata"]["finalizers"], json!(["finalizers.fluxcd.io"]));
    assert_eq!(message(&app, "Ready"), "Applied revision: main@sha1:1");
    assert_eq!(app["status"]["observedGeneration"], app["metadata"]["generation"]);
    assert_eq!(inventory(&app), ["apps_a__ConfigMap", "apps_b__ConfigMap"]);
    assert_eq!(app["status"]["lastAttemptedRevision"], "main@sha1:1");
    assert!(condition(&app, "Reconciling").is_none() && condition(&app, "Healthy").is_none());
    let history = &app["status"]["history"][0];
    assert_eq!(history["lastReconciledStatus"], "ReconciliationSucceeded");
    assert_eq!(history["metadata"], json!({"revision": "main@sha1:1"}));
    world.until_event("app", "Progressing", "ConfigMap/apps/a created\nConfigMap/apps/b created").await;
    let finished = world.until_event("app", "ReconciliationSucceeded", "Reconciliation finished in ").await;
    assert!(finished.ends_with(", next run in 1h0m0s"), "{finished}");

    let a = world.get("v1", "ConfigMap", "a").await.unwrap();
    assert_eq!(
        a["metadata"]["labels"],
        json!({"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": "apps"})
    );
    assert_eq!(a["metadata"]["managedFields"][0]["manager"], "kustomize-controller");

    // Nothing changed: no write to any object.
    let again = world.reconcile("app").await;
    assert_eq!(again["status"]["history"][0]["totalReconciliations"], 2);
    let unchanged = world.get("v1", "ConfigMap", "a").await.unwrap();
    assert_eq!(unchanged["metadata"]["resourceVersion"], a["metadata"]["resourceVersion"]);

    // Edited by hand: corrected.
    let config_maps = world.here("v1", "ConfigMap");
    world.edit(&config_maps, "a", json!({"data": {"key": "edited", "extra": "x"}})).await;
    world.reconcile("app").await;
    let corrected = world.get("v1", "ConfigMap", "a").await.unwrap();
    assert_eq!(corrected["data"], json!({"key": "1"}));
    world.until_event("app", "Progressing", "ConfigMap/apps/a configured").await;

    // Deleted by hand: created again.
    world.delete(&config_maps, "b").await;
    world.reconcile("app").await;
    assert!(world.get("v1", "ConfigMap", "b").await.is_some());

    // Removed from the source: pruned. New revision: noticed by itself.
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "2"))]).await;
    let app = world.until_applied("app", "main@sha1:2").await;
    assert_eq!(inventory(&app), ["apps_a__ConfigMap"]);
    assert!(world.get("v1", "ConfigMap", "b").await.is_none());
    world.until_event("app", "Progressing", "ConfigMap/apps/b deleted").await;

    // Deleted: its objects go with it.
    world.delete(&world.kustomizations(), "app").await;
    world.until_gone(&world.kustomizations(), "app").await;
    assert!(world.get("v1", "ConfigMap", "a").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependencies_are_waited_for_and_followed_at_once() {
    let world = World::start().await;
    let files = [("infra/a.yaml", &*config_map("infra", "1")), ("app/a.yaml", &*config_map("app", "1"))];
    world.publish("main@sha1:1", &files).await;
    world.kustomization("app", json!({"path": "./app", "dependsOn": [{"name": "infra"}]})).await;
    let app = world.until_failed("app", "DependencyNotReady").await;
    let text =
        "dependency 'apps/infra' not found: kustomizations.kustomize.toolkit.fluxcd.io \"infra\" not found";
    assert_eq!(message(&app, "Ready"), text);
    let event = "Dependencies do not meet ready condition, retrying in 30s";
    world.until_event("app", "DependencyNotReady", event).await;
    let started = std::time::Instant::now();
    world.kustomization("infra", json!({"path": "./infra"})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert!(started.elapsed().as_secs() < 15, "not only at the next poll");

    // The same source: a dependency must have the same revision.
    world.publish("main@sha1:2", &files).await;
    world.until_applied("app", "main@sha1:2").await;
    let infra = world.until_applied("infra", "main@sha1:2").await;
    assert_eq!(infra["status"]["lastAppliedRevision"], "main@sha1:2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_expressions_decide() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("infra", json!({})).await;
    let depends = |text: &str| json!({"dependsOn": [{"name": "infra", "readyExpr": text}]});
    world.kustomization("yes", depends("dep.metadata.name == 'infra' && self.spec.prune")).await;
    world.until_applied("yes", "main@sha1:1").await;
    world.kustomization("no", depends("dep.spec.suspend == true || false")).await;
    let no = world.until_failed("no", "DependencyNotReady").await;
    assert!(message(&no, "Ready").contains("suspend"), "{}", message(&no, "Ready"));
    world.kustomization("never", depends("has(dep.spec.absent)")).await;
    let never = world.until_failed("never", "DependencyNotReady").await;
    let text = "dependency 'apps/infra' is not ready according to readyExpr eval";
    assert_eq!(message(&never, "Ready"), text);
    world.kustomization("wrong", depends("dep.spec.path")).await;
    let wrong = world.until_failed("wrong", "InvalidCELExpression").await;
    assert_eq!(condition(&wrong, "Stalled").unwrap()["status"], "True");
    assert_eq!(wrong["status"]["observedGeneration"], wrong["metadata"]["generation"]);
    assert!(message(&wrong, "Ready").contains("expected bool, got dyn"), "{}", message(&wrong, "Ready"));
    // A change of the spec gets it going again.
    world.kustomization("wrong", depends("dep.spec.prune == true")).await;
    let recovered = world.until_applied("wrong", "main@sha1:1").await;
    assert!(condition(&recovered, "Stalled").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_is_left_alone() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.kustomization("app", json!({"suspend": true})).await;
    // The controller has seen it once it has nothing more to do.
    world.until_quiet(Duration::from_millis(300)).await;
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "2"))]).await;
    world.kustomization("other", json!({"targetNamespace": "default"})).await;
    world.until_applied("other", "main@sha1:2").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"], json!({"key": "1"}));
    world.kustomization("app", json!({"suspend": false})).await;
    world.until_applied("app", "main@sha1:2").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"], json!({"key": "2"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_and_kill_lose_nothing() {
    let mut world = World::start().await;
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))])
        .await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    let before = world.get("v1", "ConfigMap", "a").await.unwrap();
    world.kill_controller().await;
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "1"))]).await;
    world.start_controller().await;
    world.until_applied("app", "main@sha1:2").await;
    assert!(world.get("v1", "ConfigMap", "b").await.is_none());
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["metadata"], before["metadata"]);
    world.stop_controller().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_are_replaced() {
    let world = World::start().await;
    world
        .apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars", "namespace": "apps",
            "labels": {"reconcile.fluxcd.io/watch": "Enabled"}}, "data": {"tier": "test", "port": "80"},
        }))
        .await;
    world
        .create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret-vars", "namespace": "apps"},
            "stringData": {"token": "s3cr3t\n"},
        }))
        .await;
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    tier: ${tier}\ndata:\n  port: '${quote:=\"}${port}${quote:=\"}'\n  token: ${token}\n  other: ${other:=default}\n";
    let kept = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kept\n  annotations:\n    kustomize.toolkit.fluxcd.io/substitute: disabled\ndata:\n  text: ${tier}\n";
    world.publish("main@sha1:1", &[("a.yaml", object), ("b.yaml", kept)]).await;
    let post_build = json!({"postBuild": {"substitute": {"port": "8080"}, "substituteFrom": [
        {"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "secret-vars"},
        {"kind": "ConfigMap", "name": "absent", "optional": true},
    ]}});
    world.kustomization("app", post_build).await;
    world.until_applied("app", "main@sha1:1").await;
    let a = world.get("v1", "ConfigMap", "a").await.unwrap();
    assert_eq!(a["data"], json!({"port": "8080", "token": "s3cr3t", "other": "default"}));
    assert_eq!(a["metadata"]["labels"]["tier"], "test");
    assert_eq!(world.get("v1", "ConfigMap", "kept").await.unwrap()["data"], json!({"text": "${tier}"}));

    // A labelled ConfigMap is watched.
    let config_maps = world.here("v1", "ConfigMap");
    world.edit(&config_maps, "vars", json!({"data": {"tier": "prod"}})).await;
    world.until_in(&config_maps, "a", "changed", |a| a["metadata"]["labels"]["tier"] == "prod").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_objects_are_not_deleted() {
    let world = World::start().await;
    let files = [("one/a.yaml", &*config_map("moved", "1")), ("two/b.yaml", &*config_map("b", "1"))];
    world.publish("main@sha1:1", &files).await;
    world.kustomization("one", json!({"path": "one"})).await;
    world.kustomization("two", json!({"path": "two"})).await;
    world.until_applied("one", "main@sha1:1").await;
    world.until_applied("two", "main@sha1:1").await;
    // The new owner applies first: the labels are its own by the time the old one prunes.
    world.kustomization("one", json!({"path": "one", "suspend": true})).await;
    let files = [("one/b.yaml", &*config_map("c", "1")), ("two/a.yaml", &*config_map("moved", "1"))];
    world.publish("main@sha1:2", &files).await;
    world.until_applied("two", "main@sha1:2").await;
    let uid = world.get("v1", "ConfigMap", "moved").await.unwrap()["metadata"]["uid"].clone();
    world.kustomization("one", json!({"path": "one"})).await;
    world.until_applied("one", "main@sha1:2").await;
    assert_eq!(world.get("v1", "ConfigMap", "moved").await.unwrap()["metadata"]["uid"], uid);
    world.until_event("one", "Progressing", "ConfigMap/apps/moved skipped").await;
}
