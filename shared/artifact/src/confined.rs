//! Opening files below a directory without ever leaving it, whatever symlinks are inside.
//!
//! Paths are walked component by component with `openat` and `O_NOFOLLOW`, so there is no window between a check and
//! the use of what was checked.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

/// Opens a regular file below `root` for reading.
///
/// Gives [`io::ErrorKind::NotFound`] for everything that is not a regular file reached through real directories:
/// absolute paths, `..`, symlinks, devices.
pub fn open_file(root: &Path, path: &Path) -> io::Result<File> {
    let components = components(path).ok_or_else(not_found)?;
    let Some((name, parents)) = components.split_last() else {
        return Err(not_found());
    };
    let mut directory = open_root(root)?;
    for parent in parents {
        directory = open_directory_at(&directory, parent)?;
    }
    // O_NONBLOCK: opening a fifo must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat(&directory, *name, flags, Mode::empty()).map_err(hide)?);
    if !file.metadata()?.is_file() {
        return Err(not_found());
    }
    Ok(file)
}

/// Whether `path` below `root` is a directory reached through real directories only.
pub fn is_directory(root: &Path, path: &Path) -> bool {
    let Some(components) = components(path) else {
        return false;
    };
    let Ok(mut directory) = open_root(root) else {
        return false;
    };
    for name in components {
        match open_directory_at(&directory, name) {
            Ok(next) => directory = next,
            Err(_) => return false,
        }
    }
    true
}

/// Joins a path somebody wrote to a directory as if that directory were the root of the file system: leading slashes
/// are dropped and `..` never climbs above it. Symlinks are not looked at.
pub fn join(root: &Path, path: &str) -> PathBuf {
    let mut below: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                below.pop();
            }
            name => below.push(name),
        }
    }
    let mut joined = root.to_path_buf();
    joined.extend(below);
    joined
}

fn components(path: &Path) -> Option<Vec<&std::ffi::OsStr>> {
    path.components()
        .filter(|c| !matches!(c, Component::CurDir))
        .map(|c| match c {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}

fn open_directory_at(directory: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty()).map_err(hide)
}

/// What is a symlink, or not a directory where one is needed, does not exist as far as the caller may know.
fn hide(errno: rustix::io::Errno) -> io::Error {
    use rustix::io::Errno;
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NAMETOOLONG | Errno::INVAL => not_found(),
        other => other.into(),
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn symlinks_and_climbing_are_not_found() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("d")).unwrap();
        std::fs::write(root.path().join("d/f"), "content").unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink("d", root.path().join("in")).unwrap();
        symlink("d/f", root.path().join("file")).unwrap();

        assert!(open_file(root.path(), Path::new("d/f")).is_ok());
        let secret = outside.path().join("secret");
        let refused = ["out/secret", "in/f", "file", "d", "", "../x", "d/../d/f", "absent", "d/f/x"];
        for path in refused.iter().map(Path::new).chain([secret.as_path()]) {
            let error = open_file(root.path(), path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{}", path.display());
        }
        assert!(is_directory(root.path(), Path::new("d")));
        assert!(is_directory(root.path(), Path::new(".")));
        assert!(!is_directory(root.path(), Path::new("in")));
        assert!(!is_directory(root.path(), Path::new("out")));
    }

    #[test]
    fn join_stays_below() {
        let root = Path::new("/r");
        assert_eq!(join(root, "a/b"), Path::new("/r/a/b"));
        assert_eq!(join(root, "/../../a/./../b"), Path::new("/r/b"));
        assert_eq!(join(root, "../.."), Path::new("/r"));
    }
}
