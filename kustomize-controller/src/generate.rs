//! The kustomization.yaml that is built: the one of the artifact or one made of its manifests, with
//! the fields of the Kustomization's spec merged into it.

use std::{fs, io};

use fluxide_artifact::ignore::IgnoreRules;
use fluxide_goyaml::sigs;
use fluxide_kustomize::{FileSystem, FsError, KustomizationError, Limits, ReadError};
use fluxide_kustomize_api::KustomizationSpec;
use fluxide_meta::{Image, Selector};
use serde_json::{Map, Value, json};

use crate::artifact_fs::{ArtifactFs, clean};

/// The names under which kustomize looks for a kustomization, in order.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Prefixes of component paths that are not in the artifact.
const REMOTE_PREFIXES: [&str; 8] =
    ["git::", "gh:", "ssh://", "https://", "http://", "git@", "github.com:", "github.com/"];

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
        source: io::Error,
    },
    /// A manifest is not YAML, or not of Kubernetes objects.
    #[error("failed to decode Kubernetes YAML from {path}: {source}")]
    Manifest {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The kustomization.yaml of the artifact cannot be used.
    #[error("failed to decode Kustomization from {path}: {source}")]
    Kustomization {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: KustomizationError,
    },
    /// A path of the artifact leads nowhere, or out of it.
    #[error(transparent)]
    Path(#[from] FsError),
    /// The result cannot be written.
    #[error("cannot write the kustomization.yaml of {path}: {source}")]
    Write {
        /// Its directory.
        path: String,
        /// Why.
        source: fluxide_goyaml::Error,
    },
    /// A component is not in the artifact.
    #[error("component path '{0}' must be local and relative")]
    RemoteComponent(String),
}

/// Makes the kustomization.yaml of a directory and puts it on top of the artifact.
///
/// Returns true when it was generated from nothing: the build will yield no objects.
pub fn generate(artifact: &mut ArtifactFs, directory: &str, spec: &KustomizationSpec) -> Result<bool, Error> {
    generate_without(artifact, directory, spec, &IgnoreRules::for_bucket(None, None))
}

/// Generates as [`generate`] does, leaving out manifests whose paths, relative to the directory, are
/// ignored, also where a kustomization.yaml names them.
pub fn generate_without(
    artifact: &mut ArtifactFs,
    directory: &str,
    spec: &KustomizationSpec,
    ignored: &IgnoreRules,
) -> Result<bool, Error> {
    let directory = artifact.resolve(directory)?.path;
    let existing = FILE_NAMES.into_iter().find(|name| is_file(artifact, &join(&directory, name)));
    let (mut file, is_empty) = match existing {
        Some(name) => (read(artifact, &join(&directory, name))?, false),
        None => from_manifests(artifact, &directory, ignored)?,
    };
    for list in ["resources", "components", "crds"] {
        leave_out(&mut file, list, artifact, &directory, ignored);
    }
    merge(&mut file, artifact, &directory, spec)?;
    let text = sigs::to_yaml(&Value::Object(file).into())
        .map_err(|source| Error::Write { path: directory.clone(), source })?;
    // A link is replaced where it leads.
    let path = join(&directory, existing.unwrap_or(FILE_NAMES[0]));
    let path = match artifact.resolve(&path) {
        Ok(resolved) if resolved.is_dir => return Err(io_error("open", path, "is a directory")),
        Ok(resolved) => resolved.path,
        Err(_) => path,
    };
    artifact.overlay(path, text.into_bytes());
    Ok(is_empty)
}

/// Removes the entries of a list that are ignored paths. What is elsewhere, out of the directory or at a URL, stays.
fn leave_out(
    file: &mut Map<String, Value>,
    list: &str,
    artifact: &ArtifactFs,
    directory: &str,
    ignored: &IgnoreRules,
) {
    let Some(Value::Array(entries)) = file.get_mut(list) else { return };
    entries.retain(|entry| {
        let Some(entry) = entry.as_str().filter(|entry| !entry.contains("://")) else { return true };
        let path = join(directory, entry);
        let below = format!("{}/", directory.trim_end_matches('/'));
        let Some(inside) = path.strip_prefix(&below) else { return true };
        let is_dir = artifact.resolve(&path).is_ok_and(|resolved| resolved.is_dir);
        !ignored.is_ignored(inside, is_dir)
    });
}

fn io_error(operation: &'static str, path: String, reason: &str) -> Error {
    FsError::Io { operation, path, reason: reason.to_owned() }.into()
}

fn join(directory: &str, name: &str) -> String {
    clean(&format!("{directory}/{name}"))
}

/// Whether there is a file, or a link to one, in the artifact.
fn is_file(artifact: &ArtifactFs, path: &str) -> bool {
    artifact.resolve(path).is_ok_and(|resolved| !resolved.is_dir)
}

fn read(artifact: &ArtifactFs, path: &str) -> Result<Map<String, Value>, Error> {
    let content = artifact.read(path, Limits::default().file_bytes)?;
    let mut file = fluxide_kustomize::read_kustomization(&content)
        .map_err(|source| Error::Kustomization { path: path.to_owned(), source })?;
    for (key, value) in type_fields() {
        file.entry(key).or_insert(value);
    }
    let has_resources = file.get("resources").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if !has_resources {
        // So that kustomize does not call the file empty.
        file.insert("buildMetadata".to_owned(), json!(["originAnnotations"]));
    }
    Ok(file)
}

fn type_fields() -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("apiVersion".to_owned(), "kustomize.config.k8s.io/v1beta1".into());
    fields.insert("kind".to_owned(), "Kustomization".into());
    fields
}

/// A kustomization of all manifests in and below a directory, and whether there are none.
fn from_manifests(
    artifact: &ArtifactFs,
    directory: &str,
    ignored: &IgnoreRules,
) -> Result<(Map<String, Value>, bool), Error> {
    let mut resources = Vec::new();
    scan(artifact, ignored, directory, directory, &mut resources)?;
    let mut file = type_fields();
    let is_empty = resources.is_empty();
    if is_empty {
        file.insert("namespace".to_owned(), PLACEHOLDER_NAMESPACE.into());
    } else {
        file.insert("resources".to_owned(), resources.into());
    }
    Ok((file, is_empty))
}

fn scan(
    artifact: &ArtifactFs,
    ignored: &IgnoreRules,
    base: &str,
    directory: &str,
    resources: &mut Vec<String>,
) -> Result<(), Error> {
    let failed = |path: &str, source| Error::Read { path: path.to_owned(), source };
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(artifact.on_disk(directory))
        .and_then(Iterator::collect)
        .map_err(|source| failed(directory, source))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(|source| failed(directory, source))?;
        let name = entry.file_name();
        let is_text = name.to_str().is_some();
        let name = name.to_string_lossy();
        let path = join(directory, &name);
        // Flux looks at everything it walks over, manifest or not.
        if is_text && let Err(FsError::Outside { path, root, .. }) = artifact.resolve(&path) {
            return Err(FsError::Outside { operation: "walk", path, root }.into());
        }
        if ignored.is_ignored(relative(base, &path).trim_start_matches("./"), kind.is_dir()) {
            continue;
        }
        if !is_text && (kind.is_dir() || is_yaml(&name)) {
            let reason = "its name is not UTF-8: rename it, or leave it out with a .sourceignore file";
            return Err(failed(&path, io::Error::other(reason)));
        }
        if !kind.is_dir() {
            if is_yaml(&name) {
                check_manifest(artifact, &path)?;
                resources.push(relative(base, &path));
            }
        } else if FILE_NAMES.iter().any(|name| is_file(artifact, &join(&path, name))) {
            resources.push(relative(base, &path));
        } else {
            scan(artifact, ignored, base, &path, resources)?;
        }
    }
    Ok(())
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

fn relative(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    format!(".{}", path.strip_prefix(base).unwrap_or(path))
}

/// Checks that every document of a file is a Kubernetes object.
fn check_manifest(artifact: &ArtifactFs, path: &str) -> Result<(), Error> {
    match artifact.resolve(path) {
        Ok(resolved) if resolved.is_dir => return Err(io_error("read", path.to_owned(), "is a directory")),
        Err(FsError::Resolve { reason, .. }) => return Err(io_error("open", path.to_owned(), &reason)),
        _ => {}
    }
    let content = artifact.read(path, Limits::default().file_bytes)?;
    match fluxide_kustomize::read_objects(&content) {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Manifest { path: path.to_owned(), source }),
    }
}

/// Merges the spec into the file.
fn merge(
    file: &mut Map<String, Value>,
    artifact: &ArtifactFs,
    directory: &str,
    spec: &KustomizationSpec,
) -> Result<(), Error> {
    for (key, value) in [
        ("namespace", &spec.target_namespace),
        ("namePrefix", &spec.name_prefix),
        ("nameSuffix", &spec.name_suffix),
    ] {
        if let Some(value) = given(value) {
            file.insert(key.to_owned(), value.into());
        }
    }
    let patches = spec.all_patches().into_iter().map(|patch| {
        let mut entry = json!({"patch": patch.patch});
        if let Some(target) = &patch.target {
            entry["target"] = selector(target);
        }
        entry
    });
    append(file, "patches", patches);
    append(file, "components", components(artifact, directory, spec)?.into_iter().map(Value::from));
    for image in &spec.images {
        merge_image(file, image);
    }
    if !spec.build_metadata.is_empty() {
        let options: Vec<&str> = spec.build_metadata.iter().map(|option| option.as_str()).collect();
        file.insert("buildMetadata".to_owned(), options.into());
    }
    Ok(())
}

/// Adds items to the list at a key, which is created when it is needed.
fn append(file: &mut Map<String, Value>, key: &str, items: impl IntoIterator<Item = Value>) {
    let mut items = items.into_iter().peekable();
    if items.peek().is_none() {
        return;
    }
    match file.get_mut(key) {
        Some(Value::Array(list)) => list.extend(items),
        _ => {
            file.insert(key.to_owned(), Value::Array(items.collect()));
        }
    }
}

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

fn selector(target: &Selector) -> Value {
    let fields = [
        ("group", &target.group),
        ("version", &target.version),
        ("kind", &target.kind),
        ("name", &target.name),
        ("namespace", &target.namespace),
        ("annotationSelector", &target.annotation_selector),
        ("labelSelector", &target.label_selector),
    ];
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(given(value)?)))).collect()
}

fn components(
    artifact: &ArtifactFs,
    directory: &str,
    spec: &KustomizationSpec,
) -> Result<Vec<String>, Error> {
    let mut components = Vec::new();
    for component in &spec.components {
        if !is_local_relative(component) {
            return Err(Error::RemoteComponent(component.clone()));
        }
        let is_there = artifact.resolve(&join(directory, component)).is_ok();
        if is_there || !spec.ignore_missing_components {
            components.push(component.clone());
        }
    }
    Ok(components)
}

fn is_local_relative(path: &str) -> bool {
    let lower = path.to_lowercase();
    let remote = REMOTE_PREFIXES.iter().any(|prefix| lower.len() > prefix.len() && lower.starts_with(prefix));
    !remote && !lower.strip_prefix("file://").unwrap_or(&lower).starts_with('/')
}

/// Merges one image by name: tag and digest of the spec replace both, its new name only if given.
fn merge_image(file: &mut Map<String, Value>, image: &Image) {
    let new_name = given(&image.new_name);
    let version = [("newTag", given(&image.new_tag)), ("digest", given(&image.digest))];
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = file.get_mut("images").and_then(Value::as_array_mut);
    let existing =
        list.and_then(|list| list.iter_mut().find(|entry| name(entry) == image.name)?.as_object_mut());
    let mut added = Map::new();
    added.insert("name".to_owned(), image.name.clone().into());
    let is_new = existing.is_none();
    let target = existing.unwrap_or(&mut added);
    if let Some(new_name) = new_name {
        target.insert("newName".to_owned(), new_name.into());
    }
    if version.iter().any(|(_, value)| value.is_some()) {
        for (key, value) in version {
            match value {
                Some(value) => target.insert(key.to_owned(), value.into()),
                None => target.remove(key),
            };
        }
    }
    if is_new {
        append(file, "images", [added.into()]);
    }
}

#[cfg(test)]
mod tests;
