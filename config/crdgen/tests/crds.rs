//! The definitions against those of Flux 2.9, and against the files in `config/crd`.
//!
//! `flux-crds` holds the definitions Flux 2.9 installs. Whatever differs, descriptions aside, must
//! be listed in [`ACCEPTED`] with its reason, and what is listed must differ.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// A difference that is meant to be. `*` in a place stands for any run of characters.
struct Accepted {
    definition: &'static str,
    place: &'static str,
    reason: &'static str,
}

const fn accepted(definition: &'static str, place: &'static str, reason: &'static str) -> Accepted {
    Accepted { definition, place, reason }
}

const GENERATOR: &str = "names the tool that made Flux's definition";
const SPEC_REQUIRED: &str = "an object without a spec cannot be reconciled; Flux accepts it and fails later";
const OLDER_VERSION: &str = "manifests of this version are still in people's repositories";
const OLDER_FIELD: &str = "a field that only an older served version has; it must be in every version's \
                           schema to survive, since conversion changes nothing but the apiVersion";

const ACCEPTED: &[Accepted] = &[
    accepted("*", "/metadata/annotations/controller-gen.kubebuilder.io~1version", GENERATOR),
    accepted("artifactgenerators.source.extensions.fluxcd.io", "/metadata/annotations", GENERATOR),
    accepted("imagepolicies.image.toolkit.fluxcd.io", "/metadata/annotations", GENERATOR),
    accepted("imagerepositories.image.toolkit.fluxcd.io", "/metadata/annotations", GENERATOR),
    accepted("*", "/spec/versions/*/schema/openAPIV3Schema/required", SPEC_REQUIRED),
    accepted("*.source.toolkit.fluxcd.io", "/spec/versions/v1beta2", OLDER_VERSION),
    accepted("*.kustomize.toolkit.fluxcd.io", "/spec/versions/v1beta2", OLDER_VERSION),
    accepted("*.helm.toolkit.fluxcd.io", "/spec/versions/v2beta1", OLDER_VERSION),
    accepted("*.helm.toolkit.fluxcd.io", "/spec/versions/v2beta2", OLDER_VERSION),
    accepted("*.image.toolkit.fluxcd.io", "/spec/versions/v1beta2", OLDER_VERSION),
    accepted("*.notification.toolkit.fluxcd.io", "/spec/versions/v1beta2", OLDER_VERSION),
    accepted("gitrepositories.*", "*/spec/properties/gitImplementation", OLDER_FIELD),
    accepted("gitrepositories.*", "*/spec/properties/accessFrom", OLDER_FIELD),
    accepted("helmcharts.*", "*/spec/properties/accessFrom", OLDER_FIELD),
    accepted("helmcharts.*", "*/spec/properties/valuesFile", OLDER_FIELD),
    accepted("buckets.*", "*/spec/properties/accessFrom", OLDER_FIELD),
    accepted("kustomizations.*", "*/spec/properties/patchesStrategicMerge", OLDER_FIELD),
    accepted("kustomizations.*", "*/spec/properties/patchesJson6902", OLDER_FIELD),
    accepted("kustomizations.*", "*/spec/properties/validation", OLDER_FIELD),
    accepted("helmreleases.*", "*/chart/properties/spec/properties/valuesFile", OLDER_FIELD),
    accepted("helmreleases.*", "*/kustomize/properties/patchesStrategicMerge", OLDER_FIELD),
    accepted("helmreleases.*", "*/kustomize/properties/patchesJson6902", OLDER_FIELD),
    accepted("helmreleases.*", "*/status/properties/lastAppliedRevision", OLDER_FIELD),
];

#[test]
fn every_difference_from_flux_is_listed_with_its_reason() {
    let ours = fluxide_crdgen::definitions().unwrap();
    let mut unexpected = Vec::new();
    let mut used = BTreeSet::new();
    let mut names = BTreeSet::new();
    for flux in flux_definitions() {
        let name = flux["metadata"]["name"].as_str().unwrap().to_owned();
        let definition = ours.iter().find(|definition| definition.name == name);
        let definition = definition.unwrap_or_else(|| panic!("{name} is missing"));
        for difference in differences(&normalised(&flux), &normalised(&definition.manifest)) {
            let rule = ACCEPTED
                .iter()
                .position(|rule| matches(rule.definition, &name) && matches(rule.place, &difference.place));
            match rule {
                Some(index) => drop(used.insert(index)),
                None => unexpected.push(format!("{name} {}", difference.describe())),
            }
        }
        names.insert(name);
    }
    assert!(unexpected.is_empty(), "\n{}", unexpected.join("\n"));
    for (index, rule) in ACCEPTED.iter().enumerate() {
        assert!(!rule.reason.is_empty());
        assert!(used.contains(&index), "{} {} does not differ", rule.definition, rule.place);
    }
    let our_names: BTreeSet<_> = ours.into_iter().map(|definition| definition.name).collect();
    assert_eq!(our_names, names);
}

#[test]
fn the_files_are_those_the_types_make() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crd");
    let mut expected = BTreeSet::new();
    for (name, content) in fluxide_crdgen::files().unwrap() {
        let path = directory.join(&name);
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == content, "config/crd/{name} is stale: cargo run -p fluxide-crdgen");
        expected.insert(path);
    }
    for component in fluxide_crdgen::COMPONENTS {
        for entry in fs::read_dir(directory.join(component)).unwrap() {
            let path = entry.unwrap().path();
            assert!(expected.contains(&path), "{} is of no type", path.display());
        }
    }
}

#[test]
fn controllers_own_their_definitions() {
    let owned: usize = fluxide_crdgen::CONTROLLERS
        .iter()
        .map(|controller| fluxide_crdgen::crds_for(controller).unwrap().len())
        .sum();
    assert_eq!(owned, fluxide_crdgen::crds().unwrap().len());
    assert!(fluxide_crdgen::crds_for("other").unwrap().is_empty());
}

#[test]
fn older_versions_share_the_stored_schema_and_say_that_they_are_deprecated() {
    for crd in fluxide_crdgen::crds().unwrap() {
        let versions = crd["spec"]["versions"].as_array().unwrap();
        assert_eq!(versions.iter().filter(|version| version["storage"] == true).count(), 1);
        assert_eq!(versions[0]["storage"], true);
        assert!(versions[0].get("deprecated").is_none());
        for older in &versions[1..] {
            assert_eq!(older["served"], true);
            assert_eq!(older["deprecated"], true);
            assert_eq!(older["schema"], versions[0]["schema"]);
            assert_eq!(older["subresources"], versions[0]["subresources"]);
        }
        assert!(crd["spec"].get("conversion").is_none());
    }
}

fn flux_definitions() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flux-crds");
    let mut definitions = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        definitions.push(serde_yaml::from_str(&text).unwrap());
    }
    assert_eq!(definitions.len(), 15);
    definitions
}

/// A definition in which versions and validations are found by name, not by position, lists that
/// are sets are sorted, and descriptions are gone.
fn normalised(definition: &Value) -> Value {
    let mut definition = definition.clone();
    definition.as_object_mut().unwrap().remove("status");
    let versions = definition["spec"]["versions"].take();
    let by_name = versions.as_array().unwrap().iter().map(|version| {
        let mut version = version.clone();
        strip(&mut version["schema"]);
        (version["name"].as_str().unwrap().to_owned(), version)
    });
    definition["spec"]["versions"] = Value::Object(by_name.collect());
    definition
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("description").is_some_and(Value::is_string) {
                object.remove("description");
            }
            for (key, value) in object.iter_mut() {
                if key == "required"
                    && let Some(names) = value.as_array_mut()
                {
                    names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                }
                if key != "default" {
                    strip(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

struct Difference {
    place: String,
    flux: Option<Value>,
    ours: Option<Value>,
}

impl Difference {
    fn describe(&self) -> String {
        let text = |value: &Option<Value>| value.as_ref().map_or("-".into(), Value::to_string);
        format!("{}: flux {}, ours {}", self.place, text(&self.flux), text(&self.ours))
    }
}

fn differences(flux: &Value, ours: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), Some(flux), Some(ours), &mut found);
    found
}

fn compare(place: String, flux: Option<&Value>, ours: Option<&Value>, found: &mut Vec<Difference>) {
    if flux == ours {
        return;
    }
    if let (Some(Value::Object(flux)), Some(Value::Object(ours))) = (flux, ours) {
        let keys: BTreeSet<_> = flux.keys().chain(ours.keys()).collect();
        for key in keys {
            let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
            compare(place, flux.get(key), ours.get(key), found);
        }
        return;
    }
    found.push(Difference { place, flux: flux.cloned(), ours: ours.cloned() });
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).any(|skip| matches(rest, &tail[skip..]))),
    }
}
