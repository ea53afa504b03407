//! Every recorded case of the Go libraries, compared byte for byte.

use fluxide_goyaml::{EncodeOptions, Value, encode, kio, parse_one, resource, sigs, stream, to_json};
use serde_json::Value as Json;

struct Case {
    input: Json,
    expected: Result<String, String>,
}

/// The cases of one operation.
fn cases(op: &str) -> Vec<Case> {
    let file = if op.starts_with("readobjects") { "kubeyaml-docs.jsonl" } else { "goyaml.jsonl" };
    let text = std::fs::read_to_string(format!("{}/tests/corpus/{file}", env!("CARGO_MANIFEST_DIR")));
    let text = text.expect("the corpus is part of the crate");
    let parsed = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("a case is JSON"));
    parsed
        .filter(|case| case["in"]["op"] == op)
        .map(|case| Case {
            input: case["in"].clone(),
            expected: match case.get("err") {
                Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
                None => Ok(match &case["out"] {
                    Json::String(text) => text.clone(),
                    other => other.to_string(),
                }),
            },
        })
        .collect()
}

/// Runs all cases of an operation and fails with the first few that differ.
fn check(op: &str, exact_errors: bool, run: impl Fn(&Json) -> Result<String, String>) {
    let cases = cases(op);
    let total = cases.len();
    let mut wrong = Vec::new();
    for case in cases {
        let actual = run(&case.input);
        let good = match (&case.expected, &actual) {
            (Err(_), Err(_)) if !exact_errors => true,
            (expected, actual) => expected == actual,
        };
        if !good {
            wrong.push(format!("in:   {}\nwant: {:?}\ngot:  {actual:?}\n", case.input, case.expected));
        }
    }
    let shown: usize = std::env::var("SHOW").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    println!("{op}: {} of {total} equal", total - wrong.len());
    let first = wrong.iter().take(shown).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{op}: {} of {total} differ\n{first}", wrong.len());
    assert!(total > 0, "no cases for {op}");
}

fn text(input: &Json) -> &str {
    input["text"].as_str().unwrap_or_default()
}

#[test]
fn kyaml() {
    check("kyaml", true, |input| match parse_one(text(input).as_bytes()) {
        Ok(document) => Ok(encode(&document, EncodeOptions::KYAML)),
        Err(error) => Err(error.to_string()),
    });
}

#[test]
fn tojson() {
    check("tojson", true, |input| {
        sigs::yaml_to_json(text(input).as_bytes()).map_err(|error| error.to_string())
    });
}

#[test]
fn tojson_strict() {
    check("tojson_strict", true, |input| {
        sigs::yaml_to_json_strict(text(input).as_bytes()).map_err(|error| error.to_string())
    });
}

#[test]
fn unmarshal_map() {
    check("unmarshal_map", true, |input| {
        let map = sigs::unmarshal_map(text(input).as_bytes()).map_err(|error| error.to_string())?;
        to_json(&Value::Object(map)).map_err(|error| error.to_string())
    });
}

#[test]
fn json2yaml() {
    check("json2yaml", true, |input| {
        sigs::json_to_yaml(text(input).as_bytes()).map_err(|error| error.to_string())
    });
}

#[test]
fn marshal() {
    check("marshal", true, |input| {
        let value = sigs::go_floats(Value::from(&input["json"])).map_err(|error| error.to_string())?;
        sigs::to_yaml(&value).map_err(|error| error.to_string())
    });
}

#[test]
fn kustomize() {
    check("kustomize", false, |input| {
        let resources = resource::read_objects(text(input).as_bytes()).map_err(|error| error.to_string())?;
        let printed: Result<Vec<String>, _> = resources.iter().map(resource::to_yaml).collect();
        Ok(printed.map_err(|error| error.to_string())?.join("---\n"))
    });
}

#[test]
fn kio_round_trip() {
    check("kio", false, |input| {
        let documents = kio::parse_all(text(input).as_bytes()).map_err(|error| error.to_string())?;
        kio::string_all(&documents).map_err(|error| error.to_string())
    });
}

#[test]
fn kio_keeps_sequence_indent() {
    check("kio_seqindent", false, |input| {
        let documents =
            kio::parse_all_preserving_indent(text(input).as_bytes()).map_err(|error| error.to_string())?;
        kio::string_all(&documents).map_err(|error| error.to_string())
    });
}

#[test]
fn readobjects() {
    check("readobjects", false, |input| {
        let objects = stream::read_objects(text(input).as_bytes()).map_err(|error| error.to_string())?;
        to_json(&Value::Array(objects)).map_err(|error| error.to_string())
    });
}

#[test]
fn readobjects_toyaml() {
    check("readobjects_toyaml", false, |input| {
        let objects = stream::read_objects(text(input).as_bytes()).map_err(|error| error.to_string())?;
        let texts: Result<Vec<String>, _> = objects.iter().map(sigs::to_yaml).collect();
        Ok(texts.map_err(|error| error.to_string())?.iter().map(|text| format!("{text}---\n")).collect())
    });
}
