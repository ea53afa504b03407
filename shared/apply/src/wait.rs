//! Waits until objects are healthy.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::apply::{Action, Change};
use crate::cluster::{self, Cluster, Resource};
use crate::follow::Followed;
use crate::health::Rules;
use crate::inventory::ObjectId;
use crate::kstatus::{self, Status, Verdict};
use crate::memory::{Memory, State};
use crate::object::Object;

/// How long a watch may say nothing before the object is read after all.
const SILENCE: Duration = Duration::from_secs(30);

/// An object whose health is waited for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Which object.
    pub id: ObjectId,
    /// The object as it was seen last, when that was in this very pass: it is judged first.
    pub seen: Option<Arc<Object>>,
    /// The state that a watch saw it in, when it was not read.
    pub state: Option<State>,
}

impl Target {
    /// True when the object was healthy in just the state in which it still is.
    pub fn is_known_healthy(&self, memory: &Memory) -> bool {
        self.state.as_ref().is_some_and(|state| memory.was_healthy_at(&self.id, &state.resource_version))
    }
}

impl From<&Change> for Target {
    fn from(change: &Change) -> Self {
        let seen = change.object.clone().filter(|_| change.action != Action::Deleted);
        Self { id: change.entry.id.clone(), seen, state: change.state.clone() }
    }
}

/// How objects are judged.
#[derive(Default)]
pub struct Health {
    /// Jobs that remove themselves: when they are gone they have ended.
    pub vanishing_jobs: HashSet<ObjectId>,
    /// Rules of the user, which go before the built-in ones.
    pub rules: Rules,
    /// Built-in rules for kinds that say in their own way how they are.
    pub known_kinds: Option<&'static Rules>,
    /// Where to note what is healthy.
    pub memory: Option<Arc<Memory>>,
}

impl Health {
    /// Judges an object, and remembers when it was found healthy.
    pub fn judge(&self, object: &Object) -> Result<Verdict, String> {
        let verdict = self.judge_by_rules(object);
        if let (Ok(verdict), Some(memory)) = (&verdict, &self.memory)
            && verdict.status == Status::Current
        {
            memory.remember_healthy(&ObjectId::of(object), object.resource_version());
        }
        verdict
    }

    fn judge_by_rules(&self, object: &Object) -> Result<Verdict, String> {
        if let Some(rule) = self.rules.find(object) {
            return rule.judge(object).map_err(|error| error.to_string());
        }
        if object.group() == "batch" && object.kind() == "Job" {
            return Ok(kstatus::compute_job(object));
        }
        if let Some(rule) = self.known_kinds.and_then(|rules| rules.find(object)) {
            return rule.judge(object).map_err(|error| error.to_string());
        }
        kstatus::compute(object, Timestamp::now()).map_err(|error| error.to_string())
    }

    /// Judges an object that does not exist.
    fn gone(&self, id: &ObjectId) -> Result<Verdict, String> {
        if self.vanishing_jobs.contains(id) {
            return Ok(Verdict::current("Job has ended and is gone"));
        }
        Ok(Verdict { status: Status::NotFound, message: "Resource not found".to_owned() })
    }
}

/// How to wait.
#[derive(Debug, Clone)]
pub struct Options {
    /// When to give up.
    pub timeout: Duration,
    /// How often to read what cannot be followed by a watch.
    pub interval: Duration,
    /// The label of objects that can be followed by a watch.
    pub label: Option<String>,
    /// Give up at the first failed object, instead of when none is in progress any more.
    pub fail_fast: bool,
    /// How many objects to look at in parallel.
    pub concurrency: usize,
}

/// Why objects are not healthy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The time is over.
    #[error("timeout waiting for: [{0}]")]
    Timeout(String),
    /// Objects have failed and will not recover by themselves.
    #[error("failed early due to stalled resources: [{0}]")]
    Stalled(String),
}

/// The health of a target, as far as it is known.
struct Observed {
    target: Target,
    verdict: Result<Verdict, String>,
}

/// The targets that are not current at a first look. Those seen before are judged as they were
/// seen; the others are read.
pub async fn pending(
    cluster: &Cluster,
    targets: Vec<Target>,
    health: &Health,
    options: &Options,
) -> Result<Vec<Target>, Error> {
    let looks = targets.into_iter().map(|target| async move {
        match &target.seen {
            Some(object) => {
                let verdict = health.judge(object);
                Observed { target, verdict }
            }
            None => look(cluster, target, health).await,
        }
    });
    let observed = stream::iter(looks).buffered(options.concurrency.max(1)).collect().await;
    Ok(still_pending(observed, options)?.into_iter().map(|observed| observed.target).collect())
}

/// Waits until all targets are current.
///
/// Targets that carry the label are followed by a watch from where they were seen; the others are
/// read again at the interval.
pub async fn until_ready(
    cluster: &Cluster,
    targets: Vec<Target>,
    health: &Health,
    options: &Options,
) -> Result<(), Error> {
    let deadline = Instant::now() + options.timeout;
    let mut waiting = Vec::with_capacity(targets.len());
    for target in targets {
        waiting.push(Waiting::new(cluster, target, health, options).await);
    }
    loop {
        let changes = Changes::of(&waiting);
        let now = Instant::now();
        let mut reads = Vec::new();
        for (index, waiting) in waiting.iter().enumerate() {
            if waiting.is_due(now) {
                let target = waiting.observed.target.clone();
                reads.push(async move { (index, look(cluster, target, health).await) });
            }
        }
        let looks: Vec<(usize, Observed)> =
            stream::iter(reads).buffer_unordered(options.concurrency.max(1)).collect().await;
        for (index, observed) in looks {
            waiting[index].observed = observed;
            waiting[index].next_read = Instant::now() + options.interval;
        }
        for waiting in &mut waiting {
            waiting.listen(health);
        }
        waiting.retain(|waiting| status(&waiting.observed) != Status::Current);
        check_failed(waiting.iter().map(|waiting| &waiting.observed), options)?;
        if waiting.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(Error::Timeout(describe(waiting.iter().map(|waiting| &waiting.observed), |_| true)));
        }
        let next_read = waiting.iter().filter_map(Waiting::reads_at).min();
        let wake = next_read.map_or(deadline, |next_read| next_read.min(deadline));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            () = changes.any() => {}
        }
    }
}

/// A target that is waited for, and how its changes are noticed.
struct Waiting {
    observed: Observed,
    followed: Option<Arc<Followed>>,
    /// The version that was judged last.
    version: u64,
    next_read: Instant,
}

impl Waiting {
    async fn new(cluster: &Cluster, target: Target, health: &Health, options: &Options) -> Self {
        let now = Instant::now();
        let seen = target.seen.clone();
        let version = seen.as_ref().and_then(|object| object.resource_version().parse().ok()).unwrap_or(0);
        let mut followed = None;
        if let (Some(object), Some(label)) = (&seen, &options.label)
            && version > 0
            && object.label(label).is_some()
            && let Ok(resource) = cluster.resource(object.api_version(), object.kind()).await
        {
            followed = Some(cluster.follow(&resource, object.namespace(), label, version));
        }
        let verdict = match &seen {
            Some(object) => health.judge(object),
            None => Err("not read yet".to_owned()),
        };
        let is_covered = followed.as_ref().is_some_and(|followed| followed.covers(version));
        let next_read =
            if is_covered || seen.is_some() && followed.is_none() { now + options.interval } else { now };
        Self { observed: Observed { target, verdict }, followed, version, next_read }
    }

    /// Takes over what the watch has told since the last judgement.
    fn listen(&mut self, health: &Health) {
        let Some(followed) = &self.followed else { return };
        let ObjectId { namespace, name, .. } = &self.observed.target.id;
        let Some(latest) = followed.after(namespace, name, self.version) else { return };
        self.version = latest.version;
        self.observed.verdict = match &latest.object {
            Some(object) => health.judge(object),
            None => health.gone(&self.observed.target.id),
        };
        self.observed.target.seen = latest.object;
    }

    fn is_followed(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| followed.covers(self.version))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.reads_at().is_some_and(|at| at <= now)
    }

    /// When to read by itself. What is followed is read as well from time to time: a watch can be
    /// silent because it is broken.
    fn reads_at(&self) -> Option<Instant> {
        Some(if self.is_followed() { self.next_read + SILENCE } else { self.next_read })
    }
}

/// News of all watches that somebody waits on.
struct Changes(Vec<tokio::sync::watch::Receiver<()>>);

impl Changes {
    fn of(waiting: &[Waiting]) -> Self {
        let mut followed: Vec<&Arc<Followed>> =
            waiting.iter().filter_map(|waiting| waiting.followed.as_ref()).collect();
        followed.sort_by_key(|followed| Arc::as_ptr(followed));
        followed.dedup_by_key(|followed| Arc::as_ptr(followed));
        Self(followed.into_iter().map(|followed| followed.changes()).collect())
    }

    /// Ends at the first change after this was made.
    async fn any(mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let changes = self.0.iter_mut().map(|changes| Box::pin(changes.changed()));
        let _ = futures::future::select_all(changes).await;
    }
}

/// What is not current, or an error when waiting for it makes no sense.
fn still_pending(mut observed: Vec<Observed>, options: &Options) -> Result<Vec<Observed>, Error> {
    observed.retain(|observed| status(observed) != Status::Current);
    check_failed(observed.iter(), options)?;
    Ok(observed)
}

/// An error when something has failed and nothing is left to wait for, or nobody wants to.
fn check_failed<'a>(
    pending: impl Iterator<Item = &'a Observed> + Clone,
    options: &Options,
) -> Result<(), Error> {
    let failed = pending.clone().filter(|observed| status(observed) == Status::Failed).count();
    if failed > 0 && (options.fail_fast || failed == pending.clone().count()) {
        return Err(Error::Stalled(describe(pending, |status| status == Status::Failed)));
    }
    Ok(())
}

async fn look(cluster: &Cluster, target: Target, health: &Health) -> Observed {
    let ObjectId { group, kind, namespace, name } = &target.id;
    let found = match resource_of(cluster, &target).await {
        Ok(resource) if resource.namespaced && namespace.is_empty() => {
            Err(format!("resource {kind}.{group} {name} is namespace scoped, but namespace is not set"))
        }
        Ok(resource) => cluster.get(&resource, namespace, name).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let verdict = match found {
        Ok(Some(object)) => health.judge(&object),
        Ok(None) => health.gone(&target.id),
        Err(error) => Err(error),
    };
    Observed { target, verdict }
}

/// The resource of a target: as it was applied, or in the version that the server prefers.
async fn resource_of(cluster: &Cluster, target: &Target) -> Result<Arc<Resource>, cluster::Error> {
    match &target.seen {
        Some(object) => cluster.resource(object.api_version(), object.kind()).await,
        None => cluster.preferred_resource(&target.id.group, &target.id.kind).await,
    }
}

fn status(observed: &Observed) -> Status {
    observed.verdict.as_ref().map_or(Status::Unknown, |verdict| verdict.status)
}

fn describe<'a>(pending: impl Iterator<Item = &'a Observed>, wanted: impl Fn(Status) -> bool) -> String {
    let mut items: Vec<String> = pending
        .filter(|observed| wanted(status(observed)))
        .map(|observed| {
            let mut item = format!("{} status: '{}'", observed.target.id.subject(), status(observed));
            if let Err(error) = &observed.verdict {
                let _ = write!(item, ": {error}");
            }
            item
        })
        .collect();
    items.sort();
    items.join(", ")
}
