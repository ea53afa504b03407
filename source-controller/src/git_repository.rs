//! GitRepository: a revision of a Git repository as an artifact.

mod auth;
mod include;
mod verification;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fluxide_artifact::archive::archive_directory;
use fluxide_artifact::ignore::IgnoreRules;
use fluxide_artifact::store::{Owner, StoreError};
use fluxide_artifact::{Store, StoredFile};
use fluxide_git::ssh::SshAlgorithms;
use fluxide_git::{Checkout, CheckoutOptions, Commit, GitError, Limits, Reference, Remote, checkout};
use fluxide_meta::Artifact;
use fluxide_runtime::conditions::{self, Status};
use fluxide_runtime::{Failure, Outcome, Pass, Reconciler, Store as Objects};
use fluxide_source_api::GitRepository;
use fluxide_source_api::git_repository::{GitRepositoryInclude, GitRepositoryRef};

pub use include::including;

use crate::Options;
use crate::git_repository::verification::KeyMemory;
use crate::identity::Identities;
use crate::source::condition::{
    ARTIFACT_IN_STORAGE, ARTIFACT_OUTDATED, FETCH_FAILED, INCLUDE_UNAVAILABLE, SOURCE_VERIFIED,
    STORAGE_OPERATION_FAILED,
};
use crate::source::{self, Problem, Source, blocking, reason};

/// Reconciles GitRepositories.
pub struct GitRepositoryReconciler {
    store: Arc<Store>,
    repositories: Objects<GitRepository>,
    limits: Limits,
    requeue_dependency: Duration,
    ssh_algorithms: SshAlgorithms,
    identities: Identities,
    verified_with: KeyMemory,
}

impl GitRepositoryReconciler {
    /// A reconciler that stores in `store` and looks up includes in `repositories`.
    pub fn new(
        store: Arc<Store>,
        repositories: Objects<GitRepository>,
        identities: Identities,
        options: &Options,
    ) -> Self {
        GitRepositoryReconciler {
            store,
            repositories,
            limits: Limits { pack_bytes: options.git_max_size, ..Limits::default() },
            requeue_dependency: options.common.requeue_dependency.0,
            ssh_algorithms: options.ssh_algorithms(),
            identities,
            verified_with: KeyMemory::default(),
        }
    }
}

impl Source for GitRepository {
    const SUMMARY: &'static [&'static str] = &[
        STORAGE_OPERATION_FAILED,
        FETCH_FAILED,
        INCLUDE_UNAVAILABLE,
        ARTIFACT_OUTDATED,
        ARTIFACT_IN_STORAGE,
        SOURCE_VERIFIED,
        conditions::STALLED,
        conditions::RECONCILING,
    ];
    const NEGATIVE: &'static [&'static str] = &[
        STORAGE_OPERATION_FAILED,
        FETCH_FAILED,
        INCLUDE_UNAVAILABLE,
        ARTIFACT_OUTDATED,
        conditions::STALLED,
        conditions::RECONCILING,
    ];
    const FAILURES: &'static [&'static str] = &[FETCH_FAILED, INCLUDE_UNAVAILABLE, STORAGE_OPERATION_FAILED];

    fn artifact(&self) -> Option<&Artifact> {
        self.status.as_ref()?.artifact.as_ref()
    }

    fn set_artifact(&mut self, artifact: Option<Artifact>) {
        if artifact.is_some() || self.status.is_some() {
            self.status.get_or_insert_default().artifact = artifact;
        }
    }
}

impl Reconciler for GitRepositoryReconciler {
    type Kind = GitRepository;

    async fn reconcile(&self, object: &mut GitRepository, pass: &Pass) -> Result<Outcome, Failure> {
        match self.steps(object, pass).await {
            Ok(()) => {
                let interval = object.spec.interval.to_std();
                let interval =
                    interval.map_err(|error| Failure::stalled("InvalidInterval", error.to_string()))?;
                Ok(Outcome::interval(interval))
            }
            Err(problem) => Err(source::failure(object, pass, problem)),
        }
    }

    async fn finalize(&self, object: &mut GitRepository, pass: &Pass) -> Result<(), Failure> {
        let owner = owner(pass).map_err(|error| Failure::retry(error.to_string()))?;
        self.verified_with.forget(pass.key());
        source::forget(object, pass, &self.store, &owner).await
    }

    fn owned_conditions(&self) -> &'static [&'static str] {
        &[
            conditions::READY,
            conditions::RECONCILING,
            conditions::STALLED,
            SOURCE_VERIFIED,
            FETCH_FAILED,
            INCLUDE_UNAVAILABLE,
            ARTIFACT_OUTDATED,
            ARTIFACT_IN_STORAGE,
            STORAGE_OPERATION_FAILED,
        ]
    }

    fn settles_suspended(&self) -> bool {
        true
    }

    fn settle(
        &self,
        object: &mut GitRepository,
        result: Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        source::settle(object, result)
    }
}

impl GitRepositoryReconciler {
    async fn steps(&self, object: &mut GitRepository, pass: &Pass) -> Result<(), Problem> {
        let beginning = source::begin(object, pass).await?;
        let work = tempfile::Builder::new()
            .prefix(&format!("gitrepository-{}-{}-", pass.key().namespace, pass.key().name))
            .tempdir()
            .map_err(|error| {
                let message = format!("failed to create temporary working directory: {error}");
                Problem::retry(reason::DIRECTORY_CREATION_FAILED, message).mark(
                    object,
                    STORAGE_OPERATION_FAILED,
                    Status::True,
                )
            })?;
        conditions::delete(object, STORAGE_OPERATION_FAILED);
        let owner = owner(pass).map_err(|error| {
            Problem::stall(reason::ILLEGAL_PATH, error.to_string()).mark(
                object,
                STORAGE_OPERATION_FAILED,
                Status::True,
            )
        })?;
        source::look_after_storage(object, pass, &self.store, &owner).await?;
        let included = self.included_artifacts(object);
        let fetched = self.fetch(object, pass, included, work.path()).await?;
        let message = match fetched {
            Fetched::Unchanged(revision) => {
                let message = format!("no changes since last reconciliation: observed revision '{revision}'");
                source::trace(object, pass, reason::GIT_OPERATION_SUCCEEDED, message);
                format!("stored artifact for commit '{revision}'")
            }
            Fetched::Commit { commit, included } => {
                let message = format!("stored artifact for commit '{}'", commit.subject());
                self.store_artifact(object, pass, &owner, &commit, included, work.path()).await?;
                message
            }
        };
        source::notify(object, pass, &beginning, message);
        Ok(())
    }

    /// Gets the commit to the working directory, unless everything is as it was.
    async fn fetch(
        &self,
        object: &mut GitRepository,
        pass: &Pass,
        included: Result<Vec<Artifact>, Problem>,
        directory: &Path,
    ) -> Result<Fetched, Problem> {
        let verified = conditions::is_true(object, SOURCE_VERIFIED);
        if conditions::is_false(object, SOURCE_VERIFIED) {
            conditions::delete(object, SOURCE_VERIFIED);
        }
        let remote = auth::remote(&self.identities, pass, &object.spec).await;
        let mut remote = remote.map_err(|problem| problem.mark(object, FETCH_FAILED, Status::True))?;
        remote.ssh_algorithms = self.ssh_algorithms.clone();
        let included = included.map_err(|problem| problem.mark(object, INCLUDE_UNAVAILABLE, Status::True))?;
        conditions::delete(object, INCLUDE_UNAVAILABLE);
        if includes_differ(object, &included) {
            let message = "included artifacts differ from last observed includes";
            if object.artifact().is_some() {
                conditions::mark_true(object, ARTIFACT_OUTDATED, reason::INCLUDE_CHANGE, message);
            }
            source::building(object, pass, message).await?;
        }
        let keys = verification::keys(object, pass).await;
        let verified = match &keys {
            None => {
                verification::forget(object);
                self.verified_with.forget(pass.key());
                true
            }
            Some(Ok(keys)) => verified && !self.verified_with.changed(pass.key(), keys),
            Some(Err(_)) => verified,
        };
        let reference = reference(object.spec.reference.as_ref());
        let known = known_revision(object, &included).filter(|_| verified);
        let options = CheckoutOptions {
            known_revision: known.clone(),
            recurse_submodules: object.spec.recurse_submodules,
            sparse: object.spec.sparse_checkout.clone(),
            timeout: object.spec.timeout.to_std_or(Duration::from_secs(60)),
            limits: self.limits,
        };
        let outcome = checkout(&remote, &reference, &options, directory).await;
        match outcome {
            Ok(Checkout::Unchanged(revision)) => {
                conditions::delete(object, FETCH_FAILED);
                conditions::delete(object, ARTIFACT_OUTDATED);
                let message = conditions::message(object, ARTIFACT_IN_STORAGE).to_owned();
                conditions::mark_true(object, ARTIFACT_IN_STORAGE, reason::SUCCEEDED, message);
                Ok(Fetched::Unchanged(revision))
            }
            Ok(Checkout::Done(commit)) => {
                conditions::delete(object, FETCH_FAILED);
                tracing::debug!(url = %remote.url(), revision = commit.revision, "git repository checked out");
                verification::check(object, pass, &commit, &reference, (&self.verified_with, keys)).await?;
                let revision = commit.revision.clone();
                if object.artifact().is_none_or(|a| a.revision != revision) {
                    let message = format!("new upstream revision '{revision}'");
                    if object.artifact().is_some() {
                        conditions::mark_true(object, ARTIFACT_OUTDATED, reason::NEW_REVISION, &message);
                    }
                    source::building(object, pass, &message).await?;
                }
                Ok(Fetched::Commit { commit, included })
            }
            Err(error) => {
                let problem = git_problem(&remote, known.is_some(), error);
                Err(problem.mark(object, FETCH_FAILED, Status::True))
            }
        }
    }

    /// Packs the working directory and advertises it.
    async fn store_artifact(
        &self,
        object: &mut GitRepository,
        pass: &Pass,
        owner: &Owner,
        commit: &Commit,
        included: Vec<Artifact>,
        directory: &Path,
    ) -> Result<(), Problem> {
        let revision = &commit.revision;
        let stored_before = object.artifact().is_some_and(|a| a.revision == *revision);
        if stored_before && !includes_differ(object, &included) && !content_differs(object) {
            let message = format!("artifact up-to-date with remote revision: '{revision}'");
            source::trace(object, pass, reason::ARTIFACT_UP_TO_DATE, message);
            mark_stored(object, revision);
            return Ok(());
        }
        let sources: Vec<(String, GitRepositoryInclude)> = included
            .iter()
            .map(|artifact| artifact.path.clone())
            .zip(object.spec.include.iter().cloned())
            .collect();
        let stored = {
            let (store, owner) = (self.store.clone(), owner.clone());
            let (directory, ignore) = (directory.to_path_buf(), object.spec.ignore.clone());
            let file_name = format!("{}.tar.gz", commit.hash);
            blocking(move || {
                for (artifact, include) in &sources {
                    include::copy(&store, artifact, include, &directory)?;
                }
                pack(&store, &owner, &file_name, &directory, ignore.as_deref())
            })
            .await
        };
        let stored =
            stored.map_err(|error| error.problem().mark(object, STORAGE_OPERATION_FAILED, Status::True))?;
        let artifact = source::artifact(stored, revision.clone());
        object.set_artifact(Some(artifact));
        let spec = object.spec.clone();
        let status = object.status.get_or_insert_default();
        status.included_artifacts = included;
        status.observed_ignore = spec.ignore;
        status.observed_recurse_submodules = spec.recurse_submodules;
        status.observed_include = spec.include;
        status.observed_sparse_checkout = spec.sparse_checkout;
        mark_stored(object, revision);
        Ok(())
    }
}

enum Fetched {
    Unchanged(String),
    Commit { commit: Box<Commit>, included: Vec<Artifact> },
}

fn owner(pass: &Pass) -> Result<Owner, StoreError> {
    Owner::new("gitrepository", &pass.key().namespace, &pass.key().name)
}

fn mark_stored(object: &mut GitRepository, revision: &str) {
    conditions::delete(object, ARTIFACT_OUTDATED);
    let message = format!("stored artifact for revision '{revision}'");
    conditions::mark_true(object, ARTIFACT_IN_STORAGE, reason::SUCCEEDED, message);
}

/// The commit that is meant: a hash before a name, a tag, a range and a branch.
fn reference(reference: Option<&GitRepositoryRef>) -> Reference {
    let set = |field: fn(&GitRepositoryRef) -> &Option<String>| {
        reference.and_then(|r| field(r).clone()).filter(|text| !text.is_empty())
    };
    let branch = set(|r| &r.branch);
    if let Some(hash) = set(|r| &r.commit) {
        return Reference::Commit { hash, branch };
    }
    if let Some(name) = set(|r| &r.name) {
        return Reference::Name(name);
    }
    if let Some(tag) = set(|r| &r.tag) {
        return Reference::Tag(tag);
    }
    if let Some(range) = set(|r| &r.semver) {
        return Reference::Semver(range);
    }
    Reference::Branch(branch.unwrap_or_else(|| "master".to_owned()))
}

/// The revision that need not be fetched again: that of the artifact, if nothing else has an influence on it.
fn known_revision(object: &GitRepository, included: &[Artifact]) -> Option<String> {
    let artifact = object.artifact()?;
    let unchanged = conditions::is_true(object, ARTIFACT_IN_STORAGE)
        && !content_differs(object)
        && !includes_differ(object, included)
        && !verification::is_due(object);
    unchanged.then(|| artifact.revision.clone())
}

/// Whether the spec asks for other content than what the artifact was made with.
fn content_differs(object: &GitRepository) -> bool {
    let (spec, status) = (&object.spec, object.status.as_ref());
    let Some(status) = status else {
        return true;
    };
    spec.ignore != status.observed_ignore
        || spec.recurse_submodules != status.observed_recurse_submodules
        || spec.sparse_checkout != status.observed_sparse_checkout
        || spec.include != status.observed_include
}

fn includes_differ(object: &GitRepository, included: &[Artifact]) -> bool {
    let observed = object.status.as_ref().map_or(&[][..], |s| &s.included_artifacts);
    let identity = |artifact: &Artifact| (artifact.revision.clone(), artifact.digest.clone());
    !observed.iter().map(identity).eq(included.iter().map(identity))
}

fn git_problem(remote: &Remote, listing: bool, error: GitError) -> Problem {
    let action = if listing { "unable to list remote for" } else { "unable to clone" };
    let text = match &error {
        GitError::EmptyRepository => {
            return Problem::retry(reason::EMPTY_GIT_REPOSITORY, error.to_string());
        }
        GitError::Settings(text) => {
            let message = format!("failed to configure authentication options: {text}");
            return Problem::retry(reason::AUTHENTICATION_FAILED, message);
        }
        GitError::SparseDirectory(directory) => {
            let message = format!(
                "failed to sparse checkout directories : {error}: lstat {directory}: no such file or directory"
            );
            return Problem::retry(reason::GIT_OPERATION_FAILED, message);
        }
        GitError::AuthenticationRequired(_)
        | GitError::AuthorizationFailed(_)
        | GitError::RepositoryNotFound(_)
        | GitError::ReferenceNotFound(_)
        | GitError::Connection(_)
        | GitError::Protocol(_)
        | GitError::DeadlineExceeded => format!("{action} '{}': {error}", remote.url()),
        _ => error.to_string(),
    };
    let message = format!("failed to checkout and determine revision: {text}");
    Problem::retry(reason::GIT_OPERATION_FAILED, message)
}

/// Why the working directory did not become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The ignore rules cannot be read.
    #[error("failed to load source ignore patterns from repository: {0}")]
    Ignore(std::io::Error),
    /// An include cannot be put where it belongs.
    #[error("{message}")]
    Include {
        /// In one word.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// The files cannot be packed.
    #[error("unable to archive artifact to storage: {0}")]
    Archive(std::io::Error),
    /// The archive cannot be stored.
    #[error("unable to archive artifact to storage: {0}")]
    Store(#[from] StoreError),
}

impl PackError {
    fn problem(self) -> Problem {
        let reason = match &self {
            PackError::Ignore(_) => reason::SOURCE_IGNORE_ERROR,
            PackError::Include { reason, .. } => reason,
            PackError::Archive(_) | PackError::Store(_) => reason::ARCHIVE_OPERATION_FAILED,
        };
        Problem::retry(reason, self.to_string())
    }
}

fn pack(
    store: &Store,
    owner: &Owner,
    file_name: &str,
    directory: &Path,
    ignore: Option<&str>,
) -> Result<StoredFile, PackError> {
    let rules = IgnoreRules::for_tree(directory, ignore).map_err(PackError::Ignore)?;
    store.write(owner, file_name, |out| {
        let summary = archive_directory(directory, &rules, out).map_err(PackError::Archive)?;
        tracing::debug!(files = summary.files, bytes = summary.bytes, "packed artifact");
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_comes_first_and_a_branch_last() {
        let text = |text: &str| Some(text.to_owned());
        let mut all = GitRepositoryRef {
            branch: text("b"),
            tag: text("t"),
            semver: text("1"),
            name: text("refs/x"),
            commit: text("c"),
        };
        let commit = Reference::Commit { hash: "c".to_owned(), branch: text("b") };
        assert_eq!(reference(Some(&all)), commit);
        all.commit = text("");
        assert_eq!(reference(Some(&all)), Reference::Name("refs/x".to_owned()));
        all.name = None;
        assert_eq!(reference(Some(&all)), Reference::Tag("t".to_owned()));
        all.tag = None;
        assert_eq!(reference(Some(&all)), Reference::Semver("1".to_owned()));
        all.semver = None;
        assert_eq!(reference(Some(&all)), Reference::Branch("b".to_owned()));
        assert_eq!(reference(None), Reference::Branch("master".to_owned()));
    }
}
