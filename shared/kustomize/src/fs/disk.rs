//! The disk, confined to a root: a path or symbolic link that leads outside is refused.

use super::{FileSystem, FsError, Resolved, is_in_or_below, join};
use std::io::Read;
use std::path::Path;

/// Files on disk in or below a root. Use `/` as root for a plain, unconfined view.
#[derive(Clone, Debug)]
pub struct DiskFs {
    root: String,
}

impl DiskFs {
    /// A view of `root`, whose own symbolic links are resolved once, here.
    pub fn new(root: impl AsRef<Path>) -> Result<DiskFs, FsError> {
        let root = root.as_ref();
        let real = root.canonicalize().map_err(|err| FsError::Io {
            operation: "open",
            path: root.display().to_string(),
            reason: reason(&err),
        })?;
        Ok(DiskFs { root: text(&real)? })
    }

    /// The root, with its symbolic links resolved.
    pub fn root(&self) -> &str {
        &self.root
    }

    fn confined(&self, operation: &'static str, path: &str) -> Result<String, FsError> {
        let clean = join("/", path);
        let real = Path::new(&clean).canonicalize().map_err(|err| FsError::Resolve {
            path: clean.clone(),
            missing: if err.kind() == std::io::ErrorKind::NotADirectory {
                String::new()
            } else {
                first_missing(&clean)
            },
            reason: reason(&err),
        })?;
        let real = text(&real)?;
        if is_in_or_below(&real, &self.root) {
            Ok(real)
        } else {
            Err(FsError::Outside { operation, path: clean, root: self.root.clone() })
        }
    }
}

impl FileSystem for DiskFs {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FsError> {
        let real = self.confined("open", path)?;
        let io = |err: std::io::Error| FsError::Io {
            operation: "open",
            path: path.to_owned(),
            reason: reason(&err),
        };
        let file = std::fs::File::open(&real).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(FsError::Io {
                operation: "read",
                path: path.to_owned(),
                reason: "is not a regular file".into(),
            });
        }
        if metadata.len() > limit {
            return Err(FsError::TooLarge { path: path.to_owned(), limit });
        }
        let mut content = Vec::with_capacity(metadata.len() as usize);
        file.take(limit + 1).read_to_end(&mut content).map_err(io)?;
        if content.len() as u64 > limit {
            return Err(FsError::TooLarge { path: path.to_owned(), limit });
        }
        Ok(content)
    }

    fn resolve(&self, path: &str) -> Result<Resolved, FsError> {
        let real = self.confined("abs", path)?;
        let is_dir = Path::new(&real).is_dir();
        Ok(Resolved { path: real, is_dir })
    }
}

fn text(path: &Path) -> Result<String, FsError> {
    path.to_str().map(str::to_owned).ok_or_else(|| FsError::Io {
        operation: "open",
        path: path.display().to_string(),
        reason: "the path is not valid UTF-8".into(),
    })
}

/// The shortest prefix of `path` that does not exist, which is what Go's error names.
fn first_missing(path: &str) -> String {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    for end in ends {
        if Path::new(&path[..end]).canonicalize().is_err() {
            return path[..end].to_owned();
        }
    }
    path.to_owned()
}

fn reason(err: &std::io::Error) -> String {
    match err.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::NotADirectory => "not a directory".into(),
        _ => {
            let mut text = err.to_string();
            if let Some(at) = text.find(" (os error") {
                text.truncate(at);
            }
            text.to_lowercase()
        }
    }
}
