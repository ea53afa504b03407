//! `time.Duration`: nanoseconds, printed as `1h2m3.5s`.

use super::parse::quoted;

/// `Duration.String`.
pub(crate) fn format_duration(nanoseconds: i64) -> String {
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

/// `time.ParseDuration`; the error is Go's text.
pub(crate) fn parse_duration(text: &[u8]) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
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
            return Err(format!("time: missing unit in duration {}", quoted(text)));
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
                return Err(format!("time: unknown unit {} in duration {}", quoted(unknown), quoted(text)));
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

/// `Duration.Truncate`.
pub(crate) fn truncate_duration(value: i64, unit: i64) -> i64 {
    if unit <= 0 { value } else { value - value % unit }
}

/// `Duration.Round`: halves away from zero.
pub(crate) fn round_duration(value: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return value;
    }
    let rest = value % unit;
    let twice = rest.unsigned_abs() * 2;
    if value < 0 {
        if twice < unit as u64 { value - rest } else { value.checked_sub(unit + rest).unwrap_or(i64::MIN) }
    } else if twice < unit as u64 {
        value - rest
    } else {
        value.checked_add(unit - rest).unwrap_or(i64::MAX)
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
