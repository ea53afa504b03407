//! `spec.include`: directories of other GitRepositories put into this one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fluxide_artifact::Store;
use fluxide_artifact::confined;
use fluxide_artifact::unpack::{UnpackOptions, unpack};
use fluxide_meta::Artifact;
use fluxide_runtime::{Change, Key, Store as Objects};
use fluxide_source_api::GitRepository;
use fluxide_source_api::git_repository::GitRepositoryInclude;
use kube::ResourceExt;

use super::{GitRepositoryReconciler, PackError};
use crate::source::{Problem, reason};

/// The repositories that include one whose artifact changed.
pub fn including(change: &Change<GitRepository>, repositories: &Objects<GitRepository>) -> Vec<Key> {
    let identity = |object: &GitRepository| {
        let artifact = object.status.as_ref()?.artifact.as_ref()?;
        Some((artifact.revision.clone(), artifact.digest.clone()))
    };
    let Some(new) = &change.new else {
        return Vec::new();
    };
    let now = identity(new);
    if change.initial || now.is_none() || now == change.old.as_ref().and_then(|old| identity(old)) {
        return Vec::new();
    }
    let (namespace, name) = (new.namespace(), new.name_any());
    let keys = repositories.keys_where(|object| {
        object.namespace() == namespace
            && object.spec.include.iter().any(|include| include.repository_ref.name == name)
    });
    // Repositories that include each other would grow without end if each followed the other at once.
    let below = included_by(new, repositories);
    keys.into_iter().filter(|key| key.name != name && !below.contains(&key.name)).collect()
}

/// The names of all repositories that one includes, directly or through others.
fn included_by(object: &GitRepository, repositories: &Objects<GitRepository>) -> BTreeSet<String> {
    let namespace = object.namespace().unwrap_or_default();
    let names = |object: &GitRepository| -> Vec<String> {
        object.spec.include.iter().map(|include| include.repository_ref.name.clone()).collect()
    };
    let mut found = BTreeSet::new();
    let mut open = names(object);
    while let Some(name) = open.pop() {
        if let Some(object) = repositories.find(&namespace, &name)
            && found.insert(name)
        {
            open.extend(names(&object));
        }
    }
    found
}

impl GitRepositoryReconciler {
    /// The artifacts of what an object includes, in the order of its spec.
    pub(super) fn included_artifacts(&self, object: &GitRepository) -> Result<Vec<Artifact>, Problem> {
        let namespace = object.namespace().unwrap_or_default();
        let wait = |reason, message| Problem::Wait { reason, message, after: self.requeue_dependency };
        let mut artifacts = Vec::new();
        for include in &object.spec.include {
            let name = &include.repository_ref.name;
            let included = self.repositories.find(&namespace, name).ok_or_else(|| {
                wait(
                    reason::NOT_FOUND,
                    format!(
                        "could not get resource for include '{name}': GitRepository.source.toolkit.fluxcd.io \"{name}\" not found"
                    ),
                )
            })?;
            let artifact = included.status.as_ref().and_then(|status| status.artifact.clone());
            artifacts.push(artifact.ok_or_else(|| {
                wait(reason::NO_ARTIFACT, format!("no artifact available for include '{name}'"))
            })?);
        }
        Ok(artifacts)
    }
}

/// Puts a directory of an included artifact into the working directory.
pub fn copy(
    store: &Store,
    artifact: &str,
    include: &GitRepositoryInclude,
    directory: &Path,
) -> Result<(), PackError> {
    let name = &include.repository_ref.name;
    let failed = |reason, message: String| PackError::Include { reason, message };
    let to = confined::join(directory, include.to_path());
    let copy_failure = |error: String| {
        failed(
            reason::COPY_FAILURE,
            format!(
                "failed to copy '{name}' include from {} to {}: {error}",
                include.from_path(),
                include.to_path()
            ),
        )
    };
    if to.symlink_metadata().is_ok() {
        return Err(copy_failure("the destination exists already".to_owned()));
    }
    let unpacked = tempfile::tempdir().map_err(|error| copy_failure(error.to_string()))?;
    let file = store.open(artifact).map_err(|error| copy_failure(error.to_string()))?;
    unpack(file, unpacked.path(), &UnpackOptions::default())
        .map_err(|error| copy_failure(error.to_string()))?;
    let from = confined::join(unpacked.path(), include.from_path());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(|error| copy_failure(error.to_string()))?;
    }
    move_tree(&from, &to).map_err(|error| copy_failure(error.to_string()))
}

/// Renames, or copies where the two are on different file systems.
fn move_tree(from: &Path, to: &PathBuf) -> std::io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => copy_tree(from, to),
        result => result,
    }
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
