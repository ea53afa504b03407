//! The kustomization.yaml that is built: the one of the artifact or one made of its manifests, with
//! the fields of the Kustomization's spec merged into it.

use std::fs;
use std::path::Path;

use fluxide_goyaml::{EncodeOptions, Node, encode, parse};
use fluxide_kustomize_api::KustomizationSpec;
use fluxide_meta::{Image, Selector};

use crate::artifact_fs::{ArtifactFs, clean};

/// The names under which kustomize looks for a kustomization, in order.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The fields of a kustomization. Others are dropped, so that a typo does not stop a deployment
/// that Flux lets through.
const FIELDS: [&str; 34] = [
    "apiVersion",
    "bases",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "components",
    "configMapGenerator",
    "configurations",
    "crds",
    "generatorOptions",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "images",
    "imageTags",
    "kind",
    "labels",
    "metadata",
    "namePrefix",
    "namespace",
    "nameSuffix",
    "openapi",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "replicas",
    "resources",
    "secretGenerator",
    "sortOptions",
    "transformers",
    "validators",
    "vars",
];

/// Prefixes of component paths that are not in the artifact.
const REMOTE_PREFIXES: [&str; 9] =
    ["git::", "gh:", "ssh://", "https://", "http://", "git@", "github.com:", "github.com/", "file:///"];

/// Namespace of a kustomization without any resource, so that it builds to nothing.
const PLACEHOLDER_NAMESPACE: &str = "_placeholder";

/// Why no kustomization.yaml can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the artifact cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// Which one.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A manifest is not YAML, or not of Kubernetes objects.
    #[error("failed to decode Kubernetes YAML from {path}: {reason}")]
    Manifest {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kustomization.yaml of the artifact cannot be used.
    #[error("failed to decode Kustomization from {path}: {reason}")]
    Kustomization {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A component is not in the artifact.
    #[error("component path '{0}' must be local and relative")]
    RemoteComponent(String),
}

/// Makes the kustomization.yaml of a directory and puts it on top of the artifact.
///
/// Returns true when it was generated from nothing: the build will yield no objects.
pub fn generate(artifact: &mut ArtifactFs, directory: &str, spec: &KustomizationSpec) -> Result<bool, Error> {
    let existing = FILE_NAMES.into_iter().find(|name| {
        let path = artifact.on_disk(&clean(&format!("{directory}/{name}")));
        path.is_file()
    });
    let (mut file, is_empty) = match existing {
        Some(name) => (read(artifact, &clean(&format!("{directory}/{name}")))?, false),
        None => from_manifests(artifact, directory)?,
    };
    merge(&mut file, artifact, directory, spec)?;
    let name = existing.unwrap_or(FILE_NAMES[0]);
    let content = encode(&file, EncodeOptions::KYAML).into_bytes();
    artifact.overlay(clean(&format!("{directory}/{name}")), content);
    Ok(is_empty)
}

fn read(artifact: &ArtifactFs, path: &str) -> Result<Node, Error> {
    let content =
        fs::read(artifact.on_disk(path)).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let failed = |reason: String| Error::Kustomization { path: path.to_owned(), reason };
    let mut documents = parse(&content).map_err(|error| failed(error.to_string()))?;
    if documents.is_empty() {
        documents.push(Node::empty_mapping());
    }
    let mut file = documents.swap_remove(0).into_root();
    if file.is_null() {
        file = Node::empty_mapping();
    }
    if !file.is_mapping() {
        return Err(failed("the file is not a map of fields".to_owned()));
    }
    let unknown: Vec<String> = file
        .pairs()
        .filter_map(|(key, _)| key.as_text())
        .filter(|key| !FIELDS.contains(key))
        .map(str::to_owned)
        .collect();
    for key in unknown {
        file.remove(&key);
    }
    if file.get("resources").is_none_or(Node::is_null_or_empty) {
        file.set("buildMetadata", Node::sequence([Node::string("originAnnotations")]));
    }
    Ok(file)
}

/// A kustomization of all manifests in and below a directory, and whether there are none.
fn from_manifests(artifact: &ArtifactFs, directory: &str) -> Result<(Node, bool), Error> {
    let mut resources = Vec::new();
    scan(artifact, directory, directory, &mut resources)?;
    let mut file = Node::mapping([
        ("apiVersion", Node::string("kustomize.config.k8s.io/v1beta1")),
        ("kind", Node::string("Kustomization")),
    ]);
    let is_empty = resources.is_empty();
    if is_empty {
        file.set("namespace", Node::string(PLACEHOLDER_NAMESPACE));
    } else {
        file.set("resources", Node::sequence(resources.into_iter().map(Node::string)));
    }
    Ok((file, is_empty))
}

fn scan(
    artifact: &ArtifactFs,
    base: &str,
    directory: &str,
    resources: &mut Vec<String>,
) -> Result<(), Error> {
    let on_disk = artifact.on_disk(directory);
    let failed = |path: &str, source| Error::Read { path: path.to_owned(), source };
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(&on_disk).and_then(Iterator::collect).map_err(|source| failed(directory, source))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = clean(&format!("{directory}/{name}"));
        let kind = entry.file_type().map_err(|source| failed(&path, source))?;
        if kind.is_dir() {
            if FILE_NAMES.iter().any(|name| entry.path().join(name).is_file()) {
                resources.push(relative(base, &path));
            } else {
                scan(artifact, base, &path, resources)?;
            }
        } else if kind.is_file() && is_yaml(&entry.path()) {
            let content = fs::read(entry.path()).map_err(|source| failed(&path, source))?;
            check_manifest(&content).map_err(|reason| Error::Manifest { path: path.clone(), reason })?;
            resources.push(relative(base, &path));
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn relative(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    format!(".{}", path.strip_prefix(base).unwrap_or(path))
}

/// Checks that every document of a file is a Kubernetes object.
fn check_manifest(content: &[u8]) -> Result<(), String> {
    let documents = parse(content).map_err(|error| format!("MalformedYAMLError: {error}"))?;
    for document in documents {
        let object = document.root();
        if object.is_null_or_empty() {
            continue;
        }
        if !object.is_mapping() {
            return Err("a document is not a Kubernetes object: it must be a map of fields".to_owned());
        }
        let Some(kind) = object.get_text("kind").filter(|kind| !kind.is_empty()) else {
            return Err("missing Resource metadata: a document has no kind".to_owned());
        };
        let has_name = object
            .get("metadata")
            .and_then(|metadata| metadata.get_text("name").or_else(|| metadata.get_text("generateName")))
            .is_some_and(|name| !name.is_empty());
        if !has_name && !kind.ends_with("List") && kind != "Kustomization" {
            return Err(format!("missing metadata.name in a document of kind {kind}"));
        }
    }
    Ok(())
}

/// Merges the spec into the file.
fn merge(
    file: &mut Node,
    artifact: &ArtifactFs,
    directory: &str,
    spec: &KustomizationSpec,
) -> Result<(), Error> {
    for (key, value) in [
        ("namespace", &spec.target_namespace),
        ("namePrefix", &spec.name_prefix),
        ("nameSuffix", &spec.name_suffix),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            file.set(key, Node::string(value));
        }
    }
    let patches = spec.all_patches().into_iter().map(|patch| {
        let mut node = Node::mapping([("patch", Node::string(patch.patch))]);
        if let Some(target) = &patch.target {
            node.set("target", selector(target));
        }
        node
    });
    append(file, "patches", patches);
    append(file, "components", components(artifact, directory, spec)?.into_iter().map(Node::string));
    for image in &spec.images {
        merge_image(file, image);
    }
    if !spec.build_metadata.is_empty() {
        let options = spec.build_metadata.iter().map(|option| Node::string(option.as_str()));
        file.set("buildMetadata", Node::sequence(options));
    }
    Ok(())
}

/// Adds items to the sequence at a key, which is created when it is needed.
fn append(file: &mut Node, key: &str, items: impl IntoIterator<Item = Node>) {
    let existing = file.get(key).map(|node| node.items().to_vec()).unwrap_or_default();
    let before = existing.len();
    let all: Vec<Node> = existing.into_iter().chain(items).collect();
    if all.len() > before {
        file.set(key, Node::sequence(all));
    }
}

fn selector(target: &Selector) -> Node {
    let mut node = Node::empty_mapping();
    for (key, value) in [
        ("group", &target.group),
        ("version", &target.version),
        ("kind", &target.kind),
        ("name", &target.name),
        ("namespace", &target.namespace),
        ("annotationSelector", &target.annotation_selector),
        ("labelSelector", &target.label_selector),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            node.set(key, Node::string(value));
        }
    }
    node
}

fn components(
    artifact: &ArtifactFs,
    directory: &str,
    spec: &KustomizationSpec,
) -> Result<Vec<String>, Error> {
    let mut components = Vec::new();
    for component in &spec.components {
        let lower = component.to_lowercase();
        if component.starts_with('/') || REMOTE_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
            return Err(Error::RemoteComponent(component.clone()));
        }
        let path = artifact.on_disk(&clean(&format!("{directory}/{component}")));
        if spec.ignore_missing_components && !path.exists() {
            continue;
        }
        components.push(component.clone());
    }
    Ok(components)
}

/// Merges one image by name: tag and digest of the spec replace both, its new name only if given.
fn merge_image(file: &mut Node, image: &Image) {
    fn given(value: &Option<String>) -> Option<&str> {
        value.as_deref().filter(|value| !value.is_empty())
    }
    let new_name = given(&image.new_name);
    let pair = [("newTag", given(&image.new_tag)), ("digest", given(&image.digest))];
    let existing = file.get_mut("images").and_then(|images| {
        images.items_mut().iter_mut().find(|item| item.get_text("name") == Some(&image.name))
    });
    let mut added = Node::mapping([("name", Node::string(&*image.name))]);
    let is_new = existing.is_none();
    let target = existing.unwrap_or(&mut added);
    if let Some(new_name) = new_name {
        target.set("newName", Node::string(new_name));
    }
    if pair.iter().any(|(_, value)| value.is_some()) {
        for (key, value) in pair {
            match value {
                Some(value) => target.set(key, Node::string(value)),
                None => target.remove(key),
            };
        }
    }
    if is_new {
        append(file, "images", [added]);
    }
}

#[cfg(test)]
mod tests;
