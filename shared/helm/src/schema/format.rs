//! The formats that JSON schemas name, checked as santhosh-tekuri/jsonschema checks them and refused in its words.

use std::error::Error as StdError;

use boon::{Compiler, Format};
use fluxide_gotemplate::go;
use fluxide_gotext::quote_char;
use serde_json::Value as Json;

type Check = Result<(), Box<dyn StdError>>;
type Named = (&'static str, fn(&Json) -> Check);

/// Makes a compiler check formats as Helm does.
pub(super) fn register(compiler: &mut Compiler) {
    let formats: [Named; 20] = [
        ("json-pointer", |value| text(value, json_pointer)),
        ("relative-json-pointer", |value| text(value, relative_json_pointer)),
        ("uuid", |value| text(value, uuid)),
        ("duration", |value| text(value, duration)),
        ("period", |value| text(value, period)),
        ("ipv4", |value| text(value, ipv4)),
        ("ipv6", |value| text(value, ipv6)),
        ("hostname", |value| text(value, hostname)),
        ("email", |value| text(value, email)),
        ("date", |value| text(value, date)),
        ("time", |value| text(value, time)),
        ("date-time", |value| text(value, date_time)),
        ("uri", |value| text(value, uri)),
        ("iri", |value| text(value, uri)),
        ("uri-reference", |value| text(value, uri_reference)),
        ("iri-reference", |value| text(value, uri_reference)),
        ("uri-template", |value| text(value, uri_template)),
        ("semver", |value| text(value, semver)),
        // These two are not checked.
        ("idn-hostname", |_| Ok(())),
        ("idn-email", |_| Ok(())),
    ];
    for (name, func) in formats {
        compiler.register_format(Format { name, func });
    }
}

fn text(value: &Json, check: fn(&str) -> Result<(), String>) -> Check {
    value.as_str().map_or(Ok(()), |text| check(text).map_err(Into::into))
}

fn fail<T>(problem: &str) -> Result<T, String> {
    Err(problem.to_owned())
}

fn json_pointer(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if !text.starts_with('/') {
        return fail("not starting with /");
    }
    for token in text.split('/').skip(1) {
        let mut characters = token.chars();
        while let Some(character) = characters.next() {
            if character == '~' && !matches!(characters.next(), Some('0' | '1')) {
                return fail("~ must be followed by 0 or 1");
            }
        }
    }
    Ok(())
}

fn relative_json_pointer(text: &str) -> Result<(), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return fail("must start with non-negative integer");
    }
    if digits > 1 && text.starts_with('0') {
        return fail("starts with zero");
    }
    if &text[digits..] == "#" { Ok(()) } else { json_pointer(&text[digits..]) }
}

fn uuid(text: &str) -> Result<(), String> {
    let lengths = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    if groups.len() != lengths.len() {
        return fail("must have 5 elements");
    }
    for (at, (group, length)) in groups.into_iter().zip(lengths).enumerate() {
        if group.len() != length {
            return Err(format!("element {} must be {length} characters long", at + 1));
        }
        if let Some(character) = group.chars().find(|character| !character.is_ascii_hexdigit()) {
            return Err(format!("non-hex character {}", quote_char(character)));
        }
    }
    Ok(())
}

fn duration(text: &str) -> Result<(), String> {
    let Some(text) = text.strip_prefix('P') else { return fail("must start with P") };
    if text.is_empty() {
        return fail("nothing after P");
    }
    if let Some(weeks) = text.strip_suffix('W') {
        return match weeks {
            "" => fail("no number in week"),
            weeks if weeks.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
            _ => fail("invalid week"),
        };
    }
    for (at, part) in text.split('T').enumerate() {
        if at != 0 && part.is_empty() {
            return fail("no time elements");
        }
        let Some(all) = ["YMD", "HMS"].get(at) else { return fail("more than one T") };
        let mut units = *all;
        let mut rest = part;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return fail("missing number");
            }
            rest = &rest[digits..];
            let Some(unit) = rest.chars().next() else { return fail("missing unit") };
            let Some(found) = units.find(unit) else {
                // The library looks at a byte alone.
                let byte = quote_char(char::from(rest.as_bytes()[0]));
                let order = all.contains(unit);
                return Err(if order {
                    format!("unit {byte} out of order")
                } else {
                    format!("invalid unit {byte}")
                });
            };
            units = &units[found + 1..];
            rest = &rest[1..];
        }
    }
    Ok(())
}

fn period(text: &str) -> Result<(), String> {
    let Some((start, end)) = text.split_once('/') else { return fail("missing slash") };
    let told =
        |what: &str, result: Result<(), String>| result.map_err(|error| format!("invalid {what}: {error}"));
    if start.starts_with('P') {
        told("start duration", duration(start))?;
        return told("end date-time", date_time(end));
    }
    told("start date-time", date_time(start))?;
    if end.starts_with('P') {
        return told("end duration", duration(end));
    }
    told("end date-time", date_time(end))
}

fn ipv4(text: &str) -> Result<(), String> {
    let groups: Vec<&str> = text.split('.').collect();
    if groups.len() != 4 {
        return fail("expected four decimals");
    }
    for group in groups {
        if group.len() > 1 && group.starts_with('0') {
            return fail("leading zeros");
        }
        if !(0..=255).contains(&go::parse_int(group)?) {
            return fail("decimal must be between 0 and 255");
        }
    }
    Ok(())
}

fn ipv6(text: &str) -> Result<(), String> {
    if !text.contains(':') {
        return fail("missing colon");
    }
    match go::parse_ipv6(text)? {
        Some(_) => fail("zone id is not a part of ipv6 address"),
        None => Ok(()),
    }
}

fn hostname(text: &str) -> Result<(), String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 {
        return fail("more than 253 characters long");
    }
    for label in text.split('.') {
        if !(1..=63).contains(&label.len()) {
            return fail("label must be 1 to 63 characters long");
        }
        if label.starts_with('-') {
            return fail("label starts with hyphen");
        }
        if label.ends_with('-') {
            return fail("label ends with hyphen");
        }
        let strange = |character: &char| !(character.is_ascii_alphanumeric() || *character == '-');
        if let Some(character) = label.chars().find(strange) {
            return Err(format!("invalid character {}", quote_char(character)));
        }
    }
    Ok(())
}

fn email(text: &str) -> Result<(), String> {
    if text.len() > 254 {
        return fail("more than 255 characters long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return fail("missing @") };
    if local.len() > 64 {
        return fail("local part more than 64 characters long");
    }
    if local.len() > 1 && local.starts_with('"') {
        // The library asks twice how it begins, and never how it ends.
        let inner = &local.as_bytes()[1..local.len() - 1];
        if inner.contains(&b'\\') || inner.contains(&b'"') {
            return fail("backslash and quote are not allowed within quoted local part");
        }
    } else {
        if local.starts_with('.') {
            return fail("starts with dot");
        }
        if local.ends_with('.') {
            return fail("ends with dot");
        }
        if local.contains("..") {
            return fail("consecutive dots");
        }
        let strange = |character: &char| {
            !(character.is_ascii_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(*character))
        };
        if let Some(character) = local.chars().find(strange) {
            return Err(format!("invalid character {}", quote_char(character)));
        }
    }
    if let Some(address) = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']')) {
        return match address.strip_prefix("IPv6:") {
            Some(address) => ipv6(address).map_err(|error| format!("invalid ipv6 address: {error}")),
            None => ipv4(address).map_err(|error| format!("invalid ipv4 address: {error}")),
        };
    }
    hostname(domain).map_err(|error| format!("invalid domain: {error}"))
}

fn date(text: &str) -> Result<(), String> {
    go::check_time("2006-01-02", text)
}

fn time(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    if bytes.len() < 9 {
        return fail("less than 9 characters long");
    }
    if bytes[2] != b':' || bytes[5] != b':' {
        return fail("missing colon in correct place");
    }
    let number = |part: &[u8], place: &str| {
        let number = std::str::from_utf8(part).ok().and_then(|part| go::parse_int(part).ok());
        match number {
            None => Err(format!("invalid {place}")),
            Some(number) if number < 0 => Err(format!("non-positive {place}")),
            Some(number) => Ok(number),
        }
    };
    let place = "hour/min/sec";
    let hour = number(&bytes[..2], place)?;
    let minute = number(&bytes[3..5], place)?;
    let second = number(&bytes[6..8], place)?;
    if hour > 23 || minute > 59 || second > 60 {
        return fail("hour/min/sec out of range");
    }
    let mut rest = &bytes[8..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return fail("no digits in second fraction");
        }
        rest = &fraction[digits..];
    }
    let mut minutes = hour * 60 + minute;
    if rest != b"z" && rest != b"Z" {
        if rest.len() != 6 {
            return fail("offset must be 6 characters long");
        }
        let sign = match rest[0] {
            b'+' => -1,
            b'-' => 1,
            _ => return fail("offset must begin with plus/minus"),
        };
        if rest[3] != b':' {
            return fail("missing colon in offset in correct place");
        }
        let place = "hour/min in offset";
        let (hour, minute) = (number(&rest[1..3], place)?, number(&rest[4..], place)?);
        if hour > 23 || minute > 59 {
            return fail("hour/min in offset out of range");
        }
        minutes += sign * (hour * 60 + minute);
        if minutes < 0 {
            minutes += 24 * 60;
        }
    }
    if second >= 60 && (minutes / 60 != 23 || minutes % 60 != 59) {
        return fail("invalid leap second");
    }
    Ok(())
}

fn date_time(text: &str) -> Result<(), String> {
    if text.len() < 20 {
        return fail("less than 20 characters long");
    }
    if !matches!(text.as_bytes()[10], b't' | b'T') {
        return fail("11th character must be t or T");
    }
    let (day, rest) = text.split_at(10);
    date(day).map_err(|error| format!("invalid date element: {error}"))?;
    time(&rest[1..]).map_err(|error| format!("invalid time element: {error}"))
}

fn parse_url(text: &str) -> Result<go::UrlParts, String> {
    let url = go::parse_url(text)?;
    if url.hostname.contains(':') {
        if !url.host.contains('[') || !url.host.contains(']') {
            return fail("ipv6 address not enclosed in brackets");
        }
        ipv6(&url.hostname).map_err(|error| format!("invalid ipv6 address: {error}"))?;
    }
    Ok(url)
}

fn uri(text: &str) -> Result<(), String> {
    if parse_url(text)?.scheme.is_empty() { fail("relative url") } else { Ok(()) }
}

fn uri_reference(text: &str) -> Result<(), String> {
    if text.contains('\\') {
        return fail("contains \\");
    }
    parse_url(text).map(drop)
}

fn uri_template(text: &str) -> Result<(), String> {
    let url = parse_url(text)?;
    let main = text.split('#').next().unwrap_or_default();
    let behind = if url.scheme.is_empty() { main } else { &main[url.scheme.len() + 1..] };
    // An address without a slash behind its scheme has no path.
    if !url.scheme.is_empty() && !behind.starts_with('/') {
        return Ok(());
    }
    let behind = behind.split('?').next().unwrap_or_default();
    let path = match behind.strip_prefix("//") {
        Some(authority) => authority.find('/').map_or("", |at| &authority[at..]),
        None => behind,
    };
    for token in path.split('/') {
        let token =
            go::unescape_url_path(token).map_err(|error| format!("percent decode failed: {error}"))?;
        let mut open = false;
        for character in token.chars().filter(|character| matches!(character, '{' | '}')) {
            if (character == '{') == open {
                return fail("nested curly braces");
            }
            open = !open;
        }
        if open {
            return fail("no matching closing brace");
        }
    }
    Ok(())
}

fn semver(text: &str) -> Result<(), String> {
    let allowed = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    if build == Some("") {
        return fail("build is empty");
    }
    for identifier in build.iter().flat_map(|build| build.split('.')) {
        if identifier.is_empty() {
            return fail("build identifier is empty");
        }
        if let Some(character) = identifier.chars().find(|character| !allowed(character)) {
            return Err(format!("invalid character {} in build identifier", quote_char(character)));
        }
    }
    let (core, before) = text.split_once('-').map_or((text, None), |(core, before)| (core, Some(before)));
    for identifier in before.iter().flat_map(|before| before.split('.')) {
        if identifier.is_empty() {
            return fail("pre-release identifier is empty");
        }
        if let Some(character) = identifier.chars().find(|character| !allowed(character)) {
            return Err(format!("invalid character {} in pre-release identifier", quote_char(character)));
        }
        let is_number = identifier.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && identifier.len() > 1 && identifier.starts_with('0') {
            return fail("pre-release numeric identifier starts with zero");
        }
    }
    let numbers: Vec<&str> = core.split('.').collect();
    if numbers.len() != 3 {
        return fail("versionCore must have 3 numbers separated by dot");
    }
    for (name, number) in ["major", "minor", "patch"].into_iter().zip(numbers) {
        if number.is_empty() {
            return Err(format!("{name} is empty"));
        }
        if number.len() > 1 && number.starts_with('0') {
            return Err(format!("{name} starts with zero"));
        }
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{name} contains non-digit"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_refused_in_the_words_of_the_library() {
        type Format = fn(&str) -> Result<(), String>;
        let refused: [(Format, &str, &str); 16] = [
            (date, "2024-2-9", "parsing time \"2024-2-9\" as \"2006-01-02\": cannot parse \"2-9\" as \"01\""),
            (time, "23:59:59+1:00", "offset must be 6 characters long"),
            (time, "10:00:60Z", "invalid leap second"),
            (
                date_time,
                "2024-02-30T10:00:00Z",
                "invalid date element: parsing time \"2024-02-30\": day out of range",
            ),
            (ipv4, "1.2.3", "expected four decimals"),
            (ipv4, "1.2.3.x", "strconv.Atoi: parsing \"x\": invalid syntax"),
            (ipv6, "::1%eth0", "zone id is not a part of ipv6 address"),
            (uri, "http://a b", "parse \"http://a b\": invalid character \" \" in host name"),
            (uri, "a/b", "relative url"),
            (uri_reference, "\\\\a", "contains \\"),
            (uri_template, "http://a/{b", "no matching closing brace"),
            (uuid, "x", "must have 5 elements"),
            (json_pointer, "/~2", "~ must be followed by 0 or 1"),
            (email, "a@b_c", "invalid domain: invalid character '_'"),
            (semver, "1", "versionCore must have 3 numbers separated by dot"),
            (duration, "P1D2Y", "unit 'Y' out of order"),
        ];
        for (format, text, problem) in refused {
            assert_eq!(format(text).unwrap_err(), problem);
        }
        let accepted: [(Format, &str); 9] = [
            (time, "23:59:60Z"),
            (date_time, "2024-02-29t10:00:00.5-01:30"),
            (ipv6, "::ffff:1.2.3.4"),
            (uri_reference, "#a b"),
            (uri_template, "http://a/{b}/c"),
            (email, "a@[IPv6:::1]"),
            (semver, "1.2.3-rc.1+b"),
            (period, "2024-01-01T00:00:00Z/P1D"),
            (relative_json_pointer, "1#"),
        ];
        for (format, text) in accepted {
            assert_eq!(format(text), Ok(()), "{text}");
        }
    }
}
