//! Replacements inside texts that hold YAML or JSON themselves.

use super::path::visit;
use crate::node::{self, lookup, lookup_mut};
use fluxide_goyaml::node::{Kind, Node};
use fluxide_goyaml::{EncodeOptions, Value, encode, parse_one, quote_json, to_json};

/// Writes into the text at a proper prefix of the path. False when there is no such text or no such field in it; the
/// object is unchanged then.
pub(super) fn write(object: &mut Node, value: &Node, path: &[String], create: Option<Kind>) -> bool {
    for end in 1..path.len() {
        let Ok(Some(field)) = lookup(object, &path[..end]) else { continue };
        if field.kind != Kind::Scalar || node::is_null(field) {
            continue;
        }
        let Ok(mut document) = parse_one(field.value.as_bytes()) else { continue };
        let found = visit(document.root_mut(), &path[end..], create, &mut |inner, _| {
            if inner.kind == Kind::Scalar {
                inner.value.clone_from(&value.value);
            } else {
                *inner = value.clone();
            }
            Ok(())
        });
        if !matches!(found, Ok(count) if count > 0) {
            return false;
        }
        let Some(text) = serialize(&document, &field.value) else { return false };
        if let Ok(Some(field)) = lookup_mut(object, &path[..end]) {
            field.value = text.into();
        }
        return true;
    }
    false
}

/// As JSON when the text was JSON, indented if it was; otherwise as YAML.
fn serialize(document: &Node, original: &str) -> Option<String> {
    let text = encode(document, EncodeOptions::KYAML);
    if !original.trim_start().starts_with(['{', '[']) {
        return Some(text.trim().to_owned());
    }
    let mut root = parse_one(text.as_bytes()).ok()?.into_root();
    let value = if node::is_null(&root) {
        Value::Null
    } else {
        fluxide_goyaml::alias::resolve(&mut root).ok()?;
        let wrapped = Node::mapping([("v", root)]);
        fluxide_goyaml::decode(&wrapped).ok()?.get("v").cloned()?
    };
    if original.contains('\n') && original.contains("  ") {
        let mut out = String::new();
        write_indented(&mut out, &value, 0)?;
        return Some(out);
    }
    to_json(&value).ok()
}

/// JSON with two spaces of indentation, as Go's `MarshalIndent` writes it.
fn write_indented(out: &mut String, value: &Value, depth: usize) -> Option<()> {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                write_indented(out, item, depth + 1)?;
            }
            line(out, depth);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                out.push_str(&quote_json(key, true));
                out.push_str(": ");
                write_indented(out, item, depth + 1)?;
            }
            line(out, depth);
            out.push('}');
        }
        other => out.push_str(&to_json(other).ok()?),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, path: &[&str], expected: Option<&str>) {
        let mut object = Node::mapping([("data", Node::mapping([("x", Node::string(text))]))]);
        let path: Vec<String> = ["data", "x"].iter().chain(path).map(|step| (*step).to_owned()).collect();
        let done = write(&mut object, &Node::string("new"), &path, None);
        let text = object.walk(&["data", "x"]).map(|node| node.value.as_str());
        assert_eq!(done.then_some(text).flatten(), expected);
    }

    #[test]
    fn writes_into_texts() {
        check("{\"b\": {\"c\": \"1\"}, \"a\": 2.5}", &["b", "c"], Some("{\"a\":2.5,\"b\":{\"c\":\"new\"}}"));
        check("{\n  \"a\": \"x\"\n}\n", &["a"], Some("{\n  \"a\": \"new\"\n}"));
        check("a: # why\n- b\n", &["a", "0"], Some("a: # why\n- new"));
        check("plain", &["a"], None);
    }
}
