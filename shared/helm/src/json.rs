//! JSON objects written member by member, in the order and with the escapes of Go's `encoding/json`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fluxide_goyaml::{Value, quote_json, to_json};

/// JSON in which escapes of half a character stand for U+FFFD, as Go reads them. Every byte keeps its place.
pub(crate) fn without_lone_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut repaired = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 12,
            (Some(0xD800..=0xDFFF), _) => {
                repaired.to_mut()[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            _ => at = (at + 2).min(json.len()),
        }
    }
    repaired
}

/// Writes one JSON object.
pub(crate) struct ObjectWriter {
    out: String,
}

impl ObjectWriter {
    pub(crate) fn new() -> ObjectWriter {
        ObjectWriter { out: "{".to_owned() }
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push_str(&quote_json(name, true));
        self.out.push(':');
        self.out.push_str(json);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.raw(name, &quote_json(text, true));
    }

    pub(crate) fn text_unless_empty(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    pub(crate) fn list(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.collect();
        self.raw(name, &format!("[{}]", items.join(",")));
    }

    pub(crate) fn list_unless_empty(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let mut items = items.peekable();
        if items.peek().is_some() {
            self.list(name, items);
        }
    }

    pub(crate) fn texts_unless_empty(&mut self, name: &str, texts: &[String]) {
        self.list_unless_empty(name, texts.iter().map(|text| quote_json(text, true)));
    }

    pub(crate) fn text_map(&mut self, name: &str, map: &BTreeMap<String, String>) {
        let mut out = ObjectWriter::new();
        for (key, value) in map {
            out.text(key, value);
        }
        let json = out.finish();
        self.raw(name, &json);
    }

    /// A member of any kind. What JSON cannot say (NaN, infinities) becomes null; no reader makes such values.
    pub(crate) fn value(&mut self, name: &str, value: &Value) {
        let json = to_json(value).unwrap_or_else(|_| "null".to_owned());
        self.raw(name, &json);
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}
