//! Byte strings as runes.

/// Iterates over the runes of a byte string as Go does.
pub fn runes(bytes: &[u8]) -> Runes<'_> {
    Runes { bytes, at: 0 }
}

/// The first rune of a byte string and its width: an invalid byte gives U+FFFD and 1, no bytes give width 0.
#[inline]
pub fn decode_rune(bytes: &[u8]) -> (char, usize) {
    match bytes.first() {
        None => (char::REPLACEMENT_CHARACTER, 0),
        Some(&first) if first < 0x80 => (char::from(first), 1),
        Some(&first) => decode_wide_rune(first, bytes),
    }
}

/// A rune that is not ASCII.
fn decode_wide_rune(first: u8, bytes: &[u8]) -> (char, usize) {
    let width = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    match bytes.get(..width).map(std::str::from_utf8) {
        Some(Ok(text)) => (text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER), width),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// Whether the rune that [`decode_rune`] found is a real one or stands for an invalid byte.
pub fn is_invalid_rune(rune: char, width: usize) -> bool {
    rune == char::REPLACEMENT_CHARACTER && width <= 1
}

/// See [`runes`].
#[derive(Clone, Debug)]
pub struct Runes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Runes<'_> {
    type Item = (usize, char, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let (rune, width) = decode_rune(&self.bytes[self.at..]);
        let at = self.at;
        self.at += width;
        Some((at, rune, width))
    }
}
