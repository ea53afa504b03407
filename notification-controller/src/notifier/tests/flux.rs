//! Random events for random providers, compared with what Flux sent for the same: which requests, to the byte where Flux
//! leaves nothing to chance, and what it told the alert.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fluxide_notification_api::{Alert, Provider};
use fluxide_runtime::secrets::Secret;
use fluxide_runtime::{Key, Store};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{EXTRAS, IGNORED, envelope, sorted, spans};
use crate::complaint::Complaints;
use crate::events::{Dispatched, Dispatcher, Matcher, incoming};
use crate::notifier::http::{Answer, Clients, Request};
use crate::notifier::{self, Connections, Error, Identities, Message, Posted, Settings, TokenCache};

/// Hosts that are fixed, by which Flux was recorded in place of those.
const FIXED_HOSTS: [(&str, &str); 2] =
    [("api.telegram.org", "api.telegram.test:18999"), ("api.bitbucket.org", "bitbucket.test:18999")];

#[derive(Deserialize)]
struct Case {
    id: u32,
    provider: Value,
    uid: String,
    #[serde(default)]
    secret: Option<BTreeMap<String, String>>,
    alert: Value,
    event: String,
    #[serde(default)]
    answers: Vec<Scripted>,
    status: u16,
    requests: Vec<Recorded>,
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Clone, Deserialize)]
struct Scripted {
    method: String,
    part: String,
    status: u16,
    body: String,
}

#[derive(Deserialize)]
struct Recorded {
    method: String,
    host: String,
    target: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    base64: bool,
}

/// What is compared of a request.
#[derive(Debug, PartialEq, Eq)]
struct Normal {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What takes long to make.
struct Lab {
    cluster: kube::Client,
    clients: Clients,
}

/// What came of a case here.
struct Outcome {
    requests: Vec<Normal>,
    complaints: Vec<String>,
}

impl Case {
    async fn run(&self, lab: &Lab) -> (u16, Outcome) {
        let mut outcome = Outcome { requests: Vec::new(), complaints: Vec::new() };
        let Ok(event) = incoming::decode(self.event.as_bytes()) else { return (400, outcome) };
        let object = |kind: &str, name: &str, uid: &str, spec: &Value| {
            json!({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": kind, "spec": spec,
                "metadata": {"name": name, "namespace": "n", "uid": uid}})
        };
        let provider: Provider =
            serde_json::from_value(object("Provider", "p", &self.uid, &self.provider)).unwrap();
        let alert: Alert = serde_json::from_value(object("Alert", "a", "alert-uid", &self.alert)).unwrap();
        let (alerts, providers) = (Store::new(), Store::new());
        alerts.apply(alert);
        providers.apply(provider.clone());
        let client = lab.cluster.clone();
        let complaints = Complaints::heard();
        let dispatcher = Dispatcher {
            providers,
            client: client.clone(),
            no_cross_namespace_refs: false,
            object_level_identity: false,
            complaints: complaints.clone(),
        };
        for alert in Matcher::new(alerts, client, complaints.clone()).alerts_for(&event).await {
            let Dispatched::Delivery(delivery) = dispatcher.dispatch(&event, &alert).await else { continue };
            let about = crate::events::dispatch::object_path(&event);
            if let Err(message) = self.send(lab, &provider, &delivery, &mut outcome.requests).await {
                let message = match message {
                    Error::Settings(message) if message.starts_with("failed to read headers") => {
                        format!(
                            "failed to dispatch notification for {about}: failed to initialize notifier for provider 'p': {message}"
                        )
                    }
                    Error::Settings(_) => format!(
                        "failed to dispatch notification for {about}: failed to initialize notifier for provider 'p': {message}"
                    ),
                    message => format!("failed to send notification for {about}: {message}"),
                };
                complaints.hear(format!("Warning NotificationDispatchFailed {message}"));
            }
        }
        outcome.complaints = complaints.all();
        (202, outcome)
    }

    async fn send(
        &self,
        lab: &Lab,
        provider: &Provider,
        delivery: &crate::delivery::Delivery,
        sent: &mut Vec<Normal>,
    ) -> Result<(), Error> {
        let mut settings = Settings::of_spec(provider);
        if let Some(data) = &self.secret {
            let data = data
                .iter()
                .map(|(key, value)| (key.clone(), k8s_openapi::ByteString(value.as_bytes().into())));
            let secret =
                k8s_openapi::api::core::v1::Secret { data: Some(data.collect()), ..Default::default() };
            settings
                .take(&Secret::new(Key::new("n", "s"), secret))
                .map_err(|error| Error::Settings(error.to_string()))?;
        }
        notifier::check(&settings)?;
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (record, scripted) = (Arc::clone(&seen), self.answers.clone());
        let script = move |request: &Request| {
            record.lock().unwrap().push(request.clone());
            let target = target(request);
            let found = scripted
                .iter()
                .find(|answer| {
                    (answer.method == "*" || answer.method == request.method.as_str())
                        && target.contains(&answer.part)
                })
                .map(|answer| Answer {
                    status: StatusCode::from_u16(answer.status).unwrap(),
                    body: if answer.status == 204 || answer.status == 304 {
                        Vec::new()
                    } else {
                        answer.body.clone().into_bytes()
                    },
                });
            found.unwrap_or_else(|| super::answer(request))
        };
        let connections = Connections {
            clients: lab.clients.with_script(Arc::new(script)),
            tokens: TokenCache::new(0, std::time::Duration::ZERO, None),
            cluster: None,
            posted: Posted::default(),
            identities: Identities::of_process(String::new()),
        };
        let message =
            Message { event: &delivery.event, alert: &delivery.alert, status_id: &delivery.status_id };
        let result = notifier::send(&connections, &settings, &message).await;
        sent.extend(seen.lock().unwrap().iter().map(|request| {
            let host = request.url.host_str().unwrap();
            let host = match FIXED_HOSTS.iter().find(|(fixed, _)| *fixed == host) {
                Some((_, recorded)) => (*recorded).to_owned(),
                None => request.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            };
            let headers = request.headers.iter().map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            Normal::new(request.method.as_str(), &host, &target(request), headers, request.body.clone())
        }));
        result.map_err(|error| match error {
            Error::Send { message, transient } => {
                Error::Send { message: settings.redactor().redact(&message), transient }
            }
            other => other,
        })
    }
}

fn target(request: &Request) -> String {
    request.url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
}

impl Normal {
    fn new(
        method: &str,
        host: &str,
        target: &str,
        headers: impl Iterator<Item = (String, String)>,
        body: Vec<u8>,
    ) -> Self {
        let headers = headers
            .map(|(name, value)| (name.to_lowercase(), value))
            .filter(|(name, _)| !IGNORED.contains(&name.as_str()))
            .filter(|(name, _)| !body.is_empty() || name != "content-type")
            .collect();
        Self { line: format!("{method} http://{host}{target}"), headers, body }
    }

    fn of(recorded: &Recorded) -> Self {
        use base64::Engine;
        let body = if recorded.base64 {
            base64::engine::general_purpose::STANDARD.decode(&recorded.body).unwrap()
        } else {
            recorded.body.clone().into_bytes()
        };
        let headers = recorded.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self::new(&recorded.method, &recorded.host, &recorded.target, headers, body)
    }

    /// In a form in which two are the same that differ in what Flux leaves to chance: the order of metadata, ids.
    fn shuffled(&self) -> (String, String) {
        let kind = self.headers.get("content-type").map_or("", String::as_str);
        let body = match kind {
            "application/x-protobuf" => spans(&self.body),
            "application/x-sentry-envelope" => envelope(&self.body),
            _ => match serde_json::from_slice::<Value>(&self.body) {
                Ok(value) => sorted(&value).to_string(),
                Err(_) => {
                    let mut lines: Vec<String> =
                        String::from_utf8_lossy(&self.body).split("%0A").map(str::to_owned).collect();
                    lines.sort_unstable();
                    lines.join("\n")
                }
            },
        };
        let mut line = self.line.clone();
        if let Some(at) = line.find("/m.room.message/") {
            line.truncate(at);
        }
        (line, body)
    }
}

/// Whether two requests are the same, and if so whether to the byte.
fn same(case: &Case, ours: &mut Normal, theirs: &Normal) -> Option<bool> {
    let kind = case.provider["type"].as_str().unwrap();
    if !["generic", "generic-hmac", "otel"].contains(&kind) {
        // Elsewhere Flux does not send the headers of the Secret.
        let headers = case.secret.as_ref().and_then(|data| data.get("headers"));
        let headers: BTreeMap<String, String> =
            headers.and_then(|text| serde_yaml::from_str(text).ok()).unwrap_or_default();
        for name in headers.keys().map(|name| name.to_lowercase()) {
            if !theirs.headers.contains_key(&name) {
                ours.headers.remove(&name);
            }
        }
    }
    for value in ours.headers.values_mut() {
        *value = value.trim_end().to_owned();
    }
    if kind == "otel" && theirs.headers.get("authorization").is_some_and(|value| value == "Bearer") {
        ours.headers.insert("authorization".to_owned(), "Bearer".to_owned());
    }
    if kind == "otel" && !case.secret.as_ref().is_some_and(|data| data.contains_key("headers")) {
        // Flux authenticates only together with other headers.
        ours.headers.remove("authorization");
    }
    if *ours == *theirs {
        return Some(true);
    }
    let signed = |normal: &Normal| {
        let mut headers = normal.headers.clone();
        headers.remove("x-signature");
        headers
    };
    (signed(ours) == signed(theirs) && ours.shuffled() == theirs.shuffled()).then_some(false)
}

fn cases() -> Vec<Case> {
    let path = std::env::var_os("FLUXIDE_PROVIDER_CASES")
        .map_or_else(|| super::path("provider-cases.jsonl"), std::path::PathBuf::from);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn random_events_are_told_as_flux_tells_them() {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let clients = Clients::scripted(Arc::new(super::answer));
    let lab = Lab { cluster: kube::Client::try_from(config).unwrap(), clients };
    let (mut all, mut exact, mut alike, mut wrong) = (0, 0, 0, Vec::new());
    for case in cases() {
        all += 1;
        let ran = tokio::time::timeout(std::time::Duration::from_secs(5), case.run(&lab)).await;
        let Ok((status, mut outcome)) = ran else {
            wrong.push(format!("case {} {} takes too long", case.id, case.provider));
            continue;
        };
        let theirs: Vec<Normal> = case
            .requests
            .iter()
            .filter(|request| {
                !EXTRAS
                    .iter()
                    .any(|extra| format!("{} {}", request.method, request.target).starts_with(extra))
                    && request.method != "OPTIONS"
            })
            // Flux asks who it is before it looks at the event.
            .filter(|request| {
                let asks = |request: &Recorded| {
                    request.target.ends_with("/user") || request.target.ends_with("/version")
                };
                !(case.requests.iter().all(asks) && request.target.ends_with("/user"))
            })
            .map(Normal::of)
            .collect();
        let mut differs = Vec::new();
        if status != case.status {
            differs.push(format!("status {status}, not {}", case.status));
        }
        if outcome.requests.len() != theirs.len() {
            let lines = |all: &[Normal]| all.iter().map(|normal| normal.line.clone()).collect::<Vec<_>>();
            differs.push(format!("requests {:?}, not {:?}", lines(&outcome.requests), lines(&theirs)));
        }
        for (ours, theirs) in outcome.requests.iter_mut().zip(&theirs) {
            match same(&case, ours, theirs) {
                Some(true) => exact += 1,
                Some(false) => alike += 1,
                None => differs.push(difference(ours, theirs)),
            }
        }
        if outcome.complaints != case.events {
            differs.push(format!("complaints {:#?}\n  not {:#?}", outcome.complaints, case.events));
        }
        if !differs.is_empty() {
            let kind = case.provider["type"].as_str().unwrap();
            wrong.push(format!("case {} {kind}\n  {}", case.id, differs.join("\n  ")));
        }
    }
    println!("{all} cases, {exact} requests the same to the byte, {alike} but for chance");
    assert!(wrong.is_empty(), "{} of {all} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn difference(ours: &Normal, theirs: &Normal) -> String {
    let text = |normal: &Normal| {
        let (line, body) = normal.shuffled();
        format!("{line}\n    {:?}\n    {body}", normal.headers)
    };
    format!("request {}\n   not {}", text(ours), text(theirs))
}
