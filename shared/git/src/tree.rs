//! Writes the files of a commit to a directory.
//!
//! The content comes from strangers: names are checked as Git does for all file systems, only directories and regular
//! files are created, and nothing is written through a link because none is ever made.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gix::hash::ObjectId;
use gix::objs::tree::EntryKind;
use gix::objs::{Kind, TreeRefIter};

use crate::GitError;
use crate::checkout::Limits;
use crate::objects::Objects;
use crate::session::Guard;
use crate::submodule::MAX_SUBMODULES;

/// The deepest directory that is written.
const MAX_DEPTH: usize = 256;

/// A place in the tree where another repository belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gitlink {
    pub path: String,
    pub commit: ObjectId,
}

/// What a checkout may still write.
pub(crate) struct Budget {
    limits: Limits,
    files: u64,
    bytes: u64,
    submodules: usize,
    /// Bytes that may still be downloaded.
    pub pack_bytes: u64,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        Budget { limits, files: 0, bytes: 0, submodules: 0, pack_bytes: limits.pack_bytes }
    }

    /// Fails when there are more submodules than anybody needs.
    pub fn take_submodule(&mut self) -> Result<(), GitError> {
        self.submodules += 1;
        match self.submodules > MAX_SUBMODULES {
            true => Err(GitError::TooLarge { limit: MAX_SUBMODULES as u64, unit: "submodules" }),
            false => Ok(()),
        }
    }

    fn take(&mut self, bytes: u64) -> Result<(), GitError> {
        self.files += 1;
        self.bytes += bytes;
        if self.files > self.limits.files {
            return Err(GitError::TooLarge { limit: self.limits.files, unit: "files" });
        }
        if self.bytes > self.limits.checkout_bytes {
            return Err(GitError::TooLarge { limit: self.limits.checkout_bytes, unit: "bytes" });
        }
        Ok(())
    }
}

/// The directories a checkout is limited to; everything if there are none.
pub(crate) struct Sparse(Vec<Vec<String>>);

impl Sparse {
    pub fn new(directories: &[String]) -> Self {
        let components = |directory: &String| {
            directory.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        Sparse(directories.iter().map(components).collect())
    }

    /// What is wanted of a directory.
    pub fn below(&self, directory: &str) -> Sparse {
        let directory: Vec<&str> = directory.split('/').collect();
        let inside = |wanted: &Vec<String>| {
            let depth = directory.len();
            let leads = wanted.len() > depth && wanted[..depth].iter().eq(directory.iter());
            leads.then(|| wanted[depth..].to_vec())
        };
        // A directory that is wanted as a whole is above all that is wanted of it.
        let whole = self.0.iter().any(|wanted| {
            directory.iter().zip(wanted).filter(|(a, b)| *a == b).count() == wanted.len()
                && wanted.len() <= directory.len()
        });
        if whole {
            return Sparse(Vec::new());
        }
        Sparse(self.0.iter().filter_map(inside).collect())
    }

    /// Whether a path is wanted, or leads to something that is.
    fn wants(&self, path: &[String], is_directory: bool) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|wanted| {
                let inside = path.len() >= wanted.len() && path[..wanted.len()] == wanted[..];
                let leads_there =
                    is_directory && path.len() < wanted.len() && wanted[..path.len()] == path[..];
                inside || leads_there
            })
    }
}

/// Writes the files of a tree to a directory that exists. Gives where submodules belong.
pub(crate) fn write_tree(
    objects: &Objects,
    tree: &ObjectId,
    directory: &Path,
    sparse: &Sparse,
    budget: &mut Budget,
    guard: &Guard,
) -> Result<Vec<Gitlink>, GitError> {
    let mut writer = TreeWriter { objects, root: directory, sparse, budget, guard, gitlinks: Vec::new() };
    writer.write(tree, &mut Vec::new())?;
    Ok(writer.gitlinks)
}

struct TreeWriter<'a> {
    objects: &'a Objects,
    root: &'a Path,
    sparse: &'a Sparse,
    budget: &'a mut Budget,
    guard: &'a Guard,
    gitlinks: Vec<Gitlink>,
}

impl TreeWriter<'_> {
    fn write(&mut self, tree: &ObjectId, path: &mut Vec<String>) -> Result<(), GitError> {
        self.guard.check()?;
        if path.len() >= MAX_DEPTH {
            return Err(refused(path, "directories are nested too deep"));
        }
        let bytes = self.objects.read(tree, Kind::Tree)?;
        for entry in TreeRefIter::from_bytes(&bytes, gix::hash::Kind::Sha1) {
            let entry = entry.map_err(|_| GitError::Protocol(format!("tree {tree} is damaged")))?;
            let mode = entry.mode;
            let name = check_name(entry.filename, path)?;
            path.push(name);
            let kind = mode.kind();
            if self.sparse.wants(path, matches!(kind, EntryKind::Tree | EntryKind::Commit)) {
                self.write_entry(kind, entry.oid.into(), path)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn write_entry(&mut self, kind: EntryKind, id: ObjectId, path: &mut Vec<String>) -> Result<(), GitError> {
        match kind {
            EntryKind::Tree => {
                self.make_directory(path)?;
                self.write(&id, path)
            }
            EntryKind::Blob => self.write_file(&id, path, 0o644),
            EntryKind::BlobExecutable => self.write_file(&id, path, 0o755),
            EntryKind::Commit => {
                self.make_directory(path)?;
                self.gitlinks.push(Gitlink { path: path.join("/"), commit: id });
                Ok(())
            }
            // Artifacts hold no links, so there is no use for one here.
            EntryKind::Link => Ok(()),
        }
    }

    fn make_directory(&mut self, path: &[String]) -> Result<(), GitError> {
        self.budget.take(0)?;
        let full = self.full(path);
        fs::create_dir(&full).map_err(GitError::io(path.join("/")))
    }

    fn write_file(&mut self, id: &ObjectId, path: &[String], mode: u32) -> Result<(), GitError> {
        let content = self.objects.read(id, Kind::Blob)?;
        self.budget.take(content.len() as u64)?;
        // A tree that names a file twice fails here.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(self.full(path))
            .and_then(|mut file| file.write_all(&content))
            .map_err(GitError::io(path.join("/")))
    }

    fn full(&self, path: &[String]) -> PathBuf {
        let mut full = self.root.to_path_buf();
        full.extend(path);
        full
    }
}

fn check_name(name: &gix::bstr::BStr, parent: &[String]) -> Result<String, GitError> {
    let options = gix::validate::path::component::Options {
        protect_windows: false,
        protect_hfs: true,
        protect_ntfs: true,
    };
    let shown = || {
        let mut path = parent.to_vec();
        path.push(name.to_string());
        path
    };
    gix::validate::path::component(name, None, options)
        .map_err(|error| refused(&shown(), &error.to_string()))?;
    if name.contains(&0) {
        return Err(refused(&shown(), "the name contains a NUL"));
    }
    String::from_utf8(name.to_vec()).map_err(|_| refused(&shown(), "the name is not UTF-8"))
}

fn refused(path: &[String], reason: &str) -> GitError {
    GitError::Refused { path: path.join("/"), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_directories_are_whole_names() {
        let sparse = Sparse::new(&["./deploy/".to_owned(), "a/b".to_owned()]);
        let wants = |path: &str, is_directory| {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            sparse.wants(&path, is_directory)
        };
        assert!(wants("deploy", true));
        assert!(wants("deploy/x/y.yaml", false));
        assert!(wants("a", true));
        assert!(wants("a/b/c", false));
        assert!(!wants("a", false));
        assert!(!wants("a/c", true));
        assert!(!wants("deployment", true));
        assert!(!wants("readme.md", false));
        assert!(Sparse::new(&[]).wants(&["x".to_owned()], false));
    }

    #[test]
    fn names_that_could_be_git_are_refused() {
        for name in [
            ".git",
            ".GIT",
            "..",
            ".",
            "",
            "a/b",
            "git~1",
            ".git ",
            ".g\u{200c}it",
            ".git::$INDEX_ALLOCATION",
        ] {
            assert!(check_name(name.into(), &[]).is_err(), "{name:?}");
        }
        for name in [".gitignore", "aux", "é", "a b", ".github"] {
            assert!(check_name(name.into(), &[]).is_ok(), "{name:?}");
        }
    }
}
