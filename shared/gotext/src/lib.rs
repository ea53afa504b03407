//! Go's texts: bytes that are usually, but not always, UTF-8, cut into runes, quoted and classified as Go does it; durations.
//!
//! What Go programs print is full of quoted text (`%q`), and which characters are escaped there depends on the version of
//! Unicode that Go knows, which is not that of Rust.
//!
//! ```
//! assert_eq!(fluxide_gotext::quote_str("a\"b\n\u{ad}é"), r#""a\"b\n\u00adé""#);
//! assert_eq!(fluxide_gotext::quote(b"\xff"), br#""\xff""#);
//! ```

mod duration;
mod quote;
mod runes;
pub mod unicode;

pub use duration::{DurationError, format_duration, parse_duration, quote_time};
pub use quote::{
    can_backquote, quote, quote_ascii, quote_char, quote_rune, quote_str, unquote, unquote_char,
};
pub use runes::{Runes, decode_rune, is_invalid_rune, runes};
