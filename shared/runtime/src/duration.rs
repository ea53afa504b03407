//! Durations as Go writes them: `1h30m`, `750ms`, `1.5s`.

use fluxide_meta::duration::{DurationError, parse};
use std::{str::FromStr, time::Duration};

/// A duration on the command line, in Go's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GoDuration(pub Duration);

/// Text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not of the form.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("time: unknown unit {1:?} in duration {0:?}")]
    UnknownUnit(String, String),
    /// Negative where only a length of time makes sense.
    #[error("duration {0:?} must not be negative")]
    Negative(String),
}

impl FromStr for GoDuration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let nanoseconds = parse(text)?;
        let nanoseconds = u64::try_from(nanoseconds).map_err(|_| Error::Negative(text.to_owned()))?;
        Ok(Self(Duration::from_nanos(nanoseconds)))
    }
}

impl From<DurationError> for Error {
    fn from(error: DurationError) -> Self {
        match error {
            DurationError::Invalid(text) | DurationError::OutOfRange(text) => Self::Invalid(text),
            DurationError::MissingUnit(text) => Self::MissingUnit(text),
            DurationError::UnknownUnit { unit, text } => Self::UnknownUnit(text, unit),
            DurationError::Negative(text) => Self::Negative(text),
        }
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.0
    }
}

impl std::fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&format(self.0))
    }
}

/// Prints a duration as Go does: `1h0m0s`, `812.5ms`, `1.5s`, `0s`.
pub fn format(duration: Duration) -> String {
    fluxide_meta::Duration::from(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let parse = |text: &str| text.parse::<GoDuration>().map(|d| d.0);
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("750ms"), Ok(Duration::from_millis(750)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse(".5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1.s"), Ok(Duration::from_secs(1)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert_eq!(parse("10µs"), Ok(Duration::from_micros(10)));
        assert_eq!(parse(""), Err(Error::Invalid(String::new())));
        assert_eq!(parse("10"), Err(Error::MissingUnit("10".into())));
        assert_eq!(parse("1d"), Err(Error::UnknownUnit("1d".into(), "d".into())));
        assert_eq!(parse(".s"), Err(Error::Invalid(".s".into())));
        assert_eq!(parse("-1s"), Err(Error::Negative("-1s".into())));
        assert_eq!(parse("99999999999h"), Err(Error::Invalid("99999999999h".into())));
    }

    #[test]
    fn prints_what_go_prints() {
        let print = |nanos| format(Duration::from_nanos(nanos));
        assert_eq!(print(0), "0s");
        assert_eq!(print(7), "7ns");
        assert_eq!(print(1_100), "1.1µs");
        assert_eq!(print(545_175_329), "545.175329ms");
        assert_eq!(print(5_030_000_000), "5.03s");
        assert_eq!(print(600_000_000_000), "10m0s");
        assert_eq!(print(3_600_000_000_000), "1h0m0s");
    }
}
