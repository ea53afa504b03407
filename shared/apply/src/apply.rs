//! Server-side apply of a set of objects, stage by stage: every object of a stage is tried in a
//! dry-run first, and only those that drifted are written.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::cluster::{self, Cluster, Resource};
use crate::drift;
use crate::inventory::Entry;
use crate::managed_fields::{self, TakeOver};
use crate::metadata::{Owner, drop_invalid_ca_bundle};
use crate::object::Object;
use crate::order::{self, GroupKind};
use crate::wait::{self, Health};

/// How objects are applied.
#[derive(Debug, Clone)]
pub struct Options {
    /// On whose behalf; its labels and annotations steer single objects.
    pub owner: Owner,
    /// The field manager of applied objects, and whose fields it takes over.
    pub take_over: TakeOver,
    /// Kinds that are applied before the rest.
    pub custom_stage_kinds: BTreeSet<GroupKind>,
    /// How many requests of one stage run at the same time.
    pub concurrency: usize,
    /// Recreate objects whose immutable fields changed.
    pub force: bool,
    /// Move `managedFields` of other managers to the applied version.
    pub migrate_api_version: bool,
    /// How long to wait for definitions and classes to be established.
    pub timeout: Duration,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It did not exist.
    Created,
    /// It differed.
    Configured,
    /// It was as declared.
    Unchanged,
    /// It asks not to be touched.
    Skipped,
    /// It was removed.
    Deleted,
}

impl Action {
    /// The word in events and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Deleted => "deleted",
        }
    }

    /// True when the cluster is different than before.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Created | Self::Configured | Self::Deleted)
    }
}

/// One object of a change set.
#[derive(Debug, Clone)]
pub struct Change {
    /// Identity and version, as the server sees them.
    pub entry: Entry,
    /// What became of it.
    pub action: Action,
    /// The object as the server answered last, when it did.
    pub object: Option<Arc<Object>>,
}

/// What an apply did, in the order in which it was done.
#[derive(Debug, Clone, Default)]
pub struct ChangeSet {
    /// All objects.
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// Inventory of everything that is now declared, skipped objects included.
    pub fn inventory(&self) -> Vec<Entry> {
        self.changes.iter().map(|change| change.entry.clone()).collect()
    }

    /// True when anything was written.
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(|change| change.action.is_change())
    }

    /// One line for each object that `wanted` chooses: its subject and what became of it.
    pub fn lines(&self, wanted: impl Fn(Action) -> bool) -> String {
        let mut lines = String::new();
        for change in self.changes.iter().filter(|change| wanted(change.action)) {
            if !lines.is_empty() {
                lines.push('\n');
            }
            let _ = write!(lines, "{} {}", change.entry.id.subject(), change.action.as_str());
        }
        lines
    }
}

/// Why one object could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refuses the object.
    #[error("{subject} dry-run failed{}: {source}", reason(.source))]
    DryRun {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// The object or its namespace does not exist.
    #[error("{subject} not found: {source}")]
    NotFound {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// The object lives in a namespace and does not say in which.
    #[error("{subject} namespace not specified: {source}")]
    NamespaceMissing {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// The object could not be read before it was compared.
    #[error("{subject} query failed: {source}")]
    Query {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// The object could not be written although its dry-run succeeded.
    #[error("{subject} apply failed: {source}")]
    Apply {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// Leftovers of other managers could not be removed.
    #[error("{subject} metadata cleanup failed: {source}")]
    TakeOver {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// An object that had to be recreated could not be deleted.
    #[error("{subject} immutable field detected, failed to delete object: {source}")]
    Recreate {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// An object that had to be recreated is still being deleted.
    #[error(
        "{subject} immutable field detected, object still exists {after:?} after its deletion: \
         remove its finalizers or raise the timeout"
    )]
    RecreateTimeout {
        /// Which object.
        subject: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// Definitions or classes did not become ready.
    #[error("{0}")]
    Wait(#[from] wait::Error),
}

fn reason(error: &cluster::Error) -> String {
    error.reason().map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// An apply that did not get to its end.
#[derive(Debug)]
pub struct Failure {
    /// Everything that went wrong, in apply order.
    pub errors: Vec<Error>,
    /// What was done before.
    pub changes: ChangeSet,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "{error}")?;
        }
        f.write_str(&self.changes.lines(Action::is_change))
    }
}

impl std::error::Error for Failure {}

/// Applies objects in stages. Definitions and classes are waited for before what may need them.
///
/// An error of any object in a stage keeps the whole stage from being written; all errors of the
/// stage are reported together.
pub async fn apply_all(
    cluster: &Cluster,
    objects: Vec<Object>,
    options: &Options,
) -> Result<ChangeSet, Failure> {
    let stages = order::stages(objects, &options.custom_stage_kinds);
    let mut done = ChangeSet::default();
    for (stage, is_waited_for) in [
        (stages.definitions, true),
        (stages.classes, true),
        (stages.custom, false),
        (stages.resources, false),
    ] {
        if stage.is_empty() {
            continue;
        }
        let applied = match apply_stage(cluster, stage, options).await {
            Ok(applied) => applied,
            Err(failure) => {
                done.changes.extend(failure.changes.changes);
                return Err(Failure { errors: failure.errors, changes: done });
            }
        };
        let waited = if is_waited_for { wait_for_stage(cluster, &applied, options).await } else { Ok(()) };
        done.changes.extend(applied.changes);
        if let Err(error) = waited {
            return Err(Failure { errors: vec![error.into()], changes: done });
        }
    }
    Ok(done)
}

async fn wait_for_stage(
    cluster: &Cluster,
    applied: &ChangeSet,
    options: &Options,
) -> Result<(), wait::Error> {
    let targets = applied
        .changes
        .iter()
        .filter(|change| change.action != Action::Skipped)
        .map(wait::Target::from)
        .collect();
    let wait = wait::Options {
        timeout: options.timeout,
        interval: Duration::from_millis(500),
        fail_fast: false,
        concurrency: options.concurrency,
    };
    let health = Health::default();
    let pending = wait::pending(cluster, targets, &health, &wait).await?;
    wait::until_ready(cluster, pending, &health, &wait).await
}

async fn apply_stage(cluster: &Cluster, stage: Vec<Object>, options: &Options) -> Result<ChangeSet, Failure> {
    let plans: Vec<Result<Plan, Error>> =
        stream::iter(stage.into_iter().map(|object| plan(cluster, object, options)))
            .buffered(options.concurrency.max(1))
            .collect()
            .await;
    let (mut ready, mut errors) = (Vec::with_capacity(plans.len()), Vec::new());
    for plan in plans {
        match plan {
            Ok(plan) => ready.push(plan),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(Failure { errors, changes: ChangeSet::default() });
    }
    execute(cluster, ready, options).await
}

/// What is to be done with one object.
struct Plan {
    change: Change,
    /// The payload, when it has to be written, and where.
    write: Option<(Object, Arc<Resource>)>,
}

/// Decides what to do with an object: by its own wish, and by what a dry-run makes of it.
async fn plan(cluster: &Cluster, mut object: Object, options: &Options) -> Result<Plan, Error> {
    drop_invalid_ca_bundle(&mut object);
    let subject = object.subject();
    let resource = cluster
        .resource(object.api_version(), object.kind())
        .await
        .map_err(|source| Error::DryRun { subject: subject.clone(), source })?;
    let mut live = cluster
        .get(&resource, object.namespace(), object.name())
        .await
        .map_err(|source| Error::Query { subject: subject.clone(), source })?;

    if is_skipped(&object, live.as_ref(), &options.owner) {
        let entry = Entry::of(live.as_ref().unwrap_or(&object));
        let change = Change { entry, action: Action::Skipped, object: live.map(Arc::new) };
        return Ok(Plan { change, write: None });
    }

    let mut patched = false;
    if options.migrate_api_version
        && let Some(current) = live.as_ref()
    {
        let operations = managed_fields::migrate_api_version(current, object.api_version());
        if !operations.is_empty() {
            live = Some(patch(cluster, &resource, current, &operations, options, &subject).await?);
            patched = true;
        }
    }

    let manager = &options.take_over.field_manager;
    let mut dry_run = match cluster.apply(&resource, &object, manager, true).await {
        Ok(dry_run) => dry_run,
        Err(error) => {
            let Some(existing) = live.as_ref().filter(|live| may_recreate(&object, live, &error, options))
            else {
                return Err(dry_run_error(error, &object, subject, resource.namespaced));
            };
            delete_and_wait(cluster, &resource, existing, options, &subject).await?;
            live = None;
            cluster
                .apply(&resource, &object, manager, true)
                .await
                .map_err(|error| dry_run_error(error, &object, subject.clone(), resource.namespaced))?
        }
    };

    if let Some(current) = live.as_ref() {
        let operations = managed_fields::take_over(current, &object, &options.owner, &options.take_over);
        if !operations.is_empty() {
            live = Some(patch(cluster, &resource, current, &operations, options, &subject).await?);
            patched = true;
        }
    }

    // A server that answers a dry-run create with a resource version would make it look like an
    // update.
    if live.is_none() {
        dry_run.metadata_mut().remove("resourceVersion");
    }
    let entry = Entry::of(&dry_run);
    let action = match &live {
        None => Action::Created,
        Some(live) if patched || drift::has_drifted(live, &dry_run) => Action::Configured,
        Some(_) => Action::Unchanged,
    };
    let write = (action != Action::Unchanged).then_some((object, resource));
    Ok(Plan { change: Change { entry, action, object: Some(Arc::new(dry_run)) }, write })
}

fn is_skipped(desired: &Object, live: Option<&Object>, owner: &Owner) -> bool {
    owner.is_ignored(desired)
        || live.is_some_and(|live| owner.is_ignored(live) || owner.is_create_only(desired))
}

async fn patch(
    cluster: &Cluster,
    resource: &Resource,
    live: &Object,
    operations: &[Value],
    options: &Options,
    subject: &str,
) -> Result<Object, Error> {
    cluster
        .json_patch(resource, live, operations, &options.take_over.field_manager)
        .await
        .map_err(|source| Error::TakeOver { subject: subject.to_owned(), source })
}

fn dry_run_error(source: cluster::Error, object: &Object, subject: String, namespaced: bool) -> Error {
    if !source.is_not_found() {
        Error::DryRun { subject, source }
    } else if namespaced && object.namespace().is_empty() {
        Error::NamespaceMissing { subject, source }
    } else {
        Error::NotFound { subject, source }
    }
}

/// True when an object may be deleted and created anew to get over an error.
fn may_recreate(desired: &Object, live: &Object, error: &cluster::Error, options: &Options) -> bool {
    (options.force || options.owner.is_forced(desired) || options.owner.is_forced(live))
        && is_immutable(error)
}

fn is_immutable(error: &cluster::Error) -> bool {
    let text = error.to_string();
    matches!(error.code(), Some(409 | 422))
        || text.contains("is immutable")
        || text.contains("immutable field")
}

async fn delete_and_wait(
    cluster: &Cluster,
    resource: &Resource,
    live: &Object,
    options: &Options,
    subject: &str,
) -> Result<(), Error> {
    let failed = |source| Error::Recreate { subject: subject.to_owned(), source };
    cluster.delete(resource, live.namespace(), live.name()).await.map_err(failed)?;
    let gone = async {
        loop {
            match cluster.get(resource, live.namespace(), live.name()).await {
                Ok(None) => return Ok(()),
                Ok(Some(now)) if now.uid() != live.uid() => return Ok(()),
                Ok(Some(_)) => tokio::time::sleep(Duration::from_millis(500)).await,
                Err(source) => return Err(failed(source)),
            }
        }
    };
    match tokio::time::timeout(options.timeout, gone).await {
        Ok(result) => result,
        Err(_) => Err(Error::RecreateTimeout { subject: subject.to_owned(), after: options.timeout }),
    }
}

/// Writes what was planned. Kinds that others may need come first; objects of the same rank are
/// written at the same time.
async fn execute(cluster: &Cluster, plans: Vec<Plan>, options: &Options) -> Result<ChangeSet, Failure> {
    let mut done = ChangeSet::default();
    let mut errors = Vec::new();
    let mut plans = plans.into_iter().peekable();
    while let Some(first) = plans.next() {
        let rank = order::rank(&first.change.entry.id.kind);
        let mut group = vec![first];
        while let Some(next) = plans.next_if(|next| order::rank(&next.change.entry.id.kind) == rank) {
            group.push(next);
        }
        let results: Vec<Result<Change, Error>> =
            stream::iter(group.into_iter().map(|plan| write(cluster, plan, options)))
                .buffered(options.concurrency.max(1))
                .collect()
                .await;
        for result in results {
            match result {
                Ok(change) => done.changes.push(change),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(Failure { errors, changes: done });
        }
    }
    Ok(done)
}

async fn write(cluster: &Cluster, plan: Plan, options: &Options) -> Result<Change, Error> {
    let Plan { mut change, write } = plan;
    let Some((object, resource)) = write else { return Ok(change) };
    let applied = cluster
        .apply(&resource, &object, &options.take_over.field_manager, false)
        .await
        .map_err(|source| Error::Apply { subject: object.subject(), source })?;
    change.object = Some(Arc::new(applied));
    Ok(change)
}
