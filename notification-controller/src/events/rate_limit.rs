//! One event of a kind per interval.
//!
//! The windows are fixed: they begin with the first event and follow one another, whenever the next
//! event comes.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How many kinds of events are remembered.
const CAPACITY: usize = 200_000;

/// What a limiter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the event is the first in its window.
    pub first: bool,
    /// When the window ends.
    pub reset: Timestamp,
}

/// Remembers which events came when.
pub struct RateLimit {
    interval: Duration,
    seen: HashMap<[u8; 32], Seen>,
    swept: Timestamp,
}

struct Seen {
    anchor: Timestamp,
    window: u64,
}

impl RateLimit {
    /// A limiter with an interval; one of nothing counts as a second.
    pub fn new(interval: Duration, now: Timestamp) -> Self {
        let interval = if interval.is_zero() { Duration::from_secs(1) } else { interval };
        Self { interval, seen: HashMap::new(), swept: now }
    }

    /// Counts an event.
    pub fn take(&mut self, identity: [u8; 32], now: Timestamp) -> Verdict {
        self.sweep(now);
        let interval = self.interval;
        let mut first = false;
        let seen = self.seen.entry(identity).or_insert_with(|| {
            first = true;
            Seen { anchor: now, window: 0 }
        });
        let window = window(seen.anchor, now, interval);
        if window > seen.window {
            seen.window = window;
            first = true;
        }
        let windows = u32::try_from(seen.window + 1).unwrap_or(u32::MAX);
        let until = SignedDuration::try_from(interval.saturating_mul(windows)).unwrap_or(SignedDuration::MAX);
        Verdict { first, reset: seen.anchor.checked_add(until).unwrap_or(now) }
    }

    fn sweep(&mut self, now: Timestamp) {
        let due = elapsed(self.swept, now) >= self.interval;
        if !due && self.seen.len() < CAPACITY {
            return;
        }
        self.swept = now;
        let interval = self.interval;
        self.seen.retain(|_, seen| window(seen.anchor, now, interval) <= seen.window + 2);
        if self.seen.len() >= CAPACITY {
            self.seen.clear();
        }
    }
}

fn window(anchor: Timestamp, now: Timestamp, interval: Duration) -> u64 {
    u64::try_from(elapsed(anchor, now).as_nanos() / interval.as_nanos()).unwrap_or(u64::MAX)
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_one_another_from_the_first_event_on() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let mut limit = RateLimit::new(Duration::from_secs(300), start);
        let mut passes = |key, seconds| limit.take([key; 32], at(seconds)).first;
        assert!(passes(1, 0));
        assert!(!passes(1, 299));
        assert!(passes(1, 360));
        assert!(!passes(1, 599));
        assert!(passes(1, 601));
        assert!(passes(2, 602));
        assert!(!passes(2, 603));
        assert!(passes(1, 10_000));
        assert_eq!(limit.take([3; 32], at(20_000)).reset, at(20_300));
        assert_eq!(limit.take([3; 32], at(20_310)).reset, at(20_600));
    }

    #[test]
    fn memory_is_bounded() {
        let mut limit = RateLimit::new(Duration::from_secs(1), Timestamp::UNIX_EPOCH);
        for number in 0..(CAPACITY as u64 + 10) {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            limit.take(key, Timestamp::UNIX_EPOCH);
        }
        assert!(limit.seen.len() <= CAPACITY);
    }
}
