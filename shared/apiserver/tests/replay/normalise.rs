//! Answers without what differs from run to run: times, uids, resourceVersions, generated names and addresses.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use regex::{Captures, Regex};
use serde_json::{Map, Value};

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

static UUID: LazyLock<Regex> =
    LazyLock::new(|| regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static STAMP: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"));
static AGE: LazyLock<Regex> = LazyLock::new(|| regex(r"^(\d+[smhdy])+$"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| regex(r"^[\d.]+$|^[0-9a-f:]+$"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| regex(r"\{([a-z][a-z0-9]*)\}"));
static STEP_OF_PATH: LazyLock<Regex> = LazyLock::new(|| regex(r"([^.\[\]]+)|\[([^\[\]]*)\]"));
static TEXTS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    vec![
        (regex(r"(ResourceVersion in precondition: )\d+"), "${1}<rv>"),
        (regex(r"(ResourceVersion in object meta: )\d+"), "${1}<rv>"),
        (regex(r"(too old resource version: )\d+ \(\d+\)"), "${1}<rv> (<rv>)"),
        (regex(r"(Too large resource version: )\d+, current: \d+"), "${1}<rv>, current: <rv>"),
        (regex(r"(ResourceVersion in the precondition \()\d+"), "${1}<rv>"),
        (regex(r"(ResourceVersion in record \()\d+"), "${1}<rv>"),
        (
            regex(r#"Invalid value: "\{\\"(?:\\.|[^"\\])*\\"metadata\\":(?:\\.|[^"\\])*""#),
            "Invalid value: \"<object>\"",
        ),
        (regex(r"\?hash=[0-9A-Fa-f]+"), "?hash=<hash>"),
        (regex(r"(storage object .*, but )[0-9.]+(ms|s|µs)"), "${1}<duration>"),
    ]
});
static GO_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"json: |yaml: |strconv\.|JSON input|invalid character|map\[|\*core\.|\[\]string\{|&user\.|in scheme "|cannot restore|parsing time|Syntax error|error parsing regexp|illegal base64|unexpected EOF|message, expected prefix"#,
    )
});

/// Whether a message carries words of the Go runtime, its decoders or parsers.
pub fn is_go_text(message: &str) -> bool {
    GO_TEXT.is_match(message)
}

/// What one run of a case knows: variables for its requests, placeholders for its answers.
pub struct Names {
    pub variables: HashMap<String, String>,
    namespace: String,
    source: String,
    seen: HashMap<(&'static str, String), String>,
    counts: HashMap<&'static str, usize>,
    generated: Vec<(String, String)>,
}

impl Names {
    pub fn new(namespace: &str, source: String) -> Self {
        Names {
            variables: HashMap::from([("ns".to_owned(), namespace.to_owned())]),
            namespace: namespace.to_owned(),
            source,
            seen: HashMap::new(),
            counts: HashMap::new(),
            generated: Vec::new(),
        }
    }

    /// Puts the values of known variables into a text.
    pub fn fill(&self, text: &str) -> String {
        let value = |m: &Captures| self.variables.get(&m[1]).cloned().unwrap_or_else(|| m[0].to_owned());
        VARIABLE.replace_all(text, value).into_owned()
    }

    /// The text as it is in recorded answers.
    pub fn text(&mut self, s: &str) -> String {
        let mut s = s.to_owned();
        for (name, placeholder) in &self.generated {
            s = s.replace(name, placeholder);
        }
        let found: Vec<String> = UUID.find_iter(&s).map(|m| m.as_str().to_owned()).collect();
        for uuid in found {
            if !self.source.contains(&uuid) {
                let placeholder = self.number("uid", &uuid);
                s = s.replace(&uuid, &placeholder);
            }
        }
        s = s.replace(&self.namespace, "{ns}");
        if let Some(m) = STAMP.captures(&s)
            && let Ok(t) = s.parse::<Timestamp>()
            && (Timestamp::now().as_second() - t.as_second()).abs() < 86_400
        {
            return if m.get(1).is_some() { "<microtime>".into() } else { "<time>".into() };
        }
        for (pattern, replacement) in TEXTS.iter() {
            s = pattern.replace_all(&s, *replacement).into_owned();
        }
        s
    }

    fn number(&mut self, kind: &'static str, value: &str) -> String {
        let key = (kind, value.to_owned());
        if let Some(placeholder) = self.seen.get(&key) {
            return placeholder.clone();
        }
        let count = self.counts.entry(kind).or_insert(0);
        *count += 1;
        let placeholder = format!("<{kind}:{count}>");
        self.seen.insert(key, placeholder.clone());
        placeholder
    }

    /// Remembers names made from generateName, so that they are replaced wherever they appear.
    fn note_generated(&mut self, v: &Value) {
        match v {
            Value::Object(m) => {
                let text = |key: &str| m.get("metadata")?.get(key)?.as_str().map(str::to_owned);
                if let (Some(prefix), Some(name)) = (text("generateName"), text("name"))
                    && !prefix.is_empty()
                    && name.starts_with(&prefix)
                    && name.len() == prefix.len() + 5
                    && !self.generated.iter().any(|(n, _)| *n == name)
                {
                    let placeholder = format!("{prefix}<random:{}>", self.generated.len() + 1);
                    self.generated.push((name, placeholder));
                }
                m.values().for_each(|v| self.note_generated(v));
            }
            Value::Array(a) => a.iter().for_each(|v| self.note_generated(v)),
            _ => {}
        }
    }

    /// An answer in the form of recorded ones.
    pub fn normalise(&mut self, v: &Value, ignore: &[String]) -> Value {
        self.note_generated(v);
        let kind = v["kind"].as_str().unwrap_or_default();
        let is_list = v["items"].is_array() || kind.ends_with("List") || kind == "Table";
        self.walk(v, "", is_list, ignore)
    }

    fn walk(&mut self, v: &Value, path: &str, in_list: bool, ignore: &[String]) -> Value {
        match v {
            Value::Object(m) => {
                let mut out = Map::new();
                for (key, x) in m {
                    let p = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    let ignored = |i: &String| p == *i || p.ends_with(&format!(".{i}"));
                    if key == "storageVersionHash" || ignore.iter().any(ignored) {
                        continue;
                    }
                    match self.member(key, x, &p, in_list, ignore) {
                        Some(known) => out.insert(key.clone(), known),
                        None => {
                            let name = self.text(key);
                            let value = self.walk(x, &p, in_list, ignore);
                            out.insert(name, value)
                        }
                    };
                }
                Value::Object(out)
            }
            Value::Array(a) => a.iter().map(|v| self.walk(v, path, in_list, ignore)).collect(),
            Value::String(s) => self.text(s).into(),
            other => other.clone(),
        }
    }

    /// The members with rules of their own.
    fn member(&mut self, key: &str, x: &Value, p: &str, in_list: bool, ignore: &[String]) -> Option<Value> {
        Some(match (key, x) {
            ("resourceVersion", Value::String(s)) if is_digits(s) && s != "0" => {
                if in_list && p == "metadata.resourceVersion" {
                    "<list-rv>".into()
                } else {
                    self.number("rv", s).into()
                }
            }
            ("continue", Value::String(s)) if !s.is_empty() => "<continue>".into(),
            ("token", Value::String(s)) if s.matches('.').count() == 2 => "<token>".into(),
            ("clusterIP", Value::String(s)) if ADDRESS.is_match(s) && !self.source.contains(s.as_str()) => {
                self.number("cluster-ip", s).into()
            }
            ("clusterIPs", Value::Array(a)) => a
                .iter()
                .map(|i| match i.as_str() {
                    Some(s) if s != "None" && !self.source.contains(s) => self.number("cluster-ip", s).into(),
                    _ => i.clone(),
                })
                .collect(),
            ("nodePort" | "healthCheckNodePort", Value::Number(n))
                if !self.source.contains(&n.to_string()) =>
            {
                self.number("node-port", &n.to_string()).into()
            }
            ("managedFields", Value::Array(a)) => {
                let mut items: Vec<Value> = a.iter().map(|i| self.walk(i, p, in_list, ignore)).collect();
                items.sort_by_key(|e| {
                    ["operation", "manager", "apiVersion", "subresource"]
                        .map(|f| e[f].as_str().unwrap_or_default().to_owned())
                });
                items.into()
            }
            ("causes", Value::Array(a))
                if !a.is_empty() && a.iter().all(|c| c["reason"] == "FieldManagerConflict") =>
            {
                let mut items: Vec<Value> = a.iter().map(|i| self.walk(i, p, in_list, ignore)).collect();
                items.sort_by_key(|e| {
                    ["message", "field"].map(|f| e[f].as_str().unwrap_or_default().to_owned())
                });
                items.into()
            }
            ("columnDefinitions", Value::Array(a)) => a
                .iter()
                .map(|column| {
                    let mut column = column.clone();
                    let description = column["description"].as_str().unwrap_or_default();
                    if !self.source.contains(description) {
                        column["description"] = "<text>".into();
                    }
                    column
                })
                .collect(),
            ("rows", Value::Array(a)) => {
                let mut rows: Vec<Value> = a.iter().map(|i| self.walk(i, p, in_list, ignore)).collect();
                for cell in rows.iter_mut().filter_map(|r| r["cells"].as_array_mut()).flatten() {
                    if cell.as_str().is_some_and(|c| AGE.is_match(c)) {
                        *cell = "<age>".into();
                    }
                }
                rows.into()
            }
            _ => return None,
        })
    }
}

pub fn is_digits(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())
}

/// `a.b[0].c`, `conditions[type=Ready].status`, `annotations["x.y/z"]`; null when absent.
pub fn lookup<'a>(v: &'a Value, path: &str) -> &'a Value {
    let mut here = v;
    for step in STEP_OF_PATH.captures_iter(path) {
        here = match (step.get(1), step.get(2).map(|m| m.as_str())) {
            (Some(name), _) => &here[name.as_str()],
            (None, Some(s)) if s.starts_with('"') => &here[s.trim_matches('"')],
            (None, Some(s)) => match s.split_once('=') {
                Some((k, want)) => {
                    let found = here.as_array().into_iter().flatten().find(|x| plain(lookup(x, k)) == want);
                    found.unwrap_or(&Value::Null)
                }
                None => s.parse::<usize>().map_or(&Value::Null, |i| &here[i]),
            },
            (None, None) => &Value::Null,
        };
    }
    here
}

/// A scalar as text.
pub fn plain(v: &Value) -> String {
    match v {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Where two values differ first, and how.
pub fn first_difference(want: &Value, got: &Value, path: &str) -> Option<String> {
    match (want, got) {
        (Value::Object(w), Value::Object(g)) => {
            let mut keys: Vec<&String> = w.keys().chain(g.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().find_map(|k| match (w.get(k), g.get(k)) {
                (Some(w), Some(g)) => first_difference(w, g, &format!("{path}.{k}")),
                (Some(w), None) => Some(format!("{path}.{k}: missing, want {}", short(w))),
                (None, Some(g)) => Some(format!("{path}.{k}: unexpected {}", short(g))),
                (None, None) => None,
            })
        }
        (Value::Array(w), Value::Array(g)) => {
            (0..w.len().max(g.len())).find_map(|i| match (w.get(i), g.get(i)) {
                (Some(w), Some(g)) => first_difference(w, g, &format!("{path}[{i}]")),
                (Some(w), None) => Some(format!("{path}[{i}]: missing, want {}", short(w))),
                (None, Some(g)) => Some(format!("{path}[{i}]: unexpected {}", short(g))),
                (None, None) => None,
            })
        }
        _ if want == got => None,
        _ => Some(format!("{path}: want {}, got {}", short(want), short(got))),
    }
}

pub fn short(v: &Value) -> String {
    let s = v.to_string();
    match s.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &s[..end]),
        None => s,
    }
}
