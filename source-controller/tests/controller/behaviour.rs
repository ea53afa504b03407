//! When the controller works and when it does not: requests, suspension, stalled objects, deletion, keys that change.

use std::fs;
use std::time::Duration;

use kube::ResourceExt;
use serde_json::{Value, json};

use crate::git::{self, GitServer, Repositories};
use crate::recorded::corpus;
use crate::world::{DEADLINE, World, condition};

const FINALIZER: &str = "finalizers.fluxcd.io";

async fn server() -> (GitServer, Repositories) {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n");
    app.commit("first");
    let signed = corpus("bundles/signed.bundle");
    git::run(repositories.root.path(), &["clone", "-q", "--mirror", signed.to_str().unwrap(), "signed.git"]);
    (GitServer::open(&repositories).await, repositories)
}

/// How many passes over GitRepositories ended, however they did.
async fn passes(world: &World) -> u64 {
    let text = world.metrics().await;
    let line = |line: &str| {
        let of_kind = line.starts_with("controller_runtime_reconcile_total{controller=\"gitrepository\"");
        of_kind.then(|| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
    };
    text.lines().filter_map(line).sum()
}

async fn until_passes(world: &World, count: u64) {
    let end = std::time::Instant::now() + DEADLINE;
    while passes(world).await < count {
        assert!(std::time::Instant::now() < end, "{} of {count} passes", passes(world).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn requested(at: Value) -> Value {
    json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": at}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_handled_once_whatever_comes_of_it() {
    let (server, _repositories) = server().await;
    let world = World::start("apps", &["--min-retry-delay=1h", "--max-retry-delay=1h"]).await;
    let url = format!("{}/app.git", server.url);
    world.repository("app", json!({"url": url})).await;
    world.until_ready("app").await;
    let before = passes(&world).await;
    world.reconcile("app").await;
    until_passes(&world, before + 1).await;
    // A label, and the end of the request, are no reason to work.
    world.edit("apps", "app", "test", json!({"metadata": {"labels": {"a": "b"}}})).await;
    world.edit("apps", "app", "test", requested(Value::Null)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(passes(&world).await, before + 1);

    world.repository("failing", json!({"url": url, "ref": {"branch": "nope"}})).await;
    world.try_until_failed("failing", "GitOperationFailed").await.unwrap();
    let object = world.reconcile("failing").await;
    assert_eq!(object["status"]["observedGeneration"], -1, "it is still to be tried again");
    assert_eq!(condition(&object, "Reconciling").unwrap()["reason"], "ProgressingWithRetry");

    // A suspended one says that it has seen the request and does nothing.
    world.repository("idle", json!({"url": url, "suspend": true})).await;
    world.until("idle", "seen", |o| o["metadata"]["finalizers"][0] == FINALIZER).await;
    server.requests();
    let object = world.reconcile("idle").await;
    assert!(object["status"]["artifact"].is_null() && object["status"]["conditions"].is_null(), "{object:#}");
    assert_eq!(server.requests(), Vec::<String>::new());
    world.edit("apps", "idle", "test", json!({"spec": {"suspend": null}})).await;
    world.until_ready("idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_object_waits_for_its_spec_a_request_or_a_restart() {
    let (server, _repositories) = server().await;
    let mut world = World::start("apps", &[]).await;
    let url = format!("{}/app.git", server.url);
    world.repository("app", json!({"url": url, "provider": "github"})).await;
    let stalled = |object: &Value| condition(object, "Stalled").is_some();
    let object = world.until("app", "stalled", stalled).await;
    assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
    assert_eq!(condition(&object, "Ready").unwrap()["reason"], "InvalidProviderConfiguration");
    let version = object["metadata"]["resourceVersion"].clone();
    let after = passes(&world).await;
    // Far longer than the first retry of one that fails.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(passes(&world).await, after);

    let object = world.reconcile("app").await;
    assert!(stalled(&object) && passes(&world).await == after + 1);
    world.restart_controller(&[]).await;
    until_passes(&world, 1).await;
    let object = world.until("app", "stalled", stalled).await;
    assert_ne!(object["metadata"]["resourceVersion"], version);
    world.edit("apps", "app", "test", json!({"spec": {"provider": "generic"}})).await;
    let object = world.until_ready("app").await;
    assert!(!stalled(&object));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_goes_when_its_files_are_gone() {
    let (server, _repositories) = server().await;
    let world = World::start("apps", &["--max-retry-delay=1s"]).await;
    world.repository("app", json!({"url": format!("{}/app.git", server.url)})).await;
    world.until_ready("app").await;
    assert!(world.metrics().await.contains("name=\"app\""));
    // A file in the place of the directory cannot be removed as a directory.
    let directory = world.storage.path().join("gitrepository/apps/app");
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();
    world.repositories("apps").delete("app", &Default::default()).await.unwrap();
    let end = std::time::Instant::now() + DEADLINE;
    let told = async || {
        let events = world.events("apps").await;
        events.iter().any(|e| e["reason"] == "GarbageCollectionFailed" && e["type"] == "Warning")
    };
    while !told().await {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let object = world.repositories("apps").get("app").await.unwrap();
    assert_eq!(object.finalizers(), [FINALIZER]);
    fs::remove_file(&directory).unwrap();
    while world.repositories("apps").get_opt("app").await.unwrap().is_some() {
        assert!(std::time::Instant::now() < end + DEADLINE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while world.metrics().await.contains("name=\"app\"") {
        assert!(std::time::Instant::now() < end + DEADLINE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_verified_again_with_other_keys() {
    let (server, _repositories) = server().await;
    let world = World::start("apps", &["--max-retry-delay=1s"]).await;
    let good = fs::read_to_string(corpus("bundles/signer.asc")).unwrap();
    let other = include_str!("../../../shared/git/tests/fixtures/signatures/ed25519.asc");
    world.secret("apps", "keys", &[("author.asc", &good)]).await;
    let verify = json!({"mode": "HEAD", "secretRef": {"name": "keys"}});
    world.repository("app", json!({"url": format!("{}/signed.git", server.url), "verify": verify})).await;
    let object = world.until_ready("app").await;
    assert_eq!(condition(&object, "SourceVerified").unwrap()["status"], "True");
    let artifact = object["status"]["artifact"].clone();
    server.requests();
    world.reconcile("app").await;
    assert!(!server.requests().iter().any(|r| r.contains("command=fetch")), "nothing has changed");

    world.secret("apps", "keys", &[("author.asc", other)]).await;
    world.edit("apps", "app", "flux", requested(json!("other keys"))).await;
    world.try_until_failed("app", "InvalidCommitSignature").await.unwrap();
    // It stays so, and what was verified before stays available.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let object = world.until("app", "seen", |o| o["status"]["lastHandledReconcileAt"] == "other keys").await;
    assert_eq!(condition(&object, "SourceVerified").unwrap()["reason"], "InvalidCommitSignature");
    assert_eq!(object["status"]["artifact"], artifact);

    world.secret("apps", "keys", &[("author.asc", &good)]).await;
    let object = world.until_ready("app").await;
    assert_eq!(condition(&object, "SourceVerified").unwrap()["status"], "True");
    assert_eq!(object["status"]["artifact"], artifact);

    // What is not asked for any more is not claimed any more.
    world.edit("apps", "app", "kubectl", json!({"spec": {"verify": null}})).await;
    let object = world
        .until("app", "unverified", |o| o["status"]["observedGeneration"] == o["metadata"]["generation"])
        .await;
    assert!(condition(&object, "SourceVerified").is_none());
    assert!(object["status"]["sourceVerificationMode"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ignore_rules_cannot_keep_the_controller_busy() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write(".sourceignore", &"a*\n".repeat(20_000));
    app.commit("too many rules");
    let server = GitServer::open(&repositories).await;
    let world = World::start("apps", &[]).await;
    world.repository("app", json!({"url": format!("{}/app.git", server.url)})).await;
    let message = world.try_until_failed("app", "SourceIgnoreError").await.unwrap();
    assert!(message.ends_with("there are more than 10000 patterns"), "{message}");
}
