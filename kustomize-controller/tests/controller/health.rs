//! Waiting for health, and what ends the wait.

use serde_json::json;

use crate::world::{World, condition, config_map, message};

const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: j\nspec:\n  suspend: true\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: c\n        image: app:1\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_the_user_decide() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "working"))]).await;
    world
        .kustomization(
            "app",
            json!({"wait": true, "healthCheckExprs": [{
                "apiVersion": "v1", "kind": "ConfigMap", "current": "data.key == 'done'",
                "failed": "data.key == 'broken'", "inProgress": "data.key == 'working'",
            }]}),
        )
        .await;
    let app = world
        .until("app", "waiting", |app| condition(app, "Healthy").is_some_and(|c| c["status"] == "Unknown"))
        .await;
    let text = "Running health checks for revision main@sha1:1 with a timeout of 30s";
    assert_eq!(message(&app, "Healthy"), text);
    assert_eq!(message(&app, "Reconciling"), text);
    assert_eq!(condition(&app, "Reconciling").unwrap()["reason"], "Progressing");
    assert_eq!(message(&app, "Ready"), "Reconciliation in progress");
    assert_eq!(condition(&app, "Ready").unwrap()["status"], "Unknown");
    let config_maps = world.here("v1", "ConfigMap");
    world.edit(&config_maps, "a", json!({"data": {"key": "done"}})).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    assert!(message(&app, "Healthy").starts_with("Health check passed in "));
    world.until_event("app", "Progressing", "Health check passed in ").await;

    // Failed at once, not after the timeout.
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "broken"))]).await;
    let app = world.until_failed("app", "HealthCheckFailed").await;
    let text = message(&app, "Ready");
    assert!(text.starts_with("health check failed after "), "{text}");
    assert!(
        text.ends_with(": failed early due to stalled resources: [ConfigMap/apps/a status: 'Failed']"),
        "{text}"
    );
    assert_eq!(condition(&app, "Healthy").unwrap()["status"], "False");
    assert_eq!(condition(&app, "Reconciling").unwrap()["reason"], "ProgressingWithRetry");
    assert_eq!(app["status"]["history"][0]["lastReconciledStatus"], "HealthCheckFailed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_revision_ends_the_wait() {
    let world = World::start().await;
    let never = json!({"wait": true, "timeout": "5m", "healthCheckExprs": [{
        "apiVersion": "v1", "kind": "ConfigMap", "current": "data.key == 'done'",
    }]});
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "working"))]).await;
    world.kustomization("app", never).await;
    world.until("app", "waiting", |app| condition(app, "Healthy").is_some()).await;
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "done"))]).await;
    let app = world.until_applied("app", "main@sha1:2").await;
    assert_eq!(app["status"]["history"].as_array().unwrap().len(), 1, "the cancelled pass is not recorded");
    let event = "Health checks canceled due to new reconciliation triggered by GitRepository/apps/fleet";
    world.until_event("app", "HealthCheckCanceled", event).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_rules_stall() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    let rule = |text: &str| json!({"healthCheckExprs": [{"apiVersion": "v1", "kind": "ConfigMap", "current": text}]});
    world.kustomization("app", rule("this is not cel")).await;
    let app = world.until_failed("app", "InvalidCELExpression").await;
    let start = "Reconciliation failed terminally due to configuration error: failed to create custom status evaluator for healthchecks[0]: failed to parse the expression Current: failed to parse the CEL expression 'this is not cel': ";
    assert!(message(&app, "Ready").starts_with(start), "{}", message(&app, "Ready"));
    assert_eq!(condition(&app, "Stalled").unwrap()["reason"], "InvalidCELExpression");
    assert!(world.get("v1", "ConfigMap", "a").await.is_none());
    world.kustomization("app", rule("data.key == '1'")).await;
    world.until_applied("app", "main@sha1:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_name_objects() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("j.yaml", JOB)]).await;
    let checks = json!({"healthChecks": [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "j"},
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "elsewhere", "namespace": "default"},
        {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "name": "app", "namespace": "apps"},
    ]});
    world.kustomization("app", checks).await;
    world.until("app", "waiting", |app| condition(app, "Healthy").is_some()).await;
    world
        .apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere", "namespace": "default"}}))
        .await;
    world.until_applied("app", "main@sha1:1").await;
    // Without checks there is no such condition.
    world.kustomization("app", json!({"healthChecks": null})).await;
    world.until("app", "without health", |app| condition(app, "Healthy").is_none()).await;
}
