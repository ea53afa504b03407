//! The binary as a process: flags, exit codes, log, probes, and a graceful end.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_helm-controller"));
    command.args(arguments).env("RUNTIME_NAMESPACE", "default").stderr(Stdio::piped());
    command
}

fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = binary(arguments).env("KUBECONFIG", "/nonexistent").output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn unknown_flags_exit_with_2_and_usage() {
    let (code, stderr) = ended(&["--bogus"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--bogus") && stderr.contains("Usage"), "{stderr}");
}

#[test]
fn options_that_cannot_be_honoured_exit_with_1_and_one_line_of_json() {
    for (arguments, message) in [
        (&["--feature-gates=X=true"][..], "feature-gate 'X' not supported"),
        (
            &["--interval-jitter-percentage=100"],
            "the interval jitter percentage must be a non-negative value and less than 100",
        ),
        (
            &["--default-kubeconfig-service-account=x"],
            "cannot set default service accounts when the feature gate ObjectLevelWorkloadIdentity is not enabled",
        ),
    ] {
        let (code, stderr) = ended(arguments);
        assert_eq!(code, Some(1), "{stderr}");
        let line: serde_json::Value = serde_json::from_str(stderr.trim()).unwrap();
        assert_eq!(line["level"], "error");
        assert_eq!(line["error"], message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_leads_answers_and_ends_at_sigterm() {
    let server = fluxide_apiserver::Server::builder().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig).unwrap();
    let (metrics, health) = (free_port(), free_port());
    let mut child = binary(&[
        "--events-addr=",
        "--watch-all-namespaces",
        "--log-level=info",
        "--log-encoding=json",
        "--enable-leader-election",
        &format!("--metrics-addr=127.0.0.1:{metrics}"),
        &format!("--health-addr=127.0.0.1:{health}"),
        "--feature-gates=OOMWatch=true",
    ])
    .env("KUBECONFIG", &kubeconfig)
    .spawn()
    .unwrap();
    let leads = "leader_election_master_status{name=\"helm-controller-leader-election\"} 1";
    let deadline = Instant::now() + Duration::from_secs(15);
    while !get(metrics, "/metrics").is_some_and(|text| text.contains(leads)) {
        assert!(Instant::now() < deadline, "it does not lead");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(get(health, "/healthz").is_some_and(|text| text.ends_with("ok")));
    assert!(get(health, "/readyz").is_some_and(|text| text.ends_with("ok")));

    terminate(&child);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| lines.iter().find(|line| line["msg"] == message);
    assert_eq!(said("loading feature gate").unwrap()["OOMWatch"], true);
    assert_eq!(said("starting manager").unwrap()["logger"], "setup");
    assert!(said("Successfully acquired lease").is_some(), "{log}");
    assert!(lines.iter().all(|line| line["level"] == "info"), "{log}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The answer to a GET, headers included.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn terminate(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}
