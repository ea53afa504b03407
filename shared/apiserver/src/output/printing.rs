//! How single values are shown in table cells: ages, JSON paths.

use jiff::Timestamp;
use serde_json::Value;

/// `5m`, `3d2h`: the time since a timestamp, as kubectl shows it.
pub(crate) fn age(timestamp: &str, now: Timestamp) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(t) => human_duration(now.as_second() - t.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Seconds as `duration.HumanDuration` prints them.
pub(crate) fn human_duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let s = seconds.max(0);
    let (m, h, d) = (s / 60, s / 3600, s / 86400);
    if s < 120 {
        format!("{s}s")
    } else if m < 10 {
        pair(m, "m", s % 60, "s")
    } else if m < 180 {
        format!("{m}m")
    } else if h < 8 {
        pair(h, "h", m % 60, "m")
    } else if h < 48 {
        format!("{h}h")
    } else if h < 192 {
        pair(d, "d", h % 24, "h")
    } else if h < 24 * 365 * 2 {
        format!("{d}d")
    } else if h < 24 * 365 * 8 {
        pair(d / 365, "y", d % 365, "d")
    } else {
        format!("{}y", d / 365)
    }
}

fn pair(a: i64, unit: &str, b: i64, small: &str) -> String {
    if b == 0 { format!("{a}{unit}") } else { format!("{a}{unit}{b}{small}") }
}

/// The cell of an `additionalPrinterColumns` entry.
pub(crate) fn json_path_cell(object: &Value, path: &str, kind: &str, now: Timestamp) -> Value {
    let Some(first) = json_path(object, path).into_iter().next() else { return Value::Null };
    match kind {
        "integer" => first.as_i64().map(Value::from).unwrap_or(Value::Null),
        "number" => {
            if first.is_number() {
                first.clone()
            } else {
                Value::Null
            }
        }
        "boolean" => {
            if first.is_boolean() {
                first.clone()
            } else {
                Value::Null
            }
        }
        "string" => match first {
            Value::String(s) => s.as_str().into(),
            other => other.to_string().into(),
        },
        "date" => match first.as_str() {
            Some(s) if s.parse::<Timestamp>().is_ok() => age(s, now).into(),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// The values at a JSON path of the kind that printer columns use: members, `['x']`, indexes, `[*]` and
/// `[?(@.a=="b")]`.
pub(crate) fn json_path<'a>(v: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut here = vec![v];
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('[') {
            let Some(end) = closing(r) else { return Vec::new() };
            here = here.into_iter().flat_map(|v| bracket(v, &r[..end])).collect();
            rest = &r[end + 1..];
        } else {
            let r = rest.strip_prefix('.').unwrap_or(rest);
            let mut name = String::new();
            let mut used = 0;
            let mut chars = r.char_indices().peekable();
            while let Some((_, c)) = chars.next() {
                match c {
                    '\\' => {
                        if let Some((_, c)) = chars.next() {
                            name.push(c);
                        }
                    }
                    '.' | '[' => break,
                    c => name.push(c),
                }
                used = chars.peek().map_or(r.len(), |(j, _)| *j);
            }
            if used == 0 {
                return Vec::new();
            }
            here = here
                .into_iter()
                .flat_map(
                    |v| if name == "*" { children(v) } else { v.get(name.as_str()).into_iter().collect() },
                )
                .collect();
            rest = &r[used..];
        }
    }
    here
}

fn closing(s: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    for (i, c) in s.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(i),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn children(v: &Value) -> Vec<&Value> {
    match v {
        Value::Array(a) => a.iter().collect(),
        Value::Object(m) => m.values().collect(),
        _ => Vec::new(),
    }
}

fn bracket<'a>(v: &'a Value, inner: &str) -> Vec<&'a Value> {
    let inner = inner.trim();
    if inner == "*" {
        return children(v);
    }
    if let Some(key) = unquote(inner) {
        return v.get(key).into_iter().collect();
    }
    if let Some(f) = inner.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        return children(v).into_iter().filter(|c| filter(c, f)).collect();
    }
    match (inner.parse::<i64>(), v.as_array()) {
        (Ok(i), Some(a)) => {
            let i = if i < 0 { a.len() as i64 + i } else { i };
            usize::try_from(i).ok().and_then(|i| a.get(i)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn unquote(s: &str) -> Option<&str> {
    ['\'', '"'].iter().find_map(|q| s.strip_prefix(*q)?.strip_suffix(*q))
}

fn filter(v: &Value, expression: &str) -> bool {
    for op in ["==", "!="] {
        if let Some((left, right)) = expression.split_once(op) {
            let right = right.trim();
            let want = unquote(right).unwrap_or(right);
            let have = json_path(v, left.trim().trim_start_matches('@')).into_iter().next();
            let equal = have.is_some_and(|h| match h {
                Value::String(s) => s == want,
                other => format!("{other}") == want,
            });
            return equal == (op == "==") && (op == "==" || have.is_some());
        }
    }
    !json_path(v, expression.trim().trim_start_matches('@')).is_empty()
}
