//! What all sources have in common: how a pass begins, looks after the stored artifact, ends and is told about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fluxide_artifact::store::{Owner, StoreError, Verification};
use fluxide_artifact::{Store, StoredFile};
use fluxide_meta::Artifact;
use fluxide_runtime::conditions::{
    self, PROGRESSING, PROGRESSING_WITH_RETRY, READY, RECONCILING, STALLED, Status, Summary,
};
use fluxide_runtime::predicate::requested_at;
use fluxide_runtime::{Failure, Kind, Outcome, Pass, PatchError, Severity};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Condition types of sources.
pub mod condition {
    /// The artifact of the last revision is stored.
    pub const ARTIFACT_IN_STORAGE: &str = "ArtifactInStorage";
    /// There is a newer revision than the stored one.
    pub const ARTIFACT_OUTDATED: &str = "ArtifactOutdated";
    /// The source could not be fetched.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// An included source cannot be had.
    pub const INCLUDE_UNAVAILABLE: &str = "IncludeUnavailable";
    /// The artifact could not be stored.
    pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
    /// The signature of the source was checked.
    pub const SOURCE_VERIFIED: &str = "SourceVerified";
}

/// Reasons of conditions and events of sources.
pub mod reason {
    pub const SUCCEEDED: &str = "Succeeded";
    pub const NEW_ARTIFACT: &str = "NewArtifact";
    pub const NEW_REVISION: &str = "NewRevision";
    pub const INCLUDE_CHANGE: &str = "IncludeChange";
    pub const ARTIFACT_UP_TO_DATE: &str = "ArtifactUpToDate";
    pub const ARTIFACT_VERIFICATION_FAILED: &str = "ArtifactVerificationFailed";
    pub const GARBAGE_COLLECTION_SUCCEEDED: &str = "GarbageCollectionSucceeded";
    pub const GARBAGE_COLLECTION_FAILED: &str = "GarbageCollectionFailed";
    pub const DIRECTORY_CREATION_FAILED: &str = "DirectoryCreationFailed";
    pub const ARCHIVE_OPERATION_FAILED: &str = "ArchiveOperationFailed";
    pub const AUTHENTICATION_FAILED: &str = "AuthenticationFailed";
    pub const URL_INVALID: &str = "URLInvalid";
    pub const GIT_OPERATION_FAILED: &str = "GitOperationFailed";
    pub const GIT_OPERATION_SUCCEEDED: &str = "GitOperationSucceeded";
    pub const EMPTY_GIT_REPOSITORY: &str = "EmptyGitRepository";
    pub const SOURCE_IGNORE_ERROR: &str = "SourceIgnoreError";
    pub const FEATURE_GATE_DISABLED: &str = "FeatureGateDisabled";
    pub const INVALID_PROVIDER_CONFIGURATION: &str = "InvalidProviderConfiguration";
    pub const VERIFICATION_ERROR: &str = "VerificationError";
    pub const INVALID_VERIFICATION_MODE: &str = "InvalidVerificationMode";
    pub const INVALID_GIT_OBJECT: &str = "InvalidGitObject";
    pub const INVALID_TAG_SIGNATURE: &str = "InvalidTagSignature";
    pub const INVALID_COMMIT_SIGNATURE: &str = "InvalidCommitSignature";
    pub const NOT_FOUND: &str = "NotFound";
    pub const NO_ARTIFACT: &str = "NoArtifact";
    pub const ILLEGAL_PATH: &str = "IllegalPath";
    pub const COPY_FAILURE: &str = "CopyFailure";
}

/// A kind whose reconciler stores artifacts.
pub trait Source: Kind {
    /// The conditions `Ready` is the summary of, the most telling first.
    const SUMMARY: &'static [&'static str];
    /// Those among them that are bad when true.
    const NEGATIVE: &'static [&'static str];
    /// Those that mean trouble when they were there, so that their end is worth an event.
    const FAILURES: &'static [&'static str];

    /// `status.artifact`.
    fn artifact(&self) -> Option<&Artifact>;
    /// Sets `status.artifact`.
    fn set_artifact(&mut self, artifact: Option<Artifact>);
}

/// Why a step ended a pass.
#[derive(Debug)]
pub enum Problem {
    /// Try again with backoff.
    Retry {
        /// In one word.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// Something else has to happen first.
    Wait {
        /// In one word.
        reason: &'static str,
        /// For people.
        message: String,
        /// When to look again.
        after: Duration,
    },
    /// The spec has to change.
    Stall {
        /// In one word.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// The status could not be written.
    Patch(PatchError),
}

impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        Problem::Patch(error)
    }
}

impl Problem {
    /// A problem that may go away by itself.
    pub fn retry(reason: &'static str, message: impl Into<String>) -> Self {
        Problem::Retry { reason, message: message.into() }
    }

    /// A problem that stays until the spec changes.
    pub fn stall(reason: &'static str, message: impl Into<String>) -> Self {
        Problem::Stall { reason, message: message.into() }
    }

    /// Sets a condition that says so, and gives the problem back.
    pub fn mark<S: Source>(self, object: &mut S, condition: &str, status: Status) -> Self {
        if let Some((reason, message)) = self.text() {
            conditions::set(object, condition, status, reason, message);
        }
        self
    }

    fn text(&self) -> Option<(&'static str, &str)> {
        match self {
            Problem::Retry { reason, message }
            | Problem::Wait { reason, message, .. }
            | Problem::Stall { reason, message } => Some((reason, message)),
            Problem::Patch(_) => None,
        }
    }
}

/// What the end of a pass is compared with.
pub struct Beginning {
    digest: Option<String>,
    failing: bool,
}

/// Says that a pass is under way; at once if it is about something new.
pub async fn begin<S: Source>(object: &mut S, pass: &Pass) -> Result<Beginning, Problem> {
    let beginning = Beginning {
        digest: object.artifact().map(|a| a.digest.clone()),
        failing: S::FAILURES.iter().any(|kind| conditions::has(object, kind)),
    };
    progressing(object, "reconciliation in progress", false);
    let generation = object.meta().generation.unwrap_or(0);
    let observed = object.observed_generation();
    if generation != observed {
        let message = format!("processing object: new generation {observed} -> {generation}");
        progressing(object, &message, false);
        pass.patch_progress(object).await?;
    } else if requested_at(object).is_some_and(|at| object.last_handled_reconcile_at() != Some(at)) {
        pass.patch_progress(object).await?;
    }
    Ok(beginning)
}

/// Says that something new is being built, where watchers see it.
pub async fn building<S: Source>(object: &mut S, pass: &Pass, why: &str) -> Result<(), Problem> {
    let message = match why {
        "" => "building artifact".to_owned(),
        why => format!("building artifact: {why}"),
    };
    progressing(object, &message, true);
    Ok(pass.patch_progress(object).await?)
}

fn progressing<S: Source>(object: &mut S, message: &str, drift: bool) {
    conditions::mark_reconciling(object, PROGRESSING, message);
    if drift || conditions::is_unknown(object, READY) {
        conditions::mark_unknown(object, READY, PROGRESSING, message);
    }
}

/// Collects garbage and makes sure that what is advertised is there and intact.
pub async fn look_after_storage<S: Source>(
    object: &mut S,
    pass: &Pass,
    store: &Arc<Store>,
    owner: &Owner,
) -> Result<(), Problem> {
    let mut disappeared = false;
    if let Some(artifact) = object.artifact().cloned() {
        let found = {
            let (store, owner, artifact) = (store.clone(), owner.clone(), artifact.clone());
            blocking(move || check_stored(&store, &owner, &artifact)).await
        };
        match found.collected {
            Ok(0) => {}
            Ok(count) => trace(
                object,
                pass,
                reason::GARBAGE_COLLECTION_SUCCEEDED,
                format!("garbage collected {count} artifacts"),
            ),
            Err(error) => trace(
                object,
                pass,
                reason::GARBAGE_COLLECTION_FAILED,
                format!("garbage collection of artifacts failed: {error}"),
            ),
        }
        if let Verification::Corrupt(why) = &found.verification {
            let message = format!("failed to verify integrity of artifact: {why}");
            tracing::error!(error = reason::ARTIFACT_VERIFICATION_FAILED, "{message}");
            event(object, pass, Severity::Error, reason::ARTIFACT_VERIFICATION_FAILED, message, false);
        }
        if found.verification != Verification::Intact {
            object.set_artifact(None);
            disappeared = true;
        }
    }
    let Some(artifact) = object.artifact() else {
        conditions::delete(object, condition::ARTIFACT_IN_STORAGE);
        let why = if disappeared { "disappeared from storage" } else { "" };
        return building(object, pass, why).await;
    };
    let url = store.url(&artifact.path);
    if artifact.url != url {
        let mut artifact = artifact.clone();
        artifact.url = url;
        object.set_artifact(Some(artifact));
    }
    Ok(())
}

struct Stored {
    collected: Result<usize, StoreError>,
    verification: Verification,
}

fn check_stored(store: &Store, owner: &Owner, artifact: &Artifact) -> Stored {
    let collected =
        store.collect_garbage(owner, &artifact.path, SystemTime::now()).map(|removed| removed.len());
    // A path into somebody else's directory is not this object's artifact.
    let own = artifact
        .path
        .rsplit_once('/')
        .is_some_and(|(_, file)| store.path(owner, file).is_ok_and(|path| path == artifact.path));
    let verification = match own {
        true => store.verify(&artifact.path, &artifact.digest),
        false => Verification::Missing,
    };
    if matches!(verification, Verification::Corrupt(_))
        && let Err(error) = store.remove(&artifact.path)
    {
        tracing::error!(%error, "failed to remove corrupt artifact");
    }
    Stored { collected, verification }
}

/// Runs something that blocks on the disk, off the threads that serve requests.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: this future will not be polled again.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The `status.artifact` of a file that was just stored.
pub fn artifact(stored: StoredFile, revision: String) -> Artifact {
    let now = Timestamp::now();
    Artifact {
        path: stored.path,
        url: stored.url,
        revision,
        digest: stored.digest.to_string(),
        last_update_time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
        size: i64::try_from(stored.size).ok(),
        metadata: BTreeMap::new(),
    }
}

/// Tells what came of a pass that ended well: news, recovery, or nothing.
pub fn notify<S: Source>(object: &S, pass: &Pass, beginning: &Beginning, message: String) {
    let Some(artifact) = object.artifact() else {
        return;
    };
    let failing = S::FAILURES.iter().any(|kind| conditions::has(object, kind));
    let reason = if beginning.digest.as_ref() != Some(&artifact.digest) {
        reason::NEW_ARTIFACT
    } else if beginning.failing && !failing {
        reason::SUCCEEDED
    } else {
        return;
    };
    tracing::info!("{message}");
    event(object, pass, Severity::Info, reason, message, true);
}

/// A Kubernetes event that is not sent on.
pub fn trace<S: Source>(object: &S, pass: &Pass, reason: &str, message: String) {
    tracing::info!("{message}");
    event(object, pass, Severity::Trace, reason, message, false);
}

fn event<S: Source>(
    object: &S,
    pass: &Pass,
    severity: Severity,
    reason: &str,
    message: String,
    about_artifact: bool,
) {
    let mut metadata = BTreeMap::new();
    if let Some(artifact) = object.artifact().filter(|_| about_artifact) {
        metadata.insert("revision".to_owned(), artifact.revision.clone());
        metadata.insert("digest".to_owned(), artifact.digest.clone());
    }
    pass.event(object, severity, reason, message, metadata);
}

/// Tells about a problem and says what it means for the next pass.
pub fn failure<S: Source>(object: &S, pass: &Pass, problem: Problem) -> Failure {
    match problem {
        Problem::Retry { reason, message } => {
            event(object, pass, Severity::Error, reason, message.clone(), false);
            Failure::retry(message)
        }
        Problem::Wait { reason, message, after } => {
            match after.subsec_nanos() {
                0 => tracing::info!(reason = message, duration = after.as_secs(), "reconciliation waiting"),
                _ => {
                    tracing::info!(
                        reason = message,
                        duration = after.as_secs_f64(),
                        "reconciliation waiting"
                    );
                }
            }
            event(object, pass, Severity::Trace, reason, message.clone(), false);
            Failure::wait(after, message)
        }
        Problem::Stall { reason, message } => {
            event(object, pass, Severity::Error, reason, message.clone(), false);
            Failure::stalled(reason, message)
        }
        Problem::Patch(error) => Failure::Retry(Box::new(error)),
    }
}

/// Brings `Ready`, `Reconciling`, `Stalled` and the observed generation in line with how the pass ended.
pub fn settle<S: Source>(object: &mut S, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
    let finished = match &result {
        Ok(Outcome::Requeue) => false,
        // Suspended.
        Ok(Outcome::Done) => {
            conditions::delete(object, STALLED);
            keep_reconciling(object);
            true
        }
        Ok(_) => {
            conditions::delete(object, STALLED);
            conditions::delete(object, RECONCILING);
            true
        }
        Err(Failure::Stalled { reason, message }) => {
            conditions::mark_stalled(object, reason, message);
            true
        }
        Err(Failure::Retry(_) | Failure::Wait { .. }) => {
            conditions::delete(object, STALLED);
            keep_reconciling(object);
            false
        }
    };
    let generation = object.meta().generation.unwrap_or(0);
    if finished && !object.conditions().is_empty() && object.observed_generation() != generation {
        object.set_observed_generation(generation);
    }
    let summary = Summary { kinds: S::SUMMARY, negative: S::NEGATIVE, latest_generation: false };
    conditions::summarize(object, READY, &summary);
    if let Some(verified) = conditions::get(object, condition::SOURCE_VERIFIED)
        && Status::of(verified) == Status::False
    {
        let (reason, message) = (verified.reason.clone(), verified.message.clone());
        conditions::mark_false(object, READY, &reason, message);
    }
    match result {
        Ok(outcome @ Outcome::RequeueAfter { .. }) if !conditions::is_true(object, READY) => {
            let message = conditions::message(object, READY);
            match message {
                "" => Ok(outcome),
                message => Err(Failure::retry(message)),
            }
        }
        result => result,
    }
}

fn keep_reconciling<S: Source>(object: &mut S) {
    if let Some(reconciling) = conditions::get(object, RECONCILING) {
        let message = reconciling.message.clone();
        conditions::mark_reconciling(object, PROGRESSING_WITH_RETRY, message);
    }
}

/// Removes everything stored for an object that is being deleted.
pub async fn forget<S: Source>(
    object: &mut S,
    pass: &Pass,
    store: &Arc<Store>,
    owner: &Owner,
) -> Result<(), Failure> {
    let removed = {
        let (store, owner) = (store.clone(), owner.clone());
        blocking(move || store.remove_all(&owner)).await
    };
    match removed {
        Ok(existed) => {
            if existed {
                let message = "garbage collected artifacts for deleted resource".to_owned();
                trace(object, pass, reason::GARBAGE_COLLECTION_SUCCEEDED, message);
            }
            object.set_artifact(None);
            Ok(())
        }
        Err(error) => {
            let message = format!("garbage collection for deleted resource failed: {error}");
            Err(failure(object, pass, Problem::retry(reason::GARBAGE_COLLECTION_FAILED, message)))
        }
    }
}

#[cfg(test)]
mod tests;
