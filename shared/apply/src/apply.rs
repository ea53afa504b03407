//! Server-side apply of a set of objects, stage by stage: every object of a stage is tried in a
//! dry-run first, and only those that drifted are written.

use std::collections::{BTreeSet, HashSet};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::cluster::{self, Cluster, Resource};
use crate::drift;
use crate::ignore::{self, Pointer};
use crate::inventory::{Entry, ObjectId};
use crate::live::{Live, Sight};
use crate::managed_fields::{self, TakeOver};
use crate::memory::{self, Memory, State};
use crate::metadata::{Owner, drop_invalid_ca_bundle};
use crate::object::Object;
use crate::order::{self, GroupKind};
use crate::wait::{self, Health};

/// How objects are applied.
#[derive(Clone)]
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
    /// Fields that are left to others.
    pub ignore: ignore::Rules,
    /// Objects that probably exist: the others are not read before they are tried.
    pub expected: HashSet<ObjectId>,
    /// What earlier passes found out.
    pub memory: Arc<Memory>,
    /// What watches know of the objects.
    pub live: Option<Live>,
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
    /// The state of an object that is unchanged without having been read.
    pub state: Option<State>,
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

impl Error {
    /// Why the dry-run of an object failed.
    pub(crate) fn of_dry_run(object: &Object, resource: &Resource, source: cluster::Error) -> Self {
        let subject = object.subject();
        if !source.is_not_found() {
            Self::DryRun { subject, source }
        } else if resource.namespaced && object.namespace().is_empty() {
            Self::NamespaceMissing { subject, source }
        } else {
            Self::NotFound { subject, source }
        }
    }
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
        label: Some(options.owner.name_label()),
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
    payload: memory::Fingerprint,
}

/// Decides what to do with an object: by its own wish, and by what a dry-run makes of it.
async fn plan(cluster: &Cluster, mut object: Object, options: &Options) -> Result<Plan, Error> {
    drop_invalid_ca_bundle(&mut object);
    let payload = memory::fingerprint(&object);
    let subject = object.subject();
    let resource = cluster
        .resource(object.api_version(), object.kind())
        .await
        .map_err(|source| Error::DryRun { subject: subject.clone(), source })?;
    let attempt = Attempt { cluster, resource: &resource, object: &object, subject: &subject, options };

    let id = ObjectId::of(&object);
    let sight = attempt.sight();
    if let Some(Sight::At(state)) = &sight
        && options.memory.is_known(&id, state, &payload)
        && !options.owner.is_ignored(&object)
    {
        let entry = Entry { id, version: object.version().to_owned() };
        let change = Change { entry, action: Action::Unchanged, object: None, state: Some(state.clone()) };
        return Ok(Plan { change, write: None, payload });
    }
    let mut live = None;
    let mut dry_run = None;
    let expected = options.expected.contains(&id) && sight != Some(Sight::Absent);
    if expected || options.owner.is_ignored(&object) {
        live = match attempt.read().await {
            Ok(found) => found,
            Err(unreadable) => {
                // An object that cannot be read is not written either: the dry-run only tells why.
                let manager = &options.take_over.field_manager;
                let tried = cluster.apply(&resource, &object, manager, true).await;
                return Err(tried.err().map_or(unreadable, |error| attempt.dry_run_error(error)));
            }
        };
    } else {
        // Most likely it does not exist: try first, and read it only if it does.
        match cluster.apply(&resource, &object, &options.take_over.field_manager, true).await {
            Ok(tried) if drift::is_created_by(&tried) => dry_run = Some(tried),
            Ok(tried) => {
                live = attempt.read().await?;
                dry_run = Some(tried);
            }
            Err(error) => match attempt.read().await {
                Ok(found @ Some(_)) => live = found,
                // Whoever may not even read it learns more from what the server said first.
                Ok(None) | Err(_) => return Err(attempt.dry_run_error(error)),
            },
        }
    }

    if is_skipped(&object, live.as_ref(), &options.owner) {
        let entry = Entry::of(live.as_ref().unwrap_or(&object));
        options.memory.forget(&id);
        let change = Change { entry, action: Action::Skipped, object: live.map(Arc::new), state: None };
        return Ok(Plan { change, write: None, payload });
    }
    if let Some(current) = &live
        && options.memory.is_unchanged(&id, current, &payload)
    {
        let change = Change {
            entry: Entry::of(current),
            action: Action::Unchanged,
            object: live.map(Arc::new),
            state: None,
        };
        return Ok(Plan { change, write: None, payload });
    }

    let mut patched = false;
    let mut taken_over = false;
    if options.migrate_api_version
        && let Some(current) = live.as_ref()
    {
        let operations = managed_fields::migrate_api_version(current, object.api_version());
        if !operations.is_empty() {
            live = Some(attempt.patch(current, &operations).await?);
            patched = true;
        }
    }

    let dry_run = match dry_run {
        Some(dry_run) if !patched => dry_run,
        _ => match cluster.apply(&resource, &object, &options.take_over.field_manager, true).await {
            Ok(dry_run) => dry_run,
            Err(error) => {
                let existing = live.take();
                let existing = existing.filter(|live| may_recreate(&object, live, &error, options));
                let Some(existing) = existing else { return Err(attempt.dry_run_error(error)) };
                if !attempt.would_be_accepted().await {
                    return Err(attempt.dry_run_error(error));
                }
                attempt.delete_and_wait(&existing).await?;
                let tried = cluster.apply(&resource, &object, &options.take_over.field_manager, true).await;
                tried.map_err(|error| attempt.dry_run_error(error))?
            }
        },
    };

    if let Some(current) = live.as_ref() {
        let operations = managed_fields::take_over(current, &object, &options.owner, &options.take_over);
        if !operations.is_empty() {
            live = Some(attempt.patch(current, &operations).await?);
            patched = true;
            taken_over = true;
        }
    }

    let ignored = options.ignore.pointers(&dry_run);
    let action = match &live {
        None => Action::Created,
        Some(live) if patched || differs(live, &dry_run, &ignored) => Action::Configured,
        Some(_) => Action::Unchanged,
    };
    let entry = Entry::of(&dry_run);
    if action == Action::Unchanged {
        let change = Change { entry, action, object: live.map(Arc::new), state: None };
        return Ok(Plan { change, write: None, payload });
    }
    if let Some(live) = &live {
        let manager = &options.take_over.field_manager;
        ignore::leave_alone(&mut object, live, &dry_run, manager, &ignored, taken_over);
    }
    let change = Change { entry, action, object: Some(Arc::new(dry_run)), state: None };
    Ok(Plan { change, write: Some((object, resource)), payload })
}

pub(crate) fn differs(live: &Object, dry_run: &Object, ignored: &[Pointer]) -> bool {
    if ignored.is_empty() {
        return drift::has_drifted(live, dry_run);
    }
    drift::has_drifted(&ignore::without(live, ignored), &ignore::without(dry_run, ignored))
}

pub(crate) fn is_skipped(desired: &Object, live: Option<&Object>, owner: &Owner) -> bool {
    owner.is_ignored(desired)
        || live.is_some_and(|live| owner.is_ignored(live) || owner.is_create_only(desired))
}

/// True when an object may be deleted and created anew to get over an error.
fn may_recreate(desired: &Object, live: &Object, error: &cluster::Error, options: &Options) -> bool {
    (options.force || options.owner.is_forced(desired) || options.owner.is_forced(live))
        && is_immutable(error)
}

pub(crate) fn is_immutable(error: &cluster::Error) -> bool {
    let text = error.to_string();
    matches!(error.code(), Some(409 | 422))
        || text.contains("is immutable")
        || text.contains("immutable field")
}

/// One object on its way into the cluster.
struct Attempt<'a> {
    cluster: &'a Cluster,
    resource: &'a Resource,
    object: &'a Object,
    subject: &'a str,
    options: &'a Options,
}

impl Attempt<'_> {
    /// What the watches know of the object.
    fn sight(&self) -> Option<Sight> {
        let live = self.options.live.as_ref()?;
        Some(live.sight(self.cluster, self.resource, self.object.namespace(), self.object.name()))
    }

    async fn read(&self) -> Result<Option<Object>, Error> {
        let read = self.cluster.get(self.resource, self.object.namespace(), self.object.name()).await;
        read.map_err(|source| Error::Query { subject: self.subject.to_owned(), source })
    }

    async fn patch(&self, live: &Object, operations: &[Value]) -> Result<Object, Error> {
        let manager = &self.options.take_over.field_manager;
        let patched = self.cluster.json_patch(self.resource, live, operations, manager).await;
        patched.map_err(|source| Error::TakeOver { subject: self.subject.to_owned(), source })
    }

    fn dry_run_error(&self, source: cluster::Error) -> Error {
        Error::of_dry_run(self.object, self.resource, source)
    }

    /// True when the object would be accepted if it did not exist: only then is it worth deleting
    /// what exists. Addresses and ports that the existing object holds are left to the server.
    async fn would_be_accepted(&self) -> bool {
        if self.object.is_custom_resource_definition() {
            return true;
        }
        let mut object = self.object.clone();
        if object.api_version() == "v1" && object.kind() == "Service" {
            let taken = ["/spec/clusterIP", "/spec/clusterIPs", "/spec/healthCheckNodePort"];
            let pointers: Vec<Pointer> =
                taken.iter().map(|path| path.split('/').skip(1).map(str::to_owned).collect()).collect();
            object = ignore::without(&object, &pointers);
        }
        self.cluster.try_create(self.resource, &object).await.is_ok()
    }

    async fn delete_and_wait(&self, live: &Object) -> Result<(), Error> {
        let subject = self.subject.to_owned();
        let (namespace, name) = (live.namespace(), live.name());
        let failed = |source| Error::Recreate { subject: self.subject.to_owned(), source };
        self.cluster.delete(self.resource, namespace, name).await.map_err(failed)?;
        let gone = async {
            loop {
                match self.cluster.get(self.resource, namespace, name).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(now)) if now.uid() != live.uid() => return Ok(()),
                    Ok(Some(_)) => tokio::time::sleep(Duration::from_millis(500)).await,
                    Err(source) => return Err(failed(source)),
                }
            }
        };
        match tokio::time::timeout(self.options.timeout, gone).await {
            Ok(result) => result,
            Err(_) => Err(Error::RecreateTimeout { subject, after: self.options.timeout }),
        }
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
    let Plan { mut change, write, payload } = plan;
    if let Some((object, resource)) = write {
        let applied = cluster.apply(&resource, &object, &options.take_over.field_manager, false).await;
        let applied = applied.map_err(|source| Error::Apply { subject: object.subject(), source })?;
        change.object = Some(Arc::new(applied));
    }
    if let (Some(object), true) = (&change.object, change.action != Action::Skipped) {
        options.memory.remember(change.entry.id.clone(), object, payload);
    }
    Ok(change)
}
