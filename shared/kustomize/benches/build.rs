//! How long two large builds take: three layers over 500 resources, and 3.5 MB of custom resource definitions.
//!
//! `cargo bench -p fluxide-kustomize` prints the best of several runs. `cargo bench -p fluxide-kustomize -- write DIR`
//! writes both trees to a directory instead, to build them with `fluxide kustomize build` and with other tools.

use fluxide_kustomize::{MemoryFs, Options, build};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    let trees = [
        ("layers", "/layers/production", layers(500)),
        ("definitions", "/definitions", definitions(3_500_000)),
    ];
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [word, directory] = arguments.as_slice()
        && word == "write"
    {
        for (name, _, files) in &trees {
            for (path, content) in files {
                let path = Path::new(directory).join(path.trim_start_matches('/'));
                std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
                    .expect("the directory is writable");
                std::fs::write(path, content).expect("the directory is writable");
            }
            println!("{directory}/{name}");
        }
        return;
    }
    for (name, directory, files) in trees {
        let mut fs = MemoryFs::new();
        files.into_iter().for_each(|(path, content)| fs.insert(&path, content));
        let mut best = Duration::MAX;
        let mut size = 0;
        for _ in 0..7 {
            let start = Instant::now();
            let resources = build(&fs, directory, &Options::kustomize()).expect("the tree builds");
            size = resources.to_yaml().expect("the resources can be printed").len();
            best = best.min(start.elapsed());
        }
        println!("{name:<12} {:>7.1} ms  ({size} bytes)", best.as_secs_f64() * 1e3);
    }
}

/// A base of applications, a layer for all environments, and one for production.
fn layers(resources: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut names = String::new();
    for app in 0..resources / 5 {
        let _ = writeln!(names, "- app{app}.yaml");
        files.push((format!("/layers/base/app{app}.yaml"), application(app)));
    }
    files.push((
        "/layers/base/kustomization.yaml".into(),
        format!("resources:\n{names}commonLabels:\n  team: platform\n"),
    ));
    files.push((
        "/layers/common/kustomization.yaml".into(),
        "resources: [../base]\nnamespace: apps\nnamePrefix: shop-\ncommonAnnotations: {contact: platform@example.com}\n\
         configMapGenerator:\n- name: features\n  literals: [dark=true, beta=false]\nimages:\n- name: example.com/app\n  \
         newTag: v2.3.4\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - op: add\n      path: \
         /spec/template/spec/priorityClassName\n      value: normal\n"
            .into(),
    ));
    let mut patches = String::new();
    for app in (0..resources / 5).step_by(10) {
        let _ = write!(
            patches,
            "- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata:\n      name: app{app}\n    spec:\n      \
             template:\n        spec:\n          containers:\n          - name: main\n            resources:\n              \
             limits:\n                memory: 1Gi\n"
        );
    }
    files.push((
        "/layers/production/kustomization.yaml".into(),
        format!(
            "resources: [../common]\nnameSuffix: -prod\nlabels:\n- pairs: {{env: production}}\n  includeSelectors: true\n\
             replicas:\n- name: app1\n  count: 5\npatches:\n{patches}replacements:\n- source: {{kind: ConfigMap, name: config0, \
             fieldPath: data.region}}\n  targets:\n  - select: {{kind: Deployment}}\n    fieldPaths: \
             [spec.template.metadata.annotations.region]\n    options: {{create: true}}\n"
        ),
    ));
    files
}

/// Five resources that refer to each other.
fn application(app: usize) -> String {
    format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: account{app}\n---\napiVersion: v1\nkind: ConfigMap\n\
         metadata:\n  name: config{app}\ndata:\n  region: eu-{app}\n  settings.yaml: |\n    log: info\n    port: 8080\n    \
         upstream: http://app{app}:80/api\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: secret{app}\nstringData:\n  \
         token: '{app}'\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: app{app}\nspec:\n  selector:\n    app: \
         app{app}\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n---\napiVersion: apps/v1\nkind: Deployment\n\
         metadata:\n  name: app{app}\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: app{app}\n  template:\n    \
         metadata:\n      labels:\n        app: app{app}\n    spec:\n      serviceAccountName: account{app}\n      \
         containers:\n      - name: main\n        image: example.com/app:v1\n        args: [--port, '8080', --verbose]\n        \
         ports:\n        - containerPort: 8080\n        env:\n        - name: TOKEN\n          valueFrom:\n            \
         secretKeyRef:\n              name: secret{app}\n              key: token\n        - name: FEATURES\n          \
         valueFrom:\n            configMapKeyRef:\n              name: features\n              key: dark\n        \
         volumeMounts:\n        - name: config\n          mountPath: /etc/app\n        resources:\n          requests:\n            \
         cpu: 100m\n            memory: 128Mi\n      volumes:\n      - name: config\n        configMap:\n          name: \
         config{app}\n"
    )
}

/// Definitions as controller-gen writes them, at least `size` bytes of them, with a patch and a label.
fn definitions(size: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let (mut total, mut names) = (0, String::new());
    for number in 0.. {
        let mut text = format!(
            "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  annotations:\n    \
             controller-gen.kubebuilder.io/version: v0.19.0\n  name: things{number}.example.com\nspec:\n  group: \
             example.com\n  names:\n    kind: Thing{number}\n    listKind: Thing{number}List\n    plural: \
             things{number}\n  scope: Namespaced\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n"
        );
        properties(&mut text, 8, 20);
        text.push_str("    served: true\n    storage: true\n    subresources:\n      status: {}\n");
        total += text.len();
        let _ = writeln!(names, "- crd{number}.yaml");
        files.push((format!("/definitions/crd{number}.yaml"), text));
        if total >= size {
            break;
        }
    }
    let kustomization = format!(
        "resources:\n{names}labels:\n- pairs: {{app: things}}\npatches:\n- target: {{kind: CustomResourceDefinition, name: \
         things1.*}}\n  patch: |-\n    - op: add\n      path: /metadata/annotations/patched\n      value: 'true'\n"
    );
    files.push(("/definitions/kustomization.yaml".into(), kustomization));
    files
}

fn properties(text: &mut String, indent: usize, depth: usize) {
    let pad = " ".repeat(indent);
    let _ = write!(
        text,
        "{pad}description: |-\n{pad}  An object of the schema, described at some length.\n{pad}  More info: \
         https://example.com/docs#{depth}\n{pad}properties:\n"
    );
    for field in ["name", "replicas", "enabled", "selector"] {
        let _ = writeln!(text, "{pad}  {field}:");
        if depth > 0 && field == "selector" {
            properties(text, indent + 4, depth - 1);
            continue;
        }
        let _ = write!(
            text,
            "{pad}    description: The {field} of the object, which is 'quoted' and long enough for two lines\n{pad}      \
             of text.\n{pad}    type: string\n{pad}    pattern: ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$\n{pad}    maxLength: 253\n\
             {pad}    default: \"a: b\"\n{pad}    enum:\n{pad}    - One\n{pad}    - Two\n"
        );
    }
    let _ = write!(text, "{pad}required:\n{pad}- name\n{pad}type: object\n");
}
