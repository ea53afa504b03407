//! The conformance corpus: every case built in both modes and compared with what the real tool gave.

use fluxide_goyaml::parse_one;
use fluxide_kustomize::{DiskFs, LoadRestrictor, Options, build, name_hash};
use std::path::{Path, PathBuf};

/// Go's own words (dumps of structs, decoder internals) of which only the beginning has to be the same.
const BY_BEGINNING: [&str; 3] = [
    "invalid Kustomization: json: cannot unmarshal",
    "validator shouldn't modify the resource map: nodes unequal:",
    "updating name reference in 'spec/backend' field of 'Router.v1.acme.dev/rt.[noNs]': considering field \
     'spec/backend' of object Router.v1.acme.dev/rt.[noNs]: found multiple possible referrals: \
     Backend.v1.acme.dev/b.[noNs], Backend.v2.acme.dev/c.[noNs]",
];

struct Case {
    name: String,
    directory: PathBuf,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cases");
    let mut cases: Vec<Case> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            Case { name: entry.file_name().into_string().unwrap(), directory: entry.path() }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.directory.join(name)).ok()
    }

    /// What must come out in a mode: the YAML, or the error.
    fn expected(&self, flux: bool) -> Result<String, String> {
        let own = |prefix: &str| {
            self.text(&format!("{prefix}.yaml"))
                .map(Ok)
                .or_else(|| self.text(&format!("{prefix}.err")).map(Err))
        };
        let result = if flux { own("expected-flux").or_else(|| own("expected")) } else { own("expected") };
        result.unwrap_or_else(|| panic!("{}: nothing is expected", self.name))
    }

    fn actual(&self, flux: bool) -> Result<String, String> {
        let input = self.directory.join("input");
        let real = input.canonicalize().unwrap();
        let target = self.text("target").unwrap_or_default();
        let directory = real.join(target.trim());
        let fs = DiskFs::new(if flux { real.as_path() } else { Path::new("/") }).unwrap();
        let mut options = if flux { Options::flux() } else { Options::kustomize() };
        if self.text("flags").is_some_and(|flags| flags.contains("LoadRestrictionsNone")) {
            options = options.with_load_restrictor(LoadRestrictor::None);
        }
        build(&fs, directory.to_str().unwrap(), &options).and_then(|resources| resources.to_yaml()).map_err(
            |err| err.to_string().replace(real.to_str().unwrap(), "{INPUT}").trim_end().replace('\n', "\\n"),
        )
    }
}

fn same(expected: &Result<String, String>, actual: &Result<String, String>) -> bool {
    match (expected, actual) {
        (Ok(expected), Ok(actual)) => expected == actual,
        (Err(expected), Err(actual)) => {
            // A struct of Go with a pointer in it, and dumps of whole objects: ours name the object instead.
            let expected = expected.trim_end().replace("generator &{{PTR} <nil>}", "generator");
            if expected.starts_with("map[string]interface {}") {
                let problem = expected.find(": yaml: ").or_else(|| expected.find(": json: ")).unwrap();
                return actual.contains(&expected[problem..]);
            }
            let by_beginning = BY_BEGINNING
                .iter()
                .any(|beginning| expected.starts_with(beginning) && actual.starts_with(beginning));
            expected == actual.trim_end() || by_beginning
        }
        _ => false,
    }
}

fn check_all(flux: bool) {
    let mut failures = Vec::new();
    let cases = cases();
    for case in &cases {
        let (expected, actual) = (case.expected(flux), case.actual(flux));
        if !same(&expected, &actual) {
            failures.push(format!("== {}\n-- expected\n{expected:?}\n-- actual\n{actual:?}", case.name));
        }
    }
    assert!(cases.len() >= 164);
    let passed = cases.len() - failures.len();
    assert!(failures.is_empty(), "{passed} of {} pass\n{}", cases.len(), failures.join("\n"));
}

#[test]
fn kustomize_mode() {
    check_all(false);
}

#[test]
fn flux_mode() {
    check_all(true);
}

#[test]
fn name_hashes() {
    let text = include_str!("corpus/namehash.jsonl");
    let mut failures = Vec::new();
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = case["in"]["text"].as_str().unwrap();
        let node = parse_one(text.as_bytes()).unwrap().into_root();
        let actual = name_hash(&node).map_err(|err| err.to_string());
        let expected = case["out"].as_str().map(str::to_owned);
        if actual.as_ref().ok() != expected.as_ref() {
            failures.push(format!("{text}\nexpected {:?} actual {actual:?}", case["out"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Builds do not share state: different schemas side by side do not disturb each other.
#[test]
fn builds_run_side_by_side() {
    let wanted = ["openapi-custom-schema-merge", "smp-crd-lists-replaced", "smp-containers-merge-order"];
    let cases: Vec<Case> = cases().into_iter().filter(|case| wanted.contains(&case.name.as_str())).collect();
    std::thread::scope(|scope| {
        for round in 0..16 {
            let cases = &cases;
            scope.spawn(move || {
                for case in cases {
                    let flux = round % 2 == 0;
                    assert!(same(&case.expected(flux), &case.actual(flux)), "{}", case.name);
                }
            });
        }
    });
}
