//! Durations as Go writes them: `1h30m`, `1.5s`, `750ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time;

use fluxide_gotext::{format_duration, parse_duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration as it was written.
///
/// The text is kept, so that an object read and written back is unchanged, and parsed when asked
/// for: an unparsable value is the problem of one object, not of the list it came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(String);

/// Why a text is not a duration that can be waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is none of Go's durations.
    #[error(transparent)]
    Syntax(#[from] fluxide_gotext::DurationError),
    /// The value is below zero where that has no meaning.
    #[error("duration {0:?} is negative")]
    Negative(String),
}

impl Duration {
    /// Keeps `text` as it is, without checking it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A duration of whole seconds.
    pub fn from_secs(seconds: u64) -> Self {
        time::Duration::from_secs(seconds).into()
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value; an error when the text is no duration or negative.
    pub fn to_std(&self) -> Result<time::Duration, DurationError> {
        let nanoseconds = parse_duration(self.0.as_bytes())?;
        u64::try_from(nanoseconds)
            .map(time::Duration::from_nanos)
            .map_err(|_| DurationError::Negative(self.0.clone()))
    }

    /// The value, or `fallback` when the text is not a duration.
    ///
    /// For fields whose form the API server checks.
    pub fn to_std_or(&self, fallback: time::Duration) -> time::Duration {
        self.to_std().unwrap_or(fallback)
    }
}

/// Keeps the text, and refuses one that is not a duration.
impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse_duration(text.as_bytes())?;
        Ok(Self(text.to_owned()))
    }
}

/// Prints the duration the way Go does (`1m0s`, `2.818583s`, `1.5ms`).
impl From<time::Duration> for Duration {
    fn from(value: time::Duration) -> Self {
        Self(format_duration(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_cannot_be_waited_for() {
        assert_eq!("x".parse::<Duration>().unwrap_err().to_string(), r#"time: invalid duration "x""#);
        assert!(matches!(Duration::new("-1s").to_std(), Err(DurationError::Negative(_))));
        assert!(matches!(Duration::new("1d").to_std(), Err(DurationError::Syntax(_))));
        assert_eq!(Duration::new("1d").to_std_or(time::Duration::ZERO), time::Duration::ZERO);
        assert_eq!(Duration::from_secs(5400).as_str(), "1h30m0s");
    }

    #[test]
    fn keeps_the_text_it_was_read_from() {
        let duration: Duration = serde_json::from_str("\"60m\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"60m\"");
        assert_eq!(duration.to_std().unwrap(), time::Duration::from_secs(3600));
    }
}
