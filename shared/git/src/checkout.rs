//! From a reference to files on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gix::hash::ObjectId;
use tokio_util::sync::CancellationToken;

use crate::local::LocalRepository;
use crate::objects::{Objects, ParsedCommit};
use crate::reference::Candidate;
use crate::session::{CancelOnDrop, Guard, Session};
use crate::submodule::{self, Submodule};
use crate::tree::{Budget, Gitlink, Sparse, write_tree};
use crate::{Commit, GitError, Reference, Remote, Tag};

/// How to check out.
#[derive(Clone, Debug)]
pub struct CheckoutOptions {
    /// Stop when the reference still has this revision.
    pub known_revision: Option<String>,
    /// Check out submodules, and theirs.
    pub recurse_submodules: bool,
    /// Only these directories; everything if empty.
    pub sparse: Vec<String>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How much it may be.
    pub limits: Limits,
}

impl Default for CheckoutOptions {
    fn default() -> Self {
        CheckoutOptions {
            known_revision: None,
            recurse_submodules: false,
            sparse: Vec::new(),
            timeout: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// How much a repository may be. Generous: they are there to stop attacks and accidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that are downloaded, and bytes of a single object.
    pub pack_bytes: u64,
    /// Bytes of all files.
    pub checkout_bytes: u64,
    /// Files and directories.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pack_bytes: 1 << 30, checkout_bytes: 4 << 30, files: 1_000_000 }
    }
}

/// How a checkout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkout {
    /// The reference still has the known revision; nothing was fetched.
    Unchanged(String),
    /// The files are in the directory.
    Done(Box<Commit>),
}

/// Writes the files of a reference to an empty directory.
///
/// Dropping the future stops the work.
pub async fn checkout(
    remote: &Remote,
    reference: &Reference,
    options: &CheckoutOptions,
    directory: &Path,
) -> Result<Checkout, GitError> {
    let (remote, reference) = (remote.clone(), reference.clone());
    in_background(options, directory, move |work| work.run(&remote, &reference)).await
}

/// [`checkout`] from a repository on this machine: a directory with a `.git`, or a bare repository.
///
/// Its submodules are fetched, but only from servers: like Git's own, this refuses those that are files.
pub async fn checkout_local(
    repository: &Path,
    reference: &Reference,
    options: &CheckoutOptions,
    directory: &Path,
) -> Result<Checkout, GitError> {
    let (repository, reference) = (repository.to_owned(), reference.clone());
    in_background(options, directory, move |work| work.run_local(&repository, &reference)).await
}

/// Runs work on a thread that may block; dropping the future stops it.
async fn in_background(
    options: &CheckoutOptions,
    directory: &Path,
    run: impl FnOnce(&Work) -> Result<Checkout, GitError> + Send + 'static,
) -> Result<Checkout, GitError> {
    let cancelled = Arc::new(CancellationToken::new());
    let guard = Guard {
        runtime: tokio::runtime::Handle::current(),
        deadline: Instant::now() + options.timeout,
        cancelled: (*cancelled).clone(),
    };
    let _cancel = CancelOnDrop(cancelled);
    let work = Work { options: options.clone(), directory: directory.to_path_buf(), guard };
    tokio::task::spawn_blocking(move || run(&work))
        .await
        .map_err(|error| GitError::Protocol(format!("checkout ended unexpectedly: {error}")))?
}

struct Work {
    options: CheckoutOptions,
    directory: PathBuf,
    guard: Guard,
}

impl Work {
    fn run(&self, remote: &Remote, reference: &Reference) -> Result<Checkout, GitError> {
        let mut session = Session::connect(remote, self.guard.clone())?;
        let candidates = reference.resolve(&mut session)?;
        if let [only] = candidates.as_slice()
            && self.options.known_revision.as_deref() == Some(only.revision().as_str())
        {
            return Ok(Checkout::Unchanged(only.revision()));
        }
        let mut budget = Budget::new(self.options.limits);
        let store = object_store()?;
        let wants: Vec<ObjectId> = candidates.iter().map(|c| c.want).collect();
        if let Reference::Commit { hash, branch } = reference {
            let branch = branch.as_deref();
            self.fetch_commit(remote, session, &wants, (hash, branch), store.path(), &mut budget)?;
        } else {
            session.fetch(&wants, true, store.path(), &mut budget.pack_bytes)?;
        }
        self.write_newest(Some(remote), &Objects::open(store.path())?, candidates, &mut budget)
    }

    fn run_local(&self, repository: &Path, reference: &Reference) -> Result<Checkout, GitError> {
        let repository = LocalRepository::open(repository)?;
        let candidate = repository.resolve(reference)?;
        if self.options.known_revision.as_deref() == Some(candidate.revision().as_str()) {
            return Ok(Checkout::Unchanged(candidate.revision()));
        }
        let mut budget = Budget::new(self.options.limits);
        self.write_newest(None, repository.objects(), vec![candidate], &mut budget)
    }

    /// Writes the files of the newest candidate. Without a remote the repository is one of this machine.
    fn write_newest(
        &self,
        remote: Option<&Remote>,
        objects: &Objects,
        candidates: Vec<Candidate>,
        budget: &mut Budget,
    ) -> Result<Checkout, GitError> {
        let (candidate, parsed, tag) = newest_commit(objects, candidates)?;
        let place = Place {
            remote,
            directory: self.directory.clone(),
            sparse: Sparse::new(&self.options.sparse),
            depth: 0,
        };
        self.write(&place, objects, &parsed.tree, budget)?;
        self.check_sparse_directories()?;
        Ok(Checkout::Done(Box::new(Commit {
            hash: candidate.commit.to_string(),
            revision: candidate.revision(),
            message: parsed.message,
            signature: parsed.signature,
            tag,
            tag_name: candidate.tag_name,
        })))
    }

    /// Writes a tree with what is in its submodules, if that is wanted.
    fn write(
        &self,
        place: &Place<'_>,
        objects: &Objects,
        tree: &ObjectId,
        budget: &mut Budget,
    ) -> Result<(), GitError> {
        let links = write_tree(objects, tree, &place.directory, &place.sparse, budget, &self.guard)?;
        if !self.options.recurse_submodules || links.is_empty() {
            return Ok(());
        }
        let Some(gitmodules) = objects.file(tree, ".gitmodules")? else {
            return Ok(());
        };
        let submodules = submodule::parse(&gitmodules)?;
        for link in links {
            if let Some(submodule) = submodules.iter().rfind(|s| s.path == link.path) {
                self.check_out_submodule(place, submodule, &link, budget).map_err(|source| {
                    GitError::Submodule { path: link.path.clone(), source: Box::new(source) }
                })?;
            }
        }
        Ok(())
    }

    fn check_out_submodule(
        &self,
        parent: &Place<'_>,
        submodule: &Submodule,
        link: &Gitlink,
        budget: &mut Budget,
    ) -> Result<(), GitError> {
        if parent.depth >= submodule::MAX_DEPTH {
            let reason = format!("submodules are nested deeper than {} levels", submodule::MAX_DEPTH);
            return Err(GitError::Refused { path: link.path.clone(), reason });
        }
        budget.take_submodule()?;
        let remote = match parent.remote {
            Some(remote) => remote.submodule(&submodule.url)?,
            None => submodule::of_local(&submodule.url)?,
        };
        let store = object_store()?;
        let hash = link.commit.to_string();
        let session = Session::connect(&remote, self.guard.clone())?;
        self.fetch_commit(&remote, session, &[link.commit], (&hash, None), store.path(), budget)?;
        let objects = Objects::open(store.path())?;
        let commit = objects.commit(&link.commit)?;
        let place = Place {
            remote: Some(&remote),
            directory: parent.directory.join(&link.path),
            sparse: parent.sparse.below(&link.path),
            depth: parent.depth + 1,
        };
        self.write(&place, &objects, &commit.tree, budget)
    }

    /// Asks for one commit alone; from a server that gives only what references lead to, for their whole history.
    fn fetch_commit(
        &self,
        remote: &Remote,
        mut session: Session,
        wants: &[ObjectId],
        (hash, branch): (&str, Option<&str>),
        store: &Path,
        budget: &mut Budget,
    ) -> Result<(), GitError> {
        match session.fetch(wants, true, store, &mut budget.pack_bytes) {
            Ok(()) => return Ok(()),
            Err(GitError::Protocol(_) | GitError::Connection(_)) => {}
            Err(error) => return Err(error),
        }
        drop(session);
        let mut session = Session::connect(remote, self.guard.clone())?;
        let tips: Vec<ObjectId> = match branch {
            Some(branch) => {
                let branch = Reference::Branch(branch.to_owned());
                branch.resolve(&mut session)?.into_iter().map(|c| c.commit).collect()
            }
            None => {
                let refs = session.list(&["refs/heads/".to_owned()])?;
                let heads = refs.into_iter().filter(|r| r.name.starts_with("refs/heads/"));
                heads.map(|r| r.id).collect()
            }
        };
        if tips.is_empty() {
            return Err(GitError::EmptyRepository);
        }
        session.fetch(&tips, false, store, &mut budget.pack_bytes)?;
        if wants.iter().all(|want| Objects::open(store).is_ok_and(|o| o.contains(want))) {
            return Ok(());
        }
        Err(GitError::CommitNotFound { commit: hash.to_owned(), reason: "object not found".to_owned() })
    }

    fn check_sparse_directories(&self) -> Result<(), GitError> {
        for wanted in &self.options.sparse {
            let relative = wanted.trim_start_matches("./");
            let mut path = self.directory.clone();
            path.extend(relative.split('/').filter(|part| !part.is_empty() && *part != "."));
            // `..` is no name in a tree, so nothing was written for it.
            let climbs = relative.split('/').any(|part| part == "..");
            if climbs || path.symlink_metadata().is_err() {
                return Err(GitError::SparseDirectory(relative.to_owned()));
            }
        }
        Ok(())
    }
}

/// Where a tree is written, and whose it is.
struct Place<'a> {
    /// `None` for a repository of this machine.
    remote: Option<&'a Remote>,
    directory: PathBuf,
    sparse: Sparse,
    depth: usize,
}

fn object_store() -> Result<tempfile::TempDir, GitError> {
    let store = tempfile::Builder::new().prefix("git-objects-").tempdir();
    store.map_err(GitError::io(std::env::temp_dir()))
}

/// Among tags of equal versions the one with the newer commit counts.
fn newest_commit(
    objects: &Objects,
    candidates: Vec<Candidate>,
) -> Result<(Candidate, ParsedCommit, Option<Tag>), GitError> {
    let mut newest: Option<(Candidate, ParsedCommit, Option<Tag>)> = None;
    for mut candidate in candidates {
        let (commit, tag) = objects.peel(&candidate.want)?;
        candidate.commit = commit;
        let parsed = objects.commit(&commit)?;
        let is_newer = newest.as_ref().is_none_or(|(_, other, _)| parsed.committed > other.committed);
        if is_newer {
            newest = Some((candidate, parsed, tag));
        }
    }
    newest.ok_or(GitError::EmptyRepository)
}
