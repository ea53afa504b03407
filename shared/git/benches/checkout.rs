//! How long a checkout of a repository with 10,000 files takes, and how much memory: `cargo bench -p fluxide-git`.
//!
//! Beside it is what Git itself needs for the same, with a program started for it.

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use fluxide_git::{Checkout, CheckoutOptions, Reference, Remote, checkout};
use support::{GitServer, Repositories};

const FILES: usize = 10_000;
const ROUNDS: u32 = 5;

fn main() {
    let repositories = Repositories::new();
    let repository = repositories.create("app.git");
    for number in 0..FILES {
        let content = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{number}\ndata:\n  key: v{number}\n"
        );
        repository.write(&format!("apps/team-{}/app-{}/{number}.yaml", number % 20, number % 400), &content);
    }
    repository.commit("first");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(GitServer::open(&repositories));
    let url = format!("{}/app.git", server.url);
    let remote = Remote::new(&url).unwrap();
    let branch = Reference::Branch("main".to_owned());
    let before = resident("VmRSS:");
    let mut ours = Duration::MAX;
    let mut revision = String::new();
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let done =
            runtime.block_on(checkout(&remote, &branch, &CheckoutOptions::default(), directory.path()));
        ours = ours.min(started.elapsed());
        if let Checkout::Done(commit) = done.unwrap() {
            revision = commit.revision;
        }
    }
    let peak = resident("VmHWM:");
    let mut unchanged = Duration::MAX;
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir().unwrap();
        let options =
            CheckoutOptions { known_revision: Some(revision.clone()), ..CheckoutOptions::default() };
        let started = Instant::now();
        runtime.block_on(checkout(&remote, &branch, &options, directory.path())).unwrap();
        unchanged = unchanged.min(started.elapsed());
    }
    let mut gits = Duration::MAX;
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let status = Command::new("git")
            .args(["clone", "-q", "--depth=1", "--single-branch", "--no-tags", &url, "x"])
            .current_dir(directory.path())
            .status();
        assert!(status.unwrap().success());
        gits = gits.min(started.elapsed());
    }
    println!("{FILES} files, best of {ROUNDS}, Git's own server on the same machine:");
    println!("  checkout     {ours:?}, peak memory {peak} kB ({before} kB before)");
    println!("  no news      {unchanged:?}");
    println!("  git clone    {gits:?}");
}

/// A line of the kernel's account of this process, in kB.
fn resident(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
