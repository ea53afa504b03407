//! Drives a real kubectl against the server, through everything people do with it.
//!
//! The binary is `$FLUXIDE_KUBECTL`, else the `kubectl` on `PATH`; without either the test says so and ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fluxide_apiserver::Server;

const APPLICATION: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: 'nginx:1.27', ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1', b: '2'}
";

const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the widget is.
            properties: {size: {type: integer, minimum: 1}, replicas: {type: integer}, text: {type: string, default: hi}}
          status: {type: object, properties: {replicas: {type: integer}}}
";

fn kubectl_binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FLUXIDE_KUBECTL") {
        return Some(path.into());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|dir| dir.join("kubectl")).find(|path| path.is_file())
}

struct Kubectl {
    binary: PathBuf,
    directory: PathBuf,
}

impl Kubectl {
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["--kubeconfig", "kubeconfig", "--cache-dir", "cache", "--namespace", "shop"])
            .args(words(line))
            .current_dir(&self.directory)
            .env("KUBE_EDITOR", "sed -i s/hello/edited/")
            .env_remove("KUBECONFIG");
        command
    }

    /// Runs a command; the answer is whether it succeeded, and what it printed.
    fn run(&self, line: &str, input: &str) -> (bool, String) {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text.into_owned())
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.ok_with(line, "")
    }

    #[track_caller]
    fn ok_with(&self, line: &str, input: &str) -> String {
        let (success, text) = self.run(line, input);
        assert!(success, "kubectl {line}: {text}");
        text
    }

    #[track_caller]
    fn says(&self, line: &str, wanted: &str) {
        let text = self.ok(line);
        assert!(text.contains(wanted), "kubectl {line}: no {wanted:?} in {text}");
    }

    #[track_caller]
    fn fails(&self, line: &str, input: &str, wanted: &str) {
        let (success, text) = self.run(line, input);
        assert!(!success && text.contains(wanted), "kubectl {line}: no {wanted:?} in {text}");
    }
}

/// The words of a command line; single quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            out.push(part.to_owned());
        } else {
            out.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works() {
    let Some(binary) = kubectl_binary() else {
        println!("skipped: no kubectl on PATH and none in FLUXIDE_KUBECTL");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::builder().start().await.unwrap();
    server.write_kubeconfig(&directory.path().join("kubeconfig")).unwrap();
    write(directory.path(), "app.yaml", APPLICATION);
    write(directory.path(), "app2.yaml", &APPLICATION.replace("replicas: 2", "replicas: 3"));
    write(directory.path(), "crd.yaml", DEFINITION);
    let kubectl = Kubectl { binary, directory: directory.path().to_owned() };
    tokio::task::spawn_blocking(move || {
        applying(&kubectl);
        reading(&kubectl);
        changing(&kubectl);
        watching(&kubectl);
        creating(&kubectl);
        rights(&kubectl);
        custom_resources(&kubectl);
        deleting(&kubectl);
    })
    .await
    .unwrap();
    server.shutdown().await;
}

fn write(directory: &Path, name: &str, contents: &str) {
    std::fs::write(directory.join(name), contents).unwrap();
}

fn applying(k: &Kubectl) {
    k.says("create namespace shop", "namespace/shop created");
    k.says("apply -f app.yaml", "deployment.apps/web created");
    k.says("apply -f app.yaml", "configmap/settings unchanged");
    k.says("apply -f app2.yaml", "deployment.apps/web configured");
    k.fails("diff -f app.yaml", "", "+  replicas: 2");
    k.says("apply --dry-run=server -f app.yaml", "(server dry run)");
    k.says("apply --server-side -f app2.yaml", "serverside-applied");
    k.fails("apply --server-side --field-manager=other -f app.yaml", "", "conflict with \"kubectl\"");
    k.says("apply --server-side --force-conflicts -f app.yaml", "deployment.apps/web serverside-applied");
    k.fails("diff --server-side -f app2.yaml", "", "+  replicas: 3");
    let unknown = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"datta":{}}"#;
    k.fails("apply -f -", unknown, "unknown field \"datta\"");
    k.says("rollout status deployment/web --timeout=60s", "successfully rolled out");
}

fn reading(k: &Kubectl) {
    k.says("get deployments", "2/2");
    k.says("get deployments -o wide", "nginx:1.27");
    k.says("get deployment web -o name", "deployment.apps/web");
    assert_eq!(k.ok("get deployment web -o jsonpath={.spec.replicas}"), "2");
    assert_eq!(k.ok("get deployment web -o go-template={{.metadata.name}}"), "web");
    k.says("get deployment web -o custom-columns=N:.metadata.name,R:.spec.replicas", "web   2");
    k.says("get configmap settings -o yaml", "kind: ConfigMap");
    k.says("get configmap settings -o json", "\"kind\": \"ConfigMap\"");
    k.says("get all", "service/web");
    k.says("get configmaps --all-namespaces --chunk-size=2", "settings");
    k.says("get configmaps --field-selector metadata.name=settings --show-labels", "settings");
    k.fails("get configmap nothing", "", "configmaps \"nothing\" not found");
    k.fails("get nothings", "", "doesn't have a resource type");
    k.says("describe deployment web", "2 desired | 2 updated | 2 total | 2 available");
    k.says("describe namespace shop", "Active");
    k.says("explain deployment.spec.replicas", "FIELD: replicas <integer>");
    k.says("explain pod.spec.containers.ports", "containerPort");
    k.says("api-resources", "customresourcedefinitions");
    k.says("api-versions", "apps/v1");
    k.says("version", "Server Version: v1.36");
    k.says("get --raw /readyz", "ok");
    k.says("logs deployment/web", "simulator");
}

fn changing(k: &Kubectl) {
    k.ok("patch configmap settings -p '{\"data\":{\"c\":\"3\"}}'");
    k.ok("patch configmap settings --type=json -p '[{\"op\":\"remove\",\"path\":\"/data/c\"}]'");
    k.ok("patch configmap settings --type=merge -p '{\"data\":{\"a\":null}}'");
    assert_eq!(k.ok("get configmap settings -o jsonpath={.data}"), "{\"b\":\"2\"}");
    k.says("label configmap settings x=y", "labeled");
    k.fails("label configmap settings x=z", "", "already has a value");
    k.says("annotate configmap settings note=hello", "annotated");
    k.says("edit configmap settings", "edited");
    assert_eq!(k.ok("get configmap settings -o jsonpath={.metadata.annotations.note}"), "edited");
    k.says("scale deployment web --replicas=1", "scaled");
    k.says("set image deployment/web main=nginx:1.28", "image updated");
    k.says("rollout status deployment/web --timeout=60s", "successfully rolled out");
    k.says("rollout restart deployment/web", "restarted");
    k.says("wait --for=condition=Available deployment/web --timeout=60s", "condition met");
}

fn watching(k: &Kubectl) {
    let mut child =
        k.command("get configmaps --watch --no-headers -o name").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = |wanted: &str| {
        let found = lines.by_ref().map(Result::unwrap).any(|line| line.contains(wanted));
        assert!(found, "the watch ended before {wanted}");
    };
    next("configmap/settings");
    k.ok("create configmap late --from-literal=k=v");
    next("configmap/late");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn creating(k: &Kubectl) {
    for line in [
        "create secret generic password --from-literal=p=w",
        "create deployment second --image=nginx:1",
        "create serviceaccount robot",
        "create role reader --verb=get,list --resource=configmaps",
        "create rolebinding reader --role=reader --serviceaccount=shop:robot",
        "create job once --image=busybox -- true",
        "create cronjob often --image=busybox '--schedule=* * * * *' -- true",
        "create quota small --hard=pods=10",
        "create ingress door --rule=a.example.com/=web:80",
        "run lonely --image=nginx:1 --restart=Never",
        "expose deployment second --port=80",
        "autoscale deployment second --min=1 --max=3",
    ] {
        k.ok(line);
    }
    k.says("wait --for=condition=Complete job/once --timeout=60s", "condition met");
    assert_eq!(k.ok("create token robot --duration=10m").trim().matches('.').count(), 2);
}

fn rights(k: &Kubectl) {
    k.says("auth can-i get configmaps --as=system:serviceaccount:shop:robot", "yes");
    k.fails("auth can-i delete configmaps --as=system:serviceaccount:shop:robot", "", "no");
    k.says("auth can-i --list --as=jane", "selfsubjectaccessreviews");
    k.says("auth whoami", "system:masters");
    k.fails("get secrets --as=jane", "", "User \"jane\" cannot list resource \"secrets\"");
    k.says("get configmaps --as=system:serviceaccount:shop:robot -o name", "configmap/settings");
}

fn custom_resources(k: &Kubectl) {
    let widget = |size: i64| {
        serde_json::json!({
            "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one"},
            "spec": {"size": size, "replicas": 1},
        })
        .to_string()
    };
    k.ok("apply -f crd.yaml");
    k.says("wait --for=condition=Established crd/widgets.example.com --timeout=20s", "condition met");
    k.ok_with("apply -f -", &widget(3));
    k.says("get wd", "3");
    k.says("explain widget.spec", "What the widget is.");
    k.fails("apply -f -", &widget(0), "should be greater than or equal to 1");
    k.says("scale widget one --replicas=4", "scaled");
    k.ok("patch widget one --subresource=status --type=merge -p '{\"status\":{\"replicas\":4}}'");
    assert_eq!(k.ok("get widget one -o jsonpath={.spec.text}{.status.replicas}"), "hi4");
    k.says("delete crd widgets.example.com", "deleted");
}

fn deleting(k: &Kubectl) {
    k.says("delete deployment second --cascade=orphan", "deleted");
    k.says("get replicasets -o name", "second");
    k.says("delete deployment web --cascade=foreground --timeout=60s", "deleted");
    k.says("delete job once --cascade=background", "deleted");
    k.says("delete services,configmaps --all", "deleted");
    k.says("delete namespace shop --timeout=60s", "deleted");
}
