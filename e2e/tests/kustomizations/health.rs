//! What is healthy, and who waits for whom.

use fluxide_e2e::wait;
use serde_json::json;

use crate::{config, failed, get, push, world};

/// A kind of which nobody but a test knows when it is well.
const WIDGETS: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: widgets.health.e2e.test\n\
spec:\n  group: health.e2e.test\n  names: {kind: Widget, plural: widgets}\n  scope: Namespaced\n  versions:\n  - name: v1\n    \
served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n";

fn widget(state: &str) -> String {
    format!("apiVersion: health.e2e.test/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  state: {state}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_of_the_user_say_what_is_healthy() -> anyhow::Result<()> {
    let (world, repository, first) = world(&[("crd.yaml", WIDGETS), ("w.yaml", &widget("fine"))]).await?;
    let namespace = world.cluster.namespace.clone();
    let rules = |current: &str| {
        json!({"wait": true, "timeout": "30s", "prune": false, "healthCheckExprs": [{"apiVersion": "health.e2e.test/v1", "kind": "Widget",
            "current": current, "failed": "spec.state == 'broken'"}]})
    };
    world.kustomization("apps", "fleet", rules("spec.state == 'fine'")).await?;
    let apps = world.applied("apps", &first).await?;
    assert_eq!(wait::condition(&apps, "Healthy")["status"], "True");
    repository.write("w.yaml", &widget("broken"))?;
    let second = push(&world, &repository, "Broken").await?;
    let message = failed(&world, "apps", "HealthCheckFailed", &second).await?;
    assert!(
        message.contains(&format!(
            "failed early due to stalled resources: [Widget/{namespace}/w status: 'Failed'"
        )),
        "{message}"
    );
    let apps = get(&world.kustomizations(), "apps").await?;
    assert_eq!(wait::condition(&apps, "Healthy")["reason"], "HealthCheckFailed");
    assert_eq!(apps["status"]["lastAppliedRevision"], first.as_str());
    repository.write("w.yaml", &widget("fine"))?;
    let third = push(&world, &repository, "Fine again").await?;
    world.applied("apps", &third).await?;
    // An expression that is none is said at once, and not tried again.
    world.kustomization("apps", "fleet", rules("spec.state ==")).await?;
    let apps = wait::until(&world.kustomizations(), "apps", "stalled", |object| {
        wait::condition(object, "Stalled")["status"] == "True"
    })
    .await?;
    assert_eq!(wait::condition(&apps, "Ready")["reason"], "InvalidCELExpression");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn named_objects_are_checked_and_what_is_missing_is_said() -> anyhow::Result<()> {
    let (world, _repository, first) = world(&[("a.yaml", &config("a", "1"))]).await?;
    let namespace = world.cluster.namespace.clone();
    let checks = json!({"timeout": "30s", "healthChecks": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": namespace},
        {"apiVersion": "v1", "kind": "Secret", "name": "made-by-others", "namespace": namespace}]});
    world.kustomization("apps", "fleet", checks).await?;
    let message = failed(&world, "apps", "HealthCheckFailed", &first).await?;
    assert!(
        message
            .contains(&format!("timeout waiting for: [Secret/{namespace}/made-by-others status: 'NotFound'")),
        "{message}"
    );
    crate::put(&world, "Secret", "made-by-others", json!({"a": "b"})).await?;
    let apps = world.applied("apps", &first).await?;
    assert_eq!(wait::condition(&apps, "Healthy")["status"], "True");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_are_judged_by_expressions() -> anyhow::Result<()> {
    let (world, _repository, first) =
        world(&[("base/a.yaml", &config("a", "1")), ("apps/b.yaml", &config("b", "1"))]).await?;
    let namespace = world.cluster.namespace.clone();
    world.kustomization("base", "fleet", json!({"path": "./base"})).await?;
    world.applied("base", &first).await?;
    let depends = |expression: &str| json!({"path": "./apps", "dependsOn": [{"name": "base", "readyExpr": expression}]});
    let label = "has(dep.metadata.labels) && dep.metadata.labels['stage'] == self.metadata.name";
    world.kustomization("apps", "fleet", depends(label)).await?;
    let message = format!("dependency '{namespace}/base' is not ready according to readyExpr eval");
    wait::until(&world.kustomizations(), "apps", "waiting", |object| {
        wait::condition(object, "Ready")["message"] == message.as_str()
    })
    .await?;
    assert!(get(&world.api("v1", "ConfigMap"), "b").await?.is_null());
    world
        .apply(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "base", "labels": {"stage": "apps"}},
            "spec": {"interval": "10m", "prune": true, "path": "./base", "targetNamespace": namespace, "sourceRef": {"kind": "GitRepository", "name": "fleet"}}}))
        .await?;
    world.applied("apps", &first).await?;
    world.kustomization("apps", "fleet", depends("dep.status.nothing")).await?;
    let apps = wait::until(&world.kustomizations(), "apps", "stalled", |object| {
        wait::condition(object, "Stalled")["status"] == "True"
    })
    .await?;
    assert_eq!(wait::condition(&apps, "Ready")["reason"], "InvalidCELExpression");
    world.stop().await
}
