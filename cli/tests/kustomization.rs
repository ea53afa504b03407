//! `fluxide build kustomization`, `fluxide diff kustomization` and `fluxide decrypt`, the program itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fluxide::dev::cluster::{client_from_kubeconfig, install_definitions};
use fluxide_apiserver::{RunningServer, Server};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

fn fluxide(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fluxide"))
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("SOPS_AGE_KEY")
        .env_remove("SOPS_AGE_KEY_FILE")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What was recorded of Flux: a repository, the Kustomizations that build it, and what its own command printed.
fn recorded(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kustomize-controller/tests/recorded").join(path)
}

/// A copy of the recorded repository at its second commit.
fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for commit in ["1", "2"] {
        copy(&recorded(&format!("fleet/{commit}")), directory.path());
    }
    let _ = std::fs::remove_file(directory.path().join("apps/prod/old.yaml"));
    std::fs::create_dir(directory.path().join(".git")).unwrap();
    directory
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn builds_as_flux_does_without_a_cluster() {
    let repository = repository();
    let path = repository.path().join("apps/prod");
    let file = recorded("scenario/kustomizations.yaml");
    let build =
        ["build", "kustomization", "webapp", "-n", "apps", "--path", path.to_str().unwrap(), "--dry-run"];
    let output = fluxide(&[&build[..], &["--kustomization-file", file.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = include_str!("recorded/build-kustomization-dry-run.yaml");
    assert_eq!(text(&output.stdout), expected);

    // Without a file the Kustomization is looked for in the repository.
    let missing = fluxide(&build);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("✗ dry-run mode requires a kustomization file"), "{missing:?}");
    std::fs::create_dir_all(repository.path().join("clusters/prod")).unwrap();
    std::fs::copy(&file, repository.path().join("clusters/prod/apps.yaml")).unwrap();
    assert_eq!(text(&fluxide(&build).stdout), expected);

    let absent = fluxide(&["build", "ks", "webapp", "--path", "/absent", "--dry-run"]);
    assert_eq!(absent.status.code(), Some(1));
    assert_eq!(text(&absent.stderr), "✗ invalid resource path \"/absent\"\n");
}

#[test]
fn builds_go_on_with_what_was_built_and_leave_out_what_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let kustomization = |name: &str, path: &str| {
        format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: apps}}\nspec:\n  interval: 1h\n  prune: true\n  path: {path}\n  sourceRef: {{kind: GitRepository, name: fleet}}\n"
        )
    };
    let map = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: apps}}\n")
    };
    write("root/self.yaml", &kustomization("root", "./root"));
    write("root/child.yaml", &kustomization("child", "./child"));
    write("root/skipped.yaml", "this is no manifest");
    write("child/a.yaml", &map("a"));
    write("child/back.yaml", &kustomization("root", "./root"));
    let path = directory.path().join("root");
    let file = path.join("self.yaml");
    let sources = format!("GitRepository/apps/fleet={}", directory.path().display());
    let build = |more: &[&str]| {
        let fixed = [
            "build",
            "ks",
            "root",
            "-n",
            "apps",
            "--dry-run",
            "--path",
            path.to_str().unwrap(),
            "--kustomization-file",
            file.to_str().unwrap(),
        ];
        fluxide(&[&fixed[..], more].concat())
    };
    let broken = build(&[]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stderr).contains("skipped.yaml"), "{broken:?}");
    let plain = build(&["--ignore-paths", "/skipped.yaml"]);
    assert_eq!(text(&plain.stdout).matches("---\n").count(), 2, "{plain:?}");
    let flags = ["--recursive=0", "--strict-substitute=F", "--in-memory-build=false"];
    let denied = build(&[&["--ignore-paths", "/skipped.yaml"], &flags[..]].concat());
    assert_eq!(denied.stdout, plain.stdout, "{denied:?}");
    let recursive = build(&["--ignore-paths", "skipped.yaml", "--recursive", "--local-sources", &sources]);
    let printed = text(&recursive.stdout);
    assert!(
        printed.contains("kind: ConfigMap") && printed.contains("kustomize.toolkit.fluxcd.io/name: child"),
        "{recursive:?}"
    );
    assert_eq!(printed.matches("---\n").count(), 4);
    let unknown = build(&["--ignore-paths", "skipped.yaml", "-r"]);
    assert!(
        text(&unknown.stderr).contains("cannot get local path for GitRepository/apps/fleet"),
        "{unknown:?}"
    );
}

/// A cluster with a Kustomization in it.
struct Cluster {
    client: Client,
    _server: RunningServer,
    directory: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        fluxide_runtime::tls::install_provider();
        let server = Server::builder().port(0).start().await.unwrap();
        let client = client_from_kubeconfig(&server.kubeconfig()).await.unwrap();
        install_definitions(&client).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        server.write_kubeconfig(&directory.path().join("kubeconfig")).unwrap();
        let cluster = Self { client, _server: server, directory };
        cluster
            .apply("kubectl", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}}))
            .await;
        cluster
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let api_version = object["apiVersion"].as_str().unwrap();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn apply(&self, manager: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api(&object)
            .patch(name, &PatchParams::apply(manager).force(), &Patch::Apply(&object))
            .await
            .unwrap();
    }

    async fn run(&self, arguments: Vec<String>) -> Output {
        let kubeconfig = self.directory.path().join("kubeconfig").display().to_string();
        let arguments =
            [arguments, vec!["-n".to_owned(), "apps".to_owned(), "--kubeconfig".to_owned(), kubeconfig]]
                .concat();
        let run = move || fluxide(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_told_and_secrets_are_not() {
    let cluster = Cluster::start().await;
    let manifests = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(manifests.path().join(name), content).unwrap();
    write(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: apps}\ndata: {colour: '${colour}', size: large}\n",
    );
    write(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: apps}\nstringData: {token: hunter2}\n",
    );
    cluster
        .apply("kubectl", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars", "namespace": "apps"}, "data": {"colour": "blue"}}))
        .await;
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": "apps"},
        "spec": {"interval": "1h", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            "postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}},
    });
    let path = manifests.path().display().to_string();
    let arguments = |what: &str| [what, "kustomization", "app", "--path", &path].map(str::to_owned).to_vec();
    let missing = cluster.run(arguments("diff")).await;
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    assert_eq!(
        text(&missing.stderr),
        "✗ failed to get kustomization object: kustomizations.kustomize.toolkit.fluxcd.io \"app\" not found\n"
    );
    cluster.apply("kubectl", kustomization.clone()).await;

    let created = cluster.run(arguments("diff")).await;
    assert_eq!(created.status.code(), Some(1), "{created:?}");
    assert_eq!(text(&created.stdout), "► ConfigMap/apps/settings created\n► Secret/apps/token created\n");
    assert_eq!(text(&created.stderr), "⚠️ identified at least one change, exiting with non-zero exit code\n");

    // What is built is what the controller applies.
    let built = cluster.run(arguments("build")).await;
    for document in text(&built.stdout).split("---\n").filter(|document| !document.is_empty()) {
        let object = Value::from(fluxide_goyaml::sigs::from_yaml(document.as_bytes()).unwrap());
        cluster.apply("kustomize-controller", object).await;
    }
    let none = cluster.run(arguments("diff")).await;
    assert_eq!(
        (none.status.code(), text(&none.stdout), text(&none.stderr)),
        (Some(0), String::new(), String::new())
    );

    write(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: apps}\ndata: {colour: red, weight: '1'}\n",
    );
    write(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: apps}\nstringData: {token: hunter3}\n",
    );
    let status = json!({"status": {"inventory": {"entries": [
        {"id": "apps_settings__ConfigMap", "v": "v1"}, {"id": "apps_old__Service", "v": "v1"}]}}});
    cluster
        .api(&kustomization)
        .patch_status("app", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    let drifted = cluster.run(arguments("diff")).await;
    assert_eq!(drifted.status.code(), Some(1));
    let printed = text(&drifted.stdout);
    let expected = "► ConfigMap/apps/settings drifted\n\ndata\n- one map entry removed:   + one map entry added:\nsize: large                  weight: 1\n\ndata.colour\n± value change\n- blue\n+ red\n\n► Secret/apps/token drifted\n\ndata.token\n± value change\n- *** (before)\n+ *** (after)\n\n► Service/apps/old deleted\n";
    assert_eq!(printed, expected);

    write("broken.yaml", "apiVersion: unknown.test/v1\nkind: Gadget\nmetadata: {name: g, namespace: apps}\n");
    let broken = cluster.run(arguments("diff")).await;
    assert_eq!(broken.status.code(), Some(2));
    assert!(
        text(&broken.stderr).contains("Gadget/apps/g dry-run failed: no matches for kind \"Gadget\""),
        "{broken:?}"
    );
    assert!(
        text(&broken.stdout).starts_with("► ConfigMap/apps/settings drifted"),
        "the others are told nevertheless"
    );
}

fn sops(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/sops/tests/corpus").join(path).display().to_string()
}

#[test]
fn files_are_decrypted_with_the_keys_given() {
    let (file, key) = (sops("files/dotenv-age.enc.env"), sops("keys/age1.agekey"));
    let plain = fluxide(&["decrypt", &file, "--age-key-file", &key]);
    assert!(plain.status.success(), "{plain:?}");
    assert!(text(&plain.stdout).contains("B=two words"), "{plain:?}");
    let check = fluxide(&["decrypt", &file, "--age-key-file", &key, "--check"]);
    assert!(text(&check.stdout).starts_with("✔ opened with age1"), "{check:?}");
    let wrong = fluxide(&["decrypt", &file, "--age-key-file", &sops("keys/age3.agekey")]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stdout.is_empty() && text(&wrong.stderr).contains("Group 0: FAILED"), "{wrong:?}");
    let none = fluxide(&["decrypt", &file]);
    assert!(text(&none.stderr).contains("no age identity is at hand"), "{none:?}");
    let plain = fluxide(&["decrypt", &key]);
    assert_eq!(plain.status.code(), Some(1));

    // Somebody added a label after it was encrypted.
    let changed = sops("files/res-extra-label.enc.yaml");
    let refused = fluxide(&["decrypt", &changed, "--age-key-file", &key]);
    assert!(refused.stdout.is_empty() && text(&refused.stderr).contains("MAC mismatch"), "{refused:?}");
    assert!(fluxide(&["decrypt", &changed, "--age-key-file", &key, "--ignore-mac"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_decrypted_with_the_keys_of_a_secret() {
    let cluster = Cluster::start().await;
    let identity = std::fs::read_to_string(sops("keys/age1.agekey")).unwrap();
    cluster
        .apply("kubectl", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "apps"}, "stringData": {"a.agekey": identity}}))
        .await;
    let arguments = |secret: &str| {
        ["decrypt", &sops("files/dotenv-age.enc.env"), "--secret", secret].map(str::to_owned).to_vec()
    };
    let plain = cluster.run(arguments("keys")).await;
    assert!(text(&plain.stdout).contains("B=two words"), "{plain:?}");
    let absent = cluster.run(arguments("absent")).await;
    assert_eq!(text(&absent.stderr), "✗ secrets \"absent\" not found\n");
}
