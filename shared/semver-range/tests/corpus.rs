//! Versions and constraints against the results of the library itself.

use fluxide_semver_range::{Constraint, ConstraintError, Version, VersionError};
use serde_json::{Value, json};

#[test]
fn same_results() {
    let mut failures = Vec::new();
    let mut cases = 0;
    for (number, line) in include_str!("corpus/semver.jsonl").lines().enumerate() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(actual) = run(&case["in"]) else {
            continue;
        };
        cases += 1;
        let expected = match case.get("err") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(case["out"].clone()),
        };
        if actual != expected {
            failures.push(difference(number + 1, &case["in"], &actual, &expected));
        }
    }
    assert!(cases > 1500, "{cases} cases");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures[..failures.len().min(12)].join("\n")
    );
}

/// The result of one case; nothing for image policies, which are not this crate's.
fn run(input: &Value) -> Option<Result<Value, String>> {
    let text = |name: &str| input[name].as_str().unwrap();
    let versions = || input["versions"].as_array().unwrap().iter().map(|v| v.as_str().unwrap());
    Some(match text("op") {
        "check" => constraint(text("constraint")).map(|c| {
            let check = |v| Version::parse(v).ok().map(|v| c.matches(&v));
            versions().map(check).collect::<Vec<_>>().into()
        }),
        "validate" => constraint(text("constraint")).map(|c| {
            let validate = |v| c.validate(&Version::parse(v).unwrap()).err().unwrap_or_default();
            versions().map(validate).collect::<Vec<_>>().into()
        }),
        "string" => constraint(text("constraint")).map(|c| c.to_string().into()),
        "parse" => fields(Version::parse(text("v"))),
        "parse_strict" => fields(Version::parse_strict(text("v"))),
        "parse_flux" => fields(Version::parse_tag(text("v"))),
        "compare" => {
            let versions: Vec<Version> = versions().map(|v| Version::parse(v).unwrap()).collect();
            let row = |a: &Version| versions.iter().map(|b| a.cmp(b) as i8).collect::<Vec<_>>();
            Ok(versions.iter().map(row).collect::<Vec<_>>().into())
        }
        "sort" => {
            let mut versions: Vec<Version> = versions().map(|v| Version::parse(v).unwrap()).collect();
            versions.sort();
            Ok(versions.iter().map(Version::original).collect::<Vec<_>>().into())
        }
        "flux_sort" => constraint(text("constraint")).map(|c| {
            let fits = |v| Version::parse_tag(v).ok().filter(|v| c.matches(v));
            let mut versions: Vec<Version> = versions().filter_map(fits).collect();
            versions.sort_by(|a, b| b.cmp(a));
            versions.iter().map(Version::original).collect::<Vec<_>>().into()
        }),
        _ => return None,
    })
}

fn constraint(text: &str) -> Result<Constraint, String> {
    Constraint::parse(text).map_err(|e: ConstraintError| e.to_string())
}

fn fields(version: Result<Version, VersionError>) -> Result<Value, String> {
    let v = version.map_err(|e| e.to_string())?;
    Ok(json!({
        "major": v.major(), "minor": v.minor(), "patch": v.patch(), "pre": v.prerelease(), "meta": v.metadata(),
        "original": v.original(), "string": v.to_string(),
    }))
}

/// The first element that differs, since the lists are long.
fn difference(
    line: usize,
    input: &Value,
    actual: &Result<Value, String>,
    expected: &Result<Value, String>,
) -> String {
    let input = input.get("constraint").unwrap_or(input);
    if let (Ok(Value::Array(actual)), Ok(Value::Array(expected))) = (actual, expected)
        && let Some(index) = actual.iter().zip(expected).position(|(a, e)| a != e)
    {
        return format!("line {line}: {input}: element {index}\n  {}\n  {}", actual[index], expected[index]);
    }
    format!("line {line}: {input}\n  {actual:?}\n  {expected:?}")
}
