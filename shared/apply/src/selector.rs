//! Selects objects by regular expressions on their identity and by label selectors.

use regex::Regex;
use serde_json::Value;

use crate::object::Object;

/// A selector as users write it; what is empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectorText {
    /// API group, a regular expression.
    pub group: String,
    /// API version, a regular expression.
    pub version: String,
    /// Kind, a regular expression.
    pub kind: String,
    /// Name, a regular expression.
    pub name: String,
    /// Namespace, a regular expression.
    pub namespace: String,
    /// Label selector over the labels.
    pub label_selector: String,
    /// Label selector over the annotations.
    pub annotation_selector: String,
}

/// Why a selector cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A part is not a regular expression.
    #[error("{part} '{text}' is not a regular expression: {reason}")]
    Regex {
        /// Which part.
        part: &'static str,
        /// What it is.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A part is not a label selector.
    #[error("{part} '{text}' is not a label selector: {reason}")]
    Labels {
        /// Which part.
        part: &'static str,
        /// What it is.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A parsed selector.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

impl Selector {
    /// Parses a selector.
    pub fn parse(text: &SelectorText) -> Result<Self, Error> {
        Ok(Self {
            group: anchored("group", &text.group)?,
            version: anchored("version", &text.version)?,
            kind: anchored("kind", &text.kind)?,
            name: anchored("name", &text.name)?,
            namespace: anchored("namespace", &text.namespace)?,
            labels: requirements("labelSelector", &text.label_selector)?,
            annotations: requirements("annotationSelector", &text.annotation_selector)?,
        })
    }

    /// True when everything that is given matches.
    pub fn matches(&self, object: &Object) -> bool {
        let matches = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|p| p.is_match(text));
        let fulfils = |requirements: &[Requirement], field: &str| {
            requirements.iter().all(|requirement| requirement.is_met(object.metadata(field)))
        };
        matches(&self.group, object.group())
            && matches(&self.version, object.version())
            && matches(&self.kind, object.kind())
            && matches(&self.name, object.name())
            && matches(&self.namespace, object.namespace())
            && fulfils(&self.labels, "labels")
            && fulfils(&self.annotations, "annotations")
    }
}

fn anchored(part: &'static str, text: &str) -> Result<Option<Regex>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let failed =
        |error: regex::Error| Error::Regex { part, text: text.to_owned(), reason: error.to_string() };
    Regex::new(&format!("^(?:{text})$")).map(Some).map_err(failed)
}

/// One condition of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl Requirement {
    fn is_met(&self, labels: Option<&Value>) -> bool {
        let value = labels.and_then(|labels| labels.get(&self.key)).and_then(Value::as_str);
        let number = value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::NotIn(values) => !value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::GreaterThan(limit) => number.is_some_and(|number| number > *limit),
            Test::LessThan(limit) => number.is_some_and(|number| number < *limit),
        }
    }
}

/// Reads a label selector: `a=b, c!=d, e in (x, y), f notin (z), g, !h, i>1`.
fn requirements(part: &'static str, text: &str) -> Result<Vec<Requirement>, Error> {
    let failed = |reason: String| Error::Labels { part, text: text.to_owned(), reason };
    split(text).into_iter().map(|item| requirement(item).map_err(failed)).collect()
}

/// Splits at the commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}

fn requirement(item: &str) -> Result<Requirement, String> {
    let make = |key: &str, test: Test| {
        let key = key.trim();
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if key.is_empty() || !key.chars().all(is_key) {
            return Err(format!("'{key}' is not a key"));
        }
        Ok(Requirement { key: key.to_owned(), test })
    };
    if let Some(key) = item.strip_prefix('!') {
        return make(key, Test::Missing);
    }
    if let Some((key, value)) = item.split_once("!=") {
        return make(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = item.split_once("==").or_else(|| item.split_once('=')) {
        return make(key, Test::In(vec![value.trim().to_owned()]));
    }
    for (sign, test) in [('>', Test::GreaterThan as fn(i64) -> Test), ('<', Test::LessThan)] {
        if let Some((key, value)) = item.split_once(sign) {
            let value = value.trim();
            return make(key, test(value.parse().map_err(|_| format!("'{value}' is not a number"))?));
        }
    }
    if let Some((before, list)) = item.split_once('(') {
        let list = list.trim_end().strip_suffix(')').ok_or("a closing parenthesis is missing")?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) =
            before.trim().rsplit_once(char::is_whitespace).ok_or("an operator is missing")?;
        return match operator {
            "in" => make(key, Test::In(values)),
            "notin" => make(key, Test::NotIn(values)),
            other => Err(format!("'{other}' is not an operator, use in or notin")),
        };
    }
    make(item, Test::Exists)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn object(labels: &[(&str, &str)]) -> Object {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        Object::new(serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "apps", "labels": labels},
        }))
        .unwrap()
    }

    fn selects(text: SelectorText, labels: &[(&str, &str)]) -> bool {
        Selector::parse(&text).unwrap().matches(&object(labels))
    }

    #[test]
    fn expressions_match_the_whole_text() {
        let by_name = |name: &str| SelectorText { name: name.to_owned(), ..SelectorText::default() };
        assert!(selects(by_name("w.b"), &[]) && selects(by_name("a|web"), &[]) && selects(by_name(""), &[]));
        assert!(!selects(by_name("we"), &[]) && !selects(by_name("eb"), &[]));
        assert!(Selector::parse(&by_name("(")).is_err());
    }

    #[test]
    fn label_selectors() {
        let by_label =
            |text: &str| SelectorText { label_selector: text.to_owned(), ..SelectorText::default() };
        let labels = [("app", "web"), ("tier", "2")];
        for text in [
            "app=web",
            "app == web , tier",
            "app in (x, web)",
            "app notin (x)",
            "!none",
            "tier>1,tier<3",
            "none!=x",
        ] {
            assert!(selects(by_label(text), &labels), "{text}");
        }
        for text in ["app=x", "!app", "app notin (web)", "tier>2", "none", "app in (x)"] {
            assert!(!selects(by_label(text), &labels), "{text}");
        }
        for text in ["a b", "app in web", "app foo (x)", "app in (x", "tier>x", ","] {
            assert!(Selector::parse(&by_label(text)).is_err(), "{text}");
        }
    }
}
