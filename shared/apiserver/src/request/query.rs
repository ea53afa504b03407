//! Query parameters.

/// Decoded query parameters, in order; keys may repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(raw: Option<&str>) -> Self {
        // What is malformed does not count.
        let well_formed = |p: &&str| !p.is_empty() && !p.contains(';') && is_well_formed(p);
        let pairs = raw.unwrap_or_default().split('&').filter(well_formed).map(|p| {
            let (k, v) = p.split_once('=').unwrap_or((p, ""));
            (decode(k, true), decode(v, true))
        });
        Query(pairs.collect())
    }

    /// The first value of a key, if it is there.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The first value of a key, absent as empty.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// All values of a key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A boolean the way API machinery reads it: `false` and `0` are false, any other value (even an empty one) is true.
    pub fn flag(&self, key: &str) -> bool {
        self.optional_flag(key).unwrap_or(false)
    }

    pub fn optional_flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|v| !(v == "0" || v.eq_ignore_ascii_case("false")))
    }

    /// A number, refused in Go's words when it is none.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, String> {
        let Some(text) = self.get(key).filter(|t| !t.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|e: std::num::ParseIntError| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match e.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("strconv.ParseInt: parsing {}: {why}", fluxide_gotext::quote_str(text))
        })
    }

    pub fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.parse().ok()
    }
}

/// What Go's parser says about a text that is no duration, apart from the name of its package. No text is none.
pub(crate) fn duration_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let problem = fluxide_gotext::parse_duration(text.as_bytes()).err()?.to_string();
    Some(problem.strip_prefix("time: ").unwrap_or(&problem).to_owned())
}

/// Whether every percent sign begins an escape.
pub(crate) fn is_well_formed(path: &str) -> bool {
    let bytes = path.as_bytes();
    let escape = |at: usize| hex(bytes.get(at + 1)).is_some() && hex(bytes.get(at + 2)).is_some();
    (0..bytes.len()).all(|at| bytes[at] != b'%' || escape(at))
}

/// Percent-decodes; invalid escapes stay as they are.
pub(crate) fn decode(s: &str, plus_is_space: bool) -> String {
    let bytes = s.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'+' if plus_is_space => out.push(b' '),
            b'%' => match (hex(bytes.get(i + 1)), hex(bytes.get(i + 2))) {
                (Some(h), Some(l)) => {
                    out.push(h << 4 | l);
                    i += 2;
                }
                _ => out.push(b'%'),
            },
            b => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(b: Option<&u8>) -> Option<u8> {
    (*b? as char).to_digit(16).map(|d| d as u8)
}
