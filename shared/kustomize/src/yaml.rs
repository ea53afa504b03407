//! What the engine needs of YAML beyond the node tree: values for JSON and back, and Go's ways to write texts.

use crate::node;
use fluxide_goyaml::node::{Kind, Node, Style, tag};
use fluxide_goyaml::resolve::{Rules, Scalar, resolve};
use fluxide_goyaml::{EncodeOptions, Error, number};
use serde_json::Value;

/// A node as kyaml writes it, comments included.
pub(crate) fn encode(node: &Node) -> String {
    fluxide_goyaml::encode(node, EncodeOptions::KYAML)
}

/// A resource as `kustomize build` prints it.
pub(crate) fn print(node: &Node) -> Result<String, Error> {
    fluxide_goyaml::resource::to_yaml(node)
}

/// A resource as JSON.
pub(crate) fn node_to_json(node: &Node) -> Result<Value, Error> {
    fluxide_goyaml::resource::to_value(node).map(Value::from)
}

/// A resource as one line of JSON.
pub(crate) fn node_to_json_text(node: &Node) -> Result<String, Error> {
    fluxide_goyaml::resource::resource_to_json(node)
}

/// A YAML text as JSON, with YAML 1.1 booleans, as `sigs.k8s.io/yaml` reads it.
pub(crate) fn to_json(content: &[u8]) -> Result<Value, Error> {
    fluxide_goyaml::sigs::from_yaml(content).map(Value::from)
}

/// The same, with duplicate keys refused.
pub(crate) fn to_json_strict(content: &[u8]) -> Result<Value, Error> {
    fluxide_goyaml::sigs::from_yaml_strict(content).map(Value::from)
}

/// JSON as YAML, as `sigs.k8s.io/yaml` writes it.
pub(crate) fn from_json(value: &Value) -> String {
    fluxide_goyaml::sigs::to_yaml(&value.into()).unwrap_or_else(|err| format!("# {err}\n"))
}

/// A text in quotes as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What Go calls the type of a JSON value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a plain text would be read as something else than a string by YAML 1.1.
pub(crate) fn is_not_string_in_yaml_1_1(text: &str) -> bool {
    let starts_like_one = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_digit() || b"+-.~yYnNtTfFoO[{<=!&*|>'\"%@`#,?:".contains(&first));
    if !starts_like_one || text.contains('\n') {
        return false;
    }
    match resolve(Rules::V2, "", text) {
        Ok(Scalar::String) => {
            matches!(text.as_bytes()[0], b'[' | b'{' | b'-' | b'!' | b'#' | b'?')
                && fluxide_goyaml::sigs::from_yaml(text.as_bytes())
                    .is_ok_and(|value| !matches!(value, fluxide_goyaml::Value::String(_)))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

/// The node that Go gets from JSON by writing it as YAML and reading that: every number has passed through a float.
pub(crate) fn reread(value: Value) -> Node {
    match value {
        Value::Null => Node::null(),
        Value::Bool(value) => Node::bool(value),
        Value::Number(number) => {
            let text = number::format_float(number.as_f64().unwrap_or_default());
            let kind = match resolve(Rules::V3, "", &text) {
                Ok(Scalar::Int(_) | Scalar::Uint(_)) => tag::INT,
                _ => tag::FLOAT,
            };
            Node::scalar(kind, text)
        }
        Value::String(text) => reread_string(text),
        Value::Array(items) => {
            let mut node = Node::sequence(items.into_iter().map(reread));
            if node.content.is_empty() {
                node.style = Style::FLOW;
            }
            node
        }
        Value::Object(map) => {
            let mut node = Node::new(Kind::Mapping, tag::MAP);
            if map.is_empty() {
                node.style = Style::FLOW;
            }
            for (key, value) in map {
                node.content.push(reread_string(key));
                node.content.push(reread(value));
            }
            node
        }
    }
}

/// A string as Go's YAML writes it, in the style that it needs.
pub(crate) fn string(text: &str) -> Node {
    reread_string(text.to_owned())
}

fn reread_string(text: String) -> Node {
    let mut node = Node::string(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let starts_plain = node.value.bytes().next().is_some_and(|first| first.is_ascii_alphabetic());
    if starts_plain && node.value.len() > 5 && node.value.bytes().all(plain) {
        return node;
    }
    node.style = match encode(&node).as_bytes().first() {
        Some(b'"') => Style::DOUBLE_QUOTED,
        Some(b'\'') => Style::SINGLE_QUOTED,
        Some(b'|') => Style::LITERAL,
        _ => Style::PLAIN,
    };
    node
}

/// The text of a scalar; nothing for null and for a missing node.
pub(crate) fn text_of(node: Option<&Node>) -> &str {
    node.filter(|node| !node::is_null(node)).map_or("", |node| &node.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_yaml_1_1_takes_for_something_else() {
        for text in
            ["yes", "on", "n", "1", "0x1f", "1.5", "~", "2024-01-01", "[a]", "{}", "null", "true", ".5"]
        {
            assert!(is_not_string_in_yaml_1_1(text), "{text}");
        }
        for text in ["", "abc", "yes please", "a: b", "-x", "v1.2.3", "1.2.3", "10Gi", "name"] {
            assert!(!is_not_string_in_yaml_1_1(text) || text == "a: b", "{text}");
        }
    }

    #[test]
    fn numbers_pass_through_floats() {
        let node = reread(serde_json::json!([5, 9007199254740993i64, 1000000, 1.5, "5", "a: b"]));
        let texts: Vec<_> = node.content.iter().map(|n| (n.value.as_str(), n.style)).collect();
        assert_eq!(texts[0].0, "5");
        assert_eq!(texts[1].0, "9.007199254740992e+15");
        assert_eq!(texts[2].0, "1e+06");
        assert_eq!(texts[4].1, Style::DOUBLE_QUOTED);
        assert_eq!(texts[5].1, Style::SINGLE_QUOTED);
    }
}
