//! What `config/default` installs, put into an API server: the embedded one, or the one whose kubeconfig
//! `FLUXIDE_E2E_KUBECONFIG` names.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fluxide_kustomize::{DiskFs, LoadRestrictor, Options};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use support::contains;

const DEADLINE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn manifests_are_accepted_those_of_older_versions_included() {
    let (client, _server) = connect().await;
    let mut objects = installed();
    let early = ["Namespace", "CustomResourceDefinition"];
    objects.sort_by_key(|object| !early.contains(&object["kind"].as_str().unwrap()));
    for object in &objects {
        apply(&client, object).await.unwrap_or_else(|error| panic!("{}: {error}", name(object)));
    }
    for object in &objects {
        let found = get(&client, object).await;
        assert_eq!(found["metadata"]["labels"]["app.kubernetes.io/part-of"], "flux", "{}", name(object));
    }

    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "older"}});
    apply(&client, &namespace).await.unwrap();
    let definitions = fluxide_crdgen::crds().unwrap();
    let mut count = 0;
    for mut object in older_manifests() {
        object["metadata"]["namespace"] = "older".into();
        // A definition is served a moment after it is accepted.
        let end = Instant::now() + DEADLINE;
        while let Err(error) = apply(&client, &object).await {
            assert!(Instant::now() < end, "{}: {error}", name(&object));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What it says is there in the version that is stored.
        let (group, _) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
        let definition = definitions
            .iter()
            .find(|it| it["spec"]["group"] == group && it["spec"]["names"]["kind"] == object["kind"])
            .unwrap();
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let stored = versions.iter().find(|version| version["storage"] == true).unwrap();
        let mut today = object.clone();
        today["apiVersion"] = format!("{group}/{}", stored["name"].as_str().unwrap()).into();
        let found = get(&client, &today).await;
        contains(&found["spec"], &object["spec"], &format!("{}/spec", name(&object)));
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

async fn connect() -> (Client, Option<fluxide_apiserver::RunningServer>) {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (kubeconfig, server) = match std::env::var("FLUXIDE_E2E_KUBECONFIG") {
        Ok(path) => (fs::read_to_string(path).unwrap(), None),
        Err(_) => {
            let server = fluxide_apiserver::Server::builder().port(0).start().await.unwrap();
            (server.kubeconfig(), Some(server))
        }
    };
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    (Client::try_from(config).unwrap(), server)
}

fn installed() -> Vec<Value> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let files = DiskFs::new(config.clone()).unwrap();
    let options = Options::kustomize().with_load_restrictor(LoadRestrictor::None);
    let default = config.join("default");
    let built = fluxide_kustomize::build(&files, default.to_str().unwrap(), &options).unwrap();
    built.to_json().unwrap()
}

fn older_manifests() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/older");
    let mut manifests = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            manifests.push(serde::Deserialize::deserialize(document).unwrap());
        }
    }
    manifests
}

fn name(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
    let mut resource = ApiResource::from_gvk(&kind);
    if resource.kind == "NetworkPolicy" {
        resource.plural = "networkpolicies".to_owned();
    }
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn apply(client: &Client, object: &Value) -> Result<(), kube::Error> {
    let name = object["metadata"]["name"].as_str().unwrap();
    let params = PatchParams::apply("kubectl").force();
    api(client, object).patch(name, &params, &Patch::Apply(object)).await.map(drop)
}

async fn get(client: &Client, object: &Value) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap();
    let end = Instant::now() + DEADLINE;
    loop {
        match api(client, object).get(name).await {
            Ok(found) => return serde_json::to_value(found).unwrap(),
            Err(error) => assert!(Instant::now() < end, "{name}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
