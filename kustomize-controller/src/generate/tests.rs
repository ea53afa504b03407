use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use super::*;

fn spec(fields: serde_json::Value) -> KustomizationSpec {
    let mut all =
        json!({"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "fleet"}});
    for (key, value) in fields.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn run(files: &[(&str, &str)], fields: serde_json::Value) -> Result<String, Error> {
    run_in(&tempfile::tempdir().unwrap(), files, fields)
}

fn run_in(
    directory: &tempfile::TempDir,
    files: &[(&str, &str)],
    fields: serde_json::Value,
) -> Result<String, Error> {
    for (path, content) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let mut artifact = ArtifactFs::new(directory.path()).unwrap();
    generate(&mut artifact, "/", &spec(fields))?;
    Ok(String::from_utf8(artifact.read("/kustomization.yaml", 1 << 20).unwrap()).unwrap())
}

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

#[test]
fn lists_manifests_and_directories_with_their_own_file() {
    let text = run(
        &[
            ("b/c.yml", OBJECT),
            ("a.yaml", OBJECT),
            ("nested/kustomization.yaml", "resources: []\n"),
            ("nested/not-entered.yaml", "no: kind\n"),
            ("readme.md", "text"),
        ],
        json!({}),
    )
    .unwrap();
    assert_eq!(
        text,
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- ./a.yaml\n- ./b/c.yml\n- ./nested\n"
    );
}

#[test]
fn nothing_to_apply_is_a_build_of_nothing() {
    let text = run(&[("readme.md", "text")], json!({})).unwrap();
    assert!(text.contains("namespace: _placeholder"), "{text}");
}

#[test]
fn what_is_no_manifest_is_named() {
    let error = run(&[("values.yaml", "a: 1\n")], json!({})).unwrap_err().to_string();
    assert!(error.starts_with("failed to decode Kubernetes YAML from /values.yaml: "), "{error}");
    let error = run(&[("s.yaml", "kind: Secret\napiVersion: v1\ndata: {a: c2VjcmV0}\n")], json!({}));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("missing metadata.name") && !error.contains("c2VjcmV0"), "{error}");
}

#[test]
fn names_that_are_not_utf_8_are_told_if_they_matter() {
    let directory = tempfile::tempdir().unwrap();
    let latin = |name: &[u8]| directory.path().join(std::ffi::OsStr::from_bytes(name));
    fs::write(latin(b"photo\xe9.jpg"), "").unwrap();
    fs::create_dir(latin(b"caf\xe9")).unwrap();
    let error = run_in(&directory, &[("a.yaml", OBJECT)], json!({})).unwrap_err().to_string();
    assert!(error.starts_with("failed to read /caf\u{fffd}: its name is not UTF-8: rename it"), "{error}");
    let mut artifact = ArtifactFs::new(directory.path()).unwrap();
    let ignored = IgnoreRules::for_bucket(None, Some("caf?"));
    assert!(!generate_without(&mut artifact, "/", &spec(json!({})), &ignored).unwrap());
}

#[test]
fn spec_is_merged_into_the_file() {
    let file = "resources: [a.yaml]\nnamespace: old\nunknownField: 1\nimages:\n- {name: app, newTag: v1, newName: b}\n- {name: other, digest: 'sha256:1'}\n";
    let text = run(
        &[("kustomization.yaml", file)],
        json!({
            "targetNamespace": "new", "namePrefix": "p-", "buildMetadata": ["transformerAnnotations"],
            "patches": [{"patch": "kind: A", "target": {"kind": "B", "labelSelector": "x=y"}}],
            "images": [
                {"name": "app", "newTag": "v2"}, {"name": "other", "newTag": "v3"}, {"name": "third", "newName": "new"},
            ],
        }),
    )
    .unwrap();
    assert!(text.contains("namespace: new") && text.contains("namePrefix: p-"), "{text}");
    assert!(!text.contains("unknownField"), "{text}");
    let yaml: serde_json::Value =
        fluxide_goyaml::sigs::from_yaml(text.as_bytes()).map(serde_json::Value::from).unwrap();
    assert_eq!(
        yaml["images"],
        json!([
            {"name": "app", "newTag": "v2", "newName": "b"}, {"name": "other", "newTag": "v3"}, {"name": "third", "newName": "new"},
        ])
    );
    assert_eq!(
        yaml["patches"],
        json!([{"patch": "kind: A", "target": {"kind": "B", "labelSelector": "x=y"}}])
    );
    assert_eq!(yaml["buildMetadata"], json!(["transformerAnnotations"]));
}

#[test]
fn a_file_without_resources_gets_origin_annotations() {
    let text = run(&[("kustomization.yaml", "configMapGenerator: [{name: a}]\n")], json!({})).unwrap();
    assert!(text.contains("originAnnotations"), "{text}");
}

#[test]
fn components_must_be_local_and_may_be_missing() {
    let files = [("kustomization.yaml", "resources: [a]\n"), ("here/kustomization.yaml", "")];
    for component in ["https://example.com/x", "/abs", "git::https://x", "GitHub.com/a/b"] {
        let error = run(&files, json!({"components": [component]})).unwrap_err();
        assert!(matches!(error, Error::RemoteComponent(_)), "{error}");
    }
    let text =
        run(&files, json!({"components": ["./here", "./gone"], "ignoreMissingComponents": true})).unwrap();
    assert!(text.contains("./here") && !text.contains("./gone"), "{text}");
}

#[test]
fn what_is_ignored_is_left_out_of_an_existing_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let own =
        "resources: [a.yaml, skip.yaml, sub, ../base, 'https://x.test/skip.yaml']\ncomponents: [skipped]\n";
    for (path, text) in [
        ("app/kustomization.yaml", own),
        ("app/a.yaml", OBJECT),
        ("app/skip.yaml", OBJECT),
        ("app/sub/kustomization.yaml", "resources: []\n"),
        ("app/skipped/kustomization.yaml", "resources: []\n"),
        ("base/kustomization.yaml", "resources: []\n"),
    ] {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let ignored = IgnoreRules::for_bucket(None, Some("skip*\nbase\nsub/\n"));
    let mut artifact = ArtifactFs::new(directory.path()).unwrap();
    generate_without(&mut artifact, "/app", &spec(json!({})), &ignored).unwrap();
    let text = String::from_utf8(artifact.read("/app/kustomization.yaml", 1 << 20).unwrap()).unwrap();
    assert!(text.contains("resources:\n- a.yaml\n- ../base\n- https://x.test/skip.yaml\n"), "{text}");
    assert!(text.contains("components: []\n"), "{text}");
}
