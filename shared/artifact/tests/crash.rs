//! A store whose process is killed or whose disk is full. The process is this test itself, started again as a child.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use fluxide_artifact::store::{Owner, StoreError, Verification};
use fluxide_artifact::{Algorithm, Digest, Store, StoreOptions};

const ROOT: &str = "FLUXIDE_TEST_STORE";
const TASK: &str = "FLUXIDE_TEST_TASK";

fn store(root: &Path) -> Store {
    Store::new(StoreOptions::new(root, "localhost")).unwrap()
}

fn owner() -> Owner {
    Owner::new("GitRepository", "apps", "app").unwrap()
}

/// One of two contents, in many small writes.
fn put(store: &Store, byte: u8, size: usize) -> Result<fluxide_artifact::StoredFile, StoreError> {
    store.write(&owner(), "x.tar.gz", |out| {
        for _ in 0..size / 1000 {
            out.write_all(&[byte; 1000]).map_err(|source| StoreError::Io {
                action: "write",
                path: "x".into(),
                source,
            })?;
        }
        Ok(())
    })
}

fn digest(byte: u8, size: usize) -> Digest {
    fluxide_artifact::digest::Digester::read(Algorithm::Sha256, &vec![byte; size][..]).unwrap()
}

const SIZE: usize = 2_000_000;

/// Not a test when it is not started by one.
#[test]
fn child() {
    let (Some(root), Some(task)) = (std::env::var_os(ROOT), std::env::var_os(TASK)) else {
        return;
    };
    let store = store(Path::new(&root));
    if task == "write" {
        println!("started");
        std::io::stdout().flush().unwrap();
        loop {
            put(&store, b'a', SIZE).unwrap();
            put(&store, b'b', SIZE).unwrap();
        }
    }
    let error = put(&store, b'b', SIZE).unwrap_err();
    assert!(error.to_string().contains("File too large"), "{error}");
    println!("refused");
}

fn start(shell: &str, root: &Path, task: &str) -> std::process::Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact child --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(ROOT, root)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("gitrepository/apps/app")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let known = [digest(b'a', SIZE), digest(b'b', SIZE)];
    let path = "gitrepository/apps/app/x.tar.gz";
    for round in 0..25_u64 {
        let mut child = start("", directory.path(), "write");
        let mut started = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut started).unwrap();
        std::thread::sleep(Duration::from_millis(5 + round * 37 % 60));
        child.kill().unwrap();
        child.wait().unwrap();
        // What a new process finds: all of one content, or nothing yet.
        let store = store(directory.path());
        let found: Vec<Verification> = known.iter().map(|d| store.verify(path, &d.to_string())).collect();
        let intact = found.contains(&Verification::Intact);
        let absent = found.iter().all(|v| *v == Verification::Missing);
        assert!(intact || absent, "round {round}: {found:?}");
    }
    // Nobody holds the lock of the dead, and what they left half done is garbage.
    let store = store(directory.path());
    let stored = put(&store, b'a', SIZE).unwrap();
    assert_eq!(stored.digest, known[0]);
    store.collect_garbage(&owner(), path, SystemTime::now()).unwrap();
    assert_eq!(names(directory.path()), ["x.tar.gz", "x.tar.gz.lock"]);
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let before = put(&store(directory.path()), b'a', 10_000).unwrap();
    // The kernel refuses to make a file longer than so many blocks; without the signal that would end the process.
    let child = start("trap '' XFSZ; ulimit -f 200;", directory.path(), "fail");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused"), "{said}");
    let store = store(directory.path());
    assert_eq!(store.verify(&before.path, &before.digest.to_string()), Verification::Intact);
    assert_eq!(names(directory.path()), ["x.tar.gz", "x.tar.gz.lock"]);
    assert_eq!(put(&store, b'b', SIZE).unwrap().digest, digest(b'b', SIZE));
}
