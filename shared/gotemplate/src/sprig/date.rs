//! Dates and durations.

use super::argument::{ANY, STRING, integer, item, text};
use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::number::{NumberError, parse_int};
use crate::time::{Time, Zone, format_duration, now, parse_duration, parse_time, round_duration};
use crate::types::{IntType, Type};
use crate::value::Value;

const TIME: Type = Type::Object("time.Time");
const HTML: &[u8] = b"2006-01-02";

pub(super) fn register(functions: &mut Functions) {
    functions.insert("now", Function::new(&[], |call, _| Ok(now(call).into_value())));
    functions.insert(
        "date",
        Function::new(&[STRING, ANY], |call, a| Ok(formatted(call, text(a, 0), item(a, 1), "Local"))),
    );
    functions.insert(
        "dateInZone",
        Function::new(&[STRING, ANY, STRING], |call, a| {
            Ok(formatted(call, text(a, 0), item(a, 1), &String::from_utf8_lossy(text(a, 2))))
        }),
    );
    functions.alias("date_in_zone", "dateInZone");
    functions
        .insert("htmlDate", Function::new(&[ANY], |call, a| Ok(formatted(call, HTML, item(a, 0), "Local"))));
    functions.insert(
        "htmlDateInZone",
        Function::new(&[ANY, STRING], |call, a| {
            Ok(formatted(call, HTML, item(a, 0), &String::from_utf8_lossy(text(a, 1))))
        }),
    );
    functions.insert(
        "dateModify",
        Function::new(&[STRING, TIME], |_, a| {
            Ok(parse_duration(text(a, 0))
                .ok()
                .and_then(|duration| time(item(a, 1)).map(|time| time.add(duration).into_value()))
                .unwrap_or_else(|| item(a, 1).clone()))
        }),
    );
    functions.alias("date_modify", "dateModify");
    functions.insert(
        "mustDateModify",
        Function::new(&[STRING, TIME], |_, a| {
            let duration = parse_duration(text(a, 0)).map_err(|error| Error::new(error.to_string()))?;
            Ok(time(item(a, 1)).map_or_else(|| item(a, 1).clone(), |time| time.add(duration).into_value()))
        }),
    );
    functions.alias("must_date_modify", "mustDateModify");
    functions.insert(
        "toDate",
        Function::new(&[STRING, STRING], |_, a| {
            Ok(parse_time(text(a, 0), text(a, 1)).unwrap_or_else(|_| Time::zero()).into_value())
        }),
    );
    functions.insert(
        "mustToDate",
        Function::new(&[STRING, STRING], |_, a| {
            Ok(parse_time(text(a, 0), text(a, 1)).map_err(Error::new)?.into_value())
        }),
    );
    functions.insert(
        "unixEpoch",
        Function::new(&[TIME], |_, a| {
            Ok(Value::from(time(item(a, 0)).map_or(0, |time| time.unix()).to_string()))
        }),
    );
    functions.insert(
        "ago",
        Function::new(&[ANY], |call, a| {
            let moment = match item(a, 0) {
                Value::Int(_, IntType::Int | IntType::Int64) => Time::new(integer(a, 0), 0, Zone::Local),
                other => time(other).unwrap_or_else(|| now(call)),
            };
            Ok(Value::from(format_duration(round_duration(now(call).since(&moment), 1_000_000_000))))
        }),
    );
    functions.insert(
        "duration",
        Function::new(&[ANY], |_, a| {
            let seconds = match item(a, 0) {
                Value::String(text) => saturating(text),
                Value::Int(seconds, IntType::Int64) => *seconds,
                _ => 0,
            };
            Ok(Value::from(format_duration(seconds.wrapping_mul(1_000_000_000))))
        }),
    );
    functions.insert(
        "durationRound",
        Function::new(&[ANY], |call, a| {
            let duration = match item(a, 0) {
                Value::String(text) => parse_duration(text).unwrap_or(0),
                Value::Int(duration, IntType::Int64) => *duration,
                other => time(other).map_or(0, |time| now(call).since(&time)),
            };
            Ok(Value::from(round_to_unit(duration)))
        }),
    );
}

fn time(value: &Value) -> Option<Time> {
    match value {
        Value::Object(object) => object.as_any().downcast_ref::<Time>().cloned(),
        _ => None,
    }
}

/// Anything that is no time and no integer is now, floats included.
fn formatted(call: &mut Call<'_>, layout: &[u8], date: &Value, zone: &str) -> Value {
    let moment = match date {
        Value::Int(seconds, IntType::Int | IntType::Int32 | IntType::Int64) => {
            Time::new(*seconds, 0, Zone::Local)
        }
        other => time(other).unwrap_or_else(|| now(call)),
    };
    Value::string(moment.with_zone(Zone::load(zone).unwrap_or(Zone::Utc)).format(layout))
}

fn saturating(text: &[u8]) -> i64 {
    match parse_int(text, 10) {
        Ok(number) => number,
        Err(NumberError::Syntax) => 0,
        Err(NumberError::Range) if text.starts_with(b"-") => i64::MIN,
        Err(NumberError::Range) => i64::MAX,
    }
}

/// The largest unit that the duration exceeds.
fn round_to_unit(duration: i64) -> String {
    const HOUR: u64 = 3_600_000_000_000;
    let magnitude = duration.unsigned_abs();
    let units = [
        (HOUR * 24 * 365, "y"),
        (HOUR * 24 * 30, "mo"),
        (HOUR * 24, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (HOUR / 3600, "s"),
    ];
    match units.iter().find(|(unit, _)| magnitude > *unit) {
        Some((unit, name)) => format!("{}{name}", magnitude / unit),
        None => "0s".to_owned(),
    }
}
