//! A cluster, a receiver of events and the controller, started for a test.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use fluxide_runtime::CancellationToken;
use fluxide_source_controller::{Options, PROFILE};
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Everything a test needs.
pub struct World {
    pub client: Client,
    pub server: fluxide_apiserver::RunningServer,
    pub storage: tempfile::TempDir,
    /// Where artifacts are served.
    pub storage_address: String,
    /// The bodies of the events that were posted.
    pub posts: Arc<Mutex<Vec<String>>>,
    /// Every state GitRepositories were seen in, in order.
    pub history: Arc<Mutex<Vec<Value>>>,
    metrics_address: String,
    events_address: String,
    shutdown: CancellationToken,
    controller: Option<tokio::task::JoinHandle<()>>,
    arguments: Vec<String>,
}

impl World {
    /// Starts everything with a namespace; the controller gets more flags.
    pub async fn start(namespace: &str, arguments: &[&str]) -> Self {
        let mut world = Self::without_controller(namespace, arguments).await;
        world.start_controller().await;
        world
    }

    /// The same before the controller comes.
    pub async fn without_controller(namespace: &str, arguments: &[&str]) -> Self {
        let server = fluxide_apiserver::Server::builder().port(0).start().await.unwrap();
        let client = client(&server, "test").await;
        install_definitions(&client).await;
        let posts = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let events_address = listener.local_addr().unwrap().to_string();
        let router = axum::Router::new().route("/", post(receive_event)).with_state(posts.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let free = || {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let (storage_address, metrics_address) = (free(), free());
        let world = Self {
            client,
            server,
            storage: tempfile::tempdir().unwrap(),
            storage_address,
            posts,
            history: Arc::default(),
            metrics_address,
            events_address,
            shutdown: CancellationToken::new(),
            controller: None,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await;
        world.watch();
        world
    }

    fn watch(&self) {
        let history = self.history.clone();
        let api = self.repositories("");
        tokio::spawn(async move {
            let mut events = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
            while let Some(Ok(event)) = events.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                    history.lock().unwrap().push(serde_json::to_value(object).unwrap());
                }
            }
        });
    }

    /// Starts the controller, again after [`World::stop_controller`].
    pub async fn start_controller(&mut self) {
        let mut arguments = vec![
            "source-controller".to_owned(),
            format!("--metrics-addr={}", self.metrics_address),
            "--health-addr=0".to_owned(),
            format!("--events-addr=http://{}/", self.events_address),
            format!("--storage-path={}", self.storage.path().display()),
            format!("--storage-addr={}", self.storage_address),
        ];
        arguments.extend(self.arguments.iter().cloned());
        let options: Options = fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap();
        let client = client(&self.server, "source-controller").await;
        self.shutdown = CancellationToken::new();
        let shutdown = self.shutdown.clone();
        self.controller = Some(tokio::spawn(async move {
            fluxide_source_controller::run(options, client, shutdown).await.unwrap();
        }));
    }

    /// Starts it again with other flags.
    pub async fn restart_controller(&mut self, arguments: &[&str]) {
        self.stop_controller().await;
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self.start_controller().await;
    }

    /// What the controller counts.
    pub async fn metrics(&self) -> String {
        let (_, text) = http_get(&self.metrics_address, "/metrics").await;
        text
    }

    /// Ends the controller as SIGTERM does.
    pub async fn stop_controller(&mut self) {
        self.shutdown.cancel();
        if let Some(controller) = self.controller.take() {
            controller.await.unwrap();
        }
    }

    /// Objects of a kind; in all namespaces if that is empty.
    pub fn api(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    pub fn repositories(&self, namespace: &str) -> Api<DynamicObject> {
        self.api("source.toolkit.fluxcd.io/v1", "GitRepository", namespace)
    }

    /// Applies an object as kubectl does.
    pub async fn apply(&self, object: Value) {
        let api = self.api(
            object["apiVersion"].as_str().unwrap(),
            object["kind"].as_str().unwrap(),
            object["metadata"]["namespace"].as_str().unwrap_or_default(),
        );
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply("kubectl").force(), &Patch::Apply(&object)).await.unwrap();
    }

    /// Applies a Secret.
    pub async fn secret(&self, namespace: &str, name: &str, data: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> =
            data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.apply(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace}, "stringData": data}))
            .await;
    }

    /// Applies a GitRepository in the namespace `apps`.
    pub async fn repository(&self, name: &str, spec: Value) {
        let mut full = json!({"interval": "1h", "ref": {"branch": "main"}});
        for (key, value) in spec.as_object().unwrap() {
            full[key] = value.clone();
        }
        self.apply(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": name, "namespace": "apps"}, "spec": full}))
            .await;
    }

    /// Changes a GitRepository as somebody.
    pub async fn edit(&self, namespace: &str, name: &str, manager: &str, patch: Value) {
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.repositories(namespace).patch(name, &params, &Patch::Merge(&patch)).await.unwrap();
    }

    /// Asks for a reconcile and waits until it is over.
    pub async fn reconcile(&self, name: &str) -> Value {
        let now = format!("{:?}", std::time::SystemTime::now());
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        self.edit("apps", name, "flux", patch).await;
        self.until(name, "reconciled", |object| object["status"]["lastHandledReconcileAt"] == *now).await
    }

    /// Waits until a GitRepository in `apps` meets a condition and returns it.
    pub async fn until(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + DEADLINE;
        let mut last = Value::Null;
        while tokio::time::Instant::now() < end {
            if let Some(object) = self.repositories("apps").get_opt(name).await.unwrap() {
                last = serde_json::to_value(object).unwrap();
                if condition(&last) {
                    return last;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is not {what}: {}", serde_json::to_string_pretty(&last).unwrap());
    }

    /// Waits until a GitRepository in `apps` is ready in its newest generation.
    pub async fn until_ready(&self, name: &str) -> Value {
        self.until(name, "ready", |object| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && condition(object, "Ready").is_some_and(|c| c["status"] == "True")
        })
        .await
    }

    /// Waits until a GitRepository in `apps` is not ready for a reason; gives the message, or nothing when it is not so.
    pub async fn try_until_failed(&self, name: &str, reason: &str) -> Option<String> {
        let end = tokio::time::Instant::now() + DEADLINE / 2;
        while tokio::time::Instant::now() < end {
            let object = self.repositories("apps").get(name).await.unwrap();
            let object = serde_json::to_value(object).unwrap();
            if let Some(ready) = condition(&object, "Ready")
                && ready["status"] == "False"
                && ready["reason"] == reason
            {
                return ready["message"].as_str().map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// The file of the artifact an object advertises.
    pub fn artifact(&self, object: &Value) -> std::path::PathBuf {
        self.storage.path().join(object["status"]["artifact"]["path"].as_str().unwrap())
    }

    /// The core/v1 Events of a namespace.
    pub async fn events(&self, namespace: &str) -> Vec<Value> {
        let api = self.api("v1", "Event", namespace);
        let list = api.list(&Default::default()).await.unwrap();
        list.items.into_iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }
}

/// Status and body of an answer; what is no text in it is replaced.
pub async fn http_get(address: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let end = tokio::time::Instant::now() + DEADLINE;
    let exchange = async || -> std::io::Result<String> {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    // A server that is just ending or starting answers nothing.
    let answer = loop {
        match exchange().await {
            Ok(answer) if !answer.is_empty() => break answer,
            other => assert!(tokio::time::Instant::now() < end, "{address}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Names, kinds, modes and sizes of what is in an archive.
pub fn entries(path: &Path) -> Vec<(String, String, String, u64)> {
    let gzip = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let mut archive = tar::Archive::new(gzip);
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let entry = entry.unwrap();
        let header = entry.header();
        let kind = if header.entry_type().is_dir() { "dir" } else { "file" };
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        (name, kind.to_owned(), format!("0{:o}", header.mode().unwrap()), header.size().unwrap())
    };
    archive.entries().unwrap().map(entry).collect()
}

async fn client(server: &fluxide_apiserver::RunningServer, agent: &str) -> Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    fluxide_runtime::client::from_config(config, agent).unwrap()
}

async fn install_definitions(client: &Client) {
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
    for definition in fluxide_crdgen::crds().unwrap() {
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        if name.contains("source.toolkit") {
            api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&definition)).await.unwrap();
        }
    }
}

async fn receive_event(State(posts): State<Arc<Mutex<Vec<String>>>>, body: String) -> StatusCode {
    posts.lock().unwrap().push(body);
    StatusCode::ACCEPTED
}
