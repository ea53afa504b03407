//! What templates do with a `time.Duration`, which is a number of nanoseconds.

/// `Duration.Truncate`.
pub(crate) fn truncate_duration(value: i64, unit: i64) -> i64 {
    if unit <= 0 { value } else { value - value % unit }
}

/// `Duration.Round`: halves away from zero.
pub(crate) fn round_duration(value: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return value;
    }
    let rest = value % unit;
    let twice = rest.unsigned_abs() * 2;
    if value < 0 {
        if twice < unit as u64 { value - rest } else { value.checked_sub(unit + rest).unwrap_or(i64::MIN) }
    } else if twice < unit as u64 {
        value - rest
    } else {
        value.checked_add(unit - rest).unwrap_or(i64::MAX)
    }
}
