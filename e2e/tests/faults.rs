//! A fault loses nothing: what it interrupts goes on by itself afterwards, and nothing is pruned that should not be.

use std::time::Duration;

use fluxide_e2e::{Repository, Setup, World, wait};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const CONTROLLER: &str = env!("CARGO_BIN_EXE_controller");
const SOURCE: &str = "source-controller";
const KUSTOMIZE: &str = "kustomize-controller";

/// How many ConfigMaps the repository of a test holds.
const CONFIGS: usize = 12;

fn config(number: usize, value: &str) -> (String, String) {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-{number}\ndata:\n  value: {value:?}\n"
    );
    (format!("config-{number}.yaml"), text)
}

fn write_configs(repository: &Repository, value: &str) -> anyhow::Result<()> {
    (0..CONFIGS).try_for_each(|number| {
        let (path, text) = config(number, value);
        repository.write(&path, &text)
    })
}

/// A world without controllers, with a repository of ConfigMaps, its GitRepository and its Kustomization.
async fn world() -> anyhow::Result<(World, Repository, String)> {
    let world = World::start_with(Setup { no_controllers: true, ..Setup::default() }).await?;
    let repository = world.repository("fleet").await?;
    write_configs(&repository, "first")?;
    let revision = repository.push("First").await?;
    world.git_repository("fleet", repository.url(), json!({"interval": "1s"})).await?;
    world.kustomization("apps", "fleet", json!({"retryInterval": "1s", "interval": "5s"})).await?;
    Ok((world, repository, revision))
}

/// UID and value of each ConfigMap: an object that was pruned and made anew has another UID.
async fn configs(world: &World) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for number in 0..CONFIGS {
        let object = world.api("v1", "ConfigMap").get(&format!("config-{number}")).await?;
        let object = serde_json::to_value(object)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found.push((text(&object["metadata"]["uid"]), text(&object["data"]["value"])));
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_killed_at_any_point_go_on_where_they_were() -> anyhow::Result<()> {
    let (world, repository, revision) = world().await?;
    let launcher = world.launcher(CONTROLLER)?;
    let start =
        || -> anyhow::Result<_> { Ok((launcher.start(SOURCE, &[])?, launcher.start(KUSTOMIZE, &[])?)) };
    let (mut source, mut kustomize) = start()?;
    world.applied("apps", &revision).await?;
    let before = configs(&world).await?;

    // Each round ends them a little later in their work on a new commit.
    for round in 0..12 {
        write_configs(&repository, &format!("round {round}"))?;
        let revision = repository.push(&format!("Round {round}")).await?;
        tokio::time::sleep(Duration::from_millis(100 * round)).await;
        source.kill()?;
        kustomize.kill()?;
        (source, kustomize) = start()?;
        if round % 4 == 3 {
            world.applied("apps", &revision).await?;
            let after = configs(&world).await?;
            assert!(after.iter().all(|(_, value)| *value == format!("round {round}")), "{after:?}");
            let uids =
                |found: &[(String, String)]| found.iter().map(|(uid, _)| uid.clone()).collect::<Vec<_>>();
            assert_eq!(uids(&after), uids(&before), "an object was pruned");
        }
    }
    let leftovers = partial_files(&world.process_home().join("artifacts"))?;
    assert!(leftovers.is_empty(), "unfinished files stay: {leftovers:?}");
    source.kill()?;
    kustomize.kill()?;
    world.stop().await
}

/// Files below the store that are neither archives nor the links to the newest one.
fn partial_files(directory: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            found.extend(partial_files(&entry.path())?);
        } else if !name.ends_with(".tar.gz") && !name.ends_with(".lock") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_is_gone_changes_nothing_and_may_come_back() -> anyhow::Result<()> {
    let (mut world, repository, revision) = world().await?;
    let launcher = world.launcher(CONTROLLER)?;
    let (source, kustomize) = (launcher.start(SOURCE, &[])?, launcher.start(KUSTOMIZE, &[])?);
    let (sources, kustomizations) = (world.git_repositories(), world.kustomizations());
    world.applied("apps", &revision).await?;
    let before = configs(&world).await?;

    let address = world.stop_git()?;
    let failed =
        wait::until(&sources, "fleet", "failed", |object| wait::failed_with(object, "GitOperationFailed"))
            .await?;
    let message = wait::condition(&failed, "Ready")["message"].to_string();
    assert!(message.contains(&address.to_string()), "the message does not say where: {message}");
    assert_eq!(failed["status"]["artifact"]["revision"], revision.as_str(), "the artifact is kept");
    world.reconcile(&kustomizations, "apps").await?;
    world.applied("apps", &revision).await?;
    assert_eq!(configs(&world).await?, before);

    write_configs(&repository, "second")?;
    let second = repository.push("Second").await?;
    world.restart_git(address).await?;
    world.applied("apps", &second).await?;
    wait::until(&sources, "fleet", "ready", wait::is_ready).await?;
    source.terminate()?;
    kustomize.terminate()?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_survived() -> anyhow::Result<()> {
    let (world, repository, revision) = world().await?;
    let mut launcher = world.launcher(CONTROLLER)?;
    launcher.limit_files(Some(64));
    let (source, kustomize) = (launcher.start(SOURCE, &[])?, launcher.start(KUSTOMIZE, &[])?);
    let sources = world.git_repositories();
    world.applied("apps", &revision).await?;
    let before = configs(&world).await?;

    repository.write("noise.txt", &noise(256 << 10))?;
    repository.push("More than the disk holds").await?;
    let failed = wait::until(&sources, "fleet", "failed", |object| {
        wait::condition(object, "Ready")["status"] == "False"
    })
    .await?;
    let message = wait::condition(&failed, "Ready")["message"].to_string();
    assert!(message.contains("File too large") || message.contains("No space"), "{message}");
    assert_eq!(failed["status"]["artifact"]["revision"], revision.as_str(), "the artifact is kept");
    assert_eq!(configs(&world).await?, before);

    repository.remove("noise.txt")?;
    write_configs(&repository, "second")?;
    let second = repository.push("Less again").await?;
    world.applied("apps", &second).await?;
    source.terminate()?;
    kustomize.terminate()?;
    world.stop().await
}

/// Text that does not compress.
fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_artifact_is_refused_and_made_anew() -> anyhow::Result<()> {
    let (world, _repository, revision) = world().await?;
    let launcher = world.launcher(CONTROLLER)?;
    // Nothing but the requests of this test makes the source look at its artifact.
    world
        .git_repositories()
        .patch("fleet", &PatchParams::default(), &Patch::Merge(json!({"spec": {"interval": "1h"}})))
        .await?;
    let (source, kustomize) = (launcher.start(SOURCE, &[])?, launcher.start(KUSTOMIZE, &[])?);
    let (sources, kustomizations) = (world.git_repositories(), world.kustomizations());
    world.applied("apps", &revision).await?;
    let before = configs(&world).await?;
    kustomize.kill()?;

    let artifact = sources.get("fleet").await?;
    let path = serde_json::to_value(&artifact)?["status"]["artifact"]["path"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let file = world.process_home().join("artifacts").join(path);
    let mut bytes = std::fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&file, bytes)?;

    // A new process has unpacked nothing yet, so it has to fetch, and must not believe what it gets.
    let kustomize = launcher.start(KUSTOMIZE, &[])?;
    world.request_reconcile(&kustomizations, "apps").await?;
    let refused =
        wait::until(&kustomizations, "apps", "refused", |object| wait::failed_with(object, "ArtifactFailed"))
            .await?;
    let message = wait::condition(&refused, "Ready")["message"].to_string();
    assert!(message.contains("digest"), "{message}");
    assert_eq!(configs(&world).await?, before);

    world.reconcile(&sources, "fleet").await?;
    world.applied("apps", &revision).await?;
    assert_eq!(configs(&world).await?, before);
    source.terminate()?;
    kustomize.terminate()?;
    world.stop().await
}
