//! Layouts: the reference time `Mon Jan 2 15:04:05 MST 2006` shows how.

use super::moment::{MONTHS, Time, WEEKDAYS};

/// An element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    /// A numeric zone: `Z` for UTC, with colons, with minutes, with seconds.
    Zone {
        iso: bool,
        colons: bool,
        minutes: bool,
        seconds: bool,
    },
    /// Digits of the second; with nines, trailing zeros are dropped.
    Fraction {
        digits: usize,
        nines: bool,
        separator: u8,
    },
}

/// Splits a layout at its first element: the text before, the element, the rest.
pub(super) fn next_element(layout: &[u8]) -> (&[u8], Option<Element>, &[u8]) {
    for at in 0..layout.len() {
        let rest = &layout[at..];
        if let Some((element, skip, width)) = element_at(rest) {
            return (&layout[..at + skip], Some(element), &rest[skip + width..]);
        }
    }
    (layout, None, b"")
}

/// The element that a text begins with, the bytes before it that are literal, and its width.
fn element_at(rest: &[u8]) -> Option<(Element, usize, usize)> {
    let has = |prefix: &[u8]| rest.starts_with(prefix);
    let lower_follows = |at: usize| rest.get(at).is_some_and(u8::is_ascii_lowercase);
    let zone = |iso, colons, minutes, seconds| Element::Zone { iso, colons, minutes, seconds };
    let found = match rest[0] {
        b'J' if has(b"January") => (Element::LongMonth, 7),
        b'J' if has(b"Jan") && !lower_follows(3) => (Element::Month, 3),
        b'M' if has(b"Monday") => (Element::LongWeekday, 6),
        b'M' if has(b"Mon") && !lower_follows(3) => (Element::Weekday, 3),
        b'M' if has(b"MST") => (Element::ZoneName, 3),
        b'0' if has(b"002") => (Element::ZeroYearDay, 3),
        b'0' if rest.get(1).is_some_and(|digit| (b'1'..=b'6').contains(digit)) => (
            match rest[1] {
                b'1' => Element::ZeroMonth,
                b'2' => Element::ZeroDay,
                b'3' => Element::ZeroHour12,
                b'4' => Element::ZeroMinute,
                b'5' => Element::ZeroSecond,
                _ => Element::Year,
            },
            2,
        ),
        b'1' if has(b"15") => (Element::Hour, 2),
        b'1' => (Element::NumberMonth, 1),
        b'2' if has(b"2006") => (Element::LongYear, 4),
        b'2' => (Element::Day, 1),
        b'_' if has(b"_2006") => return Some((Element::LongYear, 1, 4)),
        b'_' if has(b"_2") => (Element::UnderDay, 2),
        b'_' if has(b"__2") => (Element::UnderYearDay, 3),
        b'3' => (Element::Hour12, 1),
        b'4' => (Element::Minute, 1),
        b'5' => (Element::Second, 1),
        b'P' if has(b"PM") => (Element::UpperHalf, 2),
        b'p' if has(b"pm") => (Element::LowerHalf, 2),
        b'-' | b'Z' => {
            let iso = rest[0] == b'Z';
            let digits = &rest[1..];
            if digits.starts_with(b"070000") {
                (zone(iso, false, true, true), 7)
            } else if digits.starts_with(b"07:00:00") {
                (zone(iso, true, true, true), 9)
            } else if digits.starts_with(b"0700") {
                (zone(iso, false, true, false), 5)
            } else if digits.starts_with(b"07:00") {
                (zone(iso, true, true, false), 6)
            } else if digits.starts_with(b"07") {
                (zone(iso, false, false, false), 3)
            } else {
                return None;
            }
        }
        b'.' | b',' => {
            let digit = *rest.get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
            let digits = rest[1..].iter().take_while(|byte| **byte == digit).count();
            if rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            (Element::Fraction { digits, nines: digit == b'9', separator: rest[0] }, 1 + digits)
        }
        _ => return None,
    };
    Some((found.0, 0, found.1))
}

/// `Time.Format`.
pub(super) fn format_layout(time: &Time, layout: &[u8]) -> Vec<u8> {
    let fields = time.fields();
    let (zone_name, offset) = time.zone();
    let mut out = Vec::with_capacity(layout.len() + 16);
    let mut rest = layout;
    while !rest.is_empty() {
        let (literal, element, after) = next_element(rest);
        out.extend_from_slice(literal);
        let Some(element) = element else { break };
        rest = after;
        let hour12 = if fields.hour % 12 == 0 { 12 } else { fields.hour % 12 };
        let month = MONTHS[(fields.month - 1) as usize];
        let weekday = WEEKDAYS[fields.weekday as usize];
        let text = match element {
            Element::Year => padded(fields.year.abs() % 100, 2),
            Element::LongYear => padded(fields.year, 4),
            Element::Month => month[..3].to_owned(),
            Element::LongMonth => month.to_owned(),
            Element::NumberMonth => fields.month.to_string(),
            Element::ZeroMonth => padded(fields.month, 2),
            Element::Weekday => weekday[..3].to_owned(),
            Element::LongWeekday => weekday.to_owned(),
            Element::Day => fields.day.to_string(),
            Element::UnderDay => format!("{:2}", fields.day),
            Element::ZeroDay => padded(fields.day, 2),
            Element::UnderYearDay => format!("{:3}", fields.year_day),
            Element::ZeroYearDay => padded(fields.year_day, 3),
            Element::Hour => padded(fields.hour, 2),
            Element::Hour12 => hour12.to_string(),
            Element::ZeroHour12 => padded(hour12, 2),
            Element::Minute => fields.minute.to_string(),
            Element::ZeroMinute => padded(fields.minute, 2),
            Element::Second => fields.second.to_string(),
            Element::ZeroSecond => padded(fields.second, 2),
            Element::UpperHalf => if fields.hour >= 12 { "PM" } else { "AM" }.to_owned(),
            Element::LowerHalf => if fields.hour >= 12 { "pm" } else { "am" }.to_owned(),
            Element::ZoneName if zone_name.is_empty() => zone_text(offset, false, true, false),
            Element::ZoneName => zone_name.clone(),
            Element::Zone { iso: true, .. } if offset == 0 => "Z".to_owned(),
            Element::Zone { colons, minutes, seconds, .. } => zone_text(offset, colons, minutes, seconds),
            Element::Fraction { digits, nines, separator } => {
                fraction(time.nanosecond(), digits, nines, separator)
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn zone_text(offset: i64, colons: bool, minutes: bool, seconds: bool) -> String {
    let in_minutes = offset / 60;
    let mut text = String::from(if in_minutes < 0 { "-" } else { "+" });
    let absolute = in_minutes.abs();
    text.push_str(&padded(absolute / 60, 2));
    if minutes {
        if colons {
            text.push(':');
        }
        text.push_str(&padded(absolute % 60, 2));
    }
    if seconds {
        if colons {
            text.push(':');
        }
        text.push_str(&padded(offset.abs() % 60, 2));
    }
    text
}

fn fraction(nanosecond: u32, digits: usize, nines: bool, separator: u8) -> String {
    let all = format!("{nanosecond:09}");
    let mut shown: String = all.chars().take(digits).collect();
    shown.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
    if nines {
        shown.truncate(shown.trim_end_matches('0').len());
        if shown.is_empty() {
            return shown;
        }
    }
    format!("{}{shown}", char::from(separator))
}

/// Zero-padded digits, the sign apart.
fn padded(number: i64, width: usize) -> String {
    if number < 0 { format!("-{:0width$}", number.unsigned_abs()) } else { format!("{number:0width$}") }
}
