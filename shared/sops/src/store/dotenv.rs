//! `KEY=value` lines. A newline in a value is written as `\n`; there is no quoting.

use super::{StoreError, plain_text};
use crate::document::{Entry, Value};

pub fn load(text: &str) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            entries.push(Entry::Comment(comment.to_owned()));
            continue;
        }
        let (key, value) =
            line.split_once('=').ok_or(StoreError::Line { format: "dotenv", line: index + 1 })?;
        entries.push(Entry::Pair(key.to_owned(), Value::String(value.replace("\\n", "\n"))));
    }
    Ok(entries)
}

pub fn emit(entries: &[Entry]) -> Result<String, StoreError> {
    let mut out = String::new();
    for entry in entries {
        match entry {
            Entry::Comment(text) => out.push_str(&format!("#{text}\n")),
            Entry::Pair(key, value) => {
                let value = plain_text("dotenv", key, value)?.replace('\n', "\\n");
                out.push_str(&format!("{key}={value}\n"));
            }
        }
    }
    Ok(out)
}
