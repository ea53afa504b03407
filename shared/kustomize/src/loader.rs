//! Loading files and directories from where a kustomization is: roots, load restrictions, cycles, remote addresses.

use crate::error::Error;
use crate::fs::{FileSystem, FsError, is_in_or_below, join, parent};
use crate::kustomization::FILE_NAMES;
use crate::options::{LoadRestrictor, Mode, Options};
use crate::remote::{RemoteError, RepositoryAddress, is_http};
use std::cell::Cell;
use std::sync::Arc;
use thiserror::Error;

/// Why a file or directory cannot be loaded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    /// An empty entry.
    #[error("new root cannot be empty")]
    EmptyRoot,
    /// An absolute directory.
    #[error("new root '{0}' cannot be absolute")]
    AbsoluteRoot(String),
    /// A directory that is none.
    #[error("must build at directory: not a valid directory: {0}")]
    NotADirectory(FsError),
    /// A file where a directory is needed.
    #[error("must build at directory: '{0}': file is not directory")]
    FileIsNotDirectory(String),
    /// A directory where a file is needed.
    #[error("'{0}' must resolve to a file")]
    NotAFile(String),
    /// A file that the load restriction forbids.
    #[error("security; file '{file}' is not in or below '{root}'")]
    Restricted {
        /// The file.
        file: String,
        /// The directory of the kustomization that names it.
        root: String,
    },
    /// A kustomization that refers to one that refers to it.
    #[error("cycle detected: candidate root '{candidate}' contains visited root '{visited}'")]
    Cycle {
        /// What is referred to.
        candidate: String,
        /// What has been visited.
        visited: String,
    },
    /// A remote kustomization that refers to itself.
    #[error("cycle detected: URI '{candidate}' referenced by previous URI '{visited}'")]
    RemoteCycle {
        /// What is referred to.
        candidate: String,
        /// What has been visited.
        visited: String,
    },
    /// A base outside the repository whose kustomization names it.
    #[error(
        "security; bases in kustomizations found in cloned git repos must be within the repo, but base '{base}' is \
         outside '{repository}'"
    )]
    OutsideRepository {
        /// The base.
        base: String,
        /// The checkout.
        repository: String,
    },
    /// No kustomization file.
    #[error(
        "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{0}'"
    )]
    NoKustomization(String),
    /// More than one kustomization file.
    #[error("Found multiple kustomization files under: {0}\n")]
    SeveralKustomizations(String),
    /// A remote address, and nobody to fetch it.
    #[error("remote address '{0}' is refused: remote bases are disabled; copy its content into the source")]
    RemoteDisabled(String),
    /// A directory of a remote repository that is not there.
    #[error("'{directory}' of '{address}' is not a directory of the repository")]
    NotInRepository {
        /// The address.
        address: String,
        /// The directory.
        directory: String,
    },
    /// Kustomizations that refer to each other too deeply.
    #[error("kustomizations refer to each other more than {0} deep")]
    TooDeep(usize),
    /// All files together are too large.
    #[error("files of the build exceed {0} bytes in total")]
    TooMuch(u64),
    /// The file system refuses.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Loads relative to one directory.
#[derive(Clone)]
pub(crate) struct Loader<'a> {
    root: String,
    files: Files<'a>,
    restrictor: LoadRestrictor,
    checkout: Option<Arc<CheckoutRoot>>,
    referrer: Option<Arc<Visited>>,
    budget: &'a Budget,
    options: &'a Options<'a>,
}

/// What a file counts at least.
const LEAST_COUNTED: u64 = 4096;

/// Bytes that may still be loaded.
pub(crate) struct Budget {
    left: Cell<u64>,
    limit: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { left: Cell::new(limit), limit }
    }

    /// Small files count as if they were larger: their number is limited too.
    fn spend(&self, bytes: usize) -> Result<(), LoadError> {
        match self.left.get().checked_sub((bytes as u64).max(LEAST_COUNTED)) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(LoadError::TooMuch(self.limit)),
        }
    }
}

#[derive(Clone)]
enum Files<'a> {
    Own(&'a dyn FileSystem),
    Remote(Arc<dyn FileSystem>),
}

impl Files<'_> {
    fn get(&self) -> &dyn FileSystem {
        match self {
            Files::Own(fs) => *fs,
            Files::Remote(fs) => &**fs,
        }
    }
}

struct CheckoutRoot {
    address: RepositoryAddress,
    directory: String,
}

/// A directory on the way from the top to here.
struct Visited {
    root: String,
    checkout: Option<Arc<CheckoutRoot>>,
    depth: usize,
    referrer: Option<Arc<Visited>>,
}

impl<'a> Loader<'a> {
    /// A loader for the directory that is to be built.
    pub(crate) fn top(
        fs: &'a dyn FileSystem,
        directory: &str,
        options: &'a Options<'a>,
        budget: &'a Budget,
    ) -> Result<Loader<'a>, Error> {
        let base = Loader {
            root: "/".to_owned(),
            files: Files::Own(fs),
            restrictor: options.load_restrictor,
            checkout: None,
            referrer: None,
            budget,
            options,
        };
        if let Some(address) = RepositoryAddress::parse(directory) {
            return base.checkout(address);
        }
        let root = base.directory(&join("/", directory))?;
        Ok(Loader { root, ..base })
    }

    /// The directory loaded from.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// A loader for a directory or repository that the kustomization here refers to.
    pub(crate) fn enter(&self, path: &str) -> Result<Loader<'a>, Error> {
        if path.is_empty() {
            return Err(LoadError::EmptyRoot.into());
        }
        let visited = self.visited()?;
        if let Some(address) = RepositoryAddress::parse(path) {
            self.refuse_remote_cycle(&address)?;
            let mut loader = self.checkout(address)?;
            loader.referrer = Some(visited);
            return Ok(loader);
        }
        if path.starts_with('/') {
            return Err(LoadError::AbsoluteRoot(path.to_owned()).into());
        }
        let root = self.directory(&join(&self.root, path))?;
        if let Some(checkout) = &self.checkout
            && !is_in_or_below(&root, &checkout.directory)
        {
            let repository = checkout.directory.clone();
            return Err(LoadError::OutsideRepository { base: root, repository }.into());
        }
        self.refuse_cycle(&root, &visited)?;
        Ok(Loader { root, referrer: Some(visited), ..self.clone() })
    }

    /// The content of a file, or of what an address leads to.
    pub(crate) fn load(&self, path: &str) -> Result<Vec<u8>, Error> {
        if is_http(path) {
            return self.fetch(path);
        }
        let path = if path.starts_with('/') { join("/", path) } else { join(&self.root, path) };
        let fs = self.files.get();
        let free = self.restrictor == LoadRestrictor::None && self.options.mode == Mode::Kustomize;
        let resolved = match fs.resolve(&path) {
            // Where every file may be read kustomize does not look at the path first, but opens it. In Flux's mode the
            // same is said of a path as everywhere else.
            Err(FsError::Resolve { reason, .. }) if free => {
                return Err(LoadError::Fs(FsError::Io { operation: "open", path, reason }).into());
            }
            Err(FsError::Outside { path, root, .. }) if free => {
                return Err(LoadError::Fs(FsError::Outside { operation: "read", path, root }).into());
            }
            resolved => resolved?,
        };
        if resolved.is_dir && free {
            let reason = "is a directory".to_owned();
            return Err(LoadError::Fs(FsError::Io { operation: "read", path, reason }).into());
        }
        if resolved.is_dir {
            return Err(LoadError::NotAFile(path).into());
        }
        let in_root = is_in_or_below(parent(&resolved.path), &self.root);
        if self.restrictor == LoadRestrictor::RootOnly && !in_root {
            return Err(LoadError::Restricted { file: path, root: self.root.clone() }.into());
        }
        let content = fs.read(&resolved.path, self.options.limits.file_bytes)?;
        self.budget.spend(content.len())?;
        Ok(content)
    }

    /// The kustomization file here, with its name.
    pub(crate) fn kustomization(&self) -> Result<(Vec<u8>, &'static str), Error> {
        let mut found = None;
        for name in FILE_NAMES {
            match self.load(name) {
                Ok(_) if found.is_some() => {
                    return Err(LoadError::SeveralKustomizations(self.root.clone()).into());
                }
                Ok(content) => found = Some((content, name)),
                Err(err @ Error::Load(LoadError::TooMuch(_) | LoadError::Fs(FsError::TooLarge { .. }))) => {
                    return Err(err);
                }
                Err(_) => {}
            }
        }
        found.ok_or_else(|| LoadError::NoKustomization(self.root.clone()).into())
    }

    fn fetch(&self, url: &str) -> Result<Vec<u8>, Error> {
        let Some(remote) = self.options.remote else {
            return Err(LoadError::RemoteDisabled(url.to_owned()).into());
        };
        let content = match remote.get(url, self.options.limits.file_bytes) {
            Err(RemoteError::Status { .. }) if RepositoryAddress::parse(url).is_some() => {
                return Err(RemoteError::IsGitRepository.into());
            }
            result => result?,
        };
        self.budget.spend(content.len())?;
        Ok(content)
    }

    fn checkout(&self, address: RepositoryAddress) -> Result<Loader<'a>, Error> {
        let Some(remote) = self.options.remote else {
            return Err(LoadError::RemoteDisabled(address.raw).into());
        };
        let checkout = remote.checkout(&address)?;
        let directory = checkout.fs.resolve(&checkout.directory)?.path;
        let root = checkout.fs.resolve(&join(&directory, &address.directory))?;
        if !root.is_dir || !is_in_or_below(&root.path, &directory) {
            let directory = address.directory;
            return Err(LoadError::NotInRepository { address: address.raw, directory }.into());
        }
        Ok(Loader {
            root: root.path,
            files: Files::Remote(checkout.fs),
            restrictor: LoadRestrictor::RootOnly,
            checkout: Some(Arc::new(CheckoutRoot { address, directory })),
            referrer: None,
            budget: self.budget,
            options: self.options,
        })
    }

    fn directory(&self, path: &str) -> Result<String, LoadError> {
        let resolved = self.files.get().resolve(path).map_err(LoadError::NotADirectory)?;
        if resolved.is_dir { Ok(resolved.path) } else { Err(LoadError::FileIsNotDirectory(path.to_owned())) }
    }

    fn visited(&self) -> Result<Arc<Visited>, LoadError> {
        let depth = self.referrer.as_ref().map_or(0, |referrer| referrer.depth) + 1;
        if depth > self.options.limits.depth {
            return Err(LoadError::TooDeep(self.options.limits.depth));
        }
        Ok(Arc::new(Visited {
            root: self.root.clone(),
            checkout: self.checkout.clone(),
            depth,
            referrer: self.referrer.clone(),
        }))
    }

    fn refuse_cycle(&self, candidate: &str, from: &Arc<Visited>) -> Result<(), LoadError> {
        let mut at = Some(from);
        while let Some(visited) = at {
            let same_tree = match (&visited.checkout, &self.checkout) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            };
            if same_tree && is_in_or_below(&visited.root, candidate) {
                let visited = visited.root.clone();
                return Err(LoadError::Cycle { candidate: candidate.to_owned(), visited });
            }
            at = visited.referrer.as_ref();
        }
        Ok(())
    }

    fn refuse_remote_cycle(&self, candidate: &RepositoryAddress) -> Result<(), LoadError> {
        let check = |checkout: &Option<Arc<CheckoutRoot>>| match checkout {
            Some(checkout) if checkout.address.raw.starts_with(&candidate.raw) => {
                Err(LoadError::RemoteCycle {
                    candidate: candidate.raw.clone(),
                    visited: checkout.address.raw.clone(),
                })
            }
            _ => Ok(()),
        };
        check(&self.checkout)?;
        let mut at = self.referrer.as_ref();
        while let Some(visited) = at {
            check(&visited.checkout)?;
            at = visited.referrer.as_ref();
        }
        Ok(())
    }
}
