//! A tree of files in memory, for tests and for callers that hold an artifact unpacked.

use super::{FileSystem, FsError, Resolved, join};
use std::collections::{BTreeMap, BTreeSet};

/// Files by absolute path. Directories exist as soon as a file is below them.
#[derive(Clone, Debug, Default)]
pub struct MemoryFs {
    files: BTreeMap<String, Vec<u8>>,
    directories: BTreeSet<String>,
}

impl MemoryFs {
    /// An empty tree.
    pub fn new() -> MemoryFs {
        MemoryFs::default()
    }

    /// The tree with one more file (or one replaced).
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> MemoryFs {
        self.insert(path, content);
        self
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        let path = join("/", path);
        let mut directory = super::parent(&path);
        while self.directories.insert(directory.to_owned()) && directory != "/" {
            directory = super::parent(directory);
        }
        self.files.insert(path, content.into());
    }
}

impl FileSystem for MemoryFs {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FsError> {
        let path = join("/", path);
        match self.files.get(&path) {
            Some(content) if content.len() as u64 > limit => Err(FsError::TooLarge { path, limit }),
            Some(content) => Ok(content.clone()),
            None if self.directories.contains(&path) => {
                Err(FsError::Io { operation: "read", path, reason: "is a directory".into() })
            }
            None => Err(FsError::Io { operation: "open", path, reason: "no such file or directory".into() }),
        }
    }

    fn resolve(&self, path: &str) -> Result<Resolved, FsError> {
        let clean = join("/", path);
        if self.files.contains_key(&clean) {
            Ok(Resolved { path: clean, is_dir: false })
        } else if clean == "/" || self.directories.contains(&clean) {
            Ok(Resolved { path: clean, is_dir: true })
        } else {
            Err(FsError::Resolve {
                missing: clean.clone(),
                path: clean,
                reason: "no such file or directory".into(),
            })
        }
    }
}
