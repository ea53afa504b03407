//! Go's `time`: moments, layouts, durations.

mod duration;
mod layout;
mod moment;
mod parse;

pub(crate) use duration::{round_duration, truncate_duration};
pub(crate) use fluxide_gotext::{format_duration, parse_duration};
pub(crate) use moment::{MONTHS, Time, WEEKDAYS, Zone};
pub(crate) use parse::parse_time;

use crate::error::Error;
use crate::function::{Call, Method};
use crate::types::{IntType, Type};
use crate::value::Value;

/// How a named integer type prints.
pub(crate) fn integer_text(number: i64, int: IntType) -> String {
    let name = |names: &[&str], index: i64, type_name: &str| match usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
    {
        Some(name) => (*name).to_owned(),
        None => format!("%!{type_name}({number})"),
    };
    match int {
        IntType::Duration => format_duration(number),
        IntType::Month => name(&MONTHS, number.wrapping_sub(1), "Month"),
        IntType::Weekday => name(&WEEKDAYS, number, "Weekday"),
        _ => number.to_string(),
    }
}

/// The methods of the named integer types.
pub(crate) fn integer_methods(int: IntType) -> &'static [Method] {
    match int {
        IntType::Duration => DURATION_METHODS,
        IntType::Month | IntType::Weekday => STRING_METHOD,
        _ => &[],
    }
}

macro_rules! methods {
    ($($name:literal ($($parameter:expr),*) = $body:expr;)*) => {
        &[$($crate::function::Method { name: $name, parameters: &[$($parameter),*], variadic: None, refusal: None, body: $body }),*]
    };
}
pub(crate) use methods;

const DURATION: Type = Type::Int(IntType::Duration);

static STRING_METHOD: &[Method] = methods! {
    "String"() = |_, receiver, _| Ok(named_text(receiver));
};

static DURATION_METHODS: &[Method] = methods! {
    "Abs"() = |_, receiver, _| Ok(duration(nanoseconds(receiver).checked_abs().unwrap_or(i64::MAX)));
    "Hours"() = |_, receiver, _| Ok(Value::Float(split(receiver, 3_600_000_000_000)));
    "Microseconds"() = |_, receiver, _| Ok(Value::int64(nanoseconds(receiver) / 1_000));
    "Milliseconds"() = |_, receiver, _| Ok(Value::int64(nanoseconds(receiver) / 1_000_000));
    "Minutes"() = |_, receiver, _| Ok(Value::Float(split(receiver, 60_000_000_000)));
    "Nanoseconds"() = |_, receiver, _| Ok(Value::int64(nanoseconds(receiver)));
    "Round"(DURATION) = |_, receiver, arguments| Ok(duration(round_duration(nanoseconds(receiver), nanoseconds(&arguments[0]))));
    "Seconds"() = |_, receiver, _| Ok(Value::Float(split(receiver, 1_000_000_000)));
    "String"() = |_, receiver, _| Ok(named_text(receiver));
    "Truncate"(DURATION) = |_, receiver, arguments| Ok(duration(truncate_duration(nanoseconds(receiver), nanoseconds(&arguments[0]))));
};

fn named_text(receiver: &Value) -> Value {
    match receiver {
        Value::Int(number, int) => Value::from(integer_text(*number, *int)),
        _ => Value::Nil,
    }
}

fn nanoseconds(value: &Value) -> i64 {
    match value {
        Value::Int(number, _) => *number,
        _ => 0,
    }
}

/// A `time.Duration`.
pub(crate) fn duration(nanoseconds: i64) -> Value {
    Value::Int(nanoseconds, IntType::Duration)
}

/// The whole units and the fraction apart, as Go divides durations.
fn split(receiver: &Value, unit: i64) -> f64 {
    split_units(nanoseconds(receiver), unit)
}

/// A duration in a unit, without losing precision.
pub(crate) fn split_units(nanoseconds: i64, unit: i64) -> f64 {
    (nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / unit as f64
}

fn receiver_time(receiver: &Value) -> Result<Time, Error> {
    match receiver {
        Value::Object(object) => object
            .as_any()
            .downcast_ref::<Time>()
            .cloned()
            .ok_or_else(|| Error::new("receiver is no time.Time")),
        _ => Err(Error::new("receiver is no time.Time")),
    }
}

fn argument_int(value: &Value) -> i64 {
    nanoseconds(value)
}

const TIME: Type = Type::Object("time.Time");
const INT: Type = Type::Int(IntType::Int);

/// A method that Go refuses to call.
const fn refused(name: &'static str, refusal: &'static str) -> Method {
    Method { name, parameters: &[], variadic: None, refusal: Some(refusal), body: |_, _, _| Ok(Value::Nil) }
}

/// The methods of `time.Time` with more results than a template can take.
static REFUSED_TIME_METHODS: [Method; 4] = [
    refused("Clock", "function Clock has 3 return values; should be 1 or 2"),
    refused("Date", "function Date has 3 return values; should be 1 or 2"),
    refused("ISOWeek", "invalid function signature for ISOWeek: second return value should be error; is int"),
    refused("Zone", "invalid function signature for Zone: second return value should be error; is int"),
];

pub(crate) fn refused_methods() -> &'static [Method] {
    &REFUSED_TIME_METHODS
}

static TIME_METHODS: &[Method] = methods! {
    "Add"(DURATION) = |_, receiver, arguments| Ok(receiver_time(receiver)?.add(nanoseconds(&arguments[0])).into_value());
    "AddDate"(INT, INT, INT) = |_, receiver, arguments| {
        let [years, months, days] = [0, 1, 2].map(|at| argument_int(&arguments[at]));
        Ok(receiver_time(receiver)?.add_date(years, months, days).into_value())
    };
    "After"(TIME) = |_, receiver, arguments| Ok(Value::Bool(receiver_time(receiver)?.instant() > receiver_time(&arguments[0])?.instant()));
    "Before"(TIME) = |_, receiver, arguments| Ok(Value::Bool(receiver_time(receiver)?.instant() < receiver_time(&arguments[0])?.instant()));
    "Compare"(TIME) = |_, receiver, arguments| {
        Ok(Value::int(receiver_time(receiver)?.instant().cmp(&receiver_time(&arguments[0])?.instant()) as i64))
    };
    "Day"() = |_, receiver, _| Ok(Value::int(receiver_time(receiver)?.fields().day));
    "Equal"(TIME) = |_, receiver, arguments| Ok(Value::Bool(receiver_time(receiver)?.instant() == receiver_time(&arguments[0])?.instant()));
    "Format"(Type::String) = |call, receiver, arguments| match &arguments[0] {
        Value::String(layout) => {
            let text = receiver_time(receiver)?.format(layout);
            call.charge(text.len())?;
            Ok(Value::string(text))
        }
        _ => Ok(Value::Nil),
    };
    "GoString"() = |_, receiver, _| Ok(Value::from(receiver_time(receiver)?.go_string()));
    "Hour"() = |_, receiver, _| Ok(Value::int(receiver_time(receiver)?.fields().hour));
    "IsDST"() = |_, receiver, _| Ok(Value::Bool(receiver_time(receiver)?.is_daylight_saving()));
    "IsZero"() = |_, receiver, _| Ok(Value::Bool(receiver_time(receiver)?.is_zero()));
    "Location"() = |_, receiver, _| Ok(receiver_time(receiver)?.location());
    "Local"() = |_, receiver, _| Ok(receiver_time(receiver)?.with_zone(Zone::Local).into_value());
    "Minute"() = |_, receiver, _| Ok(Value::int(receiver_time(receiver)?.fields().minute));
    "Month"() = |_, receiver, _| Ok(Value::Int(receiver_time(receiver)?.fields().month, IntType::Month));
    "Nanosecond"() = |_, receiver, _| Ok(Value::int(i64::from(receiver_time(receiver)?.nanosecond())));
    "Round"(DURATION) = |_, receiver, arguments| Ok(receiver_time(receiver)?.round(nanoseconds(&arguments[0])).into_value());
    "Second"() = |_, receiver, _| Ok(Value::int(receiver_time(receiver)?.fields().second));
    "String"() = |_, receiver, _| Ok(Value::from(receiver_time(receiver)?.to_string()));
    "Sub"(TIME) = |_, receiver, arguments| Ok(duration(receiver_time(receiver)?.since(&receiver_time(&arguments[0])?)));
    "Truncate"(DURATION) = |_, receiver, arguments| Ok(receiver_time(receiver)?.truncate(nanoseconds(&arguments[0])).into_value());
    "UTC"() = |_, receiver, _| Ok(receiver_time(receiver)?.with_zone(Zone::Utc).into_value());
    "Unix"() = |_, receiver, _| Ok(Value::int64(receiver_time(receiver)?.unix()));
    "UnixMicro"() = |_, receiver, _| Ok(Value::int64(receiver_time(receiver)?.unix_in(1_000_000)));
    "UnixMilli"() = |_, receiver, _| Ok(Value::int64(receiver_time(receiver)?.unix_in(1_000)));
    "UnixNano"() = |_, receiver, _| Ok(Value::int64(receiver_time(receiver)?.unix_in(1_000_000_000)));
    "Weekday"() = |_, receiver, _| Ok(Value::Int(receiver_time(receiver)?.fields().weekday, IntType::Weekday));
    "Year"() = |_, receiver, _| Ok(Value::int(receiver_time(receiver)?.fields().year));
    "YearDay"() = |_, receiver, _| Ok(Value::int(receiver_time(receiver)?.fields().year_day));
};

/// The moment of the session, in the zone that stands for the local one: UTC, as in a controller.
pub(crate) fn now(call: &Call<'_>) -> Time {
    let now = call.session.now();
    let nanoseconds = now.as_nanosecond();
    Time::new(
        nanoseconds.div_euclid(1_000_000_000) as i64,
        nanoseconds.rem_euclid(1_000_000_000) as u32,
        Zone::Local,
    )
}
