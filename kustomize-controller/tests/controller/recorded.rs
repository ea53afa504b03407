//! The scenario that was recorded of Flux 2.9 on a real cluster, played again: the same inputs lead to
//! the same statuses, inventories and objects, field ownership included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::{World, condition};

mod compare;

use compare::{Report, compare_events, compare_writes, content_of, status_of, writes};

/// Not compared: encrypted sources need keys, and Secrets with leftovers of encryption are refused
/// here.
const LEFT_OUT: [&str; 6] =
    ["sops", "bad-sops-no-key", "bad-sops-secret", "bad-sops-key", "extra-string-data", "extra-valid-data"];

/// Objects of these Kustomizations, those whose pods are made to fail in another way here, and one that two
/// Kustomizations fight over.
const UNSTABLE: [&str; 12] = [
    "never",
    "fails",
    "encrypted",
    "encrypted-nokey",
    "encrypted-string-data",
    "encrypted-valid-data",
    "clear",
    "clear-nokey",
    "settings-8dmgbf9ktg",
    "settings-nokey-ghbc9f62df",
    "sealed",
    "orphan",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario() {
    let world = World::start_with(&["--feature-gates=ExternalArtifact=true"]).await;
    let mut recorded = Recording::default();
    let mut report = Report::default();

    recorded.read("00-before");
    for object in documents("scenario/source.yaml") {
        if object["kind"] != "Namespace" {
            world.apply(object).await;
        }
    }
    for object in recorded.managed.values() {
        impose(&world, object).await;
    }
    world.publish("main@sha1:0b45af8b703d590d418c571a6fd1c67891183b01", &fleet(1)).await;
    recorded.read("01-progressing");
    recorded.read("02-ready");
    for object in documents("scenario/kustomizations.yaml") {
        let is_first = object["metadata"]["name"] == "infra";
        world.apply(object).await;
        if is_first {
            // Others need its definition, and their expressions do not wait for it.
            world.until_applied("infra", "main@sha1:0b45af8b703d590d418c571a6fd1c67891183b01").await;
        }
    }
    recorded.compare(&world, "02-ready", &mut report).await;

    recorded.read("03-reconciled-again");
    for name in recorded.names() {
        world.reconcile(&name).await;
    }
    recorded.compare(&world, "03-reconciled-again", &mut report).await;

    let gone = recorded.read("04-drifted");
    for object in documents("managed/04-drifted.yaml") {
        impose(&world, &object).await;
    }
    for id in gone {
        remove(&world, &id).await;
    }
    recorded.read("05-corrected");
    for name in recorded.names() {
        world.reconcile(&name).await;
    }
    recorded.compare(&world, "05-corrected", &mut report).await;

    recorded.read("06-updated");
    world.publish("main@sha1:7b7a947282a15a6748a2158d9d7d962bfdcf91a9", &fleet(2)).await;
    recorded.compare(&world, "06-updated", &mut report).await;

    recorded.read("07-failing-progress");
    recorded.read("08-failing");
    let (failing, others): (Vec<Value>, Vec<Value>) =
        documents("scenario/failing.yaml").into_iter().partition(|object| object["kind"] == "Kustomization");
    for object in others.into_iter().chain(failing) {
        world.apply(object).await;
    }
    recorded.compare(&world, "08-failing", &mut report).await;

    recorded.read("09-recovered");
    world.publish("main@sha1:82e49e3413df3ad88a649c6d77d1b13adc9100e5", &fleet(3)).await;
    recorded.compare(&world, "09-recovered", &mut report).await;

    recorded.read("10-suspended");
    for name in ["plain", "health"] {
        world.edit(&world.kustomizations(), name, json!({"spec": {"suspend": true}})).await;
    }
    recorded.compare(&world, "10-suspended", &mut report).await;
    recorded.read("11-resumed");
    for name in ["plain", "health"] {
        world.edit(&world.kustomizations(), name, json!({"spec": {"suspend": false}})).await;
    }
    recorded.compare(&world, "11-resumed", &mut report).await;

    let gone = recorded.read("12-deleted");
    for id in gone.iter().filter(|id| id.kind == "Kustomization") {
        remove(&world, id).await;
    }
    for id in gone.iter().filter(|id| id.kind == "Kustomization") {
        // One waits up to a minute for what it deleted.
        let deadline = std::time::Duration::from_secs(150);
        world.until_gone_within(&world.kustomizations(), &id.name, deadline).await;
    }
    recorded.compare(&world, "12-deleted", &mut report).await;

    for id in recorded.read("13-extra") {
        remove(&world, &id).await;
    }
    world.publish("main@sha1:471e97a202d930ac0757a2e9dc95f032b2f9e417", &fleet(4)).await;
    for object in documents("scenario/extra.yaml") {
        world.apply(object).await;
    }
    recorded.compare(&world, "13-extra", &mut report).await;

    for id in recorded.read("14-orphaned") {
        remove(&world, &id).await;
        world.until_gone(&world.kustomizations(), &id.name).await;
    }
    recorded.compare(&world, "14-orphaned", &mut report).await;
    let before = world.get("v1", "ConfigMap", "kept").await.unwrap();
    recorded.read("15-adopted-again");
    for object in documents("scenario/extra.yaml") {
        if object["metadata"]["name"] == "extra-kept" {
            world.apply(object).await;
        }
    }
    recorded.compare(&world, "15-adopted-again", &mut report).await;
    assert_eq!(world.get("v1", "ConfigMap", "kept").await.unwrap(), before, "adopted without a write");

    compare_events(&world, &mut report);
    compare_writes(&world, &mut report);
    report.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_flux_is_taken_over_without_a_write() {
    let mut world = World::start_with(&["--feature-gates=ExternalArtifact=true"]).await;
    world.stop_controller().await;
    let mut recorded = Recording::default();
    for step in ["00-before", "01-progressing", "02-ready", "03-reconciled-again"] {
        recorded.read(step);
    }
    for object in documents("scenario/source.yaml") {
        if object["kind"] != "Namespace" {
            world.apply(object).await;
        }
    }
    // A Job cannot be put back with the labels that its own controller gave it.
    let widgets = documents("managed/02-ready-widgets-prod.yaml");
    let mut managed: Vec<&Value> =
        recorded.managed.values().filter(|object| object["kind"] != "Job").collect();
    managed.sort_by_key(|object| match object["kind"].as_str() {
        Some("CustomResourceDefinition") => 0,
        Some("Namespace" | "PriorityClass" | "ServiceAccount") => 1,
        _ => 2,
    });
    managed.extend(&widgets);
    for object in &managed {
        impose(&world, object).await;
    }
    world.publish("main@sha1:0b45af8b703d590d418c571a6fd1c67891183b01", &fleet(1)).await;
    let names: Vec<String> = recorded.names().into_iter().filter(|name| name != "health").collect();
    let api = world.kustomizations();
    for name in &names {
        let id = Id { kind: "Kustomization".into(), namespace: "apps".into(), name: name.clone() };
        let object = &recorded.objects[&id];
        impose(&world, object).await;
        let status = json!({"status": object["status"]});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        set_managers(&api, name, object).await;
    }
    world.start_controller().await;
    let mut report = Report::default();
    for name in &names {
        let id = Id { kind: "Kustomization".into(), namespace: "apps".into(), name: name.clone() };
        let expected = &recorded.objects[&id];
        let before = expected["status"]["history"][0]["totalReconciliations"].as_i64().unwrap();
        let got = world
            .until(name, "taken over", |object| {
                object["status"]["history"][0]["totalReconciliations"].as_i64() == Some(before + 1)
            })
            .await;
        report.compare("takeover", &id, &status_of(expected), &status_of(&got));
        let events = world.events(name).await;
        let is_write =
            |message: &str| ["created", "configured", "deleted"].iter().any(|word| message.contains(word));
        assert!(!events.iter().any(|(_, message)| is_write(message)), "{name}: {events:?}");
    }
    assert_eq!(writes(&world), [""; 0]);
    for object in managed.into_iter().filter(|object| is_ours(object)) {
        let got = fetch(&world, object).await.unwrap();
        report.compare("takeover", &Id::of(object), &content_of(object), &content_of(&got));
    }
    report.check();
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    kind: String,
    namespace: String,
    name: String,
}

impl Id {
    fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Self {
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
        }
    }

    /// Reads `Kind namespace/name` or `Kind name`.
    fn parse(text: &str) -> Self {
        let (kind, rest) = text.split_once(' ').unwrap();
        let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
        Self { kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }
}

/// What was recorded up to a step.
#[derive(Default)]
struct Recording {
    objects: BTreeMap<Id, Value>,
    managed: BTreeMap<Id, Value>,
    /// What was there once and is not any more.
    gone: BTreeSet<Id>,
}

impl Recording {
    /// Goes on to a step; says what is gone in it.
    fn read(&mut self, step: &str) -> Vec<Id> {
        let mut all = Vec::new();
        for (folder, into) in [("objects", &mut self.objects), ("managed", &mut self.managed)] {
            let path = format!("{folder}/{step}.yaml");
            if !data().join(&path).exists() {
                continue;
            }
            for object in documents(&path) {
                self.gone.remove(&Id::of(&object));
                into.insert(Id::of(&object), object);
            }
            for id in gone_in(&path) {
                into.remove(&id);
                self.gone.insert(id.clone());
                all.push(id);
            }
        }
        all
    }

    /// The Kustomizations that are compared.
    fn names(&self) -> Vec<String> {
        let kustomizations = self.objects.keys().filter(|id| id.kind == "Kustomization");
        kustomizations.map(|id| id.name.clone()).filter(|name| !LEFT_OUT.contains(&&**name)).collect()
    }

    /// Waits until the Kustomizations have got as far as the recorded ones, and compares everything.
    async fn compare(&self, world: &World, step: &str, report: &mut Report) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(75);
        for name in self.names() {
            let id = Id { kind: "Kustomization".into(), namespace: "apps".into(), name: name.clone() };
            let expected = &self.objects[&id];
            let outcome = |object: &Value| {
                let ready = condition(object, "Ready").cloned().unwrap_or_default();
                // One that waits may have to look again before it says what it waits for now.
                let waits_for = (ready["reason"] == "DependencyNotReady").then(|| ready["message"].clone());
                (
                    ready["reason"].clone(),
                    waits_for,
                    object["status"]["lastAttemptedRevision"].clone(),
                    object["status"]["observedGeneration"].clone(),
                )
            };
            let wanted = outcome(expected);
            if wanted.0 == "DependencyNotReady" && name == "webapp" {
                // Flux was still waiting for its next look; here a dependency is followed at once.
                continue;
            }
            loop {
                let got = world.get("kustomize.toolkit.fluxcd.io/v1", "Kustomization", &name).await;
                let got = got.unwrap_or_default();
                if outcome(&got) == wanted || std::time::Instant::now() > end {
                    report.compare(step, &id, &status_of(expected), &status_of(&got));
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        for (id, expected) in &self.managed {
            if is_ours(expected) && !UNSTABLE.contains(&&*id.name) {
                let got = fetch(world, expected).await.unwrap_or_default();
                report.compare(step, id, &content_of(expected), &content_of(&got));
            }
        }
        for id in self.gone.iter().filter(|id| matches!(&*id.kind, "ConfigMap" | "Deployment" | "Role")) {
            let api_version = match &*id.kind {
                "Deployment" => "apps/v1",
                "Role" => "rbac.authorization.k8s.io/v1",
                _ => "v1",
            };
            let object = json!({"apiVersion": api_version, "kind": id.kind,
                "metadata": {"name": id.name, "namespace": id.namespace}});
            // The last snapshots leave out one namespace.
            let is_recorded = id.namespace != "prod" || step < "13";
            if !UNSTABLE.contains(&&*id.name) && id.namespace != "staged" && is_recorded {
                let found = fetch(world, &object).await.map(|found| content_of(&found));
                report.compare(step, id, &Value::Null, &found.unwrap_or_default());
            }
        }
    }
}

/// True for objects that a Kustomization applied.
fn is_ours(object: &Value) -> bool {
    let owner = &object["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"];
    owner.as_str().is_some_and(|owner| !LEFT_OUT.contains(&owner))
}

/// Makes an object what was recorded, its field managers included.
async fn impose(world: &World, object: &Value) {
    let mut wanted = object.clone();
    for volatile in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        wanted["metadata"].as_object_mut().unwrap().remove(volatile);
    }
    wanted.as_object_mut().unwrap().remove("status");
    if wanted["kind"] == "Service" {
        // Addresses are of the cluster they were recorded in.
        let spec = wanted["spec"].as_object_mut().unwrap();
        spec.retain(|field, _| !matches!(&**field, "clusterIP" | "clusterIPs" | "healthCheckNodePort"));
    }
    if wanted["metadata"]["name"] == "default"
        || wanted["metadata"]["name"].as_str().unwrap().contains("ca.crt")
    {
        return;
    }
    let api = world.api(
        wanted["apiVersion"].as_str().unwrap(),
        wanted["kind"].as_str().unwrap(),
        wanted["metadata"]["namespace"].as_str(),
    );
    let name = wanted["metadata"]["name"].as_str().unwrap().to_owned();
    match api.get_opt(&name).await.unwrap() {
        None => {
            let object: DynamicObject = serde_json::from_value(wanted).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        }
        Some(live) => {
            let mut replacement = serde_json::to_value(&live).unwrap();
            for (key, value) in wanted.as_object().unwrap() {
                if key == "metadata" {
                    for field in ["labels", "annotations"] {
                        replacement["metadata"][field] = value[field].clone();
                    }
                } else if key == "spec" && wanted["kind"] == "Service" {
                    for field in ["selector", "type"] {
                        replacement["spec"][field] = value[field].clone();
                    }
                } else {
                    replacement[key] = value.clone();
                }
            }
            let replacement: DynamicObject = serde_json::from_value(replacement).unwrap();
            api.replace(&name, &PostParams::default(), &replacement).await.unwrap();
        }
    }
    set_managers(&api, &name, object).await;
}

async fn set_managers(api: &Api<DynamicObject>, name: &str, recorded: &Value) {
    let managers = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": recorded["metadata"]["managedFields"]},
    ]);
    let patch: json_patch::Patch = serde_json::from_value(managers).unwrap();
    api.patch(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await.unwrap();
}

async fn fetch(world: &World, object: &Value) -> Option<Value> {
    let api = world.api(
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
        object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty()),
    );
    let found = api.get_opt(object["metadata"]["name"].as_str().unwrap()).await.unwrap();
    found.map(|found| serde_json::to_value(found).unwrap())
}

async fn remove(world: &World, id: &Id) {
    let api_version = match &*id.kind {
        "ConfigMap" => "v1",
        "Kustomization" => "kustomize.toolkit.fluxcd.io/v1",
        "GitRepository" => "source.toolkit.fluxcd.io/v1",
        _ => return,
    };
    let api = world.api(api_version, &id.kind, Some(&id.namespace));
    if api.get_opt(&id.name).await.unwrap().is_some() {
        world.delete(&api, &id.name).await;
    }
}

/// The tree of the repository at a commit. What makes pods of a real cluster fail is written as what
/// makes them fail here.
fn fleet(commit: usize) -> Vec<(&'static str, &'static str)> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for commit in 1..=commit {
        let root = data().join(format!("fleet/{commit}"));
        read_tree(&root, &root, &mut files);
    }
    let adapt = |text: String| {
        text.replace("fake-kubelet/fail: \"true\"", "sim.fluxide.dev/fail: JobFailed")
            .replace("fake-kubelet/never-ready", "sim.fluxide.dev/never-ready")
    };
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    files.into_iter().map(|(path, text)| (leak(path), leak(adapt(text)))).collect()
}

fn read_tree(root: &Path, directory: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_tree(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data().join(path)).unwrap();
    let documents = text.split("\n---\n").map(|document| serde_yaml::from_str::<Value>(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

/// What the head of a recorded file says is gone.
fn gone_in(path: &str) -> Vec<Id> {
    let text = std::fs::read_to_string(data().join(path)).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("# gone: "));
    lines.flat_map(|line| line.split(", ").map(Id::parse).collect::<Vec<_>>()).collect()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}
