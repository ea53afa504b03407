//! Resource quantities such as `500m` and `1Gi`, and the one form in which the server writes each amount.

use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

/// The decimal digits that an amount may have; larger ones are refused like malformed ones.
const MAX_DIGITS: usize = 120;
/// The nano suffix: no quantity is finer.
const NANO: i32 = -9;

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum QuantityError {
    /// Not of the form of a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// A suffix that does not exist.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The text in the form in which the server writes it.
pub(crate) fn canonical_quantity(text: &str) -> Result<String, QuantityError> {
    let text = text.trim();
    let quantity = Quantity::parse(text)?;
    Ok(if is_kept_as_written(text) { text.to_owned() } else { quantity.to_string() })
}

/// Whether the server takes the text for canonical already, and keeps leading zeros and the like.
fn is_kept_as_written(text: &str) -> bool {
    const MOST_DIGITS: usize = 18;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.trim_start_matches('0');
    let digits = format!("{whole}{fraction}");
    let Ok((family, scale, factor)) = read_suffix(suffix) else { return false };
    let Ok(value) = digits.parse::<u64>() else { return false };
    match family {
        Family::Binary => {
            let exponent = factor as usize * 10;
            fraction.is_empty() && whole.len() + exponent * 3 / 10 < 15 && value & 7 != 0
        }
        Family::Decimal | Family::Exponent => {
            let scale = scale - fraction.len() as i32;
            digits.len() <= MOST_DIGITS
                && scale >= NANO
                && scale % 3 == 0
                && !digits.ends_with("000")
                && !digits.starts_with('0')
        }
    }
}

/// A quantity: an exact amount and the family of suffixes it is written with.
#[derive(Debug, Clone)]
pub(crate) struct Quantity {
    negative: bool,
    /// The amount in units of 10^-9, as decimal digits without leading zeros; empty for zero.
    nanos: Vec<u8>,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Binary,
    Decimal,
    Exponent,
}

impl Quantity {
    /// Reads a quantity.
    pub(crate) fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let (family, scale, factor) = read_suffix(suffix)?;
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Format);
        }
        if whole.len() + fraction.len() > MAX_DIGITS || scale.abs() > MAX_DIGITS as i32 {
            return Err(QuantityError::Format);
        }
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0').collect();
        let mut exponent = scale - fraction.len() as i32;
        for _ in 0..factor {
            multiply(&mut digits, 1024);
        }
        while exponent > NANO {
            digits.push(0);
            exponent -= 1;
        }
        let mut remainder = false;
        while exponent < NANO {
            remainder |= digits.pop().is_some_and(|digit| digit != 0);
            exponent += 1;
        }
        if remainder {
            increment(&mut digits);
        }
        let first = digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len());
        digits.drain(..first);
        cap(&mut digits);
        Ok(Self { negative: negative && !digits.is_empty(), nanos: digits, family })
    }

    /// Whether the amount is below zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the amount is zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.nanos.is_empty()
    }

    /// Whether the amount, counted in thousandths in 64 bits, is a whole number. Huge amounts are cut there, and are not.
    pub(crate) fn is_whole(&self) -> bool {
        const THOUSANDTH: i128 = 1_000_000;
        let nanos = self.nano_units().unsigned_abs() as i128;
        let thousandths = (nanos / THOUSANDTH) + i128::from(nanos % THOUSANDTH != 0);
        thousandths.min(i128::from(i64::MAX)) % 1000 == 0
    }

    /// The amount in thousand-millionths; the largest number when it does not fit.
    pub(crate) fn nano_units(&self) -> i128 {
        let amount = self
            .nanos
            .iter()
            .fold(0_i128, |amount, digit| amount.saturating_mul(10).saturating_add(i128::from(*digit)));
        if self.negative { -amount } else { amount }
    }

    /// The amount in whole units, rounded away from zero; the largest number when it does not fit.
    pub(crate) fn whole_units(&self) -> i64 {
        let (whole, fraction) = self.nanos.split_at(self.nanos.len().saturating_sub(9));
        let mut amount = whole
            .iter()
            .fold(0_i64, |amount, digit| amount.saturating_mul(10).saturating_add(i64::from(*digit)));
        if fraction.iter().any(|digit| *digit != 0) {
            amount = amount.saturating_add(1);
        }
        if self.negative { -amount } else { amount }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitudes = self.nanos.len().cmp(&other.nanos.len()).then_with(|| self.nanos.cmp(&other.nanos));
        match (self.negative, other.negative) {
            (false, false) => magnitudes,
            (true, true) => magnitudes.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        // Binary suffixes are for whole amounts of at least 1024; others are written as decimal.
        let fraction = &self.nanos[self.nanos.len().saturating_sub(9)..];
        let is_whole = fraction.iter().all(|digit| *digit == 0);
        if self.family == Family::Binary && is_whole && self.whole_units().unsigned_abs() >= 1024 {
            let mut amount = self.whole_units().unsigned_abs();
            let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
            let mut suffix = suffixes.next().unwrap_or_default();
            while amount.is_multiple_of(1024)
                && let Some(next) = suffixes.next()
            {
                amount /= 1024;
                suffix = next;
            }
            return write!(f, "{amount}{suffix}");
        }
        let trailing = self.nanos.iter().rev().take_while(|digit| **digit == 0).count();
        let exponent = (trailing as i32 + NANO).div_euclid(3) * 3;
        let amount = text_of(&self.nanos[..self.nanos.len() - (exponent - NANO) as usize]);
        if self.family == Family::Exponent {
            return match exponent {
                0 => f.write_str(&amount),
                exponent => write!(f, "{amount}e{exponent}"),
            };
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            0 => "",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            _ => "E",
        };
        write!(f, "{amount}{suffix}")
    }
}

/// The family, the power of ten and the power of 1024 of a suffix.
fn read_suffix(suffix: &str) -> Result<(Family, i32, u32), QuantityError> {
    let binary = |power| Ok((Family::Binary, 0, power));
    let decimal = |scale| Ok((Family::Decimal, scale, 0));
    match suffix {
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        _ => {
            if let Some(exponent) = suffix.strip_prefix(['e', 'E'])
                && let Ok(scale) = exponent.parse::<i32>()
                && scale.abs() <= MAX_DIGITS as i32
            {
                return Ok((Family::Exponent, scale, 0));
            }
            let letters = suffix.trim_end_matches(|c: char| c.is_ascii_digit());
            let letters = letters.strip_suffix(['+', '-']).unwrap_or(letters);
            if letters.chars().all(|c| "eEinumkKMGTP".contains(c)) {
                Err(QuantityError::Suffix)
            } else {
                Err(QuantityError::Format)
            }
        }
    }
}

fn multiply(digits: &mut Vec<u8>, factor: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = u32::from(*digit) * factor + carry;
        *digit = (product % 10) as u8;
        carry = product / 10;
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return;
        }
        *digit = 0;
    }
    digits.insert(0, 1);
}

/// Amounts beyond what 64 bits hold are cut to the largest one.
fn cap(digits: &mut Vec<u8>) {
    let mut largest: Vec<u8> = i64::MAX.to_string().bytes().map(|digit| digit - b'0').collect();
    largest.resize(largest.len() + NANO.unsigned_abs() as usize, 0);
    if digits.len().cmp(&largest.len()).then_with(|| digits.as_slice().cmp(&largest)) == Ordering::Greater {
        *digits = largest;
    }
}

fn text_of(digits: &[u8]) -> String {
    if digits.is_empty() {
        return "0".to_owned();
    }
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (text, canonical) in [
            ("0", "0"),
            ("-0", "0"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("1500", "1500"),
            ("1000", "1k"),
            ("0.5Gi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("1000Ki", "1000Ki"),
            ("0.5Ki", "512"),
            ("1.5Gi", "1536Mi"),
            ("2.5Mi", "2560Ki"),
            ("1e3", "1e3"),
            ("1E3", "1E3"),
            ("0010", "0010"),
            ("1.500", "1.500"),
            (" 2 ", "2"),
            ("1500e0", "1500e0"),
            ("-1.5", "-1500m"),
            ("1.", "1."),
            (".5", "500m"),
            ("0.0000000001", "1n"),
            ("12345678901234567890", "9223372036854775807"),
            ("1000E", "9223372036854775807"),
            ("1.0001Ki", "1024102400u"),
            ("+1", "+1"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("129M", "129M"),
            ("123Mi", "123Mi"),
        ] {
            assert_eq!(canonical_quantity(text).as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for text in ["", "abc", "1.2.3", "-", "1 Gi", "one"] {
            assert_eq!(canonical_quantity(text), Err(QuantityError::Format), "{text}");
        }
        for text in ["1KiB", "1GB", "1gi"] {
            assert!(canonical_quantity(text).is_err(), "{text}");
        }
        for text in ["1MM", "--5"] {
            assert_eq!(canonical_quantity(text), Err(QuantityError::Suffix));
        }
        assert!(canonical_quantity("1e999999999").is_err());
        assert!(canonical_quantity(&"9".repeat(500)).is_err());
    }

    #[test]
    fn order() {
        let read = |text| Quantity::parse(text).unwrap();
        assert!(read("1Gi") > read("1G"));
        assert!(read("-2") < read("-1"));
        assert_eq!(read("1000m"), read("1"));
        assert_eq!(read("1500m").whole_units(), 2);
    }
}
