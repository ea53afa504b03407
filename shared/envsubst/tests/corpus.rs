//! Runs the recorded cases of fluxcd/pkg/envsubst.

use std::collections::BTreeMap;

use serde_json::Value;

#[test]
fn eval() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/envsubst.jsonl");
    let text = std::fs::read_to_string(path).expect("corpus");
    let (mut cases, mut failed) = (0, 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("case");
        if case["in"]["op"] != "eval" {
            continue;
        }
        // Upstream stops at a NUL byte; here it is a character like any other.
        if line.contains(r"\u0000") {
            continue;
        }
        cases += 1;
        let variables: BTreeMap<String, String> =
            serde_json::from_value(case["in"]["vars"].clone()).expect("vars");
        let strict = case["in"]["strict"].as_bool().expect("strict");
        let got =
            fluxide_envsubst::substitute(case["in"]["text"].as_str().expect("text"), &variables, strict);
        let same = match (&got, case["out"].as_str(), case["err"].as_str()) {
            (Ok(got), Some(want), _) => got == want,
            // Upstream panics or leaves half a character where we give an error.
            (Err(_), None, None) => case.get("out_b64").is_some(),
            (Err(_), _, Some(want)) if want.starts_with("PANIC") => true,
            (Err(got), _, Some(want)) => got.to_string() == want,
            _ => false,
        };
        if !same {
            failed += 1;
            if failed <= 15 {
                println!("{line}\n  got {got:?}");
            }
        }
    }
    assert!(cases > 3000, "only {cases} cases");
    assert_eq!(failed, 0, "{failed} of {cases} cases differ");
}
