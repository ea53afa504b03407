//! The API server is killed and comes back: the controllers go on by themselves, and nothing is lost or made anew.
//!
//! The API server is the embedded one, as a process of its own, whatever cluster the other tests use.

use std::net::TcpListener;
use std::time::Duration;

use fluxide_e2e::process::start_api_server;
use fluxide_e2e::{Setup, World, wait};
use serde_json::{Value, json};

const CONTROLLER: &str = env!("CARGO_BIN_EXE_controller");

fn settings(colour: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: {colour}\n")
}

/// The ConfigMap as soon as the API server has it in this colour.
async fn in_colour(world: &World, colour: &str) -> anyhow::Result<Value> {
    wait::until(&world.api("v1", "ConfigMap"), "settings", colour, |object| {
        object["data"]["colour"] == colour
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_api_server_comes_back_and_work_goes_on() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let start = || start_api_server(CONTROLLER.as_ref(), home.path(), port);
    let mut server = start()?;

    let kubeconfig = Some(home.path().join("kubeconfig"));
    let world = World::start_with(Setup { no_controllers: true, kubeconfig, ..Setup::default() }).await?;
    let repository = world.repository("fleet").await?;
    repository.write("settings.yaml", &settings("blue"))?;
    repository.write("robot.yaml", "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: robot\n")?;
    repository.push("Blue").await?;
    world.git_repository("fleet", repository.url(), json!({"interval": "1s"})).await?;
    world.kustomization("apps", "fleet", json!({"retryInterval": "1s", "interval": "5s"})).await?;
    let launcher = world.launcher(CONTROLLER)?;
    let controllers =
        [launcher.start("source-controller", &[])?, launcher.start("kustomize-controller", &[])?];
    let first = in_colour(&world, "blue").await?;
    let robot = world.api("v1", "ServiceAccount").get("robot").await?.metadata.uid;

    for (round, colour) in ["red", "green", "white", "black"].into_iter().enumerate() {
        // It goes at another point of the work each time, and stays away for a while.
        repository.write("settings.yaml", &settings(colour))?;
        let revision = repository.push(colour).await?;
        tokio::time::sleep(Duration::from_millis(400 * round as u64)).await;
        server.kill()?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        server = start()?;

        let settings = in_colour(&world, colour).await?;
        assert_eq!(settings["metadata"]["uid"], first["metadata"]["uid"], "the object was made anew");
        let apps = wait::until(&world.kustomizations(), "apps", "ready", |object| {
            wait::is_ready(object) && object["status"]["lastAppliedRevision"] == revision.as_str()
        })
        .await?;
        assert_eq!(apps["status"]["inventory"]["entries"].as_array().map(Vec::len), Some(2));
        assert_eq!(world.api("v1", "ServiceAccount").get("robot").await?.metadata.uid, robot);
    }
    for controller in controllers {
        controller.terminate()?;
    }
    world.stop().await?;
    server.terminate()
}
