//! What Go's standard library says of text, in its words, for programs whose errors must read as Go's do.

use std::net::Ipv6Addr;

use crate::sprig::url::{Url, hostname, unescape_path};
use fluxide_gotext::quote_str;

/// The parts of an address that `net/url` tells apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlParts {
    /// The scheme in lower case, without its colon.
    pub scheme: String,
    /// The host with its port, and brackets around IPv6 addresses.
    pub host: String,
    /// The host alone.
    pub hostname: String,
}

/// `url.Parse`.
///
/// ```
/// use fluxide_gotemplate::go::parse_url;
///
/// assert_eq!(parse_url("http://[::1]:80/a").unwrap().hostname, "::1");
/// assert_eq!(parse_url(":").unwrap_err(), "parse \":\": missing protocol scheme");
/// ```
pub fn parse_url(text: &str) -> Result<UrlParts, String> {
    let url = Url::parse(text.as_bytes()).map_err(lossy)?;
    let hostname = lossy(hostname(&url.host).to_vec());
    Ok(UrlParts { scheme: lossy(url.scheme), host: lossy(url.host), hostname })
}

/// `url.PathUnescape`.
pub fn unescape_url_path(text: &str) -> Result<String, String> {
    unescape_path(text.as_bytes()).map(lossy).map_err(lossy)
}

/// The complaint of `time.Parse` about a text that is no time of the layout.
pub fn check_time(layout: &str, text: &str) -> Result<(), String> {
    crate::time::parse_time(layout.as_bytes(), text.as_bytes()).map(drop)
}

/// `time.ParseDuration`, in nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    fluxide_gotext::parse_duration(text.as_bytes()).map_err(|error| error.to_string())
}

/// The complaint of `json.Unmarshal` about a text that is not JSON.
pub fn check_json(text: &[u8]) -> Result<(), String> {
    crate::sprig::check_json(text).map_err(|error| error.to_string())
}

/// What Kubernetes' reader of YAML and JSON says of a text whose first value is no JSON.
pub fn json_stream_error(text: &[u8]) -> Option<String> {
    let (offset, error) = crate::sprig::first_json_error(text)?;
    Some(match error.to_string() {
        ended if ended == "unexpected end of JSON input" => "unexpected EOF".to_owned(),
        problem => format!("json: offset {offset}: {problem}"),
    })
}

/// `strconv.Atoi`.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let failed = |why: &str| format!("strconv.Atoi: parsing {}: {why}", quote_str(text));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    text.parse().map_err(|_| failed("value out of range"))
}

/// The complaint of `netip.ParseAddr` about a text with a colon that is no IPv6 address; else its zone.
pub fn parse_ipv6(text: &str) -> Result<Option<&str>, String> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    // The first of these characters decides what kind of address it is.
    match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b':') => {}
        Some(b'.') => return ipv4_fields(text, text).map(|()| None),
        Some(_) => return Err(address_error(text, "missing IPv6 address", "")),
        None => return Err(address_error(text, "unable to parse IP", "")),
    }
    if zone == Some("") {
        return Err(address_error(text, "zone must be a non-empty string", ""));
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok(zone);
    }
    ipv6_fields(text, address).map(|()| zone)
}

fn ipv6_fields(whole: &str, address: &str) -> Result<(), String> {
    let failed = |message: &str, at: &str| Err(address_error(whole, message, at));
    let mut rest = address;
    let mut ellipsis = false;
    if let Some(behind) = rest.strip_prefix("::") {
        ellipsis = true;
        rest = behind;
        if rest.is_empty() {
            return Ok(());
        }
    }
    let mut bytes = 0;
    while bytes < 16 {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits > 4 {
            return failed("each group must have 4 or less digits", rest);
        }
        if digits == 0 {
            return failed("each colon-separated field must have at least one digit", rest);
        }
        if rest[digits..].starts_with('.') {
            if !ellipsis && bytes != 12 {
                return failed("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if bytes + 4 > 16 {
                return failed("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            ipv4_fields(whole, rest)?;
            rest = "";
            bytes += 4;
            break;
        }
        bytes += 2;
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        let Some(behind) = rest.strip_prefix(':') else {
            return failed("unexpected character, want colon", rest);
        };
        if behind.is_empty() {
            return failed("colon must be followed by more characters", rest);
        }
        rest = behind;
        if let Some(behind) = rest.strip_prefix(':') {
            if ellipsis {
                return failed("multiple :: in address", rest);
            }
            ellipsis = true;
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return failed("trailing garbage after address", rest);
    }
    match (bytes < 16, ellipsis) {
        (true, false) => failed("address string too short", ""),
        (false, true) => failed("the :: must expand to at least one field of zeros", ""),
        _ => Ok(()),
    }
}

fn ipv4_fields(whole: &str, text: &str) -> Result<(), String> {
    let failed = |message: &str, at: &str| Err(address_error(whole, message, at));
    let bytes = text.as_bytes();
    let (mut value, mut digits, mut dots) = (0u32, 0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return failed("IPv4 field has octet with leading zero", "");
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return failed("IPv4 field has value >255", "");
                }
            }
            b'.' => {
                if at == 0 || at == bytes.len() - 1 || bytes[at - 1] == b'.' {
                    return failed("IPv4 field must have at least one digit", &text[at..]);
                }
                if dots == 3 {
                    return failed("IPv4 address too long", "");
                }
                dots += 1;
                (value, digits) = (0, 0);
            }
            _ => return failed("unexpected character", text.get(at..).unwrap_or_default()),
        }
    }
    if dots < 3 { failed("IPv4 address too short", "") } else { Ok(()) }
}

fn address_error(whole: &str, message: &str, at: &str) -> String {
    let at = if at.is_empty() { String::new() } else { format!(" (at {})", quote_str(at)) };
    format!("ParseAddr({}): {message}{at}", quote_str(whole))
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_in_the_words_of_go() {
        for good in ["::", "1::2", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1.2.3.4"] {
            assert_eq!(parse_ipv6(good), Ok(None), "{good}");
        }
        assert_eq!(parse_ipv6("::1%eth0"), Ok(Some("eth0")));
        for (bad, problem) in [
            ("1::2::3", "multiple :: in address (at \":3\")"),
            ("::12345", "each group must have 4 or less digits (at \"12345\")"),
            ("1:", "colon must be followed by more characters (at \":\")"),
            ("1:2", "address string too short"),
            ("1:2:3:4:5:6:7:8:9", "trailing garbage after address (at \"9\")"),
            ("::1.2.3", "IPv4 address too short"),
            ("::1.2.3.256", "IPv4 field has value >255"),
            ("g::", "unable to parse IP"),
            ("%:", "missing IPv6 address"),
            ("::%", "zone must be a non-empty string"),
        ] {
            let error = parse_ipv6(bad).unwrap_err();
            if bad == "g::" {
                assert!(error.contains("each colon-separated field"), "{error}");
                continue;
            }
            assert_eq!(error, format!("ParseAddr({bad:?}): {problem}"));
        }
    }

    #[test]
    fn numbers_durations_and_times_are_refused_in_the_words_of_go() {
        assert_eq!(parse_int("+5"), Ok(5));
        assert_eq!(parse_int("a").unwrap_err(), "strconv.Atoi: parsing \"a\": invalid syntax");
        let large = "99999999999999999999";
        assert_eq!(
            parse_int(large).unwrap_err(),
            format!("strconv.Atoi: parsing \"{large}\": value out of range")
        );
        assert_eq!(parse_duration("x").unwrap_err(), "time: invalid duration \"x\"");
        assert_eq!(
            check_time("2006-01-02", "2023-02-29").unwrap_err(),
            "parsing time \"2023-02-29\": day out of range"
        );
    }
}
