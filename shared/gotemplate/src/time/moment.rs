//! A moment in a time zone.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use fluxide_gotext::quote_str;
use jiff::Timestamp;
use jiff::tz::{Dst, TimeZone, TimeZoneDatabase};

use super::layout::format_layout;
use super::{TIME_METHODS, methods};
use crate::collection::List;
use crate::function::Method;
use crate::object::Object;
use crate::text::Text;
use crate::types::ANY_LIST;
use crate::value::Value;

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(crate) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const DAY: i64 = 86_400;
/// The first of March of the year -292277022400, from which Go counts days.
const FIRST_SECOND: i128 = -9_223_372_028_741_760_000;
/// Seconds from year 1, where Go's zero time is, to 1970.
pub(crate) const ZERO_TIME: i64 = -62_135_596_800;

/// Go's `time.Time`.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    seconds: i64,
    nanosecond: u32,
    zone: Zone,
}

/// Where the clock on the wall hangs.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Utc,
    /// The zone of the process, which is UTC here.
    Local,
    /// A constant offset; the name may be empty.
    Fixed(Arc<str>, i32),
    /// A zone of the time zone database.
    Named(TimeZone),
}

impl Zone {
    /// `time.LoadLocation`.
    pub(crate) fn load(name: &str) -> Option<Zone> {
        match name {
            "" | "UTC" => Some(Zone::Utc),
            "Local" => Some(Zone::Local),
            _ => {
                // Go looks for a file, whose name is in the case of the database.
                let zone = TimeZoneDatabase::bundled().get(name).ok()?;
                (zone.iana_name() == Some(name)).then_some(Zone::Named(zone))
            }
        }
    }

    /// The name of the zone itself.
    fn name(&self) -> String {
        match self {
            Zone::Utc => "UTC".to_owned(),
            Zone::Local => "Local".to_owned(),
            Zone::Fixed(name, _) => name.to_string(),
            Zone::Named(zone) => zone.iana_name().unwrap_or_default().to_owned(),
        }
    }

    /// The abbreviation and the offset in seconds at a moment, and whether it is daylight saving time.
    pub(crate) fn at(&self, seconds: i64) -> (String, i64, bool) {
        match self {
            Zone::Utc | Zone::Local => ("UTC".to_owned(), 0, false),
            Zone::Fixed(name, offset) => (name.to_string(), i64::from(*offset), false),
            Zone::Named(zone) => {
                let clamped =
                    seconds.clamp(Timestamp::MIN.as_second() + 2 * DAY, Timestamp::MAX.as_second() - 2 * DAY);
                let info = zone.to_offset_info(Timestamp::from_second(clamped).unwrap_or_default());
                (info.abbreviation().to_owned(), i64::from(info.offset().seconds()), info.dst() == Dst::Yes)
            }
        }
    }
}

/// What calendar and clock show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) weekday: i64,
    pub(crate) year_day: i64,
}

impl Time {
    pub(crate) fn new(seconds: i64, nanosecond: u32, zone: Zone) -> Time {
        Time { seconds, nanosecond, zone }
    }

    /// Go's zero time: year 1.
    pub(crate) fn zero() -> Time {
        Time::new(ZERO_TIME, 0, Zone::Utc)
    }

    /// `time.Date`: parts out of their range carry over.
    pub(crate) fn from_date(
        year: i64,
        month: i64,
        day: i64,
        second_of_day: i64,
        nanosecond: i64,
        zone: Zone,
    ) -> Time {
        let carried = second_of_day.wrapping_add(nanosecond.div_euclid(1_000_000_000));
        let nanosecond = nanosecond.rem_euclid(1_000_000_000) as u32;
        let local = days_from_civil(year, month, 1)
            .wrapping_add(day.wrapping_sub(1))
            .wrapping_mul(DAY)
            .wrapping_add(carried);
        // The offset depends on the moment, which depends on the offset: look on both sides.
        let (_, offset, _) = zone.at(local);
        let mut seconds = local.wrapping_sub(offset);
        let (_, actual, _) = zone.at(seconds);
        if actual != offset {
            let retried = local.wrapping_sub(actual);
            let (_, confirmed, _) = zone.at(retried);
            if confirmed == actual {
                seconds = retried;
            }
        }
        Time { seconds, nanosecond, zone }
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(Arc::new(self))
    }

    pub(crate) fn unix(&self) -> i64 {
        self.seconds
    }

    /// Units since the epoch, given how many make a second.
    pub(crate) fn unix_in(&self, per_second: i64) -> i64 {
        self.seconds
            .wrapping_mul(per_second)
            .wrapping_add(i64::from(self.nanosecond) / (1_000_000_000 / per_second))
    }

    pub(crate) fn nanosecond(&self) -> u32 {
        self.nanosecond
    }

    pub(crate) fn instant(&self) -> (i64, u32) {
        (self.seconds, self.nanosecond)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.instant() == (ZERO_TIME, 0)
    }

    pub(crate) fn is_daylight_saving(&self) -> bool {
        self.zone.at(self.seconds).2
    }

    pub(crate) fn with_zone(mut self, zone: Zone) -> Time {
        self.zone = zone;
        self
    }

    /// The zone's abbreviation and offset at this moment.
    pub(crate) fn zone(&self) -> (String, i64) {
        let (name, offset, _) = self.zone.at(self.seconds);
        (name, offset)
    }

    pub(crate) fn fields(&self) -> Fields {
        let (_, offset, _) = self.zone.at(self.seconds);
        let local = i128::from(self.seconds.wrapping_add(offset));
        // Go counts from a first second of its own, in 64 bits: earlier ones come out in the far future.
        let local = if local < FIRST_SECOND { local + (1 << 64) } else { local };
        let days = local.div_euclid(i128::from(DAY)) as i64;
        let second = local.rem_euclid(i128::from(DAY)) as i64;
        let (year, month, day) = civil_from_days(days);
        Fields {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            weekday: (days + 4).rem_euclid(7),
            year_day: days - days_from_civil(year, 1, 1) + 1,
        }
    }

    pub(crate) fn add(&self, nanoseconds: i64) -> Time {
        let total = i64::from(self.nanosecond) + nanoseconds % 1_000_000_000;
        Time {
            seconds: self
                .seconds
                .wrapping_add(nanoseconds / 1_000_000_000)
                .wrapping_add(total.div_euclid(1_000_000_000)),
            nanosecond: total.rem_euclid(1_000_000_000) as u32,
            zone: self.zone.clone(),
        }
    }

    pub(crate) fn add_date(&self, years: i64, months: i64, days: i64) -> Time {
        let fields = self.fields();
        let second_of_day = fields.hour * 3600 + fields.minute * 60 + fields.second;
        Time::from_date(
            fields.year.wrapping_add(years),
            fields.month.wrapping_add(months),
            fields.day.wrapping_add(days),
            second_of_day,
            i64::from(self.nanosecond),
            self.zone.clone(),
        )
    }

    /// The duration from another moment, cut at the longest there is.
    pub(crate) fn since(&self, other: &Time) -> i64 {
        let exact = (i128::from(self.seconds) - i128::from(other.seconds)) * 1_000_000_000
            + i128::from(self.nanosecond)
            - i128::from(other.nanosecond);
        exact.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Cut to a multiple of a duration since the zero time.
    pub(crate) fn truncate(&self, unit: i64) -> Time {
        if unit <= 0 {
            return self.clone();
        }
        self.shifted(-self.beyond(unit))
    }

    /// The nearest multiple of a duration since the zero time, halves up.
    pub(crate) fn round(&self, unit: i64) -> Time {
        if unit <= 0 {
            return self.clone();
        }
        let beyond = self.beyond(unit);
        if beyond * 2 < i128::from(unit) {
            self.shifted(-beyond)
        } else {
            self.shifted(i128::from(unit) - beyond)
        }
    }

    fn beyond(&self, unit: i64) -> i128 {
        ((i128::from(self.seconds) - i128::from(ZERO_TIME)) * 1_000_000_000 + i128::from(self.nanosecond))
            .rem_euclid(i128::from(unit))
    }

    fn shifted(&self, nanoseconds: i128) -> Time {
        self.add(nanoseconds as i64)
    }

    /// The zone as a `*time.Location`.
    pub(crate) fn location(&self) -> Value {
        Value::Object(Arc::new(Location(self.zone.name())))
    }

    /// The time as `%#v` prints it.
    pub(crate) fn go_string(&self) -> String {
        let Fields { year, month, day, hour, minute, second, .. } = self.fields();
        let month = match usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)) {
            Some(month) => format!("time.{month}"),
            None => month.to_string(),
        };
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            Zone::Local => "time.Local".to_owned(),
            zone => format!("time.Location({})", quote_str(&zone.name())),
        };
        format!("time.Date({year}, {month}, {day}, {hour}, {minute}, {second}, {}, {zone})", self.nanosecond)
    }

    pub(crate) fn format(&self, layout: &[u8]) -> Vec<u8> {
        format_layout(self, layout)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.format(b"2006-01-02 15:04:05.999999999 -0700 MST")))
    }
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn hidden_fields(&self) -> &'static [&'static str] {
        &["wall", "ext", "loc"]
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        let location = Location(self.zone().0);
        vec![
            ("wall", Value::uint64(u64::from(self.nanosecond))),
            ("ext", Value::int64(self.seconds.wrapping_sub(ZERO_TIME))),
            ("loc", Value::Object(Arc::new(location))),
        ]
    }

    fn methods(&self) -> &'static [Method] {
        TIME_METHODS
    }

    fn text(&self) -> Option<Text> {
        Some(Text::from(self.to_string()))
    }

    fn go_text(&self) -> Option<Text> {
        Some(Text::from(self.go_string()))
    }

    fn json_text(&self) -> Option<Text> {
        Some(Text::from(self.format(b"2006-01-02T15:04:05.999999999Z07:00")))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other
            .as_any()
            .downcast_ref::<Time>()
            .is_some_and(|other| self.instant() == other.instant() && self.zone() == other.zone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `*time.Location`, which only shows when a time is printed field by field.
struct Location(String);

impl Object for Location {
    fn type_name(&self) -> &'static str {
        "*time.Location"
    }

    fn methods(&self) -> &'static [Method] {
        LOCATION_METHODS
    }

    fn text(&self) -> Option<Text> {
        Some(Text::from(self.0.as_str()))
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        let none = || Value::List(List::nil(&ANY_LIST));
        vec![
            ("name", Value::from(self.0.as_str())),
            ("zone", none()),
            ("tx", none()),
            ("extend", Value::from("")),
            ("cacheStart", Value::int64(0)),
            ("cacheEnd", Value::int64(0)),
            ("cacheZone", Value::Nil),
        ]
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Location>().is_some_and(|other| self.0 == other.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

static LOCATION_METHODS: &[Method] = methods! {
    "String"() = |_, receiver, _| Ok(receiver_text(receiver));
};

fn receiver_text(receiver: &Value) -> Value {
    match receiver {
        Value::Object(object) => object.text().map_or(Value::Nil, Value::String),
        _ => Value::Nil,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; months out of range carry over.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year.wrapping_add((month - 1).div_euclid(12));
    let month = (month - 1).rem_euclid(12) + 1;
    let year = if month <= 2 { year.wrapping_sub(1) } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.wrapping_mul(146_097).wrapping_add(day_of_era).wrapping_sub(719_468)
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The number of days of a month.
pub(crate) fn days_in(year: i64, month: i64) -> i64 {
    days_from_civil(year, month + 1, 1) - days_from_civil(year, month, 1)
}
