//! Charts in directories: what is read, in which order, and what `.helmignore` leaves out.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::archive::Limits;
use crate::chart::Chart;
use crate::file::{ChartFile, base_name, without_bom};
use crate::ignore::IgnoreRules;
use crate::load::{LoadError, Loader, require_known_version};
use crate::time::Time;
use fluxide_gotext::quote_str;

/// Why a directory cannot be read. The texts are Helm's where Helm has some.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The file system refused.
    #[error("error reading {path}: {reason}")]
    Read {
        /// What was to be read.
        path: String,
        /// The operating system's words.
        reason: String,
    },
    /// A link leads nowhere.
    #[error("error evaluating symlink {path}: {reason}")]
    Link {
        /// The link.
        path: String,
        /// Why.
        reason: String,
    },
    /// A link leads out of the directory that the chart is confined to.
    #[error(
        "symlink {0} leads out of the directory that the chart is confined to; replace it by what it refers to"
    )]
    Outside(String),
    /// A link leads to a directory that it lies in.
    #[error("symlink {0} leads to a directory that contains it")]
    Loop(String),
    /// Devices, sockets and pipes are no part of a chart.
    #[error("cannot load irregular file {0} as it has file mode type bits set")]
    Irregular(String),
    /// A file is too large.
    #[error("chart file {} is larger than the maximum file size {limit}", quote_str(.name))]
    TooLarge {
        /// Its name.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// There are too many files.
    #[error("chart has more than {0} files")]
    TooMany(usize),
    /// The directory has no Chart.yaml.
    #[error("unable to detect chart at {path}: {reason}")]
    Undetected {
        /// Where Chart.yaml should be.
        path: String,
        /// The operating system's words.
        reason: String,
    },
}

/// What lies at a path of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// Anything else.
    Irregular,
}

impl EntryKind {
    fn of(kind: std::fs::FileType) -> EntryKind {
        if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_file() {
            EntryKind::File
        } else {
            EntryKind::Irregular
        }
    }
}

/// The directory that a chart lies in. Paths are below it, with `/`; empty for the directory itself.
pub trait Directory {
    /// The names in a directory, sorted bytewise, each with what it is once links are followed.
    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, DirectoryError>;

    /// Puts the bytes of a file into the buffer, in place of what is in it, and says when it was last changed.
    ///
    /// A file of more bytes than the limit is [`DirectoryError::TooLarge`].
    fn read(&self, path: &str, limit: u64, buffer: &mut Vec<u8>) -> Result<Option<Time>, DirectoryError>;

    /// How the path is called in messages.
    fn describe(&self, path: &str) -> String {
        path.to_owned()
    }
}

impl Chart {
    /// Reads a chart from a directory within Helm's limits.
    pub fn from_directory(directory: &dyn Directory) -> Result<Chart, LoadError> {
        Chart::from_directory_within(directory, &Limits::default())
    }

    /// [`Chart::from_directory`] with other limits.
    pub fn from_directory_within(directory: &dyn Directory, limits: &Limits) -> Result<Chart, LoadError> {
        let names = directory.list("")?;
        if !has(&names, "Chart.yaml") {
            let path = directory.describe("Chart.yaml");
            let reason = format!("open {path}: no such file or directory");
            return Err(DirectoryError::Undetected { path, reason }.into());
        }
        let mut buffer = Vec::new();
        directory.read("Chart.yaml", limits.file, &mut buffer)?;
        require_known_version(&ChartFile::new("Chart.yaml", &buffer))?;
        load(directory, names, limits)
    }

    /// [`Chart::from_directory`] for charts of any API version, to look at what is in them.
    pub fn from_directory_of_any_version(directory: &dyn Directory) -> Result<Chart, LoadError> {
        load(directory, directory.list("")?, &Limits::default())
    }
}

fn has(names: &[(String, EntryKind)], name: &str) -> bool {
    names.iter().any(|(entry, kind)| entry == name && *kind == EntryKind::File)
}

fn load(
    directory: &dyn Directory,
    names: Vec<(String, EntryKind)>,
    limits: &Limits,
) -> Result<Chart, LoadError> {
    let mut buffer = Vec::new();
    if has(&names, ".helmignore") {
        directory.read(".helmignore", limits.file, &mut buffer)?;
    }
    let rules = IgnoreRules::parse(&buffer)?;
    let mut walk = Walk { directory, rules, limits, files: Vec::new(), buffer };
    walk.directory("", names)?;
    Loader::new(limits).load(walk.files)
}

struct Walk<'w> {
    directory: &'w dyn Directory,
    rules: IgnoreRules,
    limits: &'w Limits,
    files: Vec<ChartFile>,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn directory(&mut self, path: &str, entries: Vec<(String, EntryKind)>) -> Result<(), LoadError> {
        for (name, kind) in entries {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if self.rules.ignores(&path, kind == EntryKind::Directory) {
                continue;
            }
            match kind {
                EntryKind::Directory => {
                    let entries = self.directory.list(&path)?;
                    self.directory(&path, entries)?;
                    continue;
                }
                EntryKind::File => {}
                EntryKind::Irregular => {
                    return Err(DirectoryError::Irregular(self.directory.describe(&path)).into());
                }
            }
            if self.files.len() == self.limits.files {
                return Err(DirectoryError::TooMany(self.limits.files).into());
            }
            let modified = self.directory.read(&path, self.limits.file, &mut self.buffer)?;
            self.files.push(ChartFile { name: path, data: without_bom(&self.buffer).into(), modified });
        }
        Ok(())
    }
}

/// Room for a file is not made beyond this before its bytes are there.
const FIRST_READ: usize = 16 << 20;

/// A directory on disk.
#[derive(Clone, Debug)]
pub struct DiskDirectory {
    root: PathBuf,
    confined_to: Option<PathBuf>,
}

impl DiskDirectory {
    /// A directory whose links may lead anywhere, as Helm follows them. For directories that the user owns.
    pub fn new(root: impl Into<PathBuf>) -> DiskDirectory {
        DiskDirectory { root: root.into(), confined_to: None }
    }

    /// A directory whose links must stay within `boundary`, which contains it. For what others have written.
    pub fn confined(root: impl Into<PathBuf>, boundary: impl Into<PathBuf>) -> DiskDirectory {
        DiskDirectory { root: root.into(), confined_to: Some(boundary.into()) }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, DirectoryError> {
        let resolved = path.canonicalize().map_err(|error| DirectoryError::Link {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        if let Some(boundary) = &self.confined_to {
            let boundary = boundary.canonicalize().map_err(|error| read_error(boundary, &error))?;
            if !resolved.starts_with(boundary) {
                return Err(DirectoryError::Outside(path.display().to_string()));
            }
        }
        Ok(resolved)
    }
}

fn read_error(path: &Path, error: &std::io::Error) -> DirectoryError {
    DirectoryError::Read { path: path.display().to_string(), reason: error.to_string() }
}

impl Directory for DiskDirectory {
    fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, DirectoryError> {
        let directory = self.root.join(path);
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(|error| read_error(&directory, &error))? {
            let entry = entry.map_err(|error| read_error(&directory, &error))?;
            let full = entry.path();
            // What a directory's own list tells needs no look at the entry.
            let listed = entry.file_type().map_err(|error| read_error(&full, &error))?;
            let kind = if listed.is_symlink() {
                let resolved = self.resolve(&full)?;
                let metadata = resolved.metadata().map_err(|error| read_error(&full, &error))?;
                let contains = directory.canonicalize().is_ok_and(|own| own.starts_with(&resolved));
                if metadata.is_dir() && contains {
                    return Err(DirectoryError::Loop(full.display().to_string()));
                }
                EntryKind::of(metadata.file_type())
            } else {
                EntryKind::of(listed)
            };
            entries.push((entry.file_name().to_string_lossy().into_owned(), kind));
        }
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(entries)
    }

    fn read(&self, path: &str, limit: u64, buffer: &mut Vec<u8>) -> Result<Option<Time>, DirectoryError> {
        let full = self.root.join(path);
        if self.confined_to.is_some() {
            self.resolve(&full)?;
        }
        let too_large = || DirectoryError::TooLarge { name: base_name(path).to_owned(), limit };
        let failed = |error| read_error(Path::new(path), &error);
        let mut file = File::open(&full).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.len() > limit {
            return Err(too_large());
        }
        // One byte more than there are, so that the end is seen at once.
        let size = usize::try_from(metadata.len()).unwrap_or_default().min(FIRST_READ) + 1;
        buffer.clear();
        buffer.reserve(size);
        // Unlike the file itself, this does not ask once more how much there is.
        (&mut file).take(limit.saturating_add(1)).read_to_end(buffer).map_err(failed)?;
        if buffer.len() as u64 > limit {
            return Err(too_large());
        }
        let modified = metadata.modified().ok();
        let modified =
            modified.and_then(|time| jiff::Timestamp::try_from(time).ok()).map(Time::from_timestamp);
        Ok(modified)
    }

    fn describe(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}
