//! Media types as Go's `mime.ParseMediaType` reads them: what it refuses is none.

/// The type of a `Content-Type` without its parameters, in lower case.
pub fn parse(value: &str) -> Option<String> {
    let (kind, mut rest) = match value.find(';') {
        Some(at) => value.split_at(at),
        None => (value, ""),
    };
    let kind = kind.trim().to_lowercase();
    let fits = match kind.split_once('/') {
        Some((kind, subtype)) => is_token(kind) && is_token(subtype),
        None => is_token(&kind),
    };
    if !fits {
        return None;
    }
    let mut names = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(kind);
        }
        let after = rest.strip_prefix(';')?.trim_start();
        let (name, value) = token(after);
        if name.is_empty() {
            // A semicolon at the end is no parameter.
            return after.is_empty().then_some(kind);
        }
        rest = parameter_value(value.trim_start().strip_prefix('=')?.trim_start())?;
        let name = name.to_lowercase();
        if names.contains(&name) {
            return None;
        }
        names.push(name);
    }
}

/// What follows the value of a parameter.
fn parameter_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (!value.is_empty()).then_some(rest);
    };
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some(&quoted[at + 1..]),
            '\\' => {
                characters.next();
            }
            '\r' | '\n' => return None,
            _ => {}
        }
    }
    None
}

fn token(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !is_token_char(c)).unwrap_or(text.len()))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !r#"()<>@,;:\"/[]?="#.contains(c)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn types_are_read_as_go_reads_them() {
        for (value, expected) in [
            ("application/json", Some("application/json")),
            (" Application/JSON ; charset=utf-8", Some("application/json")),
            ("application/json;", Some("application/json")),
            ("application/json; a=\"b;c\\\"d\"; e=f", Some("application/json")),
            ("text", Some("text")),
            ("application/json; charset", None),
            ("application/json; a=b; A=c", None),
            ("application/json; a=\"b", None),
            ("text/plain, application/json", None),
            ("garbage/", None),
            ("a/b/c", None),
            ("", None),
        ] {
            assert_eq!(parse(value).as_deref(), expected, "{value}");
        }
    }
}
