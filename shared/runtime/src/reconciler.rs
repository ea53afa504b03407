//! What a controller implements: one [`Reconciler`] per kind, and what a reconcile may end in.

use crate::pass::Pass;
use fluxide_meta::object::Object;
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error as StdError, fmt::Debug, future::Future, time::Duration};

/// The finalizer of every kind with something to clean up.
pub const FINALIZER: &str = "finalizers.fluxcd.io";

/// A kind a controller can reconcile; implemented for every kube type that is an [`Object`].
pub trait Kind:
    Object
    + kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Object
        + kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// The logic of one kind.
///
/// The manager does the rest: it adds the finalizer, skips suspended objects, compares the object
/// with what it was and writes its status, records metrics, and queues the next pass.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind this reconciles.
    type Kind: Kind;

    /// Brings the world in line with the object and says so in `object.status`.
    ///
    /// Set the conditions that only this kind knows, `Ready` among them. [`settle`] does the rest.
    fn reconcile(
        &self,
        object: &mut Self::Kind,
        pass: &Pass,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Cleans up after an object that is being deleted; afterwards the finalizer goes.
    fn finalize(
        &self,
        object: &mut Self::Kind,
        pass: &Pass,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The finalizer to hold on objects, or `None` for a kind with nothing to clean up.
    fn finalizer(&self) -> Option<&'static str> {
        Some(FINALIZER)
    }

    /// A finalizer that older versions put on objects and nobody needs any more. It is removed when
    /// seen; from suspended objects only when they are being deleted.
    fn legacy_finalizer(&self) -> Option<&'static str> {
        None
    }

    /// The condition types this controller owns: its value wins over a concurrent edit.
    fn owned_conditions(&self) -> &'static [&'static str] {
        &[crate::conditions::READY, crate::conditions::RECONCILING, crate::conditions::STALLED]
    }

    /// Whether a suspended object's status is still settled, as after a pass that ended in [`Outcome::Done`].
    fn settles_suspended(&self) -> bool {
        false
    }

    /// Brings conditions and `observedGeneration` in line with how the pass ended, just before the
    /// status is written. Override it for a kind with its own rules.
    fn settle(&self, object: &mut Self::Kind, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        crate::settle::settle(object, result)
    }
}

/// How a pass ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do until something changes.
    Done,
    /// Again soon, with the backoff of a failure but without counting as one.
    Requeue,
    /// Again after a time.
    RequeueAfter {
        /// The time.
        after: Duration,
        /// Whether to spread it by `--interval-jitter-percentage`; for times that come from an interval.
        jitter: bool,
    },
}

impl Outcome {
    /// Again after the object's interval, spread by the configured jitter.
    pub fn interval(interval: Duration) -> Self {
        Self::RequeueAfter { after: interval, jitter: true }
    }

    /// Again after exactly this time.
    pub fn after(after: Duration) -> Self {
        Self::RequeueAfter { after, jitter: false }
    }
}

/// The error inside a [`Failure`].
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// How a pass failed, which decides when the object is looked at again.
#[derive(Debug)]
pub enum Failure {
    /// Try again with backoff. Any error turns into this with `?`.
    Retry(BoxError),
    /// Something else has to happen first, or there is a set time to try again.
    Wait {
        /// When to look again.
        after: Duration,
        /// Whether to spread that time by the configured jitter.
        jitter: bool,
        /// What was wrong.
        error: BoxError,
    },
    /// The spec is wrong: nothing happens until it changes.
    Stalled {
        /// Reason of the Stalled condition, and of Ready if the reconciler left that alone.
        reason: String,
        /// What to change.
        message: String,
    },
}

impl Failure {
    /// Retry with backoff, with a message instead of an error value.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry(message.into().into())
    }

    /// Wait for something else; look again after exactly this time.
    pub fn wait(after: Duration, error: impl Into<BoxError>) -> Self {
        Self::Wait { after, jitter: false, error: error.into() }
    }

    /// Failed, and the object says when to try again (`spec.retryInterval`); spread by jitter.
    pub fn retry_after(interval: Duration, error: impl Into<BoxError>) -> Self {
        Self::Wait { after: interval, jitter: true, error: error.into() }
    }

    /// The spec has to change.
    pub fn stalled(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Stalled { reason: reason.into(), message: message.into() }
    }

    /// What was wrong, as a condition or event would say it.
    pub fn message(&self) -> String {
        match self {
            Self::Retry(error) | Self::Wait { error, .. } => error.to_string(),
            Self::Stalled { message, .. } => message.clone(),
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Retry(Box::new(error))
    }
}
