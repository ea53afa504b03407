//! Events in, notifications out.

use crate::world::{World, corpus_json, event, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_event_server_answers_as_flux_does() {
    let world = World::start().await;
    let answers = corpus_json("event-server-answers.json");
    let some = event("a", "first");
    let calls: Vec<(&str, reqwest::RequestBuilder)> = vec![
        ("info", world.http.post(&world.events).json(&some)),
        ("info again", world.http.post(&world.events).json(&some)),
        ("other path", world.http.post(format!("{}x/y", world.events)).json(&event("a", "other path"))),
        ("PUT", world.http.put(&world.events).json(&event("a", "put"))),
        ("GET", world.http.get(&world.events)),
        ("not json", world.http.post(&world.events).body("x")),
        ("array", world.http.post(&world.events).body("[]")),
        ("empty", world.http.post(&world.events)),
        ("empty object", world.http.post(&world.events).body("{}")),
        ("too large", world.http.post(&world.events).body("x".repeat(3 * 1024 * 1024 + 1))),
    ];
    for (name, call) in calls {
        let answer = call.send().await.unwrap();
        let expected = &answers[name];
        assert_eq!(answer.status().as_u16(), expected["status"].as_u64().unwrap() as u16, "{name}");
        for header in ["X-Ratelimit-Limit", "X-Ratelimit-Remaining"] {
            let found = answer.headers().get(header).map(|value| value.to_str().unwrap());
            assert_eq!(found, expected["headers"][header].as_str(), "{name} {header}");
        }
        for header in ["X-Ratelimit-Reset", "Retry-After"] {
            let found = answer.headers().get(header).map(|value| value.to_str().unwrap().to_owned());
            let expected = &expected["headers"][header];
            assert_eq!(found.is_some(), expected.is_string(), "{name} {header}");
            assert!(found.is_none_or(|date| date.ends_with(" GMT") && date.len() == 29), "{name} {header}");
        }
        assert_eq!(answer.text().await.unwrap(), expected["body"].as_str().unwrap(), "{name}");
    }
    let mut largest = json!({"message": "largest"}).to_string();
    largest.push_str(&" ".repeat(3 * 1024 * 1024 - largest.len()));
    let answer = world.http.post(&world.events).body(largest).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_select_by_name_severity_message_labels_and_namespace() {
    let world = World::start().await;
    world
        .apply(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "webapp", "namespace": "notify", "labels": {"team": "a"}},
            "spec": {"interval": "1h", "prune": true, "suspend": true, "sourceRef": {"kind": "GitRepository", "name": "none"}}}))
        .await;
    let source = |name: &str| json!({"eventSources": [{"kind": "Kustomization", "name": name}]});
    let with = |mut spec: Value, key: &str, value: Value| {
        spec[key] = value;
        spec
    };
    let any = source("*");
    let labels = |value: &str, name: &str| json!({"eventSources": [{"kind": "Kustomization", "name": name, "matchLabels": {"team": value}}]});
    let namespace =
        |value: &str| json!({"eventSources": [{"kind": "Kustomization", "name": "*", "namespace": value}]});
    for (name, spec) in [
        ("yes-all", any.clone()),
        ("yes-name", source("webapp")),
        ("no-name", source("other")),
        ("no-severity", with(any.clone(), "eventSeverity", json!("error"))),
        ("yes-included", with(any.clone(), "inclusionList", json!(["nothing", "created$"]))),
        ("no-included", with(any.clone(), "inclusionList", json!(["nothing"]))),
        ("no-excluded", with(any.clone(), "exclusionList", json!(["(broken", "created"]))),
        ("yes-bad-exclusion", with(any.clone(), "exclusionList", json!(["(broken"]))),
        ("no-bad-inclusion", with(any.clone(), "inclusionList", json!(["(broken"]))),
        ("no-suspended", with(any.clone(), "suspend", json!(true))),
        ("yes-labels", labels("a", "*")),
        ("no-labels", labels("b", "webapp")),
        ("yes-namespace", namespace("notify")),
        ("no-namespace", namespace("other")),
        ("no-any-namespace", namespace("*")),
    ] {
        world.alert(name, &format!("/{name}"), spec).await;
    }
    world
        .alert_with(
            "no-suspended-provider",
            json!({"type": "generic", "address": world.sink.address, "suspend": true}),
            any,
        )
        .await;
    assert_eq!(world.post(&event("webapp", "configured\nService created")).await, 202);
    until("six notifications", || async { world.sink.received().len() >= 6 }).await;
    // What comes after them in every queue shows that no more is on the way.
    assert_eq!(world.post(&event("webapp", "more, and created")).await, 202);
    until("the next six", || async { world.sink.received().len() >= 12 }).await;
    let mut seen: Vec<String> = world.sink.received().into_iter().map(|received| received.target).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(
        seen,
        ["/yes-all", "/yes-bad-exclusion", "/yes-included", "/yes-labels", "/yes-name", "/yes-namespace"]
    );
    until("complaints about the expression", || async {
        let events = world.events_about("Alert", "no-bad-inclusion").await;
        events.iter().any(|(kind, reason, message, _)| {
            kind == "Warning"
                && reason == "InvalidConfig"
                && message == "failed to compile inclusion regex: (broken"
        })
    })
    .await;
    let unknown = event("absent", "x");
    assert_eq!(world.post(&unknown).await, 202);
    until("a complaint about the labels", || async {
        let events = world.events_about("Alert", "yes-labels").await;
        events.iter().any(|(_, reason, message, _)| {
            reason == "SourceFetchFailed"
                && message == "error getting source object Kustomization/notify/absent"
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_complain_as_flux_does() {
    let world = World::start().await;
    world.apply_corpus("providers.yaml").await;
    // The recorded services are not there; only what has to do with none of them is compared.
    let mut info = corpus_json("events.json")["info"].clone();
    info["message"] = "Deployment/prod/webapp configured".into();
    assert_eq!(world.post(&info).await, 202);
    let recorded = corpus_json("alert-events.json");
    for name in [
        "bad-missing-secret",
        "bad-address",
        "bad-no-token",
        "bad-hmac",
        "bad-telegram",
        "bad-provider",
        "bad-regex",
    ] {
        for expected in recorded[name].as_array().unwrap() {
            let wanted = (
                expected["type"].as_str().unwrap().to_owned(),
                expected["reason"].as_str().unwrap().to_owned(),
                expected["message"].as_str().unwrap().to_owned(),
                expected["annotations"].clone(),
            );
            until(&format!("{name}: {wanted:?}"), || async {
                world.events_about("Alert", name).await.contains(&wanted)
            })
            .await;
        }
    }
    for (kind, name, expected) in
        [("Provider", "slack", json!(["finalizers.fluxcd.io"])), ("Alert", "slack", Value::Null)]
    {
        let api = world.api("notification.toolkit.fluxcd.io/v1beta3", kind, "notify");
        until(&format!("finalizers of {kind}"), || async {
            let object = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
            object["metadata"]["finalizers"] == expected
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_go_with_their_objects() {
    let world = World::start().await;
    world.alert("a", "/a", json!({})).await;
    let alerts = world.api("notification.toolkit.fluxcd.io/v1beta3", "Alert", "notify");
    let providers = world.api("notification.toolkit.fluxcd.io/v1beta3", "Provider", "notify");
    let legacy = |name: &str, suspend: bool| {
        json!({
            "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Alert",
            "metadata": {"name": name, "namespace": "notify", "finalizers": ["finalizers.fluxcd.io"]},
            "spec": {"providerRef": {"name": "a"}, "suspend": suspend, "eventSources": [{"kind": "Bucket", "name": "*"}]},
        })
    };
    world.apply(legacy("old", false)).await;
    world.apply(legacy("suspended", true)).await;
    let finalizers =
        async |name: &str| alerts.get(name).await.unwrap().metadata.finalizers.unwrap_or_default();
    until("the legacy finalizer is gone", || async { finalizers("old").await.is_empty() }).await;
    assert_eq!(finalizers("suspended").await.len(), 1);
    alerts.delete("suspended", &Default::default()).await.unwrap();
    until("the suspended alert is gone", || async { alerts.get_opt("suspended").await.unwrap().is_none() })
        .await;
    until("the provider has its finalizer", || async {
        providers.get("a").await.unwrap().metadata.finalizers.is_some()
    })
    .await;
    providers.delete("a", &Default::default()).await.unwrap();
    until("the provider is gone", || async { providers.get_opt("a").await.unwrap().is_none() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_namespaces_can_be_shut_out() {
    let world = World::start_with(&["--no-cross-namespace-refs=true"]).await;
    let from = |namespace: &str| json!({"eventSources": [{"kind": "Kustomization", "name": "*", "namespace": namespace}]});
    world.alert("blocked", "/blocked", from("other")).await;
    world.alert("own", "/own", from("notify")).await;
    let mut foreign = event("app", "from elsewhere");
    foreign["involvedObject"]["namespace"] = "other".into();
    assert_eq!(world.post(&foreign).await, 202);
    until("a complaint", || async {
        let events = world.events_about("Alert", "blocked").await;
        events.iter().any(|(_, reason, message, _)| {
            reason == "NotificationDispatchFailed"
                && message == "failed to dispatch notification for Kustomization/other/app: discarding event, access denied to cross-namespace sources: alert 'notify/blocked' can't process event from 'Kustomization/other/app', cross-namespace references have been blocked"
        })
    })
    .await;
    assert_eq!(world.post(&event("app", "own")).await, 202);
    until("the own event", || async { !world.sink.at("/own").is_empty() }).await;
    assert!(world.sink.at("/blocked").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_used_and_not_shown() {
    let world = World::start().await;
    let address = format!("{}/refuse/services/T0SECRET\n", world.sink.address);
    world
        .secret(
            "notify",
            "s",
            json!({"address": address, "token": "hunter2-token", "headers": "X-Api-Key: key-in-header\n"}),
        )
        .await;
    world.alert_with("secret", json!({"type": "slack", "secretRef": {"name": "s"}}), json!({})).await;
    assert_eq!(world.post(&event("app", "m")).await, 202);
    until("a refusal", || async {
        let events = world.events_about("Alert", "secret").await;
        events.iter().any(|(_, reason, message, _)| {
            assert!(!message.contains("T0SECRET") && !message.contains("hunter2") && !message.contains("key-in-header"), "{message}");
            reason == "NotificationDispatchFailed"
                && message == "failed to send notification for Kustomization/notify/app: postMessage failed: request failed: request failed with status code 400: {\"error\":\"test failure\"}"
        })
    })
    .await;
    let received = world.sink.at("/refuse/services/T0SECRET").remove(0);
    assert_eq!(received.headers["authorization"], "Bearer hunter2-token");
    assert_eq!(received.headers["x-api-key"], "key-in-header");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_only_in_volatile_parts_can_be_told_once() {
    let failed =
        |id: &str| event("app", &format!("AccessDenied: status code: 403, request id: {id} after 1.{id}s"));
    for (flags, second) in [(vec![], 202), (vec!["--rate-limit-ignore-volatile"], 429)] {
        let world = World::start_with(&flags).await;
        world.alert("a", "/a", json!({})).await;
        assert_eq!(world.post(&failed("1")).await, 202);
        assert_eq!(world.post(&failed("2")).await, second, "{flags:?}");
        assert_eq!(world.post(&event("app", "something else")).await, 202);
    }
}
