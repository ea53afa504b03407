//! Reading a time by a layout.

use std::sync::Arc;

use super::layout::{Element, next_element};
use super::moment::{MONTHS, Time, WEEKDAYS, Zone, days_from_civil, days_in};
use fluxide_gotext::quote_time;

/// `time.ParseInLocation(layout, value, Local)`; the error is Go's text.
pub(crate) fn parse_time(layout: &[u8], value: &[u8]) -> Result<Time, String> {
    let mut reader = Reader { value, whole: value, layout, ..Reader::default() };
    reader.read()?;
    reader.assemble()
}

#[derive(Default)]
struct Reader<'a> {
    layout: &'a [u8],
    whole: &'a [u8],
    value: &'a [u8],
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    afternoon: bool,
    morning: bool,
    utc: bool,
    offset: Option<i64>,
    zone_name: Option<String>,
}

/// Why an element could not be read.
enum Refusal {
    Mismatch,
    OutOfRange(&'static str),
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        let mut layout = self.layout;
        loop {
            let (prefix, element, rest) = next_element(layout);
            let shown = &layout[prefix.len()..layout.len() - rest.len()];
            if !self.skip(prefix) {
                return Err(self.mismatch(prefix, self.value));
            }
            let Some(element) = element else {
                if !self.value.is_empty() {
                    return Err(self.complaint(&format!(": extra text: {}", quote_time(self.value))));
                }
                return Ok(());
            };
            layout = rest;
            let before = self.value;
            match self.element(element, layout) {
                Ok(()) => {}
                Err(Refusal::OutOfRange(what)) => {
                    return Err(self.complaint(&format!(": {what} out of range")));
                }
                Err(Refusal::Mismatch) => return Err(self.mismatch(shown, before)),
            }
        }
    }

    fn element(&mut self, element: Element, layout: &[u8]) -> Result<(), Refusal> {
        match element {
            Element::Year => {
                let digits = self.take(2)?;
                let year = number(digits).ok_or(Refusal::Mismatch)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            Element::LongYear => {
                if self.value.len() < 4 || !self.value[0].is_ascii_digit() {
                    return Err(Refusal::Mismatch);
                }
                let digits = self.take(4)?;
                self.year = number(digits).ok_or(Refusal::Mismatch)?;
            }
            Element::Month => self.month = Some(self.name(&MONTHS, 3)? + 1),
            Element::LongMonth => self.month = Some(self.name(&MONTHS, usize::MAX)? + 1),
            Element::NumberMonth | Element::ZeroMonth => {
                let month = self.two_digits(element == Element::ZeroMonth)?;
                if !(1..=12).contains(&month) {
                    return Err(Refusal::OutOfRange("month"));
                }
                self.month = Some(month);
            }
            Element::Weekday => {
                self.name(&WEEKDAYS, 3)?;
            }
            Element::LongWeekday => {
                self.name(&WEEKDAYS, usize::MAX)?;
            }
            Element::Day | Element::UnderDay | Element::ZeroDay => {
                if element == Element::UnderDay {
                    self.value = self.value.strip_prefix(b" ").unwrap_or(self.value);
                }
                self.day = Some(self.two_digits(element == Element::ZeroDay)?);
            }
            Element::UnderYearDay | Element::ZeroYearDay => {
                if element == Element::UnderYearDay {
                    for _ in 0..2 {
                        self.value = self.value.strip_prefix(b" ").unwrap_or(self.value);
                    }
                }
                let count = self.value.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
                if count == 0 || element == Element::ZeroYearDay && count != 3 {
                    return Err(Refusal::Mismatch);
                }
                let digits = self.take(count)?;
                self.year_day = number(digits);
            }
            Element::Hour => self.hour = self.ranged(false, 23, "hour")?,
            Element::Hour12 | Element::ZeroHour12 => {
                self.hour = self.ranged(element == Element::ZeroHour12, 12, "hour")?
            }
            Element::Minute | Element::ZeroMinute => {
                self.minute = self.ranged(element == Element::ZeroMinute, 59, "minute")?
            }
            Element::Second | Element::ZeroSecond => {
                self.second = self.ranged(element == Element::ZeroSecond, 59, "second")?;
                // A fraction is read even when the layout has none.
                let fraction_next = matches!(next_element(layout).1, Some(Element::Fraction { .. }));
                if !fraction_next && matches!(self.value, [b'.' | b',', digit, ..] if digit.is_ascii_digit())
                {
                    let count = self.value[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    self.fraction(count)?;
                }
            }
            Element::UpperHalf | Element::LowerHalf => {
                let (afternoon, morning): (&[u8], &[u8]) =
                    if element == Element::UpperHalf { (b"PM", b"AM") } else { (b"pm", b"am") };
                let half = self.take(2)?;
                if half == afternoon {
                    self.afternoon = true;
                } else if half == morning {
                    self.morning = true;
                } else {
                    return Err(Refusal::Mismatch);
                }
            }
            Element::Zone { iso, colons, minutes, seconds } => {
                self.numeric_zone(iso, colons, minutes, seconds)?
            }
            Element::ZoneName => {
                if let Some(rest) = self.value.strip_prefix(b"UTC") {
                    self.utc = true;
                    self.value = rest;
                } else {
                    let width = zone_name_width(self.value).ok_or(Refusal::Mismatch)?;
                    let name = self.take(width)?;
                    self.zone_name = Some(String::from_utf8_lossy(name).into_owned());
                }
            }
            Element::Fraction { digits, nines: false, .. } => {
                if self.value.len() < digits + 1 {
                    return Err(Refusal::Mismatch);
                }
                self.fraction(digits)?;
            }
            Element::Fraction { .. } => {
                if matches!(self.value, [b'.' | b',', digit, ..] if digit.is_ascii_digit()) {
                    let count = self.value[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    self.fraction(count)?;
                }
            }
        }
        Ok(())
    }

    fn numeric_zone(&mut self, iso: bool, colons: bool, minutes: bool, seconds: bool) -> Result<(), Refusal> {
        if iso && let Some(rest) = self.value.strip_prefix(b"Z") {
            self.utc = true;
            self.value = rest;
            return Ok(());
        }
        let width = 3 + if minutes { 2 } else { 0 } + if seconds { 2 } else { 0 };
        let width = width + if colons { usize::from(minutes) + usize::from(seconds) } else { 0 };
        if self.value.len() < width || colons && (self.value[3] != b':' || seconds && self.value[6] != b':') {
            return Err(Refusal::Mismatch);
        }
        let text = self.take(width)?;
        let digits: Vec<u8> = text[1..].iter().copied().filter(|byte| !colons || *byte != b':').collect();
        let pair = |at: usize| match digits.get(at..at + 2) {
            Some(pair) => number(pair).ok_or(Refusal::Mismatch),
            None => Ok(0),
        };
        let parts = (pair(0), pair(2), pair(4));
        let (Ok(hour), Ok(minute), Ok(second)) = parts else { return Err(Refusal::Mismatch) };
        for (part, limit, what) in [
            (hour, 24, "time zone offset hour"),
            (minute, 60, "time zone offset minute"),
            (second, 60, "time zone offset second"),
        ] {
            if part > limit {
                return Err(Refusal::OutOfRange(what));
            }
        }
        let offset = (hour * 60 + minute) * 60 + second;
        self.offset = Some(match text[0] {
            b'+' => offset,
            b'-' => -offset,
            _ => return Err(Refusal::Mismatch),
        });
        Ok(())
    }

    fn assemble(mut self) -> Result<Time, String> {
        if self.afternoon && self.hour < 12 {
            self.hour += 12;
        } else if self.morning && self.hour == 12 {
            self.hour = 0;
        }
        if let Some(year_day) = self.year_day {
            let january = days_from_civil(self.year, 1, 1);
            if year_day < 1 || year_day > days_from_civil(self.year + 1, 1, 1) - january {
                return Err(self.complaint(": day-of-year out of range"));
            }
            let (mut month, mut day) = (1, year_day);
            while day > days_in(self.year, month) {
                day -= days_in(self.year, month);
                month += 1;
            }
            if self.month.is_some_and(|seen| seen != month) {
                return Err(self.complaint(": day-of-year does not match month"));
            }
            if self.day.is_some_and(|seen| seen != day) {
                return Err(self.complaint(": day-of-year does not match day"));
            }
            self.month = Some(month);
            self.day = Some(day);
        }
        let month = self.month.unwrap_or(1);
        let day = self.day.unwrap_or(1);
        if day < 1 || day > days_in(self.year, month) {
            return Err(self.complaint(": day out of range"));
        }
        let second_of_day = self.hour * 3600 + self.minute * 60 + self.second;
        let date = |zone| Time::from_date(self.year, month, day, second_of_day, self.nanosecond, zone);
        if self.utc {
            return Ok(date(Zone::Utc));
        }
        let zone_name = self.zone_name.as_deref();
        // An offset of -1 second is how Go marks that there is none.
        if let Some(offset) = self.offset.filter(|offset| *offset != -1) {
            let seconds = date(Zone::Utc).unix().wrapping_sub(offset);
            let zone = if offset == 0 && zone_name.is_none_or(|name| name.is_empty() || name == "UTC") {
                Zone::Local
            } else {
                Zone::Fixed(Arc::from(zone_name.unwrap_or_default()), offset as i32)
            };
            return Ok(Time::new(seconds, self.nanosecond as u32, zone));
        }
        if let Some(name) = zone_name {
            let offset = name
                .strip_prefix("GMT")
                .filter(|rest| !rest.is_empty())
                .and_then(|hours| hours.parse::<i32>().ok())
                .unwrap_or(0)
                * 3600;
            return Ok(date(Zone::Utc).with_zone(Zone::Fixed(Arc::from(name), offset)));
        }
        Ok(date(Zone::Local))
    }

    /// Literal text; a run of spaces matches any run of spaces, or none at the end.
    fn skip(&mut self, mut prefix: &[u8]) -> bool {
        while let Some(first) = prefix.first() {
            if *first == b' ' {
                if !self.value.is_empty() && self.value[0] != b' ' {
                    return false;
                }
                prefix = without_spaces(prefix);
                self.value = without_spaces(self.value);
                continue;
            }
            if self.value.first() != Some(first) {
                return false;
            }
            prefix = &prefix[1..];
            self.value = &self.value[1..];
        }
        true
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Refusal> {
        let (taken, rest) = self.value.split_at_checked(count).ok_or(Refusal::Mismatch)?;
        self.value = rest;
        Ok(taken)
    }

    fn two_digits(&mut self, fixed: bool) -> Result<i64, Refusal> {
        let count = match self.value {
            [first, second, ..] if first.is_ascii_digit() && second.is_ascii_digit() => 2,
            [first, ..] if first.is_ascii_digit() && !fixed => 1,
            _ => return Err(Refusal::Mismatch),
        };
        let digits = self.take(count)?;
        number(digits).ok_or(Refusal::Mismatch)
    }

    fn ranged(&mut self, fixed: bool, highest: i64, what: &'static str) -> Result<i64, Refusal> {
        let value = self.two_digits(fixed)?;
        if value > highest { Err(Refusal::OutOfRange(what)) } else { Ok(value) }
    }

    fn name(&mut self, names: &[&str], width: usize) -> Result<i64, Refusal> {
        for (index, name) in names.iter().enumerate() {
            let name = &name[..width.min(name.len())];
            if let Some(text) = self.value.get(..name.len())
                && text.eq_ignore_ascii_case(name.as_bytes())
            {
                self.value = &self.value[name.len()..];
                return Ok(index as i64);
            }
        }
        Err(Refusal::Mismatch)
    }

    /// A separator and digits.
    fn fraction(&mut self, digits: usize) -> Result<(), Refusal> {
        if !matches!(self.value.first(), Some(b'.' | b',')) {
            return Err(Refusal::Mismatch);
        }
        let text = &self.value[1..=digits.min(9)];
        let value = number(text).ok_or(Refusal::Mismatch)?;
        self.nanosecond = value * 10_i64.pow(9 - text.len() as u32);
        self.value = &self.value[1 + digits..];
        Ok(())
    }

    fn mismatch(&self, element: &[u8], value: &[u8]) -> String {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote_time(self.whole),
            quote_time(self.layout),
            quote_time(value),
            quote_time(element)
        )
    }

    fn complaint(&self, message: &str) -> String {
        format!("parsing time {}{message}", quote_time(self.whole))
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn without_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| **byte == b' ').count()..]
}

/// How many bytes of a text look like a time zone's abbreviation.
fn zone_name_width(value: &[u8]) -> Option<usize> {
    if value.len() < 3 {
        return None;
    }
    if value.starts_with(b"ChST") || value.starts_with(b"MeST") {
        return Some(4);
    }
    if value.starts_with(b"GMT") {
        return Some(3 + signed_offset_width(&value[3..]).unwrap_or(0));
    }
    if matches!(value[0], b'+' | b'-') {
        return signed_offset_width(value);
    }
    let upper = value.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count();
    match upper {
        3 => Some(3),
        4 if value[3] == b'T' || value.starts_with(b"WITA") => Some(4),
        5 if value[4] == b'T' => Some(5),
        _ => None,
    }
}

fn signed_offset_width(value: &[u8]) -> Option<usize> {
    if !matches!(value.first(), Some(b'+' | b'-')) {
        return None;
    }
    let digits = value[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let hours = value[1..1 + digits]
        .iter()
        .fold(0u64, |hours, digit| hours.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    (digits > 0 && hours <= 23).then_some(1 + digits)
}
