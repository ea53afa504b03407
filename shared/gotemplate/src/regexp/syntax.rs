//! Reads Go's syntax and writes the same expression in the syntax of the crate `regex`.
//!
//! The two differ where it is easy to miss: Go's `\d`, `\w`, `\s` and `\b` are ASCII, it has octal escapes and `\Q..\E`, its
//! classes know no set operations, and it refuses stacked repetitions.

use super::class::{character_escape, class_character, class_escape, posix_class};
use crate::text::{decode_rune, is_invalid_rune};

const MAX_REPEAT: i64 = 1000;
const MAX_NESTING: usize = 1000;

/// An expression for the crate `regex`, with the names of its groups apart: Go allows one name twice.
pub(super) struct Translated {
    pub(super) pattern: String,
    pub(super) names: Vec<String>,
}

/// Translates an expression; the error is Go's kind and fragment.
pub(super) fn translate(pattern: &[u8]) -> Result<Translated, String> {
    let mut parser = Parser {
        whole: pattern,
        rest: pattern,
        flags: Flags::default(),
        frames: vec![Frame::default()],
        names: vec![String::new()],
    };
    parser.parse()?;
    let mut out = String::new();
    if let Some(frame) = parser.frames.pop() {
        frame.finish().write(&mut out);
    }
    Ok(Translated { pattern: out, names: parser.names })
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    non_greedy: bool,
}

/// A part of an expression.
enum Part {
    /// Text that is one unit in the target syntax.
    Unit(String),
    Sequence(Vec<Part>),
    Alternatives(Vec<Part>),
    Group(Box<Part>, bool),
    Repeat {
        part: Box<Part>,
        least: i64,
        most: i64,
        counted: bool,
        greedy: bool,
    },
}

impl Part {
    fn write(&self, out: &mut String) {
        match self {
            Part::Unit(text) => out.push_str(text),
            Part::Sequence(parts) => parts.iter().for_each(|part| part.write(out)),
            Part::Alternatives(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    if at > 0 {
                        out.push('|');
                    }
                    part.write(out);
                }
            }
            Part::Group(part, captures) => {
                out.push_str(if *captures { "(" } else { "(?:" });
                part.write(out);
                out.push(')');
            }
            Part::Repeat { part, least, most, greedy, .. } => {
                out.push_str("(?:");
                part.write(out);
                out.push(')');
                match (least, most) {
                    (0, -1) => out.push('*'),
                    (1, -1) => out.push('+'),
                    (0, 1) => out.push('?'),
                    (least, -1) => out.push_str(&format!("{{{least},}}")),
                    (least, most) => out.push_str(&format!("{{{least},{most}}}")),
                }
                if !greedy {
                    out.push('?');
                }
            }
        }
    }

    /// Whether nested counted repetitions multiply to no more than the limit.
    fn repeats_within(&self, mut limit: i64) -> bool {
        match self {
            Part::Unit(_) => true,
            Part::Sequence(parts) | Part::Alternatives(parts) => {
                parts.iter().all(|part| part.repeats_within(limit))
            }
            Part::Group(part, _) => part.repeats_within(limit),
            Part::Repeat { part, least, most, counted, .. } => {
                if *counted {
                    let count = if *most < 0 { *least } else { *most };
                    if *most == 0 {
                        return true;
                    }
                    if count > limit {
                        return false;
                    }
                    if count > 0 {
                        limit /= count;
                    }
                }
                part.repeats_within(limit)
            }
        }
    }
}

/// An open parenthesis.
#[derive(Default)]
struct Frame {
    alternatives: Vec<Part>,
    sequence: Vec<Part>,
    captures: bool,
    outer_flags: Flags,
}

impl Frame {
    fn finish(mut self) -> Part {
        let last = Part::Sequence(self.sequence);
        if self.alternatives.is_empty() {
            return last;
        }
        self.alternatives.push(last);
        Part::Alternatives(self.alternatives)
    }
}

struct Parser<'p> {
    whole: &'p [u8],
    rest: &'p [u8],
    flags: Flags,
    frames: Vec<Frame>,
    names: Vec<String>,
}

impl<'p> Parser<'p> {
    fn parse(&mut self) -> Result<(), String> {
        let mut last_repeat: Option<&'p [u8]> = None;
        while let Some(first) = self.rest.first() {
            let mut repeat = None;
            match first {
                b'(' if self.rest.starts_with(b"(?") => self.perl_group()?,
                b'(' => {
                    self.names.push(String::new());
                    self.rest = &self.rest[1..];
                    self.open(true)?;
                }
                b'|' => {
                    self.rest = &self.rest[1..];
                    let frame = self.frame();
                    let sequence = std::mem::take(&mut frame.sequence);
                    frame.alternatives.push(Part::Sequence(sequence));
                }
                b')' => self.close()?,
                b'^' => self.unit(if self.flags.multi_line { "(?m:^)" } else { r"\A" }, 1),
                b'$' => self.unit(if self.flags.multi_line { "(?m:$)" } else { r"\z" }, 1),
                b'.' => self.unit(if self.flags.dot_newline { "(?s:.)" } else { r"[^\n]" }, 1),
                b'[' => self.class()?,
                b'*' | b'+' | b'?' => {
                    let before = self.rest;
                    let (least, most) = match first {
                        b'*' => (0, -1),
                        b'+' => (1, -1),
                        _ => (0, 1),
                    };
                    self.rest = &self.rest[1..];
                    self.repeat(least, most, false, before, last_repeat)?;
                    repeat = Some(before);
                }
                b'{' => match counts(self.rest) {
                    Some((least, most, width)) => {
                        let before = self.rest;
                        self.rest = &self.rest[width..];
                        if !(0..=MAX_REPEAT).contains(&least)
                            || most > MAX_REPEAT
                            || most >= 0 && least > most
                        {
                            return Err(failure("invalid repeat count", &before[..width]));
                        }
                        self.repeat(least, most, true, before, last_repeat)?;
                        repeat = Some(before);
                    }
                    None => self.literal_rune()?,
                },
                b'\\' => self.escape()?,
                _ => self.literal_rune()?,
            }
            last_repeat = repeat;
        }
        if self.frames.len() > 1 {
            return Err(failure("missing closing )", self.whole));
        }
        Ok(())
    }

    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn unit(&mut self, text: &str, width: usize) {
        self.rest = &self.rest[width..];
        self.frame().sequence.push(Part::Unit(text.to_owned()));
    }

    fn literal_rune(&mut self) -> Result<(), String> {
        let (rune, width) = decode_rune(self.rest);
        if is_invalid_rune(rune, width) {
            return Err(failure("invalid UTF-8", self.whole));
        }
        self.rest = &self.rest[width..];
        self.literal(u32::from(rune));
        Ok(())
    }

    fn literal(&mut self, code: u32) {
        let text = self.folded(&shown(code));
        self.frame().sequence.push(Part::Unit(text));
    }

    fn folded(&self, unit: &str) -> String {
        if self.flags.fold_case { format!("(?i:{unit})") } else { unit.to_owned() }
    }

    fn open(&mut self, captures: bool) -> Result<(), String> {
        if self.frames.len() > MAX_NESTING {
            return Err(failure("expression nests too deeply", self.whole));
        }
        self.frames.push(Frame { captures, outer_flags: self.flags, ..Frame::default() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        if self.frames.len() < 2 {
            return Err(failure("unexpected )", self.whole));
        }
        self.rest = &self.rest[1..];
        if let Some(frame) = self.frames.pop() {
            self.flags = frame.outer_flags;
            let captures = frame.captures;
            let group = Part::Group(Box::new(frame.finish()), captures);
            self.frame().sequence.push(group);
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        least: i64,
        most: i64,
        counted: bool,
        before: &'p [u8],
        last_repeat: Option<&'p [u8]>,
    ) -> Result<(), String> {
        let mut greedy = !self.flags.non_greedy;
        if let Some(rest) = self.rest.strip_prefix(b"?") {
            greedy = !greedy;
            self.rest = rest;
        }
        if let Some(last) = last_repeat {
            return Err(failure("invalid nested repetition operator", &last[..last.len() - self.rest.len()]));
        }
        let after = self.rest.len();
        let Some(part) = self.frame().sequence.pop() else {
            return Err(failure("missing argument to repetition operator", &before[..before.len() - after]));
        };
        let repeated = Part::Repeat { part: Box::new(part), least, most, counted, greedy };
        if counted && (least >= 2 || most >= 2) && !repeated.repeats_within(MAX_REPEAT) {
            return Err(failure("invalid repeat count", &before[..before.len() - after]));
        }
        self.frame().sequence.push(repeated);
        Ok(())
    }

    /// `(?...`: a named group, flags, or a group with flags.
    fn perl_group(&mut self) -> Result<(), String> {
        let start = self.rest;
        let name_at = if start.len() > 4 && start.starts_with(b"(?P<") {
            Some(4)
        } else if start.len() > 3 && start.starts_with(b"(?<") {
            Some(3)
        } else {
            None
        };
        if let Some(name_at) = name_at {
            let Some(end) = memchr::memchr(b'>', start) else {
                return Err(failure("invalid named capture", start));
            };
            let name = &start[name_at.min(end)..end];
            if name.is_empty() || !name.iter().all(|byte| *byte == b'_' || byte.is_ascii_alphanumeric()) {
                return Err(failure("invalid named capture", &start[..=end]));
            }
            self.names.push(String::from_utf8_lossy(name).into_owned());
            self.rest = &start[end + 1..];
            return self.open(true);
        }
        let mut at = 2;
        let mut flags = self.flags;
        let mut negative = false;
        let mut saw_flag = false;
        while at < start.len() {
            let (rune, width) = decode_rune(&start[at..]);
            at += width;
            match rune {
                'i' => flags.fold_case = !negative,
                'm' => flags.multi_line = !negative,
                's' => flags.dot_newline = !negative,
                'U' => flags.non_greedy = !negative,
                '-' if !negative => {
                    negative = true;
                    saw_flag = false;
                    continue;
                }
                ':' | ')' if !negative || saw_flag => {
                    self.rest = &start[at..];
                    if rune == ':' {
                        self.open(false)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        Err(failure("invalid or unsupported Perl syntax", &start[..at]))
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.rest.get(1) {
            Some(b'A') => self.unit(r"\A", 2),
            Some(b'b') => self.unit(r"(?-u:\b)", 2),
            Some(b'B') => self.unit(r"(?-u:\B)", 2),
            Some(b'z') => self.unit(r"\z", 2),
            Some(b'C') => return Err(failure("invalid escape sequence", &self.rest[..2])),
            Some(b'Q') => {
                let after = &self.rest[2..];
                let (literal, rest) = match memchr::memmem::find(after, br"\E") {
                    Some(end) => (&after[..end], &after[end + 2..]),
                    None => (after, &after[after.len()..]),
                };
                self.rest = literal;
                while !self.rest.is_empty() {
                    self.literal_rune()?;
                }
                self.rest = rest;
            }
            _ => {
                if let Some((class, width)) = class_escape(self.rest)? {
                    let text = self.folded(&format!("[{class}]"));
                    self.unit(&text, width);
                } else {
                    let (code, width) = character_escape(self.rest)?;
                    self.rest = &self.rest[width..];
                    self.literal(code);
                }
            }
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let whole = self.rest;
        let mut rest = &whole[1..];
        let negated = rest.first() == Some(&b'^');
        if negated {
            rest = &rest[1..];
        }
        let mut items = String::new();
        let mut first = true;
        while rest.is_empty() || rest[0] != b']' || first {
            first = false;
            if rest.len() > 2
                && rest.starts_with(b"[:")
                && let Some(end) = memchr::memmem::find(&rest[2..], b":]")
            {
                let name = &rest[..end + 4];
                items.push_str(
                    posix_class(&rest[2..end + 2])
                        .ok_or_else(|| failure("invalid character class range", name))?,
                );
                rest = &rest[end + 4..];
                continue;
            }
            if let Some((class, width)) = class_escape(rest)? {
                items.push_str(&class);
                rest = &rest[width..];
                continue;
            }
            let range = rest;
            let low;
            (low, rest) = class_character(rest, whole)?;
            let mut high = low;
            if rest.len() >= 2 && rest[0] == b'-' && rest[1] != b']' {
                (high, rest) = class_character(&rest[1..], whole)?;
                if high < low {
                    return Err(failure("invalid character class range", &range[..range.len() - rest.len()]));
                }
            }
            push_range(&mut items, low, high);
        }
        self.rest = &rest[1..];
        let class = if items.is_empty() {
            // Only code points that no text contains.
            if negated { r"(?s:.)".to_owned() } else { r"[a&&b]".to_owned() }
        } else {
            format!("[{}{items}]", if negated { "^" } else { "" })
        };
        let text = self.folded(&class);
        self.frame().sequence.push(Part::Unit(text));
        Ok(())
    }
}

pub(super) fn failure(kind: &str, fragment: &[u8]) -> String {
    format!("{kind}: `{}`", String::from_utf8_lossy(fragment))
}

/// A code point in the target syntax. Surrogates, which no text contains, match nothing.
pub(super) fn shown(code: u32) -> String {
    match char::from_u32(code) {
        Some(_) => format!("\\x{{{code:x}}}"),
        None => "[a&&b]".to_owned(),
    }
}

pub(super) fn push_range(items: &mut String, low: u32, high: u32) {
    for (from, to) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        if from <= to {
            items.push_str(&format!("\\x{{{from:x}}}-\\x{{{to:x}}}"));
        }
    }
}

/// `{2}`, `{2,}` or `{2,3}`: the counts and the width. Numbers that are too large are reported as -1.
fn counts(text: &[u8]) -> Option<(i64, i64, usize)> {
    let mut at = 1;
    let least = count(text, &mut at)?;
    let mut most = least;
    if text.get(at)? == &b',' {
        at += 1;
        if text.get(at)? == &b'}' {
            most = -1;
        } else {
            most = count(text, &mut at)?;
            // A first number that is too large decides.
            if most < 0 {
                return (text.get(at)? == &b'}').then_some((-1, most, at + 1));
            }
        }
    }
    (text.get(at)? == &b'}').then_some((least, most, at + 1))
}

fn count(text: &[u8], at: &mut usize) -> Option<i64> {
    let start = *at;
    while text.get(*at).is_some_and(u8::is_ascii_digit) {
        *at += 1;
    }
    let digits = &text[start..*at];
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    if digits.len() >= 9 {
        return Some(-1);
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}
