//! How long it takes to read and write 3.5 MB of custom resource definitions.
//!
//! Run with `cargo bench -p fluxide-goyaml`, or `-- parse` for the lines that contain a word. Each line is the best of
//! several runs.

use std::time::{Duration, Instant};

use fluxide_goyaml::{EncodeOptions, encode, parse, resource, sigs};

fn main() {
    let text = definitions(3_500_000);
    let bytes = text.as_bytes();
    println!("{:.1} MB, {} lines", bytes.len() as f64 / 1e6, text.lines().count());
    let documents = parse(bytes).expect("the definitions are YAML");
    let resources = resource::read(bytes).expect("the definitions are resources");
    let chunks = resource::chunks(bytes).expect("the separators are plain");
    let values: Vec<_> =
        chunks.iter().map(|chunk| sigs::from_yaml(chunk).expect("a chunk is YAML")).collect();
    report("parse (node trees)", 50, || parse(bytes).map(|documents| documents.len()).unwrap_or(0));
    report("encode (node trees)", 100, || {
        documents.iter().map(|document| encode(document, EncodeOptions::KYAML).len()).sum()
    });
    report("resource::read", 100, || resource::read(bytes).map(|resources| resources.len()).unwrap_or(0));
    report("resource::to_yaml (kustomize print)", 300, || {
        resources.iter().map(|resource| resource::to_yaml(resource).map_or(0, |text| text.len())).sum()
    });
    report("sigs::from_yaml", 100, || chunks.iter().filter(|chunk| sigs::from_yaml(chunk).is_ok()).count());
    report("sigs::to_yaml", 100, || {
        values.iter().map(|value| sigs::to_yaml(value).map_or(0, |text| text.len())).sum()
    });
}

/// Prints the best time of several runs beside the goal.
fn report(name: &str, goal: u64, run: impl Fn() -> usize) {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    if words.peek().is_some() && !words.any(|word| name.contains(&word)) {
        return;
    }
    let mut best = Duration::MAX;
    let mut result = 0;
    for _ in 0..7 {
        let start = Instant::now();
        result = std::hint::black_box(run());
        best = best.min(start.elapsed());
    }
    println!("{name:<40} {:>8.1} ms  (goal {goal} ms, result {result})", best.as_secs_f64() * 1e3);
}

/// Custom resource definitions as controller-gen writes them, at least `size` bytes of them.
fn definitions(size: usize) -> String {
    let mut text = String::with_capacity(size + 100_000);
    let mut number = 0;
    while text.len() < size {
        number += 1;
        text.push_str(&format!(
            "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  annotations:\n    \
             controller-gen.kubebuilder.io/version: v0.19.0\n  name: things{number}.example.com\nspec:\n  group: \
             example.com\n  names:\n    kind: Thing{number}\n    listKind: Thing{number}List\n    plural: \
             things{number}\n  scope: Namespaced\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n"
        ));
        properties(&mut text, 8, 4);
        text.push_str("    served: true\n    storage: true\n    subresources:\n      status: {}\n");
    }
    text
}

fn properties(text: &mut String, indent: usize, depth: usize) {
    let pad = " ".repeat(indent);
    text.push_str(&format!(
        "{pad}description: |-\n{pad}  An object of the schema, described at some length.\n"
    ));
    text.push_str(&format!("{pad}  More info: https://example.com/docs#{depth}\n{pad}properties:\n"));
    for field in ["name", "replicas", "enabled", "selector"] {
        text.push_str(&format!("{pad}  {field}:\n"));
        if depth > 0 && field == "selector" {
            properties(text, indent + 4, depth - 1);
            continue;
        }
        text.push_str(&format!(
            "{pad}    description: The {field} of the object, which is 'quoted' and long enough for two lines\n{pad}      \
             of text.\n{pad}    type: string\n{pad}    pattern: ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$\n{pad}    maxLength: 253\n\
             {pad}    default: \"a: b\"\n{pad}    enum:\n{pad}    - One\n{pad}    - Two\n"
        ));
    }
    text.push_str(&format!("{pad}required:\n{pad}- name\n{pad}type: object\n"));
}
