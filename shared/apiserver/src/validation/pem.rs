//! PEM blocks, found as Go's library finds them: what is no block is skipped.

use base64::Engine;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A block of a PEM text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What the block says that it is, such as `CERTIFICATE`.
    pub kind: String,
    /// Whether there are headers before the content.
    pub has_headers: bool,
    /// The content.
    pub der: Vec<u8>,
}

/// The first block of `text`, and what follows it.
pub(crate) fn first(text: &str) -> Option<(Block, &str)> {
    let mut rest = text;
    loop {
        rest = match rest.strip_prefix(BEGIN) {
            Some(after) => after,
            None => &rest[rest.find("\n-----BEGIN ")? + 1 + BEGIN.len()..],
        };
        let (kind_line, after) = line(rest);
        rest = after;
        let Some(kind) = kind_line.strip_suffix(DASHES) else { continue };
        let mut has_headers = false;
        loop {
            if rest.is_empty() {
                return None;
            }
            let (header, next) = line(rest);
            if !header.contains(':') {
                break;
            }
            has_headers = true;
            rest = next;
        }
        let Some((content, trailer)) = end(rest, has_headers) else { continue };
        let ending = format!("{kind}{DASHES}");
        let Some(after) = trailer.strip_prefix(&ending) else { continue };
        let (remainder, following) = line(after);
        if !remainder.is_empty() {
            continue;
        }
        let digits: String = content.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).collect();
        let Ok(der) = base64::engine::general_purpose::STANDARD.decode(digits) else { continue };
        return Some((Block { kind: kind.to_owned(), has_headers, der }, following));
    }
}

/// The content before the closing line, and that line after its dashes and `END`.
fn end(rest: &str, has_headers: bool) -> Option<(&str, &str)> {
    if !has_headers && let Some(trailer) = rest.strip_prefix(END) {
        return Some(("", trailer));
    }
    let at = rest.find("\n-----END ")?;
    Some((&rest[..at], &rest[at + 1 + END.len()..]))
}

/// The first line without its end and trailing blanks, and what follows.
fn line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    (line.trim_end_matches('\r').trim_end_matches([' ', '\t']), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: &str, has_headers: bool, der: &[u8]) -> Block {
        Block { kind: kind.to_owned(), has_headers, der: der.to_vec() }
    }

    #[test]
    fn blocks_are_found_among_other_text() {
        let text = "note\n-----BEGIN A-----\r\nYWJj\r\n-----END A----- \n-----BEGIN B-----\nk: v\n\nZGVm\n-----END B-----";
        let (a, rest) = first(text).unwrap();
        assert_eq!(a, block("A", false, b"abc"));
        let (b, rest) = first(rest).unwrap();
        assert_eq!(b, block("B", true, b"def"));
        assert_eq!(first(rest), None);
    }

    #[test]
    fn broken_blocks_are_skipped() {
        let good = "-----BEGIN C-----\nYQ==\n-----END C-----\n";
        for broken in [
            "-----BEGIN A----\nYWJj\n-----END A-----\n",
            "-----BEGIN A-----\nYWJj\n-----END B-----\n",
            "-----BEGIN A-----\n%%%%\n-----END A-----\n",
            "-----BEGIN A-----\nYWJj\n-----END A-----x\n",
        ] {
            assert_eq!(first(&format!("{broken}{good}")).unwrap().0.kind, "C", "{broken}");
        }
        assert_eq!(first("-----BEGIN A-----"), None);
        assert_eq!(first(""), None);
    }
}
