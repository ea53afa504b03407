//! Canonical form of Kubernetes quantities: `0.1` is `100m`, `1024Mi` is `1Gi`.

/// The suffixes of powers of 1000, from nano upwards.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// The suffixes of powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Quantities are kept to a billionth.
const NANO: i128 = 1_000_000_000;

enum Format {
    Decimal,
    Exponent,
    Binary,
}

/// The canonical form of a quantity, or `None` when the text is not one.
pub(super) fn canonical(text: &str) -> Option<String> {
    let (nanos, format) = parse(text)?;
    // Small binary quantities are written as decimals, which avoids rounding.
    let format = match format {
        Format::Binary if nanos.abs() < 1024 * NANO => Format::Decimal,
        format => format,
    };
    match format {
        Format::Binary => {
            let mut value = nanos.div_euclid(NANO) + i128::from(nanos.rem_euclid(NANO) > 0);
            let mut power = 0;
            while value % 1024 == 0 && power + 1 < BINARY.len() {
                value /= 1024;
                power += 1;
            }
            Some(format!("{value}{}", BINARY[power]))
        }
        Format::Decimal | Format::Exponent => {
            let (mut value, mut power) = (nanos, 0);
            while value != 0 && value % 1000 == 0 && power + 1 < DECIMAL.len() {
                value /= 1000;
                power += 1;
            }
            let exponent = (power as i32 - 3) * 3;
            match format {
                _ if value == 0 => Some("0".to_owned()),
                Format::Exponent if exponent != 0 => Some(format!("{value}e{exponent}")),
                Format::Exponent => Some(value.to_string()),
                _ => Some(format!("{value}{}", DECIMAL[power])),
            }
        }
    }
}

/// The value in billionths, rounded away from zero, and the notation.
fn parse(text: &str) -> Option<(i128, Format)> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    let (nanos, format) = if let Some(power) = DECIMAL.iter().position(|known| *known == suffix) {
        let exponent = (power as i32 - 3) * 3;
        (shift(digits, exponent - scale + 9)?, Format::Decimal)
    } else if let Some(power) = BINARY.iter().position(|known| *known == suffix) {
        let value = digits.checked_mul(1024_i128.checked_pow(power as u32)?)?;
        (shift(value, 9 - scale)?, Format::Binary)
    } else {
        let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        (shift(digits, exponent.checked_sub(scale)?.checked_add(9)?)?, Format::Exponent)
    };
    // Beyond this Kubernetes caps the value.
    if nanos > i128::from(i64::MAX) * NANO {
        return None;
    }
    Some((if negative { -nanos } else { nanos }, format))
}

/// `value * 10^exponent`, rounded up.
fn shift(value: i128, exponent: i32) -> Option<i128> {
    match u32::try_from(exponent) {
        Ok(exponent) => value.checked_mul(10_i128.checked_pow(exponent)?),
        Err(_) => {
            let Some(divisor) = 10_i128.checked_pow(exponent.unsigned_abs()) else {
                return Some(i128::from(value > 0));
            };
            Some(value / divisor + i128::from(value % divisor > 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn forms() {
        for (text, want) in [
            ("0.1", "100m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1e3", "1e3"),
            ("12e2", "1200"),
            ("1.0", "1"),
            ("1000m", "1"),
            ("-1000m", "-1"),
            ("0", "0"),
            ("100Ki", "100Ki"),
            ("0.5Ki", "512"),
            ("1.1Ki", "1127"),
            ("0.0000000001", "1n"),
            ("1E", "1E"),
            ("10k", "10k"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(want), "{text}");
        }
        for text in ["", "x", "1x", "1.1.1", "--1", "1 Gi", "."] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
