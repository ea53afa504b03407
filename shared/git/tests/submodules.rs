//! Submodules, from Git's own server.

mod support;

use std::path::Path;

use fluxide_git::{Auth, Checkout, CheckoutOptions, GitError, Limits, Reference, Remote, checkout};
use support::{GitServer, Repositories, Repository, ServerState, basic, run};

/// Adds a submodule entry and its commit without fetching anything.
fn add(repository: &Repository, path: &str, url: &str, commit: &str) {
    let section = format!("submodule.{path}");
    repository.git(&["config", "-f", ".gitmodules", &format!("{section}.path"), path]);
    repository.git(&["config", "-f", ".gitmodules", &format!("{section}.url"), url]);
    repository.git(&["add", ".gitmodules"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    repository.git(&["commit", "-q", "-m", "submodule"]);
    repository.push();
}

fn simple(repositories: &Repositories, name: &str) -> (Repository, String) {
    let repository = repositories.create(name);
    repository.write("file.yaml", name);
    let commit = repository.commit("first");
    (repository, commit)
}

async fn try_checkout(remote: &Remote, options: &CheckoutOptions) -> Result<tempfile::TempDir, GitError> {
    let directory = tempfile::tempdir().unwrap();
    let branch = Reference::Branch("main".to_owned());
    match checkout(remote, &branch, options, directory.path()).await? {
        Checkout::Done(_) => Ok(directory),
        Checkout::Unchanged(_) => panic!("unchanged"),
    }
}

fn recursive() -> CheckoutOptions {
    CheckoutOptions { recurse_submodules: true, ..CheckoutOptions::default() }
}

fn read(directory: &Path, path: &str) -> String {
    std::fs::read_to_string(directory.join(path)).unwrap_or_else(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_follow_to_the_same_host_only() {
    let here = Repositories::new();
    let elsewhere = Repositories::new();
    let other = GitServer::open(&elsewhere).await;
    let password = basic("flux", "secret");
    let server = GitServer::start(ServerState {
        root: here.root.path().to_owned(),
        authorization: Some(password.clone()),
        ..ServerState::default()
    })
    .await;
    let (_deep, deep_commit) = simple(&here, "deep.git");
    let (library, old_commit) = simple(&here, "library.git");
    // Not the newest commit, and one that has a submodule itself.
    add(&library, "nested/deep", "../deep.git", &deep_commit);
    let library_commit = library.git(&["rev-parse", "HEAD"]);
    library.git(&["rm", "-q", "--cached", "nested/deep"]);
    library.git(&["commit", "-q", "-m", "without"]);
    library.push();
    let (_foreign, foreign_commit) = simple(&elsewhere, "foreign.git");
    let (app, _) = simple(&here, "app.git");
    add(&app, "vendor/library", "../library.git", &library_commit);
    add(&app, "old", &format!("{}/library.git", server.url), &old_commit);
    add(&app, "foreign", &format!("{}/foreign.git", other.url), &foreign_commit);

    let mut remote = Remote::new(&format!("{}/app.git", server.url)).unwrap();
    remote.auth = Auth::Basic { username: "flux".into(), password: "secret".into() };
    let directory = try_checkout(&remote, &recursive()).await.unwrap();
    assert_eq!(read(directory.path(), "file.yaml"), "app.git");
    assert_eq!(read(directory.path(), "vendor/library/file.yaml"), "library.git");
    assert_eq!(read(directory.path(), "vendor/library/nested/deep/file.yaml"), "deep.git");
    assert_eq!(read(directory.path(), "old/file.yaml"), "library.git");
    assert_eq!(read(directory.path(), "foreign/file.yaml"), "foreign.git");
    assert!(!directory.path().join("old/nested").exists());
    let seen = other.requests();
    assert!(!seen.is_empty() && seen.iter().all(|r| r.ends_with(" -")), "{seen:?}");
    assert!(server.requests().iter().all(|r| r.ends_with(&password)));

    // Not asked for: a directory with nothing in it.
    let plain = try_checkout(&remote, &CheckoutOptions::default()).await.unwrap();
    assert!(std::fs::read_dir(plain.path().join("foreign")).unwrap().next().is_none());

    // A part of a submodule, and nothing of the others.
    let options = CheckoutOptions { sparse: vec!["vendor/library/nested".into()], ..recursive() };
    let sparse = try_checkout(&remote, &options).await.unwrap();
    assert_eq!(read(sparse.path(), "vendor/library/nested/deep/file.yaml"), "deep.git");
    assert!(!sparse.path().join("vendor/library/file.yaml").exists());
    assert!(!sparse.path().join("foreign").exists());
    let whole = CheckoutOptions { sparse: vec!["vendor".into()], ..recursive() };
    let sparse = try_checkout(&remote, &whole).await.unwrap();
    assert_eq!(read(sparse.path(), "vendor/library/file.yaml"), "library.git");
    assert!(!sparse.path().join("file.yaml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_submodule_is_said() {
    let repositories = Repositories::new();
    let server = GitServer::open(&repositories).await;
    let (_library, commit) = simple(&repositories, "library.git");
    let case = async |name: &str, path: &str, url: &str, commit: &str| {
        let (app, _) = simple(&repositories, name);
        add(&app, path, url, commit);
        let remote = Remote::new(&format!("{}/{name}", server.url)).unwrap();
        try_checkout(&remote, &recursive()).await.map(|_| ()).unwrap_err().to_string()
    };
    let error = case("a.git", "lib", "../absent.git", &commit).await;
    assert!(error.starts_with("submodule 'lib': repository not found"), "{error}");
    let error = case("b.git", "lib", "../library.git", &"1".repeat(40)).await;
    assert!(error.starts_with("submodule 'lib': unable to resolve commit object for '1111"), "{error}");
    let error = case("c.git", "lib", "file:///etc", &commit).await;
    assert!(error.contains("scheme 'file' is not supported"), "{error}");
    let error = case("d.git", "lib", "git@127.0.0.1:library.git", &commit).await;
    assert!(error.contains("ssh needs a private key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_size_have_limits() {
    let repositories = Repositories::new();
    let server = GitServer::open(&repositories).await;
    let remote = Remote::new(&format!("{}/chain.git", server.url)).unwrap();
    // Each commit contains the one before it as a submodule, in the same repository.
    let (chain, mut commit) = simple(&repositories, "chain.git");
    for _ in 0..10 {
        add(&chain, "self", "./", &commit);
        commit = chain.git(&["rev-parse", "HEAD"]);
    }
    let directory = try_checkout(&remote, &recursive()).await.unwrap();
    let deepest = format!("{}file.yaml", "self/".repeat(10));
    assert_eq!(read(directory.path(), &deepest), "chain.git");
    // Together they are over a limit that each alone is not.
    let limits = Limits { files: 20, ..Limits::default() };
    let error = try_checkout(&remote, &CheckoutOptions { limits, ..recursive() }).await.unwrap_err();
    assert!(error.to_string().contains("more than 20 files"), "{error}");
    let limits = Limits { pack_bytes: 2000, ..Limits::default() };
    let error = try_checkout(&remote, &CheckoutOptions { limits, ..recursive() }).await.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");

    add(&chain, "self", "./", &commit);
    let error = try_checkout(&remote, &recursive()).await.unwrap_err();
    assert!(error.to_string().contains("nested deeper than 10 levels"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gitmodules_cannot_write_elsewhere_or_run_anything() {
    let repositories = Repositories::new();
    let server = GitServer::open(&repositories).await;
    let (_library, commit) = simple(&repositories, "library.git");
    let (app, _) = simple(&repositories, "app.git");
    let marker = repositories.root.path().join("marker");
    app.write(
        ".gitmodules",
        &format!(
            "[submodule \"x\"]\n\tpath = ../../fluxide-submodule-outside\n\turl = ../library.git\n\
             [submodule \"y\"]\n\tpath = lib\n\turl = ../library.git\n\tupdate = !touch {}\n",
            marker.display()
        ),
    );
    app.git(&["add", "-A"]);
    app.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},lib")]);
    app.git(&["commit", "-q", "-m", "x"]);
    app.push();
    let remote = Remote::new(&format!("{}/app.git", server.url)).unwrap();
    let directory = try_checkout(&remote, &recursive()).await.unwrap();
    assert_eq!(read(directory.path(), "lib/file.yaml"), "library.git");
    assert!(!marker.exists());
    assert!(!directory.path().parent().unwrap().join("fluxide-submodule-outside").exists());

    // A link in the place of the file is not followed.
    let bare = repositories.root.path().join("app.git");
    app.git(&["rm", "-q", "--cached", ".gitmodules"]);
    app.git(&["commit", "-q", "-m", "nothing"]);
    // Git's index refuses such a link; a tree made by hand does not.
    let script = "link=$(printf /etc/passwd | git hash-object -w --stdin)\n\
                  tree=$( (printf '120000 blob %s\\t.gitmodules\\n' $link; git ls-tree HEAD) | git mktree)\n\
                  git update-ref refs/heads/main $(git commit-tree -p HEAD -m link $tree)\n";
    app.git(&["-c", &format!("alias.link=!{}", script.replace('\n', ";")), "link"]);
    app.push();
    assert_eq!(run(&bare, &["ls-tree", "main", ".gitmodules"]).split(' ').next(), Some("120000"));
    let directory = try_checkout(&remote, &recursive()).await.unwrap();
    assert!(std::fs::read_dir(directory.path().join("lib")).unwrap().next().is_none());
}
