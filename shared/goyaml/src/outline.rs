//! The members of a mapping in plain block style, found line by line.
//!
//! Most YAML that programs write, Kubernetes manifests above all, is block style with scalars that end where their line
//! ends. What is that plain can be told from its lines alone, many times faster than by scanning tokens. Whatever is not
//! is refused here and left to the parser: this may refuse what is valid, and never takes what is not.

use crate::resolve::{Rules, Scalar, resolve};
use crate::syntax::scanner::is_break;

/// How deep plain text may nest; the parser knows better what to do with deeper text.
const MAX_DEPTH: usize = 64;

/// How long a key may be; the parser has its own limit for what can be told to be a key.
const MAX_KEY: usize = 256;

/// A member of the outermost mapping: its key, and its lines from the key on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member<'t> {
    pub key: &'t str,
    pub text: &'t str,
}

/// The members of the mapping that a text consists of, `None` when it is anything but plain.
///
/// The characters of the text must be ones that YAML allows.
pub(crate) fn outline(text: &str) -> Option<Vec<Member<'_>>> {
    let bytes = text.as_bytes();
    // Line breaks other than line feeds.
    let odd = |at: usize| matches!(bytes[at], 0xC2 | 0xE2) && is_break(bytes, at);
    if bytes.contains(&b'\r') || !text.is_ascii() && (0..bytes.len()).any(odd) {
        return None;
    }
    let mut lines = Lines { text, at: 0 };
    let mut blocks = Blocks { open: Vec::new(), awaiting: Awaiting::Nothing };
    let mut starts: Vec<(usize, &str)> = Vec::new();
    while let Some(line) = lines.next() {
        let mut content = line.text.trim_start_matches(' ');
        let mut column = line.text.len() - content.len();
        if content.is_empty() {
            continue;
        }
        if content.starts_with('#') {
            blocks.end_text();
            continue;
        }
        if content.as_bytes().contains(&b'\t') {
            return None;
        }
        if blocks.takes_more_text(column) {
            if !is_text(content) {
                return None;
            }
            continue;
        }
        blocks.close_beyond(column);
        let mut is_item = false;
        while content == "-" || content.starts_with("- ") {
            blocks.sequence_entry(column)?;
            is_item = true;
            let rest = content[1..].trim_start_matches(' ');
            column += content.len() - rest.len();
            content = rest;
        }
        let value = match split_key(content) {
            Some((key, value)) => {
                blocks.mapping_entry(column)?;
                is_item = false;
                if blocks.open.len() == 1 {
                    starts.push((line.start, key));
                }
                value
            }
            None if is_item => content,
            None => return None,
        };
        blocks.awaiting = match value_kind(value)? {
            ValueKind::Nothing if is_item => Awaiting::Item,
            ValueKind::Nothing => Awaiting::Value,
            ValueKind::Complete => Awaiting::Nothing,
            ValueKind::Text => Awaiting::MoreText,
            ValueKind::BlockScalar => {
                lines.skip_block_scalar(blocks.indent())?;
                Awaiting::Nothing
            }
        };
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    Some(
        starts.iter().zip(ends).map(|((start, key), end)| Member { key, text: &text[*start..end] }).collect(),
    )
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    /// A further entry.
    Nothing,
    /// The value of a key.
    Value,
    /// The content of an item.
    Item,
    /// More lines of a plain scalar.
    MoreText,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mapping,
    Sequence,
}

/// The collections that are open, outermost first, with the columns that they stand at.
struct Blocks {
    open: Vec<(usize, Kind)>,
    awaiting: Awaiting,
}

impl Blocks {
    /// The column of the innermost collection.
    fn indent(&self) -> usize {
        self.open.last().map_or(0, |(column, _)| *column)
    }

    fn takes_more_text(&self, column: usize) -> bool {
        self.awaiting == Awaiting::MoreText && column > self.indent()
    }

    /// Closes the collections that a line at this column is no part of; what they awaited is null.
    fn close_beyond(&mut self, column: usize) {
        while self.open.last().is_some_and(|(open, _)| *open > column) {
            self.open.pop();
            self.awaiting = Awaiting::Nothing;
        }
        self.end_text();
    }

    /// A plain scalar does not go on.
    fn end_text(&mut self) {
        if self.awaiting == Awaiting::MoreText {
            self.awaiting = Awaiting::Nothing;
        }
    }

    fn sequence_entry(&mut self, column: usize) -> Option<()> {
        let awaiting = std::mem::replace(&mut self.awaiting, Awaiting::Item);
        match self.open.last()? {
            (open, Kind::Sequence) if *open == column && awaiting != Awaiting::Value => Some(()),
            // The items of a key's value may stand below the key.
            (open, Kind::Mapping) if *open <= column && awaiting == Awaiting::Value => {
                self.push(column, Kind::Sequence)
            }
            (open, Kind::Sequence) if *open < column && awaiting == Awaiting::Item => {
                self.push(column, Kind::Sequence)
            }
            _ => None,
        }
    }

    fn mapping_entry(&mut self, column: usize) -> Option<()> {
        let awaiting = std::mem::replace(&mut self.awaiting, Awaiting::Nothing);
        if let [.., (outer, Kind::Mapping), (inner, Kind::Sequence)] = self.open.as_slice()
            && outer == inner
            && *inner == column
        {
            self.open.pop();
            return Some(());
        }
        match self.open.last() {
            None if column == 0 => self.push(column, Kind::Mapping),
            Some((open, Kind::Mapping)) if *open == column => Some(()),
            Some((open, _)) if *open < column && matches!(awaiting, Awaiting::Value | Awaiting::Item) => {
                self.push(column, Kind::Mapping)
            }
            _ => None,
        }
    }

    fn push(&mut self, column: usize, kind: Kind) -> Option<()> {
        self.open.push((column, kind));
        (self.open.len() <= MAX_DEPTH).then_some(())
    }
}

struct Lines<'t> {
    text: &'t str,
    at: usize,
}

struct Line<'t> {
    start: usize,
    text: &'t str,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<Line<'t>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').unwrap_or(rest.len());
        let start = self.at;
        self.at += (length + 1).min(rest.len());
        Some(Line { start, text: &rest[..length] })
    }

    /// Passes the lines of a block scalar in a collection that stands at `parent`.
    fn skip_block_scalar(&mut self, parent: usize) -> Option<()> {
        let mut indent = None;
        let mut widest_blank = 0;
        loop {
            let before = self.at;
            let Some(line) = self.next() else { return Some(()) };
            let column = line.text.bytes().take_while(|byte| *byte == b' ').count();
            if column == line.text.len() {
                widest_blank = widest_blank.max(if indent.is_none() { column } else { 0 });
                continue;
            }
            let needed = *indent.get_or_insert(column.max(parent + 1));
            if line.text.as_bytes()[column] == b'\t' && column <= needed {
                return None;
            }
            if column < needed {
                self.at = before;
                return Some(());
            }
            // Blank lines at the top that reach further than the text count as its indentation.
            if widest_blank > needed {
                return None;
            }
        }
    }
}

/// A key that is a string, and what stands behind its colon.
fn split_key(content: &str) -> Option<(&str, &str)> {
    let bytes = content.as_bytes();
    let (key, after) = match *bytes.first()? {
        quote @ (b'"' | b'\'') => {
            let length = bytes[1..].iter().take_while(|byte| is_key_byte(**byte)).count();
            if bytes.get(1 + length) != Some(&quote) {
                return None;
            }
            (&content[1..1 + length], 2 + length)
        }
        first if first.is_ascii_alphabetic() || matches!(first, b'_' | b'.' | b'/' | b'$') => {
            let length = bytes.iter().take_while(|byte| is_key_byte(**byte)).count();
            (&content[..length], length)
        }
        _ => return None,
    };
    let value = content[after..].strip_prefix(':')?;
    let ends = value.is_empty() || value.starts_with(' ');
    let plain = after == key.len();
    if !ends || key.len() > MAX_KEY || plain && resolve(Rules::V2, "", key) != Ok(Scalar::String) {
        return None;
    }
    Some((key, value.trim_start_matches(' ')))
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'$' | b'-')
}

enum ValueKind {
    /// It comes on the next lines, or is null.
    Nothing,
    /// It ends with the line.
    Complete,
    /// A plain scalar, which may go on.
    Text,
    /// It is all on the next lines.
    BlockScalar,
}

/// What stands behind a colon or a dash; `None` when that is not plain.
fn value_kind(value: &str) -> Option<ValueKind> {
    let bytes = value.as_bytes();
    let Some(&first) = bytes.first() else { return Some(ValueKind::Nothing) };
    match first {
        b'#' => Some(ValueKind::Nothing),
        b'|' | b'>' => {
            let header = value[1..].trim_end_matches(' ');
            matches!(header, "" | "-" | "+").then_some(ValueKind::BlockScalar)
        }
        b'"' | b'\'' => after_value(after_quoted(value)?),
        b'{' => after_value(value.strip_prefix("{}")?),
        b'[' => after_value(flow_sequence(&value[1..])?),
        // Numbers that JSON does not have.
        b'.' if matches!(bytes.get(1), Some(b'n' | b'N' | b'i' | b'I')) => None,
        b'-' | b'+' if bytes.get(1) == Some(&b'.') => None,
        b'-' | b'?' | b':' if matches!(bytes.get(1), None | Some(b' ')) => None,
        b'<' | b',' | b']' | b'}' | b'&' | b'*' | b'!' | b'%' | b'@' | b'`' => None,
        _ => {
            let (text, comment) = value.split_once(" #").map_or((value, false), |(text, _)| (text, true));
            is_text(text).then_some(if comment { ValueKind::Complete } else { ValueKind::Text })
        }
    }
}

/// What stands behind a quoted scalar that ends on its line.
fn after_quoted(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (b'\'', Some(b'\'')) if quote == b'\'' => at += 2,
            (byte, _) if byte == quote => return Some(&text[at + 1..]),
            (b'\\', Some(b'"' | b'\\' | b'n' | b't' | b'r')) if quote == b'"' => at += 2,
            (b'\\', _) if quote == b'"' => return None,
            _ => at += 1,
        }
    }
}

/// What stands behind a sequence in brackets, whose items are quoted or plain words.
fn flow_sequence(items: &str) -> Option<&str> {
    let mut rest = items.trim_start_matches(' ');
    if let Some(rest) = rest.strip_prefix(']') {
        return Some(rest);
    }
    loop {
        let after = match *rest.as_bytes().first()? {
            b'"' | b'\'' => after_quoted(rest)?,
            first if first.is_ascii_alphanumeric() => {
                rest.trim_start_matches(|c: char| c.is_ascii() && is_key_byte(c as u8))
            }
            _ => return None,
        };
        let after = after.trim_start_matches(' ');
        if let Some(after) = after.strip_prefix(']') {
            return Some(after);
        }
        rest = after.strip_prefix(',')?.trim_start_matches(' ');
    }
}

/// Behind a value that has its own end there may be a comment.
fn after_value(rest: &str) -> Option<ValueKind> {
    let trimmed = rest.trim_start_matches(' ');
    let comment = trimmed.starts_with('#') && trimmed.len() < rest.len();
    (trimmed.is_empty() || comment).then_some(ValueKind::Complete)
}

/// Whether the line of a plain scalar is nothing else as well.
fn is_text(line: &str) -> bool {
    !line.contains(": ") && !line.contains(" #") && !line.trim_end_matches(' ').ends_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigs;

    const PLAIN: &[&str] = &[
        "a: 1\nb:\n  c: d\n",
        "# head\n\nkind: X # c\nm:\n- a\n- b: 1\n  c:\n  - d\n  e: f\n-\n  g: h\n- - i\n  - j\nz: ''\n",
        "t: |\n\n  text: x\n    more\n\n  end\n# c\nu: >-\n  folded\nv: |\nw: 'it''s'\n",
        "d: some text\n  that goes on\n\n  and on\ne: \"q\\n\\\"\" # c\nf: {}\ng: []\ni: [get, \"*\", 'x'] # c\nj: :80\nk:\n- --l=m\n\"h\": -1\n",
        "a:\n  b:\n    c:\nd:\n  - e:\n      f: 1\n    g: 2\n  # c\n  - h\n",
    ];

    const NOT_PLAIN: &[&str] = &[
        "- a\n",
        "a: &x 1\n",
        "a: *x\n",
        "a: !!str 1\n",
        "? a\n",
        "a: [-1]\n",
        "a: {b: c}\n",
        "a:\n\tb: 1\n",
        "a: \"x\n  y\"\n",
        "a: b: c\n",
        "a: b:\n",
        "a: b\n c: d\n",
        "a: 'b\n",
        "a: 'b' c\n",
        "a: |2\n   x\n",
        "a: |\n     \n  x\n",
        "a:\n-\ntext\n",
        "a: [b: c]\n",
        "a: [b,]\n",
        "a: [b\n]\n",
        "a: |\n  x\n y: 1\n",
        "a:\n  b: 1\n c: 2\n",
        "a:\n  - b\n c: 1\n",
        "a:\n- b\n - c: 1\n",
        "a: 1\n  b\n: c\n",
        "---\na: 1\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n...\n",
        "%YAML 1.1\n---\na: 1\n",
        " a: 1\n",
        "a: .nan\n",
        "a: -.inf\n",
        "on: 1\n",
        "1: a\n",
        "<<: {}\n",
        "a: 1\r\nb: 2\n",
        "a: x\u{2028}b: c\n",
        "a: \"\\q\"\n",
        "a: @x\n",
        "a: `x`\n",
        "a: %x\n",
        "a: b\n# c\n  d\n",
        "a: |\n\tx\n",
        "a:\n  b\n",
        "a: - b\n",
        "text\n",
        "a:b\n",
    ];

    #[test]
    fn plain_text_is_cut_into_its_members() {
        for text in PLAIN {
            let members = outline(text).expect(text);
            let all: std::collections::BTreeMap<_, _> = members
                .iter()
                .map(|member| {
                    let mut map = sigs::unmarshal_map(member.text.as_bytes()).expect(member.text);
                    (member.key.to_owned(), map.remove(member.key).expect(member.key))
                })
                .collect();
            assert_eq!(sigs::unmarshal_map(text.as_bytes()).unwrap(), all, "{text}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        for text in NOT_PLAIN {
            assert_eq!(outline(text), None, "{text:?}");
        }
    }
}
