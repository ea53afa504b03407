//! The install manifests in `config`, built with the kustomize engine.
//!
//! `flux-install.yaml` is what Flux 2.9 installs. Whatever differs must be listed in [`ACCEPTED`]
//! with its reason, and what is listed must differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fluxide_kustomize::{DiskFs, LoadRestrictor, Options};
use serde_json::{Value, json};

/// A difference that is meant to be: object, place in it, reason. `*` stands for any run of
/// characters.
type Accepted = (&'static str, &'static str, &'static str);

const OWN_IMAGES: &str = "the images are ours";
const OWN_VERSION: &str = "the version is ours";
const GENERATOR: &str = "names the tool that made Flux's definition";
const WATCHER: &str = "source-controller reconciles ArtifactGenerator itself";
const LEASES: &str = "leases stay allowed when a patch by position takes the rule out of crd-controller";

const ACCEPTED: &[Accepted] = &[
    ("Deployment/*", "*/containers/0/image", OWN_IMAGES),
    ("*", "*/labels/app.kubernetes.io~1version", OWN_VERSION),
    ("CustomResourceDefinition/*", "/metadata/annotations*", GENERATOR),
    ("CustomResourceDefinition/artifactgenerators.*", "*app.kubernetes.io~1component", WATCHER),
    ("*/source-watcher", "", WATCHER),
    ("ClusterRoleBinding/crd-controller-*", "/subjects/6", WATCHER),
    ("Role/leader-election-flux-system", "", LEASES),
    ("RoleBinding/leader-election-flux-system", "", LEASES),
    ("Deployment/image-*", "*/args/5", "one binary is both image controllers"),
    ("Deployment/notification-controller", "*/env/2", "notifications survive a restart of their container"),
];

const ALONE: &[(&str, &[&str])] = &[
    ("source-controller", &["source-controller"]),
    ("kustomize-controller", &["kustomize-controller"]),
    ("helm-controller", &["helm-controller"]),
    ("notification-controller", &["notification-controller"]),
    ("image-automation-controller", &["image-automation-controller", "image-reflector-controller"]),
];

#[test]
fn the_default_is_what_flux_installs() {
    let flux = by_name(documents(&tests_directory().join("flux-install.yaml")));
    let ours = build("default");
    let mut unexpected = Vec::new();
    let mut used = BTreeSet::new();
    for name in flux.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let mut found = Vec::new();
        compare(String::new(), flux.get(name), ours.get(name), &mut found);
        for (place, difference) in found {
            let accepted = |rule: &Accepted| matches(rule.0, name) && matches(rule.1, &place);
            match ACCEPTED.iter().position(accepted) {
                Some(index) => drop(used.insert(index)),
                None => unexpected.push(format!("{name} {place}: {difference}")),
            }
        }
    }
    assert!(unexpected.is_empty(), "\n{}", unexpected.join("\n"));
    for (index, rule) in ACCEPTED.iter().enumerate() {
        assert!(!rule.2.is_empty());
        assert!(used.contains(&index), "{} {} does not differ", rule.0, rule.1);
    }
}

#[test]
fn definitions_are_those_of_the_types() {
    let ours = build("default");
    for definition in fluxide_crdgen::definitions().unwrap() {
        let installed = &ours[&format!("CustomResourceDefinition/{}", definition.name)];
        assert_eq!(installed["spec"], definition.manifest["spec"], "{}", definition.name);
        let component = &installed["metadata"]["labels"]["app.kubernetes.io/component"];
        assert_eq!(component, definition.component);
    }
}

#[test]
fn each_controller_can_be_installed_alone() {
    for (controller, deployments) in ALONE {
        let objects = build(controller);
        let of_kind = |kind: &str| -> BTreeSet<&str> {
            objects.keys().filter_map(|name| name.strip_prefix(&format!("{kind}/"))).collect()
        };
        assert_eq!(of_kind("Deployment"), deployments.iter().copied().collect());
        assert_eq!(of_kind("ServiceAccount"), deployments.iter().copied().collect());
        assert_eq!(of_kind("Namespace"), BTreeSet::from(["flux-system"]));
        let definitions = fluxide_crdgen::definitions().unwrap();
        let owned = definitions.iter().filter(|it| it.controller == *controller);
        assert_eq!(
            of_kind("CustomResourceDefinition"),
            owned.map(|definition| definition.name.as_str()).collect()
        );
        let applies = ["kustomize-controller", "helm-controller"].contains(controller);
        assert_eq!(objects.contains_key("ClusterRoleBinding/cluster-reconciler-flux-system"), applies);
        for deployment in *deployments {
            let argument = &arguments(&objects, deployment)[0];
            if *controller == "notification-controller" {
                assert_eq!(argument, "--watch-all-namespaces=true");
            } else {
                assert_eq!(argument, "--events-addr=");
            }
        }
    }
}

#[test]
fn every_object_carries_the_labels_clients_look_for() {
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    let mut roots = vec!["default", "single-image-controller", "openshift"];
    roots.extend(ALONE.iter().map(|(controller, _)| *controller));
    for root in roots {
        for (name, object) in build(root) {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/part-of"], "flux", "{root} {name}");
            assert_eq!(labels["app.kubernetes.io/instance"], "flux-system", "{root} {name}");
            if name.starts_with("Deployment/") {
                let template = &object["spec"]["template"];
                let labels = &template["metadata"]["labels"];
                assert_eq!(labels["app.kubernetes.io/version"], version.as_str(), "{root} {name}");
                let image = template["spec"]["containers"][0]["image"].as_str().unwrap();
                assert!(image.ends_with(&format!(":{version}")), "{image}");
            }
        }
    }
}

#[test]
fn one_pod_can_do_for_all_image_kinds() {
    let objects = build("single-image-controller");
    assert!(!objects.contains_key("Deployment/image-reflector-controller"));
    assert!(!objects.contains_key("ServiceAccount/image-reflector-controller"));
    let arguments = arguments(&objects, "image-automation-controller");
    assert_eq!(arguments[5], "--controllers=all");
    let pod = &objects["Deployment/image-automation-controller"]["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][1]["name"], "data");
    assert_eq!(pod["containers"][0]["volumeMounts"][1]["mountPath"], "/data");
}

#[test]
fn notifications_can_wait_in_a_volume() {
    let objects = build_overlay("queue");
    let deployment = &objects["Deployment/notification-controller"]["spec"];
    // Two pods cannot write to one queue, and the volume may be mounted only once.
    assert_eq!(deployment["strategy"], json!({"type": "Recreate"}));
    let pod = &deployment["template"]["spec"];
    let claim = json!({"claimName": "notification-controller"});
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "data", "persistentVolumeClaim": claim})));
    let container = &pod["containers"][0];
    assert!(
        container["volumeMounts"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "data", "mountPath": "/data"}))
    );
    let path = json!({"name": "DELIVERY_QUEUE_PATH", "value": "/data/delivery-queue"});
    assert!(container["env"].as_array().unwrap().contains(&path));
    assert_eq!(
        objects["PersistentVolumeClaim/notification-controller"]["metadata"]["namespace"],
        "flux-system"
    );
}

#[test]
fn openshift_chooses_user_and_profile_itself() {
    let objects = build("openshift");
    let deployments = objects.iter().filter(|(name, _)| name.starts_with("Deployment/"));
    for (name, deployment) in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        assert!(pod.get("securityContext").is_none(), "{name}");
        let container = &pod["containers"][0]["securityContext"];
        assert!(container.get("seccompProfile").is_none(), "{name}");
        assert_eq!(container["runAsUser"], 65534, "{name}");
    }
    assert!(objects.contains_key("ClusterRole/flux-scc"));
}

#[test]
fn customisations_flux_documents_build() {
    let lockdown = build_overlay("lockdown");
    assert!(arguments(&lockdown, "kustomize-controller").ends_with(&[
        "--feature-gates=ExternalArtifact=true".into(),
        "--no-cross-namespace-refs=true".into(),
        "--no-remote-bases=true".into(),
        "--default-service-account=default".into(),
    ]));

    let sharding = build_overlay("sharding");
    assert_eq!(
        arguments(&sharding, "source-controller-shard1")[6..],
        [
            "--storage-adv-addr=source-controller-shard1.$(RUNTIME_NAMESPACE).svc.cluster.local.",
            "--watch-label-selector=sharding.fluxcd.io/key=shard1",
        ]
    );

    let scaling = build_overlay("scaling");
    let pod = &scaling["Deployment/kustomize-controller"]["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"], json!([{"name": "temp", "emptyDir": {"medium": "Memory"}}]));
    assert!(arguments(&scaling, "source-controller").contains(&"--concurrent=10".to_owned()));

    let storage = build_overlay("storage");
    let pod = &storage["Deployment/source-controller"]["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["volumeMounts"][0]["name"], "persistent-data");
    assert_eq!(pod["volumes"][2]["persistentVolumeClaim"]["claimName"], "gotk-pvc");

    let proxy = build_overlay("proxy");
    assert!(!proxy.keys().any(|name| name.starts_with("NetworkPolicy/")));
    for (name, object) in &proxy {
        if name.starts_with("Deployment/") {
            let environment = &object["spec"]["template"]["spec"]["containers"][0]["env"];
            let names: Vec<_> = environment.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
            assert!(names.contains(&json!("HTTPS_PROXY")), "{name}");
            assert!(names.contains(&json!("RUNTIME_NAMESPACE")), "{name}");
        }
    }
}

fn build(root: &str) -> BTreeMap<String, Value> {
    build_directory(&config_directory().join(root))
}

fn build_overlay(name: &str) -> BTreeMap<String, Value> {
    build_directory(&tests_directory().join("overlays").join(name))
}

fn build_directory(directory: &Path) -> BTreeMap<String, Value> {
    let files = DiskFs::new(config_directory()).unwrap();
    let directory = directory.canonicalize().unwrap();
    let options = Options::kustomize().with_load_restrictor(LoadRestrictor::None);
    let built = fluxide_kustomize::build(&files, directory.to_str().unwrap(), &options)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    by_name(built.to_json().unwrap())
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let count = objects.len();
    let named: BTreeMap<_, _> = objects
        .into_iter()
        .map(|object| {
            let kind = object["kind"].as_str().unwrap();
            let name = object["metadata"]["name"].as_str().unwrap();
            (format!("{kind}/{name}"), object)
        })
        .collect();
    assert_eq!(named.len(), count);
    named
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents.map(|document| serde::Deserialize::deserialize(document).unwrap()).collect()
}

fn arguments(objects: &BTreeMap<String, Value>, deployment: &str) -> Vec<String> {
    let container =
        &objects[&format!("Deployment/{deployment}")]["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap().iter();
    arguments.map(|argument| argument.as_str().unwrap().to_owned()).collect()
}

fn compare(place: String, flux: Option<&Value>, ours: Option<&Value>, found: &mut Vec<(String, String)>) {
    if flux == ours || (place == "/spec" && flux.is_none()) {
        return;
    }
    match (flux, ours) {
        (Some(Value::Object(flux)), Some(Value::Object(ours))) => {
            for key in flux.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                compare(place, flux.get(key), ours.get(key), found);
            }
        }
        (Some(Value::Array(flux)), Some(Value::Array(ours))) => {
            for index in 0..flux.len().max(ours.len()) {
                compare(format!("{place}/{index}"), flux.get(index), ours.get(index), found);
            }
        }
        _ => {
            let text = |value: Option<&Value>| value.map_or("-".into(), Value::to_string);
            found.push((place, format!("flux {}, ours {}", text(flux), text(ours))));
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).any(|skip| matches(rest, &tail[skip..]))),
    }
}

fn config_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn tests_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
