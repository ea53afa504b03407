//! How single objects are applied: stages, policies, take-over, force, ignore rules.

use serde_json::json;

use crate::world::{World, config_map, inventory, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_come_before_what_needs_them() {
    let world = World::start().await;
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: widgets.example.test\nspec:\n  group: example.test\n  names: {kind: Widget, plural: widgets}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          spec:\n            type: object\n            properties:\n              size: {type: integer}\n";
    let widget = "apiVersion: example.test/v1\nkind: Widget\nmetadata:\n  name: w\n  namespace: fresh\nspec:\n  size: 1\n";
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: fresh\n";
    world.publish("main@sha1:1", &[("a.yaml", widget), ("b.yaml", namespace), ("c.yaml", definition)]).await;
    world.kustomization("app", json!({"targetNamespace": null, "wait": true})).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    assert_eq!(
        inventory(&app),
        [
            "_widgets.example.test_apiextensions.k8s.io_CustomResourceDefinition",
            "_fresh__Namespace",
            "fresh_w_example.test_Widget",
        ]
    );
    assert!(message(&app, "Healthy").starts_with("Health check passed in "));
    // Everything goes, in reverse; the definition takes its objects along.
    world.publish("main@sha1:2", &[("readme.md", "nothing")]).await;
    let app = world.until_applied("app", "main@sha1:2").await;
    assert_eq!(inventory(&app), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_of_single_objects() {
    let world = World::start().await;
    let with = |name: &str, key: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations:\n    kustomize.toolkit.fluxcd.io/{key}: {value}\ndata:\n  key: \"1\"\n"
        )
    };
    let files = [
        ("a.yaml", &*with("ignored", "ssa", "Ignore")),
        ("b.yaml", &*with("created", "ssa", "IfNotPresent")),
        ("c.yaml", &*with("kept", "prune", "Disabled")),
        ("d.yaml", &*with("merged", "ssa", "merge")),
        ("e.yaml", &*with("left", "reconcile", "disabled")),
    ];
    world.publish("main@sha1:1", &files).await;
    world.kustomization("app", json!({"wait": true})).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    assert_eq!(inventory(&app).len(), 5, "skipped objects are part of the inventory");
    let config_maps = world.here("v1", "ConfigMap");
    assert!(world.get("v1", "ConfigMap", "ignored").await.is_none());
    assert!(world.get("v1", "ConfigMap", "left").await.is_none());
    for name in ["created", "merged", "kept"] {
        world.edit(&config_maps, name, json!({"data": {"extra": "x"}})).await;
    }
    world.edit(&config_maps, "created", json!({"data": {"key": "edited"}})).await;
    world.reconcile("app").await;
    let data = |name: &'static str| {
        let world = &world;
        async move { world.get("v1", "ConfigMap", name).await.unwrap()["data"].clone() }
    };
    assert_eq!(data("created").await, json!({"key": "edited", "extra": "x"}));
    assert_eq!(data("merged").await, json!({"key": "1", "extra": "x"}));
    assert_eq!(data("kept").await, json!({"key": "1"}));
    world.publish("main@sha1:2", &[("a.yaml", &config_map("other", "1"))]).await;
    world.until_applied("app", "main@sha1:2").await;
    assert!(world.get("v1", "ConfigMap", "kept").await.is_some());
    assert!(world.get("v1", "ConfigMap", "created").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_kubectl_are_taken_over() {
    let world = World::start().await;
    world
        .apply_as(
            "kubectl",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "a", "namespace": "apps", "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "stays-not",
                }},
                "data": {"key": "0", "gone": "x"},
            }),
        )
        .await;
    world
        .apply_as(
            "helm",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "apps"},
                "data": {"other": "stays"},
            }),
        )
        .await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    let a = world.get("v1", "ConfigMap", "a").await.unwrap();
    assert_eq!(a["data"], json!({"key": "1", "other": "stays"}));
    assert!(a["metadata"]["annotations"].is_null(), "{a}");
    let managers: Vec<&str> = a["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers.len(), 2, "{managers:?}");
    assert!(managers.contains(&"helm") && managers.contains(&"kustomize-controller"), "{managers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ignored_fields_are_left_to_others() {
    let world = World::start().await;
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 0\n  selector:\n    matchLabels: {app: web}\n  template:\n    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n      - name: web\n        image: registry.test/web:1\n";
    world.publish("main@sha1:1", &[("a.yaml", deployment)]).await;
    let ignore = json!({"ignore": [
        {"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}},
        {"paths": ["/metadata/annotations/example.test~1note"]},
        {"paths": ["/spec/paused"]},
    ]});
    world.kustomization("app", ignore).await;
    world.until_applied("app", "main@sha1:1").await;
    let deployments = world.here("apps/v1", "Deployment");
    // Somebody edits: the value is adopted, whatever else is applied.
    world
        .edit(
            &deployments,
            "web",
            json!({"spec": {"replicas": 3}, "metadata": {"annotations": {"example.test/note": "x"}}}),
        )
        .await;
    world.reconcile("app").await;
    let web = world.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(web["spec"]["replicas"], 3);
    assert_eq!(web["metadata"]["annotations"]["example.test/note"], "x");
    world.publish("main@sha1:2", &[("a.yaml", &deployment.replace("web:1", "web:2"))]).await;
    world.until_applied("app", "main@sha1:2").await;
    let web = world.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(web["spec"]["replicas"], 3);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "registry.test/web:2");
    // Another manager applies the field: it is its own from now on.
    world
        .apply_as(
            "autoscaler",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {"replicas": 5}}),
        )
        .await;
    world.publish("main@sha1:3", &[("a.yaml", &deployment.replace("web:1", "web:3"))]).await;
    world.until_applied("app", "main@sha1:3").await;
    let web = world.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(web["spec"]["replicas"], 5);
    let fields = web["metadata"]["managedFields"].as_array().unwrap();
    let ours = fields.iter().find(|entry| entry["manager"] == "kustomize-controller").unwrap();
    assert!(ours["fieldsV1"]["f:spec"].get("f:replicas").is_none(), "{ours}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_of_built_in_kinds_are_reported() {
    let world = World::start().await;
    let text = format!("{}imutable: true\n", config_map("typo", "1"));
    world.publish("main@sha1:1", &[("a.yaml", &text)]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world
        .until_event(
            "app",
            "Progressing",
            "ConfigMap/apps/typo has unknown fields that are dropped: imutable",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn common_metadata_and_images_and_patches() {
    let world = World::start().await;
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels: {a: old}\nspec:\n  containers:\n  - name: c\n    image: app:1\n";
    world.publish("main@sha1:1", &[("a.yaml", text)]).await;
    world
        .kustomization(
            "app",
            json!({
                "commonMetadata": {"labels": {"a": "new", "b": "1"}, "annotations": {"c": "2"}},
                "images": [{"name": "app", "newName": "registry.test/app", "newTag": "2"}],
                "patches": [{"patch": "- op: add\n  path: /metadata/annotations\n  value: {d: '3'}\n", "target": {"kind": "Pod"}}],
                "namePrefix": "x-", "nameSuffix": "-y",
            }),
        )
        .await;
    world.until_applied("app", "main@sha1:1").await;
    let pod = world.get("v1", "Pod", "x-p-y").await.unwrap();
    assert_eq!(pod["metadata"]["labels"]["a"], "new");
    assert_eq!(pod["metadata"]["labels"]["b"], "1");
    assert_eq!(pod["metadata"]["annotations"], json!({"c": "2", "d": "3"}));
    assert_eq!(pod["spec"]["containers"][0]["image"], "registry.test/app:2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn immutable_fields_need_force() {
    let world = World::start().await;
    let sealed = |value: &str| format!("{}immutable: true\n", config_map("sealed", value));
    world.publish("main@sha1:1", &[("a.yaml", &sealed("1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    let uid = world.get("v1", "ConfigMap", "sealed").await.unwrap()["metadata"]["uid"].clone();
    world.publish("main@sha1:2", &[("a.yaml", &sealed("2"))]).await;
    let app = world.until_failed("app", "ReconciliationFailed").await;
    assert_eq!(
        message(&app, "Ready"),
        "ConfigMap/apps/sealed dry-run failed (Invalid): ConfigMap \"sealed\" is invalid: data: Forbidden: field is immutable when `immutable` is set\n"
    );
    assert_eq!(app["status"]["lastAppliedRevision"], "main@sha1:1");
    assert_eq!(app["status"]["lastAttemptedRevision"], "main@sha1:2");
    world.kustomization("app", json!({"force": true})).await;
    world.until_applied("app", "main@sha1:2").await;
    let sealed_now = world.get("v1", "ConfigMap", "sealed").await.unwrap();
    assert_ne!(sealed_now["metadata"]["uid"], uid);
    assert_eq!(sealed_now["data"], json!({"key": "2"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plainly_invalid_object_is_not_deleted_by_force() {
    let world = World::start().await;
    let service = |port: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports:\n  - port: {port}\n    name: http\n"
        )
    };
    world.publish("main@sha1:1", &[("a.yaml", &service("80"))]).await;
    world.kustomization("app", json!({"force": true})).await;
    world.until_applied("app", "main@sha1:1").await;
    let uid = world.get("v1", "Service", "s").await.unwrap()["metadata"]["uid"].clone();
    world.publish("main@sha1:2", &[("a.yaml", &service("70000"))]).await;
    let app = world.until_failed("app", "ReconciliationFailed").await;
    assert!(message(&app, "Ready").contains("70000"), "{}", message(&app, "Ready"));
    assert_eq!(world.get("v1", "Service", "s").await.unwrap()["metadata"]["uid"], uid);
}
