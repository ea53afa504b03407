//! The parts of a message that differ each time the same thing is said: times, durations, ids of requests, addresses.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// What stands for a part that is left out.
const PLACE: &str = "…";

static VOLATILE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts = [
        // UUIDs.
        r"\b[[:xdigit:]]{8}(?:-[[:xdigit:]]{4}){3}-[[:xdigit:]]{12}\b",
        // Times.
        r"\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z\b|[+-]\d\d:?\d\d)?",
        // Durations as Go writes them.
        r"\b(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+\b",
        // Addresses, with the port of whoever asked.
        r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b",
        r"\[[[:xdigit:]:.]+\](?::\d+)?",
        // What services call their requests.
        r#"(?i:\b(?:request|host|trace|correlation)[-_ ]?id)["']?\s*[:=]\s*["']?[\w./+=-]+"#,
    ];
    Regex::new(&parts.join("|")).ok()
});

/// A message without them.
pub fn without(message: &str) -> Cow<'_, str> {
    match VOLATILE.as_ref() {
        Some(volatile) => volatile.replace_all(message, PLACE),
        None => Cow::Borrowed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn what_differs_each_time_is_left_out_and_nothing_else() {
        for (a, b) in [
            (
                "Reconciliation finished in 1.2s, next run in 10m0s",
                "Reconciliation finished in 803.5ms, next run in 10m0s",
            ),
            (
                "AccessDenied, RequestID: 7XK3QJ, HostID: a/b+c=, x",
                "AccessDenied, RequestID: 9ZZ, HostID: q==, x",
            ),
            ("dial tcp 10.96.0.10:53: i/o timeout", "dial tcp 10.96.0.11:53: i/o timeout"),
            ("read udp [fd00::1]:4711->x", "read udp [fd00::2]:4712->x"),
            (
                "id 0c9c2e41-5f0a-4a63-8e0a-1b2c3d4e5f60 at 2026-08-01T10:00:00.5Z",
                "id 1c9c2e41-5f0a-4a63-8e0a-1b2c3d4e5f61 at 2026-08-01T10:00:01+02:00",
            ),
            ("request id=\"abc\"", "request id=\"def\""),
        ] {
            assert_eq!(without(a), without(b), "{a}");
        }
        for same in [
            "Applied revision: main@sha1:0123456789abcdef0123456789abcdef01234567",
            "chart podinfo 6.5.4 is not ready",
            "Deployment/apps/web2 has 3 replicas",
            "exit code 137",
        ] {
            assert_eq!(without(same), same);
        }
    }
}
