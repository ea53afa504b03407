//! Holds the engine against thousands of templates with the results of Helm's own.

use std::collections::BTreeMap;

use base64::Engine;
use fluxide_gotemplate::helm::{self, Capabilities, Files, KubeVersion};
use fluxide_gotemplate::{Limits, Map, MissingKey, STRING_MAP, Session, Templates, Text, Value};
use serde_json::Value as Json;

#[test]
fn templates_render_as_helm_renders_them() {
    check("gotemplate.jsonl");
}

/// Templates put together at random from the whole language and every function.
#[test]
fn random_templates_render_as_helm_renders_them() {
    check("random.jsonl");
}

fn check(file: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file);
    let corpus = std::fs::read_to_string(path).expect("corpus");
    let functions = helm::functions();
    let mut failures = Vec::new();
    let mut count = 0;
    for (number, line) in corpus.lines().enumerate() {
        let case: Json = serde_json::from_str(line).expect("a case is JSON");
        count += 1;
        let (actual, failed) = match render(&case["in"], &functions) {
            Ok(text) => (text, false),
            Err(text) => (text.to_vec(), true),
        };
        let expected = |plain: &str, encoded: &str| match (&case[plain], &case[encoded]) {
            (Json::String(text), _) => Some(text.clone().into_bytes()),
            (_, Json::String(text)) => base64::engine::general_purpose::STANDARD.decode(text).ok(),
            _ => None,
        };
        let wanted_error = expected("err", "err_b64");
        let wanted =
            wanted_error.clone().or_else(|| expected("out", "out_b64")).expect("a case has a result");
        // Three results print an address inside the process that made them.
        if [&b"0x2653740"[..], b"10011001010011011101000000", b"40187712"]
            .iter()
            .any(|address| memchr::memmem::find(&wanted, address).is_some())
        {
            continue;
        }
        if failed != wanted_error.is_some() || actual != wanted {
            failures.push(format!(
                "{}: {}\n   want {}: {}\n   got  {}: {}",
                number + 1,
                case["in"],
                if wanted_error.is_some() { "error" } else { "text" },
                String::from_utf8_lossy(&wanted),
                if failed { "error" } else { "text" },
                String::from_utf8_lossy(&actual),
            ));
        }
    }
    for failure in failures.iter().take(60) {
        eprintln!("{failure}");
    }
    assert!(failures.is_empty(), "{} of {count} templates differ", failures.len());
}

fn render(input: &Json, functions: &fluxide_gotemplate::Functions) -> Result<Vec<u8>, Text> {
    let strict = input["strict"] == Json::Bool(true);
    let mut templates =
        Templates::new("gotpl", functions.clone(), if strict { MissingKey::Error } else { MissingKey::Zero });
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    texts.insert("c/templates/t.yaml".to_owned(), text(&input["template"]));
    if let Json::Object(more) = &input["more"] {
        texts.extend(more.iter().map(|(path, content)| (format!("c/{path}"), text(content))));
    }
    let mut paths: Vec<&String> = texts.keys().collect();
    paths.sort_by_key(|path| (path.matches('/').count(), *path));
    paths.reverse();
    for path in &paths {
        templates
            .parse(path.as_str(), texts[*path].as_str())
            .map_err(|error| Text::from(helm::parse_error_text(path, &error)))?;
    }
    let scope = scope(input);
    let mut session = Session::new(Limits::default());
    session.set_lint(input["lint"] == Json::Bool(true));
    let mut result = Vec::new();
    for path in &paths {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        let own = Map::new();
        own.insert("Name", Value::from(path.as_str()));
        own.insert("BasePath", Value::from("c/templates"));
        scope.insert("Template", helm::values(&own));
        let mut out = templates
            .execute(path.as_str(), &helm::values(&scope), &mut session)
            .map_err(|error| helm::execution_error_text(path, &error))?;
        helm::strip_no_value(&mut out);
        if path.as_str() == "c/templates/t.yaml" {
            result = out;
        }
    }
    Ok(result)
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn scope(input: &Json) -> Map {
    let scope = Map::new();
    let values = match Value::from(input["values"].clone()) {
        Value::Map(map) => map,
        _ => Map::new(),
    };
    scope.insert("Values", helm::values(&values));
    scope.insert("Chart", chart());
    let files = input["files"].as_object().map(|files| {
        files.iter().map(|(path, content)| (path.clone(), Text::from(text(content)))).collect::<Vec<_>>()
    });
    scope.insert("Files", Files::value(files.unwrap_or_default()));
    scope.insert("Subcharts", Value::Map(Map::new()));
    let release = Map::new();
    for (key, value) in [
        ("Name", Value::from("rel")),
        ("Namespace", Value::from("ns")),
        ("Revision", Value::int(1)),
        ("IsInstall", Value::from(true)),
        ("IsUpgrade", Value::from(false)),
        ("Service", Value::from("Helm")),
    ] {
        release.insert(key, value);
    }
    scope.insert("Release", Value::Map(release));
    let capabilities = Capabilities {
        kube_version: KubeVersion {
            version: "v1.33.4".to_owned(),
            normalized: "v1.33.4".to_owned(),
            major: "1".to_owned(),
            minor: "33".to_owned(),
        },
        api_versions: [
            "v1",
            "apps/v1",
            "batch/v1",
            "networking.k8s.io/v1",
            "policy/v1",
            "autoscaling/v2",
            "example.com/v1",
            "example.com/v1/Thing",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Capabilities::default()
    };
    scope.insert("Capabilities", capabilities.into_value());
    scope
}

fn chart() -> Value {
    let chart = Map::new();
    for (key, value) in [
        ("Name", "c"),
        ("Home", "https://h.example"),
        ("Version", "1.2.3"),
        ("Description", "d"),
        ("APIVersion", "v2"),
        ("AppVersion", "4.5"),
    ] {
        chart.insert(key, Value::from(value));
    }
    for key in ["Icon", "Condition", "Tags", "KubeVersion", "Type"] {
        chart.insert(key, Value::from(""));
    }
    chart.insert("Sources", Value::strings(Vec::<&str>::new()));
    chart.insert("Keywords", Value::strings(["k1", "k2"]));
    let maintainer = Map::new();
    for (key, value) in [("Name", "M"), ("Email", "m@example.com"), ("URL", "")] {
        maintainer.insert(key, Value::from(value));
    }
    chart.insert("Maintainers", Value::from(vec![Value::Map(maintainer)]));
    chart.insert("Dependencies", Value::from(Vec::new()));
    chart.insert("Deprecated", Value::from(false));
    chart.insert("IsRoot", Value::from(true));
    let annotations = Map::with_type(&STRING_MAP);
    annotations.insert("a/b", Value::from("x"));
    chart.insert("Annotations", Value::Map(annotations));
    Value::Map(chart)
}
