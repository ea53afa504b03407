//! A cluster, a service that providers send to, and the controller, started for a test.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use fluxide_notification_controller::{Options, PROFILE, Started, run_with};
use fluxide_runtime::{CancellationToken, Store};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, Resource, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// A request that a provider's service received.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the service was broken, and said so.
    pub refused: bool,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A service that answers 200, but below `/fail` 500, below `/refuse` 400, below `/hang` never, and
/// below `/redirect` with a redirect to the rest of the path, which may be a whole address.
#[derive(Clone, Default)]
pub struct Sink {
    received: Arc<Mutex<Vec<Received>>>,
    broken: Arc<std::sync::atomic::AtomicBool>,
    pub address: String,
}

impl Sink {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self { address: format!("http://{}", listener.local_addr().unwrap()), ..Self::default() };
        let router = axum::Router::new().fallback(receive).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        sink
    }

    /// The place where another server at this address keeps what it receives.
    pub fn of(address: String) -> Self {
        Self { address, ..Self::default() }
    }

    /// Keeps what another server received.
    pub fn keep(&self, received: Received) {
        self.received.lock().unwrap().push(received);
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn at(&self, target: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.target == target).collect()
    }

    /// From now on everything is answered with 503, or as usual again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, std::sync::atomic::Ordering::Relaxed);
    }
}

async fn receive(
    State(sink): State<Sink>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let target = uri.path_and_query().unwrap().to_string();
    let refused = sink.broken.load(std::sync::atomic::Ordering::Relaxed);
    let (method, body) = (method.to_string(), body.to_vec());
    sink.keep(Received { method, target: target.clone(), headers, body, refused });
    let mut headers = HeaderMap::new();
    if refused {
        return (StatusCode::SERVICE_UNAVAILABLE, headers, String::new());
    }
    match target.split('/').nth(1).unwrap_or_default() {
        "fail" => (StatusCode::INTERNAL_SERVER_ERROR, headers, "broken".to_owned()),
        "refuse" => (StatusCode::BAD_REQUEST, headers, r#"{"error":"test failure"}"#.to_owned()),
        "hang" => std::future::pending().await,
        "redirect" => {
            let rest = &target["/redirect".len()..];
            let rest = if rest.starts_with("/http:") { &rest[1..] } else { rest };
            headers.insert("location", rest.parse().unwrap());
            (StatusCode::TEMPORARY_REDIRECT, headers, String::new())
        }
        _ => (StatusCode::OK, headers, "ok".to_owned()),
    }
}

/// Everything a test needs.
pub struct World {
    pub client: Client,
    pub server: fluxide_apiserver::RunningServer,
    pub sink: Sink,
    pub events: String,
    pub webhooks: String,
    pub http: reqwest::Client,
    started: Option<Started>,
    shutdown: CancellationToken,
}

impl World {
    /// Starts everything with default flags.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts everything; the controller gets more flags.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let mut world = Self::without_controller().await;
        world.start_controller(arguments).await;
        world
    }

    /// Starts everything but the controller.
    pub async fn without_controller() -> Self {
        fluxide_runtime::tls::install_provider();
        let server = fluxide_apiserver::Server::builder().port(0).start().await.unwrap();
        let client = client(&server, "test").await;
        install_definitions(&client).await;
        let world = Self {
            client,
            server,
            sink: Sink::start().await,
            events: String::new(),
            webhooks: String::new(),
            http: reqwest::Client::new(),
            started: None,
            shutdown: CancellationToken::new(),
        };
        for name in ["notify", "hooks", "other"] {
            world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
        }
        world
    }

    pub async fn start_controller(&mut self, arguments: &[&str]) {
        let fixed = [
            "notification-controller",
            "--metrics-addr=0",
            "--health-addr=0",
            "--events-addr=127.0.0.1:0",
            "--receiverAddr=127.0.0.1:0",
        ];
        let is_given = |flag: &str| {
            let name = flag.split('=').next().unwrap();
            arguments.iter().any(|given| given.split('=').next() == Some(name))
        };
        let kept = fixed.iter().filter(|flag| !is_given(flag));
        let arguments = kept.chain(arguments).map(|&argument| argument.to_owned());
        let options: Options = fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap();
        let client = client(&self.server, "notification-controller").await;
        self.shutdown = CancellationToken::new();
        let shutdown = self.shutdown.clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let started = |started: Started| assert!(tell.send(started).is_ok());
            run_with(options, client, shutdown, started).await.unwrap();
        });
        let started = told.await.unwrap();
        self.events = format!("http://{}/", started.events.unwrap());
        self.webhooks = format!("http://{}", started.webhooks.unwrap());
        self.started = Some(started);
    }

    /// Objects of a kind in a namespace.
    pub fn api(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if namespace.is_empty() {
            return Api::all_with(self.client.clone(), &resource);
        }
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Applies an object as kubectl does. An alert or provider is known to the controller afterwards: events that come
    /// earlier are not for it.
    pub async fn apply(&self, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let api = self.api(text("/apiVersion"), text("/kind"), text("/metadata/namespace"));
        let name = text("/metadata/name").to_owned();
        let applied = api.patch(&name, &PatchParams::apply("kubectl").force(), &Patch::Apply(&object)).await;
        self.until_known(&applied.unwrap()).await;
    }

    /// Waits until a running controller knows an alert or a provider as it is here.
    pub async fn until_known(&self, object: &DynamicObject) {
        let Some(started) = &self.started else { return };
        match object.types.as_ref().map(|types| types.kind.as_str()) {
            Some("Alert") => until_in(&started.alerts, object).await,
            Some("Provider") => until_in(&started.providers, object).await,
            _ => {}
        }
    }

    /// Applies all objects of a file of the corpus, with the sink in place of the recorded services.
    pub async fn apply_corpus(&self, name: &str) {
        for document in serde_yaml::Deserializer::from_str(&corpus_text(name)) {
            self.apply(Value::deserialize(document).unwrap()).await;
        }
    }

    /// A Secret with these keys.
    pub async fn secret(&self, namespace: &str, name: &str, data: Value) {
        self.apply(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
            "stringData": data}),
        )
        .await;
    }

    /// A provider that sends to a path of the sink, and an alert that selects all Kustomizations for it.
    pub async fn alert(&self, name: &str, path: &str, spec: Value) {
        self.alert_with(
            name,
            json!({"type": "generic", "address": format!("{}{path}", self.sink.address)}),
            spec,
        )
        .await;
    }

    /// A provider, and an alert that selects all Kustomizations for it.
    pub async fn alert_with(&self, name: &str, provider: Value, spec: Value) {
        self.provider(name, provider).await;
        let mut alert = json!({
            "providerRef": {"name": name}, "eventSources": [{"kind": "Kustomization", "name": "*"}],
        });
        alert.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.apply(json!({
            "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Alert",
            "metadata": {"name": name, "namespace": "notify"}, "spec": alert,
        }))
        .await;
    }

    pub async fn provider(&self, name: &str, spec: Value) {
        self.apply(json!({
            "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider",
            "metadata": {"name": name, "namespace": "notify"}, "spec": spec,
        }))
        .await;
    }

    /// Posts an event; the status of the answer.
    pub async fn post(&self, event: &Value) -> u16 {
        let answer = self.http.post(&self.events).json(event).send().await.unwrap();
        answer.status().as_u16()
    }

    /// The events about an object: type, reason, message, annotations.
    pub async fn events_about(&self, kind: &str, name: &str) -> Vec<(String, String, String, Value)> {
        let events = self.api("v1", "Event", "notify").list(&ListParams::default()).await.unwrap();
        let about = events.items.into_iter().map(|event| serde_json::to_value(event).unwrap());
        let about = about.filter(|event| {
            event["involvedObject"]["kind"] == kind && event["involvedObject"]["name"] == name
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        about
            .map(|event| {
                let annotations = match &event["metadata"]["annotations"] {
                    Value::Null => json!({}),
                    annotations => annotations.clone(),
                };
                (text(&event["type"]), text(&event["reason"]), text(&event["message"]), annotations)
            })
            .collect()
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = tokio::time::Instant::now() + DEADLINE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "still not so after {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a store has an object, as it is here or newer.
async fn until_in<K: Resource>(store: &Store<K>, object: &DynamicObject) {
    let version = |version: Option<String>| version.and_then(|version| version.parse::<u64>().ok());
    let (namespace, name) = (object.namespace().unwrap(), object.name_any());
    let (uid, wanted) = (object.uid(), version(object.resource_version()));
    until(&format!("{namespace}/{name} is known"), || async {
        let known = store.find(&namespace, &name);
        known.is_some_and(|known| {
            known.meta().uid == uid && version(known.meta().resource_version.clone()) >= wanted
        })
    })
    .await;
}

/// An event about a Kustomization.
pub fn event(name: &str, message: &str) -> Value {
    json!({
        "involvedObject": {"kind": "Kustomization", "namespace": "notify", "name": name, "uid": format!("uid-{name}"),
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "resourceVersion": "1"},
        "severity": "info", "timestamp": "2026-08-01T10:00:00Z", "message": message, "reason": "ReconciliationSucceeded",
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:0123456789abcdef0123456789abcdef01234567"},
        "reportingController": "kustomize-controller",
    })
}

pub fn corpus_text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    std::fs::read_to_string(path).unwrap()
}

pub fn corpus_json(name: &str) -> Value {
    serde_json::from_str(&corpus_text(name)).unwrap()
}

async fn client(server: &fluxide_apiserver::RunningServer, name: &str) -> Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    fluxide_runtime::client::from_config(config, name).unwrap()
}

async fn install_definitions(client: &Client) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
    ));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    for definition in fluxide_crdgen::crds().unwrap() {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&definition)).await.unwrap();
    }
}
