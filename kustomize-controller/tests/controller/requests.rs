//! How many API requests a pass takes.

use serde_json::json;

use crate::world::World;

pub const OBJECTS: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 0\n  selector:\n    matchLabels: {app: web}\n  template:\n    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n      - name: web\n        image: registry.test/web:1\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector: {app: web}\n  ports:\n  - port: 80\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: web\n";

/// Requests of the controller about the work of passes: not its watches, nor what it asks once.
pub fn requests(world: &World) -> Vec<(String, u64)> {
    let counts = world.server.request_log().counts();
    let ours = counts.into_iter().filter(|(key, _)| {
        key.user_agent == "kustomize-controller"
            && key.verb != "watch"
            && !key.resource.starts_with('/')
            && key.verb != "list"
    });
    ours.map(|(key, count)| (format!("{} {}", key.verb, key.resource), count)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", OBJECTS)]).await;
    world.server.request_log().reset();
    world.kustomization("app", json!({"wait": true})).await;
    world.until_applied("app", "main@sha1:1").await;
    world.until_event("app", "ReconciliationSucceeded", "Reconciliation finished in ").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let first = requests(&world);
    let total: u64 = first.iter().map(|(_, count)| count).sum();
    println!("first pass: {total} {first:#?}");
    assert!(total <= 13, "{total} {first:#?}");

    // What the cluster's own controllers have made of the objects since is no reason to try them again.
    world.server.request_log().reset();
    world.reconcile("app").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let again = requests(&world);
    let total: u64 = again.iter().map(|(_, count)| count).sum();
    println!("unchanged: {total} {again:#?}");
    assert!(total <= 5, "{total} {again:#?}");
}
