//! Version 2 in the protobuf encoding of gnostic, which Go clients ask for.

use serde_json::{Map, Value};

/// Encodes a document of version 2.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    out.text(1, &document["swagger"]);
    out.message(2, |w| {
        w.text(1, &document["info"]["title"]);
        w.text(2, &document["info"]["version"]);
    });
    out.message(8, |w| {
        for (path, item) in members(&document["paths"]) {
            w.named(2, path, |w| path_item(w, item));
        }
    });
    out.message(9, |w| {
        for (name, definition) in members(&document["definitions"]) {
            w.named(1, name, |w| schema(w, definition));
        }
    });
    out.message(10, |w| {
        for (name, shared) in members(&document["parameters"]) {
            w.named(1, name, |w| parameter(w, shared));
        }
    });
    out.0
}

fn members(v: &Value) -> impl Iterator<Item = (&String, &Value)> {
    v.as_object().into_iter().flatten()
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, v: &Value) {
        if let Some(s) = v.as_str().filter(|s| !s.is_empty()) {
            self.bytes(field, s.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, v: &Value) {
        for s in v.as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.bytes(field, s.as_bytes());
        }
    }

    fn flag(&mut self, field: u64, v: &Value) {
        if v == &Value::Bool(true) {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, v: &Value) {
        if let Some(n) = v.as_i64().filter(|n| *n != 0) {
            self.varint(field << 3);
            self.varint(n.cast_unsigned());
        }
    }

    fn double(&mut self, field: u64, v: &Value) {
        if let Some(n) = v.as_f64().filter(|n| *n != 0.0) {
            self.varint(field << 3 | 1);
            self.0.extend_from_slice(&n.to_le_bytes());
        }
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// A name and a message, as the entries of maps are encoded.
    fn named(&mut self, field: u64, name: &str, fill: impl FnOnce(&mut Writer)) {
        self.message(field, |w| {
            w.bytes(1, name.as_bytes());
            w.message(2, fill);
        });
    }

    /// A value of any type, as text.
    fn any(&mut self, field: u64, v: &Value) {
        self.message(field, |w| w.bytes(2, format!("{v}\n").as_bytes()));
    }

    fn extensions(&mut self, field: u64, v: &Value) {
        for (name, value) in members(v).filter(|(name, _)| name.starts_with("x-")) {
            self.message(field, |w| {
                w.bytes(1, name.as_bytes());
                w.any(2, value);
            });
        }
    }
}

fn path_item(w: &mut Writer, item: &Value) {
    for (method, field) in
        [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("options", 6), ("head", 7), ("patch", 8)]
    {
        if let Some(o) = item.get(method) {
            w.message(field, |w| operation(w, o));
        }
    }
    parameters(w, 9, item);
}

fn operation(w: &mut Writer, o: &Value) {
    w.texts(1, &o["tags"]);
    w.text(3, &o["description"]);
    w.text(5, &o["operationId"]);
    w.texts(6, &o["produces"]);
    w.texts(7, &o["consumes"]);
    parameters(w, 8, o);
    w.message(9, |w| {
        for (code, response) in members(&o["responses"]) {
            w.named(1, code, |w| {
                w.message(1, |w| {
                    w.text(1, &response["description"]);
                    if let Some(s) = response.get("schema") {
                        w.message(2, |w| w.message(1, |w| schema(w, s)));
                    }
                });
            });
        }
    });
    w.texts(10, &o["schemes"]);
    w.extensions(13, o);
}

fn parameters(w: &mut Writer, field: u64, of: &Value) {
    for p in of["parameters"].as_array().into_iter().flatten() {
        w.message(field, |w| match p.get("$ref") {
            Some(reference) => w.message(2, |w| w.text(1, reference)),
            None => w.message(1, |w| parameter(w, p)),
        });
    }
}

fn parameter(w: &mut Writer, p: &Value) {
    if p["in"] == "body" {
        w.message(1, |w| {
            w.text(1, &p["description"]);
            w.text(2, &p["name"]);
            w.text(3, &p["in"]);
            w.flag(4, &p["required"]);
            w.message(5, |w| schema(w, &p["schema"]));
        });
        return;
    }
    let (field, type_field, unique_field) = if p["in"] == "path" { (4, 5, 19) } else { (3, 6, 20) };
    w.message(2, |w| {
        w.message(field, |w| {
            w.flag(1, &p["required"]);
            w.text(2, &p["in"]);
            w.text(3, &p["description"]);
            w.text(4, &p["name"]);
            w.text(type_field, &p["type"]);
            w.flag(unique_field, &p["uniqueItems"]);
        });
    });
}

fn schema(w: &mut Writer, s: &Value) {
    let empty = Map::new();
    let m = s.as_object().unwrap_or(&empty);
    w.text(1, &s["$ref"]);
    w.text(2, &s["format"]);
    w.text(3, &s["title"]);
    w.text(4, &s["description"]);
    w.double(6, &s["multipleOf"]);
    w.double(7, &s["maximum"]);
    w.flag(8, &s["exclusiveMaximum"]);
    w.double(9, &s["minimum"]);
    w.flag(10, &s["exclusiveMinimum"]);
    w.integer(11, &s["maxLength"]);
    w.integer(12, &s["minLength"]);
    w.text(13, &s["pattern"]);
    w.integer(14, &s["maxItems"]);
    w.integer(15, &s["minItems"]);
    w.flag(16, &s["uniqueItems"]);
    w.integer(17, &s["maxProperties"]);
    w.integer(18, &s["minProperties"]);
    w.texts(19, &s["required"]);
    for value in s["enum"].as_array().into_iter().flatten() {
        w.any(20, value);
    }
    match m.get("additionalProperties") {
        Some(inner @ Value::Object(_)) => w.message(21, |w| w.message(1, |w| schema(w, inner))),
        Some(Value::Bool(true)) => w.message(21, |w| w.flag(2, &Value::Bool(true))),
        _ => {}
    }
    if let Some(Value::String(kind)) = m.get("type") {
        w.message(22, |w| w.bytes(1, kind.as_bytes()));
    }
    if let Some(items) = m.get("items") {
        w.message(23, |w| w.message(1, |w| schema(w, items)));
    }
    for all in s["allOf"].as_array().into_iter().flatten() {
        w.message(24, |w| schema(w, all));
    }
    if m.get("properties").is_some_and(|p| p.as_object().is_some_and(|p| !p.is_empty())) {
        w.message(25, |w| {
            for (name, property) in members(&s["properties"]) {
                w.named(1, name, |w| schema(w, property));
            }
        });
    }
    w.extensions(31, s);
}
