//! The files a build sees: a trait, the disk confined to a root, and a tree in memory.

mod disk;
mod memory;

pub use disk::DiskFs;
pub use memory::MemoryFs;

use thiserror::Error;

/// Why a file system refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FsError {
    /// There is nothing at the path, or a link to nothing.
    #[error("evalsymlink failure on '{path}' : {}{reason}", looked_at(missing))]
    Resolve {
        /// What was asked for.
        path: String,
        /// The part of it that does not exist; empty when the path goes through a file.
        missing: String,
        /// The operating system's words.
        reason: String,
    },
    /// The path leads outside the root the file system is confined to.
    #[error("fs-security-constraint {operation} {path}: path '{path}' is not in or below '{root}'")]
    Outside {
        /// What was tried.
        operation: &'static str,
        /// What was asked for.
        path: String,
        /// The root.
        root: String,
    },
    /// The file exists and cannot be read.
    #[error("{operation} {path}: {reason}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What was asked for.
        path: String,
        /// The operating system's words.
        reason: String,
    },
    /// The file is larger than allowed.
    #[error("file '{path}' is larger than {limit} bytes; split it or raise the limit")]
    TooLarge {
        /// What was asked for.
        path: String,
        /// The largest size allowed.
        limit: u64,
    },
}

fn looked_at(missing: &str) -> String {
    if missing.is_empty() { String::new() } else { format!("lstat {missing}: ") }
}

/// An existing path with every symbolic link resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The absolute path.
    pub path: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Read access to a tree of files. Paths are absolute, with `/` between names.
pub trait FileSystem: Send + Sync {
    /// The content of a file of at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FsError>;

    /// Where a path leads once symbolic links are followed.
    fn resolve(&self, path: &str) -> Result<Resolved, FsError>;
}

/// The absolute path with `.` and `..` resolved in the text; `..` at the root stays there.
pub fn clean(path: &str) -> String {
    join("", path)
}

/// Joins and cleans as Go's `filepath.Join` does: `.` and `..` are resolved in the text, without looking at the disk.
pub(crate) fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Cleans a relative path as Go's `filepath.Join` does: leading `..` are kept.
pub(crate) fn join_relative(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Whether `path` is `ancestor` or below it; both are clean absolute paths.
pub(crate) fn is_in_or_below(path: &str, ancestor: &str) -> bool {
    ancestor == "/"
        || path == ancestor
        || path.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

/// The directory that holds `path`.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_like_go() {
        assert_eq!(join("/a/b", "../c/./d"), "/a/c/d");
        assert_eq!(join("/a", "../../.."), "/");
        assert_eq!(join_relative("base", "../../x"), "../x");
        assert_eq!(join_relative("", "./r.yaml"), "r.yaml");
    }

    #[test]
    fn containment_is_by_whole_names() {
        assert!(is_in_or_below("/a/b", "/a"));
        assert!(is_in_or_below("/a", "/a"));
        assert!(!is_in_or_below("/ab", "/a"));
        assert!(is_in_or_below("/x", "/"));
    }
}
