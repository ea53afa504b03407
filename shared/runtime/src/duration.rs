//! Durations as Go writes them: `1h30m`, `750ms`, `1.5s`.

use fluxide_gotext::{DurationError, parse_duration};
use std::{str::FromStr, time::Duration};

/// A duration on the command line, in Go's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GoDuration(pub Duration);

/// Text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is none of Go's durations.
    #[error(transparent)]
    Syntax(#[from] DurationError),
    /// Negative where only a length of time makes sense.
    #[error("duration {0:?} must not be negative")]
    Negative(String),
}

impl FromStr for GoDuration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let nanoseconds = parse_duration(text.as_bytes())?;
        let nanoseconds = u64::try_from(nanoseconds).map_err(|_| Error::Negative(text.to_owned()))?;
        Ok(Self(Duration::from_nanos(nanoseconds)))
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
    fn reads_what_go_reads_unless_it_is_negative() {
        let parse = |text: &str| text.parse::<GoDuration>().map(|d| d.0);
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("10"), Err(Error::Syntax(DurationError::MissingUnit("10".into()))));
        assert_eq!(parse("-1s"), Err(Error::Negative("-1s".into())));
    }
}
