//! Where a build goes: standard output, a file, or a directory with one file for each object.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use fluxide_kustomize::{Resource, Resources};

/// Why a build cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object cannot be printed.
    #[error("{0}")]
    Print(#[from] fluxide_kustomize::Error),
    /// The disk failed.
    #[error("open {path}: {reason}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Standard output failed.
    #[error("write /dev/stdout: {0}")]
    Stdout(io::Error),
    /// An object's name leads somewhere else.
    #[error(
        "cannot make a file of the object '{0}': its name contains a slash; write to a file with --output FILE"
    )]
    FileName(String),
}

/// Writes everything, or nothing if an object cannot be printed.
pub fn write(resources: Resources, to: Option<&Path>) -> Result<(), Error> {
    match to.filter(|path| !path.as_os_str().is_empty()) {
        None => {
            let documents = resources.into_documents()?;
            match write_documents(&documents, io::stdout().lock()) {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                result => result.map_err(Error::Stdout),
            }
        }
        Some(path) if path.is_dir() => write_each(&resources, path),
        Some(path) => {
            let documents = resources.into_documents()?;
            let written = File::create(path).and_then(|file| write_documents(&documents, file));
            written.map_err(|error| open_error(path, &error))
        }
    }
}

fn write_documents(documents: &[String], mut to: impl io::Write) -> io::Result<()> {
    for (at, document) in documents.iter().enumerate() {
        if at > 0 {
            to.write_all(b"---\n")?;
        }
        to.write_all(document.as_bytes())?;
    }
    to.flush()
}

fn write_each(resources: &Resources, directory: &Path) -> Result<(), Error> {
    let namespaces: BTreeSet<&str> = resources
        .iter()
        .filter(|resource| !resource.is_cluster_scoped())
        .map(Resource::effective_namespace)
        .collect();
    for resource in resources {
        let mut name = file_name(resource);
        if namespaces.len() > 1 && !resource.is_cluster_scoped() {
            name = format!("{}_{name}", resource.effective_namespace().to_lowercase());
        }
        if name.contains('/') {
            return Err(Error::FileName(resource.current_id().to_string()));
        }
        put(&directory.join(name), &resource.to_yaml()?)?;
    }
    Ok(())
}

/// `group_version_kind_name.yaml` in lower case, without what is empty.
fn file_name(resource: &Resource) -> String {
    let id = resource.current_id();
    let parts = [&id.gvk.group, &id.gvk.version, &id.gvk.kind].map(String::as_str);
    let kind = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    format!("{kind}_{}.yaml", id.name).to_lowercase()
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| open_error(path, &error))
}

fn open_error(path: &Path, error: &io::Error) -> Error {
    Error::Open {
        path: path.display().to_string(),
        reason: match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        },
    }
}
