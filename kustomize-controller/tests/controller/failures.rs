//! What goes wrong, and what it says.

use serde_json::json;

use crate::world::{World, condition, config_map, inventory, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources() {
    let world = World::start_with(&["--no-cross-namespace-refs=true", "--requeue-dependency=1s"]).await;
    world.kustomization("app", json!({})).await;
    let app = world.until_failed("app", "ArtifactFailed").await;
    assert_eq!(message(&app, "Ready"), "GitRepository.source.toolkit.fluxcd.io \"fleet\" not found");
    assert_eq!(world.events("app").await, []);
    world
        .apply(json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "fleet", "namespace": "apps"},
            "spec": {"interval": "1h", "url": "http://git.test/fleet"},
        }))
        .await;
    let text = "Source artifact not found, retrying in 1s";
    world.until("app", "waiting for the artifact", |app| message(app, "Ready") == text).await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.until_applied("app", "main@sha1:1").await;

    let elsewhere = json!({"sourceRef": {"kind": "GitRepository", "name": "fleet", "namespace": "other"}});
    world.kustomization("denied", elsewhere).await;
    let denied = world.until_failed("denied", "AccessDenied").await;
    let text = "can't access 'GitRepository/other/fleet', cross-namespace references have been blocked";
    assert_eq!(message(&denied, "Ready"), text);
    assert_eq!(condition(&denied, "Stalled").unwrap()["status"], "True");
    assert_eq!(denied["status"]["observedGeneration"], denied["metadata"]["generation"]);

    world.kustomization("external", json!({"sourceRef": {"kind": "ExternalArtifact", "name": "x"}})).await;
    let external = world.until_failed("external", "AccessDenied").await;
    let text = "can't access 'ExternalArtifact/apps/x', ExternalArtifact feature gate is disabled";
    assert_eq!(message(&external, "Ready"), text);

    world.kustomization("foreign", json!({"dependsOn": [{"name": "x", "namespace": "other"}]})).await;
    world.until_failed("foreign", "AccessDenied").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds() {
    let world = World::start().await;
    world
        .publish(
            "main@sha1:1",
            &[
                ("good/a.yaml", &config_map("a", "1")),
                ("yaml/a.yaml", "a: {\n"),
                ("missing/kustomization.yaml", "resources: [absent.yaml]\n"),
                ("variable/a.yaml", &config_map("a", "${nope}")),
                ("outside/kustomization.yaml", "resources: [../../../../etc/passwd]\n"),
                ("sops/a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 'ENC[AES256_GCM,data:x]'}\nsops: {mac: x}\n"),
            ],
        )
        .await;
    let expect = [
        ("yaml", "BuildFailed", "failed to decode Kubernetes YAML from /yaml/a.yaml: "),
        ("missing", "BuildFailed", "kustomize build failed: "),
        (
            "variable",
            "BuildFailed",
            "post build failed for 'ConfigMap.v1.[noGrp]/a': envsubst error: variable substitution failed: variable not set (strict mode): \"nope\"",
        ),
        ("outside", "BuildFailed", "kustomize build failed: "),
        ("absent", "ArtifactFailed", "kustomization path not found: stat /absent: no such file or directory"),
        (
            "sops",
            "ReconciliationFailed",
            "Secret/apps/s is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
        ),
    ];
    for (path, ..) in expect {
        let post_build = if path == "variable" { json!({"substitute": {"x": "1"}}) } else { json!(null) };
        world.kustomization(path, json!({"path": path, "postBuild": post_build})).await;
    }
    for (name, reason, start) in expect {
        let object = world.until_failed(name, reason).await;
        let text = message(&object, "Ready");
        assert!(text.starts_with(start), "{name}: {text}");
        assert!(!text.contains("/tmp/"), "{name}: {text}");
        assert_eq!(condition(&object, "Reconciling").unwrap()["reason"], "ProgressingWithRetry");
        assert_ne!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
        world.until_event(name, reason, start).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refused_object_is_named_and_nothing_is_applied() {
    let world = World::start().await;
    let gadget = "apiVersion: unknown.test/v1\nkind: Gadget\nmetadata:\n  name: g\n";
    let wrong = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: schema\nspec:\n  replicas: two\n";
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("g.yaml", gadget), ("w.yaml", wrong)])
        .await;
    world.kustomization("app", json!({})).await;
    let app = world.until_failed("app", "ReconciliationFailed").await;
    let text = message(&app, "Ready");
    assert!(
        text.contains(
            "Gadget/apps/g dry-run failed: no matches for kind \"Gadget\" in version \"unknown.test/v1\"\n"
        ),
        "{text}"
    );
    assert!(text.contains("Deployment/apps/schema dry-run failed"), "{text}");
    assert!(world.get("v1", "ConfigMap", "a").await.is_none());
    assert_eq!(inventory(&app), Vec::<String>::new());

    world.publish("main@sha1:2", &[("a.yaml", &config_map("lost", "1"))]).await;
    world.kustomization("app", json!({"targetNamespace": "absent"})).await;
    let text = "ConfigMap/absent/lost not found: namespaces \"absent\" not found\n";
    world.until("app", "in no namespace", |app| message(app, "Ready") == text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pruned_when_a_build_fails() {
    let world = World::start().await;
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))])
        .await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.publish("main@sha1:2", &[("kustomization.yaml", "resources: [absent.yaml]\n")]).await;
    let app = world.until_failed("app", "BuildFailed").await;
    assert_eq!(inventory(&app).len(), 2);
    assert!(world.get("v1", "ConfigMap", "a").await.is_some());
    // What a failing apply has created is remembered.
    let gadget = "apiVersion: unknown.test/v1\nkind: Gadget\nmetadata:\n  name: g\n  namespace: apps\n";
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: early\n";
    let map = config_map("c", "1").replace("name: c", "name: c\n  namespace: apps");
    world.publish_as("other", "main@sha1:1", &[("n.yaml", namespace), ("g.yaml", gadget)]).await;
    let other = json!({"targetNamespace": null, "sourceRef": {"kind": "GitRepository", "name": "other"}});
    world.kustomization("other", other).await;
    let other = world.until_failed("other", "ReconciliationFailed").await;
    assert_eq!(inventory(&other), ["_early__Namespace"]);
    world.publish_as("other", "main@sha1:2", &[("a.yaml", &map)]).await;
    let other = world.until_applied("other", "main@sha1:2").await;
    assert_eq!(inventory(&other), ["apps_c__ConfigMap"]);
    let namespaces = world.api("v1", "Namespace", None);
    world.until_gone(&namespaces, "early").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impersonation_limits() {
    let world = World::start().await;
    world
        .apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak", "namespace": "apps"}}))
        .await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({"serviceAccountName": "weak"})).await;
    let app = world.until_failed("app", "ReconciliationFailed").await;
    let text = message(&app, "Ready");
    assert!(text.contains("forbidden") && text.contains("system:serviceaccount:apps:weak"), "{text}");
    world
        .apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "maps", "namespace": "apps"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}],
        }))
        .await;
    world
        .apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "maps", "namespace": "apps"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maps"},
            "subjects": [{"kind": "ServiceAccount", "name": "weak", "namespace": "apps"}],
        }))
        .await;
    world.until_applied("app", "main@sha1:1").await;
}
