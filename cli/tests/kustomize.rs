//! The command line of `fluxide kustomize build` against what the real tool wrote and answered.
//!
//! `kustomize/recorded.jsonl` holds one run of kustomize 5.8.1 a line: arguments, exit code, standard output, standard
//! error and the files it wrote, all in a copy of `kustomize/tree`. `{DIR}` stands for the copy's path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    args: Vec<String>,
    code: i32,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, String>,
}

/// A copy of the tree in which commands run.
struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize/tree");
        copy(&source, &directory.path().join("tree"));
        let tree = Tree { directory };
        std::fs::create_dir(tree.path().join("app-files")).unwrap();
        tree
    }

    fn path(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("tree")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn build(&self, args: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_fluxide"))
            .args(["kustomize", "build"])
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .output()
            .unwrap();
        Run::new(output, &self.path())
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[derive(Debug)]
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn new(output: Output, directory: &Path) -> Run {
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(directory.to_str().unwrap(), "{DIR}");
        Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn fails_with(&self, phrase: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (1, ""), "{}", self.stderr);
        assert!(self.stderr.starts_with("Error: ") && self.stderr.contains(phrase), "{}", self.stderr);
    }

    #[track_caller]
    fn succeeds_with(&self, stdout: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (0, stdout), "{}", self.stderr);
    }
}

/// Whether our message is kustomize's, or kustomize's with something better behind it or in place of a dump of Go.
fn same_message(recorded: &str, ours: &str) -> bool {
    if recorded.contains("map[string]interface {}{") {
        return recorded.rsplit_once("}: ").is_some_and(|(_, problem)| ours.contains(problem.trim_end()));
    }
    ours == recorded || ours.starts_with(recorded.trim_end()) && recorded.starts_with("Error: ")
}

#[test]
fn every_recorded_command_line() {
    let text = include_str!("kustomize/recorded.jsonl");
    let mut failures = Vec::new();
    for line in text.lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let tree = Tree::new();
        let directory = tree.path();
        let args: Vec<String> =
            recorded.args.iter().map(|arg| arg.replace("{DIR}", directory.to_str().unwrap())).collect();
        let run = tree.build(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut problems = Vec::new();
        if run.code != recorded.code {
            problems.push("exit code".to_owned());
        }
        if run.stdout != recorded.stdout {
            problems.push(format!("stdout {:?} instead of {:?}", run.stdout, recorded.stdout));
        }
        if !same_message(&recorded.stderr, &run.stderr) {
            problems.push(format!("stderr {:?} instead of {:?}", run.stderr, recorded.stderr));
        }
        let files = written(&directory);
        if files != recorded.files {
            problems.push(format!("files {:?} instead of {:?}", files.keys(), recorded.files.keys()));
        }
        if !problems.is_empty() {
            failures.push(format!("{:?}: {}", recorded.args, problems.join("; ")));
        }
    }
    assert!(text.lines().count() >= 75);
    assert!(failures.is_empty(), "{} fail\n{}", failures.len(), failures.join("\n"));
}

fn written(directory: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    if let Ok(text) = std::fs::read_to_string(directory.join("out.yaml")) {
        files.insert("out.yaml".to_owned(), text);
    }
    for entry in std::fs::read_dir(directory.join("app-files")).unwrap() {
        let entry = entry.unwrap();
        let name = format!("app-files/{}", entry.file_name().to_str().unwrap());
        files.insert(name, std::fs::read_to_string(entry.path()).unwrap());
    }
    files
}

const ONE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

#[test]
fn flux_mode_generates_what_is_missing() {
    let tree = Tree::new();
    let both = format!("{ONE}---\n{}", ONE.replace("name: a", "name: z"));
    tree.build(&["--mode", "flux", "plain"]).succeeds_with(&both);
    tree.build(&["--mode", "flux", "--root", "plain", "plain/sub"]).succeeds_with(ONE);
    assert!(!tree.path().join("plain/kustomization.yaml").exists());
}

#[test]
fn flux_mode_reads_everywhere_below_the_root_and_nowhere_else() {
    let tree = Tree::new();
    let run = tree.build(&["--mode", "flux", "outside"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n"),
        "{}",
        run.stdout
    );
    tree.build(&["--mode", "flux", "--root", "outside", "outside"]).fails_with("no such file or directory");
    tree.build(&["--mode", "flux", "--root", "app", "plain"]).fails_with("is not in or below the root");
    tree.build(&["--mode", "flux", "--root", "nowhere", "plain"]).fails_with("cannot use --root nowhere");
    tree.build(&["--root", "app", "app"]).fails_with("--root is for --mode flux");
}

#[test]
fn flux_mode_follows_no_link_out_of_the_root() {
    let tree = Tree::new();
    tree.write("secret.yaml", ONE);
    std::fs::create_dir(tree.path().join("linked")).unwrap();
    std::os::unix::fs::symlink("../secret.yaml", tree.path().join("linked/kustomization.yaml")).unwrap();
    let run = tree.build(&["--mode", "flux", "--root", "linked", "linked"]);
    run.fails_with("fs-security-constraint walk /kustomization.yaml");
}

#[test]
fn flux_mode_names_what_is_wrong() {
    let tree = Tree::new();
    tree.build(&["--mode", "flux", "nope"]).fails_with("no such file or directory");
    tree.build(&["--mode", "flux", "missing"]).fails_with("kustomize build failed: accumulating resources");
    tree.write("values/values.yaml", "replicas: 1\n");
    tree.build(&["--mode", "flux", "values"])
        .fails_with("failed to decode Kubernetes YAML from /values/values.yaml: missing Resource metadata");
    tree.build(&["--mode", "flux", "https://github.com/org/repo"]).fails_with("clone it and give its path");
    tree.build(&["--mode", "nonsense", "app"]).fails_with("nonsense");
}

#[test]
fn remote_bases_can_be_refused() {
    let tree = Tree::new();
    tree.write("remote/kustomization.yaml", "resources: ['https://127.0.0.1:1/org/repo']\n");
    tree.build(&["--no-remote-bases", "remote"]).fails_with("remote bases are disabled");
    tree.build(&["--no-remote-bases", "https://127.0.0.1:1/org/repo"])
        .fails_with("remote bases are disabled");
}

/// What a build of hostile input may take of address space, the debug binary and its threads included.
const MEMORY_KIB: u32 = 1_500_000;

#[test]
fn hostile_input_ends_in_an_error_within_bounds() {
    let tree = Tree::new();
    let anchors: String = (1..40)
        .map(|level| {
            format!("b{level}: &b{level} [{}]\n", [format!("*b{}", level - 1).as_str(); 8].join(", "))
        })
        .collect();
    let bomb = format!("{ONE}b0: &b0 [x, x, x, x, x, x, x, x]\n{anchors}");
    let many: String =
        (0..1000).map(|at| format!("{}---\n", ONE.replace("name: a", &format!("name: a{at}")))).collect();
    let long = "x".repeat(2 << 20);
    let cases = [
        ("aliases", "resources: [r.yaml]\n".to_owned(), bomb, "excessive aliasing"),
        ("nesting", "resources: [r.yaml]\n".to_owned(), "[".repeat(1 << 20), "exceeded max depth"),
        ("growth", format!("resources: [r.yaml]\nnamePrefix: {long}\n"), many, "limit"),
        (
            "expression",
            "resources: [r.yaml]\npatches:\n- target: {name: '((((((a{100}){100}){100}){100}){100}){100})'}\n  patch: \
             '- {op: add, path: /data, value: {}}'\n"
                .to_owned(),
            ONE.to_owned(),
            "error parsing regexp",
        ),
    ];
    for (name, kustomization, resource, phrase) in cases {
        tree.write(&format!("{name}/kustomization.yaml"), &kustomization);
        tree.write(&format!("{name}/r.yaml"), &resource);
        bounded(&tree, name).fails_with(phrase);
    }
    tree.write("huge/kustomization.yaml", "resources: [r.yaml]\n");
    std::fs::File::create(tree.path().join("huge/r.yaml")).unwrap().set_len(100 << 20).unwrap();
    bounded(&tree, "huge").fails_with("is larger than");
}

fn bounded(tree: &Tree, directory: &str) -> Run {
    let start = std::time::Instant::now();
    let script = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" kustomize build \"$1\"");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_fluxide"), directory])
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert!(start.elapsed().as_secs() < 120, "{directory} took {:?}", start.elapsed());
    Run::new(output, &tree.path())
}
