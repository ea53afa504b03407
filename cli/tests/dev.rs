//! `fluxide dev` as a user runs it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fluxide::dev::cluster::client_from_kubeconfig;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;

/// How long anything may take on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(120);

fn fluxide(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxide"));
    command.env("TMPDIR", home);
    command
}

fn once(arguments: &[&str]) -> (Output, Vec<PathBuf>) {
    let home = tempfile::tempdir().unwrap();
    let output = fluxide(home.path()).args(["dev", "--once"]).args(arguments).output().unwrap();
    let left = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    (output, left)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_example_becomes_ready_and_leaves_nothing_behind() {
    let (output, left) = once(&[]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("objects are Ready"), "{}", text(&output.stdout));
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn a_repository_that_cannot_be_applied_ends_with_the_reason() {
    let repository = tempfile::tempdir().unwrap();
    let gadget = "apiVersion: example.com/v1\nkind: Gadget\nmetadata:\n  name: mine\n  namespace: default\n";
    std::fs::create_dir(repository.path().join("cluster")).unwrap();
    std::fs::write(repository.path().join("cluster/gadget.yaml"), gadget).unwrap();
    let (output, left) = once(&["--repo", repository.path().to_str().unwrap(), "--path", "./cluster"]);
    assert_eq!(output.status.code(), Some(1));
    let reasons = text(&output.stderr);
    assert!(reasons.contains("Gadget/default/mine") && reasons.contains("example.com/v1"), "{reasons}");
    assert_eq!(left, Vec::<PathBuf>::new());
    assert!(!repository.path().join(".git").exists(), "the directory was changed");
}

/// A running `fluxide dev`; killed if the test fails.
struct Dev {
    process: Child,
    kubeconfig: PathBuf,
    repository: PathBuf,
}

impl Dev {
    fn start(home: &Path) -> Self {
        let mut process = fluxide(home).arg("dev").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut path = |label: &str| {
            let line = lines.next().unwrap().unwrap();
            PathBuf::from(line.strip_prefix(label).unwrap_or_else(|| panic!("{line}")).trim())
        };
        let (kubeconfig, repository) = (path("► kubeconfig"), path("► repository"));
        // Nobody reads on, so that the process must bear it.
        Self { process, kubeconfig, repository }
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git").args(arguments).current_dir(&self.repository).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended if the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < end, "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_reaches_the_cluster_and_what_is_deleted_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(home.path());
    fluxide_runtime::tls::install_provider();
    let client = client_from_kubeconfig(&std::fs::read_to_string(&dev.kubeconfig).unwrap()).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "webapp");
    let replicas = async || {
        let found = deployments.get_opt("webapp").await.unwrap();
        found.map(|found| (found.metadata.uid, found.spec.and_then(|spec| spec.replicas)))
    };
    let (first, _) =
        until("the first deployment", async || replicas().await.filter(|r| r.1 == Some(2))).await;

    let file = dev.repository.join("apps/overlays/dev/kustomization.yaml");
    let overlay = std::fs::read_to_string(&file).unwrap();
    assert!(overlay.contains("count: 2"), "the README changes this line: {overlay}");
    std::fs::write(&file, overlay.replace("count: 2", "count: 3")).unwrap();
    dev.git(&["commit", "--quiet", "--all", "--message", "Scale the web application"]);
    dev.git(&["push", "--quiet"]);
    let (second, _) = until("the push", async || replicas().await.filter(|r| r.1 == Some(3))).await;
    assert_eq!(first, second, "the Deployment was made anew");

    deployments.delete("webapp", &DeleteParams::default()).await.unwrap();
    let kustomization = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(
        "kustomize.toolkit.fluxcd.io",
        "v1",
        "Kustomization",
    ));
    let kustomizations: Api<DynamicObject> = Api::namespaced_with(client, "flux-system", &kustomization);
    let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
    kustomizations.patch("apps", &PatchParams::default(), &Patch::Merge(&request)).await.unwrap();
    until("the deleted one", async || replicas().await.filter(|r| r.0 != first && r.1 == Some(3))).await;

    let pid = dev.process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = dev.process.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "something is left behind");
}
