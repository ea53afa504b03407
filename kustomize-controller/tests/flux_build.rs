//! What a Kustomization's spec makes of a source, against what Flux's own build made of it.
//!
//! A case is a directory with `input/` (the source), `spec.json` (the spec of a Kustomization) and either
//! `expected.yaml` or `expected.err`, written by fluxcd/pkg/kustomize 1.39.0 (its Generator, then SecureBuild without
//! remote bases). `FLUXIDE_BUILD_CASES` names another directory of such cases.

use std::path::{Path, PathBuf};

use fluxide_kustomize::Options;
use fluxide_kustomize_api::KustomizationSpec;
use fluxide_kustomize_controller::artifact_fs::{ArtifactFs, clean};
use fluxide_kustomize_controller::generate::generate;

fn cases() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flux_build");
    let root = std::env::var_os("FLUXIDE_BUILD_CASES").map_or(own, PathBuf::from);
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn build(case: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(case.join("spec.json")).unwrap();
    let spec: KustomizationSpec = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut files = ArtifactFs::new(&case.join("input")).unwrap();
    let path = clean(spec.path.as_deref().unwrap_or_default());
    generate(&mut files, &path, &spec).map_err(|error| error.to_string())?;
    fluxide_kustomize::build(&files, &path, &Options::flux())
        .and_then(|resources| resources.to_yaml())
        .map_err(|error| error.to_string())
}

/// Whether our error says what Flux's says, in its words or better ones.
fn same_error(expected: &str, ours: &str) -> bool {
    let expected = expected.trim_end().replace("\\n", "\n").replace("{INPUT}/", "/").replace("{INPUT}", "/");
    let expected = resolved_words(&expected);
    if let Some(problem) = expected.strip_prefix("map[string]interface {}") {
        return problem
            .find(": json: ")
            .or(problem.find(": yaml: "))
            .is_some_and(|at| ours.contains(&problem[at..]));
    }
    ours.contains(expected.trim_end())
}

/// What we say of a base that is read as a file first.
fn resolved_words(text: &str) -> String {
    let mut parts = text.split("': read ");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(": is a directory'") {
            Some((path, rest)) => result.push_str(&format!("': '{path}' must resolve to a file'{rest}")),
            None => result.push_str(&format!("': read {part}")),
        }
    }
    result
}

#[test]
fn every_case_builds_as_flux_builds_it() {
    let mut failures = Vec::new();
    let cases = cases();
    for case in &cases {
        let ours = build(case);
        let wanted = std::fs::read_to_string(case.join("expected.yaml"));
        let problem = match (&wanted, &ours) {
            (Ok(wanted), Ok(ours)) if wanted == ours => continue,
            (Ok(wanted), Ok(ours)) => format!("DIFF\n{wanted}\n-- but built\n{ours}"),
            (Ok(_), Err(error)) => format!("OURS-FAILS {error}"),
            (Err(_), ours) => {
                let wanted = std::fs::read_to_string(case.join("expected.err")).unwrap();
                match ours {
                    Err(error) if same_error(&wanted, error) => continue,
                    Err(error) => format!("ERROR\n{wanted}-- but failed with\n{error}"),
                    Ok(text) => format!("OURS-OK\n{wanted}-- but built\n{text}"),
                }
            }
        };
        failures.push(format!("== {}: {problem}", case.display()));
    }
    assert!(!cases.is_empty());
    assert!(failures.is_empty(), "{} of {} differ\n{}", failures.len(), cases.len(), failures.join("\n"));
}
