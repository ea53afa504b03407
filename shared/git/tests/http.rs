//! Checkouts from Git's own server over HTTP.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fluxide_git::{Auth, Checkout, CheckoutOptions, Commit, GitError, Limits, Reference, Remote, checkout};
use support::{GitServer, Repositories, Repository, ServerState, basic, run};

fn files(directory: &Path) -> Vec<String> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(directory, directory, &mut found);
    found.sort();
    found
}

async fn try_checkout(url: &str, reference: Reference) -> Result<(Commit, tempfile::TempDir), GitError> {
    let remote = Remote::new(url)?;
    let directory = tempfile::tempdir().unwrap();
    match checkout(&remote, &reference, &CheckoutOptions::default(), directory.path()).await? {
        Checkout::Done(commit) => Ok((*commit, directory)),
        Checkout::Unchanged(_) => panic!("nothing was known"),
    }
}

fn branch(name: &str) -> Reference {
    Reference::Branch(name.to_owned())
}

fn example(repositories: &Repositories) -> Repository {
    let repository = repositories.create("app.git");
    repository.write("deploy/app.yaml", "one").write("run.sh", "#!/bin/sh").write("a b/é.txt", "x");
    fs::set_permissions(repository.work.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run.sh", repository.work.path().join("link")).unwrap();
    repository.commit("first commit\n\nbody");
    repository
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_tags_names_commits_and_versions() {
    let repositories = Repositories::new();
    let repository = example(&repositories);
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "v1.0.0"]);
    repository.git(&["tag", "-a", "v1.1.0", "-m", "annotated"]);
    repository.git(&["tag", "v1.1"]);
    let tag_object = repository.git(&["rev-parse", "v1.1.0"]);
    repository.write("deploy/app.yaml", "two");
    let second = repository.commit("second commit");
    repository.git(&["tag", "2.0.0-rc.1"]);
    repository.git(&["checkout", "-q", "-b", "feature/x"]);
    repository.write("feature", "f");
    let third = repository.commit("third");
    // Reachable from no branch and no tag.
    repository.write("pull", "p");
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "pull"]);
    let pull = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["push", "-q", "origin", "HEAD:refs/pull/7/head"]);
    repository.git(&["reset", "-q", "--hard", "HEAD^"]);
    repository.push();

    for protocol_v0 in [false, true] {
        let server = GitServer::start(ServerState {
            root: repositories.root.path().to_owned(),
            protocol_v0,
            ..ServerState::default()
        })
        .await;
        let url = format!("{}/app.git", server.url);
        let name = |name: &str| Reference::Name(name.to_owned());
        let commit = |hash: &str, branch: Option<&str>| Reference::Commit {
            hash: hash.to_owned(),
            branch: branch.map(str::to_owned),
        };
        let cases = [
            (branch("main"), format!("main@sha1:{second}"), &second),
            (branch("feature/x"), format!("feature/x@sha1:{third}"), &third),
            (Reference::Tag("v1.0.0".into()), format!("v1.0.0@sha1:{first}"), &first),
            (Reference::Tag("v1.1.0".into()), format!("v1.1.0@sha1:{first}"), &first),
            (Reference::Semver(">=1.0.0".into()), format!("v1.1.0@sha1:{first}"), &first),
            (Reference::Semver(">=1.0.0-0".into()), format!("2.0.0-rc.1@sha1:{second}"), &second),
            (name("refs/heads/main"), format!("refs/heads/main@sha1:{second}"), &second),
            (name("refs/tags/v1.1.0"), format!("refs/tags/v1.1.0@sha1:{first}"), &first),
            (name("refs/tags/v1.1.0^{}"), format!("refs/tags/v1.1.0^{{}}@sha1:{first}"), &first),
            (name("refs/pull/7/head"), format!("refs/pull/7/head@sha1:{pull}"), &pull),
            (commit(&first, None), format!("sha1:{first}"), &first),
            (commit(&first, Some("main")), format!("main@sha1:{first}"), &first),
        ];
        for (reference, revision, hash) in cases {
            let (commit, directory) = try_checkout(&url, reference.clone()).await.unwrap();
            assert_eq!(commit.revision, revision, "{reference:?}, v0: {protocol_v0}");
            assert_eq!(&commit.hash, hash);
            let expected = run(&repository.path, &["ls-tree", "-r", "--name-only", "-z", hash]);
            let mut expected: Vec<&str> = expected.split_terminator('\0').filter(|n| *n != "link").collect();
            expected.sort();
            assert_eq!(files(directory.path()), expected);
            if commit.tag_name.as_deref() == Some("v1.1.0") {
                let tag = commit.tag.unwrap();
                assert_eq!((tag.name.as_str(), &tag.hash), ("v1.1.0", &tag_object));
            } else {
                assert_eq!(commit.tag, None);
            }
        }
        let (commit, directory) = try_checkout(&url, branch("main")).await.unwrap();
        assert_eq!(commit.subject(), "second commit");
        assert_eq!(fs::read_to_string(directory.path().join("deploy/app.yaml")).unwrap(), "two");
        let mode = |name: &str| directory.path().join(name).metadata().unwrap().permissions().mode() & 0o111;
        assert_ne!(mode("run.sh"), 0);
        assert_eq!(mode("deploy/app.yaml"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_when_nothing_moved() {
    let repositories = Repositories::new();
    let repository = example(&repositories);
    let server = GitServer::open(&repositories).await;
    let remote = Remote::new(&format!("{}/app.git", server.url)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut options = CheckoutOptions::default();
    let Ok(Checkout::Done(commit)) = checkout(&remote, &branch("main"), &options, directory.path()).await
    else {
        panic!("there is something");
    };
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");

    options.known_revision = Some(commit.revision.clone());
    let again = checkout(&remote, &branch("main"), &options, directory.path()).await.unwrap();
    assert_eq!(again, Checkout::Unchanged(commit.revision));
    assert_eq!(server.requests().len(), 2);

    repository.commit("moved");
    let other = tempfile::tempdir().unwrap();
    let moved = checkout(&remote, &branch("main"), &options, other.path()).await.unwrap();
    assert!(matches!(moved, Checkout::Done(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_is_wrong() {
    let repositories = Repositories::new();
    example(&repositories);
    repositories.create("empty.git");
    let server = GitServer::open(&repositories).await;
    let app = format!("{}/app.git", server.url);
    let text =
        async |url: &str, reference: Reference| try_checkout(url, reference).await.unwrap_err().to_string();

    assert_eq!(text(&app, branch("nope")).await, "couldn't find remote ref \"refs/heads/nope\"");
    assert_eq!(text(&app, Reference::Tag("v9".into())).await, "couldn't find remote ref \"refs/tags/v9\"");
    assert_eq!(text(&app, Reference::Semver(">=9".into())).await, "no match found for semver: >=9");
    assert_eq!(
        text(&app, Reference::Semver("not a range".into())).await,
        "semver parse error: improper constraint: \"not a range\""
    );
    assert_eq!(
        text(&app, Reference::Name("refs/heads/absent".into())).await,
        "unable to resolve ref 'refs/heads/absent' to a specific commit"
    );
    let absent = "0000000000000000000000000000000000000001";
    let commit = Reference::Commit { hash: absent.into(), branch: Some("main".into()) };
    assert_eq!(
        text(&app, commit).await,
        format!("unable to resolve commit object for '{absent}': object not found")
    );
    let empty = format!("{}/empty.git", server.url);
    assert!(matches!(try_checkout(&empty, branch("main")).await, Err(GitError::EmptyRepository)));
    let missing = format!("{}/absent.git", server.url);
    assert!(matches!(try_checkout(&missing, branch("main")).await, Err(GitError::RepositoryNotFound(_))));
    assert_eq!(
        text("http://127.0.0.1:9/app.git", branch("main")).await,
        "Get \"http://127.0.0.1:9/app.git/info/refs?service=git-upload-pack\": dial tcp 127.0.0.1:9: connect: connection refused"
    );
    assert_eq!(
        text("https://git.invalid/app.git", branch("main")).await,
        "Get \"https://git.invalid/app.git/info/refs?service=git-upload-pack\": dial tcp: lookup git.invalid: no such host"
    );
    for url in ["file:///etc", "git@host:path", "ext::sh", "/path", "https://"] {
        assert!(matches!(Remote::new(url), Err(GitError::InvalidUrl(_))), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_their_host_only() {
    let repositories = Repositories::new();
    example(&repositories);
    let server = GitServer::start(ServerState {
        root: repositories.root.path().to_owned(),
        authorization: Some(basic("flux", "p@ss:word")),
        ..ServerState::default()
    })
    .await;
    let url = format!("{}/app.git", server.url);
    let mut remote = Remote::new(&url).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = CheckoutOptions::default();
    let anonymous = checkout(&remote, &branch("main"), &options, directory.path()).await.unwrap_err();
    assert_eq!(anonymous.to_string(), "authentication required: unauthorized\n");
    assert!(server.requests().iter().all(|r| r.ends_with(" -")), "no header without credentials");

    remote.auth = Auth::Basic { username: "flux".into(), password: "p@ss:word".into() };
    checkout(&remote, &branch("main"), &options, directory.path()).await.unwrap();
    let in_url = url.replace("http://", "http://flux:p%40ss%3Aword@");
    let from_url = Remote::new(&in_url).unwrap();
    assert_eq!(from_url.url().as_str(), url);
    let other = tempfile::tempdir().unwrap();
    checkout(&from_url, &branch("main"), &options, other.path()).await.unwrap();

    // Another host behind a redirect gets no credentials; the same host does.
    let open = GitServer::open(&repositories).await;
    *server.state.redirect_to.lock().unwrap() = Some(open.url.clone());
    let third = tempfile::tempdir().unwrap();
    checkout(&remote, &branch("main"), &options, third.path()).await.unwrap();
    let seen = open.requests();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|r| r.ends_with(" -")), "{seen:?}");

    let bearer = GitServer::start(ServerState {
        root: repositories.root.path().to_owned(),
        authorization: Some("Bearer token".into()),
        ..ServerState::default()
    })
    .await;
    let mut remote = Remote::new(&format!("{}/app.git", bearer.url)).unwrap();
    remote.auth = Auth::Bearer("token".into());
    let fourth = tempfile::tempdir().unwrap();
    checkout(&remote, &branch("main"), &options, fourth.path()).await.unwrap();
    assert!(!format!("{remote:?}").contains("token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_directories_and_limits() {
    let repositories = Repositories::new();
    let repository = example(&repositories);
    repository.write("big", &"x".repeat(100_000));
    repository.commit("big");
    let server = GitServer::open(&repositories).await;
    let remote = Remote::new(&format!("{}/app.git", server.url)).unwrap();
    let try_with = async |options: CheckoutOptions| {
        let directory = tempfile::tempdir().unwrap();
        let result = checkout(&remote, &branch("main"), &options, directory.path()).await;
        result.map(|_| files(directory.path()))
    };
    let sparse = |directories: &[&str]| CheckoutOptions {
        sparse: directories.iter().map(|d| (*d).to_owned()).collect(),
        ..CheckoutOptions::default()
    };
    assert_eq!(try_with(sparse(&["./deploy"])).await.unwrap(), ["deploy/app.yaml"]);
    for missing in ["absent-dir", "../deploy", "link"] {
        let error = try_with(sparse(&["deploy", missing])).await.unwrap_err();
        assert!(matches!(error, GitError::SparseDirectory(d) if d == missing));
    }

    let limited = |limits| CheckoutOptions { limits, ..CheckoutOptions::default() };
    let small = Limits::default();
    for limits in [
        Limits { pack_bytes: 100, ..small },
        Limits { checkout_bytes: 1000, ..small },
        Limits { files: 3, ..small },
    ] {
        let error = try_with(limited(limits)).await.unwrap_err();
        assert!(error.to_string().contains("large") || matches!(error, GitError::Protocol(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeout_is_for_everything() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/app.git", listener.local_addr().unwrap());
    let remote = Remote::new(&url).unwrap();
    let options = CheckoutOptions { timeout: Duration::from_millis(200), ..CheckoutOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let error = checkout(&remote, &branch("main"), &options, directory.path()).await.unwrap_err();
    assert!(matches!(error, GitError::DeadlineExceeded), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}
