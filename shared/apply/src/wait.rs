//! Waits until objects are healthy.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::apply::{Action, Change};
use crate::cluster::Cluster;
use crate::health::Rules;
use crate::inventory::ObjectId;
use crate::kstatus::{self, Status, Verdict};
use crate::object::Object;

/// An object whose health is waited for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Which object.
    pub id: ObjectId,
    /// The object as it was seen last, when that was in this very pass: it is judged first.
    pub seen: Option<Arc<Object>>,
}

impl From<&Change> for Target {
    fn from(change: &Change) -> Self {
        let seen = change.object.clone().filter(|_| change.action != Action::Deleted);
        Self { id: change.entry.id.clone(), seen }
    }
}

/// How objects are judged.
#[derive(Default)]
pub struct Health {
    /// Jobs that remove themselves: when they are gone they have ended.
    pub vanishing_jobs: HashSet<ObjectId>,
    /// Rules of the user, which go before the built-in ones.
    pub rules: Rules,
}

impl Health {
    /// Judges an object.
    pub fn judge(&self, object: &Object) -> Result<Verdict, String> {
        if let Some(rule) = self.rules.find(object) {
            return rule.judge(object).map_err(|error| error.to_string());
        }
        if object.group() == "batch" && object.kind() == "Job" {
            return Ok(kstatus::compute_job(object));
        }
        kstatus::compute(object, Timestamp::now()).map_err(|error| error.to_string())
    }
}

/// How to wait.
#[derive(Debug, Clone)]
pub struct Options {
    /// When to give up.
    pub timeout: Duration,
    /// How often to look.
    pub interval: Duration,
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
pub async fn until_ready(
    cluster: &Cluster,
    mut targets: Vec<Target>,
    health: &Health,
    options: &Options,
) -> Result<(), Error> {
    let deadline = Instant::now() + options.timeout;
    while !targets.is_empty() {
        let looks = targets.into_iter().map(|target| look(cluster, target, health));
        let observed = stream::iter(looks).buffered(options.concurrency.max(1)).collect().await;
        let pending = still_pending(observed, options)?;
        let now = Instant::now();
        if !pending.is_empty() {
            if now >= deadline {
                return Err(Error::Timeout(describe(&pending, |_| true)));
            }
            tokio::time::sleep_until((now + options.interval).min(deadline)).await;
        }
        targets = pending.into_iter().map(|observed| observed.target).collect();
    }
    Ok(())
}

/// What is not current, or an error when waiting for it makes no sense.
fn still_pending(mut observed: Vec<Observed>, options: &Options) -> Result<Vec<Observed>, Error> {
    observed.retain(|observed| status(observed) != Status::Current);
    let failed = observed.iter().filter(|observed| status(observed) == Status::Failed).count();
    if failed > 0 && (options.fail_fast || failed == observed.len()) {
        return Err(Error::Stalled(describe(&observed, |status| status == Status::Failed)));
    }
    Ok(observed)
}

async fn look(cluster: &Cluster, target: Target, health: &Health) -> Observed {
    let ObjectId { group, kind, namespace, name } = &target.id;
    let found = match cluster.preferred_resource(group, kind).await {
        Ok(resource) if resource.namespaced && namespace.is_empty() => {
            Err(format!("resource {kind}.{group} {name} is namespace scoped, but namespace is not set"))
        }
        Ok(resource) => cluster.get(&resource, namespace, name).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let verdict = match found {
        Ok(Some(object)) => health.judge(&object),
        Ok(None) if health.vanishing_jobs.contains(&target.id) => {
            Ok(Verdict::current("Job has ended and is gone"))
        }
        Ok(None) => Ok(Verdict { status: Status::NotFound, message: "Resource not found".to_owned() }),
        Err(error) => Err(error),
    };
    Observed { target, verdict }
}

fn status(observed: &Observed) -> Status {
    observed.verdict.as_ref().map_or(Status::Unknown, |verdict| verdict.status)
}

fn describe(pending: &[Observed], wanted: impl Fn(Status) -> bool) -> String {
    let mut items: Vec<String> = pending
        .iter()
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
