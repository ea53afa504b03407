//! Fields, flags and feature gates, one by one.

use serde_json::json;

use crate::world::{World, condition, config_map, inventory, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_cluster() {
    let world = World::start().await;
    let remote = World::start().await;
    let kubeconfig = remote.server.kubeconfig();
    for (secret, key) in [("remote", "value"), ("fallback", "value.yaml"), ("named", "mine")] {
        world
            .create(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": "apps"},
                "stringData": {key: kubeconfig},
            }))
            .await;
    }
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    let at = |secret: &str, suffix: &str| json!({"kubeConfig": {"secretRef": {"name": secret}}, "nameSuffix": suffix});
    world.kustomization("remote", at("remote", "-1")).await;
    world.kustomization("fallback", at("fallback", "-2")).await;
    let mut named = at("named", "-3");
    named["kubeConfig"]["secretRef"]["key"] = json!("mine");
    world.kustomization("named", named).await;
    world.kustomization("absent", at("absent", "-4")).await;
    world.kustomization("wrong", at("named", "-5")).await;
    for (name, object) in [("remote", "a-1"), ("fallback", "a-2"), ("named", "a-3")] {
        world.until_applied(name, "main@sha1:1").await;
        assert!(remote.get("v1", "ConfigMap", object).await.is_some(), "{name}");
        assert!(world.get("v1", "ConfigMap", object).await.is_none(), "{name}");
    }
    let absent = world.until_failed("absent", "ReconciliationFailed").await;
    let text = "unable to read KubeConfig secret 'apps/absent' error: secrets \"absent\" not found";
    assert_eq!(message(&absent, "Ready"), text);
    let wrong = world.until_failed("wrong", "ReconciliationFailed").await;
    let text = "KubeConfig secret 'apps/named' does not contain a 'value' key with a kubeconfig";
    assert_eq!(message(&wrong, "Ready"), text);
    // Corrected and deleted there as well.
    let config_maps = remote.here("v1", "ConfigMap");
    remote.edit(&config_maps, "a-1", json!({"data": {"key": "edited"}})).await;
    world.reconcile("remote").await;
    assert_eq!(remote.get("v1", "ConfigMap", "a-1").await.unwrap()["data"]["key"], "1");
    world.delete(&world.kustomizations(), "remote").await;
    world.until_gone(&world.kustomizations(), "remote").await;
    assert!(remote.get("v1", "ConfigMap", "a-1").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_starts_no_program() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let proof = directory.path().join("started");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1'}}}}]\nusers:\n- name: u\n  user:\n    exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: ['{}'], interactiveMode: Never}}\n",
        proof.display()
    );
    world
        .create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "exec", "namespace": "apps"},
            "stringData": {"value": kubeconfig},
        }))
        .await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({"kubeConfig": {"secretRef": {"name": "exec"}}})).await;
    world.until_failed("app", "ReconciliationFailed").await;
    assert!(!proof.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_artifacts_with_their_gate() {
    let world = World::start_with(&["--feature-gates=ExternalArtifact=true"]).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    let sources = world.here("source.toolkit.fluxcd.io/v1", "GitRepository");
    let fleet = serde_json::to_value(sources.get("fleet").await.unwrap()).unwrap();
    world
        .apply(json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact",
            "metadata": {"name": "made", "namespace": "apps"}, "spec": {},
        }))
        .await;
    let made = world.here("source.toolkit.fluxcd.io/v1", "ExternalArtifact");
    let status = json!({"status": {"artifact": fleet["status"]["artifact"]}});
    let params = kube::api::PatchParams::default();
    made.patch_status("made", &params, &kube::api::Patch::Merge(&status)).await.unwrap();
    world.kustomization("app", json!({"sourceRef": {"kind": "ExternalArtifact", "name": "made"}})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert!(world.get("v1", "ConfigMap", "a").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_strictness_and_grouped_logs() {
    let world = World::start_with(&[
        "--custom-apply-stage-kinds= ConfigMap , example.test/Thing",
        "--feature-gates=StrictPostBuildSubstitutions=false,GroupChangeLog=true",
    ])
    .await;
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: early\n";
    world.publish("main@sha1:1", &[("a.yaml", account), ("b.yaml", &config_map("a", "x${nope}y"))]).await;
    world.kustomization("app", json!({"postBuild": {"substitute": {"a": "b"}}})).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    assert_eq!(inventory(&app), ["apps_a__ConfigMap", "apps_early__ServiceAccount"]);
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"]["key"], "xy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_versions_of_the_api() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world
        .apply(json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1beta2", "kind": "Kustomization",
            "metadata": {"name": "app", "namespace": "apps"},
            "spec": {"interval": "1h", "prune": true, "path": "./", "targetNamespace": "apps",
                "sourceRef": {"kind": "GitRepository", "name": "fleet"}},
        }))
        .await;
    world.until_applied("app", "main@sha1:1").await;
    assert!(world.get("v1", "ConfigMap", "a").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_managers_are_taken_over() {
    let world = World::start_with(&["--override-manager=legacy"]).await;
    for (manager, field) in [("legacy", "old"), ("legacy-2", "kept")] {
        world
            .apply_as(
                manager,
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "apps"},
                    "data": {field: "x"}}),
            )
            .await;
    }
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"], json!({"key": "1", "kept": "x"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remote_files_unless_refused() {
    let world = World::start().await;
    let strict = World::start_with(&["--no-remote-bases"]).await;
    let url = world.serve("base.yaml", &config_map("remote", "1"));
    let kustomization = format!("resources: [\"{url}\"]\n");
    world.publish("main@sha1:1", &[("kustomization.yaml", &kustomization)]).await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    assert!(world.get("v1", "ConfigMap", "remote").await.is_some());
    strict.publish("main@sha1:1", &[("kustomization.yaml", &kustomization)]).await;
    strict.kustomization("app", json!({})).await;
    let app = strict.until_failed("app", "BuildFailed").await;
    let text = message(&app, "Ready");
    assert!(text.contains("--no-remote-bases") && text.contains(&url), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_that_cannot_be_read() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    let from = json!({"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "absent"}]}});
    world.kustomization("app", from).await;
    let app = world.until_failed("app", "BuildFailed").await;
    assert_eq!(
        message(&app, "Ready"),
        "post build failed for 'ConfigMap.v1.[noGrp]/a': substitute from 'ConfigMap/absent' error: configmaps \"absent\" not found"
    );
    assert!(condition(&app, "Stalled").is_none());
    assert!(app["status"]["history"].is_null(), "builds are not part of the history");
}
