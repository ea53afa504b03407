//! Durations as Go writes them: `1h30m`, `750ms`, `1.5s`.

use std::{fmt::Write, str::FromStr, time::Duration};

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
        let invalid = || Error::Invalid(text.to_owned());
        let mut rest = text;
        let mut negative = false;
        if let Some(unsigned) = rest.strip_prefix(['-', '+']) {
            negative = rest.starts_with('-');
            rest = unsigned;
        }
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut nanoseconds: u128 = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (whole, after) = rest.split_at(digits);
            rest = after;
            let mut fraction = "";
            if let Some(after) = rest.strip_prefix('.') {
                let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                (fraction, rest) = after.split_at(digits);
            }
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
            let (unit, after) = rest.split_at(end);
            rest = after;
            let scale: u128 = match unit {
                "" => return Err(Error::MissingUnit(text.to_owned())),
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => return Err(Error::UnknownUnit(text.to_owned(), unit.to_owned())),
            };
            if !whole.is_empty() {
                let whole: u64 = whole.parse().map_err(|_| invalid())?;
                nanoseconds += u128::from(whole) * scale;
            }
            let mut place = scale;
            for digit in fraction.bytes() {
                place /= 10;
                nanoseconds += u128::from(digit - b'0') * place;
            }
            if nanoseconds > i64::MAX as u128 {
                return Err(invalid());
            }
        }
        if negative && nanoseconds > 0 {
            return Err(Error::Negative(text.to_owned()));
        }
        Ok(Self(Duration::from_nanos(nanoseconds as u64)))
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
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < 1_000 {
        return format!("{nanoseconds}ns");
    }
    if nanoseconds < 1_000_000 {
        return format!("{}µs", decimal(nanoseconds, 3));
    }
    if nanoseconds < 1_000_000_000 {
        return format!("{}ms", decimal(nanoseconds, 6));
    }
    let seconds = duration.as_secs();
    let mut text = String::new();
    if seconds >= 3600 {
        let _ = write!(text, "{}h", seconds / 3600);
    }
    if seconds >= 60 {
        let _ = write!(text, "{}m", seconds / 60 % 60);
    }
    let _ = write!(text, "{}s", decimal(nanoseconds % 60_000_000_000, 9));
    text
}

/// A number with `places` implied decimal places, without trailing zeros.
fn decimal(number: u128, places: u32) -> String {
    let scale = 10u128.pow(places);
    let fraction = number % scale;
    if fraction == 0 {
        return (number / scale).to_string();
    }
    let fraction = format!("{fraction:0width$}", width = places as usize);
    format!("{}.{}", number / scale, fraction.trim_end_matches('0'))
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
