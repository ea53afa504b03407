//! JSON as Go writes it, where signatures and transaction ids are made of the bytes.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use std::io;

/// A value as Go's `json.Marshal` writes it: with `<`, `>`, `&` and the two line separators escaped.
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, HtmlSafe))?;
    Ok(bytes)
}

struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut start = 0;
        for (at, c) in fragment.char_indices() {
            if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
                writer.write_all(&fragment.as_bytes()[start..at])?;
                write!(writer, "\\u{:04x}", u32::from(c))?;
                start = at + c.len_utf8();
            }
        }
        CompactFormatter.write_string_fragment(writer, &fragment[start..])
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_what_go_escapes() {
        let text = super::to_vec(&"a<b>&\u{2028}é\n\"").unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), r#""a\u003cb\u003e\u0026\u2028é\n\"""#);
    }
}
