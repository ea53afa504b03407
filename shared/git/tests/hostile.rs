//! Servers and repositories that mean harm: each ends in an error, soon, and writes nothing outside.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use fluxide_git::{CheckoutOptions, GitError, Limits, Reference, Remote, checkout};
use support::{GitServer, Repositories, Repository, run};

async fn try_checkout(url: &str, options: &CheckoutOptions) -> Result<tempfile::TempDir, GitError> {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("checkout");
    std::fs::create_dir(&directory).unwrap();
    let branch = Reference::Branch("main".to_owned());
    let result = checkout(&Remote::new(url).unwrap(), &branch, options, &directory).await;
    let beside = std::fs::read_dir(outside.path()).unwrap().count();
    assert_eq!(beside, 1, "something was written outside of the directory");
    result.map(|_| outside)
}

/// How a hostile server answers.
#[derive(Clone, Copy, PartialEq)]
enum Attack {
    EndlessReferences,
    EndlessPack,
    EndlessProgress,
    HugeObject,
    ManyObjects,
    Nonsense,
    NoPack,
    RedirectForever,
}

fn line(text: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}", text.len() + 4).into_bytes();
    line.extend_from_slice(text);
    line
}

fn band(number: u8, data: &[u8]) -> Vec<u8> {
    line(&[&[number], data].concat())
}

/// Something again and again, in chunks that are not too small.
fn endless(piece: Vec<u8>) -> Body {
    let chunk = Bytes::from(piece.repeat((1 << 16) / piece.len() + 1));
    Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
}

fn after(head: Vec<u8>, piece: Vec<u8>) -> Body {
    use futures::StreamExt;
    let head = futures::stream::once(async move { Ok::<_, std::io::Error>(Bytes::from(head)) });
    Body::from_stream(head.chain(endless(piece).into_data_stream().map(|c| c.map_err(std::io::Error::other))))
}

async fn attack(State(kind): State<Attack>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = |content: &str, body: Body| {
        ([("content-type", format!("application/x-git-upload-pack-{content}"))], body).into_response()
    };
    if parts.uri.path().ends_with("/info/refs") {
        if kind == Attack::RedirectForever {
            return (http::StatusCode::FOUND, [("location", parts.uri.to_string())]).into_response();
        }
        let mut greeting = [line(b"# service=git-upload-pack\n"), b"0000".to_vec()].concat();
        for capability in
            ["version 2\n", "agent=git/2\n", "ls-refs\n", "fetch=shallow\n", "object-format=sha1\n"]
        {
            greeting.extend(line(capability.as_bytes()));
        }
        greeting.extend(b"0000");
        return answer("advertisement", Body::from(greeting));
    }
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let wants_refs = String::from_utf8_lossy(&body).contains("command=ls-refs");
    let reference = line(format!("{} refs/heads/main\n", "1".repeat(40)).as_bytes());
    if wants_refs {
        let body = match kind {
            Attack::EndlessReferences => endless(reference),
            _ => Body::from([reference, b"0000".to_vec()].concat()),
        };
        return answer("result", body);
    }
    let head = line(b"packfile\n");
    let header = |objects: u32| [b"PACK".as_slice(), &2_u32.to_be_bytes(), &objects.to_be_bytes()].concat();
    // A blob of 2^40 bytes, by its header.
    let huge = [0xb0_u8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x04].to_vec();
    let body = match kind {
        Attack::EndlessPack => {
            after([head, band(1, &[header(1), vec![0xbf, 0xff, 0x7f]].concat())].concat(), band(1, &zeros()))
        }
        Attack::EndlessProgress => after(head, band(2, b"counting objects\n")),
        Attack::HugeObject => after([head, band(1, &[header(1), huge].concat())].concat(), band(1, &zeros())),
        Attack::ManyObjects => after([head, band(1, &header(u32::MAX))].concat(), band(1, &zeros())),
        Attack::Nonsense => {
            Body::from([head, band(1, b"PACKnonsense, and more of it"), b"0000".to_vec()].concat())
        }
        _ => Body::from(b"0000".to_vec()),
    };
    answer("result", body)
}

/// The beginning of a stream of zeros, compressed; it goes on with more of the same block.
fn zeros() -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&[0; 30_000]).unwrap();
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_cannot_fill_memory_or_disk_or_hold_on_for_ever() {
    let cases = [
        // The limit on its bytes or the timeout, whichever is first here.
        (Attack::EndlessReferences, ""),
        (Attack::EndlessPack, ""),
        (Attack::EndlessProgress, ""),
        (Attack::HugeObject, ""),
        (Attack::ManyObjects, "too large"),
        (Attack::Nonsense, ""),
        (Attack::NoPack, ""),
        (Attack::RedirectForever, "stopped after 5 redirects"),
    ];
    for (kind, part) in cases {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/app.git", listener.local_addr().unwrap());
        let router = Router::new().fallback(attack).with_state(kind);
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let limits = Limits { pack_bytes: 1 << 20, ..Limits::default() };
        let options =
            CheckoutOptions { timeout: Duration::from_secs(5), limits, ..CheckoutOptions::default() };
        let started = Instant::now();
        let error = try_checkout(&url, &options).await.unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert!(started.elapsed() < Duration::from_secs(25), "{part} took {:?}", started.elapsed());
        server.abort();
    }
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    let kilobytes: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 1 << 20, "{peak}");
}

/// Writes an object as it is, however wrong.
fn object(repository: &Repository, kind: &str, content: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new("git")
        .args(["hash-object", "--literally", "-w", "-t", kind, "--stdin"])
        .current_dir(&repository.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn entry(mode: &str, name: &[u8], id: &str) -> Vec<u8> {
    let id: Vec<u8> = (0..20).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()).collect();
    [mode.as_bytes(), b" ", name, b"\0", &id].concat()
}

/// Makes a tree the content of `main`.
fn commit(repository: &Repository, tree: &str) {
    let text = format!("tree {tree}\nauthor A <a@b> 0 +0000\ncommitter A <a@b> 0 +0000\n\nx\n");
    let commit = object(repository, "commit", text.as_bytes());
    run(&repository.path, &["update-ref", "refs/heads/main", &commit]);
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("checkout")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_cannot_write_elsewhere() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    let server = GitServer::open(&repositories).await;
    let url = format!("{}/app.git", server.url);
    let options = CheckoutOptions::default();
    let blob = object(&app, "blob", b"content");
    let target = object(&app, "blob", b"/tmp");
    let inner = object(&app, "tree", &entry("100644", b"passwd", &blob));
    let trees: Vec<(&str, Vec<u8>)> = vec![
        ("..", entry("100644", b"..", &blob)),
        ("../x", entry("100644", b"../x", &blob)),
        (".. directory", entry("40000", b"..", &inner)),
        ("absolute", entry("100644", b"/etc/x", &blob)),
        (".git", entry("40000", b".git", &inner)),
        (".GIT", entry("40000", b".GIT", &inner)),
        ("git~1", entry("40000", b"git~1", &inner)),
        (".git dots", entry("40000", b".git. .", &inner)),
        ("ignored characters", entry("40000", ".g\u{200c}it".as_bytes(), &inner)),
        ("empty", entry("100644", b"", &blob)),
        (".", entry("40000", b".", &inner)),
        ("twice", [entry("100644", b"a", &blob), entry("100644", b"a", &blob)].concat()),
        ("file and directory", [entry("100644", b"a", &blob), entry("40000", b"a", &inner)].concat()),
        ("a tree as a file", entry("100644", b"a", &inner)),
        ("a file as a tree", entry("40000", b"a", &blob)),
    ];
    for (what, tree) in trees {
        commit(&app, &object(&app, "tree", &tree));
        let result = try_checkout(&url, &options).await;
        assert!(result.is_err(), "{what}");
    }

    // Links are nothing, so what follows one does not go through it.
    let tree = [entry("120000", b"out", &target), entry("40000", b"out", &inner)].concat();
    commit(&app, &object(&app, "tree", &tree));
    let done = try_checkout(&url, &options).await.unwrap();
    assert!(done.path().join("checkout/out/passwd").is_file());
    assert_eq!(files(done.path()), 1);
    assert!(!Path::new("/tmp/passwd").exists());

    // A directory in a directory in a directory...
    let mut deep = inner.clone();
    for _ in 0..300 {
        deep = object(&app, "tree", &entry("40000", b"d", &deep));
    }
    commit(&app, &deep);
    let error = try_checkout(&url, &options).await.unwrap_err().to_string();
    assert!(error.contains("nested too deep"), "{error}");

    // A small repository with very many files, all the same.
    let mut wide = object(&app, "tree", &entry("100644", b"f", &blob));
    for _ in 0..5 {
        let entries: Vec<Vec<u8>> =
            (0..10).map(|n| entry("40000", format!("d{n}").as_bytes(), &wide)).collect();
        wide = object(&app, "tree", &entries.concat());
    }
    commit(&app, &wide);
    let limits = Limits { files: 10_000, ..Limits::default() };
    let bounded = CheckoutOptions { limits, ..CheckoutOptions::default() };
    let error = try_checkout(&url, &bounded).await.unwrap_err().to_string();
    assert!(error.contains("more than 10000 files"), "{error}");
    // The same with a limit that lets it go on until its time is over. Much of what is measured is tidying up.
    let bounded = CheckoutOptions { timeout: Duration::from_millis(500), ..CheckoutOptions::default() };
    let started = Instant::now();
    let result = try_checkout(&url, &bounded).await;
    assert!(result.is_err() && started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// Git's server with some bytes of its answers changed.
async fn mutating(State((inner, seed)): State<(Router, Arc<Mutex<u64>>)>, request: Request) -> Response {
    use tower::ServiceExt;
    let is_post = request.method() == "POST";
    let response = inner.oneshot(request).await.unwrap();
    if !is_post {
        return response;
    }
    let (parts, body) = response.into_parts();
    let mut bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap().to_vec();
    let mut state = seed.lock().unwrap();
    for _ in 0..3 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (*state >> 33) as usize % bytes.len();
        bytes[at] ^= 1 << (*state >> 20 & 7);
    }
    Response::from_parts(parts, Body::from(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_bytes_are_an_error_or_nothing() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    for number in 0..20 {
        app.write(&format!("deploy/{number}.yaml"), &format!("number: {number}\n").repeat(50));
    }
    app.commit("first");
    let state = support::ServerState { root: repositories.root.path().to_owned(), ..Default::default() };
    let inner = support::router(Arc::new(state));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/app.git", listener.local_addr().unwrap());
    let router = Router::new().fallback(mutating).with_state((inner, Arc::new(Mutex::new(1))));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let options = CheckoutOptions { timeout: Duration::from_secs(5), ..CheckoutOptions::default() };
    let mut refused = 0;
    for _ in 0..30 {
        match try_checkout(&url, &options).await {
            Ok(done) => assert_eq!(files(done.path()), 1),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 15, "{refused}");
}
