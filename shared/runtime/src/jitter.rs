//! Spreading of requeue times, so that objects of the same interval do not stay in step.

use rand::Rng;
use std::time::Duration;

/// A share of an interval by which requeue times vary, both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    share: f64,
}

/// A percentage that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the interval jitter percentage must be a non-negative value and less than 100")]
pub struct InvalidPercentage;

impl Jitter {
    /// The jitter of `--interval-jitter-percentage`; 0 turns it off.
    pub fn from_percentage(percentage: i64) -> Result<Self, InvalidPercentage> {
        if !(0..100).contains(&percentage) {
            return Err(InvalidPercentage);
        }
        Ok(Self { share: percentage as f64 / 100.0 })
    }

    /// No jitter.
    pub const NONE: Self = Self { share: 0.0 };

    /// A time between `interval · (1 - p)` and `interval · (1 + p)`.
    pub fn apply(&self, interval: Duration) -> Duration {
        self.apply_with(interval, rand::rng().random::<f64>())
    }

    /// The same with the random number, from 0 to 1, as an argument.
    pub fn apply_with(&self, interval: Duration, random: f64) -> Duration {
        if self.share == 0.0 {
            return interval;
        }
        interval.mul_f64(1.0 + self.share * (2.0 * random - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_0_to_99() {
        for percentage in [0, 5, 99] {
            assert!(Jitter::from_percentage(percentage).is_ok());
        }
        for percentage in [100, -1] {
            assert!(Jitter::from_percentage(percentage).is_err());
        }
    }

    #[test]
    fn varies_both_ways_by_the_percentage() {
        let jitter = Jitter::from_percentage(5).unwrap();
        let interval = Duration::from_secs(100);
        assert_eq!(jitter.apply_with(interval, 0.0), Duration::from_secs(95));
        assert_eq!(jitter.apply_with(interval, 0.5), interval);
        assert_eq!(jitter.apply_with(interval, 1.0), Duration::from_secs(105));
        assert_eq!(Jitter::NONE.apply_with(interval, 0.0), interval);
    }
}
