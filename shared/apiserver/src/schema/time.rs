//! Times as the server reads and writes them.

use jiff::Timestamp;

/// An RFC 3339 time in UTC and whole seconds.
pub(crate) fn canonical_time(text: &str) -> Option<String> {
    Some(read(text)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// An RFC 3339 time in UTC with microseconds.
pub(crate) fn canonical_micro_time(text: &str) -> Option<String> {
    Some(read(text)?.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
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
            canonical_micro_time("2026-01-02T03:04:05Z").as_deref(),
            Some("2026-01-02T03:04:05.000000Z")
        );
        assert_eq!(canonical_time("yesterday"), None);
        assert_eq!(canonical_time("2026-01-02 03:04:05Z"), None);
    }
}
