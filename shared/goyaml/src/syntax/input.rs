//! The reader: encodings, and where the text stops being text.

use std::borrow::Cow;

/// The text up to the first thing that cannot be read, and what that is.
pub(crate) struct Input<'a> {
    pub text: Cow<'a, str>,
    /// Raised when the scanner reaches the end of `text`.
    pub problem: Option<&'static str>,
}

/// The largest text that is read. Positions are 32 bits wide.
const MAX_SIZE: usize = 1 << 30;

/// go-yaml reads this many bytes at a time; a bad byte is noticed when its block is read, not when it is scanned.
const BLOCK: usize = 512;

/// Decodes UTF-8, or UTF-16 when a byte order mark says so.
pub(crate) fn decode(bytes: &[u8]) -> Input<'_> {
    if bytes.len() > MAX_SIZE {
        return Input { text: Cow::Borrowed(""), problem: Some("the text is larger than 1 GiB") };
    }
    match bytes {
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode_utf8(rest, 3),
        _ => decode_utf8(bytes, 0),
    }
}

/// `skipped` bytes were before `bytes`.
fn decode_utf8(bytes: &[u8], skipped: usize) -> Input<'_> {
    let (text, mut problem) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            // The prefix was just found to be valid, so nothing is lost here.
            (std::str::from_utf8(good).unwrap_or_default(), Some(utf8_problem(&bytes[error.valid_up_to()..])))
        }
    };
    let mut bad = problem.map(|_| text.len());
    if let Some(at) = forbidden(text) {
        bad = Some(at);
        problem = Some("control characters are not allowed");
    }
    match bad {
        None => Input { text: Cow::Borrowed(text), problem: None },
        Some(at) => Input { text: Cow::Borrowed(&text[..block_start(text, at, skipped)]), problem },
    }
}

/// What go-yaml says of bytes that are not UTF-8.
fn utf8_problem(bytes: &[u8]) -> &'static str {
    let width = match bytes[0] {
        0x00..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => return "invalid leading UTF-8 octet",
    };
    if bytes.len() < width {
        return "incomplete UTF-8 octet sequence";
    }
    let mut value = u32::from(bytes[0]) & [0, 0x7F, 0x1F, 0x0F, 0x07][width];
    for &octet in &bytes[1..width] {
        if octet & 0xC0 != 0x80 {
            return "invalid trailing UTF-8 octet";
        }
        value = value << 6 | u32::from(octet & 0x3F);
    }
    if value < [0, 0, 0x80, 0x800, 0x10000][width] {
        return "invalid length of a UTF-8 sequence";
    }
    "invalid Unicode character"
}

/// The offset of the first character that YAML does not allow.
fn forbidden(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.chunks(STRIDE).enumerate().find_map(|(index, chunk)| {
        // Without a branch for each byte, so that the compiler takes a whole stride at once.
        if !chunk.iter().fold(false, |found, &byte| found | is_suspect(byte)) {
            return None;
        }
        let start = index * STRIDE;
        (start..start + chunk.len()).find(|&at| is_forbidden(bytes, at))
    })
}

/// How many bytes are looked at together.
const STRIDE: usize = 64;

/// Whether a byte is a character that YAML does not allow, or the first of one that it may not allow.
fn is_suspect(byte: u8) -> bool {
    let control = byte < 0x20 && byte != b'\n' && byte != b'\t' && byte != b'\r';
    control | (byte == 0x7F) | (byte == 0xC2) | (byte == 0xEF)
}

/// Whether a character that YAML does not allow starts at `at`.
fn is_forbidden(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        0xC2 => bytes[at + 1] < 0xA0 && bytes[at + 1] != 0x85,
        0xEF => bytes[at + 1] == 0xBF && bytes[at + 2] >= 0xBE,
        byte => is_suspect(byte),
    }
}

/// The start of the block that go-yaml reads when it meets the character at `bad`.
fn block_start(text: &str, bad: usize, skipped: usize) -> usize {
    let mut start = 0;
    let mut end = BLOCK - skipped;
    loop {
        while end < text.len() && !text.is_char_boundary(end) {
            end -= 1;
        }
        if bad < end || end >= text.len() {
            return start.min(text.len());
        }
        start = end;
        end = start + BLOCK;
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Input<'static> {
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut problem = (bytes.len() % 2 == 1).then_some("incomplete UTF-16 character");
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    for decoded in char::decode_utf16(units) {
        match decoded {
            Ok(character) => text.push(character),
            Err(error) => {
                let low = error.unpaired_surrogate() & 0xFC00 == 0xDC00;
                problem =
                    Some(if low { "unexpected low surrogate area" } else { "expected low surrogate area" });
                break;
            }
        }
    }
    if let Some(at) = forbidden(&text) {
        text.truncate(at);
        problem = Some("control characters are not allowed");
    }
    Input { text: Cow::Owned(text), problem }
}
