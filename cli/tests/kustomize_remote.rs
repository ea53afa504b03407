//! `fluxide kustomize build` of bases and files that are elsewhere: a Git repository over smart HTTP, files over HTTP.
//!
//! What comes out is what kustomize 5.8.1 made of the same repository.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use fluxide::dev::git_server::GitServer;

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: remote}\n";

fn git(directory: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A bare repository `site.git` with the tag v1, and a branch that differs from it.
fn repository(root: &Path) {
    let work = root.join("work");
    std::fs::create_dir_all(work.join("deploy/base")).unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    std::fs::write(work.join("deploy/base/kustomization.yaml"), "resources: [cm.yaml]\n").unwrap();
    std::fs::write(work.join("deploy/base/cm.yaml"), CONFIG_MAP).unwrap();
    std::fs::write(work.join("deploy/kustomization.yaml"), "resources: [base]\nnamePrefix: r-\n").unwrap();
    std::fs::write(work.join("kustomization.yaml"), "resources: [deploy]\n").unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", "one"]);
    git(&work, &["tag", "v1"]);
    git(&work, &["checkout", "-q", "-b", "dev"]);
    std::fs::write(work.join("deploy/kustomization.yaml"), "resources: [base]\nnamePrefix: dev-\n").unwrap();
    git(&work, &["commit", "-q", "-a", "-m", "two"]);
    git(&work, &["checkout", "-q", "main"]);
    git(root, &["clone", "-q", "--bare", "work", "site.git"]);
}

fn build(directory: &Path, target: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fluxide"))
        .args(["kustomize", "build", target])
        .current_dir(directory)
        .env("HOME", directory)
        .env("TMPDIR", directory.join("tmp"))
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap()
}

#[track_caller]
fn succeeds(output: &Output, stdout: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
        (Some(0), stdout),
        "{errors}"
    );
}

#[track_caller]
fn fails(output: &Output, phrase: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{errors}");
    assert!(errors.starts_with("Error: ") && errors.contains(phrase), "{errors}");
}

fn named(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn git_repositories() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("repositories");
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(home.path().join("tmp")).unwrap();
    repository(&root);
    let server = GitServer::start(&root, None).await.unwrap();
    let url = server.url("site");
    let at = |rest: &str| build(home.path(), &format!("{url}{rest}"));

    succeeds(&at(""), &named("r-remote"));
    succeeds(&at("//deploy"), &named("r-remote"));
    succeeds(&at("//deploy/base"), &named("remote"));
    succeeds(&at("//deploy?ref=v1"), &named("r-remote"));
    succeeds(&at("//deploy?ref=dev"), &named("dev-remote"));
    succeeds(&at("//deploy?version=dev"), &named("dev-remote"));
    fails(&at("//deploy?ref=nope"), "nope");
    fails(&at("//nope"), "nope");
    fails(&build(home.path(), &server.url("absent")), "absent");

    let forced = build(home.path(), &format!("git::{url}//deploy"));
    succeeds(&forced, &named("r-remote"));
    assert!(String::from_utf8_lossy(&forced.stderr).contains("'git::' URL prefix is not supported"));

    std::fs::create_dir(home.path().join("over")).unwrap();
    let overlay =
        format!("resources: ['{url}//deploy?ref=v1']\nbuildMetadata: [originAnnotations]\nnamePrefix: t-\n");
    std::fs::write(home.path().join("over/kustomization.yaml"), overlay).unwrap();
    let expected = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    config.kubernetes.io/origin: |\n      path: \
         deploy/base/cm.yaml\n      repo: {url}\n      ref: v1\n  name: t-r-remote\n"
    );
    succeeds(&build(home.path(), "over"), &expected);

    let left: Vec<_> = std::fs::read_dir(home.path().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "checkouts are left: {left:?}");
}

#[test]
fn git_repositories_on_this_machine() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap().join("my repositories");
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(home.path().join("tmp")).unwrap();
    repository(&root);
    let url = format!("file://{}", root.to_str().unwrap().replace(' ', "%20"));
    let at = |rest: &str| build(home.path(), &format!("{url}/{rest}"));

    // A work tree, a bare repository, and a bare repository without the end of its name.
    succeeds(&at("work"), &named("r-remote"));
    succeeds(&at("site.git"), &named("r-remote"));
    succeeds(&at("site"), &named("r-remote"));
    succeeds(&at("site//deploy/base"), &named("remote"));
    succeeds(&at("site.git/deploy/base"), &named("remote"));
    succeeds(&build(home.path(), &format!("git::{url}/site//deploy")), &named("r-remote"));
    for reference in ["ref=dev", "version=dev", "ref=refs/heads/dev", "ref=heads/dev", "ref=&version=dev"] {
        succeeds(&at(&format!("site//deploy?{reference}&timeout=1m")), &named("dev-remote"));
    }
    for reference in ["ref=v1", "ref=tags/v1", "ref=HEAD", "ref=", "ref=a;b"] {
        succeeds(&at(&format!("site//deploy?{reference}")), &named("r-remote"));
    }
    let output =
        Command::new("git").args(["rev-parse", "dev"]).current_dir(root.join("work")).output().unwrap();
    let dev = String::from_utf8(output.stdout).unwrap();
    succeeds(&at(&format!("work//deploy?ref={}", dev.trim())), &named("dev-remote"));

    fails(&at("site//deploy?ref=nope"), "couldn't find remote ref \"nope\"");
    fails(&at(&format!("site//deploy?ref={}", "a".repeat(40))), "object not found");
    fails(&at(&format!("site//deploy?ref={}", &dev[..8])), "couldn't find remote ref");
    fails(&at("site//nope"), "nope");
    fails(&at("absent"), "does not appear to be a git repository");
    fails(&at("site//../work"), "not a valid directory");

    std::fs::create_dir(home.path().join("over")).unwrap();
    let overlay = format!("resources: ['{url}/site//deploy?ref=dev']\nnamePrefix: t-\n");
    std::fs::write(home.path().join("over/kustomization.yaml"), overlay).unwrap();
    succeeds(&build(home.path(), "over"), &named("t-dev-remote"));

    let left: Vec<_> = std::fs::read_dir(home.path().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "checkouts are left: {left:?}");
}

/// Git itself refuses submodules that are files, unless it is told that they are good.
#[test]
fn submodules_of_repositories_on_this_machine() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("tmp")).unwrap();
    repository(&root);
    let work = root.join("work");
    git(&work, &["-c", "protocol.file.allow=always", "submodule", "add", "-q", "../site.git", "lib"]);
    git(&work, &["commit", "-q", "-m", "three"]);
    let at = |rest: &str| build(&root, &format!("file://{}//deploy?ref=main{rest}", work.display()));
    fails(&at(""), "transport 'file' not allowed");
    fails(&at("&submodules=true"), "submodule 'lib'");
    succeeds(&at("&submodules=false"), &named("r-remote"));
}

/// Serves one file at `/cm.yaml`, and nothing else.
fn serve_files() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let found = request[..length].starts_with(b"GET /cm.yaml ");
            let (status, body) = if found { ("200 OK", CONFIG_MAP) } else { ("404 Not Found", "") };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[test]
fn files_over_http() {
    let home = tempfile::tempdir().unwrap();
    let address = serve_files();
    let kustomization = |text: String| {
        std::fs::write(home.path().join("kustomization.yaml"), text).unwrap();
        build(home.path(), ".")
    };
    succeeds(&kustomization(format!("resources: ['http://{address}/cm.yaml']\n")), &named("remote"));
    let generated = kustomization(format!(
        "configMapGenerator:\n- {{name: g, files: ['f=http://{address}/cm.yaml']}}\ngeneratorOptions: \
         {{disableNameSuffixHash: true}}\n"
    ));
    let text = CONFIG_MAP.replace('\n', "\n    ");
    let expected = format!(
        "apiVersion: v1\ndata:\n  f: |\n    {}\nkind: ConfigMap\nmetadata:\n  name: g\n",
        text.trim_end()
    );
    succeeds(&generated, &expected);
    fails(
        &kustomization(format!("resources: ['http://{address}/nope.yaml']\n")),
        &format!(
            "accumulating resources from 'http://{address}/nope.yaml': HTTP Error: status code 404 (Not Found)"
        ),
    );
    fails(&kustomization(format!("resources: ['http://{address}/org/nope']\n")), "URL is a git repository");
    fails(&kustomization("resources: ['http://127.0.0.1:1/a.yaml']\n".to_owned()), "127.0.0.1:1");
}
