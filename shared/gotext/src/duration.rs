//! Go's durations: `1h30m`, `1.5s`, `750ms`.

use std::fmt;

use crate::{decode_rune, is_invalid_rune};

/// Why a text is no duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// The text does not have the form of a duration, or its value does not fit.
    Invalid(Vec<u8>),
    /// A number of the text has no unit.
    MissingUnit(Vec<u8>),
    /// A unit is none of ns, us, µs, ms, s, m, h.
    UnknownUnit {
        /// The unit.
        unit: Vec<u8>,
        /// The whole text.
        text: Vec<u8>,
    },
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "time: invalid duration {}", quote_time(text)),
            Self::MissingUnit(text) => write!(f, "time: missing unit in duration {}", quote_time(text)),
            Self::UnknownUnit { unit, text } => {
                write!(f, "time: unknown unit {} in duration {}", quote_time(unit), quote_time(text))
            }
        }
    }
}

impl std::error::Error for DurationError {}

/// The nanoseconds of a text such as `1h30m`, `1.5s` or `-750ms`, as `time.ParseDuration` reads it.
pub fn parse_duration(text: &[u8]) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_vec());
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        if !(rest[0] == b'.' || rest[0].is_ascii_digit()) {
            return Err(invalid());
        }
        let whole_digits = digits(rest);
        let mut whole: u64 = 0;
        for digit in &rest[..whole_digits] {
            whole = whole
                .checked_mul(10)
                .and_then(|whole| whole.checked_add(u64::from(digit - b'0')))
                .filter(|whole| *whole <= 1 << 63)
                .ok_or_else(invalid)?;
        }
        rest = &rest[whole_digits..];
        let mut fraction: u64 = 0;
        let mut scale: f64 = 1.0;
        let mut fraction_digits = 0;
        if let Some(after) = rest.strip_prefix(b".") {
            fraction_digits = digits(after);
            for digit in &after[..fraction_digits] {
                // Digits beyond what an integer holds are dropped.
                if fraction > (i64::MAX as u64) / 10 {
                    break;
                }
                fraction = fraction * 10 + u64::from(digit - b'0');
                scale *= 10.0;
            }
            rest = &after[fraction_digits..];
        }
        if whole_digits == 0 && fraction_digits == 0 {
            return Err(invalid());
        }
        let unit_width = rest.iter().take_while(|byte| **byte != b'.' && !byte.is_ascii_digit()).count();
        if unit_width == 0 {
            return Err(DurationError::MissingUnit(text.to_vec()));
        }
        let unit: u64 = match &rest[..unit_width] {
            b"ns" => 1,
            b"us" => 1_000,
            unit if unit == "µs".as_bytes() || unit == "μs".as_bytes() => 1_000,
            b"ms" => 1_000_000,
            b"s" => 1_000_000_000,
            b"m" => 60_000_000_000,
            b"h" => 3_600_000_000_000,
            unknown => {
                return Err(DurationError::UnknownUnit { unit: unknown.to_vec(), text: text.to_vec() });
            }
        };
        rest = &rest[unit_width..];
        if whole > (1 << 63) / unit {
            return Err(invalid());
        }
        let mut part = whole * unit;
        if fraction > 0 {
            part += (fraction as f64 * (unit as f64 / scale)) as u64;
        }
        total = total.checked_add(part).filter(|total| *total <= 1 << 63).ok_or_else(invalid)?;
    }
    if negative {
        return Ok((total as i64).wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid())
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Nanoseconds as Go prints a duration: `1h0m0s`, `812.5ms`, `0s`.
pub fn format_duration(nanoseconds: i64) -> String {
    let magnitude = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if magnitude == 0 {
        return "0s".to_owned();
    }
    let text = if magnitude < 1_000 {
        format!("{magnitude}ns")
    } else if magnitude < 1_000_000 {
        format!("{}µs", with_fraction(magnitude, 3))
    } else if magnitude < 1_000_000_000 {
        format!("{}ms", with_fraction(magnitude, 6))
    } else {
        let seconds = magnitude / 1_000_000_000;
        let rest = with_fraction(magnitude % 60_000_000_000, 9);
        match (seconds / 3600, seconds / 60 % 60) {
            (0, 0) => format!("{rest}s"),
            (0, minutes) => format!("{minutes}m{rest}s"),
            (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
        }
    };
    format!("{sign}{text}")
}

fn with_fraction(value: u64, digits: u32) -> String {
    let unit = 10u64.pow(digits);
    let fraction = format!("{:0width$}", value % unit, width = digits as usize);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (value / unit).to_string() } else { format!("{}.{fraction}", value / unit) }
}

/// A text as Go's `time` package quotes it in its errors: every byte beyond ASCII is escaped.
pub fn quote_time(text: &[u8]) -> String {
    let mut out = String::from("\"");
    let mut rest = text;
    while !rest.is_empty() {
        let (rune, width) = decode_rune(rest);
        if !rune.is_ascii() || rune < ' ' || is_invalid_rune(rune, width) {
            for byte in &rest[..width] {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        } else {
            if matches!(rune, '"' | '\\') {
                out.push('\\');
            }
            out.push(rune);
        }
        rest = &rest[width..];
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<i64, DurationError> {
        parse_duration(text.as_bytes())
    }

    #[test]
    fn parses_what_go_parses() {
        for (text, nanoseconds) in [
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("750ms", 750_000_000),
            ("0", 0),
            ("-1m", -60_000_000_000),
            (".5h", 1_800_000_000_000),
            ("1.h", 3_600_000_000_000),
            ("3µs2us1ns", 5_001),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse(text), Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "-",
            "s",
            ".",
            ".s",
            "abc",
            "+-1s",
            "9999999h",
            "99999999999999999999s",
            "9223372036854775808ns",
        ] {
            assert_eq!(parse(text), Err(DurationError::Invalid(text.into())), "{text}");
        }
        let message = |text| parse(text).unwrap_err().to_string();
        assert_eq!(message("10"), r#"time: missing unit in duration "10""#);
        assert_eq!(message("1d"), r#"time: unknown unit "d" in duration "1d""#);
        assert_eq!(message("1 s"), r#"time: unknown unit " s" in duration "1 s""#);
        assert_eq!(message("1é"), r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#);
    }

    #[test]
    fn prints_as_go_prints() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (545_175_329, "545.175329ms"),
            (60_000_000_000, "1m0s"),
            (2_818_583_000, "2.818583s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_400_100_000_000, "1h30m0.1s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format_duration(nanoseconds), text);
        }
    }
}
