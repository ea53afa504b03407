//! A cluster, a kind and a reconciler to test the manager with.

use fluxide_meta::Condition;
use fluxide_runtime::{
    CancellationToken, CommonOptions, Failure, Listening, Manager, Outcome, Pass, Profile, Reconciler,
    Severity, Watches, client, conditions,
};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// An object whose spec says how its reconcile ends.
#[derive(CustomResource, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(group = "test.fluxide.dev", version = "v1", kind = "Thing", namespaced, status = "ThingStatus")]
#[serde(rename_all = "camelCase")]
pub struct ThingSpec {
    #[serde(default)]
    pub suspend: bool,
    /// `ready`, `fail`, `stall`, `wait`, `panic`, `slow`, `until superseded`.
    pub ends: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThingStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
}

fluxide_meta::object!(Thing);

/// What the reconciler was asked to do.
#[derive(Clone, Default)]
pub struct Calls {
    pub reconciles: Arc<AtomicUsize>,
    pub finalized: Arc<Mutex<Vec<String>>>,
}

impl Calls {
    pub fn reconciles(&self) -> usize {
        self.reconciles.load(Ordering::SeqCst)
    }
}

pub struct ThingReconciler {
    pub calls: Calls,
}

impl Reconciler for ThingReconciler {
    type Kind = Thing;

    async fn reconcile(&self, thing: &mut Thing, pass: &Pass) -> Result<Outcome, Failure> {
        self.calls.reconciles.fetch_add(1, Ordering::SeqCst);
        match thing.spec.ends.as_str() {
            "ready" => {
                let fresh = !conditions::is_ready(thing)
                    || thing.status.as_ref().and_then(|s| s.observed_generation) != thing.metadata.generation;
                if fresh {
                    conditions::mark_reconciling(thing, "Progressing", "working");
                    pass.patch_progress(thing).await?;
                }
                conditions::mark_true(thing, "Ready", "Succeeded", "all is well");
                if fresh {
                    let metadata = BTreeMap::from([("revision".into(), "main@sha1:1".into())]);
                    pass.event(thing, Severity::Info, "Succeeded", "all is well", metadata);
                }
                Ok(Outcome::interval(Duration::from_secs(3600)))
            }
            "fail" => {
                conditions::mark_reconciling(thing, "Progressing", "working");
                conditions::mark_false(thing, "Ready", "Broken", "it broke");
                Err(Failure::retry("it broke"))
            }
            "stall" => Err(Failure::stalled("InvalidSpec", "mend your ways")),
            "wait" => Err(Failure::wait(Duration::from_secs(3600), "not yet")),
            "panic" => panic!("on purpose"),
            "slow" => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                conditions::mark_true(thing, "Ready", "Succeeded", "slowly");
                Ok(Outcome::Done)
            }
            "until superseded" => {
                let cause = pass.superseded().await;
                let status = thing.status.get_or_insert_default();
                status.superseded_by = Some(cause.to_string());
                conditions::mark_true(thing, "Ready", "Succeeded", "superseded");
                Ok(Outcome::Done)
            }
            other => Err(Failure::stalled("InvalidSpec", format!("spec.ends: unknown {other:?}"))),
        }
    }

    async fn finalize(&self, thing: &mut Thing, _: &Pass) -> Result<(), Failure> {
        self.calls.finalized.lock().unwrap().push(thing.name_any());
        Ok(())
    }
}

/// A running manager with the reconciler of things.
pub struct Running {
    pub calls: Calls,
    pub stop: CancellationToken,
    pub listening: Listening,
    pub task: tokio::task::JoinHandle<Result<(), fluxide_runtime::Error>>,
}

impl Running {
    pub async fn metrics(&self) -> String {
        self.get(self.listening.metrics, "/metrics").await
    }

    pub async fn get(&self, address: Option<std::net::SocketAddr>, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", address.unwrap().port());
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

pub const PROFILE: Profile = Profile::new("thing-controller");

pub fn options(namespace: &str) -> CommonOptions {
    let mut options = CommonOptions::defaults(&PROFILE);
    options.metrics_addr = "127.0.0.1:0".into();
    options.health_addr = "127.0.0.1:0".into();
    options.watch_all_namespaces = false;
    options.runtime_namespace = namespace.into();
    options.min_retry_delay = "100ms".parse().unwrap();
    options
}

/// Starts a manager; things become due when the ConfigMap they use changes.
pub async fn start(client: Client, options: CommonOptions) -> Running {
    let calls = Calls::default();
    let stop = CancellationToken::new();
    let (send, receive) = tokio::sync::oneshot::channel();
    let mut manager = Manager::new(&PROFILE, &options, client).unwrap();
    let configs = manager.config_store::<k8s_openapi::api::core::v1::ConfigMap>();
    let manager = manager
        .controller(ThingReconciler { calls: calls.clone() }, |watches: Watches<Thing>| {
            watches.on(&configs, |change, things| {
                let name = change.object().map(|config| config.name_any());
                things.keys_where(|thing| thing.spec.uses == name && name.is_some())
            })
        })
        .on_listening(move |listening| {
            let _ = send.send(listening);
        });
    let task = tokio::spawn(manager.run(stop.clone()));
    Running { calls, stop, listening: receive.await.unwrap(), task }
}

/// A namespace of its own in a cluster that knows things.
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
    kubeconfig: String,
    _server: Option<fluxide_apiserver::RunningServer>,
}

impl Cluster {
    pub async fn new() -> Self {
        let cluster = Self::without_kind().await;
        cluster.install_kind().await;
        cluster
    }

    /// A cluster that does not know things yet, unless it is one that was used before.
    pub async fn without_kind() -> Self {
        fluxide_runtime::tls::install_provider();
        let (kubeconfig, server) = match std::env::var("FLUXIDE_E2E_KUBECONFIG") {
            Ok(path) => (std::fs::read_to_string(path).unwrap(), None),
            Err(_) => {
                let server = fluxide_apiserver::Server::builder().start().await.unwrap();
                (server.kubeconfig(), Some(server))
            }
        };
        let options = kube::config::KubeConfigOptions::default();
        let parsed = kube::config::Kubeconfig::from_yaml(&kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(parsed, &options).await;
        let client = client::from_config(config.unwrap(), "test").unwrap();
        let namespace = format!("t{}", uuid::Uuid::new_v4().simple());
        let body = serde_json::from_value(json!({"metadata": {"name": namespace}}));
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &body.unwrap()).await.unwrap();
        Self { client, namespace, kubeconfig, _server: server }
    }

    /// Installs the kind of things; its schema allows anything as spec.
    pub async fn install_kind(&self) {
        let crds = Api::<CustomResourceDefinition>::all(self.client.clone());
        let mut crd = <Thing as kube::CustomResourceExt>::crd();
        let schema = crd.spec.versions[0].schema.as_mut().unwrap();
        let spec = schema.open_api_v3_schema.as_mut().unwrap().properties.as_mut().unwrap();
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        spec.insert("spec".into(), serde_json::from_value(anything).unwrap());
        match crds.create(&PostParams::default(), &crd).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created.unwrap()),
        }
        until("the kind is served", || async { self.things().list(&Default::default()).await.is_ok() }).await;
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    pub fn things(&self) -> Api<Thing> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn create(&self, name: &str, spec: Value) -> Thing {
        let thing = json!({
            "apiVersion": "test.fluxide.dev/v1",
            "kind": "Thing",
            "metadata": {"name": name},
            "spec": spec,
        });
        let thing = serde_json::from_value(thing).unwrap();
        self.things().create(&PostParams::default(), &thing).await.unwrap()
    }

    pub async fn merge(&self, name: &str, patch: Value) -> Thing {
        let params = PatchParams::apply("tester");
        let things = self.things();
        things.patch(name, &params, &Patch::Merge(patch)).await.unwrap()
    }

    pub async fn merge_status(&self, name: &str, patch: Value) -> Thing {
        let params = PatchParams::apply("tester");
        let things = self.things();
        things.patch_status(name, &params, &Patch::Merge(patch)).await.unwrap()
    }

    pub async fn get(&self, name: &str) -> Thing {
        self.things().get(name).await.unwrap()
    }

    pub async fn delete(&self, name: &str) {
        self.things().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until a condition of a thing has a status and a reason.
    pub async fn wait_for(&self, name: &str, kind: &str, status: &str, reason: &str) -> Thing {
        let matches = |thing: &Thing| {
            conditions::get(thing, kind).is_some_and(|c| c.status == status && c.reason == reason)
        };
        until(&format!("{name}: {kind}={status} {reason}"), || async { matches(&self.get(name).await) })
            .await;
        self.get(name).await
    }
}

/// Waits until something is true, at most 15 seconds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
