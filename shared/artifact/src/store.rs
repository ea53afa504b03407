//! The producer's store: `<root>/<kind>/<namespace>/<name>/<file>`, written so that a crash at any point leaves either
//! the old file or the new one.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::confined;
use crate::digest::{Algorithm, Digest, Digester};

/// Where and how artifacts are kept.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `--storage-path`: an existing directory.
    pub root: PathBuf,
    /// `--storage-adv-addr`: host and port in artifact URLs, with or without a scheme.
    pub advertised_address: String,
    /// `--artifact-retention-ttl`: files older than this are removed.
    pub retention_ttl: Duration,
    /// `--artifact-retention-records`: how many files an object keeps.
    pub retention_records: usize,
    /// `--artifact-digest-algo`: for new files.
    pub algorithm: Algorithm,
}

impl StoreOptions {
    /// Flux's defaults for a root and an address.
    pub fn new(root: impl Into<PathBuf>, advertised_address: impl Into<String>) -> Self {
        StoreOptions {
            root: root.into(),
            advertised_address: advertised_address.into(),
            retention_ttl: Duration::from_secs(60),
            retention_records: 2,
            algorithm: Algorithm::Sha256,
        }
    }
}

/// The object whose artifacts these are; together the directory they are in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    kind: String,
    namespace: String,
    name: String,
}

impl Owner {
    /// The owner of a kind (any letter case), namespace and name. Fails for what cannot be a directory name.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Result<Self, StoreError> {
        for part in [kind, namespace, name] {
            check_name(part)?;
        }
        Ok(Owner { kind: kind.to_ascii_lowercase(), namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn directory(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The two names under which the newest artifact of an object can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatestLink {
    /// `latest.tar.gz`, of everything but Helm repositories.
    Archive,
    /// `index.yaml` of a Helm repository.
    Index,
}

impl LatestLink {
    /// The file name.
    pub fn file_name(self) -> &'static str {
        match self {
            LatestLink::Archive => "latest.tar.gz",
            LatestLink::Index => "index.yaml",
        }
    }
}

/// A file that was just stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// Where it is served.
    pub url: String,
    /// Of the file.
    pub digest: Digest,
    /// Of the file, in bytes.
    pub size: u64,
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The file is there and is what its digest says.
    Intact,
    /// There is no such file.
    Missing,
    /// The file is there but is something else; the text says how.
    Corrupt(String),
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The root is no directory.
    #[error("storage path {} is not a directory: create it or set --storage-path", .0.display())]
    NoRoot(PathBuf),
    /// A name that cannot be used for a file.
    #[error("'{0}' cannot be used as a file name in the artifact storage")]
    InvalidName(String),
    /// The file system refused.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Where, relative to the root.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// The store. All methods block on the disk: call them where that is allowed.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
    /// Files whose digest was checked, by what says that they did not change since.
    verified: Mutex<HashMap<String, VerifiedFile>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct VerifiedFile {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    digest: Digest,
}

impl Store {
    /// Opens the store.
    pub fn new(options: StoreOptions) -> Result<Self, StoreError> {
        if !options.root.is_dir() {
            return Err(StoreError::NoRoot(options.root));
        }
        Ok(Store { options, verified: Mutex::default() })
    }

    /// The directory everything is in.
    pub fn root(&self) -> &Path {
        &self.options.root
    }

    /// The algorithm of new digests.
    pub fn algorithm(&self) -> Algorithm {
        self.options.algorithm
    }

    /// The path, relative to the root, a file of this owner has.
    pub fn path(&self, owner: &Owner, file_name: &str) -> Result<String, StoreError> {
        check_name(file_name)?;
        Ok(format!("{}/{file_name}", owner.directory()))
    }

    /// The URL of a path relative to the root.
    pub fn url(&self, path: &str) -> String {
        let address = self.options.advertised_address.as_str();
        let path = path.trim_start_matches('/');
        if address.starts_with("http://") || address.starts_with("https://") {
            format!("{}/{path}", address.trim_end_matches('/'))
        } else {
            format!("http://{address}/{path}")
        }
    }

    /// Stores what `write` produces under a file name, replacing what was there.
    ///
    /// Nothing is visible before everything is on the disk. Writers of the same file wait for each other.
    pub fn write<E: From<StoreError>>(
        &self,
        owner: &Owner,
        file_name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<StoredFile, E> {
        let path = self.path(owner, file_name)?;
        let directory = self.options.root.join(owner.directory());
        make_directory(&directory).map_err(io_error("create directory", owner.directory()))?;
        let _lock = lock(&directory.join(format!("{file_name}.lock"))).map_err(io_error("lock", &path))?;
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{file_name}."))
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(&directory)
            .map_err(io_error("create", &path))?;
        let (digest, size) = {
            let mut output = MeteredWriter {
                inner: BufWriter::with_capacity(64 * 1024, temporary.as_file()),
                digester: Digester::new(self.options.algorithm),
                size: 0,
            };
            write(&mut output)?;
            output.flush().map_err(io_error("write", &path))?;
            (output.digester.finish(), output.size)
        };
        temporary.as_file().sync_all().map_err(io_error("write", &path))?;
        let file = temporary
            .persist(directory.join(file_name))
            .map_err(|error| io_error("rename", &path)(error.error))?;
        File::open(&directory).and_then(|d| d.sync_all()).map_err(io_error("write", owner.directory()))?;
        if let Ok(metadata) = file.metadata() {
            self.remember(&path, VerifiedFile::new(&metadata, digest.clone()));
        }
        let url = self.url(&path);
        Ok(StoredFile { path, url, digest, size })
    }

    /// Points an object's well-known name at one of its files; gives the URL of that name.
    pub fn link_latest(
        &self,
        owner: &Owner,
        link: LatestLink,
        file_name: &str,
    ) -> Result<String, StoreError> {
        let target = self.options.root.join(self.path(owner, file_name)?);
        let path = self.path(owner, link.file_name())?;
        let full = self.options.root.join(&path);
        let temporary = full.with_file_name(format!("{}.tmp", link.file_name()));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
        symlink(target, &temporary).map_err(io_error("create link", &path))?;
        fs::rename(&temporary, &full).map_err(io_error("rename", &path))?;
        Ok(self.url(&path))
    }

    /// Opens the file of an artifact for reading, given its `path`; it never leads out of the store.
    pub fn open(&self, path: &str) -> io::Result<File> {
        confined::open_file(&self.options.root, Path::new(path))
    }

    /// Whether the file of an artifact, given its `path` and `digest`, is there and intact. A file that did not change
    /// since it was last read is not read again.
    pub fn verify(&self, path: &str, digest: &str) -> Verification {
        let file = match self.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Verification::Missing,
            Err(error) => return Verification::Corrupt(error.to_string()),
        };
        let digest: Digest = match digest.parse() {
            Ok(digest) => digest,
            Err(error) => return Verification::Corrupt(error.to_string()),
        };
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return Verification::Corrupt(error.to_string()),
        };
        let known = VerifiedFile::new(&metadata, digest.clone());
        if self.verified().get(path) == Some(&known) {
            return Verification::Intact;
        }
        match Digester::read(digest.algorithm(), file) {
            Ok(computed) if computed == digest => {
                self.remember(path, known);
                Verification::Intact
            }
            Ok(computed) => {
                Verification::Corrupt(format!("computed digest doesn't match '{digest}': '{computed}'"))
            }
            Err(error) => Verification::Corrupt(error.to_string()),
        }
    }

    /// Removes the file of an artifact, given its `path`.
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.verified().remove(path);
        let full = confined::join(&self.options.root, path);
        match fs::remove_file(full) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes everything an object ever stored. Gives whether there was anything.
    pub fn remove_all(&self, owner: &Owner) -> Result<bool, StoreError> {
        let directory = owner.directory();
        let prefix = format!("{directory}/");
        self.verified().retain(|path, _| !path.starts_with(&prefix));
        match fs::remove_dir_all(self.options.root.join(&directory)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("remove", directory)(error)),
        }
    }

    /// Removes an object's files that are past their time or too many, never the one at the path `current`, and what
    /// a writer that died left unfinished. Gives the artifacts that were removed, relative to the root.
    pub fn collect_garbage(
        &self,
        owner: &Owner,
        current: &str,
        now: SystemTime,
    ) -> Result<Vec<String>, StoreError> {
        let directory = self.options.root.join(owner.directory());
        let files = match artifact_files(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(io_error("list", owner.directory()))?,
        };
        let current = current.rsplit('/').next().unwrap_or_default();
        let (unfinished, files) = files.into_iter().partition(|file| file.name.starts_with('.'));
        remove_abandoned(&directory, unfinished).map_err(io_error("remove", owner.directory()))?;
        let garbage = choose_garbage(files, current, now, &self.options);
        let mut removed = Vec::new();
        for name in garbage {
            let path = format!("{}/{name}", owner.directory());
            remove_if_exists(&directory.join(&name)).map_err(io_error("remove", &path))?;
            remove_if_exists(&directory.join(format!("{name}.lock"))).map_err(io_error("remove", &path))?;
            self.verified().remove(&path);
            removed.push(path);
        }
        Ok(removed)
    }

    /// Removes the directories of objects of one kind that are not among `owners`: what was left when they were deleted
    /// while nobody watched. Gives how many there were.
    pub fn sweep(&self, kind: &str, owners: &dyn Fn(&str, &str) -> bool) -> Result<usize, StoreError> {
        let kind = kind.to_ascii_lowercase();
        check_name(&kind)?;
        let mut removed = 0;
        for namespace in directory_names(&self.options.root.join(&kind)).map_err(io_error("list", &kind))? {
            let path = format!("{kind}/{namespace}");
            for name in directory_names(&self.options.root.join(&path)).map_err(io_error("list", &path))? {
                if !owners(&namespace, &name) {
                    self.remove_all(&Owner::new(&kind, &namespace, &name)?)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<String, VerifiedFile>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, path: &str, file: VerifiedFile) {
        self.verified().insert(path.to_owned(), file);
    }
}

impl VerifiedFile {
    fn new(metadata: &fs::Metadata, digest: Digest) -> Self {
        VerifiedFile {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            digest,
        }
    }
}

struct MeteredWriter<W> {
    inner: W,
    digester: Digester,
    size: u64,
}

impl<W: Write> Write for MeteredWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file name in the store: one path component, visible.
fn check_name(name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) || name.len() > 255 {
        return Err(StoreError::InvalidName(name.to_owned()));
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// An advisory lock held as long as the file is open.
fn lock(path: &Path) -> io::Result<File> {
    let file = lock_file(path)?;
    file.lock()?;
    Ok(file)
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o666).open(path)
}

struct CandidateFile {
    name: String,
    modified: SystemTime,
}

/// The most files garbage collection looks at in one directory.
const MAX_CANDIDATES: usize = 1000;

fn artifact_files(directory: &Path) -> io::Result<Vec<CandidateFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !entry.file_type()?.is_file() || name.ends_with(".lock") {
            continue;
        }
        let modified = entry.metadata()?.modified()?;
        files.push(CandidateFile { name, modified });
        if files.len() >= MAX_CANDIDATES {
            break;
        }
    }
    Ok(files)
}

/// Removes temporary files whose writer is gone: nobody holds the lock of the artifact they were to become.
fn remove_abandoned(directory: &Path, unfinished: Vec<CandidateFile>) -> io::Result<()> {
    for file in unfinished {
        let Some((artifact, _random)) = file.name[1..].rsplit_once('.') else {
            continue;
        };
        let lock = lock_file(&directory.join(format!("{artifact}.lock")))?;
        if lock.try_lock().is_ok() {
            remove_if_exists(&directory.join(&file.name))?;
        }
    }
    Ok(())
}

/// Files past their time; and if more than the records remain, the oldest of these too.
fn choose_garbage(
    mut files: Vec<CandidateFile>,
    current: &str,
    now: SystemTime,
    options: &StoreOptions,
) -> Vec<String> {
    files.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
    let total = files.len();
    let (expired, fresh): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|f| f.name != current)
        .partition(|f| now.duration_since(f.modified).is_ok_and(|age| age > options.retention_ttl));
    let mut garbage: Vec<String> = expired.into_iter().map(|f| f.name).collect();
    let surplus = (total - garbage.len()).saturating_sub(options.retention_records);
    garbage.extend(fresh.into_iter().take(surplus).map(|f| f.name));
    garbage
}

fn remove_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn directory_names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

fn io_error(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.into();
    move |source| StoreError::Io { action, path, source }
}
