//! Resources straight from their trees to text, where that is sure to give what the way through JSON would give.

use super::values::{LONGEST_KEY, is_plain_text, json_number};
use super::{Emitter, Place};
use crate::natural;
use crate::node::{Kind, Node, Style, tag};
use crate::resolve::{Rules, Scalar, resolve};
use crate::resource::{is_read_back, key_is_read_back, scalar_is_read_back};
use crate::syntax::{Dialect, MAX_DEPTH};

/// A tree that must take the long way.
struct Indirect;

/// Writes a resource as go-yaml v2 writes its value; `None` when the tree alone does not tell what that is.
pub(crate) fn encode_resource(root: &Node) -> Option<String> {
    let mut emitter = Emitter::new(Dialect::V2, 2, 80, true);
    emitter.resource_node(root, false, false, 0).ok()?;
    emitter.write_indent();
    Some(emitter.out)
}

impl Emitter<'_> {
    /// Writes a node; `mapping` says that it belongs to a key, `flow` that it was read inside a flow collection.
    fn resource_node(
        &mut self,
        node: &Node,
        mapping: bool,
        flow: bool,
        depth: usize,
    ) -> Result<(), Indirect> {
        let flow = flow || node.style.contains(Style::FLOW);
        if !is_read_back(node, flow) || depth >= MAX_DEPTH {
            return Err(Indirect);
        }
        match node.kind {
            Kind::Document | Kind::Alias => return Err(Indirect),
            Kind::Scalar => return self.resource_scalar(node, flow),
            Kind::Sequence if node.content.is_empty() => self.word("[]"),
            Kind::Mapping if node.content.is_empty() => self.word("{}"),
            Kind::Sequence => {
                let old = self.indent_sequence(mapping);
                for item in &node.content {
                    self.write_indent();
                    self.write_indicator("-", true, false, true);
                    self.resource_node(item, false, flow, depth + 1)?;
                }
                self.indent = old;
            }
            Kind::Mapping => {
                let old = self.increase_indent(false, Place::default(), false);
                for (key, value) in entries(node, flow)? {
                    self.key(key);
                    self.resource_node(value, true, flow, depth + 1)?;
                }
                self.indent = old;
            }
        }
        Ok(())
    }

    fn resource_scalar(&mut self, node: &Node, flow: bool) -> Result<(), Indirect> {
        let text = node.value.as_str();
        if !scalar_is_read_back(node, flow) || !is_plain_text(text) {
            return Err(Indirect);
        }
        if node.tag() == tag::STR || node.style.intersects(Style::QUOTED_OR_BLOCK) {
            self.string(text);
            return Ok(());
        }
        match resolve(Rules::V3, "", text) {
            Ok(Scalar::String) => self.string(text),
            Ok(Scalar::Null) => self.word("null"),
            Ok(Scalar::Bool(value)) => self.word(if value { "true" } else { "false" }),
            Ok(Scalar::Int(value)) => self.word(&value.to_string()),
            Ok(Scalar::Uint(value)) => self.word(&value.to_string()),
            Ok(Scalar::Float(value)) if value.is_finite() => self.word(&json_number(value)),
            Ok(Scalar::Timestamp(time)) => self.string(&time.to_string()),
            _ => return Err(Indirect),
        }
        Ok(())
    }
}

/// The entries of a mapping in the order in which they are written.
fn entries(mapping: &Node, flow: bool) -> Result<Vec<(&str, &Node)>, Indirect> {
    let mut entries = Vec::with_capacity(mapping.content.len() / 2);
    for (key, value) in mapping.pairs() {
        let text = key.value.as_str();
        let plain = text != "<<" && text.len() < LONGEST_KEY && is_plain_text(text);
        if !plain || !key_is_read_back(key, flow) {
            return Err(Indirect);
        }
        entries.push((text, value));
    }
    entries.sort_unstable_by_key(|(key, _)| *key);
    if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Indirect);
    }
    natural::sort(&mut entries);
    Ok(entries)
}
