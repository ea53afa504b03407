//! Scalars: what type a plain text has, by the rules of go-yaml v2 and v3.

use crate::error::Error;
use crate::node::tag;
use crate::timestamp::Timestamp;

/// Which resolver applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// go-yaml v2 (`sigs.k8s.io/yaml`): `yes`, `on`, `y` and the like are booleans; no `0o` after a sign.
    V2,
    /// go-yaml v3 (kyaml): only `true` and `false` are booleans.
    V3,
}

/// The typed value of a scalar. A string is the text itself, or for `!!binary` its base64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits `i64`.
    Int(i64),
    /// A larger integer.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
    /// A point in time.
    Timestamp(Timestamp),
    /// The merge key `<<`.
    Merge,
    /// A string.
    String,
    /// Text under a tag that is none of the standard scalar ones.
    Other,
}

impl Scalar {
    /// The tag of the value in short form; empty for [`Scalar::Other`].
    pub fn tag(&self) -> &'static str {
        match self {
            Scalar::Null => tag::NULL,
            Scalar::Bool(_) => tag::BOOL,
            Scalar::Int(_) | Scalar::Uint(_) => tag::INT,
            Scalar::Float(_) => tag::FLOAT,
            Scalar::Timestamp(_) => tag::TIMESTAMP,
            Scalar::Merge => tag::MERGE,
            Scalar::String => tag::STR,
            Scalar::Other => "",
        }
    }
}

/// The value of a scalar with an explicit tag, or of a plain scalar without one (`tag` empty).
///
/// Fails when the text does not fit the tag. Tags that are not about scalars give [`Scalar::Other`].
pub fn resolve(rules: Rules, tag: &str, text: &str) -> Result<Scalar, Error> {
    let wanted = short_tag(tag);
    match &*wanted {
        "" => return Ok(resolve_plain(rules, text, true)),
        tag::STR => return Ok(Scalar::String),
        tag::BOOL | tag::INT | tag::FLOAT | tag::NULL | tag::TIMESTAMP => {}
        _ => return Ok(Scalar::Other),
    }
    let found = resolve_plain(rules, text, &*wanted == tag::TIMESTAMP);
    match found {
        _ if found.tag() == &*wanted => Ok(found),
        Scalar::Int(value) if &*wanted == tag::FLOAT => Ok(Scalar::Float(value as f64)),
        _ => Err(Error::Decode(format!("cannot decode {} `{text}` as a {wanted}", found.tag()))),
    }
}

/// The value of plain text.
fn resolve_plain(rules: Rules, text: &str, timestamps: bool) -> Scalar {
    let Some(&first) = text.as_bytes().first() else { return Scalar::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' => resolve_number(rules, text, timestamps),
        b'.' => resolve_dotted(text),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            resolve_word(rules, text)
        }
        _ => Scalar::String,
    }
}

fn resolve_word(rules: Rules, text: &str) -> Scalar {
    if text.len() > 5 {
        return Scalar::String;
    }
    match text {
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if rules == Rules::V2 => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if rules == Rules::V2 => Scalar::Bool(false),
        _ => Scalar::String,
    }
}

/// Text that starts with a point.
fn resolve_dotted(text: &str) -> Scalar {
    match text {
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
        // Go's ParseFloat as it is: it takes no underscores here, and refuses what overflows.
        _ => match decimal_float(text) {
            Some(value) => Scalar::Float(value),
            None => Scalar::String,
        },
    }
}

/// Text that starts with a digit or a sign.
fn resolve_number(rules: Rules, text: &str, timestamps: bool) -> Scalar {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if timestamps && let Some(time) = Timestamp::parse(text) {
        return Scalar::Timestamp(time);
    }
    let bare;
    let plain = if text.contains('_') {
        bare = text.replace('_', "");
        bare.as_str()
    } else {
        text
    };
    if let Some(value) = parse_int(plain).or_else(|| parse_old_forms(rules, plain)) {
        return value;
    }
    if is_yaml_float(plain)
        && let Some(value) = decimal_float(plain)
    {
        return Scalar::Float(value);
    }
    Scalar::String
}

/// Go's `ParseInt` and then `ParseUint` with base 0.
fn parse_int(text: &str) -> Option<Scalar> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|b| char::from(b).is_digit(base)) {
        return None;
    }
    let value = u64::from_str_radix(digits, base).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(value).map(Scalar::Int);
    }
    match i64::try_from(value) {
        Ok(value) => Some(Scalar::Int(value)),
        Err(_) if signed => None,
        Err(_) => Some(Scalar::Uint(value)),
    }
}

/// `0b-1`, `-0b+1` and, in v3, `0o-7`: what is left of a prefix is parsed with its own sign.
fn parse_old_forms(rules: Rules, text: &str) -> Option<Scalar> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let base = match rest.get(..2)? {
        "0b" => 2,
        "0o" if rules == Rules::V3 => 8,
        _ => return None,
    };
    let digits = format!("{sign}{}", &rest[2..]);
    if let Ok(value) = i64::from_str_radix(&digits, base) {
        return Some(Scalar::Int(value));
    }
    if sign.is_empty() && !digits.starts_with('+') {
        return u64::from_str_radix(&digits, base).ok().map(Scalar::Uint);
    }
    None
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
pub(crate) fn is_yaml_float(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if let [b'-' | b'+', tail @ ..] = rest {
        rest = tail;
    }
    let whole = leading_digits(rest);
    rest = &rest[whole..];
    if let [b'.', tail @ ..] = rest {
        let fraction = leading_digits(tail);
        if whole == 0 && fraction == 0 {
            return false;
        }
        rest = &tail[fraction..];
    } else if whole == 0 {
        return false;
    }
    if let [b'e' | b'E', tail @ ..] = rest {
        let digits = match tail {
            [b'-' | b'+', digits @ ..] => digits,
            digits => digits,
        };
        let count = leading_digits(digits);
        return count > 0 && count == digits.len();
    }
    rest.is_empty()
}

fn leading_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Go's `ParseFloat` of decimal text; `None` when the text is no number or too large.
fn decimal_float(text: &str) -> Option<f64> {
    if !is_yaml_float(text) {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Whether YAML 1.1 would read the text as a number in base 60, such as `12:30`.
pub fn is_base60(text: &str) -> bool {
    let Some(&first) = text.as_bytes().first() else { return false };
    if !(first.is_ascii_digit() || first == b'+' || first == b'-') || !text.contains(':') {
        return false;
    }
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (body, fraction) = match body.split_once('.') {
        Some((body, fraction)) => (body, fraction),
        None => (body, ""),
    };
    let mut groups = body.split(':');
    let leading = groups.next().unwrap_or_default();
    leading.starts_with(|c: char| c.is_ascii_digit())
        && leading.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && groups.all(|group| match group.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
            _ => false,
        })
        && body.contains(':')
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

const LONG_PREFIX: &str = "tag:yaml.org,2002:";

/// `tag:yaml.org,2002:str` to `!!str`; any other tag stays as it is.
pub fn short_tag(tag: &str) -> std::borrow::Cow<'_, str> {
    match tag.strip_prefix(LONG_PREFIX) {
        Some(name) => format!("!!{name}").into(),
        None => tag.into(),
    }
}

/// `!!str` to `tag:yaml.org,2002:str`; any other tag stays as it is.
pub fn long_tag(tag: &str) -> std::borrow::Cow<'_, str> {
    match tag.strip_prefix("!!") {
        Some(name) => format!("{LONG_PREFIX}{name}").into(),
        None => tag.into(),
    }
}
