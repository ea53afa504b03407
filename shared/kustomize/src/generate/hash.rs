//! The hash that generated names end in.

use crate::error::Error;
use crate::node;
use fluxide_goyaml::node::{Kind, Node};
use fluxide_goyaml::{quote_json, to_json};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The first ten digits of a SHA-256 of what matters, with vowels and look-alikes replaced.
pub(crate) fn name_hash(object: &Node) -> Result<String, Error> {
    let text = match crate::yaml::text_of(object.get("kind")) {
        "ConfigMap" => config_map_text(object)?,
        "Secret" => secret_text(object)?,
        _ => node_text(object),
    };
    Ok(shorten(&hex::encode(Sha256::digest(text.as_bytes()))))
}

fn shorten(digest: &str) -> String {
    digest
        .chars()
        .take(10)
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

// The name is always empty: upstream looks for a field that is called `metadata/name`.

fn config_map_text(object: &Node) -> Result<String, Error> {
    let mut text = String::from("{");
    if let Content::Map(map) = content(object, "binaryData")? {
        let _ = write!(text, "\"binaryData\":{map},");
    }
    let _ =
        write!(text, "\"data\":{},\"kind\":\"ConfigMap\",\"name\":\"\"}}", content(object, "data")?.text());
    Ok(text)
}

fn secret_text(object: &Node) -> Result<String, Error> {
    let data = content(object, "data")?.text();
    let mut text = format!("{{\"data\":{data},\"kind\":\"Secret\",\"name\":\"\"");
    if let Content::Map(map) = content(object, "stringData")? {
        let _ = write!(text, ",\"stringData\":{map}");
    }
    let _ = write!(text, ",\"type\":{}}}", content(object, "type")?.text());
    Ok(text)
}

/// A field as JSON.
enum Content {
    Map(String),
    Other(String),
}

impl Content {
    fn text(self) -> String {
        match self {
            Content::Map(text) | Content::Other(text) => text,
        }
    }
}

fn content(object: &Node, field: &str) -> Result<Content, Error> {
    Ok(match object.get(field) {
        None => Content::Other("\"\"".into()),
        Some(node) if node.kind == Kind::Scalar => Content::Other(quote_json(&node.value, true)),
        Some(node) if node.kind == Kind::Mapping => Content::Map(map_text(node)?),
        Some(_) => Content::Other("null".into()),
    })
}

fn map_text(map: &Node) -> Result<String, Error> {
    let failed = |err: fluxide_goyaml::Error| Error::Output { id: String::new(), message: err.to_string() };
    let strings_only = map.pairs().all(|(key, value)| {
        node::is_string(key) && !key.tag().is_empty() && node::is_string(value) && !value.tag().is_empty()
    });
    if strings_only {
        let mut pairs: Vec<(&str, &str)> =
            map.pairs().map(|(key, value)| (key.value.as_str(), value.value.as_str())).collect();
        pairs.sort_unstable();
        if pairs.windows(2).all(|pair| pair[0].0 != pair[1].0) {
            let entries: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}:{}", quote_json(key, true), quote_json(value, true)))
                .collect();
            return Ok(format!("{{{}}}", entries.join(",")));
        }
    }
    let value = fluxide_goyaml::resource::to_value(map).map_err(failed)?;
    let value = fluxide_goyaml::sigs::go_floats(value).map_err(failed)?;
    to_json(&value).map_err(failed)
}

/// The JSON of the node as Go holds it, which is what other kinds are hashed by.
fn node_text(node: &Node) -> String {
    let mut text = String::new();
    write_node(&mut text, node);
    text
}

fn write_node(text: &mut String, node: &Node) {
    let kind = match node.kind {
        Kind::Document => 1,
        Kind::Sequence => 2,
        Kind::Mapping => 4,
        Kind::Scalar => 8,
        Kind::Alias => 16,
    };
    let style = [
        fluxide_goyaml::Style::TAGGED,
        fluxide_goyaml::Style::DOUBLE_QUOTED,
        fluxide_goyaml::Style::SINGLE_QUOTED,
        fluxide_goyaml::Style::LITERAL,
        fluxide_goyaml::Style::FOLDED,
        fluxide_goyaml::Style::FLOW,
    ]
    .into_iter()
    .enumerate()
    .filter(|(_, flag)| node.style.contains(*flag))
    .map(|(bit, _)| 1 << bit)
    .sum::<u32>();
    let quoted = |value: &str| quote_json(value, true);
    let _ = write!(
        text,
        "{{\"Kind\":{kind},\"Style\":{style},\"Tag\":{},\"Value\":{},\"Anchor\":{},\"Alias\":null,\"Content\":",
        quoted(node.tag()),
        quoted(&node.value),
        quoted(node.anchor())
    );
    if node.content.is_empty() {
        text.push_str("null");
    } else {
        for (at, child) in node.content.iter().enumerate() {
            text.push(if at == 0 { '[' } else { ',' });
            write_node(text, child);
        }
        text.push(']');
    }
    let _ = write!(
        text,
        ",\"HeadComment\":{},\"LineComment\":{},\"FootComment\":{},\"Line\":{},\"Column\":{}}}",
        quoted(node.head_comment()),
        quoted(node.line_comment()),
        quoted(node.foot_comment()),
        node.line,
        node.column
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_kustomize_does() {
        let hash =
            |text: &str| name_hash(&fluxide_goyaml::parse_one(text.as_bytes()).unwrap().into_root()).unwrap();
        assert_eq!(hash("kind: ConfigMap"), "6ct58987ht");
        assert_eq!(hash("{kind: ConfigMap, data: {a: '1'}}"), "h29d89cmmt");
        assert_eq!(hash("{kind: Secret, type: Opaque, data: {}}"), "46f8b28mk5");
    }
}
