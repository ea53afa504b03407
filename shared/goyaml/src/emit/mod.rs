//! The emitter: how libyaml lays text out, in the variants of go-yaml v2 and v3.

mod analysis;
mod resources;
mod scalars;
mod tree;
mod values;

pub(crate) use resources::encode_resource;
pub use tree::{EncodeOptions, encode, encode_all};
pub(crate) use values::{encode_bytewise, encode_json_value, encode_value, is_plain_json};

use crate::syntax::Dialect;
use crate::syntax::scanner::count_characters;

/// The state of the output.
pub(crate) struct Emitter<'a> {
    out: String,
    dialect: Dialect,
    best_indent: i32,
    /// Lines are folded at the first space after this column.
    best_width: u32,
    compact_sequences: bool,
    /// Floats are written as JSON would carry them.
    json_numbers: bool,
    /// Maps are written in the bytewise order of their keys, not in the natural one.
    bytewise: bool,
    indent: i32,
    column: u32,
    flow_level: u32,
    /// Whether the last character was white space.
    whitespace: bool,
    /// Whether there is only indentation on the line so far.
    indention: bool,
    /// The indentation of the foot comment just written; an empty line follows it.
    foot_indent: i32,
    comments: PendingComments<'a>,
}

/// Comments that wait to be written.
#[derive(Default)]
struct PendingComments<'a> {
    head: &'a str,
    line: &'a str,
    foot: &'a str,
    tail: &'a str,
    key_line: &'a str,
}

impl PendingComments<'_> {
    /// Whether something must follow the node on its line or below it.
    fn trail(&self) -> bool {
        !(self.line.is_empty() && self.foot.is_empty() && self.tail.is_empty())
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// It belongs to a mapping.
    mapping: bool,
    /// It is a key; its foot comment is written before the next key.
    key: bool,
    /// It is a key that fits on one line.
    simple_key: bool,
    /// It is an item of a block sequence.
    block_item: bool,
}

impl<'a> Emitter<'a> {
    fn new(dialect: Dialect, best_indent: i32, best_width: u32, compact_sequences: bool) -> Emitter<'a> {
        Emitter {
            out: String::new(),
            dialect,
            best_indent,
            best_width,
            compact_sequences,
            json_numbers: false,
            bytewise: false,
            indent: -1,
            column: 0,
            flow_level: 0,
            whitespace: true,
            indention: true,
            foot_indent: -1,
            comments: PendingComments::default(),
        }
    }

    /// Raises the indentation and returns the old one, to be restored at the end of the collection.
    fn increase_indent(&mut self, flow: bool, place: Place, compact: bool) -> i32 {
        let old = self.indent;
        if old < 0 {
            self.indent = if flow { self.best_indent } else { 0 };
        } else if self.dialect == Dialect::V2 {
            self.indent += self.best_indent;
        } else if place.block_item {
            // Inside an item the first indentation only skips the "- ".
            self.indent += 2;
        } else {
            self.indent = self.best_indent * ((old + self.best_indent) / self.best_indent);
            if compact {
                self.indent -= 2;
            }
        }
        old
    }

    fn write_indent(&mut self) {
        let indent = self.indent.max(0) as u32;
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        if self.foot_indent == indent as i32 {
            self.put_break();
        }
        while self.column < indent {
            self.put(b' ');
        }
        self.whitespace = true;
        if self.dialect == Dialect::V2 {
            self.indention = true;
        }
        self.foot_indent = -1;
    }

    fn write_indicator(
        &mut self,
        indicator: &str,
        need_whitespace: bool,
        is_whitespace: bool,
        is_indention: bool,
    ) {
        if need_whitespace && !self.whitespace {
            self.put(b' ');
        }
        self.write_str(indicator);
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }

    fn put(&mut self, byte: u8) {
        self.out.push(char::from(byte));
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        if self.dialect == Dialect::V3 {
            self.indention = true;
        }
    }

    /// Writes a line break of a scalar as it is.
    fn write_break(&mut self, line_break: &str) {
        self.out.push_str(line_break);
        self.column = 0;
        self.indention = true;
    }

    /// Writes text without line breaks.
    fn write_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += count_characters(text.as_bytes());
    }

    /// The comment before a node, after the comment that ended what was before it.
    fn process_head_comment(&mut self) {
        let tail = std::mem::take(&mut self.comments.tail);
        if !tail.is_empty() {
            self.write_indent();
            self.write_comment(tail);
            self.foot_indent = self.indent.max(0);
        }
        let head = std::mem::take(&mut self.comments.head);
        if !head.is_empty() {
            self.write_indent();
            self.write_comment(head);
        }
    }

    fn process_line_comment(&mut self) {
        let line = std::mem::take(&mut self.comments.line);
        if line.is_empty() {
            return;
        }
        if !self.whitespace {
            self.put(b' ');
        }
        self.write_comment(line);
    }

    fn process_foot_comment(&mut self) {
        let foot = std::mem::take(&mut self.comments.foot);
        if foot.is_empty() {
            return;
        }
        self.write_indent();
        self.write_comment(foot);
        self.foot_indent = self.indent.max(0);
    }

    fn write_comment(&mut self, comment: &str) {
        let mut rest = comment;
        let mut breaks = false;
        while !rest.is_empty() {
            let end = scalars::find_break(rest);
            if end == 0 {
                let width = scalars::break_width(rest);
                self.write_break(&rest[..width]);
                breaks = true;
                rest = &rest[width..];
                continue;
            }
            if breaks {
                self.write_indent();
            }
            if !rest.starts_with('#') {
                self.write_str("# ");
            }
            self.write_str(&rest[..end]);
            self.indention = false;
            breaks = false;
            rest = &rest[end..];
        }
        if !breaks {
            self.put_break();
        }
        self.whitespace = true;
    }
}
