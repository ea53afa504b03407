//! Points in time as release records and chart files carry them: with the zone they were written in.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;

/// A point in time with nanoseconds and its original offset, printed as Go's `time.RFC3339Nano`.
///
/// The offset is kept because release digests are made over the printed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    timestamp: Timestamp,
    offset: Offset,
}

impl Time {
    /// Reads RFC 3339 text. `None` when it is something else.
    pub fn parse(text: &str) -> Option<Time> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        let bytes = text.as_bytes();
        // The shape is RFC 3339's alone: jiff reads more.
        let shaped = bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T';
        let zoned = text.ends_with('Z')
            || (bytes.len() >= 25
                && matches!(bytes[bytes.len() - 6], b'+' | b'-')
                && bytes[bytes.len() - 3] == b':');
        if !shaped || !zoned {
            return None;
        }
        let pieces = PARSER.parse_pieces(text).ok()?;
        let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
        let datetime = pieces.date().to_datetime(pieces.time()?);
        let timestamp = offset.to_timestamp(datetime).ok()?;
        Some(Time { timestamp, offset })
    }

    /// The time in UTC.
    pub fn from_timestamp(timestamp: Timestamp) -> Time {
        Time { timestamp, offset: Offset::UTC }
    }

    /// The time from seconds since the epoch, in UTC; `None` when they are out of range.
    pub fn from_second(second: i64) -> Option<Time> {
        Timestamp::from_second(second).ok().map(Time::from_timestamp)
    }

    /// The instant, without the offset.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

/// What Go prints for a time that was never set.
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.offset.to_datetime(self.timestamp);
        write!(f, "{:04}-{:02}-{:02}T", local.year(), local.month(), local.day())?;
        write!(f, "{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())?;
        let nanosecond = local.subsec_nanosecond();
        if nanosecond != 0 {
            let digits = format!("{nanosecond:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        let seconds = self.offset.seconds();
        if seconds == 0 {
            return f.write_str("Z");
        }
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_and_the_nanoseconds_survive() {
        for (text, shown) in [
            ("2024-01-02T03:04:05.120000000+02:00", "2024-01-02T03:04:05.12+02:00"),
            ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456789Z"),
            ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05Z"),
            ("2024-12-31T23:59:59-03:30", "2024-12-31T23:59:59-03:30"),
        ] {
            assert_eq!(Time::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(Time::parse("2024-01-02"), None);
        assert_eq!(Time::parse("2024-01-02T03:04:05"), None);
        assert_eq!(Time::parse(""), None);
    }
}
