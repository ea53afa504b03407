//! What flags and feature gates change, one by one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{World, condition, config_map, inventory, message};

fn variables(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"city": value},
        "metadata": {"name": "vars", "namespace": "apps", "labels": {"reconcile.fluxcd.io/watch": "Enabled"}}})
}

fn from_variables() -> Value {
    json!({"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configs_are_read_from_memory() {
    let world = World::start_with(&["--feature-gates=CacheSecretsAndConfigMaps=true"]).await;
    let account =
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: a\n  annotations:\n    city: ${city}\n";
    world.publish("main@sha1:1", &[("a.yaml", account)]).await;
    world.apply(variables("Berlin")).await;
    world.kustomization("app", from_variables()).await;
    world.until_applied("app", "main@sha1:1").await;
    for city in ["Paris", "Rome"] {
        world.apply(variables(city)).await;
        let accounts = world.here("v1", "ServiceAccount");
        world.until_in(&accounts, "a", city, |a| a["metadata"]["annotations"]["city"] == city).await;
    }
    // What came in between may have been read where it was; from now on there is nothing to ask.
    world.reconcile("app").await;
    world.server.request_log().reset();
    for _ in 0..3 {
        world.reconcile("app").await;
    }
    let counts = world.server.request_log().counts();
    let reads: Vec<_> = counts
        .iter()
        .filter(|(key, _)| key.user_agent == "kustomize-controller" && key.verb == "get")
        .filter(|(key, _)| key.resource.contains("configmaps"))
        .collect();
    assert!(reads.is_empty(), "{reads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configs_are_not_watched() {
    let world = World::start_with(&["--feature-gates=DisableConfigWatchers=true"]).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "${city}"))]).await;
    world.apply(variables("Berlin")).await;
    world.kustomization("app", from_variables()).await;
    world.until_applied("app", "main@sha1:1").await;
    world.apply(variables("Paris")).await;
    // Time enough for another Kustomization to be made and applied.
    world
        .kustomization("other", json!({"namePrefix": "other-", "postBuild": {"substitute": {"city": "x"}}}))
        .await;
    world.until_applied("other", "main@sha1:1").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"]["key"], "Berlin");
    world.reconcile("app").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"]["key"], "Paris");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_add_to_the_check_of_a_dependency() {
    for (gate, is_applied) in [("false", true), ("true", false)] {
        let world = World::start_with(&[&format!("--feature-gates=AdditiveCELDependencyCheck={gate}")]).await;
        world
            .publish("main@sha1:1", &[("app/a.yaml", &config_map("a", "1")), ("broken/b.yaml", "kind: [\n")])
            .await;
        world.kustomization("broken", json!({"path": "./broken"})).await;
        world.until_failed("broken", "BuildFailed").await;
        let depends = json!([{"name": "broken", "readyExpr": "dep.metadata.name == 'broken'"}]);
        world.kustomization("app", json!({"path": "./app", "dependsOn": depends})).await;
        if is_applied {
            world.until_applied("app", "main@sha1:1").await;
        } else {
            let app = world.until_failed("app", "DependencyNotReady").await;
            assert_eq!(message(&app, "Ready"), "dependency 'apps/broken' is not ready");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_is_waited_for_when_one_has_failed() {
    let world = World::start_with(&["--feature-gates=DisableFailFastBehavior=true"]).await;
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))])
        .await;
    let checks = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "false", "failed": "metadata.name == 'a'"}]);
    let started = Instant::now();
    world.kustomization("app", json!({"wait": true, "timeout": "30s", "healthCheckExprs": checks})).await;
    let app = world.until_failed("app", "HealthCheckFailed").await;
    assert!(started.elapsed() > Duration::from_secs(25), "{:?}", started.elapsed());
    let text = message(&app, "Ready");
    assert!(text.contains("timeout waiting for: [ConfigMap/apps/a status: 'Failed'"), "{text}");
    assert!(text.contains("ConfigMap/apps/b status: 'InProgress'"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_read_where_they_are() {
    let world = World::start_with(&["--feature-gates=DirectSourceFetch=true"]).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "2"))]).await;
    world.until_applied("app", "main@sha1:2").await;
    let counts = world.server.request_log().counts();
    let reads = counts.iter().filter(|(key, _)| {
        key.user_agent == "kustomize-controller"
            && key.verb == "get"
            && key.resource.contains("gitrepositories")
    });
    assert!(reads.map(|(_, count)| *count).sum::<u64>() >= 2, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_owners_move_to_the_applied_version() {
    let world = World::start_with(&["--feature-gates=MigrateAPIVersion=true"]).await;
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    world
        .apply(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "gadgets.moved.test"}, "spec": {"group": "moved.test", "scope": "Namespaced",
                "names": {"kind": "Gadget", "plural": "gadgets"}, "versions": [version("v1", true), version("v1beta1", false)]}}))
        .await;
    let definitions = world.api("apiextensions.k8s.io/v1", "CustomResourceDefinition", None);
    world
        .until_in(&definitions, "gadgets.moved.test", "established", |crd| {
            condition(crd, "Established").is_some_and(|established| established["status"] == "True")
        })
        .await;
    world
        .apply_as(
            "old-operator",
            json!({"apiVersion": "moved.test/v1beta1", "kind": "Gadget",
            "metadata": {"name": "g", "namespace": "apps"}, "spec": {"theirs": 1}}),
        )
        .await;
    let manifest = "apiVersion: moved.test/v1\nkind: Gadget\nmetadata:\n  name: g\nspec:\n  ours: 1\n";
    world.publish("main@sha1:1", &[("g.yaml", manifest)]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    let gadget = world.get("moved.test/v1", "Gadget", "g").await.unwrap();
    assert_eq!(gadget["spec"], json!({"theirs": 1, "ours": 1}));
    for entry in gadget["metadata"]["managedFields"].as_array().unwrap() {
        assert_eq!(entry["apiVersion"], "moved.test/v1", "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_keys_of_the_controller_are_for_those_without_their_own() {
    let corpus = |path: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/sops/tests/corpus");
        std::fs::read_to_string(format!("{root}/{path}")).unwrap()
    };
    let world = World::start_with(&["--sops-age-secret=global-keys"]).await;
    world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})).await;
    world
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "global-keys", "namespace": "flux-system"},
            "stringData": {"one.agekey": corpus("keys/age1.agekey"), "ignored": "x"}}))
        .await;
    world
        .apply(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty", "namespace": "apps"}}),
        )
        .await;
    let settings = corpus("files/dotenv-age.enc.env");
    let generator = "secretGenerator:\n- name: generated\n  envs: [settings.env]\n  options: {disableNameSuffixHash: true}\n";
    world.publish("main@sha1:1", &[("kustomization.yaml", generator), ("settings.env", &settings)]).await;
    world
        .kustomization("own", json!({"decryption": {"provider": "sops", "secretRef": {"name": "empty"}}}))
        .await;
    let own = world.until_failed("own", "BuildFailed").await;
    assert!(message(&own, "Ready").contains("error decrypting sources"), "{}", message(&own, "Ready"));
    world.kustomization("app", json!({"decryption": {"provider": "sops"}})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert_eq!(world.get("v1", "Secret", "generated").await.unwrap()["data"]["B"], "dHdvIHdvcmRz");
    // Without decryption nothing is decrypted for anybody.
    world.kustomization("none", json!({"namePrefix": "none-"})).await;
    world.until_applied("none", "main@sha1:1").await;
    let generated = world.get("v1", "Secret", "none-generated").await.unwrap();
    assert_ne!(generated["data"]["B"], "dHdvIHdvcmRz");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_leaves_the_others_alone_but_reads_what_they_are_needed_for() {
    let world = World::start_with(&["--watch-label-selector=sharding.fluxcd.io/key=one"]).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("theirs", json!({})).await;
    world.kustomization("ours", json!({"dependsOn": [{"name": "theirs"}], "namePrefix": "ours-"})).await;
    let label = json!({"metadata": {"labels": {"sharding.fluxcd.io/key": "one"}}});
    world.edit(&world.kustomizations(), "ours", label).await;
    let ours = world.until_failed("ours", "DependencyNotReady").await;
    assert_eq!(message(&ours, "Ready"), "dependency 'apps/theirs' is not ready");
    let theirs = world.get("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "theirs").await.unwrap();
    assert!(theirs["metadata"]["finalizers"].is_null(), "{theirs}");
    assert!(condition(&theirs, "Ready").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_of_dependencies_blocks_nobody_else() {
    let world = World::start_with(&["--requeue-dependency=1s"]).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("one", json!({"dependsOn": [{"name": "two"}]})).await;
    world.kustomization("two", json!({"dependsOn": [{"name": "one"}]})).await;
    world.kustomization("self", json!({"dependsOn": [{"name": "self"}]})).await;
    world.kustomization("free", json!({"namePrefix": "free-"})).await;
    world.until_applied("free", "main@sha1:1").await;
    for name in ["one", "two", "self"] {
        world.until_failed(name, "DependencyNotReady").await;
    }
    world.publish("main@sha1:2", &[("a.yaml", &config_map("a", "2"))]).await;
    world.until_applied("free", "main@sha1:2").await;
    // Once the circle is broken, it dissolves.
    world.kustomization("two", json!({"namePrefix": "two-"})).await;
    world.until_applied("one", "main@sha1:2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_no_account_acts_as_the_default_one() {
    let world = World::start_with(&["--default-service-account=tenant"]).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world
        .apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant", "namespace": "apps"}}))
        .await;
    world.kustomization("app", json!({})).await;
    let app = world.until_failed("app", "ReconciliationFailed").await;
    assert!(
        message(&app, "Ready").contains("system:serviceaccount:apps:tenant"),
        "{}",
        message(&app, "Ready")
    );
    let bind = |name: &str, subject: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": "apps"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": subject, "namespace": "apps"}]})
    };
    world.apply(bind("tenant", "tenant")).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    assert_eq!(inventory(&app), ["apps_a__ConfigMap"]);
    // What is said goes before what is usual, and nobody can be who does not exist.
    world.kustomization("app", json!({"serviceAccountName": "nobody"})).await;
    let app = world.until_failed("app", "ReconciliationFailed").await;
    assert!(message(&app, "Ready").contains("nobody"), "{}", message(&app, "Ready"));
}
