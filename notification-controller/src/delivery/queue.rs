//! The order in which deliveries go out: plain data, without a clock.
//!
//! Every provider has a queue of its own. In it, what one alert says about one object stays in order
//! and goes one at a time; everything else does not wait for it. So a delivery that is tried again
//! holds up only its successors, and a dead provider only itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use fluxide_runtime::Key;

use super::Delivery;

/// How many deliveries one digest groups.
const DIGEST_LIMIT: usize = 200;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deliveries to one provider.
    pub per_provider: usize,
    /// Bytes of all deliveries.
    pub bytes: usize,
}

/// Deliveries that wait, by provider.
pub struct Queue {
    limits: Limits,
    bytes: usize,
    len: usize,
    providers: HashMap<Key, Provider>,
}

#[derive(Default)]
struct Provider {
    lanes: HashMap<String, Lane>,
    ready: VecDeque<String>,
    waiting: BTreeSet<(i64, String)>,
    by_age: BTreeMap<u64, String>,
}

struct Lane {
    waiting: VecDeque<Waiting>,
    state: State,
}

struct Waiting {
    delivery: Arc<Delivery>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ready,
    Until(i64),
    Busy,
}

/// Deliveries that go out together: one, or those of a digest.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Which lane they are from.
    pub lane: String,
    /// The deliveries, oldest first.
    pub deliveries: Vec<Arc<Delivery>>,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Self { limits, bytes: 0, len: 0, providers: HashMap::new() }
    }

    /// How many deliveries wait or are on their way.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How large they are together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All deliveries that wait or are on their way.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        let lanes = self.providers.values().flat_map(|provider| provider.lanes.values());
        lanes.flat_map(|lane| lane.waiting.iter().map(|waiting| &waiting.delivery))
    }

    /// The providers that something waits for.
    pub fn providers(&self) -> Vec<Key> {
        self.providers.keys().cloned().collect()
    }

    /// Adds a delivery, and returns those that had to make room: the oldest.
    pub fn push(&mut self, delivery: Arc<Delivery>, bytes: usize) -> Vec<Arc<Delivery>> {
        let key = delivery.provider_key();
        let lane_name = delivery.lane();
        let provider = self.providers.entry(key.clone()).or_default();
        let due = delivery.not_before;
        let lane = provider.lanes.entry(lane_name.clone()).or_insert_with(|| {
            if due > 0 {
                provider.waiting.insert((due, lane_name.clone()));
                Lane { waiting: VecDeque::new(), state: State::Until(due) }
            } else {
                provider.ready.push_back(lane_name.clone());
                Lane { waiting: VecDeque::new(), state: State::Ready }
            }
        });
        provider.by_age.insert(delivery.id, lane_name);
        lane.waiting.push_back(Waiting { delivery, bytes });
        self.len += 1;
        self.bytes += bytes;
        let mut dropped = Vec::new();
        while self
            .providers
            .get(&key)
            .is_some_and(|provider| provider.by_age.len() > self.limits.per_provider)
        {
            match self.drop_oldest(&key) {
                Some(delivery) => dropped.push(delivery),
                None => break,
            }
        }
        while self.bytes > self.limits.bytes {
            let fullest = self.providers.iter().max_by_key(|(_, provider)| {
                let oldest = provider.by_age.first_key_value().map(|(id, _)| Reverse(*id));
                (provider.by_age.len(), oldest)
            });
            let Some(fullest) = fullest.map(|(key, _)| key.clone()) else { break };
            match self.drop_oldest(&fullest) {
                Some(delivery) => dropped.push(delivery),
                None => break,
            }
        }
        dropped
    }

    /// The next deliveries to a provider, if any are due. They stay until [`finish`](Self::finish) or
    /// [`retry`](Self::retry).
    pub fn take(&mut self, provider: &Key, now: i64) -> Option<Taken> {
        let provider = self.providers.get_mut(provider)?;
        while let Some((due, _)) = provider.waiting.first() {
            if *due > now {
                break;
            }
            if let Some((_, lane)) = provider.waiting.pop_first() {
                if let Some(found) = provider.lanes.get_mut(&lane) {
                    found.state = State::Ready;
                }
                provider.ready.push_back(lane);
            }
        }
        while let Some(name) = provider.ready.pop_front() {
            let Some(lane) = provider.lanes.get_mut(&name).filter(|lane| lane.state == State::Ready) else {
                continue;
            };
            let Some(first) = lane.waiting.front() else { continue };
            let together = if first.delivery.digest.is_some() { DIGEST_LIMIT } else { 1 };
            lane.state = State::Busy;
            let deliveries = lane.waiting.iter().take(together);
            let deliveries = deliveries.map(|waiting| Arc::clone(&waiting.delivery)).collect();
            return Some(Taken { lane: name, deliveries });
        }
        None
    }

    /// When the next delivery to a provider is due, of those that wait for a time.
    pub fn next_due(&self, provider: &Key) -> Option<i64> {
        self.providers.get(provider)?.waiting.first().map(|(due, _)| *due)
    }

    /// Whether nothing is left for a provider.
    pub fn is_idle(&self, provider: &Key) -> bool {
        self.providers.get(provider).is_none_or(|provider| provider.by_age.is_empty())
    }

    /// Removes deliveries that are done.
    pub fn finish(&mut self, key: &Key, taken: &Taken) {
        let Some(provider) = self.providers.get_mut(key) else { return };
        let Some(lane) = provider.lanes.get_mut(&taken.lane) else { return };
        for done in &taken.deliveries {
            if lane.waiting.front().is_some_and(|waiting| waiting.delivery.id == done.id)
                && let Some(waiting) = lane.waiting.pop_front()
            {
                provider.by_age.remove(&done.id);
                self.bytes -= waiting.bytes;
                self.len -= 1;
            }
        }
        match lane.waiting.front() {
            Some(next) if next.delivery.not_before > 0 => {
                let due = next.delivery.not_before;
                lane.state = State::Until(due);
                provider.waiting.insert((due, taken.lane.clone()));
            }
            Some(_) => {
                lane.state = State::Ready;
                provider.ready.push_back(taken.lane.clone());
            }
            None => {
                provider.lanes.remove(&taken.lane);
                if provider.lanes.is_empty() {
                    self.providers.remove(key);
                }
            }
        }
    }

    /// Puts deliveries back until a time, with their attempts counted. Returns them as they are now.
    pub fn retry(&mut self, key: &Key, taken: &Taken, attempts: u32, until: i64) -> Vec<Arc<Delivery>> {
        let Some(provider) = self.providers.get_mut(key) else { return Vec::new() };
        let Some(lane) = provider.lanes.get_mut(&taken.lane) else { return Vec::new() };
        let mut changed = Vec::new();
        for (waiting, _) in lane.waiting.iter_mut().zip(&taken.deliveries) {
            let delivery = Delivery { attempts, not_before: until, ..waiting.delivery.as_ref().clone() };
            waiting.delivery = Arc::new(delivery);
            changed.push(Arc::clone(&waiting.delivery));
        }
        lane.state = State::Until(until);
        provider.waiting.insert((until, taken.lane.clone()));
        changed
    }

    /// The oldest delivery to a provider that is not on its way.
    fn drop_oldest(&mut self, key: &Key) -> Option<Arc<Delivery>> {
        let provider = self.providers.get_mut(key)?;
        let (id, name) = provider.by_age.iter().find_map(|(id, name)| {
            let lane = provider.lanes.get(name)?;
            let is_first = lane.waiting.front().is_some_and(|first| first.delivery.id == *id);
            (lane.state != State::Busy || !is_first).then(|| (*id, name.clone()))
        })?;
        provider.by_age.remove(&id);
        let lane = provider.lanes.get_mut(&name)?;
        let at = lane.waiting.iter().position(|waiting| waiting.delivery.id == id)?;
        let dropped = lane.waiting.remove(at)?;
        self.bytes -= dropped.bytes;
        self.len -= 1;
        if lane.waiting.is_empty() && lane.state != State::Busy {
            if let State::Until(due) = lane.state {
                provider.waiting.remove(&(due, name.clone()));
            }
            provider.lanes.remove(&name);
            if provider.lanes.is_empty() {
                self.providers.remove(key);
            }
        }
        Some(dropped.delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier::AlertIdentity;

    fn delivery(id: u64, provider: &str, object: &str) -> Delivery {
        let mut event = fluxide_runtime::events::Event::default();
        event.involved_object.name = object.to_owned();
        let alert = AlertIdentity {
            namespace: "n".to_owned(),
            name: "a".to_owned(),
            uid: "u".to_owned(),
            resource_version: String::new(),
        };
        Delivery {
            id,
            alert,
            provider: provider.to_owned(),
            status_id: String::new(),
            event,
            accepted: 0,
            attempts: 0,
            not_before: 0,
            digest: None,
        }
    }

    fn queue() -> Queue {
        Queue::new(Limits { per_provider: 3, bytes: 100 })
    }

    fn ids(taken: Option<Taken>) -> Vec<u64> {
        taken.map(|taken| taken.deliveries.iter().map(|d| d.id).collect()).unwrap_or_default()
    }

    #[test]
    fn objects_keep_their_order_and_do_not_wait_for_each_other() {
        let (mut queue, p) = (queue(), Key::new("n", "p"));
        for (id, object) in [(1, "x"), (2, "x"), (3, "y")] {
            assert!(queue.push(Arc::new(delivery(id, "p", object)), 1).is_empty());
        }
        let x = queue.take(&p, 0).unwrap();
        let y = queue.take(&p, 0).unwrap();
        assert_eq!((x.deliveries[0].id, y.deliveries[0].id), (1, 3));
        assert!(queue.take(&p, 0).is_none());
        queue.retry(&p, &x, 1, 50);
        queue.finish(&p, &y);
        assert!(queue.take(&p, 49).is_none());
        assert_eq!(queue.next_due(&p), Some(50));
        let again = queue.take(&p, 50).unwrap();
        assert_eq!((again.deliveries[0].id, again.deliveries[0].attempts), (1, 1));
        queue.finish(&p, &again);
        let last = queue.take(&p, 50).unwrap();
        assert_eq!(last.deliveries[0].id, 2);
        queue.finish(&p, &last);
        assert!(queue.is_idle(&p) && queue.len() == 0 && queue.bytes() == 0 && queue.providers().is_empty());
    }

    #[test]
    fn the_oldest_makes_room_unless_it_is_on_its_way() {
        let (mut queue, p) = (queue(), Key::new("n", "p"));
        queue.push(Arc::new(delivery(1, "p", "x")), 1);
        let busy = queue.take(&p, 0).unwrap();
        for id in 2..=3 {
            queue.push(Arc::new(delivery(id, "p", "y")), 1);
        }
        let dropped = queue.push(Arc::new(delivery(4, "p", "x")), 1);
        assert_eq!(dropped.iter().map(|d| d.id).collect::<Vec<_>>(), [2]);
        let dropped = queue.push(Arc::new(delivery(5, "q", "x")), 97);
        assert_eq!(dropped.len(), 0);
        let dropped = queue.push(Arc::new(delivery(6, "q", "y")), 2);
        assert_eq!(dropped.iter().map(|d| d.id).collect::<Vec<_>>(), [3, 4]);
        queue.finish(&p, &busy);
        assert!(queue.is_idle(&p));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_digest_takes_all_that_came_in_its_window() {
        let (mut queue, p) = (queue(), Key::new("n", "p"));
        for (id, object) in [(1, "x"), (2, "y")] {
            let digest = Delivery { digest: Some(30), not_before: 30, ..delivery(id, "p", object) };
            queue.push(Arc::new(digest), 1);
        }
        assert!(queue.take(&p, 29).is_none());
        assert_eq!(ids(queue.take(&p, 30)), [1, 2]);
    }
}
