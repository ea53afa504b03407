//! Timestamps as go-yaml recognises them, and how Go prints them.

use std::fmt;

/// A point in time with its offset, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    /// East of UTC.
    offset_minutes: i16,
}

impl Timestamp {
    /// Reads `2006-1-2`, `2006-1-2T15:4:5.9Z`, `2006-1-2t15:4:5+07:00` or `2006-1-2 15:4:5`.
    ///
    /// The calendar must allow it; anything else is `None`.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        if bytes.len() < 6 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut time = Timestamp {
            year: text[..4].parse().ok()?,
            month: 0,
            day: 0,
            hour: 0,
            minute: 0,
            second: 0,
            nanosecond: 0,
            offset_minutes: 0,
        };
        let mut rest = &bytes[5..];
        time.month = number(&mut rest)?;
        expect(&mut rest, b'-')?;
        time.day = number(&mut rest)?;
        if !(1..=12).contains(&time.month) || time.day < 1 || time.day > days_in(time.month, time.year) {
            return None;
        }
        let Some(&separator) = rest.first() else { return Some(time) };
        match separator {
            b'T' | b't' => rest = &rest[1..],
            b' ' => rest = &rest[rest.iter().take_while(|&&b| b == b' ').count()..],
            _ => return None,
        }
        time.hour = number(&mut rest)?;
        expect(&mut rest, b':')?;
        time.minute = number(&mut rest)?;
        expect(&mut rest, b':')?;
        time.second = number(&mut rest)?;
        if time.hour > 23 || time.minute > 59 || time.second > 59 {
            return None;
        }
        time.nanosecond = fraction(&mut rest);
        if separator != b' ' {
            time.offset_minutes = offset(&mut rest)?;
        }
        rest.is_empty().then_some(time)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with as many fraction digits as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timestamp { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanosecond != 0 {
            let digits = format!("{:09}", self.nanosecond);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset_minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// One or two digits.
fn number(rest: &mut &[u8]) -> Option<u8> {
    let count = rest.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    let (digits, tail) = rest.split_at(count);
    *rest = tail;
    (count > 0).then(|| digits.iter().fold(0, |value, digit| value * 10 + (digit - b'0')))
}

fn expect(rest: &mut &[u8], byte: u8) -> Option<()> {
    let (&first, tail) = rest.split_first()?;
    *rest = tail;
    (first == byte).then_some(())
}

/// `.123` or `,123` in nanoseconds; 0 when there is none.
fn fraction(rest: &mut &[u8]) -> u32 {
    let [b'.' | b',', tail @ ..] = *rest else { return 0 };
    let count = tail.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return 0;
    }
    *rest = &tail[count..];
    (0..9).fold(0, |value, at| value * 10 + if at < count { u32::from(tail[at] - b'0') } else { 0 })
}

/// `Z` or `+hh:mm`, in minutes.
fn offset(rest: &mut &[u8]) -> Option<i16> {
    let (sign, digits) = match *rest {
        [b'Z', tail @ ..] => {
            *rest = tail;
            return Some(0);
        }
        [b'+', tail @ ..] => (1, tail),
        [b'-', tail @ ..] => (-1, tail),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2, tail @ ..] = digits else { return None };
    if ![h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digit = |b: &u8| i16::from(b - b'0');
    let hours = digit(h1) * 10 + digit(h2);
    let minutes = digit(m1) * 10 + digit(m2);
    if hours > 24 || minutes > 59 {
        return None;
    }
    *rest = tail;
    Some(sign * (hours * 60 + minutes))
}

fn days_in(month: u8, year: u16) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}
