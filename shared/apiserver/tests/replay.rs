//! Replays recorded request sequences against the server and compares its answers with those of a real kube-apiserver.
//!
//! Each file of `corpus` is a case: requests with the answers that were recorded. `REPLAY_ONLY` limits a run to the cases
//! whose name contains it, `REPLAY_CASES` names another directory of cases, and `REPLAY_VERBOSE` prints every failure.

#[path = "replay/client.rs"]
mod client;
#[path = "replay/normalise.rs"]
mod normalise;
#[path = "replay/run.rs"]
mod run;

use std::path::PathBuf;
use std::sync::Arc;

use fluxide_apiserver::Server;
use futures::StreamExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_answers_are_given_again() {
    let server = Server::builder().tls(false).simulate_workloads(false).start().await.unwrap();
    let client = Arc::new(client::Client::new(server.url(), server.token()));
    let directory = match std::env::var_os("REPLAY_CASES") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"),
    };
    let only = std::env::var("REPLAY_ONLY").unwrap_or_default();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter(|path| path.file_stem().is_some_and(|n| n.to_string_lossy().contains(&only)))
        .collect();
    cases.sort();
    let total = cases.len();
    let mut failures: Vec<(String, String)> = futures::stream::iter(cases)
        .map(|path| {
            let client = client.clone();
            async move {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let source = std::fs::read_to_string(&path).unwrap();
                run::case(&client, &source).await.err().map(|why| (name, why))
            }
        })
        .buffer_unordered(6)
        .filter_map(|failure| async { failure })
        .collect()
        .await;
    failures.sort();
    for (name, why) in &failures {
        println!("FAIL {name}: {why}");
    }
    let passed = total - failures.len();
    println!("{total} cases, {passed} passed, {} failed", failures.len());
    server.shutdown().await;
    assert!(total > 0, "no case in {}", directory.display());
    assert!(failures.is_empty(), "{} of {total} cases fail", failures.len());
}
