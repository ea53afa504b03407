//! What the controller shows of itself, and old versions of what it reads.

use serde_json::{Value, json};

use crate::world::{World, event, free_port, until};

/// The sample of a series, `None` when there is none.
fn sample(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_names_that_dashboards_know() {
    let port = free_port();
    let world = World::start_with(&[&format!("--metrics-addr=127.0.0.1:{port}")]).await;
    world.alert("good", "/good", json!({})).await;
    world.alert("refused", "/refuse", json!({})).await;
    world.secret("hooks", "token", json!({"token": "t"})).await;
    world
        .apply(json!({"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver",
            "metadata": {"name": "r", "namespace": "hooks"},
            "spec": {"type": "generic", "secretRef": {"name": "token"}, "resources": [{"kind": "Bucket", "name": "b"}]}}))
        .await;
    assert_eq!(world.post(&event("app", "m")).await, 202);
    assert_eq!(world.post(&event("app", "m")).await, 429);
    assert_eq!(world.http.post(format!("{}/hook/x", world.webhooks)).send().await.unwrap().status(), 404);
    until("the message", || async { world.sink.at("/good").len() == 1 }).await;
    let scrape = async || {
        let answer = world.http.get(format!("http://127.0.0.1:{port}/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    };
    let labels = |handler: &str, code: u16| {
        format!("{{code=\"{code}\",handler=\"{handler}\",method=\"POST\",service=\"\"}}")
    };
    let series = [
        (format!("gotk_event_http_request_duration_seconds_count{}", labels("/", 202)), 1.0),
        (format!("gotk_event_http_request_duration_seconds_count{}", labels("/", 429)), 1.0),
        (format!("gotk_event_http_response_size_bytes_count{}", labels("/", 202)), 1.0),
        (format!("gotk_receiver_http_request_duration_seconds_count{}", labels("/hook/", 404)), 1.0),
        ("gotk_event_http_requests_inflight{handler=\"/\",service=\"\"}".to_owned(), 0.0),
        ("gotk_receiver_http_requests_inflight{handler=\"/hook/\",service=\"\"}".to_owned(), 0.0),
        ("gotk_notification_sent_total{provider_type=\"generic\",result=\"success\"}".to_owned(), 1.0),
        ("gotk_notification_sent_total{provider_type=\"generic\",result=\"failure\"}".to_owned(), 1.0),
        ("gotk_notification_dropped_total{reason=\"refused\"}".to_owned(), 1.0),
        ("gotk_notification_queue_length".to_owned(), 0.0),
        ("gotk_notification_queue_bytes".to_owned(), 0.0),
    ];
    for (name, expected) in series {
        let mut last = None;
        let end = tokio::time::Instant::now() + crate::world::DEADLINE;
        while last != Some(expected) {
            let metrics = scrape().await;
            last = sample(&metrics, &name);
            assert!(tokio::time::Instant::now() < end, "{name} is {last:?}, not {expected}:\n{metrics}");
        }
    }
    let counted = "gotk_reconcile_duration_seconds_count{kind=\"Receiver\",name=\"r\",namespace=\"hooks\"}";
    until("the Receiver's series", || async { sample(&scrape().await, counted).is_some() }).await;
    let metrics = scrape().await;
    for name in ["alert", "provider", "receiver"] {
        let count = format!("controller_runtime_reconcile_total{{controller=\"{name}\",result=\"success\"}}");
        assert!(metrics.contains(&format!("controller=\"{name}\"")), "{count} is missing:\n{metrics}");
    }
    assert!(!metrics.contains("/hook/x"), "paths are no labels");
    let receivers = world.api("notification.toolkit.fluxcd.io/v1", "Receiver", "hooks");
    receivers.delete("r", &Default::default()).await.unwrap();
    until("the series goes with the object", || async { sample(&scrape().await, counted).is_none() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_the_old_version_work_as_those_of_today() {
    let world = World::start().await;
    let old = |kind: &str, namespace: &str, name: &str, spec: Value| {
        world.apply(json!({"apiVersion": "notification.toolkit.fluxcd.io/v1beta2", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec}))
    };
    old(
        "Provider",
        "notify",
        "p",
        json!({"type": "generic", "address": format!("{}/old", world.sink.address)}),
    )
    .await;
    old("Alert", "notify", "a", json!({"providerRef": {"name": "p"}, "summary": "s", "eventSources": [{"kind": "Kustomization", "name": "*"}]})).await;
    world.secret("hooks", "token", json!({"token": "t"})).await;
    old("Receiver", "hooks", "r", json!({"type": "generic", "secretRef": {"name": "token"}, "resources": [{"kind": "Bucket", "name": "b"}]})).await;
    assert_eq!(world.post(&event("app", "m")).await, 202);
    until("the message", || async { world.sink.at("/old").len() == 1 }).await;
    assert_eq!(world.sink.at("/old")[0].json()["metadata"]["summary"], "s");
    let receivers = world.api("notification.toolkit.fluxcd.io/v1", "Receiver", "hooks");
    until("the Receiver is ready", || async {
        receivers.get("r").await.unwrap().data["status"]["webhookPath"].is_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_needs_the_gate_and_a_wildcard_is_no_namespace() {
    let world = World::start().await;
    world
        .alert_with(
            "account",
            json!({"type": "azureeventhub", "address": "hub", "channel": "n", "serviceAccountName": "robot"}),
            json!({}),
        )
        .await;
    let wildcard = json!({"eventSources": [
        {"kind": "Kustomization", "name": "x", "namespace": "notify"}, {"kind": "Kustomization", "name": "*", "namespace": "*"}]});
    world.alert("wildcard", "/wildcard", wildcard).await;
    assert_eq!(world.post(&event("app", "m")).await, 202);
    for (alert, expected_reason, expected) in [
        (
            "account",
            "NotificationDispatchFailed",
            "failed to dispatch notification for Kustomization/notify/app: to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller",
        ),
        (
            "wildcard",
            "InvalidConfig",
            "spec.eventSources[1].namespace is '*', which is the name of no namespace and selects nothing: name each namespace in an entry of its own",
        ),
    ] {
        until(&format!("a complaint about {alert}"), || async {
            world.events_about("Alert", alert).await.iter().any(|(kind, reason, message, _)| {
                kind == "Warning" && reason == expected_reason && message == expected
            })
        })
        .await;
    }
    assert!(world.sink.at("/wildcard").is_empty());
}
