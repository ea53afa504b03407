//! Whose rights Kustomizations have, and what they must never do.

use fluxide_e2e::wait;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{config, failed, inventory, push, uid, world};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_limits_what_is_applied_and_pruned() -> anyhow::Result<()> {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: robot\n";
    let (world, repository, first) = world(&[("a.yaml", &config("a", "1")), ("b.yaml", account)]).await?;
    let namespace = world.cluster.namespace.clone();
    world
        .apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant"}}))
        .await?;
    let role = |verbs: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "tenant"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]})
    };
    world.apply(role(json!(["get", "list", "watch", "create", "patch"]))).await?;
    world
        .apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "tenant"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
            "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}]}))
        .await?;
    world.kustomization("apps", "fleet", json!({"serviceAccountName": "tenant"})).await?;
    let message = failed(&world, "apps", "ReconciliationFailed", &first).await?;
    let expected = format!(
        "ServiceAccount/{namespace}/robot dry-run failed (Forbidden): serviceaccounts \"robot\" is forbidden: \
         User \"system:serviceaccount:{namespace}:tenant\" cannot patch resource \"serviceaccounts\" in API group \"\" in the namespace \"{namespace}\""
    );
    assert!(message.starts_with(&expected), "{message}\n{expected}");
    // One refused object keeps its whole stage from being applied.
    let maps = world.api("v1", "ConfigMap");
    assert!(maps.get_opt("a").await?.is_none());

    repository.remove("b.yaml")?;
    repository.write("c.yaml", &config("c", "1"))?;
    let second = push(&world, &repository, "What the tenant may do").await?;
    world.applied("apps", &second).await?;

    // It may not delete: what is stale stays known until it may.
    repository.remove("c.yaml")?;
    let third = push(&world, &repository, "Without c").await?;
    let message = failed(&world, "apps", "PruneFailed", &third).await?;
    assert!(
        message.contains(&format!("ConfigMap/{namespace}/c delete failed: configmaps \"c\" is forbidden")),
        "{message}"
    );
    let apps = serde_json::to_value(world.kustomizations().get("apps").await?)?;
    assert!(inventory(&apps).contains(&&*format!("{namespace}_c__ConfigMap")), "{apps}");
    world.apply(role(json!(["get", "list", "watch", "create", "patch", "delete"]))).await?;
    world.applied("apps", &third).await?;
    wait::until_gone(&maps, "c").await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pruned_for_a_failure() -> anyhow::Result<()> {
    let (world, repository, first) =
        world(&[("apps/a.yaml", &config("a", "1")), ("apps/b.yaml", &config("b", "1"))]).await?;
    world.kustomization("apps", "fleet", json!({"path": "./apps"})).await?;
    world.applied("apps", &first).await?;
    let maps = world.api("v1", "ConfigMap");
    let before = (uid(&maps, "a").await?, uid(&maps, "b").await?);

    // A build that fails, wholly or in one file.
    repository.remove("apps/b.yaml")?;
    repository.write("apps/c.yaml", "this is: [no manifest\n")?;
    let broken = push(&world, &repository, "Broken").await?;
    failed(&world, "apps", "BuildFailed", &broken).await?;
    assert_eq!((uid(&maps, "a").await?, uid(&maps, "b").await?), before);
    // An apply that fails.
    repository.write("apps/c.yaml", "apiVersion: unknown.test/v1\nkind: Gadget\nmetadata:\n  name: g\n")?;
    let unknown = push(&world, &repository, "Unknown").await?;
    failed(&world, "apps", "ReconciliationFailed", &unknown).await?;
    assert_eq!((uid(&maps, "a").await?, uid(&maps, "b").await?), before);
    // A directory that is gone.
    repository.remove("apps/a.yaml")?;
    repository.remove("apps/c.yaml")?;
    repository.write("other.txt", "x")?;
    push(&world, &repository, "No directory").await?;
    let message = failed(&world, "apps", "ArtifactFailed", &unknown).await?;
    assert_eq!(message, "kustomization path not found: stat /apps: no such file or directory");
    assert_eq!((uid(&maps, "a").await?, uid(&maps, "b").await?), before);
    // A source that is gone.
    world.git_repositories().delete("fleet", &DeleteParams::default()).await?;
    wait::until_gone(&world.git_repositories(), "fleet").await?;
    world.reconcile(&world.kustomizations(), "apps").await?;
    assert_eq!((uid(&maps, "a").await?, uid(&maps, "b").await?), before);

    // Only a directory that is there and empty means that nothing is wanted.
    world.git_repository("fleet", repository.url(), json!({})).await?;
    repository.write("apps/README.md", "Nothing is deployed from here.\n")?;
    let empty = repository.push("Empty").await?;
    world.reconcile(&world.git_repositories(), "fleet").await?;
    world.applied("apps", &empty).await?;
    wait::until_gone(&maps, "a").await?;
    wait::until_gone(&maps, "b").await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_kustomization_adopted_is_not_pruned() -> anyhow::Result<()> {
    let (world, repository, first) = world(&[
        ("old/a.yaml", &config("a", "1")),
        ("old/b.yaml", &config("b", "1")),
        ("new/c.yaml", &config("c", "1")),
    ])
    .await?;
    world.kustomization("old", "fleet", json!({"path": "./old"})).await?;
    world.kustomization("new", "fleet", json!({"path": "./new"})).await?;
    world.applied("old", &first).await?;
    world.applied("new", &first).await?;
    let maps = world.api("v1", "ConfigMap");
    let before = uid(&maps, "a").await?;
    // The new owner takes it first, then the old one lets go.
    repository.write("new/a.yaml", &config("a", "2"))?;
    let moved = push(&world, &repository, "Moved").await?;
    world.applied("new", &moved).await?;
    // The old one may have been the last to apply this revision, and so own the object once more.
    world.applied("old", &moved).await?;
    world.reconcile(&world.kustomizations(), "new").await?;
    wait::until(&maps, "a", "owned by the new one", |object| {
        object["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "new"
    })
    .await?;
    repository.remove("old/a.yaml")?;
    let second = push(&world, &repository, "Removed").await?;
    world.applied("old", &second).await?;
    world.applied("new", &second).await?;
    let a = serde_json::to_value(maps.get("a").await?)?;
    assert_eq!(a["metadata"]["uid"], before.as_str());
    assert_eq!(a["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "new");
    // Nor when the old one is deleted.
    world.kustomizations().delete("old", &DeleteParams::default()).await?;
    wait::until_gone(&world.kustomizations(), "old").await?;
    wait::until_gone(&maps, "b").await?;
    assert_eq!(uid(&maps, "a").await?, before);
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_that_were_overtaken_are_never_applied() -> anyhow::Result<()> {
    let (world, repository, first) = world(&[("a.yaml", &config("a", "1"))]).await?;
    world.kustomization("apps", "fleet", json!({})).await?;
    world.applied("apps", &first).await?;
    let suspend = |suspend: bool| {
        let api = world.kustomizations();
        async move {
            let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
            api.patch("apps", &PatchParams::default(), &patch).await
        }
    };
    suspend(true).await?;
    repository.write("a.yaml", &config("a", "2"))?;
    repository.write("stale.yaml", &config("stale", "2"))?;
    let second = push(&world, &repository, "Second").await?;
    repository.write("a.yaml", &config("a", "3"))?;
    repository.remove("stale.yaml")?;
    let third = push(&world, &repository, "Third").await?;
    let maps = world.api("v1", "ConfigMap");
    assert_eq!(serde_json::to_value(maps.get("a").await?)?["data"]["value"], "1");
    suspend(false).await?;
    let apps = world.applied("apps", &third).await?;
    let history = apps["status"]["history"].to_string();
    assert!(history.contains(&third) && !history.contains(&second), "{history}");
    assert!(maps.get_opt("stale").await?.is_none());
    assert_eq!(serde_json::to_value(maps.get("a").await?)?["data"]["value"], "3");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_revision_ends_the_wait_for_one_that_never_gets_healthy() -> anyhow::Result<()> {
    let job = |image: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\nspec:\n  suspend: false\n  template:\n    spec:\n      nodeSelector: {{nowhere: \"true\"}}\n      restartPolicy: Never\n      containers:\n      - name: migrate\n        image: {image}\n"
        )
    };
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: widgets.e2e.test\nspec:\n  group: e2e.test\n  names: {kind: Widget, plural: widgets}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n";
    let widget = |ready: &str| {
        format!("apiVersion: e2e.test/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  ready: {ready:?}\n")
    };
    let (world, repository, first) = world(&[("crd.yaml", crd), ("w.yaml", &widget("no"))]).await?;
    let checks = json!([{"apiVersion": "e2e.test/v1", "kind": "Widget", "current": "spec.ready == 'yes'"}]);
    world
        .kustomization("apps", "fleet", json!({"wait": true, "timeout": "10m", "healthCheckExprs": checks}))
        .await?;
    wait::until(&world.kustomizations(), "apps", "waiting", |object| {
        wait::condition(object, "Healthy")["status"] == "Unknown"
            && object["status"]["lastAttemptedRevision"] == first.as_str()
    })
    .await?;
    repository.write("w.yaml", &widget("yes"))?;
    let second = push(&world, &repository, "Fixed").await?;
    world.applied("apps", &second).await?;
    // A field that cannot be changed: refused without force, and the object is as it was.
    repository.write("job.yaml", &job("registry.test/one:1").replace("suspend: false", "suspend: true"))?;
    world.kustomization("apps", "fleet", json!({"wait": false})).await?;
    let third = push(&world, &repository, "A job").await?;
    world.applied("apps", &third).await?;
    let jobs = world.api("batch/v1", "Job");
    let before = uid(&jobs, "migrate").await?;
    repository.write(
        "job.yaml",
        &job("registry.test/two:2")
            .replace("suspend: false", "suspend: true")
            .replace("name: migrate\n        image", "name: other\n        image"),
    )?;
    let fourth = push(&world, &repository, "Another job").await?;
    let message = failed(&world, "apps", "ReconciliationFailed", &fourth).await?;
    assert!(
        message.contains("/migrate dry-run failed (Invalid): ") && message.contains("field is immutable"),
        "{message}"
    );
    assert_eq!(uid(&jobs, "migrate").await?, before);
    world.kustomization("apps", "fleet", json!({"wait": false, "force": true})).await?;
    world.applied("apps", &fourth).await?;
    assert_ne!(uid(&jobs, "migrate").await?, before);
    world.stop().await
}
