//! Small cases with the results of Helm's and Flux's own libraries: one JSON object per line,
//! `{"in": ..., "out": ...}` or `{"in": ..., "err": "exact text"}`. `corpus/*.jsonl` says what was run.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fluxide_digest::{Algorithm, DigestError};
use fluxide_goyaml::Value;
use fluxide_helm::digest;
use fluxide_helm::manifest::{sort_manifests, split_manifests};
use fluxide_helm::values::Table;
use fluxide_helm::{Release, strvals};
use serde_json::{Value as Json, json};

/// Runs every case of a file; `run` gives the result or the error text.
fn check(file: &str, run: impl Fn(&Json) -> Result<Json, String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut failures = Vec::new();
    let mut total = 0;
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        total += 1;
        let result = run(&case["in"]);
        let passed = match (&result, case.get("err").and_then(Json::as_str)) {
            (Err(_), Some(expected)) if expected.starts_with("PANIC: ") => true,
            (Err(error), Some(expected)) => error == expected,
            (Ok(out), None) => *out == expected(&case["out"]),
            _ => false,
        };
        if !passed {
            failures.push(format!("{line:.600}\n    ours: {:.600}", format!("{result:?}")));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {total} cases failed:\n{}",
        failures.len(),
        failures[..failures.len().min(8)].join("\n")
    );
}

/// The result without the snapshot, which helm-controller makes of the release and its digest.
fn expected(out: &Json) -> Json {
    let mut out = out.clone();
    if let Some(map) = out.as_object_mut() {
        map.remove("snapshot");
    }
    out
}

/// JSON as Go's decoder gives it: every number is a float.
fn table(json: &Json) -> Table {
    match fluxide_goyaml::sigs::go_floats(Value::from(json)).unwrap() {
        Value::Object(table) => table,
        _ => Table::new(),
    }
}

/// Values as the corpus writes them: `{"$int64": n}` is an integer, any other number a float.
fn shown(value: &Value) -> Json {
    match value {
        Value::Int(number) => json!({ "$int64": number }),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(*number as i64),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(map) => {
            Json::Object(map.iter().map(|(key, value)| (key.clone(), shown(value))).collect())
        }
        other => Json::from(other.clone()),
    }
}

#[test]
fn strvals_reads_lines_as_helm_does() {
    check("strvals.jsonl", |input| {
        let mut values = table(&input["values"]);
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        let result = match text("op") {
            "set" => strvals::set(text("set"), &mut values),
            "set_string" => strvals::set_string(text("set"), &mut values),
            "set_literal" => strvals::set_literal(text("set"), &mut values),
            "set_json" => strvals::set_json(text("set"), &mut values),
            "path" => strvals::set_path(&mut values, text("path"), text("value"), false),
            "path_literal" => strvals::set_path(&mut values, text("path"), text("value"), true),
            other => return Err(format!("unknown operation {other}")),
        };
        result.map(|()| shown(&Value::Object(values))).map_err(|error| error.to_string())
    });
}

#[test]
fn digests_are_those_of_flux() {
    check("digests.jsonl", |input| {
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        let algorithm = match text("algo") {
            "" => Ok(Algorithm::default()),
            name => name.parse().map_err(|error: DigestError| error.to_string()),
        };
        match text("op") {
            "values" => {
                let values = table(&input["values"]);
                let body = digest::values_body(&values);
                let digest = digest::values_digest(algorithm?, &values);
                Ok(json!({ "body": body, "digest": digest }))
            }
            "verify_values" => Ok(json!(digest::values_match(text("digest"), &table(&input["values"])))),
            "release" => {
                let release = Release::from_json(input["release"].to_string().as_bytes())
                    .map_err(|error| error.to_string())?;
                let body = digest::release_body(&release, text("ociDigest"));
                let digest = digest::release_digest(algorithm?, &release, text("ociDigest"));
                Ok(json!({ "body": body, "digest": digest }))
            }
            "shorten" => Ok(json!(digest::shorten_release_name(text("name")))),
            "bytes" => Ok(json!(algorithm?.digest(&STANDARD.decode(text("data_b64")).unwrap()).to_string())),
            other => Err(format!("unknown operation {other}")),
        }
    });
}

#[test]
fn manifests_are_split_and_sorted_as_helm_does() {
    check("manifests.jsonl", |input| match input["op"].as_str() {
        Some("helm_split") => Ok(json!(split_manifests(input["text"].as_str().unwrap()))),
        Some("helm_sort") => {
            let files: BTreeMap<String, String> = serde_json::from_value(input["files"].clone()).unwrap();
            let (hooks, manifests) = sort_manifests(files).map_err(|error| error.to_string())?;
            let hooks: Vec<Json> = hooks
                .iter()
                .map(|hook| {
                    let events: Vec<&str> = hook.events.iter().map(|event| event.as_str()).collect();
                    json!({
                        "name": hook.name, "kind": hook.kind, "path": hook.path, "manifest": hook.manifest,
                        "events": events, "weight": hook.weight, "deletePolicies": hook.delete_policies,
                        "outputLogPolicies": hook.output_log_policies,
                    })
                })
                .collect();
            let manifests: Vec<Json> = manifests
                .iter()
                .map(|manifest| json!({ "name": manifest.path, "content": manifest.content, "kind": manifest.kind }))
                .collect();
            Ok(json!({ "hooks": hooks, "manifests": manifests }))
        }
        other => Err(format!("unknown operation {other:?}")),
    });
}
