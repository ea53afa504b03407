//! The addresses that a linter takes in Chart.yaml.

use fluxide_gotemplate::go;

/// Whether a text is an e-mail address: atoms or quoted text, and a domain of at least two labels.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let wide = |character: char| matches!(character, '\u{A0}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFEF}');
    let in_atom = |character: char| {
        character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character) || wide(character)
    };
    let quoted = local.len() > 1
        && local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).is_some_and(|inner| {
            inner.chars().all(|character| {
                (character.is_ascii() && character != '"' && character != '\\') || wide(character)
            })
        });
    if !quoted && !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(in_atom)) {
        return false;
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let labels: Vec<&str> = domain.split('.').collect();
    let Some((last, before)) = labels.split_last() else { return false };
    let fits = |label: &str, ends: &dyn Fn(char) -> bool| {
        let mut characters = label.chars();
        let first = characters.next().is_some_and(ends);
        first
            && label.chars().next_back().is_some_and(ends)
            && label.chars().all(|character| {
                character.is_ascii_alphanumeric() || "-_~".contains(character) || wide(character)
            })
    };
    !before.is_empty()
        && fits(last, &|character| character.is_ascii_alphabetic() || wide(character))
        && before
            .iter()
            .all(|label| fits(label, &|character| character.is_ascii_alphanumeric() || wide(character)))
}

/// Whether a text is the address of a page; the scheme may be left out.
pub(super) fn is_url(text: &str) -> bool {
    if text.len() <= 3 || text.chars().count() >= 2083 || text.starts_with('.') {
        return false;
    }
    let whole =
        if text.contains(':') && !text.contains("://") { format!("http://{text}") } else { text.to_owned() };
    let Ok(url) = go::parse_url(&whole) else { return false };
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if url.host.starts_with('.') || (url.host.is_empty() && !path.contains('.')) {
        return false;
    }
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    if scheme.is_some_and(|scheme| !["ftp", "tcp", "udp", "ws", "wss", "http", "https"].contains(&scheme)) {
        return false;
    }
    if text.chars().any(char::is_whitespace) {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') {
        return true;
    }
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    if port.is_some_and(|port| {
        port.is_empty() || port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit())
    }) {
        return false;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let word =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '\u{A1}'..='\u{FFFF}');
    !host.is_empty()
        && host.split('.').all(|label| {
            label.chars().next().is_some_and(word)
                && label.chars().next_back().is_some_and(word)
                && label.chars().all(|character| word(character) || "-_".contains(character))
        })
}

/// Whether a text is an absolute address with a scheme.
pub(super) fn is_request_url(text: &str) -> bool {
    // A fragment is no part of a request; a `#` is taken as it is.
    let plain = text.replace('#', "%23");
    let Ok(url) = go::parse_url(&plain) else { return false };
    !url.scheme.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_text() {
        for (text, email) in
            [("a@b.c", true), ("a@b", false), ("a b@c.d", false), ("\"a b\"@c.de", true), ("@a.b", false)]
        {
            assert_eq!(is_email(text), email, "{text}");
        }
        for (text, url) in [
            ("https://example.com/a?b#c", true),
            ("example.com", true),
            ("localhost:80", true),
            ("http://a b", false),
            ("x", false),
            ("nope", false),
            ("foo://bar.com", false),
        ] {
            assert_eq!(is_url(text), url, "{text}");
        }
        for (text, url) in [
            ("https://a/b", true),
            ("foo://x", true),
            ("a/b", false),
            ("", false),
            ("mailto:x", true),
            ("http:///", true),
        ] {
            assert_eq!(is_request_url(text), url, "{text}");
        }
    }
}
