//! The store, the archive and the server as a producer uses them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use fluxide_artifact::archive::{ArchiveSummary, archive_directory};
use fluxide_artifact::fetch::FetchOptions;
use fluxide_artifact::ignore::IgnoreRules;
use fluxide_artifact::server;
use fluxide_artifact::store::{LatestLink, Owner, StoreError, Verification};
use fluxide_artifact::unpack::{UnpackOptions, unpack};
use fluxide_artifact::{Algorithm, ArtifactCache, CacheOptions, FetchError, Fetcher, Store, StoreOptions};

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn archive(root: &Path) -> (Vec<u8>, ArchiveSummary) {
    let rules = IgnoreRules::for_tree(root, None).unwrap();
    let mut bytes = Vec::new();
    let summary = archive_directory(root, &rules, &mut bytes).unwrap();
    (bytes, summary)
}

fn entries(bytes: &[u8]) -> Vec<(String, u32, u64)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            (name, header.mode().unwrap(), entry.size())
        })
        .collect()
}

#[test]
fn equal_trees_give_equal_bytes() {
    let long = "l/".repeat(70) + &"x".repeat(90);
    let files =
        [("b/z.yaml", "z"), ("b/a.yaml", "a"), ("é.yaml", "e"), (long.as_str(), "long"), ("run", "#!")];
    let first = tree(&files);
    let second = tree(&files.iter().rev().copied().collect::<Vec<_>>());
    for root in [first.path(), second.path()] {
        let executable = fs::Permissions::from_mode(if root == first.path() { 0o744 } else { 0o755 });
        fs::set_permissions(root.join("run"), executable).unwrap();
    }
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
    File::open(second.path().join("run")).unwrap().set_modified(old).unwrap();

    let (bytes, _) = archive(first.path());
    assert_eq!(bytes, archive(second.path()).0);
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let entries = entries(&bytes);
    assert_eq!(entries[0], (".".to_owned(), 0o750, 0));
    assert_eq!(entries[1], ("b".to_owned(), 0o750, 0));
    assert_eq!(entries[2], ("b/a.yaml".to_owned(), 0o600, 1));
    assert!(entries.contains(&("run".to_owned(), 0o700, 2)));
    assert!(entries.contains(&(long, 0o600, 4)));
    assert!(entries.contains(&("é.yaml".to_owned(), 0o600, 1)));
}

#[test]
fn symlinks_git_and_ignored_files_stay_out() {
    let root = tree(&[
        (".sourceignore", "/*\n!/deploy\n!.git/\n"),
        (".git/config", "password"),
        ("deploy/.git/config", "password"),
        ("deploy/app.yaml", "a"),
        ("docs/readme.md", "r"),
    ]);
    symlink("/etc/passwd", root.path().join("deploy/link")).unwrap();
    let (bytes, summary) = archive(root.path());
    let names: Vec<String> = entries(&bytes).into_iter().map(|e| e.0).collect();
    assert_eq!(names, [".", "deploy", "deploy/app.yaml"]);
    assert_eq!(summary, ArchiveSummary { files: 1, bytes: 1, dropped: 1 });
}

#[test]
fn names_that_are_not_utf_8_come_out_as_they_went_in() {
    let root = tree(&[("a.yaml", "a"), (".sourceignore", "*.jpg\n")]);
    let latin = |name: &[u8]| OsStr::from_bytes(name).to_owned();
    fs::create_dir(root.path().join(latin(b"caf\xe9"))).unwrap();
    fs::write(root.path().join(latin(b"caf\xe9/menu.yaml")), "menu").unwrap();
    fs::write(root.path().join(latin(b"photo\xe9.jpg")), "ignored").unwrap();
    let (bytes, summary) = archive(root.path());
    assert_eq!(summary, ArchiveSummary { files: 3, bytes: 11, dropped: 0 });
    let target = tempfile::tempdir().unwrap();
    unpack(bytes.as_slice(), target.path(), &UnpackOptions::default()).unwrap();
    assert_eq!(fs::read(target.path().join(latin(b"caf\xe9/menu.yaml"))).unwrap(), b"menu");
}

fn store(root: &Path) -> Store {
    Store::new(StoreOptions::new(root, "source:80")).unwrap()
}

fn put(store: &Store, owner: &Owner, name: &str, content: &str) -> fluxide_artifact::StoredFile {
    store
        .write::<StoreError>(owner, name, |out| {
            out.write_all(content.as_bytes()).map_err(|source| StoreError::Io {
                action: "write",
                path: name.into(),
                source,
            })
        })
        .unwrap()
}

#[test]
fn writes_are_whole_or_not_there() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let owner = Owner::new("GitRepository", "apps", "web").unwrap();
    let stored = put(&store, &owner, "abc.tar.gz", "content");
    assert_eq!(stored.path, "gitrepository/apps/web/abc.tar.gz");
    assert_eq!(stored.url, "http://source:80/gitrepository/apps/web/abc.tar.gz");
    assert_eq!(stored.size, 7);
    let file = root.path().join(&stored.path);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);

    let failed = store.write::<StoreError>(&owner, "abc.tar.gz", |out| {
        out.write_all(b"half").unwrap();
        Err(StoreError::InvalidName("x".to_owned()))
    });
    assert!(failed.is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "content");
    let names: Vec<_> =
        fs::read_dir(file.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "file and lock: {names:?}");
}

#[test]
fn corruption_is_found_even_when_it_was_intact_before() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let owner = Owner::new("gitrepository", "n", "r").unwrap();
    let stored = put(&store, &owner, "a.tar.gz", "content");
    let digest = stored.digest.to_string();
    assert_eq!(store.verify(&stored.path, &digest), Verification::Intact);
    fs::write(root.path().join(&stored.path), "CONTENT").unwrap();
    assert!(matches!(store.verify(&stored.path, &digest), Verification::Corrupt(_)));
    assert!(matches!(store.verify(&stored.path, ""), Verification::Corrupt(_)));
    store.remove(&stored.path).unwrap();
    assert_eq!(store.verify(&stored.path, &digest), Verification::Missing);
    assert_eq!(store.verify("../../etc/passwd", &digest), Verification::Missing);
}

#[test]
fn garbage_by_age_and_by_number() {
    // (ages in seconds, oldest last; the index of the current file) -> indices removed
    let cases: [(&[u64], usize, &[usize]); 7] = [
        (&[], 0, &[]),
        (&[0], 0, &[]),
        (&[1000], 0, &[]),
        (&[0, 10], 0, &[]),
        (&[0, 100], 0, &[1]),
        (&[0, 10, 20, 30, 40], 0, &[2, 3, 4]),
        (&[0, 10, 20, 70], 3, &[1, 2]),
    ];
    for (ages, current, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        let owner = Owner::new("gitrepository", "n", "r").unwrap();
        let now = SystemTime::now();
        for (index, age) in ages.iter().enumerate() {
            let stored = put(&store, &owner, &format!("{index}.tar.gz"), "x");
            let file = File::open(root.path().join(stored.path)).unwrap();
            file.set_modified(now - Duration::from_secs(*age)).unwrap();
        }
        let current = store.path(&owner, &format!("{current}.tar.gz")).unwrap();
        let mut removed = store.collect_garbage(&owner, &current, now).unwrap();
        removed.sort();
        let expected: Vec<String> =
            expected.iter().map(|i| store.path(&owner, &format!("{i}.tar.gz")).unwrap()).collect();
        assert_eq!(removed, expected, "{ages:?}");
        for path in removed {
            assert!(!root.path().join(&path).exists());
            assert!(!root.path().join(format!("{path}.lock")).exists());
        }
    }
}

#[test]
fn owners_are_single_directories() {
    for bad in ["", "..", ".", "a/b", ".hidden", "a\\b"] {
        assert!(Owner::new("kind", bad, "name").is_err(), "{bad:?}");
    }
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    for name in ["kept", "gone"] {
        put(&store, &Owner::new("bucket", "n", name).unwrap(), "a.tar.gz", "x");
    }
    assert_eq!(store.sweep("Bucket", &|_, name| name == "kept").unwrap(), 1);
    assert!(root.path().join("bucket/n/kept").exists());
    assert!(!root.path().join("bucket/n/gone").exists());
    assert!(store.remove_all(&Owner::new("bucket", "n", "kept").unwrap()).unwrap());
    assert!(!store.remove_all(&Owner::new("bucket", "n", "kept").unwrap()).unwrap());
}

struct Server {
    address: String,
    serving: Arc<AtomicBool>,
}

async fn serve(root: &Path) -> Server {
    let serving = Arc::new(AtomicBool::new(true));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = server::router(root, serving.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { address, serving }
}

fn crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test]
async fn serves_artifacts_and_nothing_else() {
    crypto();
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let owner = Owner::new("helmchart", "n", "c").unwrap();
    put(&store, &owner, "c-1.0.0+1.tgz", "0123456789");
    put(&store, &owner, "sha256:ab.tar.gz", "oci");
    store.link_latest(&owner, LatestLink::Archive, "sha256:ab.tar.gz").unwrap();
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("s.yaml"), "s").unwrap();
    symlink(secret.path().join("s.yaml"), root.path().join("helmchart/n/c/s.yaml")).unwrap();
    symlink(secret.path().join("s.yaml"), root.path().join("helmchart/n/c/index.yaml")).unwrap();
    fs::write(root.path().join("helmchart/n/c/.x.tar.gz"), "temporary").unwrap();

    let server = serve(root.path()).await;
    let client = reqwest::Client::new();
    let get = async |path: &str| client.get(format!("http://{}{path}", server.address)).send().await.unwrap();
    for path in [
        "/helmchart/n/c/c-1.0.0+1.tgz",
        "/helmchart/n/c/c-1.0.0%2B1.tgz",
        "/helmchart/n/c/sha256:ab.tar.gz",
        "/helmchart/n/c/sha256%3Aab.tar.gz",
        "/helmchart/n/c/latest.tar.gz",
        "/",
    ] {
        assert_eq!(get(path).await.status(), 200, "{path}");
    }
    for path in [
        "/helmchart",
        "/helmchart/",
        "/helmchart/n/c/",
        "/helmchart/n/c/s.yaml",
        "/helmchart/n/c/index.yaml",
        "/helmchart/n/c/c-1.0.0+1.tgz.lock",
        "/helmchart/n/c/.x.tar.gz",
        "/%2fetc/n/c/passwd.yaml",
        "/helmchart/n/c/%",
        "/helmchart/n/c/absent.tgz",
    ] {
        assert_eq!(get(path).await.status(), 404, "{path}");
    }

    // Clients tidy such paths up before they ask, so this asks without one.
    for path in
        ["/helmchart/n/c/../c/sha256:ab.tar.gz", "/helmchart/n/%2e%2e/n/sha256:ab.tar.gz", "/../n/c/x.tgz"]
    {
        let mut stream = tokio::net::TcpStream::connect(&server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }

    let url = format!("http://{}/helmchart/n/c/c-1.0.0+1.tgz", server.address);
    let ranges = [
        ("bytes=2-4", 206, "234"),
        ("bytes=7-", 206, "789"),
        ("bytes=-2", 206, "89"),
        ("bytes=0-100", 206, "0123456789"),
        ("bytes=1-2,4-5", 200, "0123456789"),
        ("bytes=20-", 416, ""),
    ];
    for (range, status, body) in ranges {
        let response = client.get(&url).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(response.text().await.unwrap(), body, "{range}");
    }
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "10");
    let since = &head.headers()["last-modified"];
    let response = client.get(&url).header("if-modified-since", since).send().await.unwrap();
    assert_eq!(response.status(), 304);
    assert_eq!(client.post(&url).send().await.unwrap().status(), 405);

    server.serving.store(false, Ordering::Relaxed);
    assert_eq!(get("/").await.status(), 200);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 503);
}

fn fetcher() -> Fetcher {
    crypto();
    Fetcher::new(FetchOptions { retries: 2, min_wait: Duration::from_millis(1), ..FetchOptions::default() })
        .unwrap()
}

#[tokio::test]
async fn the_cache_unpacks_once_and_only_what_the_digest_says() {
    let root = tempfile::tempdir().unwrap();
    let source = tree(&[("a.yaml", "a"), ("d/b.yaml", "b")]);
    let store = store(root.path());
    let owner = Owner::new("gitrepository", "n", "r").unwrap();
    let stored = store
        .write::<StoreError>(&owner, "a.tar.gz", |out| {
            out.write_all(&archive(source.path()).0).unwrap();
            Ok(())
        })
        .unwrap();
    let server = serve(root.path()).await;
    let url = format!("http://{}/{}", server.address, stored.path);
    let digest = stored.digest.to_string();

    let work = tempfile::tempdir().unwrap();
    let options = CacheOptions { max_bytes: 1, ..CacheOptions::default() };
    let cache = ArtifactCache::new(work.path().join("cache"), fetcher(), options).unwrap();
    let (one, two) = tokio::join!(cache.get(&url, &digest), cache.get(&url, &digest));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.path(), two.path());
    assert_eq!(fs::read_to_string(one.path().join("d/b.yaml")).unwrap(), "b");
    assert_eq!(cache.bytes(), 2);

    // Served something else under the same path: not downloaded again, and refused when it is.
    fs::write(root.path().join(&stored.path), "tampered").unwrap();
    let again = cache.get(&url, &digest).await.unwrap();
    assert_eq!(again.path(), one.path());
    let path = one.path().to_owned();
    drop((one, two, again));
    let other = put(&store, &owner, "b.tar.gz", "not gzip");
    let not_gzip =
        cache.get(&format!("http://{}/{}", server.address, other.path), &other.digest.to_string()).await;
    assert!(matches!(not_gzip, Err(FetchError::Unpack(_))));
    let absent = format!("http://{}/gitrepository/n/r/c.tar.gz", server.address);
    let missing = cache.get(&absent, &Algorithm::Sha256.digest(b"absent").to_string()).await;
    assert!(matches!(missing, Err(FetchError::NotFound)));

    let small = tree(&[("c", "cc")]);
    let third = store
        .write::<StoreError>(&owner, "c.tar.gz", |out| {
            out.write_all(&archive(small.path()).0).unwrap();
            Ok(())
        })
        .unwrap();
    let third_url = format!("http://{}/{}", server.address, third.path);
    let kept = cache.get(&third_url, &third.digest.to_string()).await.unwrap();
    assert!(!path.exists(), "there is room for one byte, and nobody uses it");
    assert!(kept.path().exists(), "in use");
    let tampered = cache.get(&url, &digest).await;
    assert!(matches!(tampered, Err(FetchError::DigestMismatch { .. })));

    server.serving.store(false, Ordering::Relaxed);
    let unavailable = cache.get(&url, &digest).await.unwrap_err();
    assert!(
        unavailable
            .to_string()
            .ends_with("giving up after 3 attempt(s): unexpected HTTP status 503 Service Unavailable"),
        "{unavailable}"
    );
    drop((cache, kept));
    assert!(!work.path().join("cache").exists(), "the cache leaves something behind");
}

#[tokio::test]
async fn downloads_are_tried_again_when_that_can_help() {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    let calls = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let seen = calls.clone();
    let answer = move |request: axum::extract::Request| async move {
        let path = request.uri().path().to_owned();
        let before = seen.lock().unwrap().iter().filter(|call| **call == path).count();
        seen.lock().unwrap().push(path.clone());
        match (path.as_str(), before) {
            ("/flaky", 0) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            ("/flaky", 1) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
            ("/flaky" | "/local", _) => "content".into_response(),
            _ => StatusCode::FORBIDDEN.into_response(),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let directory = tempfile::tempdir().unwrap();
    let digest = Algorithm::Sha256.digest(b"content");
    let fetch = async |fetcher: Fetcher, url: String| fetcher.fetch(&url, &digest, directory.path()).await;
    let file = fetch(fetcher(), format!("http://{address}/flaky")).await.unwrap();
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "content");
    let refused = fetch(fetcher(), format!("http://{address}/forbidden")).await;
    assert!(matches!(refused, Err(FetchError::Status { status: StatusCode::FORBIDDEN, .. })));
    assert_eq!(*calls.lock().unwrap(), ["/flaky", "/flaky", "/flaky", "/forbidden"]);

    // Outside the cluster, its names mean nothing.
    let outside = FetchOptions {
        source_controller_localhost: Some(address.clone()),
        source_watcher_localhost: Some("127.0.0.1:9".to_owned()),
        retries: 0,
        ..FetchOptions::default()
    };
    let outside = || Fetcher::new(outside.clone()).unwrap();
    let host = |name: &str| format!("http://{name}.flux-system.svc.cluster.local./local");
    fetch(outside(), host("source-controller")).await.unwrap();
    let error = fetch(outside(), host("source-watcher")).await.unwrap_err().to_string();
    assert!(error.contains("GET http://127.0.0.1:9/local giving up after 1 attempt(s)"), "{error}");
}

#[test]
fn rules_that_are_too_much_work_are_given_up() {
    // Every name takes hundreds of steps for each of many patterns.
    let name = "a".repeat(255);
    let source = tree(&[(name.as_str(), ""), ("b", "")]);
    let pattern = format!("*{}b\n", "a*".repeat(120));
    let rules = IgnoreRules::for_tree(source.path(), Some(&pattern.repeat(9000))).unwrap();
    let rules = rules.with_max_work(1_000_000);
    assert!(!rules.is_exhausted());
    // Within one decision already.
    rules.is_ignored(&name, false);
    assert!(rules.is_exhausted());
    let error = archive_directory(source.path(), &rules, std::io::sink()).unwrap_err();
    assert!(error.to_string().starts_with("the ignore rules are too many or too complex"), "{error}");
    let long = "a".repeat(5000);
    assert!(IgnoreRules::for_tree(source.path(), Some(&long)).is_ok());
    let error = IgnoreRules::for_tree(source.path(), Some(&"a\n".repeat(10_001))).unwrap_err();
    assert_eq!(error.to_string(), "there are more than 10000 patterns");
}
