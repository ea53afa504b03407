//! Go's regular expressions, in the words of the `regex` crate.
//!
//! Both have the same semantics but for a few spellings: in Go the Perl classes are ASCII, `\<` and a
//! brace that repeats nothing are themselves, and `\Q...\E` quotes.

use regex::{Regex, RegexBuilder};

/// Memory for one compiled expression: most take the first, and what takes more than the last is refused.
const SIZES: [usize; 3] = [16 * 1024, 64 * 1024, 256 * 1024];
/// Memory that matching may use to be fast.
const CACHE_SIZE: usize = 256 * 1024;
/// The longest expression.
const LENGTH_LIMIT: usize = 16 * 1024;
/// The highest count of a repetition.
const REPEAT_LIMIT: u32 = 1000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The expression.
    pub regex: Regex,
    /// How much memory it may take.
    pub size: usize,
}

/// Compiles an expression as Go would.
pub fn compile(pattern: &str) -> Result<Compiled, String> {
    if pattern.len() > LENGTH_LIMIT {
        return Err(format!("it is longer than {LENGTH_LIMIT} bytes"));
    }
    let translated = translate(pattern)?;
    for size in SIZES {
        match RegexBuilder::new(&translated).size_limit(size).dfa_size_limit(CACHE_SIZE).build() {
            Ok(regex) => return Ok(Compiled { regex, size }),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(_) => return Err(format!("error parsing regexp: `{pattern}` is no valid expression")),
        }
    }
    Err("error parsing regexp: expression too large".to_owned())
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let mut after = &rest[c.len_utf8()..];
        let mut repeats = false;
        match c {
            '\\' => {
                let (text, left) = escape(after, pattern, false)?;
                out.push_str(&text);
                after = left;
            }
            '[' => {
                let (text, left) = class(after, pattern)?;
                out.push_str(&text);
                after = left;
            }
            '*' | '+' | '?' => {
                repeats = true;
                out.push(c);
            }
            '{' => match repetition(after) {
                Some((counts, left)) => {
                    let too_many =
                        counts.split(',').any(|n| n.parse::<u32>().is_ok_and(|n| n > REPEAT_LIMIT));
                    if too_many {
                        return Err(format!("error parsing regexp: invalid repeat count: `{{{counts}}}`"));
                    }
                    repeats = true;
                    out.push('{');
                    out.push_str(counts);
                    out.push('}');
                    after = left;
                }
                None => out.push_str("\\{"),
            },
            '}' => out.push_str("\\}"),
            '(' if after.starts_with('?') => {
                let flags: String = after[1..].chars().take_while(|c| !":)<P".contains(*c)).collect();
                if let Some(unknown) = flags.chars().find(|flag| !"imsU-".contains(*flag)) {
                    return Err(format!(
                        "error parsing regexp: invalid or unsupported Perl syntax: `(?{unknown}`"
                    ));
                }
                out.push_str("(?");
                after = &after[1..];
            }
            other => out.push(other),
        }
        if repeats {
            if repeated {
                return Err("error parsing regexp: invalid nested repetition operator".to_owned());
            }
            if let Some(left) = after.strip_prefix('?') {
                out.push('?');
                after = left;
            }
        }
        repeated = repeats;
        rest = after;
    }
    Ok(out)
}

/// What follows a backslash. In a class the Perl classes are parts of it.
fn escape<'a>(rest: &'a str, pattern: &str, in_class: bool) -> Result<(String, &'a str), String> {
    let Some(c) = rest.chars().next() else {
        return Err(format!("error parsing regexp: trailing backslash at end of expression: `{pattern}`"));
    };
    let after = &rest[c.len_utf8()..];
    let text = match c {
        'd' if in_class => "0-9".to_owned(),
        'w' if in_class => "0-9A-Za-z_".to_owned(),
        's' if in_class => "\\t\\n\\f\\r\\x20".to_owned(),
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => "[\\t\\n\\f\\r\\x20]".to_owned(),
        'S' => "[^\\t\\n\\f\\r\\x20]".to_owned(),
        'b' if !in_class => "(?-u:\\b)".to_owned(),
        'B' if !in_class => "(?-u:\\B)".to_owned(),
        'Q' if !in_class => {
            let (quoted, left) = after.split_once("\\E").unwrap_or((after, ""));
            return Ok((regex::escape(quoted), left));
        }
        c if c.is_ascii_punctuation() => {
            let mut text = String::from("\\x");
            text.push_str(&format!("{:02x}", u32::from(c)));
            text
        }
        'x' if after.starts_with('{') => {
            let (digits, left) = after[1..].split_once('}').unwrap_or((after, ""));
            let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            if !is_number {
                return Err(format!("error parsing regexp: invalid escape sequence: `\\x{{{digits}`"));
            }
            return Ok((format!("\\x{{{digits}}}"), left));
        }
        // `\pL` is whole without braces.
        'p' | 'P' if after.starts_with('{') => {
            let (name, left) = after[1..].split_once('}').unwrap_or((after, ""));
            return Ok((format!("\\{c}{{{name}}}"), left));
        }
        'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => format!("\\{c}"),
        'A' | 'z' if !in_class => format!("\\{c}"),
        other => return Err(format!("error parsing regexp: invalid escape sequence: `\\{other}`")),
    };
    Ok((text, after))
}

fn class<'a>(rest: &'a str, pattern: &str) -> Result<(String, &'a str), String> {
    let mut out = String::from("[");
    let mut rest = rest;
    if let Some(left) = rest.strip_prefix('^') {
        out.push('^');
        rest = left;
    }
    if let Some(left) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = left;
    }
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            ']' => {
                out.push(']');
                return Ok((out, after));
            }
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = after.find(":]").map_or(after.len(), |at| at + 2);
                out.push('[');
                out.push_str(&after[..end]);
                &after[end..]
            }
            '\\' => {
                let (text, left) = escape(after, pattern, true)?;
                out.push_str(&text);
                left
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
                after
            }
            other => {
                out.push(other);
                after
            }
        };
    }
    Err(format!("error parsing regexp: missing closing ]: `{pattern}`"))
}

/// The counts of a repetition, if what follows the brace is one.
fn repetition(rest: &str) -> Option<(&str, &str)> {
    let (counts, left) = rest.split_once('}')?;
    let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let valid = match counts.split_once(',') {
        None => is_count(counts),
        Some((from, to)) => is_count(from) && (to.is_empty() || is_count(to)),
    };
    valid.then_some((counts, left))
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn matches_as_go_does() {
        for (pattern, text, expected) in [
            ("created", "Service created", true),
            (r"^\w+$", "é", false),
            (r"\d", "٣", false),
            (r"\bé", "é", false),
            (r"\<a", "x<a", true),
            (r"a{,2}", "a{,2}", true),
            (r"{", "{", true),
            (r"x{2}", "xx", true),
            (r"\Qa.b\E+", "a.bbb", true),
            (r"\Qa.b", "a.b", true),
            (r"[\w.-]+@[[:alpha:]]+", "a-b@c", true),
            (r"[a&&b]", "&", true),
            (r"[]a]", "]", true),
            (r"(?i)FAILED", "failed", true),
            (r"(?P<x>a)", "a", true),
            (r"\S+\s", "a ", true),
            (r"[^\s]", " ", false),
            (r"waiting.*", "waiting for x", true),
        ] {
            assert_eq!(compile(pattern).unwrap().regex.is_match(text), expected, "{pattern}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in ["(broken", "a**", "a++", "a?+", "a{2}{3}", "[a", "\\", r"\8", "a{1001}", "(?x)a", "*"]
        {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn bombs_are_refused_or_harmless() {
        let started = std::time::Instant::now();
        for pattern in [
            "((a{100}){100}){100}".to_owned(),
            "\\pL{1000}".to_owned(),
            "a".repeat(20_000),
            "(".repeat(10_000),
        ] {
            assert!(compile(&pattern).is_err(), "{}", &pattern[..20]);
        }
        let text = "a".repeat(39_000);
        for pattern in ["(a?){300}a{300}b", "(a*)*b", "(x+x+)+y", "a{0,900}b", "^(a|aa)+$b"] {
            assert!(!compile(pattern).unwrap().regex.is_match(&text), "{pattern}");
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
