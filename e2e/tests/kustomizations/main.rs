//! Kustomizations on a whole cluster, each part of their specification by what comes of it.

mod deletion;
mod fields;
mod health;
mod limits;
mod objects;
mod remote;

use fluxide_e2e::process::Process;
use fluxide_e2e::{Repository, Setup, World, wait};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

const CONTROLLER: &str = env!("CARGO_BIN_EXE_controller");

fn config(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value:?}\n")
}

/// A world with a repository and its GitRepository.
async fn world(files: &[(&str, &str)]) -> anyhow::Result<(World, Repository, String)> {
    world_with(Setup::default(), files).await
}

async fn world_with(setup: Setup, files: &[(&str, &str)]) -> anyhow::Result<(World, Repository, String)> {
    let world = World::start_with(setup).await?;
    let repository = world.repository("fleet").await?;
    for (path, text) in files {
        repository.write(path, text)?;
    }
    let revision = repository.push("First").await?;
    world.git_repository("fleet", repository.url(), json!({})).await?;
    Ok((world, repository, revision))
}

/// A world in which source-controller and kustomize-controller are processes, the latter with flags.
async fn world_with_flags(
    flags: &[&str],
    files: &[(&str, &str)],
) -> anyhow::Result<(World, Repository, String, [Process; 2])> {
    let setup = Setup { no_controllers: true, ..Setup::default() };
    let (world, repository, revision) = world_with(setup, files).await?;
    let launcher = world.launcher(CONTROLLER)?;
    let processes =
        [launcher.start("source-controller", &[])?, launcher.start("kustomize-controller", flags)?];
    Ok((world, repository, revision, processes))
}

async fn failed(world: &World, name: &str, reason: &str, revision: &str) -> anyhow::Result<String> {
    let what = format!("{reason} at {revision}");
    let object = wait::until(&world.kustomizations(), name, &what, |object| {
        wait::failed_with(object, reason) && object["status"]["lastAttemptedRevision"] == revision
    })
    .await?;
    Ok(wait::condition(&object, "Ready")["message"].as_str().unwrap_or_default().to_owned())
}

async fn push(world: &World, repository: &Repository, message: &str) -> anyhow::Result<String> {
    let revision = repository.push(message).await?;
    world.reconcile(&world.git_repositories(), "fleet").await?;
    Ok(revision)
}

fn inventory(object: &Value) -> Vec<&str> {
    let entries = object["status"]["inventory"]["entries"].as_array();
    entries.into_iter().flatten().filter_map(|entry| entry["id"].as_str()).collect()
}

async fn uid(api: &Api<DynamicObject>, name: &str) -> anyhow::Result<String> {
    Ok(api.get(name).await?.uid().unwrap_or_default())
}

/// An object as JSON, null when there is none.
async fn get(api: &Api<DynamicObject>, name: &str) -> anyhow::Result<Value> {
    Ok(api.get_opt(name).await?.map(serde_json::to_value).transpose()?.unwrap_or_default())
}

/// Creates or replaces a ConfigMap or Secret in the test's namespace.
async fn put(world: &World, kind: &str, name: &str, data: Value) -> anyhow::Result<()> {
    let field = if kind == "Secret" { "stringData" } else { "data" };
    let labels = json!({"reconcile.fluxcd.io/watch": "Enabled"});
    world
        .apply(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, field: data}))
        .await
}
