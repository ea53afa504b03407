//! Real charts against what the real Helm printed for them, byte for byte.
//!
//! The charts are other people's and not part of this repository: they are read from where `FLUXIDE_CORPUS` points, else
//! from `../shared/corpus/helm` beside the repository. `FLUXIDE_SKIP_CHARTS=1` leaves them out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fluxide_helm::values::{Table, read_values};
use fluxide_helm::{
    Capabilities, Chart, DiskDirectory, KubeVersion, ReleaseOptions, RenderOptions, TemplateOutput, render,
};

fn corpus() -> Option<PathBuf> {
    if std::env::var_os("FLUXIDE_SKIP_CHARTS").is_some_and(|value| value == "1") {
        return None;
    }
    let root = match std::env::var_os("FLUXIDE_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/helm"),
    };
    let root = if root.join("helm/charts").is_dir() { root.join("helm") } else { root };
    assert!(
        root.join("charts").is_dir(),
        "there are no charts in {}; set FLUXIDE_CORPUS, or FLUXIDE_SKIP_CHARTS=1 to go without",
        root.display()
    );
    Some(root)
}

#[test]
fn real_charts_render_as_helm_renders_them() {
    let Some(root) = corpus() else { return };
    let only = std::env::var("FLUXIDE_CHART").ok();
    let mut failures = Vec::new();
    let mut total = 0;
    for name in names(&root.join("expected")) {
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let directory = DiskDirectory::new(root.join("charts").join(&name));
        let chart = Arc::new(Chart::from_directory(&directory).unwrap());
        for file in names(&root.join("expected").join(&name)) {
            let Some((stem, kind @ ("yaml" | "err"))) = file.rsplit_once('.') else { continue };
            total += 1;
            let expected = std::fs::read_to_string(root.join("expected").join(&name).join(&file)).unwrap();
            let random =
                std::fs::read_to_string(root.join("expected").join(&name).join(format!("{stem}.random")));
            let random: BTreeSet<usize> =
                random.unwrap_or_default().lines().map(|line| line.trim().parse().unwrap()).collect();
            let values = match std::fs::read(root.join("values").join(&name).join(format!("{stem}.yaml"))) {
                Ok(text) => read_values(&text).unwrap(),
                Err(_) => Table::new(),
            };
            let result = output(&chart, &values, stem == "default");
            let difference = match (kind, result) {
                ("yaml", Ok(text)) => difference(&text, &expected, &random),
                ("err", Err(error)) => error_difference(&error, &expected),
                (_, Ok(_)) => Some("rendered, and should fail".to_owned()),
                (_, Err(error)) => Some(format!("failed: {error}")),
            };
            if let Some(difference) = difference {
                failures.push(format!("{name}/{stem}: {difference}"));
            }
        }
    }
    println!("{} of {total} renders are equal", total - failures.len());
    assert!(failures.is_empty(), "{} of {total} differ:\n{}", failures.len(), failures.join("\n"));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn output(chart: &Arc<Chart>, values: &Table, include_crds: bool) -> Result<String, String> {
    let missing = chart.missing_dependencies();
    if !missing.is_empty() {
        return Err(format!("missing in charts/ directory: {}", missing.join(", ")));
    }
    let release = ReleaseOptions {
        name: "release-name".to_owned(),
        namespace: "default".to_owned(),
        revision: 1,
        is_upgrade: false,
    };
    let kube_version = KubeVersion::parse("1.34.0").unwrap();
    let capabilities = Capabilities { kube_version, ..Capabilities::default() };
    // The moment at which Helm's output was recorded: one chart prints the minute.
    let now = "2026-11-21T10:20:00Z".parse().unwrap();
    let options = RenderOptions::new(release, &capabilities, now);
    let rendered = render(chart, values, options).map_err(|error| error.to_string())?;
    Ok(rendered.template_output(&TemplateOutput { include_crds, ..TemplateOutput::default() }))
}

/// The first line that differs, lines with random content and blank lines at the end aside.
fn difference(ours: &str, expected: &str, random: &BTreeSet<usize>) -> Option<String> {
    let (ours, expected) = (ours.trim_end_matches('\n'), expected.trim_end_matches('\n'));
    let (ours, expected): (Vec<&str>, Vec<&str>) =
        (ours.split('\n').collect(), expected.split('\n').collect());
    for at in 0..ours.len().max(expected.len()) {
        let (left, right) = (ours.get(at), expected.get(at));
        if left != right && (left.is_none() || right.is_none() || !random.contains(&(at + 1))) {
            return Some(format!("line {}:\n    ours: {left:?}\n    helm: {right:?}", at + 1));
        }
    }
    None
}

fn error_difference(ours: &str, expected: &str) -> Option<String> {
    let expected = expected.trim().trim_end_matches("Use --debug flag to render out invalid YAML").trim();
    let lines: Vec<&str> = expected.lines().filter(|line| !line.starts_with("level=")).collect();
    let expected = lines.join("\n");
    let expected = expected.strip_prefix("Error: ").unwrap_or(&expected);
    (ours.trim() != expected).then(|| format!("error:\n    ours: {ours:?}\n    helm: {expected:?}"))
}
