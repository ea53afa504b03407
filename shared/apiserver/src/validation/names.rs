//! The rules for names: DNS labels and subdomains, qualified names, label values.

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

/// What is wrong with an RFC 1123 label.
pub(crate) fn dns1123_label(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    if v.len() > 63 {
        e.push(max_characters(63));
    }
    if !is_label(v) {
        e.push(if is_subdomain(v) {
            "must not contain dots".to_owned()
        } else {
            format!(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                 end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                 '{LABEL_FORMAT}')"
            )
        });
    }
    e
}

/// What is wrong with an RFC 1123 subdomain.
pub(crate) fn dns1123_subdomain(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    if v.len() > 253 {
        e.push(max_characters(253));
    }
    if !is_subdomain(v) {
        e.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
             and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{LABEL_FORMAT}(\\.{LABEL_FORMAT})*')"
        ));
    }
    e
}

/// What is wrong with an RFC 1035 label.
pub(crate) fn dns1035_label(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    if v.len() > 63 {
        e.push(max_length(63));
    }
    if !(is_label(v) && v.starts_with(|c: char| c.is_ascii_lowercase())) {
        e.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
             is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    e
}

/// What is wrong with a name used as a path segment (RBAC objects).
pub(crate) fn path_segment(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    for bad in [".", ".."] {
        if v == bad {
            e.push(format!("may not be '{bad}'"));
            return e;
        }
    }
    for bad in ["/", "%"] {
        if v.contains(bad) {
            e.push(format!("may not contain '{bad}'"));
        }
    }
    e
}

/// What is wrong with a qualified name, such as the key of a label or annotation.
pub(crate) fn qualified_name(v: &str) -> Vec<String> {
    const FORMAT: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                          an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                          validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut e = Vec::new();
    let parts: Vec<&str> = v.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                e.push("prefix part must be non-empty".to_owned());
            } else {
                e.extend(dns1123_subdomain(prefix).into_iter().map(|m| format!("prefix part {m}")));
            }
            *name
        }
        _ => {
            e.push(
                "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                 alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                 '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
                    .to_owned(),
            );
            return e;
        }
    };
    if name.is_empty() {
        e.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        e.push(format!("name part {}", max_length(63)));
    }
    let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !(inner && edge(name.chars().next()) && edge(name.chars().last())) {
        e.push(FORMAT.to_owned());
    }
    e
}

/// What is wrong with a key of a ConfigMap or Secret.
pub(crate) fn config_map_key(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    if v.len() > 253 {
        e.push(max_length(253));
    }
    if v.is_empty() || !v.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        e.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  \
             or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    } else if v == "." {
        e.push("must not be '.'".to_owned());
    } else if v == ".." {
        e.push("must not be '..'".to_owned());
    } else if v.starts_with("..") {
        e.push("must not start with '..'".to_owned());
    }
    e
}

/// What is wrong with the name of a port: an IANA service name.
pub(crate) fn port_name(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    if v.len() > 15 {
        e.push(max_characters(15));
    }
    if v.is_empty() || !v.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        e.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !v.chars().any(|c| c.is_ascii_lowercase()) {
        e.push("must contain at least one letter (a-z)".to_owned());
    }
    if v.contains("--") {
        e.push("must not contain consecutive hyphens".to_owned());
    }
    if v.starts_with('-') || v.ends_with('-') {
        e.push("must not begin or end with a hyphen".to_owned());
    }
    e
}

/// What is wrong with the name of an environment variable.
pub(crate) fn env_var_name(v: &str) -> Vec<String> {
    if v.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

pub(crate) fn max_characters(n: usize) -> String {
    format!("must be no more than {n} characters")
}

pub(crate) fn max_length(n: usize) -> String {
    format!("must be no more than {n} bytes")
}

pub(crate) fn is_label(v: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    v.starts_with(ok) && v.ends_with(ok) && v.chars().all(|c| ok(c) || c == '-')
}

pub(crate) fn is_subdomain(v: &str) -> bool {
    v.split('.').all(is_label)
}

/// What is wrong with a host name that stands for all names below one.
pub(crate) fn wildcard_subdomain(v: &str) -> Vec<String> {
    let mut e = Vec::new();
    if v.len() > 253 {
        e.push(max_characters(253));
    }
    if !v.strip_prefix("*.").is_some_and(is_subdomain) {
        e.push(format!(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of \
             lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', \
             regex used for validation is '\\*\\.{LABEL_FORMAT}(\\.{LABEL_FORMAT})*')"
        ));
    }
    e
}

/// What is wrong with a path below a domain, as `acme.io/foo`; an empty text means that there is none.
pub(crate) fn domain_prefixed_path(v: &str) -> Vec<String> {
    if v.is_empty() {
        return vec![String::new()];
    }
    match v.split_once('/') {
        Some((host, path)) if !host.is_empty() && !path.is_empty() => dns1123_subdomain(host),
        _ => vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()],
    }
}

/// What is wrong with the name of an HTTP header.
pub(crate) fn http_header(v: &str) -> Vec<String> {
    if !v.is_empty() && v.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Vec::new();
    }
    vec![
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
         validation is '[-A-Za-z0-9]+')"
            .to_owned(),
    ]
}

/// What is wrong with a subdomain whose labels may also have underscores.
pub(crate) fn subdomain_with_underscore(v: &str) -> Vec<String> {
    const FORMAT: &str = "[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?";
    let mut e = Vec::new();
    if v.len() > 253 {
        e.push(max_characters(253));
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_label = |label: &str| {
        label.starts_with(inner) && label.ends_with(inner) && label.chars().all(|c| inner(c) || c == '-')
    };
    if !v.split('.').all(is_label) {
        e.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{FORMAT}(\\.{FORMAT})*')"
        ));
    }
    e
}
