//! Go strings: bytes that are usually, but not always, UTF-8.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A Go string. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<[u8]>);

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text with invalid bytes replaced by U+FFFD.
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Each rune with its byte offset and width, an invalid byte being U+FFFD of width 1, as Go ranges over a string.
    pub fn runes(&self) -> Runes<'_> {
        runes(&self.0)
    }
}

/// Iterates over the runes of a byte string as Go does.
pub fn runes(bytes: &[u8]) -> Runes<'_> {
    Runes { bytes, at: 0 }
}

/// The first rune of a byte string and its width: an invalid byte gives U+FFFD and 1, no bytes give width 0.
pub fn decode_rune(bytes: &[u8]) -> (char, usize) {
    let Some(&first) = bytes.first() else {
        return (char::REPLACEMENT_CHARACTER, 0);
    };
    if first < 0x80 {
        return (char::from(first), 1);
    }
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

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str_lossy())
    }
}

impl Default for Text {
    fn default() -> Text {
        Text(Arc::from(&b""[..]))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Arc::from(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(Arc::from(text.into_bytes()))
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        Text(Arc::from(bytes))
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Text {
        Text(Arc::from(bytes))
    }
}

impl From<Arc<[u8]>> for Text {
    /// Shares the bytes.
    fn from(bytes: Arc<[u8]>) -> Text {
        Text(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Text {
    fn from(bytes: &[u8; N]) -> Text {
        Text(Arc::from(bytes.as_slice()))
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Text {
        Text(Arc::from(text.as_bytes()))
    }
}
