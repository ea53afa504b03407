//! The last changes of one table, for watches that start in the past and lists of the past.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ObjectKey, Stored, TooOld};

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Change {
    pub kind: ChangeKind,
    pub key: ObjectKey,
    /// The new state; for a deletion the last one.
    pub now: Arc<Stored>,
    pub before: Option<Arc<Stored>>,
}

impl Change {
    pub fn written(key: ObjectKey, now: Arc<Stored>, before: Option<Arc<Stored>>) -> Self {
        let kind = if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        Change { kind, key, now, before }
    }

    pub fn deleted(key: ObjectKey, now: Arc<Stored>, before: Arc<Stored>) -> Self {
        Change { kind: ChangeKind::Deleted, key, now, before: Some(before) }
    }

    pub fn revision(&self) -> u64 {
        self.now.revision
    }
}

/// Older changes go before there are too many: every client had time to see them.
const LONG_AGO: Duration = Duration::from_secs(5 * 60);
/// So many stay however old they are.
const FEW: usize = 200;

/// Changes in the order of their revisions, with when they came; those up to `forgotten` are gone.
pub(super) struct History {
    changes: VecDeque<(Instant, Arc<Change>)>,
    forgotten: u64,
}

impl History {
    pub fn starting_at(revision: u64) -> Self {
        History { changes: VecDeque::new(), forgotten: revision }
    }

    pub fn push(&mut self, change: Change, limit: usize) {
        let now = Instant::now();
        self.changes.push_back((now, Arc::new(change)));
        let is_old = |(came, _): &(Instant, Arc<Change>)| now.duration_since(*came) > LONG_AGO;
        while self.changes.len() > limit
            || self.changes.len() > FEW && self.changes.front().is_some_and(is_old)
        {
            if let Some((_, c)) = self.changes.pop_front() {
                self.forgotten = c.revision();
            }
        }
    }

    pub fn forget_to(&mut self, revision: u64) {
        self.forgotten = self.forgotten.max(revision);
        while self.changes.front().is_some_and(|(_, c)| c.revision() <= revision) {
            self.changes.pop_front();
        }
    }

    /// The changes after `revision`.
    pub fn after(&self, revision: u64) -> Result<impl Iterator<Item = &Arc<Change>>, TooOld> {
        if revision < self.forgotten {
            return Err(TooOld { oldest: self.forgotten });
        }
        let start = self.changes.partition_point(|(_, c)| c.revision() <= revision);
        Ok(self.changes.range(start..).map(|(_, c)| c))
    }

    /// The objects as they were at `revision`: the present with the later changes undone.
    pub fn rewind(
        &self,
        present: &BTreeMap<ObjectKey, Arc<Stored>>,
        revision: u64,
    ) -> Result<BTreeMap<ObjectKey, Arc<Stored>>, TooOld> {
        if revision < self.forgotten {
            return Err(TooOld { oldest: self.forgotten });
        }
        let mut objects = present.clone();
        let changes = self.changes.iter().map(|(_, c)| c);
        for c in changes.rev().take_while(|c| c.revision() > revision) {
            match &c.before {
                Some(b) => objects.insert(c.key.clone(), b.clone()),
                None => objects.remove(&c.key),
            };
        }
        Ok(objects)
    }
}
