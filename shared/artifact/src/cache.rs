//! The consumers' cache: one download and one unpack for each artifact digest, shared by all reconcilers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::OnceCell;

use crate::digest::Digest;
use crate::fetch::{FetchError, Fetcher};
use crate::unpack::{self, UnpackOptions};

/// How much a cache may keep and download.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Unpacked bytes kept when nobody uses them any more. What is in use does not count against being kept.
    pub max_bytes: u64,
    /// The most an artifact may unpack to.
    pub max_unpacked_bytes: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        CacheOptions { max_bytes: 512 << 20, max_unpacked_bytes: 2 << 30 }
    }
}

/// Fetches, verifies and unpacks artifacts, each digest once.
///
/// Cloning gives a handle to the same cache. Reconcilers that ask for the same digest at the same time wait for one
/// download. A directory stays on disk as long as somebody holds its [`UnpackedDir`], and after that until its room is
/// needed.
#[derive(Clone)]
pub struct ArtifactCache {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    options: CacheOptions,
    fetcher: Fetcher,
    entries: Mutex<HashMap<Digest, Entry>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.entries.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // What cannot be removed now is removed by the next cache in this place.
        let _ = fs::remove_dir_all(&self.root);
    }
}

struct Entry {
    cell: Arc<OnceCell<Arc<UnpackedDir>>>,
    last_used: Instant,
}

impl ArtifactCache {
    /// A cache below `root`, which belongs to this cache alone: what a former process left there is removed, and so is all of
    /// it with the last handle.
    pub fn new(root: impl Into<PathBuf>, fetcher: Fetcher, options: CacheOptions) -> io::Result<Self> {
        let root = root.into();
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&root)?,
        }
        Ok(ArtifactCache { inner: Arc::new(Inner { root, options, fetcher, entries: Mutex::default() }) })
    }

    /// The unpacked content of the artifact with this `status.artifact.url` and `.digest`, read-only by agreement: it is
    /// shared.
    ///
    /// Downloads it if this digest is not there yet, and never unpacks bytes whose digest is not the artifact's.
    pub async fn get(&self, url: &str, digest: &str) -> Result<Arc<UnpackedDir>, FetchError> {
        let digest: Digest = digest.parse().map_err(FetchError::Digest)?;
        let cell = {
            let mut entries = self.entries();
            let entry = entries
                .entry(digest.clone())
                .or_insert_with(|| Entry { cell: Arc::default(), last_used: Instant::now() });
            entry.last_used = Instant::now();
            entry.cell.clone()
        };
        let unpacked = cell.get_or_try_init(|| self.download(url, &digest)).await;
        match unpacked {
            Ok(unpacked) => {
                let unpacked = unpacked.clone();
                self.make_room();
                Ok(unpacked)
            }
            Err(error) => {
                self.forget_if_unused(&digest, &cell);
                Err(error)
            }
        }
    }

    /// Bytes of all unpacked directories now on disk.
    pub fn bytes(&self) -> u64 {
        let entries = self.entries();
        entries.values().filter_map(|e| e.cell.get()).map(|d| d.bytes).sum()
    }

    async fn download(&self, url: &str, digest: &Digest) -> Result<Arc<UnpackedDir>, FetchError> {
        let file = self.inner.fetcher.fetch(url, digest, &self.inner.root).await?;
        let root = self.inner.root.clone();
        let max_bytes = self.inner.options.max_unpacked_bytes;
        let unpack = move || -> Result<Arc<UnpackedDir>, FetchError> {
            let directory =
                tempfile::Builder::new().prefix("artifact-").tempdir_in(&root).map_err(FetchError::Io)?;
            let options = UnpackOptions { max_bytes: Some(max_bytes), skip_symlinks: true };
            let reader = fs::File::open(file.path()).map_err(FetchError::Io)?;
            let bytes = unpack::unpack(reader, directory.path(), &options).map_err(FetchError::Unpack)?;
            Ok(Arc::new(UnpackedDir { directory, bytes }))
        };
        tokio::task::spawn_blocking(unpack).await.map_err(|error| FetchError::Io(io::Error::other(error)))?
    }

    /// Drops the directories nobody uses, least recently used first, until the rest fits.
    fn make_room(&self) {
        let mut evicted = Vec::new();
        let mut entries = self.entries();
        let mut total: u64 = 0;
        let mut idle: Vec<(Instant, u64, Digest)> = Vec::new();
        for (digest, entry) in entries.iter() {
            let Some(unpacked) = entry.cell.get() else {
                continue;
            };
            total += unpacked.bytes;
            if Arc::strong_count(unpacked) == 1 && Arc::strong_count(&entry.cell) == 1 {
                idle.push((entry.last_used, unpacked.bytes, digest.clone()));
            }
        }
        idle.sort();
        for (_, bytes, digest) in idle {
            if total <= self.inner.options.max_bytes {
                break;
            }
            total -= bytes;
            evicted.extend(entries.remove(&digest));
        }
        drop(entries);
        // The directories are deleted here, outside the lock.
        drop(evicted);
    }

    fn forget_if_unused(&self, digest: &Digest, cell: &Arc<OnceCell<Arc<UnpackedDir>>>) {
        let mut entries = self.entries();
        // One count is the map's and one the caller's: more means that somebody else is trying.
        if cell.get().is_none() && Arc::strong_count(cell) == 2 {
            entries.remove(digest);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unpacked content of one artifact. The directory is removed when the last holder lets go.
#[derive(Debug)]
pub struct UnpackedDir {
    directory: tempfile::TempDir,
    bytes: u64,
}

impl UnpackedDir {
    /// Where the content is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sum of the sizes of its files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
