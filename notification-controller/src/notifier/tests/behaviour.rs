//! What tells the types of providers apart, beyond what was recorded.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use ring::hmac;
use serde_json::{Value, json};

use super::{alert, event, settings};
use crate::notifier::http::{Answer, Clients, Request};
use crate::notifier::*;

/// The requests of a type that only posts.
fn made(settings: &Settings, event: &Event) -> Vec<Request> {
    match Kind::of(&settings.provider_type).transport {
        Transport::Requests(requests) => {
            requests(settings, &Message { event, alert: &alert(), status_id: "" }).unwrap()
        }
        Transport::Slack => {
            slack::slack(settings, &Message { event, alert: &alert(), status_id: "" }).unwrap()
        }
        _ => panic!("not a type that only posts"),
    }
}

fn url_of(spec: Value, data: &[(&str, &str)]) -> String {
    made(&settings(spec, data), &event())[0].url.to_string()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Sends with every answer the same.
pub(super) async fn sent(settings: &Settings, status: u16, answer: &'static str) -> Result<(), String> {
    let script = move |_: &Request| Answer {
        status: reqwest::StatusCode::from_u16(status).unwrap(),
        body: answer.as_bytes().to_vec(),
    };
    let connections = Connections {
        clients: Clients::scripted(std::sync::Arc::new(script)),
        tokens: TokenCache::new(0, std::time::Duration::ZERO, None),
        cluster: None,
        posted: Posted::default(),
        identities: Identities::of_process(String::new()),
    };
    let message = Message { event: &event(), alert: &alert(), status_id: "" };
    send(&connections, settings, &message).await.map_err(|error| error.to_string())
}

#[test]
fn headers_of_the_secret_replace_ours_but_not_the_signature() {
    let headers = "Gotk-Component: mine\nContent-Type: application/x-mine\nX-Signature: forged\n";
    let hmac = settings(
        json!({"type": "generic-hmac", "address": "http://h"}),
        &[("token", "k\n"), ("headers", headers)],
    );
    let request = &made(&hmac, &event())[0];
    assert_eq!(request.headers["gotk-component"], "mine");
    assert_eq!(request.headers["content-type"], "application/x-mine");
    // The key is what is in the Secret, line break included.
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"k\n");
    let signature = format!("sha256={}", hex::encode(hmac::sign(&key, &request.body)));
    assert_eq!(request.headers["x-signature"], signature.as_str());
    assert!(String::from_utf8(request.body.clone()).unwrap().contains("it's \\u003cbroken\\u003e"));
}

#[tokio::test]
async fn slack_says_in_the_body_what_came_of_it() {
    let api = settings(
        json!({"type": "slack", "address": "https://slack.com/api/chat.postMessage"}),
        &[("token", "t")],
    );
    let refused = sent(&api, 200, r#"{"ok":false,"error":"channel_not_found"}"#).await;
    assert_eq!(
        refused,
        Err("postMessage failed: request failed: Slack responded with error: channel_not_found".to_owned())
    );
    assert_eq!(sent(&api, 201, r#"{"ok":true}"#).await, Ok(()));
    let hook = settings(json!({"type": "slack", "address": "https://hooks.slack.com/x"}), &[]);
    assert_eq!(sent(&hook, 200, r#"{"ok":false}"#).await, Ok(()));
    let refused = sent(&hook, 404, "no_service").await;
    assert_eq!(
        refused,
        Err("postMessage failed: request failed: request failed with status code 404: no_service".to_owned())
    );
}

#[test]
fn discord_has_its_path_once() {
    for (address, expected) in [
        ("https://discord.com/api/webhooks/1/x", "https://discord.com/api/webhooks/1/x/slack"),
        ("https://discord.com/api/webhooks/1/x/slack", "https://discord.com/api/webhooks/1/x/slack"),
        (
            "https://discord.com/api/webhooks/1/x?thread_id=7",
            "https://discord.com/api/webhooks/1/x/slack?thread_id=7",
        ),
        (
            "https://discord.com/api/webhooks/1/x/slack?thread_id=7",
            "https://discord.com/api/webhooks/1/x/slack?thread_id=7",
        ),
    ] {
        assert_eq!(url_of(json!({"type": "discord", "address": address}), &[]), expected);
    }
}

#[test]
fn teams_chooses_the_card_by_the_host() {
    let card = |address: &str| {
        body(&made(&settings(json!({"type": "msteams", "address": address}), &[]), &event())[0])
    };
    assert_eq!(card("https://contoso.webhook.office.com:8443/x")["@type"], "MessageCard");
    let mut event = event();
    event.metadata.insert("summary".to_owned(), "the summary".to_owned());
    event.metadata.insert("alpha".to_owned(), "a".to_owned());
    let spec = json!({"type": "msteams", "address": "https://webhook.office.com.evil.test/x"});
    let card = body(&made(&settings(spec, &[]), &event)[0]);
    let facts = &card["attachments"][0]["content"]["body"][0]["items"][2]["facts"];
    let titles: Vec<&str> =
        facts.as_array().unwrap().iter().map(|fact| fact["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["summary", "alpha", "env"]);
}

#[test]
fn alertmanager_prefers_a_password_and_moves_the_summary() {
    let mut event = event();
    event.metadata.insert("summary".to_owned(), "s".to_owned());
    let both = [("username", "u"), ("password", "p"), ("token", "t")];
    let spec = json!({"type": "alertmanager", "address": "http://h/api/v2/alerts/"});
    let request = &made(&settings(spec.clone(), &both), &event)[0];
    assert_eq!(request.headers["authorization"], "Basic dTpw");
    let alert = &body(request)[0];
    assert_eq!(alert["labels"]["alertname"], "FluxKustomizationHealthcheckfailed");
    assert_eq!(alert["labels"].get("summary"), None);
    assert_eq!(alert["annotations"], json!({"message": "it's <broken>", "summary": "s"}));
    let bearer = &made(&settings(spec, &both[2..]), &event)[0];
    assert_eq!(bearer.headers["authorization"], "Bearer t");
}

#[test]
fn telegram_escapes_everything_that_means_something() {
    let mut event = event();
    event.message = r"\.-_[]()~>`#+=|{}!*".to_owned();
    let telegram = settings(json!({"type": "telegram", "channel": "-100:7"}), &[("token", "t\n")]);
    let request = &made(&telegram, &event)[0];
    assert_eq!(request.url.as_str(), "https://api.telegram.org/bott/sendMessage");
    let sent = body(request);
    assert_eq!((&sent["chat_id"], &sent["message_thread_id"]), (&json!("-100"), &json!("7")));
    let escaped: String = event.message.chars().flat_map(|c| ['\\', c]).collect();
    let text = sent["text"].as_str().unwrap();
    assert_eq!(text.lines().nth(1), Some(escaped.as_str()));
    assert_eq!(text.lines().next(), Some("*🚨 kustomization/app/ns*"));
}

#[test]
fn a_retry_for_matrix_is_the_same_message() {
    let matrix = settings(
        json!({"type": "matrix", "address": "https://m.test/", "channel": "!room:m.test"}),
        &[("token", "t")],
    );
    let (first, second) = (made(&matrix, &event()), made(&matrix, &event()));
    assert_eq!(first[0].method, reqwest::Method::PUT);
    assert_eq!(first[0].url, second[0].url);
    assert!(first[0].url.path().starts_with("/_matrix/client/r0/rooms/!room:m.test/send/m.room.message/"));
    let traversal = json!({"type": "matrix", "address": "https://m.test/", "channel": "../../admin?x#y"});
    let traversal = &made(&settings(traversal, &[("token", "t")]), &event())[0];
    assert!(
        traversal.url.path().starts_with("/_matrix/client/r0/rooms/..%2F..%2Fadmin%3Fx%23y/send/"),
        "{}",
        traversal.url
    );
}

#[test]
fn spans_of_one_revision_are_one_trace() {
    let spec = json!({"type": "otel", "address": "http://otel.test"});
    let otel = settings(spec, &[("username", "u"), ("password", "p")]);
    let span = |event: &Event| {
        let export = ExportTraceServiceRequest::decode(made(&otel, event)[0].body.as_slice()).unwrap();
        export.resource_spans[0].scope_spans[0].spans[0].clone()
    };
    let mut a = event();
    a.metadata.insert("revision".to_owned(), "main@sha1:1".to_owned());
    let mut b = a.clone();
    b.message = "another".to_owned();
    let mut c = a.clone();
    c.metadata.insert("revision".to_owned(), "main@sha1:2".to_owned());
    assert_eq!(span(&a).trace_id, span(&b).trace_id);
    assert_ne!(span(&a).trace_id, span(&c).trace_id);
    assert_ne!(span(&a).span_id, span(&b).span_id);
    let request = &made(&otel, &a)[0];
    assert_eq!(request.url.as_str(), "http://otel.test/v1/traces");
    assert_eq!(request.headers["authorization"], "Basic dTpw");
    let mut repository = a;
    repository.involved_object.kind = "HelmRepository".to_owned();
    assert!(made(&otel, &repository).is_empty());
    let mine = settings(
        json!({"type": "otel", "address": "http://otel.test/mine"}),
        &[("token", "t"), ("headers", "Authorization: own")],
    );
    assert_eq!(made(&mine, &event())[0].headers["authorization"], "own");
    assert_eq!(made(&mine, &event())[0].url.as_str(), "http://otel.test/mine");
}

#[test]
fn parts_of_addresses_that_a_service_has_no_use_for_are_dropped() {
    let url = |kind: &str, address: &str, data: &[(&str, &str)]| {
        url_of(json!({"type": kind, "address": address, "channel": "a/b"}), data)
    };
    assert_eq!(
        url("pagerduty", "https://events.pagerduty.com/x?y", &[]),
        "https://events.pagerduty.com/v2/enqueue"
    );
    assert_eq!(
        url("datadog", "https://api.datadoghq.com/x", &[("token", "t")]),
        "https://api.datadoghq.com/api/v1/events"
    );
    assert_eq!(
        url("zulip", "https://z.test/x", &[("username", "u"), ("password", "p")]),
        "https://z.test/api/v1/messages"
    );
    assert_eq!(url("sentry", "https://key@s.test/sub/42", &[]), "https://s.test/sub/api/42/envelope/");
}
