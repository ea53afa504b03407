//! Requests as Flux sends them: every recorded request must be made again, byte for byte but for the
//! order of metadata, which Flux leaves to chance.

mod behaviour;
mod flux;
mod forges;
mod hostile;
mod retries;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fluxide_notification_api::{Alert, Provider};
use fluxide_runtime::Key;
use fluxide_runtime::secrets::Secret;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::http::{Answer, Clients, Request};
use super::*;
use crate::events::{Dispatched, Dispatcher, incoming};

/// What the libraries of Flux send beside what it is about: looking for the versions of APIs.
const EXTRAS: [&str; 3] = ["GET /api/v1/version", "OPTIONS /org/_apis", "CONNECT"];
/// Headers that say who sends, or how, and not what.
const IGNORED: [&str; 8] = [
    "accept",
    "accept-encoding",
    "content-length",
    "host",
    "user-agent",
    "x-sentry-auth",
    "x-tfs-fedauthredirect",
    "x-tfs-session",
];

struct Corpus {
    providers: BTreeMap<String, Provider>,
    alerts: Vec<Arc<Alert>>,
    secrets: BTreeMap<String, Secret>,
    events: Value,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn read_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

fn corpus() -> Corpus {
    let text = std::fs::read_to_string(path("providers.yaml")).unwrap();
    let uids = read_json("uids.json");
    let mut corpus = Corpus {
        providers: BTreeMap::new(),
        alerts: Vec::new(),
        secrets: BTreeMap::new(),
        events: read_json("events.json"),
    };
    for document in serde_yaml::Deserializer::from_str(&text) {
        let mut object = Value::deserialize(document).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let kind = object["kind"].as_str().unwrap().to_owned();
        object["metadata"]["uid"] = uids[&kind][&name].clone();
        match kind.as_str() {
            "Provider" => {
                corpus.providers.insert(name, serde_json::from_value(object).unwrap());
            }
            "Alert" => corpus.alerts.push(Arc::new(serde_json::from_value(object).unwrap())),
            "Secret" => {
                let data = object["stringData"].as_object().unwrap().iter();
                let bytes = |text: &Value| k8s_openapi::ByteString(text.as_str().unwrap().into());
                let secret = k8s_openapi::api::core::v1::Secret {
                    data: Some(data.map(|(key, value)| (key.clone(), bytes(value))).collect()),
                    ..Default::default()
                };
                corpus.secrets.insert(name.clone(), Secret::new(Key::new("notify", &name), secret));
            }
            _ => {}
        }
    }
    corpus
}

impl Corpus {
    fn settings(&self, provider: &Provider) -> Option<Settings> {
        let mut settings = Settings::of_spec(provider);
        settings.timeout = Duration::from_secs(1);
        if let Some(reference) = &provider.spec.secret_ref {
            settings.take(self.secrets.get(&reference.name)?).unwrap();
        }
        if let Some(reference) = &provider.spec.proxy_secret_ref {
            let secret = self.secrets.get(&reference.name)?;
            settings.proxy = Some(secret.proxy().unwrap().expose().clone());
        }
        Some(settings)
    }
}

fn dispatcher(corpus: &Corpus) -> Dispatcher {
    let providers = fluxide_runtime::Store::new();
    corpus.providers.values().cloned().for_each(|provider| providers.apply(provider));
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    Dispatcher {
        providers,
        client: kube::Client::try_from(config).unwrap(),
        no_cross_namespace_refs: false,
        object_level_identity: false,
        complaints: crate::complaint::Complaints::new(None),
    }
}

/// The requests that an event leads to, by all alerts that select it.
async fn sent(corpus: &Corpus, body: &Value) -> Vec<(String, Request)> {
    let dispatcher = dispatcher(corpus);
    let event = incoming::decode(body.to_string().as_bytes()).unwrap();
    let mut all = Vec::new();
    for alert in &corpus.alerts {
        let name = alert.metadata.name.clone().unwrap();
        let skipped = ["only-errors", "included", "excluded", "labels", "bad-regex", "bad-provider"];
        if alert.spec.suspend || skipped.contains(&name.as_str()) {
            continue;
        }
        let Dispatched::Delivery(delivery) = dispatcher.dispatch(&event, alert).await else { continue };
        let Some(settings) = corpus.settings(&corpus.providers[&delivery.provider]) else { continue };
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let record = Arc::clone(&seen);
        let script = move |request: &Request| {
            record.lock().unwrap().push(request.clone());
            answer(request)
        };
        let connections = Connections {
            clients: Clients::scripted(Arc::new(script)),
            tokens: TokenCache::new(0, Duration::ZERO, None),
            cluster: None,
            posted: Posted::default(),
            identities: Identities::of_process(String::new()),
        };
        let message =
            Message { event: &delivery.event, alert: &delivery.alert, status_id: &delivery.status_id };
        let result = send(&connections, &settings, &message).await;
        let requests = std::mem::take(&mut *seen.lock().unwrap());
        assert!(result.is_ok() || requests.is_empty() || name == "failing", "{name}: {result:?}");
        all.extend(requests.into_iter().map(|request| (name.clone(), request)));
    }
    all
}

fn answer(request: &Request) -> Answer {
    let path = request.url.path();
    let (status, body) = match (request.method.as_str(), path) {
        ("GET", path) if path.ends_with("/user") => {
            (200, json!({"login": "flux-bot", "username": "flux-bot"}))
        }
        ("GET", path) if path.contains("/statuses/build/") || path.ends_with("/builds") => (404, json!({})),
        ("GET", path) if path.contains("/_apis/") => (200, json!({"count": 0, "value": []})),
        ("GET", _) => (200, json!([])),
        _ => (200, json!({"ok": true})),
    };
    Answer { status: StatusCode::from_u16(status).unwrap(), body: body.to_string().into_bytes() }
}

/// A request in a form in which two are the same if they differ only in what is left to chance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Normal {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn normal_ours(request: &Request) -> Normal {
    let proxied = request.url.host_str() == Some("proxied.test");
    let mut target = request.url.path().to_owned();
    if let Some(query) = request.url.query() {
        target.push_str(&format!("?{query}"));
    }
    if proxied {
        target = request.url.to_string();
    }
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    normal(request.method.as_str(), &target, headers, &request.body)
}

fn normal_recorded(request: &Value) -> Normal {
    use base64::Engine;
    let body = match request["body_base64"].as_str() {
        Some(text) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        None => request["body"].as_str().unwrap_or_default().as_bytes().to_vec(),
    };
    let headers = request["headers"].as_object().unwrap().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    normal(request["method"].as_str().unwrap(), request["path"].as_str().unwrap(), headers, &body)
}

fn normal<'a>(
    method: &str,
    target: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) -> Normal {
    let headers: BTreeMap<String, String> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .filter(|(name, _)| !IGNORED.contains(&name.as_str()) && (method != "GET" || name != "content-type"))
        .map(|(name, value)| {
            let value =
                if name == "content-type" { value.split(';').next().unwrap().to_owned() } else { value };
            (name, value)
        })
        .collect();
    let kind = headers.get("content-type").map_or("", String::as_str);
    let body = match kind {
        "application/x-protobuf" => spans(body),
        "application/x-sentry-envelope" => envelope(body),
        "application/x-www-form-urlencoded" => {
            let pairs: BTreeSet<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
            format!("{pairs:?}")
        }
        _ if body.is_empty() => String::new(),
        _ => sorted(&serde_json::from_slice(body).unwrap()).to_string(),
    };
    let line = format!("{method} {}", target.replace("%21", "!"));
    // The transaction id is of bytes in which the order of metadata is left to chance.
    Normal { line, headers, body }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
        Value::String(text) if text.contains('\n') => {
            let mut lines: Vec<&str> = text.split('\n').collect();
            lines.sort_unstable();
            lines.join("\n").into()
        }
        other => other.clone(),
    }
}

fn spans(body: &[u8]) -> String {
    let mut export = ExportTraceServiceRequest::decode(body).unwrap();
    for span in export.resource_spans.iter_mut().flat_map(|r| &mut r.scope_spans).flat_map(|s| &mut s.spans) {
        span.span_id.clear();
        span.end_time_unix_nano = 0;
        span.attributes.sort_by_key(|attribute| attribute.key.clone());
    }
    format!("{export:?}")
}

fn envelope(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut item = lines[2].clone();
    assert_eq!(lines[1]["length"], text.lines().nth(2).unwrap().len());
    assert_eq!(lines[0]["event_id"], item["event_id"]);
    let is_transaction = item["type"] == "transaction";
    let members = item.as_object_mut().unwrap();
    for volatile in ["event_id", "modules", "sdk", "release", "platform"] {
        members.remove(volatile);
    }
    if is_transaction {
        members.remove("server_name");
    }
    for own in ["device", "os", "runtime"] {
        item["contexts"].as_object_mut().unwrap().remove(own);
    }
    for pointer in ["/contexts/trace", "/spans/0"] {
        if let Some(trace) = item.pointer_mut(pointer) {
            trace["trace_id"] = "".into();
            trace["span_id"] = "".into();
        }
    }
    format!("{} {}", lines[1]["type"], sorted(&item))
}

async fn compare(severity: &str) -> usize {
    let corpus = corpus();
    let mut recorded = Vec::new();
    for entry in std::fs::read_dir(path("provider-requests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_special = name.starts_with("special");
        if !is_special && name.ends_with(&format!("-{severity}.json")) {
            let requests = read_json(&format!("provider-requests/{name}"));
            recorded.extend(requests.as_array().unwrap().iter().map(|r| (name.clone(), normal_recorded(r))));
        }
    }
    let ours: Vec<(String, Normal)> = sent(&corpus, &corpus.events[severity])
        .await
        .into_iter()
        .map(|(alert, request)| (alert, normal_ours(&request)))
        .collect();
    let matrix = |normal: &Normal| {
        let mut normal = normal.clone();
        if let Some(at) = normal.line.find("/m.room.message/") {
            normal.line.truncate(at);
        }
        normal
    };
    for (alert, request) in &ours {
        let found = recorded.iter().any(|(_, recorded)| matrix(recorded) == matrix(request));
        let same_line: Vec<_> = recorded.iter().filter(|(_, r)| r.line == request.line).collect();
        assert!(found, "{alert} ({severity}) was not recorded: {request:#?}\nrecorded: {same_line:#?}");
    }
    let missing: Vec<_> = recorded
        .iter()
        .filter(|(_, recorded)| !ours.iter().any(|(_, ours)| matrix(ours) == matrix(recorded)))
        .filter(|(_, recorded)| !EXTRAS.iter().any(|extra| recorded.line.starts_with(extra)))
        // Those of alerts that are about matching.
        .filter(|(_, recorded)| {
            let of_matching = recorded.body.contains("\"alert\":") || !recorded.body.contains("recorded");
            !(recorded.line == "POST /hook" && of_matching)
        })
        .collect();
    assert!(missing.is_empty(), "not made ({severity}): {missing:#?}");
    ours.len()
}

#[tokio::test]
async fn good_news_is_told_as_flux_tells_it() {
    let requests = compare("info").await;
    println!("{requests} requests are as recorded");
    assert!(requests >= 50, "{requests}");
}

#[tokio::test]
async fn bad_news_is_told_as_flux_tells_it() {
    let requests = compare("error").await;
    println!("{requests} requests are as recorded");
    assert!(requests >= 49, "{requests}");
}

#[tokio::test]
async fn special_events_reach_whom_they_reached() {
    let corpus = corpus();
    for (file, change) in [
        ("special-progressing", json!({"reason": "Progressing", "message": "progress"})),
        ("special-no-commit", json!({"message": "no commit"})),
        ("special-commit-status-update", json!({"message": "update"})),
    ] {
        let mut event = corpus.events["info"].clone();
        for (member, value) in change.as_object().unwrap() {
            event[member] = value.clone();
        }
        let metadata = event["metadata"].as_object_mut().unwrap();
        match file {
            "special-no-commit" => {
                metadata.remove("event.toolkit.fluxcd.io/commit");
                metadata.remove("event.toolkit.fluxcd.io/change_request");
            }
            "special-commit-status-update" => {
                metadata.remove("event.toolkit.fluxcd.io/commit");
                metadata.insert("kustomize.toolkit.fluxcd.io/commit_status".to_owned(), "update".into());
            }
            _ => {}
        }
        let lines = |requests: Vec<String>| -> BTreeSet<String> {
            let requests =
                requests.into_iter().filter(|line| !EXTRAS.iter().any(|extra| line.starts_with(extra)));
            let shortened = requests.map(|line| match line.find("/m.room.message/") {
                Some(at) => line[..at].to_owned(),
                None => line,
            });
            shortened.collect()
        };
        let recorded = read_json(&format!("provider-requests/{file}.json"));
        let recorded = recorded.as_array().unwrap().iter().map(|request| normal_recorded(request).line);
        let recorded = lines(recorded.collect());
        let ours = sent(&corpus, &event).await.into_iter().map(|(_, request)| normal_ours(&request).line);
        let ours = lines(ours.collect());
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        let (missing, more) = (only(&recorded, &ours), only(&ours, &recorded));
        assert!(
            missing.is_empty() && more.is_empty(),
            "{file}: not made {missing:#?}, not recorded {more:#?}"
        );
    }
}

fn settings(spec: Value, data: &[(&str, &str)]) -> Settings {
    let provider: Provider = serde_json::from_value(json!({
        "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider",
        "metadata": {"name": "p", "namespace": "n", "uid": "1-2"}, "spec": spec,
    }))
    .unwrap();
    let mut settings = Settings::of_spec(&provider);
    let bytes = |text: &str| k8s_openapi::ByteString(text.into());
    let secret = k8s_openapi::api::core::v1::Secret {
        data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), bytes(value))).collect()),
        ..Default::default()
    };
    settings.take(&Secret::new(Key::new("n", "s"), secret)).unwrap();
    settings
}

/// An alert that selects whatever a test sends.
pub(super) fn alert() -> AlertIdentity {
    AlertIdentity {
        namespace: "n".to_owned(),
        name: "a".to_owned(),
        uid: "u".to_owned(),
        resource_version: String::new(),
    }
}

fn event() -> Event {
    serde_json::from_value(json!({
        "involvedObject": {"kind": "Kustomization", "namespace": "ns", "name": "app", "uid": "u"},
        "severity": "error", "reason": "HealthCheckFailed", "message": "it's <broken>", "timestamp": "2026-08-01T10:00:00Z",
        "metadata": {"env": "prod"}, "reportingController": "kustomize-controller",
    }))
    .unwrap()
}

fn made(settings: &Settings) -> Result<Vec<Request>, String> {
    let kind = Kind::of(&settings.provider_type);
    (kind.check)(settings)?;
    let alert = alert();
    let event = event();
    match kind.transport {
        Transport::Requests(requests) => {
            requests(settings, &Message { event: &event, alert: &alert, status_id: "" })
        }
        _ => Ok(Vec::new()),
    }
}

#[test]
fn zoom_and_incident_io_have_their_own_messages() {
    let zoom = settings(json!({"type": "zoom", "address": "https://zoom.test/hook?a=b"}), &[("token", "t")]);
    let zoom = &made(&zoom).unwrap()[0];
    assert_eq!(zoom.url.as_str(), "https://zoom.test/hook?a=b&format=full");
    assert_eq!(zoom.headers["authorization"], "t");
    assert_eq!(
        serde_json::from_slice::<Value>(&zoom.body).unwrap(),
        json!({"content": {
            "head": {"text": "kustomization/app.ns", "sub_head": {"text": "error"}},
            "body": [{"type": "message", "text": "it's <broken>"}, {"type": "fields", "items": [{"key": "env", "value": "prod"}]}],
        }})
    );
    let kept = settings(
        json!({"type": "zoom", "address": "https://zoom.test/hook?format=message"}),
        &[("token", "t")],
    );
    assert_eq!(made(&kept).unwrap()[0].url.query(), Some("format=message"));

    let incident =
        settings(json!({"type": "incident.io", "address": "https://api.incident.io/x"}), &[("token", "t")]);
    let incident = &made(&incident).unwrap()[0];
    assert_eq!(incident.headers["authorization"], "Bearer t");
    assert_eq!(
        serde_json::from_slice::<Value>(&incident.body).unwrap(),
        json!({
            "title": "kustomization/app.ns: HealthCheckFailed", "status": "firing", "deduplication_key": "u",
            "description": "it's <broken>",
            "metadata": {"env": "prod", "severity": "error", "reason": "HealthCheckFailed", "reportingController": "kustomize-controller"},
        })
    );
}

#[test]
fn settings_that_lead_nowhere_are_refused() {
    let refused = |spec: Value, data: &[(&str, &str)]| made(&settings(spec, data)).err().unwrap();
    for (spec, expected) in [
        (json!({"type": "slack"}), "invalid Slack hook URL : 'parse \"\": empty url'"),
        (
            json!({"type": "slack", "address": "not a url"}),
            "invalid Slack hook URL not a url: 'parse \"not a url\": invalid URI for request'",
        ),
        (json!({"type": "generic-hmac", "address": "http://h"}), "HMAC key is empty"),
        (json!({"type": "telegram"}), "empty Telegram channel"),
        (json!({"type": "opsgenie", "address": "http://h"}), "empty Opsgenie apikey/token"),
        (
            json!({"type": "zulip", "address": "http://h", "channel": "x"}),
            "invalid Zulip channel format, expected <channel>/<topic>, got 'x'",
        ),
        (json!({"type": "datadog", "address": "http://h"}), "token cannot be empty"),
        (json!({"type": "sentry"}), "DSN cannot be empty"),
        (
            json!({"type": "github", "address": "http://h/a/b"}),
            "github token or github app details must be specified",
        ),
        (json!({"type": "gitea", "address": "http://h/a/b"}), "gitea token cannot be empty"),
        (
            json!({"type": "bitbucketserver", "address": "http://h/scm/a/b"}),
            "invalid credentials, expected to be one of username/password or API Token",
        ),
        (json!({"type": "nats", "channel": "s"}), "NATS server (address) cannot be empty"),
        (json!({"type": "googlepubsub", "address": "p"}), "GCP Pub/Sub topic ID cannot be empty"),
        (json!({"type": "azureeventhub"}), "invalid authentication options: endpoint URL cannot be empty"),
    ] {
        assert_eq!(refused(spec, &[]), expected);
    }
    let colons = json!({"type": "bitbucket", "address": "https://bitbucket.org/a/b"});
    assert_eq!(
        refused(colons, &[("token", "a:b:c")]),
        "invalid token format, expected to be <user>:<password>"
    );
    let sub = json!({"type": "github", "address": "https://github.com/a/b/c"});
    assert_eq!(refused(sub, &[("token", "t")]), "invalid repository id: 'a/b/c'");
}

#[test]
fn credentials_in_headers_cannot_break_out() {
    let broken = settings(json!({"type": "webex", "address": "http://h"}), &[("token", "a\nb")]);
    let error = made(&broken).err().unwrap();
    assert!(error.contains("characters that cannot be sent") && !error.contains("a\nb"), "{error}");
    let trailing = settings(json!({"type": "webex", "address": "http://h"}), &[("token", "t\n")]);
    assert_eq!(made(&trailing).unwrap()[0].headers["authorization"], "Bearer t");
    let headers = settings(
        json!({"type": "grafana", "address": "http://h"}),
        &[("token", "t"), ("headers", "X-Org: '1'\nAuthorization: other")],
    );
    let request = &made(&headers).unwrap()[0];
    assert_eq!(
        (&request.headers["x-org"], &request.headers["authorization"]),
        (&"1".parse().unwrap(), &"Bearer t".parse().unwrap())
    );
}

#[test]
fn reasons_become_words() {
    for (reason, words) in [
        ("HealthCheckFailed", "health check failed"),
        ("OCIArtifact", "oci artifact"),
        ("ReconciliationSucceeded", "reconciliation succeeded"),
        ("error", "error"),
        ("HTTP2Failed", "http 2 failed"),
    ] {
        assert_eq!(reason_in_words(reason), words);
    }
}
