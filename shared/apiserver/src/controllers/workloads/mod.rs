//! Simulated workload controllers: what health checks wait for becomes true without any container running.
//!
//! Each kind has a function that looks at one object and the objects it owns, writes what is missing, and says when to
//! look again. A queue calls it on every change. Annotations under `sim.fluxide.dev/` make a workload slow or broken.

mod behaviour;
mod cron_jobs;
mod daemon_sets;
mod deployments;
mod disruption;
mod events;
mod jobs;
mod network;
mod pods;
mod replicas;
mod stateful_sets;
mod volumes;
mod writing;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::core::Core;
use crate::object::{self, text};
use crate::store::{ObjectKey, Stored};

/// Time between the steps of a simulated workload.
pub(crate) const DELAY: Duration = Duration::from_millis(50);

const BATCH: usize = 512;
const RESCAN: Duration = Duration::from_secs(3600);

/// Whether the simulator works or rests.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    paused: AtomicBool,
    changed: Notify,
}

impl Switch {
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }

    pub fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

/// What a reconciler gets: one object as it is now.
pub(crate) struct Item<'a> {
    pub core: &'a Core,
    pub table: &'a str,
    pub key: &'a ObjectKey,
    pub stored: &'a Arc<Stored>,
}

impl Item<'_> {
    pub fn value(&self) -> &Value {
        &self.stored.value
    }
}

/// Records that the item's object has a new pod.
fn note_created(item: &Item, source: events::Source, pod: Option<Arc<Stored>>) {
    if let Some(pod) = pod {
        let message = format!("Created pod: {}", crate::object::name(&pod.value));
        events::normal(item.core, source, item.value(), "SuccessfulCreate", message);
    }
}

/// When to look at the object again without a change.
pub(crate) type Again = Option<Duration>;

type Reconcile = fn(&Item) -> Again;

const KINDS: &[(&str, Reconcile)] = &[
    ("deployments.apps", deployments::reconcile),
    ("replicasets.apps", replicas::reconcile),
    ("replicationcontrollers", replicas::reconcile),
    ("statefulsets.apps", stateful_sets::reconcile),
    ("daemonsets.apps", daemon_sets::reconcile),
    ("jobs.batch", jobs::reconcile),
    ("cronjobs.batch", cron_jobs::reconcile),
    ("pods", pods::reconcile),
    ("persistentvolumeclaims", volumes::reconcile),
    ("services", network::reconcile_service),
    ("ingresses.networking.k8s.io", network::reconcile_ingress),
    ("poddisruptionbudgets.policy", disruption::reconcile_budget),
    ("horizontalpodautoscalers.autoscaling", disruption::reconcile_autoscaler),
];

/// Follows the tables of the simulated kinds until the server stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changes = core.store.watch_all();
    let mut queue = Queue::default();
    queue.fill(&core);
    loop {
        changes.borrow_and_update();
        if core.simulator.paused.load(Ordering::SeqCst) {
            core.simulator.changed.notified().await;
            continue;
        }
        queue.follow(&core);
        queue.work(&core);
        tokio::task::yield_now().await;
        if queue.has_due() || queue.behind(&core) {
            continue;
        }
        let wake = queue.next_due().unwrap_or_else(|| Instant::now() + RESCAN);
        if let Ok(Err(_)) = tokio::time::timeout_at(wake, changes.changed()).await {
            return;
        }
    }
}

type Job = (&'static str, ObjectKey);

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Instant, Job)>,
    when: HashMap<Job, Instant>,
    seen: HashMap<&'static str, u64>,
}

impl Queue {
    fn fill(&mut self, core: &Core) {
        for (table, _) in KINDS {
            let listing = core.store.list(table, None);
            for s in listing.objects {
                self.add((table, key_of(&s.value)), Instant::now());
            }
            self.seen.insert(table, listing.revision);
        }
    }

    fn add(&mut self, job: Job, at: Instant) {
        if let Some(old) = self.when.get(&job) {
            if *old <= at {
                return;
            }
            self.due.remove(&(*old, job.clone()));
        }
        self.when.insert(job.clone(), at);
        self.due.insert((at, job));
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(t, _)| *t)
    }

    fn has_due(&self) -> bool {
        self.next_due().is_some_and(|t| t <= Instant::now())
    }

    fn behind(&self, core: &Core) -> bool {
        KINDS.iter().any(|(table, _)| {
            let seen = self.seen.get(table).copied().unwrap_or(0);
            core.store.changes_after(table, None, seen, 1).map_or(true, |(c, _)| !c.is_empty())
        })
    }

    fn follow(&mut self, core: &Core) {
        let now = Instant::now();
        for (table, _) in KINDS {
            let seen = self.seen.get(table).copied().unwrap_or(0);
            match core.store.changes_after(table, None, seen, BATCH) {
                Ok((changes, complete)) => {
                    for c in changes {
                        self.add((table, c.key.clone()), now);
                        if *table == "pods" {
                            self.add_interested(core, &c.now.value, now);
                        } else {
                            self.add_owner(&c.now.value, now);
                        }
                    }
                    self.seen.insert(table, complete);
                }
                Err(_) => self.fill(core),
            }
        }
    }

    /// Who has to look when a pod changed: its owner, and the services and budgets that select it.
    fn add_interested(&mut self, core: &Core, pod: &Value, now: Instant) {
        self.add_owner(pod, now);
        let namespace = object::namespace(pod);
        for table in ["services", "poddisruptionbudgets.policy"] {
            for s in core.store.list(table, Some(namespace)).objects {
                let selector = if table == "services" {
                    crate::selectors::LabelSelector::from_map(s.value["spec"].get("selector"))
                } else {
                    crate::selectors::LabelSelector::from_object(s.value["spec"].get("selector"))
                };
                if selector.matches(pod) {
                    self.add((table, key_of(&s.value)), now + DELAY / 2);
                }
            }
        }
    }

    fn add_owner(&mut self, v: &Value, now: Instant) {
        let Some(owner) = writing::controller_of(v) else { return };
        let table = match text(owner, &["kind"]) {
            "Deployment" => "deployments.apps",
            "ReplicaSet" => "replicasets.apps",
            "ReplicationController" => "replicationcontrollers",
            "StatefulSet" => "statefulsets.apps",
            "DaemonSet" => "daemonsets.apps",
            "Job" => "jobs.batch",
            "CronJob" => "cronjobs.batch",
            _ => return,
        };
        self.add((table, ObjectKey::new(object::namespace(v), text(owner, &["name"]))), now);
    }

    fn work(&mut self, core: &Core) {
        for _ in 0..BATCH {
            let Some((at, job)) = self.due.first().cloned() else { return };
            if at > Instant::now() {
                return;
            }
            self.due.remove(&(at, job.clone()));
            self.when.remove(&job);
            let Some(stored) = core.store.get(job.0, &job.1) else { continue };
            let Some((_, reconcile)) = KINDS.iter().find(|(t, _)| *t == job.0) else { continue };
            let item = Item { core, table: job.0, key: &job.1, stored: &stored };
            if let Some(again) = reconcile(&item) {
                self.add(job, Instant::now() + again);
            }
        }
    }
}

fn key_of(v: &Value) -> ObjectKey {
    ObjectKey::new(object::namespace(v), object::name(v))
}
