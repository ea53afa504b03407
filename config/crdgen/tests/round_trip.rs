//! Objects read into the API types and written back.
//!
//! `recorded` holds objects as Flux 2.9 left them in a cluster, `older` manifests of versions that
//! Flux has ceased to serve.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use fluxide_helm_api::HelmRelease;
use fluxide_image_automation_api::{ImagePolicy, ImageRepository, ImageUpdateAutomation};
use fluxide_kustomize_api::Kustomization;
use fluxide_notification_api::{Alert, Provider, Receiver};
use fluxide_source_api::{
    ArtifactGenerator, Bucket, ExternalArtifact, GitRepository, HelmChart, HelmRepository, OCIRepository,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use support::contains;

#[test]
fn recorded_objects_are_unchanged() {
    let mut count = 0;
    for file in files("recorded") {
        for line in fs::read_to_string(&file).unwrap().lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            let written = round_trip(&object);
            for part in ["spec", "status"] {
                assert_eq!(
                    without_false(&written[part]),
                    without_false(&object[part]),
                    "{part} of {} in {}",
                    object["metadata"]["name"],
                    file.display(),
                );
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn every_field_flux_knows_is_kept() {
    for file in files("flux-crds") {
        let definition: Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let names = &definition["spec"];
        let version = &names["versions"][0];
        let mut object = sample(&version["schema"]["openAPIV3Schema"]);
        object["apiVersion"] =
            format!("{}/{}", names["group"].as_str().unwrap(), version["name"].as_str().unwrap()).into();
        object["kind"] = names["names"]["kind"].clone();
        object["metadata"] = serde_json::json!({"name": "sample"});
        assert_eq!(round_trip(&object), object);
    }
}

#[test]
fn older_manifests_lose_nothing() {
    let definitions = fluxide_crdgen::crds().unwrap();
    let mut count = 0;
    for object in older_manifests() {
        let written = round_trip(&object);
        contains(&written["spec"], &object["spec"], "/spec");

        let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
        let definition = definitions
            .iter()
            .find(|it| it["spec"]["group"] == group && it["spec"]["names"]["kind"] == object["kind"])
            .unwrap();
        let versions = definition["spec"]["versions"].as_array().unwrap();
        assert!(versions.iter().any(|it| it["name"] == version && it["served"] == true));
        for version in versions {
            known_to(&version["schema"]["openAPIV3Schema"], &object, "");
        }
        count += 1;
    }
    assert_eq!(count, 14);
}

#[test]
fn older_fields_have_todays_meaning() {
    let manifests = older_manifests();
    let manifest = |version: &str, kind: &str| {
        let found = manifests.iter().find(|object| {
            object["kind"] == kind && object["apiVersion"].as_str().unwrap().ends_with(version)
        });
        found.unwrap().clone()
    };

    let kustomization: Kustomization = serde_json::from_value(manifest("/v1beta2", "Kustomization")).unwrap();
    let patches = kustomization.spec.all_patches();
    assert_eq!(patches.len(), 3);
    assert!(patches[0].patch.contains(r#""replicas":3"#));
    assert!(patches[1].patch.starts_with("apiVersion: v1"));
    assert_eq!(
        patches[2].patch,
        r#"[{"op":"add","path":"/metadata/labels/tier","value":"front"},{"op":"remove","path":"/spec/sessionAffinity"}]"#
    );
    assert_eq!(patches[2].target.as_ref().unwrap().kind.as_deref(), Some("Service"));

    let chart: HelmChart = serde_json::from_value(manifest("/v1beta2", "HelmChart")).unwrap();
    assert_eq!(chart.spec.all_values_files(), ["values-production.yaml", "values-eu.yaml"]);

    let release: HelmRelease = serde_json::from_value(manifest("/v2beta1", "HelmRelease")).unwrap();
    let template = release.spec.chart.unwrap().spec;
    assert_eq!(template.all_values_files(), ["values-production.yaml"]);

    let release: HelmRelease = serde_json::from_value(manifest("/v2beta2", "HelmRelease")).unwrap();
    let renderer = release.spec.post_renderers[0].kustomize.as_ref().unwrap();
    assert_eq!(renderer.all_patches().len(), 2);

    let repository: GitRepository = serde_json::from_value(manifest("/v1beta2", "GitRepository")).unwrap();
    assert!(repository.spec.verification.unwrap().mode.verifies_head());
}

fn round_trip(object: &Value) -> Value {
    match object["kind"].as_str().unwrap() {
        "GitRepository" => through::<GitRepository>(object),
        "OCIRepository" => through::<OCIRepository>(object),
        "HelmRepository" => through::<HelmRepository>(object),
        "HelmChart" => through::<HelmChart>(object),
        "Bucket" => through::<Bucket>(object),
        "ExternalArtifact" => through::<ExternalArtifact>(object),
        "ArtifactGenerator" => through::<ArtifactGenerator>(object),
        "Kustomization" => through::<Kustomization>(object),
        "HelmRelease" => through::<HelmRelease>(object),
        "Provider" => through::<Provider>(object),
        "Alert" => through::<Alert>(object),
        "Receiver" => through::<Receiver>(object),
        "ImageRepository" => through::<ImageRepository>(object),
        "ImagePolicy" => through::<ImagePolicy>(object),
        "ImageUpdateAutomation" => through::<ImageUpdateAutomation>(object),
        kind => panic!("no type for {kind}"),
    }
}

fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: K = serde_json::from_value(object.clone())
        .unwrap_or_else(|error| panic!("{} {}: {error}", object["kind"], object["metadata"]));
    serde_json::to_value(typed).unwrap()
}

/// An object with every field of the schema, none of which has the value that Go leaves out.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("object"), _) => match (&schema["properties"], &schema["additionalProperties"]) {
            (Value::Object(properties), _) => {
                properties.iter().map(|(name, schema)| (name.clone(), sample(schema))).collect()
            }
            (_, values) => serde_json::json!({ "key": sample(values) }),
        },
        (Some("array"), _) => serde_json::json!([sample(&schema["items"])]),
        (Some("integer"), _) => 7.into(),
        (Some("boolean"), _) => true.into(),
        (_, Some("date-time")) => "2026-01-02T03:04:05Z".into(),
        _ => "text".into(),
    }
}

/// A flag that is false is as good as none: Go leaves it out when it writes an object.
fn without_false(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .filter(|(_, value)| **value != Value::Bool(false))
            .map(|(key, value)| (key.clone(), without_false(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_false).collect(),
        other => other.clone(),
    }
}

/// The schema has a place for everything in the value, and allows the value where it is an enum.
fn known_to(schema: &Value, value: &Value, place: &str) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true || place == "/metadata" {
        return;
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{place}: {value} is not allowed");
    }
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let place = format!("{place}/{key}");
                let property = schema["properties"].get(key);
                let property = property.or_else(|| schema.get("additionalProperties"));
                known_to(property.unwrap_or_else(|| panic!("{place} is unknown")), value, &place);
            }
            for required in schema["required"].as_array().into_iter().flatten() {
                let required = required.as_str().unwrap();
                let present =
                    object.contains_key(required) || schema["properties"][required].get("default").is_some();
                assert!(present, "{place}/{required} is required");
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| known_to(&schema["items"], item, place));
        }
        _ => {}
    }
}

fn older_manifests() -> Vec<Value> {
    let mut manifests = Vec::new();
    for file in files("older") {
        let text = fs::read_to_string(file).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            manifests.push(serde::Deserialize::deserialize(document).unwrap());
        }
    }
    manifests
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
