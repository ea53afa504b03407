//! INI files as the Go library `ini.v1` reads and writes them.

use super::{StoreError, plain_text};
use crate::document::{Entry, Value};

/// The section of the keys before the first header.
const DEFAULT: &str = "DEFAULT";

pub fn load(text: &str) -> Result<Vec<Entry>, StoreError> {
    let mut sections = vec![(DEFAULT.to_owned(), Vec::new())];
    let mut comments: Vec<&str> = Vec::new();
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() {
            comments.clear();
            continue;
        }
        if line.starts_with([';', '#']) {
            comments.push(line);
            continue;
        }
        if let Some(header) = line.strip_prefix('[')
            && let Some((name, _)) = header.rsplit_once(']')
        {
            let mut entries = Vec::new();
            entries.extend(take_comment(&mut comments));
            sections.push((name.to_owned(), entries));
            continue;
        }
        let missing = StoreError::Line { format: "INI", line: index + 1 };
        let (key, rest) = key(line).ok_or(missing)?;
        let mut value = rest.trim().to_owned();
        for (open, close) in [("\"\"\"", "\"\"\""), ("`", "`")] {
            if let Some(start) = value.strip_prefix(open) {
                let mut whole = start.to_owned();
                while !whole.contains(close) {
                    let Some((_, more)) = lines.next() else { break };
                    whole.push('\n');
                    whole.push_str(more);
                }
                value = whole.split(close).next().unwrap_or_default().to_owned();
                break;
            }
        }
        if value.trim() == rest.trim() {
            if let Some(at) = value.find(['#', ';']) {
                comments.push(&rest.trim()[at..]);
                value = value[..at].trim().to_owned();
            }
            value = unquoted(&value).to_owned();
        }
        let Some((_, entries)) = sections.last_mut() else { continue };
        entries.push(Entry::Pair(key.to_owned(), Value::String(value)));
        entries.extend(take_comment(&mut comments));
    }
    Ok(sections.into_iter().map(|(name, entries)| Entry::Pair(name, Value::Map(entries))).collect())
}

/// The key at the start of a line, and what follows the `=`.
fn key(line: &str) -> Option<(&str, &str)> {
    for quote in ["\"\"\"", "`", "\""] {
        if let Some(rest) = line.strip_prefix(quote) {
            let (key, rest) = rest.split_once(quote)?;
            let at = rest.find(['=', ':'])?;
            return Some((key.trim(), &rest[at + 1..]));
        }
    }
    let at = line.find(['=', ':'])?;
    Some((line[..at].trim(), &line[at + 1..]))
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
            && !inner.contains(quote)
        {
            return inner;
        }
    }
    value
}

/// A comment stands after the key it belongs to, and first in a section when it belongs to that.
fn take_comment(comments: &mut Vec<&str>) -> Option<Entry> {
    if comments.is_empty() {
        return None;
    }
    let text = comments.join("\n");
    comments.clear();
    let stripped = match text.chars().next() {
        Some(mark @ (';' | '#')) => text.trim_start_matches([mark, ' ']),
        _ => &text,
    };
    Some(Entry::Comment(stripped.to_owned()))
}

pub fn emit(sections: &[Entry]) -> Result<String, StoreError> {
    let mut out = String::new();
    for section in sections {
        let Entry::Pair(name, value) = section else { continue };
        let Value::Map(entries) = value else {
            return Err(StoreError::Complex { format: "INI", key: name.clone() });
        };
        let (section_comment, entries) = match entries.split_first() {
            Some((Entry::Comment(text), rest)) => (Some(text), rest),
            _ => (None, entries.as_slice()),
        };
        if name == DEFAULT && entries.is_empty() && section_comment.is_none() {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        if let Some(comment) = section_comment {
            comment_into(&mut out, comment);
        }
        if name != DEFAULT {
            out.push_str(&format!("[{name}]\n"));
        }
        keys_into(&mut out, entries)?;
    }
    Ok(out)
}

fn keys_into(out: &mut String, entries: &[Entry]) -> Result<(), StoreError> {
    let mut keys: Vec<(String, String, Option<&str>)> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Comment(text) => {
                if let Some((_, _, comment)) = keys.last_mut() {
                    *comment = Some(text);
                }
            }
            Entry::Pair(key, value) => {
                keys.push((quoted_key(key), quoted_value(plain_text("INI", key, value)?), None));
            }
        }
    }
    let width = keys.iter().map(|(key, _, _)| key.len()).max().unwrap_or(0);
    for (key, value, comment) in keys {
        if let Some(comment) = comment {
            comment_into(out, comment);
        }
        out.push_str(&format!("{key:<width$} = {value}\n"));
    }
    Ok(())
}

fn comment_into(out: &mut String, comment: &str) {
    for line in comment.split('\n') {
        if !line.starts_with(['#', ';']) {
            out.push_str("; ");
        }
        out.push_str(line);
        out.push('\n');
    }
}

fn quoted_key(key: &str) -> String {
    if key.contains('`') {
        format!("\"\"\"{key}\"\"\"")
    } else if key.contains(['"', '=', ':']) {
        format!("`{key}`")
    } else {
        key.to_owned()
    }
}

fn quoted_value(value: String) -> String {
    if value.contains(['\n', '`']) {
        format!("\"\"\"{value}\"\"\"")
    } else if value.contains(['#', ';']) {
        format!("`{value}`")
    } else if value.trim().len() != value.len() {
        format!("\"{value}\"")
    } else {
        value
    }
}
