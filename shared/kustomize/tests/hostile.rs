//! Input made to hurt: every build here must end in an error, soon and without much memory.

use fluxide_kustomize::{DiskFs, LoadRestrictor, MemoryFs, Options, build};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: b\n";

/// Far more than any of them needs, even on a busy machine in a debug build.
const SOON: Duration = Duration::from_secs(60);

#[track_caller]
fn fails(fs: &MemoryFs, directory: &str, phrase: &str) {
    let start = Instant::now();
    let result = build(fs, directory, &Options::kustomize()).and_then(|resources| resources.to_yaml());
    let error = match result {
        Ok(text) => panic!("built {} bytes", text.len()),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(phrase), "{}", &error[..error.len().min(500)]);
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
}

fn overlay(kustomization: &str, resource: &str) -> MemoryFs {
    MemoryFs::new().with("/a/kustomization.yaml", kustomization).with("/a/r.yaml", resource)
}

#[test]
fn alias_bomb() {
    let mut text = String::from(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nb0: &b0 [x, x, x, x, x, x, x, x]\n",
    );
    for level in 1..40 {
        let previous = format!("*b{}", level - 1);
        text.push_str(&format!("b{level}: &b{level} [{}]\n", [previous.as_str(); 8].join(", ")));
    }
    fails(&overlay("resources: [r.yaml]\n", &text), "/a", "excessive aliasing");
}

#[test]
fn alias_bomb_in_the_kustomization() {
    let mut text = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a]\n");
    for level in 1..40 {
        let previous = format!("*x{}", level - 1);
        text.push_str(&format!("x{level}: &x{level} [{}]\n", [previous.as_str(); 9].join(", ")));
    }
    fails(&overlay(&text, CONFIG_MAP), "/a", "excessive aliasing");
}

#[test]
fn anchor_that_contains_itself() {
    fails(&overlay("resources: [r.yaml]\n", "a: &a [*a]\n"), "/a", "contains itself");
}

#[test]
fn deep_nesting() {
    for text in ["[".repeat(1_000_000), "{a: ".repeat(1_000_000), "- ".repeat(1_000_000), {
        (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()
    }] {
        fails(&overlay("resources: [r.yaml]\n", &text), "/a", "exceeded max depth");
        fails(&overlay(&text, CONFIG_MAP), "/a", "exceeded max depth");
    }
}

#[test]
fn bases_that_refer_to_each_other() {
    let fs = MemoryFs::new()
        .with("/a/kustomization.yaml", "resources: [../b]\n")
        .with("/b/kustomization.yaml", "components: [../c]\nnamePrefix: x\n")
        .with("/c/kustomization.yaml", "kind: Component\nresources: [../a]\n");
    fails(&fs, "/a", "cycle detected");
    fails(&overlay("resources: [.]\n", CONFIG_MAP), "/a", "cycle detected");
}

/// Every level names the one below it twice: 2^40 loads.
#[test]
fn bases_that_multiply() {
    let mut fs = MemoryFs::new().with("/l0/kustomization.yaml", "namePrefix: x\n");
    for level in 1..40 {
        let below = level - 1;
        let text = format!("resources: [../l{below}, ../l{below}]\n");
        fs.insert(&format!("/l{level}/kustomization.yaml"), text);
    }
    fails(&fs, "/l39", "files of the build exceed");
}

#[test]
fn long_chain_of_bases() {
    let mut fs = MemoryFs::new().with("/l0/kustomization.yaml", "namePrefix: x\n");
    for level in 1..500 {
        let text = format!("resources: [../l{}]\n", level - 1);
        fs.insert(&format!("/l{level}/kustomization.yaml"), text);
    }
    fails(&fs, "/l499", "deep");
}

#[test]
fn escapes_from_the_root() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    std::fs::write(root.join("secret.yaml"), CONFIG_MAP).unwrap();
    std::fs::create_dir_all(root.join("repo/app/base")).unwrap();
    std::fs::create_dir_all(root.join("outside")).unwrap();
    std::fs::write(root.join("outside/kustomization.yaml"), "resources: [../secret.yaml]\n").unwrap();
    symlink(root.join("secret.yaml"), root.join("repo/app/link.yaml")).unwrap();
    symlink(root.join("outside"), root.join("repo/app/linked")).unwrap();
    let fs = DiskFs::new(root.join("repo")).unwrap();
    let app = root.join("repo/app");
    let app = app.to_str().unwrap();
    let refused = |text: &str, options: &Options<'_>, phrase: &str| {
        std::fs::write(root.join("repo/app/kustomization.yaml"), text).unwrap();
        let error = build(&fs, app, options).unwrap_err().to_string();
        assert!(error.contains(phrase), "{text}: {error}");
    };
    let absolute = root.join("secret.yaml").display().to_string();
    for path in ["../../secret.yaml", "link.yaml", "linked", "../../outside", &absolute] {
        let confined = "fs-security-constraint";
        refused(&format!("resources: ['{path}']\n"), &Options::flux(), confined);
        let component = if path.starts_with('/') { "cannot be absolute" } else { "is not in or below" };
        refused(&format!("components: ['{path}']\n"), &Options::flux(), component);
        refused(&format!("patches: [{{path: '{path}'}}]\nnamePrefix: x\n"), &Options::flux(), confined);
        let generator = format!("configMapGenerator: [{{name: x, files: ['{path}']}}]\n");
        refused(&generator, &Options::flux(), confined);
        refused(&format!("configurations: ['{path}']\nnamePrefix: x\n"), &Options::flux(), confined);
        refused(&format!("openapi: {{path: '{path}'}}\nnamePrefix: x\n"), &Options::flux(), confined);
        refused(&format!("replacements: [{{path: '{path}'}}]\n"), &Options::flux(), confined);
        refused(&format!("crds: ['{path}']\n"), &Options::flux(), confined);
    }
    let whole = DiskFs::new("/").unwrap();
    std::fs::write(root.join("repo/app/kustomization.yaml"), "resources: [link.yaml]\n").unwrap();
    let error = build(&whole, app, &Options::kustomize()).unwrap_err().to_string();
    assert!(error.contains("security; file"), "{error}");
    let free = Options::kustomize().with_load_restrictor(LoadRestrictor::None);
    assert_eq!(build(&whole, app, &free).unwrap().len(), 1);
}

#[test]
fn huge_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    std::fs::File::create(root.join("r.yaml")).unwrap().set_len(100 << 20).unwrap();
    std::fs::write(root.join("kustomization.yaml"), "resources: [r.yaml]\n").unwrap();
    let fs = DiskFs::new(&root).unwrap();
    let error = build(&fs, root.to_str().unwrap(), &Options::flux()).unwrap_err().to_string();
    assert!(error.contains("is larger than"), "{error}");
}

#[test]
fn expressions_that_explode() {
    let bomb = "((((((a{100}){100}){100}){100}){100}){100})";
    let patch = "patch: '- {op: add, path: /data/x, value: y}'";
    fails(
        &overlay(
            &format!("resources: [r.yaml]\npatches:\n- target: {{name: '{bomb}'}}\n  {patch}\n"),
            CONFIG_MAP,
        ),
        "/a",
        "error parsing regexp",
    );
    let replacement = format!(
        "resources: [r.yaml]\nreplacements:\n- sourceValue: x\n  targets:\n  - select: {{name: '{bomb}'}}\n    \
         fieldPaths: [data.a]\n"
    );
    fails(&overlay(&replacement, CONFIG_MAP), "/a", "error parsing regexp");
    fails(
        &overlay(&format!("resources: [r.yaml]\nimages: [{{name: '{bomb}', newTag: x}}]\n"), CONFIG_MAP),
        "/a",
        "",
    );
}

fn definitions(last: &str) -> String {
    let mut text =
        String::from("T: {Schema: {properties: {apiVersion: {}, kind: {}, metadata: {}, a: {$ref: D0}}}}\n");
    for level in 0..60 {
        let next = level + 1;
        text.push_str(&format!(
            "D{level}: {{Schema: {{properties: {{a: {{$ref: D{next}}}, b: {{$ref: D{next}}}, c: {{$ref: T}}}}}}}}\n"
        ));
    }
    text.push_str(&format!("D60: {{Schema: {{properties: {{a: {{{last}}}}}}}}}\n"));
    text
}

/// Definitions that lead to more fields than there are atoms, and to themselves.
#[test]
fn definition_bomb() {
    let text = "resources: [r.yaml]\ncrds: [crd.yaml]\n";
    let reference = "x-kubernetes-object-ref-api-version: v1, x-kubernetes-object-ref-kind: Secret";
    for last in ["", reference, "x-kubernetes-annotation: ''"] {
        let fs = overlay(text, CONFIG_MAP).with("/a/crd.yaml", definitions(last));
        fails(&fs, "/a", "definitions of CRDs");
    }
    let mut deep = definitions("");
    for level in 61..5_000 {
        let next = level + 1;
        deep.push_str(&format!("D{level}: {{Schema: {{properties: {{a: {{$ref: D{next}}}}}}}}}\n"));
    }
    let deep = deep.replace("{$ref: D0}", "{$ref: D61}");
    fails(&overlay(text, CONFIG_MAP).with("/a/crd.yaml", deep), "/a", "depth of the definitions");
    let recursive = "T: {Schema: {properties: {apiVersion: {}, kind: {}, metadata: {}, a: {$ref: T}}}}\n";
    let fs = overlay(text, CONFIG_MAP).with("/a/crd.yaml", recursive);
    assert_eq!(build(&fs, "/a", &Options::kustomize()).unwrap().len(), 1);
}

/// What a backtracking engine would never finish.
#[test]
fn expressions_that_backtrack() {
    let name = "a".repeat(200);
    let resource = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}b\n");
    let patch = "patch: '- {op: add, path: /data, value: {x: y}}'";
    let text = format!("resources: [r.yaml]\npatches:\n- target: {{name: '(a*)*(a*)*(a+)+c'}}\n  {patch}\n");
    let start = Instant::now();
    let resources = build(&overlay(&text, &resource), "/a", &Options::kustomize()).unwrap();
    assert_eq!(resources.len(), 1);
    assert!(start.elapsed() < SOON);
}

fn many(count: usize) -> String {
    (0..count)
        .map(|n| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{n}\ndata:\n  a: b\n---\n"))
        .collect()
}

#[test]
fn small_files_that_become_large() {
    let long = "x".repeat(2 << 20);
    let resources = many(1_000);
    for text in [
        format!("namePrefix: {long}\n"),
        format!("namespace: {long}\n"),
        format!("commonAnnotations: {{a: {long}}}\n"),
        format!("labels: [{{pairs: {{a: {long}}}}}]\n"),
        format!(
            "patches: [{{target: {{kind: ConfigMap}}, patch: '- {{op: add, path: /data/x, value: {long}}}'}}]\n"
        ),
        format!(
            "replacements: [{{sourceValue: {long}, targets: [{{select: {{kind: ConfigMap}}, fieldPaths: [data.a]}}]}}]\n"
        ),
    ] {
        fails(&overlay(&format!("resources: [r.yaml]\n{text}"), &resources), "/a", "limit");
    }
}

#[test]
fn variable_bomb() {
    let long = "x".repeat(1 << 20);
    let references = "$(LONG)".repeat(100_000);
    let resource = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: source\ndata:\n  a: {long}\n---\napiVersion: v1\nkind: Pod\n\
         metadata:\n  name: p\nspec:\n  containers:\n  - name: c\n    env:\n    - name: E\n      value: {references}\n"
    );
    let text = "resources: [r.yaml]\nvars:\n- name: LONG\n  objref: {apiVersion: v1, kind: ConfigMap, name: source}\n  \
                fieldref: {fieldPath: data.a}\n";
    fails(&overlay(text, &resource), "/a", "limit");
}

/// Each replacement doubles what the next one copies.
#[test]
fn replacements_that_double() {
    let mut text = String::from("resources: [r.yaml]\nreplacements:\n");
    for step in 0..60 {
        text.push_str(&format!(
            "- source: {{kind: ConfigMap, name: settings, fieldPath: data}}\n  targets:\n  - select: {{kind: ConfigMap}}\n    \
             fieldPaths: [data.x{step}]\n    options: {{create: true}}\n"
        ));
    }
    fails(&overlay(&text, CONFIG_MAP), "/a", "limit");
}

#[test]
fn image_bomb() {
    let containers = "  - image: a\n".repeat(20_000);
    let resource =
        format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n{containers}");
    let text = format!("resources: [r.yaml]\nimages: [{{name: a, newName: {}}}]\n", "x".repeat(1 << 20));
    fails(&overlay(&text, &resource), "/a", "limit");
}

#[test]
fn copies_in_a_json_patch() {
    let mut patch = String::from("- {op: add, path: /data/b, value: [x, x, x, x, x, x, x, x]}\n");
    for _ in 0..64 {
        patch.push_str("      - {op: copy, from: /data/b, path: /data/b/-}\n");
    }
    let text =
        format!("resources: [r.yaml]\npatches:\n- target: {{kind: ConfigMap}}\n  patch: |\n      {patch}");
    fails(&overlay(&text, CONFIG_MAP), "/a", "over the limit");
}
