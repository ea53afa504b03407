//! Times as the server reads and writes them.

use jiff::Timestamp;

/// An RFC 3339 time in UTC and whole seconds.
pub(crate) fn canonical_time(text: &str) -> Option<String> {
    Some(read(text)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// An RFC 3339 time in UTC with microseconds, of which there must be six digits.
pub(crate) fn canonical_micro_time(text: &str) -> Option<String> {
    let fraction = text.get(19..)?.strip_prefix('.')?;
    if fraction.bytes().take_while(u8::is_ascii_digit).count() != 6 {
        return None;
    }
    Some(read(text)?.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
}

/// A text as Go's parser of times quotes it, with what is not plain ASCII as bytes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Why Go's parser does not take a text for a time of this layout.
pub(crate) fn parse_complaint(text: &str, layout: &str) -> String {
    let cannot =
        |rest: &str, element: &str| format!(" as {layout:?}: cannot parse {} as {element:?}", quoted(rest));
    let range = |what: &str| format!(": {what} out of range");
    let mut rest = text;
    let elements: [(&str, usize, &str, std::ops::RangeInclusive<u32>); 6] = [
        ("2006", 4, "year", 0..=9999),
        ("01", 2, "month", 1..=12),
        ("02", 2, "day", 1..=31),
        ("15", 2, "hour", 0..=23),
        ("04", 2, "minute", 0..=59),
        ("05", 2, "second", 0..=59),
    ];
    for (index, (element, digits, name, bounds)) in elements.into_iter().enumerate() {
        let separator = ["", "-", "-", "T", ":", ":"][index];
        match rest.strip_prefix(separator) {
            Some(after) => rest = after,
            None => return cannot(rest, separator),
        }
        let mut found = rest.bytes().take(digits).take_while(u8::is_ascii_digit).count();
        if element == "15" && found == 1 {
            found = 2.min(found);
        } else if found < digits {
            return cannot(rest, element);
        }
        let number: u32 = rest[..found].parse().unwrap_or(0);
        if !bounds.contains(&number) {
            return range(name);
        }
        rest = &rest[found..];
    }
    if layout.contains(".000000") {
        let digits = rest.strip_prefix('.').map_or(0, |f| f.bytes().take_while(u8::is_ascii_digit).count());
        if digits < 6 {
            return cannot(rest, ".000000");
        }
        rest = &rest[7..];
    } else if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            rest = &fraction[digits..];
        }
    }
    if let Some(extra) = rest.strip_prefix('Z') {
        return if extra.is_empty() { range("day") } else { format!(": extra text: {}", quoted(extra)) };
    }
    let zone = rest.as_bytes();
    let is_zone = zone.len() >= 6
        && matches!(zone[0], b'+' | b'-')
        && zone[3] == b':'
        && [1, 2, 4, 5].iter().all(|at| zone[*at].is_ascii_digit());
    if !is_zone {
        return cannot(rest, "Z07:00");
    }
    if zone.len() > 6 { format!(": extra text: {}", quoted(&rest[6..])) } else { range("day") }
}

fn read(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let strict = bytes.len() >= 20 && bytes[10] == b'T' && !text.contains(['[', ' ', 'z']);
    if !strict {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        assert_eq!(canonical_time("2026-01-02T03:04:05.999Z").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(canonical_time("2026-01-02T03:04:05+01:00").as_deref(), Some("2026-01-02T02:04:05Z"));
        assert_eq!(
            canonical_micro_time("2026-01-02T04:04:05.120000+01:00").as_deref(),
            Some("2026-01-02T03:04:05.120000Z")
        );
        assert_eq!(canonical_micro_time("2026-01-02T03:04:05Z"), None);
        assert_eq!(
            parse_complaint("2026-01-02T03:04:05Z", "2006-01-02T15:04:05.000000Z07:00"),
            " as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\""
        );
        assert_eq!(canonical_time("yesterday"), None);
        assert_eq!(canonical_time("2026-01-02 03:04:05Z"), None);
    }
}
