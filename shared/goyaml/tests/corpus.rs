//! Every recorded case of the Go libraries, compared byte for byte.

use fluxide_goyaml::{EncodeOptions, encode, parse_one};
use serde_json::Value as Json;

struct Case {
    input: Json,
    expected: Result<String, String>,
}

/// The cases of one operation.
fn cases(op: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/goyaml.jsonl"));
    let text = text.expect("the corpus is part of the crate");
    let parsed = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("a case is JSON"));
    parsed
        .filter(|case| case["in"]["op"] == op)
        .map(|case| Case {
            input: case["in"].clone(),
            expected: match case.get("err") {
                Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
                None => Ok(case["out"].as_str().unwrap_or_default().to_owned()),
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
