//! Repositories in repositories, and what is counted about them.

use std::time::Duration;

use serde_json::json;

use crate::git::{GitServer, Repositories};
use crate::world::{World, entries};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_follows_at_once_and_a_circle_does_not_spin() {
    let repositories = Repositories::new();
    let base = repositories.create("base.git");
    base.write("base.yaml", "base: 1\n");
    base.commit("base");
    let other = repositories.create("other.git");
    other.write("other.yaml", "other: 1\n");
    other.commit("other");
    let server = GitServer::open(&repositories).await;
    let url = |name: &str| format!("{}/{name}.git", server.url);
    let world = World::start("apps", &[]).await;
    let include = |name: &str| json!([{"repository": {"name": name}, "toPath": format!("from-{name}")}]);
    world.repository("base", json!({"url": url("base")})).await;
    world.repository("middle", json!({"url": url("other"), "include": include("base")})).await;
    world.repository("top", json!({"url": url("other"), "include": include("middle")})).await;
    let top = world.until_ready("top").await;
    let names: Vec<String> = entries(&world.artifact(&top)).into_iter().map(|e| e.0).collect();
    assert!(names.contains(&"from-middle/from-base/base.yaml".to_owned()), "{names:?}");

    // Its own revision stays; what it includes is another, and so is its digest.
    base.write("base.yaml", "base: 2\n");
    base.commit("base 2");
    world.reconcile("base").await;
    let digest = top["status"]["artifact"]["digest"].clone();
    let after = world.until("top", "newer", |o| o["status"]["artifact"]["digest"] != digest).await;
    assert_eq!(after["status"]["artifact"]["revision"], top["status"]["artifact"]["revision"]);

    // Then the first includes the last.
    world.repository("base", json!({"url": url("base"), "include": include("top")})).await;
    world.until_ready("base").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let writes = world.history.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.history.lock().unwrap().len(), writes, "it goes round and round");

    let text = world.metrics().await;
    for part in [
        "gotk_reconcile_duration_seconds_count{kind=\"GitRepository\",name=\"top\",namespace=\"apps\"}",
        "controller_runtime_reconcile_total{controller=\"gitrepository\",result=\"requeue_after\"}",
        "workqueue_adds_total{controller=\"gitrepository\",name=\"gitrepository\"}",
        "gotk_token_cached_items 0",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}
