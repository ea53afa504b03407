//! The binary itself: flags, exit codes, the log on standard error, signals.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{DEADLINE, World, http_get};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_source-controller"));
    command.args(arguments).env_clear().env("KUBECONFIG", "/nonexistent").stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = command(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn wrong_flags_end_with_2_and_impossible_ones_with_1() {
    let (code, text) = run(&["--nonsense"]);
    assert_eq!(code, 2);
    assert!(text.contains("--nonsense") && text.contains("Usage:"), "{text}");
    for (flag, part) in [
        (
            "--interval-jitter-percentage=100",
            "the interval jitter percentage must be a non-negative value and less than 100",
        ),
        ("--interval-jitter-percentage=-1", "the interval jitter percentage must be"),
        ("--feature-gates=Nonsense=true", "feature-gate 'Nonsense' not supported"),
        ("--storage-path=/nonexistent", "storage path /nonexistent is not a directory"),
        ("--artifact-digest-algo=md5", "--artifact-digest-algo"),
        ("--watch-all-namespaces=false", "RUNTIME_NAMESPACE must be set"),
        ("--log-level=warning", "unable to find a Kubernetes cluster"),
        ("--log-encoding=text", "unable to find a Kubernetes cluster"),
    ] {
        let (code, text) = run(&["--storage-path=/tmp", flag]);
        assert_eq!(code, 1, "{flag}: {text}");
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((&last["level"], &last["logger"]), (&json!("error"), &json!("setup")), "{flag}");
        assert!(last["error"].as_str().unwrap().contains(part), "{flag}: {text}");
    }
}

#[test]
fn the_arguments_of_the_manifest_are_flags() {
    let manifest = include_str!("../../../config/manager/source-controller/deployment.yaml");
    let manifest: Value = serde_yaml::from_str(manifest).unwrap();
    let arguments = manifest["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let mut arguments: Vec<&str> = arguments.iter().map(|argument| argument.as_str().unwrap()).collect();
    // What people add by the documented patches.
    arguments.extend([
        "--storage-path=/tmp",
        "--watch-label-selector=!sharding.fluxcd.io/key",
        "--concurrent=10",
        "--requeue-dependency=5s",
        "--helm-cache-max-size=10",
        "--helm-cache-ttl=60m",
        "--helm-cache-purge-interval=5m",
        "--feature-gates=ObjectLevelWorkloadIdentity=true,OptimizedGitClones=false",
    ]);
    let (code, text) = run(&arguments);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("unable to find a Kubernetes cluster"), "{text}");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_gracefully_and_the_lease_is_free() {
    let world = World::without_controller("flux-system", &[]).await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, world.server.kubeconfig()).unwrap();
    let free = || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let (metrics, health, storage) = (free(), free(), free());
    let mut command = command(&[
        "--enable-leader-election",
        "--log-level=debug",
        &format!("--storage-path={}", directory.path().display()),
        &format!("--metrics-addr={metrics}"),
        &format!("--health-addr={health}"),
        &format!("--storage-addr={storage}"),
    ]);
    command.env("KUBECONFIG", &kubeconfig).env("RUNTIME_NAMESPACE", "flux-system");
    let mut process = Killed(command.spawn().unwrap());

    assert_eq!(http_get(&health, "/healthz").await, (200, "ok".to_owned()));
    assert_eq!(http_get(&storage, "/").await.0, 200);
    let leads = "leader_election_master_status{name=\"source-controller-leader-election\"} 1";
    let end = Instant::now() + DEADLINE;
    while !http_get(&metrics, "/metrics").await.1.contains(leads) {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, arguments) = http_get(&metrics, "/debug/pprof/cmdline").await;
    assert_eq!(status, 200);
    assert!(arguments.contains("source-controller\0--enable-leader-election\0"), "{arguments:?}");
    assert_eq!(http_get(&metrics, "/debug/pprof/heap").await.0, 200);
    assert_eq!(http_get(&metrics, "/debug/pprof/profile?seconds=0").await.0, 200);
    assert_eq!(http_get(&metrics, "/debug/pprof/profile?seconds=soon").await.0, 400);
    assert_eq!(http_get(&metrics, "/debug/pprof/block").await.0, 501);

    let lease = world.api("coordination.k8s.io/v1", "Lease", "flux-system");
    let held = serde_json::to_value(lease.get("source-controller-leader-election").await.unwrap()).unwrap();
    let (host, id) = held["spec"]["holderIdentity"].as_str().unwrap().rsplit_once('_').unwrap();
    assert!(!host.is_empty() && id.len() == 36, "{held:#}");
    let entry = &held["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("source-controller"), &json!("Update")));

    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let end = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = process.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(0));
    let free = serde_json::to_value(lease.get("source-controller-leader-election").await.unwrap()).unwrap();
    assert_eq!(free["spec"]["holderIdentity"], "");
    assert_eq!(free["spec"]["leaseDurationSeconds"], 1);
    let events = world.events("flux-system").await;
    let said = |part: &str| {
        events.iter().any(|event| {
            event["reason"] == "LeaderElection"
                && event["involvedObject"]["kind"] == "Lease"
                && event["message"].as_str().unwrap().ends_with(part)
        })
    };
    assert!(said(" became leader") && said(" stopped leading"), "{events:#?}");

    let mut log = String::new();
    std::io::Read::read_to_string(&mut process.0.stderr.take().unwrap(), &mut log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for message in [
        "caching of Helm index files is disabled",
        "starting manager",
        "Starting metrics server",
        "Serving metrics server",
        "starting server",
        "Attempting to acquire leader lease...",
        "Successfully acquired lease",
        "Starting EventSource",
        "Starting Controller",
        "Starting workers",
        "Shutdown signal received, waiting for all workers to finish",
        "All workers finished",
    ] {
        assert!(lines.iter().any(|line| line["msg"] == message), "{message} is not in\n{log}");
    }
}
