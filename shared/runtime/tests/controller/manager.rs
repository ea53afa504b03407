//! The manager against an API server: what it writes, when it works, what it leaves behind.

use crate::support::{Cluster, options, start, until};
use fluxide_runtime::{FINALIZER, conditions};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::{Api, Resource, ResourceExt, api::PostParams};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_ready_object_is_written_once_and_then_left_alone() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("a", json!({"ends": "ready"})).await;
    let thing = cluster.wait_for("a", "Ready", "True", "Succeeded").await;
    until("the pass is over", || async { !conditions::has(&cluster.get("a").await, "Reconciling") }).await;
    let thing_after = cluster.get("a").await;
    assert_eq!(thing.finalizers(), [FINALIZER]);
    assert_eq!(thing_after.status.unwrap().observed_generation, Some(1));
    let managers: Vec<_> = thing_after
        .metadata
        .managed_fields
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.subresource.as_deref() == Some("status"))
        .map(|entry| (entry.manager.unwrap_or_default(), entry.operation.unwrap_or_default()))
        .collect();
    assert_eq!(managers, [("thing-controller".to_owned(), "Update".to_owned())]);

    let before = cluster.get("a").await.resource_version();
    let passes = running.calls.reconciles();
    cluster.merge("a", json!({"metadata": {"labels": {"some": "label"}}})).await;
    cluster.merge("a", json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}})).await;
    until("the request is handled", || async {
        let status = cluster.get("a").await.status.unwrap();
        status.last_handled_reconcile_at.as_deref() == Some("1")
    })
    .await;
    assert_eq!(running.calls.reconciles(), passes + 1);
    assert_ne!(cluster.get("a").await.resource_version(), before);

    // The same spec again after a restart: a pass, but no write.
    running.end().await;
    let before = cluster.get("a").await.resource_version();
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    until("the pass after the restart", || async { running.calls.reconciles() == 1 }).await;
    running.end().await;
    assert_eq!(cluster.get("a").await.resource_version(), before);
}

#[tokio::test]
async fn failing_stalled_and_waiting_objects_say_so() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("fail", json!({"ends": "fail"})).await;
    cluster.create("stall", json!({"ends": "stall"})).await;
    cluster.create("wait", json!({"ends": "wait"})).await;
    let thing = cluster.wait_for("fail", "Reconciling", "True", "ProgressingWithRetry").await;
    assert_eq!(conditions::message(&thing, "Reconciling"), "working");
    assert_eq!(conditions::reason(&thing, "Ready"), "Broken");
    assert_eq!(thing.status.unwrap().observed_generation, None);

    let thing = cluster.wait_for("stall", "Stalled", "True", "InvalidSpec").await;
    assert_eq!(conditions::message(&thing, "Ready"), "mend your ways");
    assert!(!conditions::has(&thing, "Reconciling"));
    assert_eq!(thing.status.unwrap().observed_generation, Some(1));

    let thing = cluster.wait_for("wait", "Ready", "False", "Failed").await;
    assert_eq!(conditions::message(&thing, "Ready"), "not yet");

    cluster.merge("fail", json!({"spec": {"ends": "ready"}})).await;
    let thing = cluster.wait_for("fail", "Ready", "True", "Succeeded").await;
    assert!(!conditions::has(&thing, "Stalled"));
    running.end().await;
}

#[tokio::test]
async fn suspended_objects_are_left_alone_until_deleted() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("s", json!({"ends": "ready", "suspend": true})).await;
    cluster.create("other", json!({"ends": "ready"})).await;
    cluster.wait_for("other", "Ready", "True", "Succeeded").await;
    let thing = cluster.get("s").await;
    // As in Flux, it is held on to before it is looked at.
    assert!(thing.status.is_none() && thing.finalizers().len() == 1);

    cluster.merge("other", json!({"spec": {"suspend": true}})).await;
    cluster.delete("other").await;
    until("the object is gone", || async { cluster.things().get_opt("other").await.unwrap().is_none() })
        .await;
    assert_eq!(*running.calls.finalized.lock().unwrap(), ["other"]);
    let metrics = running.metrics().await;
    assert!(!metrics.contains("name=\"other\""), "{metrics}");
    assert!(metrics.contains("gotk_suspend_status{kind=\"Thing\",name=\"s\""), "{metrics}");
    running.end().await;
}

#[tokio::test]
async fn a_panic_is_counted_and_the_object_tried_again() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("p", json!({"ends": "panic"})).await;
    until("a second try", || async { running.calls.reconciles() >= 2 }).await;
    let metrics = running.metrics().await;
    assert!(metrics.contains("controller_runtime_reconcile_panics_total{controller=\"thing\"}"), "{metrics}");
    cluster.merge("p", json!({"spec": {"ends": "ready"}})).await;
    cluster.wait_for("p", "Ready", "True", "Succeeded").await;
    running.end().await;
}

#[tokio::test]
async fn a_change_of_something_used_interrupts_and_repeats() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("u", json!({"ends": "until superseded", "uses": "config"})).await;
    until("the pass runs", || async { running.calls.reconciles() == 1 }).await;
    let configs = Api::<ConfigMap>::namespaced(cluster.client.clone(), &cluster.namespace);
    let config = json!({
        "metadata": {"name": "config", "labels": {"reconcile.fluxcd.io/watch": "Enabled"}},
    });
    let config = serde_json::from_value(config).unwrap();
    configs.create(&PostParams::default(), &config).await.unwrap();
    cluster.wait_for("u", "Ready", "True", "Succeeded").await;
    let by = cluster.get("u").await.status.unwrap().superseded_by;
    assert_eq!(by, Some(format!("ConfigMap/{}/config", cluster.namespace)));
    until("the pass after it", || async { running.calls.reconciles() == 2 }).await;
    running.stop.cancel();
    running.task.abort();
}

#[tokio::test]
async fn requests_while_running_cause_one_more_pass() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("slow", json!({"ends": "slow"})).await;
    until("the pass runs", || async { running.calls.reconciles() == 1 }).await;
    for n in 0..3 {
        let request = json!({"reconcile.fluxcd.io/requestedAt": n.to_string()});
        cluster.merge("slow", json!({"metadata": {"annotations": request}})).await;
    }
    until("the last request is handled", || async {
        let status = cluster.get("slow").await.status;
        status.is_some_and(|s| s.last_handled_reconcile_at.as_deref() == Some("2"))
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.calls.reconciles(), 2);
    running.end().await;
}

#[tokio::test]
async fn foreign_conditions_survive_a_write_over_a_newer_version() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("slow", json!({"ends": "slow"})).await;
    until("the pass runs", || async { running.calls.reconciles() == 1 }).await;
    let foreign = json!({
        "type": "Foreign", "status": "True", "reason": "Because", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    cluster.merge_status("slow", json!({"status": {"conditions": [foreign]}})).await;
    let thing = cluster.wait_for("slow", "Ready", "True", "Succeeded").await;
    assert!(conditions::is_true(&thing, "Foreign"));
    running.end().await;
}

#[tokio::test]
async fn an_edit_during_a_pass_is_not_lost() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("e", json!({"ends": "slow"})).await;
    until("the pass runs", || async { running.calls.reconciles() == 1 }).await;
    cluster.merge("e", json!({"spec": {"ends": "stall"}})).await;
    let thing = cluster.wait_for("e", "Stalled", "True", "InvalidSpec").await;
    assert_eq!(thing.status.unwrap().observed_generation, Some(2));
    running.end().await;
}

#[tokio::test]
async fn events_reach_kubernetes_and_the_receiver() {
    let cluster = Cluster::new().await;
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<serde_json::Value>();
    let routes = axum::Router::new().route(
        "/",
        axum::routing::post(move |axum::Json(event): axum::Json<serde_json::Value>| async move {
            send.send(event).unwrap();
            axum::http::StatusCode::ACCEPTED
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options(&cluster.namespace);
    options.events_addr = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let running = start(cluster.client.clone(), options).await;
    cluster.create("a", json!({"ends": "ready"})).await;
    let posted = receive.recv().await.unwrap();
    assert_eq!(posted["involvedObject"]["kind"], "Thing");
    assert_eq!(posted["involvedObject"]["apiVersion"], "test.fluxide.dev/v1");
    assert_eq!(posted["severity"], "info");
    assert_eq!(posted["message"], "all is well");
    assert_eq!(posted["metadata"], json!({"test.fluxide.dev/revision": "main@sha1:1"}));
    assert_eq!(posted["reportingController"], "thing-controller");

    let events = Api::<Event>::namespaced(cluster.client.clone(), &cluster.namespace);
    until("the event is in Kubernetes", || async {
        !events.list(&Default::default()).await.unwrap().items.is_empty()
    })
    .await;
    let event = events.list(&Default::default()).await.unwrap().items.remove(0);
    assert!(event.name_any().starts_with("a."));
    assert_eq!(event.reason.as_deref(), Some("Succeeded"));
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    assert_eq!(event.source.unwrap().component.as_deref(), Some("thing-controller"));
    assert_eq!(event.involved_object.uid, cluster.get("a").await.meta().uid);
    assert_eq!(event.metadata.annotations.unwrap().len(), 1);
    running.end().await;
}

#[tokio::test]
async fn probes_and_metrics_answer_before_leadership_and_leadership_moves_on() {
    let cluster = Cluster::new().await;
    let mut options = options(&cluster.namespace);
    options.leader_election.enabled = true;
    let first = start(cluster.client.clone(), options.clone()).await;
    cluster.create("a", json!({"ends": "ready"})).await;
    cluster.wait_for("a", "Ready", "True", "Succeeded").await;

    options.leader_election.retry_period = "1s".parse().unwrap();
    let second = start(cluster.client.clone(), options).await;
    assert_eq!(second.get(second.listening.health, "/readyz").await, "ok");
    assert_eq!(
        second.get(second.listening.health, "/healthz?verbose").await,
        "[+]ping ok\nhealthz check passed\n"
    );
    let lease = "leader_election_master_status{name=\"thing-controller-leader-election\"}";
    assert!(first.metrics().await.contains(&format!("{lease} 1")));
    until("the second waits", || async { second.metrics().await.contains(&format!("{lease} 0")) }).await;
    assert_eq!(second.calls.reconciles(), 0);
    tokio::time::sleep(Duration::from_millis(300)).await;

    first.end().await;
    let since = std::time::Instant::now();
    until("the second leads", || async { second.calls.reconciles() > 0 }).await;
    assert!(since.elapsed() < Duration::from_secs(3));
    second.end().await;
}
