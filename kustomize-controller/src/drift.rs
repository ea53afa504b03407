//! Live drift correction: a Kustomization becomes due as soon as one of its objects is not as it was
//! applied any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fluxide_apply::ObjectId;
use fluxide_apply::live::{Changed, Live};
use fluxide_runtime::{CancellationToken, Key, Trigger};
use tokio::sync::mpsc;

use crate::reconciler::Memories;

/// How long changes are gathered: a pass of our own writes many objects at once.
const GATHER: Duration = Duration::from_millis(100);

/// Changes of objects by the Kustomization that they belong to: only the last one of each counts.
type Pending = HashMap<Key, HashMap<ObjectId, Changed>>;

/// What tells drift from our own writes.
pub struct DriftWatch {
    changes: mpsc::UnboundedReceiver<Changed>,
    memories: Arc<Memories>,
    trigger: Trigger,
}

impl DriftWatch {
    /// Live knowledge of applied objects, and the task that makes Kustomizations due by it.
    pub fn new(memories: Arc<Memories>, trigger: Trigger) -> (Live, Self) {
        let (sender, changes) = mpsc::unbounded_channel();
        let live = Live::new(memories.marks().clone(), move |changed| {
            // Without a receiver the process is about to end.
            let _ = sender.send(changed);
        });
        (live, Self { changes, memories, trigger })
    }

    /// Makes Kustomizations due until stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pending = Pending::new();
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => return,
                changed = self.changes.recv(), if pending.is_empty() => changed,
                () = std::future::ready(()), if !pending.is_empty() => None,
            };
            if first.is_none() && pending.is_empty() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(GATHER) => {}
            }
            for changed in first.into_iter().chain(std::iter::from_fn(|| self.changes.try_recv().ok())) {
                let key = Key::new(&*changed.owner_namespace, &*changed.owner_name);
                pending.entry(key).or_default().insert(changed.id.clone(), changed);
            }
            pending.retain(|key, changes| !self.settle(key, changes));
        }
    }

    /// Decides about the changes of one Kustomization, unless it is being worked on: those may be
    /// its own.
    fn settle(&self, key: &Key, changes: &HashMap<ObjectId, Changed>) -> bool {
        if self.memories.is_running(key) {
            return false;
        }
        if let Some(memory) = self.memories.known(key) {
            let has_drifted = |changed: &Changed| match &changed.state {
                Some(state) => memory.knows(&changed.id) && !memory.is_as_applied(&changed.id, state),
                None => memory.knows(&changed.id),
            };
            if let Some(drifted) = changes.values().find(|changed| has_drifted(changed)) {
                tracing::info!(
                    name = key.name,
                    namespace = key.namespace,
                    "{} has drifted, correcting it",
                    drifted.id.subject()
                );
                self.trigger.fire(key.clone());
            }
        }
        true
    }
}
