//! Release records that the real Helm and the real helm-controller stored: read, written back, and their digests.

use std::path::Path;

use fluxide_digest::Algorithm;
use fluxide_goyaml::Value;
use fluxide_helm::digest::{release_digest, values_digest};
use fluxide_helm::release::storage_name;
use fluxide_helm::{Release, hooks_of, values::Table};
use serde_json::Value as Json;

#[test]
fn records_survive_and_have_their_digests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/records.jsonl");
    let mut digests = 0;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let name = case["record"].as_str().unwrap();
        let release = Release::from_json(case["release"].to_string().as_bytes()).unwrap();
        let written: Json = serde_json::from_str(&release.to_json()).unwrap();
        assert_eq!(written, as_helm_4(&case["release"]), "{name}");
        assert_eq!(Release::decode(release.encode().as_bytes()).unwrap(), release, "{name}");
        assert!(name.ends_with(&format!("{}.v{}", release.name, release.version)), "{name}");
        let Some(expected) = case["digest"].as_str() else { continue };
        let oci = case["ociDigest"].as_str().unwrap_or_default();
        assert_eq!(release_digest(Algorithm::Sha256, &release, oci), expected, "{name}");
        let config = release.config.clone().unwrap_or_default();
        assert_eq!(
            values_digest(Algorithm::Sha256, &config),
            case["configDigest"].as_str().unwrap(),
            "{name}"
        );
        digests += 1;
    }
    assert!(digests >= 20, "{digests}");
}

/// A record of Helm 3 as Helm 4 writes it back: times that were never set are left out, but for one that is new.
fn as_helm_4(release: &Json) -> Json {
    let mut release = release.clone();
    let chart = release["chart"].as_object_mut().unwrap();
    chart.entry("schemamodtime").or_insert("0001-01-01T00:00:00Z".into());
    release["info"].as_object_mut().unwrap().retain(|_, value| value != "");
    for hook in release["hooks"].as_array_mut().into_iter().flatten() {
        hook["last_run"].as_object_mut().unwrap().retain(|key, value| value != "" || key == "phase");
    }
    release
}

#[test]
fn what_is_stored_is_helm_s_own_layout() {
    let json = concat!(
        r#"{"name":"web","info":{"first_deployed":"2026-08-01T10:00:00.123456789Z","status":"deployed","later":1},"#,
        r#""chart":{"metadata":{"name":"web","version":"1.2.3","apiVersion":"v2","dependencies":[{"name":"redis","#,
        r#""version":"1.x","repository":"oci://r","enabled":true}]},"lock":null,"templates":[{"name":"templates/a.yaml","#,
        r#""data":"YQ==","modtime":"2026-07-01T00:00:00Z"}],"values":{"replicas":1},"schema":null,"#,
        r#""schemamodtime":"0001-01-01T00:00:00Z","files":[]},"config":{"replicas":2},"manifest":"a \u003c b","#,
        r#""hooks":[{"name":"m","kind":"Job","events":["pre-install"],"last_run":{"phase":""},"weight":-5,"#,
        r#""delete_policies":["before-hook-creation"]}],"version":2,"namespace":"apps","apply_method":"ssa"}"#
    );
    let release = Release::from_json(json.as_bytes()).unwrap();
    assert_eq!(release.to_json(), json);
    assert_eq!(release.storage_name(), storage_name("web", 2));
    assert_eq!(release.storage_labels()["status"], "deployed");
    let mut unknown = Table::new();
    unknown.insert("later".to_owned(), Value::Int(1));
    assert_eq!(release.info.unknown, unknown);
    assert_eq!(hooks_of(&release.hooks, fluxide_helm::HookEvent::PreInstall).len(), 1);
}

#[test]
fn damaged_records_are_errors() {
    for (stored, expected) in [
        ("!", "illegal base64 data"),
        ("H4sI", "release record cannot be decompressed"),
        ("e30=", ""),
        ("W10=", "json: cannot unmarshal release member release: it is not an object"),
        ("eyJuYW1lIjo1fQ==", "json: cannot unmarshal release member release.name: it is not text"),
    ] {
        let result = Release::decode(stored.as_bytes()).map_err(|error| error.to_string());
        match expected {
            "" => assert!(result.is_ok(), "{stored}"),
            expected => assert!(result.unwrap_err().starts_with(expected), "{stored}"),
        }
    }
}
