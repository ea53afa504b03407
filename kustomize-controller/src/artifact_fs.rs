//! An unpacked artifact as the build sees it: rooted at `/`, with files on top that exist in memory
//! only.
//!
//! Unpacked artifacts are shared by all reconciles, so nothing may be written into them; and error
//! messages must not contain where on this machine they happen to be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use fluxide_kustomize::clean;
use fluxide_kustomize::{DiskFs, FileSystem, FsError, Resolved};

/// An artifact's directory with an overlay.
pub struct ArtifactFs {
    disk: DiskFs,
    overlay: BTreeMap<String, Vec<u8>>,
}

impl ArtifactFs {
    /// A view of the unpacked artifact in `directory`.
    pub fn new(directory: &Path) -> Result<Self, FsError> {
        Ok(Self { disk: DiskFs::new(directory)?, overlay: BTreeMap::new() })
    }

    /// Puts a file on top of the artifact; `path` is clean and absolute.
    pub fn overlay(&mut self, path: impl Into<String>, content: Vec<u8>) {
        self.overlay.insert(path.into(), content);
    }

    /// Where a clean absolute path of this view is on disk.
    pub fn on_disk(&self, path: &str) -> PathBuf {
        Path::new(self.disk.root()).join(path.trim_start_matches('/'))
    }

    fn disk_path(&self, path: &str) -> String {
        format!("{}/{}", self.disk.root(), clean(path).trim_start_matches('/'))
    }

    fn hide_root(&self, error: FsError) -> FsError {
        let hide = |text: String| self.strip_root(&text);
        match error {
            FsError::Resolve { path, missing, reason } => {
                FsError::Resolve { path: hide(path), missing: hide(missing), reason }
            }
            FsError::Outside { operation, path, .. } => {
                FsError::Outside { operation, path: hide(path), root: "/".to_owned() }
            }
            FsError::Io { operation, path, reason } => {
                FsError::Io { operation, path: hide(path), reason: hide(reason) }
            }
            FsError::TooLarge { path, limit } => FsError::TooLarge { path: hide(path), limit },
        }
    }

    fn strip_root(&self, text: &str) -> String {
        match text.strip_prefix(self.disk.root()) {
            Some("") => "/".to_owned(),
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            _ => text.to_owned(),
        }
    }
}

impl FileSystem for ArtifactFs {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FsError> {
        if let Some(content) = self.overlay.get(&clean(path)) {
            if content.len() as u64 > limit {
                return Err(FsError::TooLarge { path: path.to_owned(), limit });
            }
            return Ok(content.clone());
        }
        self.disk.read(&self.disk_path(path), limit).map_err(|error| match self.hide_root(error) {
            FsError::Resolve { path, reason, .. } => FsError::Io { operation: "open", path, reason },
            other => other,
        })
    }

    fn resolve(&self, path: &str) -> Result<Resolved, FsError> {
        let path = clean(path);
        if self.overlay.contains_key(&path) {
            return Ok(Resolved { path, is_dir: false });
        }
        let resolved = self.disk.resolve(&self.disk_path(&path)).map_err(|error| self.hide_root(error))?;
        Ok(Resolved { path: self.strip_root(&resolved.path), is_dir: resolved.is_dir })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(clean("./apps/../../etc"), "/etc");
        assert_eq!(clean(""), "/");
        assert_eq!(clean("/a//b/."), "/a/b");
    }

    #[test]
    fn messages_do_not_tell_where_the_artifact_is() {
        let directory = tempfile::tempdir().unwrap();
        let fs = ArtifactFs::new(directory.path()).unwrap();
        let error = fs.read("/absent/file.yaml", 10).unwrap_err().to_string();
        assert!(error.contains("/absent"), "{error}");
        assert!(!error.contains(directory.path().to_str().unwrap()), "{error}");
    }

    #[test]
    fn overlay_wins() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), "disk").unwrap();
        let mut fs = ArtifactFs::new(directory.path()).unwrap();
        assert_eq!(fs.read("/a", 10).unwrap(), b"disk");
        fs.overlay("/a", b"memory".to_vec());
        assert_eq!(fs.read("/./a", 10).unwrap(), b"memory");
        assert_eq!(fs.resolve("/").unwrap(), Resolved { path: "/".into(), is_dir: true });
    }

    #[test]
    fn links_out_of_the_artifact_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("link")).unwrap();
        let fs = ArtifactFs::new(directory.path()).unwrap();
        assert!(matches!(fs.read("/link", 10), Err(FsError::Outside { .. })));
    }
}
