//! Another process, with other flags, on the storage of the one before; and one that only waits to take over.

use std::fs;
use std::time::Duration;

use fluxide_runtime::CancellationToken;
use fluxide_source_controller::{Options, PROFILE};
use serde_json::json;

use crate::git::{GitServer, Repositories};
use crate::world::{DEADLINE, World, http_get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_addresses_and_digests_make_nothing_anew() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n");
    app.commit("first");
    let server = GitServer::open(&repositories).await;
    let mut world = World::start("apps", &[]).await;
    world.repository("app", json!({"url": format!("{}/app.git", server.url)})).await;
    let first = world.until_ready("app").await;
    let path = first["status"]["artifact"]["path"].as_str().unwrap().to_owned();
    assert_eq!(first["status"]["artifact"]["url"], format!("http://{}/{path}", world.storage_address));
    server.requests();

    world
        .restart_controller(&["--storage-adv-addr=http://elsewhere:1", "--artifact-digest-algo=sha512"])
        .await;
    let url = format!("http://elsewhere:1/{path}");
    let moved = world.until("app", "moved", |o| o["status"]["artifact"]["url"] == url).await;
    for same in ["digest", "revision", "path", "size", "lastUpdateTime"] {
        assert_eq!(moved["status"]["artifact"][same], first["status"]["artifact"][same]);
    }
    let fetched = |requests: Vec<String>| requests.iter().any(|request| request.contains("command=fetch"));
    assert!(!fetched(server.requests()));

    app.write("deploy/app.yaml", "a: 2\n");
    app.commit("second");
    let second = world.reconcile("app").await;
    let digest = second["status"]["artifact"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("sha512:") && digest.len() == "sha512:".len() + 128, "{digest}");

    // The algorithm of a digest is the one it names.
    world.restart_controller(&["--artifact-digest-algo=blake3"]).await;
    let third = world.reconcile("app").await;
    assert_eq!(third["status"]["artifact"]["digest"], digest);
    app.write("deploy/app.yaml", "a: 3\n");
    app.commit("third");
    let third = world.reconcile("app").await;
    assert!(third["status"]["artifact"]["digest"].as_str().unwrap().starts_with("blake3:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_owns_any_more_is_swept_away() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n");
    app.commit("first");
    let server = GitServer::open(&repositories).await;
    let mut world = World::start("apps", &[]).await;
    world.repository("app", json!({"url": format!("{}/app.git", server.url)})).await;
    let object = world.until_ready("app").await;
    world.stop_controller().await;
    let root = world.storage.path().to_owned();
    let ghosts = ["gitrepository/apps/ghost", "gitrepository/gone/app"];
    for ghost in ghosts.iter().chain(&["bucket/apps/other"]) {
        fs::create_dir_all(root.join(ghost)).unwrap();
        fs::write(root.join(ghost).join("x.tar.gz"), "x").unwrap();
    }
    world.start_controller().await;
    let end = std::time::Instant::now() + DEADLINE;
    while ghosts.iter().any(|ghost| root.join(ghost).exists()) {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.artifact(&object).exists());
    assert!(root.join("bucket/apps/other/x.tar.gz").exists(), "not a kind that is looked after here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_answers_probes_and_serves_nothing_until_it_leads() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n");
    app.commit("first");
    let server = GitServer::open(&repositories).await;
    let world = World::without_controller("apps", &[]).await;
    let start = async |storage_address: String, health_address: String| {
        let arguments = [
            "source-controller".to_owned(),
            "--metrics-addr=0".to_owned(),
            "--enable-leader-election".to_owned(),
            "--leader-election-retry-period=1s".to_owned(),
            format!("--health-addr={health_address}"),
            format!("--storage-path={}", world.storage.path().display()),
            format!("--storage-addr={storage_address}"),
        ];
        let mut options: Options = fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap();
        options.common.runtime_namespace = "apps".to_owned();
        let shutdown = CancellationToken::new();
        let running = fluxide_source_controller::run(options, world.client.clone(), shutdown.clone());
        (tokio::spawn(running), shutdown)
    };
    let free = || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let (leader_address, standby_address, health) = (free(), free(), free());
    let (leader, leader_stop) = start(leader_address.clone(), free()).await;
    world.repository("app", json!({"url": format!("{}/app.git", server.url)})).await;
    let object = world.until_ready("app").await;
    let path = format!("/{}", object["status"]["artifact"]["path"].as_str().unwrap());
    assert_eq!(http_get(&leader_address, &path).await.0, 200);

    let (standby, standby_stop) = start(standby_address.clone(), health.clone()).await;
    assert_eq!(http_get(&health, "/readyz").await, (200, "ok".to_owned()));
    assert_eq!(http_get(&standby_address, "/").await.0, 200);
    assert_eq!(http_get(&standby_address, &path).await.0, 503);

    leader_stop.cancel();
    leader.await.unwrap().unwrap();
    let end = std::time::Instant::now() + DEADLINE;
    while http_get(&standby_address, &path).await.0 != 200 {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    standby_stop.cancel();
    standby.await.unwrap().unwrap();
}
