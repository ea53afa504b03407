//! What happens to the storage and the server of a repository behind the controller's back.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::git::{GitServer, Repositories, Repository};
use crate::world::{DEADLINE, World, condition, entries};

struct Example {
    world: World,
    server: GitServer,
    app: Repository,
    _repositories: Repositories,
}

async fn example() -> Example {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n");
    app.commit("first");
    let server = GitServer::open(&repositories).await;
    let world = World::start("apps", &["--artifact-retention-ttl=1s"]).await;
    world.repository("app", json!({"url": format!("{}/app.git", server.url)})).await;
    world.until_ready("app").await;
    Example { world, server, app, _repositories: repositories }
}

async fn until_event(world: &World, reason: &str, part: &str) {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        let events = world.events("apps").await;
        let found = events.iter().any(|event| {
            event["reason"] == reason && event["message"].as_str().is_some_and(|text| text.contains(part))
        });
        if found {
            return;
        }
        assert!(std::time::Instant::now() < end, "no event {reason}: {events:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_and_missing_artifacts_are_made_again() {
    let Example { world, server, .. } = &example().await;
    let before = world.until_ready("app").await;
    let path = world.artifact(&before);
    let digest = before["status"]["artifact"]["digest"].clone();

    fs::write(&path, "something else").unwrap();
    let object = world.reconcile("app").await;
    assert_eq!(object["status"]["artifact"]["digest"], digest);
    assert_eq!(entries(&path).len(), 3);
    until_event(world, "ArtifactVerificationFailed", "failed to verify integrity of artifact").await;

    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let object = world.reconcile("app").await;
    assert_eq!(object["status"]["artifact"]["digest"], digest);
    assert_eq!(entries(&path).len(), 3);
    // While it was being made again nobody was told that it is there.
    let cleared = |object: &Value| {
        object["status"]["artifact"].is_null()
            && condition(object, "Reconciling")
                .is_some_and(|c| c["message"] == "building artifact: disappeared from storage")
    };
    let end = std::time::Instant::now() + DEADLINE;
    while !world.history.lock().unwrap().iter().any(cleared) {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // A suspended one is left as it is.
    world.edit("apps", "app", "kubectl-patch", json!({"spec": {"suspend": true}})).await;
    world
        .until("app", "observed", |o| o["status"]["observedGeneration"] == o["metadata"]["generation"])
        .await;
    fs::remove_file(&path).unwrap();
    server.requests();
    let object = world.reconcile("app").await;
    assert_eq!(object["status"]["artifact"]["digest"], digest);
    assert!(!path.exists());
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_or_written_without_need() {
    let Example { world, server, app, .. } = &mut example().await;
    server.requests();
    let before = world.reconcile("app").await;
    let requests = server.requests();
    assert_eq!(requests.len(), 2, "the greeting and one reference: {requests:?}");

    // Another process on the same storage finds everything in order.
    world.stop_controller().await;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let stopped = version(&world.until_ready("app").await);
    world.start_controller().await;
    let end = std::time::Instant::now() + DEADLINE;
    while server.requests().is_empty() {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.stop_controller().await;
    assert_eq!(version(&world.until_ready("app").await), stopped);

    // On an empty storage it starts anew, and what comes out is the same.
    fs::remove_dir_all(world.storage.path().join("gitrepository")).unwrap();
    world.start_controller().await;
    let object = world.reconcile("app").await;
    assert_eq!(object["status"]["artifact"]["digest"], before["status"]["artifact"]["digest"]);

    // Old artifacts go when there are enough newer ones; the directory goes with the object.
    for number in 0..4 {
        app.write("deploy/app.yaml", &format!("a: {number}{number}\n"));
        app.commit("more");
        world.reconcile("app").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let object = world.reconcile("app").await;
    let directory = world.artifact(&object).parent().unwrap().to_owned();
    let names: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    let archives = names.iter().filter(|name| name.to_str().unwrap().ends_with(".tar.gz")).count();
    assert_eq!(archives, 1, "{names:?}");
    world.repositories("apps").delete("app", &Default::default()).await.unwrap();
    while directory.exists() {
        assert!(std::time::Instant::now() < end + DEADLINE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_gone_for_a_while_keeps_its_artifact() {
    let Example { world, server, app, .. } = &example().await;
    let before = world.until_ready("app").await;
    let revision = before["status"]["artifact"]["revision"].clone();
    *server.state.redirect_to.lock().unwrap() = Some("http://127.0.0.1:9".to_owned());
    let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "outage"}}});
    world.edit("apps", "app", "flux", request).await;
    let message = world.try_until_failed("app", "GitOperationFailed").await.unwrap();
    assert!(message.contains("unable to list remote for"), "{message}");
    let object = world.until("app", "failing", |o| condition(o, "FetchFailed").is_some()).await;
    assert_eq!(object["status"]["artifact"]["revision"], revision);
    assert_eq!(condition(&object, "ArtifactInStorage").unwrap()["status"], "True");
    assert!(world.artifact(&object).exists());

    app.write("deploy/app.yaml", "a: 2\n");
    let commit = app.commit("second");
    *server.state.redirect_to.lock().unwrap() = None;
    let object = world
        .until("app", "recovered", |o| o["status"]["artifact"]["revision"] == format!("main@sha1:{commit}"))
        .await;
    assert!(condition(&object, "FetchFailed").is_none());
    until_event(world, "NewArtifact", "stored artifact for commit 'second'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_passes() {
    let Example { world, server, app, .. } = &example().await;
    // A directory where the file belongs is as good as a disk that refuses it.
    app.write("deploy/app.yaml", "a: 3\n");
    let commit = app.commit("third");
    let path = world.storage.path().join(format!("gitrepository/apps/app/{commit}.tar.gz"));
    fs::create_dir_all(path.join("x")).unwrap();
    server.requests();
    let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "full"}}});
    world.edit("apps", "app", "flux", request).await;
    let message = world.try_until_failed("app", "ArchiveOperationFailed").await.unwrap();
    assert!(message.starts_with("unable to archive artifact to storage: "), "{message}");
    let object = world.until("app", "failing", |o| condition(o, "StorageOperationFailed").is_some()).await;
    assert!(world.artifact(&object).exists(), "the artifact before is still there");
    fs::remove_dir_all(&path).unwrap();
    let object = world
        .until("app", "recovered", |o| o["status"]["artifact"]["revision"] == format!("main@sha1:{commit}"))
        .await;
    assert!(condition(&object, "StorageOperationFailed").is_none());
    let directory = path.parent().unwrap();
    let left: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
