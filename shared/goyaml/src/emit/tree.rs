//! Node trees to text, as go-yaml v3 writes them.

use std::borrow::Cow;

use crate::node::{Kind, Node, Style, tag};
use crate::resolve::{Rules, Scalar, long_tag, resolve, short_tag};
use crate::syntax::Dialect;
use crate::syntax::token::ScalarStyle;

use super::analysis::analyze;
use super::{Emitter, Place};

/// How [`encode`] lays out collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Spaces per level, 2 to 9.
    pub indent: u8,
    /// Whether `- ` counts as indentation, so that a sequence stands right below its key.
    pub compact_sequences: bool,
}

impl EncodeOptions {
    /// kyaml's `String()` and `kio`: indent 2, sequences not indented below their keys.
    pub const KYAML: EncodeOptions = EncodeOptions { indent: 2, compact_sequences: true };
    /// kyaml's "wide" style: indent 2, sequences indented below their keys.
    pub const WIDE: EncodeOptions = EncodeOptions { indent: 2, compact_sequences: false };
    /// go-yaml v3's `Marshal`: indent 4, sequences indented below their keys.
    pub const GO_YAML: EncodeOptions = EncodeOptions { indent: 4, compact_sequences: false };
}

impl Default for EncodeOptions {
    /// [`EncodeOptions::KYAML`].
    fn default() -> EncodeOptions {
        EncodeOptions::KYAML
    }
}

/// Writes a document or any other node as one YAML document.
pub fn encode(node: &Node, options: EncodeOptions) -> String {
    encode_all([(node, options)])
}

/// Writes several documents, with `---` between them.
///
/// Only [`EncodeOptions::compact_sequences`] may differ between documents; the first decides the indentation.
pub fn encode_all<'a>(documents: impl IntoIterator<Item = (&'a Node, EncodeOptions)>) -> String {
    let mut emitter = Emitter::new(Dialect::V3, 2, u32::MAX, false);
    for (at, (node, options)) in documents.into_iter().enumerate() {
        if at == 0 {
            emitter.best_indent = i32::from(options.indent.clamp(2, 9));
        }
        emitter.compact_sequences = options.compact_sequences;
        emitter.document(node, at == 0);
    }
    emitter.out
}

/// How a node is announced: its anchor, and its tag split into handle and suffix.
struct Properties<'a> {
    anchor: &'a str,
    handle: &'static str,
    suffix: String,
    tagged: bool,
    /// A string that must be quoted to stay one.
    quote: bool,
}

impl Properties<'_> {
    fn length(&self) -> usize {
        self.anchor.len() + self.handle.len() + self.suffix.len()
    }
}

impl<'a> Emitter<'a> {
    fn document(&mut self, node: &'a Node, first: bool) {
        let (root, head, foot) = match node.kind {
            Kind::Document => (node.content.first(), node.head_comment(), node.foot_comment()),
            _ => (Some(node), "", ""),
        };
        self.set_comments(head, "", "", "");
        if !first {
            self.write_indent();
            self.write_indicator("---", true, false, false);
            self.write_indent();
        }
        if !self.comments.head.is_empty() {
            self.process_head_comment();
            self.put_break();
        }
        if let Some(root) = root {
            self.announce(root, "");
            self.process_head_comment();
            self.node(root, Place::default());
        }
        self.set_comments("", "", foot, "");
        self.foot_indent = 0;
        self.process_foot_comment();
        self.foot_indent = -1;
        self.write_indent();
    }

    /// Takes over the comments with which a node begins.
    fn announce(&mut self, node: &'a Node, tail: &'a str) {
        match node.kind {
            Kind::Scalar | Kind::Alias => {
                let tail = if node.kind == Kind::Scalar { tail } else { "" };
                self.set_comments(node.head_comment(), node.line_comment(), node.foot_comment(), tail);
            }
            // A sequence as a key loses the comment before it.
            Kind::Sequence => self.set_comments(node.head_comment(), "", "", ""),
            Kind::Mapping | Kind::Document => self.set_comments(node.head_comment(), "", "", tail),
        }
    }

    fn set_comments(&mut self, head: &'a str, line: &'a str, foot: &'a str, tail: &'a str) {
        let pending = &mut self.comments;
        for (slot, text) in [
            (&mut pending.head, head),
            (&mut pending.line, line),
            (&mut pending.foot, foot),
            (&mut pending.tail, tail),
        ] {
            if !text.is_empty() {
                *slot = text;
            }
        }
    }

    /// Writes an announced node and the comments at its end.
    fn node(&mut self, node: &'a Node, place: Place) {
        self.begin(node, place, false);
        self.process_line_comment();
        self.process_foot_comment();
        self.body(node, place);
    }

    /// Writes a scalar or alias, or what comes before the first entry of a collection.
    /// With `comma`, one follows when a comment does; says whether it did.
    fn begin(&mut self, node: &'a Node, place: Place, comma: bool) -> bool {
        match node.kind {
            Kind::Scalar => self.scalar(node, place),
            Kind::Alias => {
                self.write_indicator("*", true, false, false);
                self.write_str(&node.value);
                self.whitespace = false;
                self.indention = false;
            }
            Kind::Mapping | Kind::Sequence | Kind::Document => {
                let properties = properties(node);
                self.write_properties(&properties);
            }
        }
        let trail = comma && self.comments.trail();
        if trail {
            self.write_indicator(",", false, false, false);
        }
        trail
    }

    /// The entries of a collection.
    fn body(&mut self, node: &'a Node, place: Place) {
        let flow = self.flow_level > 0 || node.style.contains(Style::FLOW) || node.content.is_empty();
        match node.kind {
            Kind::Sequence if flow => self.flow_sequence(node, place),
            Kind::Sequence => self.block_sequence(node, place),
            Kind::Mapping if flow => self.flow_mapping(node, place),
            Kind::Mapping => self.block_mapping(node, place),
            Kind::Document | Kind::Scalar | Kind::Alias => {}
        }
    }

    fn scalar(&mut self, node: &'a Node, place: Place) {
        let properties = properties(node);
        let analysis = analyze(Dialect::V3, &node.value);
        let style = self.select_style(wanted_style(node, properties.quote), &node.value, analysis, place);
        self.write_properties(&properties);
        let old = self.increase_indent(true, place, false);
        self.write_scalar(style, &node.value, !place.simple_key);
        self.indent = old;
    }

    fn block_sequence(&mut self, node: &'a Node, place: Place) {
        let compact = place.mapping && (self.column == 0 || !self.indention) && self.compact_sequences;
        let old = self.increase_indent(false, place, compact);
        for item in &node.content {
            self.announce(item, "");
            self.process_head_comment();
            self.write_indent();
            self.write_indicator("-", true, false, true);
            self.node(item, Place { block_item: true, ..Place::default() });
        }
        self.set_comments("", node.line_comment(), foot_of(node, place), "");
        self.indent = old;
    }

    fn block_mapping(&mut self, node: &'a Node, place: Place) {
        let old = self.increase_indent(false, place, false);
        let mut tail = "";
        for (key, value) in node.pairs() {
            self.announce_key(key, tail);
            tail = key.foot_comment();
            self.process_head_comment();
            self.write_indent();
            if !self.comments.line.is_empty() {
                self.comments.key_line = std::mem::take(&mut self.comments.line);
            }
            if self.is_simple_key(key) {
                let place = Place { mapping: true, key: true, simple_key: true, block_item: false };
                self.begin(key, place, false);
                self.body(key, place);
                self.announce(value, "");
                self.write_indicator(":", false, false, false);
            } else {
                self.write_indicator("?", true, false, true);
                let place = Place { mapping: true, key: true, ..Place::default() };
                self.begin(key, place, false);
                self.body(key, place);
                self.announce(value, "");
                self.write_indent();
                self.write_indicator(":", true, false, true);
            }
            self.write_key_comment(value);
            self.node(value, Place { mapping: true, ..Place::default() });
        }
        self.set_comments("", node.line_comment(), foot_of(node, place), tail);
        self.process_head_comment();
        self.indent = old;
    }

    /// A key is announced without its foot comment, which is written before the next key.
    fn announce_key(&mut self, key: &'a Node, tail: &'a str) {
        match key.kind {
            Kind::Scalar => self.set_comments(key.head_comment(), key.line_comment(), "", tail),
            Kind::Alias => self.set_comments(key.head_comment(), key.line_comment(), "", ""),
            _ => self.announce(key, tail),
        }
    }

    /// A comment on the line of a key: of the value when that is on the same line, else written right away.
    fn write_key_comment(&mut self, value: &Node) {
        if self.comments.key_line.is_empty() {
            return;
        }
        match value.kind {
            Kind::Scalar if self.comments.line.is_empty() => {
                self.comments.line = std::mem::take(&mut self.comments.key_line);
            }
            Kind::Mapping | Kind::Sequence if !value.style.contains(Style::FLOW) => {
                let line = std::mem::replace(&mut self.comments.line, self.comments.key_line);
                self.process_line_comment();
                self.comments.key_line = self.comments.line;
                self.comments.line = line;
            }
            _ => {}
        }
    }

    fn flow_sequence(&mut self, node: &'a Node, place: Place) {
        self.write_indicator("[", true, true, false);
        let old = self.increase_indent(true, place, false);
        self.flow_level += 1;
        let mut trail = false;
        for (at, item) in node.content.iter().enumerate() {
            self.announce(item, "");
            if at > 0 && !trail {
                self.write_indicator(",", false, false, false);
            }
            self.process_head_comment();
            if self.column == 0 || self.column > self.best_width {
                self.write_indent();
            }
            trail = self.comments.trail();
            self.begin(item, Place::default(), true);
            self.process_line_comment();
            self.process_foot_comment();
            self.body(item, Place::default());
        }
        self.set_comments("", node.line_comment(), foot_of(node, place), "");
        self.flow_level -= 1;
        self.indent = old;
        if self.column == 0 {
            self.write_indent();
        }
        self.write_indicator("]", false, false, false);
        self.process_line_comment();
        self.process_foot_comment();
    }

    fn flow_mapping(&mut self, node: &'a Node, place: Place) {
        self.write_indicator("{", true, true, false);
        let old = self.increase_indent(true, place, false);
        self.flow_level += 1;
        let mut trail = false;
        let mut tail = "";
        for (at, (key, value)) in node.pairs().enumerate() {
            self.announce_key(key, tail);
            tail = key.foot_comment();
            if at > 0 && !trail {
                self.write_indicator(",", false, false, false);
            }
            self.process_head_comment();
            if self.column == 0 || self.column > self.best_width {
                self.write_indent();
            }
            let mut place = Place { mapping: true, key: true, ..Place::default() };
            if self.is_simple_key(key) {
                place.simple_key = true;
                self.begin(key, place, false);
                self.body(key, place);
                self.announce(value, "");
                self.write_indicator(":", false, false, false);
            } else {
                self.write_indicator("?", true, false, false);
                self.begin(key, place, false);
                self.body(key, place);
                self.announce(value, "");
                if self.column > self.best_width {
                    self.write_indent();
                }
                self.write_indicator(":", true, false, false);
            }
            place = Place { mapping: true, ..Place::default() };
            trail = self.comments.trail();
            self.begin(value, place, true);
            self.process_line_comment();
            self.process_foot_comment();
            self.body(value, place);
        }
        self.set_comments("", node.line_comment(), foot_of(node, place), tail);
        let pending = &self.comments;
        let follows = !(pending.head.is_empty() && pending.foot.is_empty() && pending.tail.is_empty());
        if follows && !node.content.is_empty() && !trail {
            self.write_indicator(",", false, false, false);
        }
        self.process_head_comment();
        self.flow_level -= 1;
        self.indent = old;
        self.write_indicator("}", false, false, false);
        self.process_line_comment();
        self.process_foot_comment();
    }

    /// Whether a key can be written without `?`.
    fn is_simple_key(&self, key: &Node) -> bool {
        let length = match key.kind {
            Kind::Alias => key.value.len(),
            Kind::Scalar => {
                if analyze(Dialect::V3, &key.value).multiline {
                    return false;
                }
                properties(key).length() + key.value.len()
            }
            Kind::Sequence | Kind::Mapping if key.content.is_empty() => properties(key).length(),
            _ => return false,
        };
        length <= 128
    }

    fn write_properties(&mut self, properties: &Properties<'_>) {
        if !properties.anchor.is_empty() {
            self.write_indicator("&", true, false, false);
            self.write_str(properties.anchor);
            self.whitespace = false;
            self.indention = false;
        }
        if !properties.tagged {
            return;
        }
        if properties.handle.is_empty() {
            self.write_indicator("!<", true, false, false);
            self.write_tag_content(&properties.suffix);
            self.write_indicator(">", false, false, false);
        } else {
            if !self.whitespace {
                self.put(b' ');
            }
            self.write_str(properties.handle);
            if !properties.suffix.is_empty() {
                self.write_tag_content(&properties.suffix);
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn write_tag_content(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if byte.is_ascii_alphanumeric() || b"_-;/?:@&=+$,.~*'()[]".contains(&byte) {
                self.put(byte);
            } else {
                self.write_str(&format!("%{byte:02X}"));
            }
        }
    }
}

/// The comment below a collection, unless that is left to the next key.
fn foot_of(node: &Node, place: Place) -> &str {
    if place.key { "" } else { node.foot_comment() }
}

/// Anchor and tag of a node; the tag only when it was written or the text alone would mean something else.
fn properties(node: &Node) -> Properties<'_> {
    let mut quote = false;
    let mut shown: &str = node.tag();
    if !shown.is_empty() && !node.style.contains(Style::TAGGED) {
        let short = short_tag(shown);
        let implied = match node.kind {
            Kind::Scalar if *short == *tag::STR && node.style.intersects(Style::QUOTED_OR_BLOCK) => true,
            Kind::Scalar => {
                let resolved = resolve(Rules::V3, "", &node.value).unwrap_or(Scalar::String).tag();
                quote = resolved != short && *short == *tag::STR;
                resolved == short || quote
            }
            Kind::Mapping => *short == *tag::MAP,
            Kind::Sequence => *short == *tag::SEQ,
            Kind::Document | Kind::Alias => true,
        };
        if implied {
            shown = "";
        }
    }
    let mut found = Properties {
        anchor: node.anchor(),
        handle: "",
        suffix: String::new(),
        tagged: !shown.is_empty(),
        quote,
    };
    if found.tagged {
        let long: Cow<'_, str> = long_tag(shown);
        if let Some(suffix) = long.strip_prefix('!') {
            found.handle = "!";
            found.suffix = suffix.to_owned();
        } else if let Some(suffix) = long.strip_prefix("tag:yaml.org,2002:") {
            found.handle = "!!";
            found.suffix = suffix.to_owned();
        } else {
            found.suffix = long.into_owned();
        }
    }
    found
}

fn wanted_style(node: &Node, quote: bool) -> ScalarStyle {
    let style = node.style;
    if style.contains(Style::DOUBLE_QUOTED) {
        ScalarStyle::DoubleQuoted
    } else if style.contains(Style::SINGLE_QUOTED) {
        ScalarStyle::SingleQuoted
    } else if style.contains(Style::LITERAL) {
        ScalarStyle::Literal
    } else if style.contains(Style::FOLDED) {
        ScalarStyle::Folded
    } else if node.value.contains('\n') {
        ScalarStyle::Literal
    } else if quote {
        ScalarStyle::DoubleQuoted
    } else {
        ScalarStyle::Plain
    }
}
