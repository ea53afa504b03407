//! The work queue of one kind: deduplicated, prioritised, with delays and per-object backoff.
//!
//! An object is in the queue at most once and never worked on twice at a time; if it becomes due
//! while it is being worked on it is queued once more afterwards, and the running pass is told.
//! [`Schedule`] is the plain data with the time as an argument; [`Queue`] adds waiting.

use crate::key::{Cause, Key};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// Priority of objects found by the initial list, so that fresh edits overtake them.
pub const INITIAL_LIST_PRIORITY: i32 = -100;

/// How the waiting time of a failing object grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub min: Duration,
    /// At most.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(750), max: Duration::from_secs(15 * 60) }
    }
}

impl Backoff {
    /// The delay after a number of earlier failures: `min · 2^failures`, at most `max`.
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 2f64.powi(failures.min(64) as i32);
        let seconds = self.min.as_secs_f64() * factor;
        if seconds >= self.max.as_secs_f64() { self.max } else { Duration::from_secs_f64(seconds) }
    }
}

/// What a queue counts; the metrics of `workqueue_*`.
pub trait Observer: Send + Sync + 'static {
    /// An object was added.
    fn added(&self) {}
    /// An object was added again after a failure or with a delay.
    fn retried(&self) {}
    /// An object left the queue after waiting this long since it was due.
    fn taken(&self, _waited: Duration) {}
    /// A pass took this long.
    fn finished(&self, _took: Duration) {}
    /// The number of objects that are due, by priority, changed.
    fn depth(&self, _priority: i32, _depth: usize) {}
}

/// An observer of nothing.
impl Observer for () {}

/// The queue's state, without clock and waiting.
#[derive(Debug, Default)]
pub struct Schedule {
    backoff: Backoff,
    entries: HashMap<Key, Entry>,
    due: BTreeSet<(Reverse<i32>, u64, Key)>,
    depth: BTreeMap<i32, usize>,
    delayed: BTreeMap<(Instant, u64), Key>,
    running: HashMap<Key, Running>,
    failures: HashMap<Key, u32>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    priority: i32,
    sequence: u64,
    /// When it becomes due; `None` when it already is.
    at: Option<Instant>,
    since: Instant,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    interrupt: watch::Sender<Option<Cause>>,
    /// Due again: with which priority, and when.
    again: Option<(i32, Option<Instant>)>,
}

/// An object taken from the queue.
#[derive(Debug)]
pub struct Taken {
    /// Which object.
    pub key: Key,
    /// Its priority.
    pub priority: i32,
    /// How long it had been due.
    pub waited: Duration,
    /// Says when the object becomes due again while it is worked on.
    pub interrupted: watch::Receiver<Option<Cause>>,
}

impl Schedule {
    /// An empty schedule.
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, ..Self::default() }
    }

    /// Makes an object due now. Returns whether it was not due already.
    pub fn add(&mut self, key: Key, priority: i32, cause: Option<Cause>, now: Instant) -> bool {
        if let Some(running) = self.running.get_mut(&key) {
            let fresh = !matches!(running.again, Some((_, None)));
            let priority = running.again.map_or(priority, |(other, _)| priority.max(other));
            running.again = Some((priority, None));
            if let Some(cause) = cause {
                running.interrupt.send_replace(Some(cause));
            }
            return fresh;
        }
        self.insert(key, priority, None, now)
    }

    /// Makes an object due after a delay, unless it is due earlier anyway.
    pub fn add_after(&mut self, key: Key, priority: i32, delay: Duration, now: Instant) -> bool {
        let at = now + delay;
        if let Some(running) = self.running.get_mut(&key) {
            let earlier = match running.again {
                None => true,
                Some((_, None)) => false,
                Some((_, Some(other))) => at < other,
            };
            if earlier {
                running.again = Some((priority, Some(at)));
            }
            return earlier;
        }
        self.insert(key, priority, Some(at), now)
    }

    /// Makes an object due after the backoff of its next failure. Returns the delay.
    pub fn add_failed(&mut self, key: Key, priority: i32, now: Instant) -> Duration {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        let delay = self.backoff.delay(*failures);
        *failures = failures.saturating_add(1);
        self.add_after(key, priority, delay, now);
        delay
    }

    /// Forgets the failures of an object.
    pub fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// Takes the most urgent object that is due.
    pub fn take(&mut self, now: Instant) -> Option<Taken> {
        self.promote(now);
        let (Reverse(priority), _, key) = self.due.pop_first()?;
        self.count(priority, -1);
        let entry = self.entries.remove(&key)?;
        let (interrupt, interrupted) = watch::channel(None);
        let running = Running { since: now, interrupt, again: None };
        self.running.insert(key.clone(), running);
        Some(Taken {
            key,
            priority: entry.priority,
            waited: now.saturating_duration_since(entry.since),
            interrupted,
        })
    }

    /// Ends the pass of an object; it is queued again if it became due meanwhile. Returns how long
    /// the pass took.
    pub fn done(&mut self, key: &Key, now: Instant) -> Duration {
        let Some(running) = self.running.remove(key) else {
            return Duration::ZERO;
        };
        if let Some((priority, at)) = running.again {
            self.insert(key.clone(), priority, at, now);
        }
        now.saturating_duration_since(running.since)
    }

    /// When the next delayed object becomes due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    /// How many objects are due, by priority; a priority once seen stays, with 0.
    pub fn depth(&self) -> &BTreeMap<i32, usize> {
        &self.depth
    }

    /// Whether nothing is due or running; delayed objects do not count.
    pub fn is_idle(&self) -> bool {
        self.due.is_empty() && self.running.is_empty()
    }

    /// Since when each running pass has been running.
    pub fn running_since(&self) -> impl Iterator<Item = Instant> + '_ {
        self.running.values().map(|running| running.since)
    }

    /// Removes an object that no longer exists.
    pub fn remove(&mut self, key: &Key) {
        self.failures.remove(key);
        if let Some(entry) = self.entries.remove(key) {
            self.unlink(key, &entry);
        }
    }

    fn insert(&mut self, key: Key, priority: i32, at: Option<Instant>, now: Instant) -> bool {
        let mut entry = Entry { priority, sequence: self.sequence, at, since: at.unwrap_or(now) };
        let mut fresh = true;
        if let Some(before) = self.entries.remove(&key) {
            self.unlink(&key, &before);
            fresh = before.at.is_some() && at.is_none();
            entry.priority = priority.max(before.priority);
            if before.at.is_none() || at.is_some_and(|at| before.at.is_some_and(|b| b <= at)) {
                entry.at = before.at;
                entry.since = before.since;
            }
            if entry.priority == before.priority && before.at == entry.at {
                entry.sequence = before.sequence;
            }
        }
        self.sequence += 1;
        match entry.at {
            None => {
                self.due.insert((Reverse(entry.priority), entry.sequence, key.clone()));
                self.count(entry.priority, 1);
            }
            Some(at) => {
                self.delayed.insert((at, entry.sequence), key.clone());
            }
        }
        self.entries.insert(key, entry);
        fresh
    }

    fn unlink(&mut self, key: &Key, entry: &Entry) {
        match entry.at {
            None => {
                self.due.remove(&(Reverse(entry.priority), entry.sequence, key.clone()));
                self.count(entry.priority, -1);
            }
            Some(at) => {
                self.delayed.remove(&(at, entry.sequence));
            }
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((at, sequence), key) = first.remove_entry();
            if let Some(entry) = self.entries.get_mut(&key) {
                let priority = entry.priority;
                entry.at = None;
                entry.since = at;
                self.due.insert((Reverse(priority), sequence, key));
                self.count(priority, 1);
            }
        }
    }

    fn count(&mut self, priority: i32, change: isize) {
        let depth = self.depth.entry(priority).or_insert(0);
        *depth = depth.saturating_add_signed(change);
    }
}

/// A [`Schedule`] shared by the watches that fill it and the workers that empty it.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    observer: Box<dyn Observer>,
}

struct State {
    schedule: Schedule,
    closed: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(backoff: Backoff, observer: impl Observer) -> Self {
        let state = State { schedule: Schedule::new(backoff), closed: false };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Notify::new(),
                observer: Box::new(observer),
            }),
        }
    }

    /// Makes an object due now; a running pass of it learns the cause.
    pub fn add(&self, key: Key, priority: i32, cause: Option<Cause>) {
        if self.change(|schedule, now| schedule.add(key, priority, cause, now)) {
            self.shared.observer.added();
        }
    }

    /// Makes an object due after a delay.
    pub fn add_after(&self, key: Key, priority: i32, delay: Duration) {
        if self.change(|schedule, now| schedule.add_after(key, priority, delay, now)) {
            self.shared.observer.added();
        }
        self.shared.observer.retried();
    }

    /// Makes an object due after the backoff of its next failure. Returns the delay.
    pub fn add_failed(&self, key: Key, priority: i32) -> Duration {
        let delay = self.change(|schedule, now| schedule.add_failed(key, priority, now));
        self.shared.observer.added();
        self.shared.observer.retried();
        delay
    }

    /// Forgets the failures of an object.
    pub fn forget(&self, key: &Key) {
        self.change(|schedule, _| schedule.forget(key));
    }

    /// Forgets everything about an object that no longer exists.
    pub fn remove(&self, key: &Key) {
        self.change(|schedule, _| schedule.remove(key));
    }

    /// Waits for the next object; `None` once the queue is closed.
    pub async fn take(&self) -> Option<Taken> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next_due = {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                let taken = state.schedule.take(Instant::now());
                self.observe_depth(&state);
                if let Some(taken) = taken {
                    drop(state);
                    self.shared.changed.notify_one();
                    self.shared.observer.taken(taken.waited);
                    return Some(taken);
                }
                state.schedule.next_due()
            };
            match next_due {
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at.into()) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Ends the pass of an object.
    pub fn done(&self, key: &Key) {
        let took = self.change(|schedule, now| schedule.done(key, now));
        self.shared.observer.finished(took);
    }

    /// Ends all [`take`](Self::take) calls, now and later.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.changed.notify_waiters();
        self.shared.changed.notify_one();
    }

    /// The sum of the times running passes have taken so far, and the longest of them.
    pub fn unfinished(&self) -> (Duration, Duration) {
        let now = Instant::now();
        let state = self.lock();
        let times = state.schedule.running_since().map(|since| now.saturating_duration_since(since));
        times.fold((Duration::ZERO, Duration::ZERO), |(sum, longest), time| (sum + time, longest.max(time)))
    }

    /// Whether nothing is due or running; delayed objects do not count.
    pub fn is_idle(&self) -> bool {
        self.lock().schedule.is_idle()
    }

    fn change<T>(&self, f: impl FnOnce(&mut Schedule, Instant) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state.schedule, Instant::now());
        self.observe_depth(&state);
        drop(state);
        self.shared.changed.notify_one();
        result
    }

    fn observe_depth(&self, state: &State) {
        for (priority, count) in state.schedule.depth() {
            self.shared.observer.depth(*priority, *count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
