//! A cluster, a server of artifacts and events, and the controller, started for a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use fluxide_kustomize_controller::{Options, PROFILE};
use fluxide_runtime::CancellationToken;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(180);

#[derive(Clone, Default)]
struct Files {
    artifacts: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    events: Arc<Mutex<Vec<Value>>>,
    writes: Arc<Mutex<Vec<Value>>>,
}

/// Everything a test needs.
pub struct World {
    pub client: Client,
    pub server: fluxide_apiserver::RunningServer,
    pub namespace: String,
    files: Files,
    address: String,
    shutdown: CancellationToken,
    controller: Option<tokio::task::JoinHandle<()>>,
    arguments: Vec<String>,
}

impl World {
    /// Starts everything with default flags.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts everything; the controller gets more flags.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let server = fluxide_apiserver::Server::builder().port(0).start().await.unwrap();
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        let client = fluxide_runtime::client::from_config(config, "test").unwrap();
        install_definitions(&client).await;
        let files = Files::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/", post(receive_event))
            .route("/artifacts/{name}", get(serve_artifact))
            .with_state(files.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut world = Self {
            client,
            server,
            namespace: "apps".to_owned(),
            files,
            address,
            shutdown: CancellationToken::new(),
            controller: None,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}})).await;
        world.start_controller().await;
        world
    }

    /// Starts the controller again after [`World::stop_controller`].
    pub async fn start_controller(&mut self) {
        let mut arguments = vec![
            "kustomize-controller".to_owned(),
            "--metrics-addr=0".to_owned(),
            "--health-addr=0".to_owned(),
            format!("--events-addr={}/", self.address),
        ];
        arguments.extend(self.arguments.iter().cloned());
        let mut options: Options = fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap();
        options.common.runtime_namespace = "flux-system".to_owned();
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&self.server.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        let client = fluxide_runtime::client::from_config(config, "kustomize-controller").unwrap();
        let client = recorded(client, self.files.writes.clone());
        self.shutdown = CancellationToken::new();
        let shutdown = self.shutdown.clone();
        self.controller = Some(tokio::spawn(async move {
            fluxide_kustomize_controller::run(options, client, shutdown).await.unwrap();
        }));
    }

    /// Ends the controller as SIGTERM does.
    pub async fn stop_controller(&mut self) {
        self.shutdown.cancel();
        if let Some(controller) = self.controller.take() {
            controller.await.unwrap();
        }
    }

    /// Ends the controller wherever it is.
    pub async fn kill_controller(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.abort();
            let _ = controller.await;
        }
    }

    /// Objects of a kind.
    pub fn api(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Objects of a kind in the namespace of the test.
    pub fn here(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        self.api(api_version, kind, Some(&self.namespace))
    }

    pub fn kustomizations(&self) -> Api<DynamicObject> {
        self.here("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
    }

    /// Applies an object as kubectl does.
    pub async fn apply(&self, object: Value) {
        self.apply_as("kubectl", object).await;
    }

    /// Applies an object server-side as somebody.
    pub async fn apply_as(&self, manager: &str, object: Value) {
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        let api = self.api(
            object["apiVersion"].as_str().unwrap(),
            object["kind"].as_str().unwrap(),
            namespace.as_deref(),
        );
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply(manager).force(), &Patch::Apply(&object)).await.unwrap();
    }

    /// Changes an object as `kubectl edit` does.
    pub async fn edit(&self, api: &Api<DynamicObject>, name: &str, patch: Value) {
        let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
        api.patch(name, &params, &Patch::Merge(&patch)).await.unwrap();
    }

    /// Reads an object; `None` when it does not exist.
    pub async fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let found = self.here(api_version, kind).get_opt(name).await.unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    pub async fn delete(&self, api: &Api<DynamicObject>, name: &str) {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Publishes files as the artifact of the GitRepository `fleet`.
    pub async fn publish(&self, revision: &str, files: &[(&str, &str)]) {
        self.publish_as("fleet", revision, files).await;
    }

    /// Publishes files as the artifact of a GitRepository.
    pub async fn publish_as(&self, source: &str, revision: &str, files: &[(&str, &str)]) {
        let archive = pack(files);
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&archive)));
        let name = format!("{}.tar.gz", &digest[7..19]);
        self.files.artifacts.lock().unwrap().insert(name.clone(), archive);
        self.apply(json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": source, "namespace": self.namespace},
            "spec": {"interval": "1h", "url": "http://git.test/fleet", "ref": {"branch": "main"}},
        }))
        .await;
        let status = json!({"status": {"artifact": {
            "path": name, "url": format!("{}/artifacts/{name}", self.address), "revision": revision,
            "digest": digest, "lastUpdateTime": "2026-01-01T00:00:00Z",
        }}});
        let api = self.here("source.toolkit.fluxcd.io/v1", "GitRepository");
        api.patch_status(source, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    /// Announces an artifact of the GitRepository `fleet` with another digest than it has.
    pub async fn publish_broken(&self, revision: &str, files: &[(&str, &str)]) {
        let name = "broken.tar.gz";
        self.files.artifacts.lock().unwrap().insert(name.to_owned(), pack(files));
        let status = json!({"status": {"artifact": {
            "path": name, "url": format!("{}/artifacts/{name}", self.address), "revision": revision,
            "digest": format!("sha256:{}", "0".repeat(64)), "lastUpdateTime": "2026-01-01T00:00:00Z",
        }}});
        let api = self.here("source.toolkit.fluxcd.io/v1", "GitRepository");
        api.patch_status("fleet", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    /// Serves a file over HTTP and says where.
    pub fn serve(&self, name: &str, content: &str) -> String {
        self.files.artifacts.lock().unwrap().insert(name.to_owned(), content.as_bytes().to_vec());
        format!("{}/artifacts/{name}", self.address)
    }

    /// Creates or changes a Kustomization of the source `fleet`.
    pub async fn kustomization(&self, name: &str, more: Value) {
        let mut spec = json!({
            "interval": "1h", "retryInterval": "2s", "timeout": "30s", "prune": true, "path": "./",
            "targetNamespace": self.namespace, "sourceRef": {"kind": "GitRepository", "name": "fleet"},
        });
        for (key, value) in more.as_object().unwrap() {
            if value.is_null() {
                spec.as_object_mut().unwrap().remove(key);
            } else {
                spec[key] = value.clone();
            }
        }
        self.apply(json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        }))
        .await;
    }

    /// Waits until a Kustomization meets a condition and returns it.
    pub async fn until(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.until_in(&self.kustomizations(), name, what, condition).await
    }

    /// Waits until an object meets a condition and returns it.
    pub async fn until_in(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let end = tokio::time::Instant::now() + DEADLINE;
        let mut last = Value::Null;
        while tokio::time::Instant::now() < end {
            if let Some(object) = api.get_opt(name).await.unwrap() {
                last = serde_json::to_value(object).unwrap();
                if condition(&last) {
                    return last;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is not {what}: {}", serde_json::to_string_pretty(&last).unwrap());
    }

    pub async fn until_gone(&self, api: &Api<DynamicObject>, name: &str) {
        self.until_gone_within(api, name, DEADLINE).await;
    }

    pub async fn until_gone_within(&self, api: &Api<DynamicObject>, name: &str, deadline: Duration) {
        let end = tokio::time::Instant::now() + deadline;
        while tokio::time::Instant::now() < end {
            if api.get_opt(name).await.unwrap().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is still there");
    }

    /// Waits until a Kustomization has applied a revision.
    pub async fn until_applied(&self, name: &str, revision: &str) -> Value {
        self.until(name, &format!("ready at {revision}"), |object| {
            object["status"]["lastAppliedRevision"] == revision
                && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await
    }

    /// Waits until a Kustomization is not ready for a reason, at the last published revision.
    pub async fn until_failed(&self, name: &str, reason: &str) -> Value {
        self.until(name, &format!("failed with {reason}"), |object| {
            condition(object, "Ready")
                .is_some_and(|ready| ready["status"] == "False" && ready["reason"] == reason)
        })
        .await
    }

    /// Asks for a reconcile and waits until it is done.
    pub async fn reconcile(&self, name: &str) -> Value {
        let now = format!("{:?}", std::time::SystemTime::now());
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        self.edit(&self.kustomizations(), name, patch).await;
        self.until(name, "reconciled", |object| object["status"]["lastHandledReconcileAt"] == *now).await
    }

    /// Waits until the controller sends no request for a while. Returns what it sent in that time, if
    /// it never gets quiet.
    pub async fn until_quiet(&self, quiet: Duration) -> Vec<(String, u64)> {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            self.server.request_log().reset();
            tokio::time::sleep(quiet).await;
            let sent = crate::requests::requests(self);
            if sent.is_empty() || tokio::time::Instant::now() > end {
                return sent;
            }
        }
    }

    /// The events that were posted so far, about one Kustomization: reason and message.
    pub async fn events(&self, name: &str) -> Vec<(String, String)> {
        let events = self.files.events.lock().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        events
            .iter()
            .filter(|event| event["involvedObject"]["name"] == name)
            .map(|event| (text(&event["reason"]), text(&event["message"])))
            .collect()
    }

    /// The events that were posted so far, as they were posted.
    pub fn posts(&self) -> Vec<Value> {
        self.files.events.lock().unwrap().clone()
    }

    /// The writes that the controller made so far: verb, URI and body.
    pub fn writes(&self) -> Vec<Value> {
        self.files.writes.lock().unwrap().clone()
    }

    /// Waits until an event with a reason and the start of a message was posted.
    pub async fn until_event(&self, name: &str, reason: &str, message: &str) -> String {
        let end = tokio::time::Instant::now() + DEADLINE;
        while tokio::time::Instant::now() < end {
            let events = self.events(name).await;
            if let Some((_, found)) = events.into_iter().find(|(r, m)| r == reason && m.starts_with(message))
            {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no event {reason} {message:?}, only {:?}", self.events(name).await);
    }

    /// Creates an object as it is.
    pub async fn create(&self, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let namespace = object.namespace();
        let api = self.api(&types.api_version, &types.kind, namespace.as_deref());
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The message of a condition.
pub fn message(object: &Value, kind: &str) -> String {
    condition(object, kind).map(|c| c["message"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// The ids of an inventory.
pub fn inventory(object: &Value) -> Vec<String> {
    let entries = object["status"]["inventory"]["entries"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
}

/// A ConfigMap with one value.
pub fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: \"{value}\"\n")
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
        if name.contains("kustomize.toolkit") || name.contains("source.toolkit") {
            api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&definition)).await.unwrap();
        }
    }
}

/// The same client; its writes that succeed are noted.
fn recorded(client: Client, writes: Arc<Mutex<Vec<Value>>>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, writes) = (client.clone(), writes.clone());
        async move {
            if request.method() == http::Method::GET {
                return Ok::<_, tower::BoxError>(client.send(request).await?);
            }
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let write = json!({
                "verb": parts.method.as_str().to_lowercase(),
                "uri": parts.uri.path_and_query().map(|uri| uri.as_str()),
                "body": serde_json::from_slice::<Value>(&body).unwrap_or_default(),
            });
            let response = client.send(http::Request::from_parts(parts, Body::from(body))).await?;
            if response.status().is_success() {
                writes.lock().unwrap().push(write);
            }
            Ok(response)
        }
    });
    Client::new(service, namespace)
}

async fn receive_event(State(files): State<Files>, body: Bytes) -> StatusCode {
    if let Ok(event) = serde_json::from_slice(&body) {
        files.events.lock().unwrap().push(event);
    }
    StatusCode::ACCEPTED
}

async fn serve_artifact(State(files): State<Files>, Path(name): Path<String>) -> Result<Vec<u8>, StatusCode> {
    files.artifacts.lock().unwrap().get(&name).cloned().ok_or(StatusCode::NOT_FOUND)
}

fn pack(files: &[(&str, &str)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
