//! Schedules in the notation of cron, and their time zones.

use crate::api_error::FieldError;

/// Checks the schedule of a CronJob.
pub(super) fn schedule(text: &str, errors: &mut Vec<FieldError>) {
    let path = "spec.schedule";
    if text.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if let Err(why) = parse_schedule(text) {
        errors.push(FieldError::invalid(path, text, why));
    }
    if text.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(path, text, why));
    }
}

/// Reads a schedule as the cron library does, for its errors.
fn parse_schedule(text: &str) -> Result<(), String> {
    let mut text = text;
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        let (zone, rest) = text.split_once(' ').ok_or_else(|| "panic recovered".to_owned())?;
        let zone = zone.split_once('=').map_or("", |(_, zone)| zone);
        if jiff::tz::TimeZone::get(zone).is_err() {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        text = rest.trim();
    }
    if let Some(name) = text.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let every = name.strip_prefix("every ");
        if known.contains(&name) {
            return Ok(());
        }
        return match every {
            Some(period) if super::super::formats::go_duration(period).is_some() => Ok(()),
            Some(period) => Err(format!(
                "failed to parse duration {text}: time: invalid duration {}",
                fluxide_gotext::quote_str(period)
            )),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    const MONTHS: &[&str] =
        &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let bounds: [(u32, u32, &[&str], u32); 5] =
        [(0, 59, &[], 0), (0, 23, &[], 0), (1, 31, &[], 0), (1, 12, MONTHS, 1), (0, 6, DAYS, 0)];
    for (field, (min, max, names, first)) in fields.iter().zip(bounds) {
        for expression in field.split(',') {
            range(expression, min, max, names, first)?;
        }
    }
    Ok(())
}

fn range(expression: &str, min: u32, max: u32, names: &[&str], first: u32) -> Result<(), String> {
    let (bounds, step) = match expression.split('/').collect::<Vec<_>>().as_slice() {
        [bounds] => (*bounds, 1),
        [bounds, step] => (*bounds, number(step)?),
        _ => return Err(format!("too many slashes: {expression}")),
    };
    let value = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        named.map_or_else(|| number(text), |index| Ok(index as u32 + first))
    };
    let (start, end) = match bounds.split('-').collect::<Vec<_>>().as_slice() {
        ["*" | "?"] => (min, max),
        [single] if expression.contains('/') => (value(single)?, max),
        [single] => (value(single)?, value(single)?),
        [start, end] => (value(start)?, value(end)?),
        _ => return Err(format!("too many hyphens: {expression}")),
    };
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {expression}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {expression}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {expression}"));
    }
    Ok(())
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).map_err(|_| format!("failed to parse int from {text}")),
        Err(_) => Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax",
            fluxide_gotext::quote_str(text)
        )),
    }
}

/// Checks the time zone of a schedule.
pub(super) fn time_zone(zone: &str, errors: &mut Vec<FieldError>) {
    let path = "spec.timeZone";
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    let well_formed = zone.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && !part.starts_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.'))
    });
    if !well_formed {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(path, zone, why));
    }
    if jiff::tz::TimeZone::get(zone).is_err() {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}
