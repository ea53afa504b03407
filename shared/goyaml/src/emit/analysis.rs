//! Which styles a scalar can be written in.

use crate::syntax::Dialect;
use crate::syntax::scanner::is_break;
use crate::syntax::token::ScalarStyle;

use super::{Emitter, Place};

/// What a scalar's text permits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Analysis {
    pub multiline: bool,
    flow_plain: bool,
    block_plain: bool,
    single_quoted: bool,
    block: bool,
}

/// Looks at a scalar's text.
pub(super) fn analyze(dialect: Dialect, text: &str) -> Analysis {
    let bytes = text.as_bytes();
    let Some((&first, &last)) = bytes.first().zip(bytes.last()) else {
        return Analysis {
            multiline: false,
            flow_plain: false,
            block_plain: true,
            single_quoted: true,
            block: false,
        };
    };
    let blank_at = |at: usize| bytes.get(at).is_none_or(|&b| b == b' ' || b == b'\t');

    let mut block_indicators = text.starts_with("---") || text.starts_with("...");
    let mut flow_indicators = block_indicators;
    match first {
        b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%'
        | b'@' | b'`' => {
            flow_indicators = true;
            block_indicators = true;
        }
        b'?' | b':' => {
            flow_indicators = true;
            block_indicators |= blank_at(1);
        }
        b'-' if blank_at(1) => {
            flow_indicators = true;
            block_indicators = true;
        }
        _ => {}
    }

    let mut line_breaks = false;
    let mut special = false;
    let mut tabs = false;
    let mut break_space = false;
    let mut space_break = false;
    let mut previous_space = false;
    let mut previous_break = false;
    let mut after_white = true;
    let mut trailing_break = false;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b' ' => {
                break_space |= previous_break;
                previous_space = true;
                previous_break = false;
                after_white = true;
                at += 1;
                continue;
            }
            b'\n' | b'\r' | 0xC2 | 0xE2 if is_break(bytes, at) => {
                // CR and NEL are line breaks that cannot be printed.
                special |= byte == b'\r' || byte == 0xC2;
                line_breaks = true;
                space_break |= previous_space;
                previous_space = false;
                previous_break = true;
                after_white = true;
                at += width(byte);
                trailing_break = at == bytes.len();
                continue;
            }
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => flow_indicators = true,
            b':' if at > 0 => {
                flow_indicators = true;
                block_indicators |= blank_at(at + 1);
            }
            b'#' if at > 0 && after_white => {
                flow_indicators = true;
                block_indicators = true;
            }
            b'\t' => {
                tabs = true;
                previous_space = false;
                previous_break = false;
                after_white = true;
                at += 1;
                continue;
            }
            _ => special |= !is_printable(bytes, at),
        }
        previous_space = false;
        previous_break = false;
        after_white = byte == 0;
        at += width(byte);
    }
    if dialect == Dialect::V2 {
        special |= tabs;
    }

    let outer_white = first == b' ' || last == b' ' || trailing_break || is_break(bytes, 0);
    let plain = !(outer_white || break_space || space_break || tabs || special || line_breaks);
    Analysis {
        multiline: line_breaks,
        flow_plain: plain && !flow_indicators,
        block_plain: plain && !block_indicators,
        single_quoted: !(break_space || space_break || tabs || special),
        block: !(last == b' ' || space_break || special),
    }
}

impl Emitter<'_> {
    /// The style that is used for a scalar when `wanted` is asked for.
    pub(super) fn select_style(
        &self,
        wanted: ScalarStyle,
        text: &str,
        analysis: Analysis,
        place: Place,
    ) -> ScalarStyle {
        let flow = self.flow_level > 0;
        let mut style = wanted;
        if place.simple_key && analysis.multiline {
            style = ScalarStyle::DoubleQuoted;
        }
        if style == ScalarStyle::Plain {
            let allowed = if flow { analysis.flow_plain } else { analysis.block_plain };
            if !allowed || text.is_empty() && (flow || place.simple_key) {
                style = ScalarStyle::SingleQuoted;
            }
        }
        if style == ScalarStyle::SingleQuoted && !analysis.single_quoted {
            style = ScalarStyle::DoubleQuoted;
        }
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
            && (!analysis.block || flow || place.simple_key)
        {
            style = ScalarStyle::DoubleQuoted;
        }
        style
    }
}

/// Whether the character at `at` is written as it is. Above U+FFFF nothing is.
pub(super) fn is_printable(bytes: &[u8], at: usize) -> bool {
    let next = |ahead: usize| bytes.get(at + ahead).copied().unwrap_or(0);
    match bytes[at] {
        b'\n' | 0x20..=0x7E => true,
        0xC2 => next(1) >= 0xA0,
        0xC3..=0xEC | 0xEE => true,
        0xED => next(1) < 0xA0,
        0xEF => !(next(1) == 0xBB && next(2) == 0xBF || next(1) == 0xBF && next(2) >= 0xBE),
        _ => false,
    }
}

pub(super) fn width(byte: u8) -> usize {
    match byte {
        0x00..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}
