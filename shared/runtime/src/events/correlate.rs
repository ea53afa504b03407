//! What becomes of an event on its way to Kubernetes: a new Event, a higher count, or nothing.
//!
//! The rules of client-go: an event seen before raises its count; more than ten similar ones in ten
//! minutes are combined; each object has 25 events, and one more every five minutes.

use super::Event;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

const COMBINED_PREFIX: &str = "(combined from similar events): ";
const SIMILAR_LIMIT: usize = 10;
const SIMILAR_INTERVAL: Duration = Duration::from_secs(600);
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
const CAPACITY: usize = 4096;

/// What to do with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Create an Event with this message, and [`Correlator::created`] with the key.
    Create {
        /// The key of later repetitions.
        key: String,
        /// The message.
        message: String,
    },
    /// Raise the count of an Event.
    Count {
        /// The key of the repetition.
        key: String,
        /// The Event's name.
        name: String,
        /// The new count.
        count: i32,
        /// The message.
        message: String,
    },
    /// The object has had too many events.
    Drop,
}

/// The memory of past events.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    similar: HashMap<String, Similar>,
    seen: HashMap<String, Seen>,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Similar {
    messages: HashSet<String>,
    last: Instant,
}

#[derive(Debug)]
struct Seen {
    name: Option<String>,
    count: i32,
    last: Instant,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    last: Instant,
}

impl Correlator {
    /// Decides about an event.
    pub(super) fn correlate(&mut self, event: &Event, kind: &str, now: Instant) -> Action {
        let object = &event.involved_object;
        let source = format!(
            "{}\n{}\n{}\n{}\n{}",
            object.api_version, object.kind, object.namespace, object.name, object.uid
        );
        let similar_key = format!("{source}\n{kind}\n{}", event.reason);
        let combined = self.combine(&similar_key, &event.message, now);
        let (key, message) = if combined {
            (similar_key, format!("{COMBINED_PREFIX}{}", event.message))
        } else {
            (format!("{similar_key}\n{}", event.message), event.message.clone())
        };
        if !self.spend(source, now) {
            return Action::Drop;
        }
        match self.seen.get_mut(&key) {
            Some(seen) if seen.name.is_some() => {
                seen.count += 1;
                seen.last = now;
                Action::Count { name: seen.name.clone().unwrap_or_default(), count: seen.count, key, message }
            }
            _ => Action::Create { key, message },
        }
    }

    /// Remembers the Event that was created for a key.
    pub(super) fn created(&mut self, key: String, name: String, now: Instant) {
        evict(&mut self.seen, |seen| seen.last);
        let seen = Seen { name: Some(name), count: 1, last: now };
        self.seen.insert(key, seen);
    }

    /// Forgets an Event that is gone.
    pub(super) fn forget(&mut self, key: &str) {
        self.seen.remove(key);
    }

    fn combine(&mut self, key: &str, message: &str, now: Instant) -> bool {
        if !self.similar.contains_key(key) {
            evict(&mut self.similar, |similar| similar.last);
        }
        let similar = self
            .similar
            .entry(key.to_owned())
            .or_insert_with(|| Similar { messages: HashSet::new(), last: now });
        if now.saturating_duration_since(similar.last) > SIMILAR_INTERVAL {
            similar.messages.clear();
        }
        similar.last = now;
        if similar.messages.contains(message) || similar.messages.len() + 1 < SIMILAR_LIMIT {
            similar.messages.insert(message.to_owned());
            return similar.messages.len() >= SIMILAR_LIMIT;
        }
        true
    }

    fn spend(&mut self, source: String, now: Instant) -> bool {
        if !self.buckets.contains_key(&source) {
            evict(&mut self.buckets, |bucket| bucket.last);
        }
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: BURST, last: now });
        let refill = now.saturating_duration_since(bucket.last).as_secs_f64() / REFILL.as_secs_f64();
        bucket.tokens = (bucket.tokens + refill).min(BURST);
        bucket.last = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

/// Makes room: a full map loses the quarter that was used longest ago.
fn evict<T>(map: &mut HashMap<String, T>, last: impl Fn(&T) -> Instant) {
    if map.len() < CAPACITY {
        return;
    }
    let mut times: Vec<Instant> = map.values().map(&last).collect();
    times.sort_unstable();
    let limit = times[times.len() / 4];
    map.retain(|_, value| last(value) > limit);
}

#[cfg(test)]
mod tests {
    use super::super::InvolvedObject;
    use super::*;
    use std::collections::BTreeMap;

    fn event(name: &str, message: &str) -> Event {
        Event {
            involved_object: InvolvedObject { name: name.into(), ..InvolvedObject::default() },
            severity: "info".into(),
            timestamp: String::new(),
            message: message.into(),
            reason: "Progressing".into(),
            metadata: BTreeMap::new(),
            reporting_controller: "test".into(),
            reporting_instance: String::new(),
        }
    }

    fn create(correlator: &mut Correlator, event: &Event, now: Instant) -> String {
        match correlator.correlate(event, "Normal", now) {
            Action::Create { key, message } => {
                correlator.created(key, "name".into(), now);
                message
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_repetition_raises_the_count() {
        let mut correlator = Correlator::default();
        let now = Instant::now();
        create(&mut correlator, &event("a", "x"), now);
        for expected in [2, 3] {
            match correlator.correlate(&event("a", "x"), "Normal", now) {
                Action::Count { count, name, .. } => {
                    assert_eq!((count, name.as_str()), (expected, "name"));
                }
                other => panic!("{other:?}"),
            }
        }
        create(&mut correlator, &event("a", "y"), now);
        create(&mut correlator, &event("b", "x"), now);
    }

    #[test]
    fn the_tenth_similar_event_is_combined() {
        let mut correlator = Correlator::default();
        let now = Instant::now();
        for n in 0..9 {
            let text = n.to_string();
            assert_eq!(create(&mut correlator, &event("a", &text), now), text);
        }
        let combined = create(&mut correlator, &event("a", "nine"), now);
        assert_eq!(combined, "(combined from similar events): nine");
        let later = now + SIMILAR_INTERVAL + Duration::from_secs(1);
        assert_eq!(create(&mut correlator, &event("a", "ten"), later), "ten");
    }

    #[test]
    fn an_object_has_25_events_and_one_more_every_5_minutes() {
        let mut correlator = Correlator::default();
        let now = Instant::now();
        for _ in 0..25 {
            assert_ne!(correlator.correlate(&event("a", "x"), "Normal", now), Action::Drop);
        }
        let spent = correlator.correlate(&event("a", "x"), "Normal", now);
        assert_eq!(spent, Action::Drop);
        let later = now + REFILL;
        let refilled = correlator.correlate(&event("a", "x"), "Normal", later);
        assert_ne!(refilled, Action::Drop);
        assert_ne!(correlator.correlate(&event("b", "x"), "Normal", now), Action::Drop);
    }
}
