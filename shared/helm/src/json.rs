//! JSON objects written member by member, in the order and with the escapes of Go's `encoding/json`.

use std::collections::BTreeMap;

use fluxide_goyaml::{Value, quote_json, to_json};

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
