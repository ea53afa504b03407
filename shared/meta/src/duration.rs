//! Durations as Go writes them: `1h30m`, `1.5s`, `750ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration as it was written.
///
/// The text is kept, so that an object read and written back is unchanged, and parsed when asked
/// for: an unparsable value is the problem of one object, not of the list it came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(String);

/// Why a text is not a duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text does not have the form of a duration.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit is none of ns, us, ms, s, m, h.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// The value does not fit.
    #[error("time: invalid duration {0:?}")]
    OutOfRange(String),
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
        let nanoseconds = parse(&self.0)?;
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
        parse(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// Prints the duration the way Go does (`1m0s`, `2.818583s`, `1.5ms`).
impl From<time::Duration> for Duration {
    fn from(value: time::Duration) -> Self {
        Self(format(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX)))
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

/// Parses a Go duration into nanoseconds.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let out_of_range = || DurationError::OutOfRange(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let whole_end = digits_end(rest);
        let whole_text = &rest[..whole_end];
        rest = &rest[whole_end..];
        let mut fraction_text = "";
        if let Some(after_point) = rest.strip_prefix('.') {
            let end = digits_end(after_point);
            fraction_text = &after_point[..end];
            rest = &after_point[end..];
        }
        if whole_text.is_empty() && fraction_text.is_empty() {
            return Err(invalid());
        }
        let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = &rest[..unit_end];
        rest = &rest[unit_end..];
        let scale = match unit {
            "" => return Err(DurationError::MissingUnit(text.to_owned())),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            }
        };
        let whole: u64 =
            if whole_text.is_empty() { 0 } else { whole_text.parse().map_err(|_| out_of_range())? };
        let value = whole
            .checked_mul(scale)
            .and_then(|value| value.checked_add(fraction(fraction_text, scale)))
            .ok_or_else(out_of_range)?;
        total = total.checked_add(value).ok_or_else(out_of_range)?;
    }
    if negative {
        return 0i64.checked_sub_unsigned(total).ok_or_else(out_of_range);
    }
    i64::try_from(total).map_err(|_| out_of_range())
}

fn digits_end(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())
}

/// The part of `scale` that the decimal digits after the point make; digits below one nanosecond
/// are dropped.
fn fraction(digits: &str, scale: u64) -> u64 {
    let mut value = 0u128;
    let mut unit = 1u128;
    for digit in digits.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        unit *= 10;
    }
    u64::try_from(value * u128::from(scale) / unit).unwrap_or(u64::MAX)
}

fn format(nanoseconds: u64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < 1_000 {
        return format!("{nanoseconds}ns");
    }
    if nanoseconds < 1_000_000 {
        return format!("{}µs", decimal(nanoseconds, 1_000));
    }
    if nanoseconds < 1_000_000_000 {
        return format!("{}ms", decimal(nanoseconds, 1_000_000));
    }
    let minutes = nanoseconds / 60_000_000_000;
    let seconds = decimal(nanoseconds % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` with no more decimals than needed.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> i64 {
        parse(text).unwrap()
    }

    #[test]
    fn parses_what_go_parses() {
        assert_eq!(nanos("1h30m"), 5_400_000_000_000);
        assert_eq!(nanos("1.5s"), 1_500_000_000);
        assert_eq!(nanos("750ms"), 750_000_000);
        assert_eq!(nanos("0"), 0);
        assert_eq!(nanos("-1m"), -60_000_000_000);
        assert_eq!(nanos(".5h"), 1_800_000_000_000);
        assert_eq!(nanos("1.h"), 3_600_000_000_000);
        assert_eq!(nanos("3µs2us1ns"), 5_001);
        assert_eq!(nanos("0.3333333333333333333h"), 1_200_000_000_000 - 1);
        assert_eq!(nanos("9223372036854775807ns"), i64::MAX);
        assert_eq!(nanos("-9223372036854775808ns"), i64::MIN);
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in ["", "-", "s", ".", ".s", "1 s", "abc", "+-1s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse("10"), Err(DurationError::MissingUnit("10".into())));
        assert_eq!(parse("1x").unwrap_err().to_string(), r#"time: unknown unit "x" in duration "1x""#);
        assert_eq!("x".parse::<Duration>().unwrap_err().to_string(), r#"time: invalid duration "x""#);
        assert!(matches!(parse("1d"), Err(DurationError::UnknownUnit { .. })));
        assert!(matches!(parse("9999999h"), Err(DurationError::OutOfRange(_))));
        assert!(matches!(parse("99999999999999999999s"), Err(DurationError::OutOfRange(_))));
        assert!(matches!(parse("9223372036854775808ns"), Err(DurationError::OutOfRange(_))));
        assert!(matches!(Duration::new("-1s").to_std(), Err(DurationError::Negative(_))));
    }

    #[test]
    fn prints_as_go_prints() {
        let print = |nanos| Duration::from(time::Duration::from_nanos(nanos)).to_string();
        assert_eq!(print(0), "0s");
        assert_eq!(print(5), "5ns");
        assert_eq!(print(1_500), "1.5µs");
        assert_eq!(print(750_000_000), "750ms");
        assert_eq!(print(60_000_000_000), "1m0s");
        assert_eq!(print(2_818_583_000), "2.818583s");
        assert_eq!(print(3_600_000_000_000), "1h0m0s");
        assert_eq!(print(5_400_100_000_000), "1h30m0.1s");
    }

    #[test]
    fn keeps_the_text_it_was_read_from() {
        let duration: Duration = serde_json::from_str("\"60m\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"60m\"");
        assert_eq!(duration.to_std().unwrap(), time::Duration::from_secs(3600));
    }
}
