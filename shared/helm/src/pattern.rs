//! Shell patterns as Go's `filepath.Match` reads them: `*`, `?`, `[a-z]`, `[^a]` and `\` within one path segment.

use thiserror::Error;

/// The pattern is malformed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Whether the whole name matches the pattern. `*` and `?` do not match `/`.
pub fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let is_literal = |text: &str| !text.bytes().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    if is_literal(pattern) {
        return Ok(pattern == name);
    }
    if let Some(ending) = pattern.strip_prefix('*').filter(|ending| is_literal(ending)) {
        return Ok(name.strip_suffix(ending).is_some_and(|start| !start.contains('/')));
    }
    let mut pattern = pattern.as_bytes();
    let mut name = name.as_bytes();
    'pattern: while !pattern.is_empty() {
        let (star, chunk, rest) = scan_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        let (matched, after) = match_chunk(chunk, name)?;
        // At the end of the pattern, the chunk has to take the whole rest of the name.
        if matched && (after.is_empty() || !pattern.is_empty()) {
            name = after;
            continue;
        }
        if star {
            let mut skipped = 0;
            while skipped < name.len() && name[skipped] != b'/' {
                let (matched, after) = match_chunk(chunk, &name[skipped + 1..])?;
                if matched && (after.is_empty() || !pattern.is_empty()) {
                    name = after;
                    continue 'pattern;
                }
                skipped += 1;
            }
        }
        // Look for errors in what was not used.
        while !pattern.is_empty() {
            let (_, chunk, rest) = scan_chunk(pattern);
            pattern = rest;
            match_chunk(chunk, b"")?;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// The next piece of the pattern: whether stars come first, the text up to the next star, and what follows.
fn scan_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
    let pattern = &pattern[stars..];
    let mut in_range = false;
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'[' => in_range = true,
            b']' => in_range = false,
            b'*' if !in_range => break,
            _ => {}
        }
        at += 1;
    }
    let at = at.min(pattern.len());
    (stars > 0, &pattern[..at], &pattern[at..])
}

/// Matches a chunk at the start of the name; gives what is left of the name. Errors are found even after a mismatch.
fn match_chunk<'n>(mut chunk: &[u8], mut name: &'n [u8]) -> Result<(bool, &'n [u8]), BadPattern> {
    let mut failed = false;
    while !chunk.is_empty() {
        failed |= name.is_empty();
        match chunk[0] {
            b'[' => {
                let mut character = 0;
                if !failed {
                    let (decoded, width) = decode(name);
                    character = decoded;
                    name = &name[width..];
                }
                chunk = &chunk[1..];
                let negated = chunk.first() == Some(&b'^');
                if negated {
                    chunk = &chunk[1..];
                }
                let mut matched = false;
                let mut ranges = 0;
                loop {
                    if chunk.first() == Some(&b']') && ranges > 0 {
                        chunk = &chunk[1..];
                        break;
                    }
                    let low;
                    (low, chunk) = range_end(chunk)?;
                    let mut high = low;
                    if chunk.first() == Some(&b'-') {
                        (high, chunk) = range_end(&chunk[1..])?;
                    }
                    matched |= (low..=high).contains(&character);
                    ranges += 1;
                }
                failed |= matched == negated;
            }
            b'?' => {
                if !failed {
                    failed = name[0] == b'/';
                    name = &name[decode(name).1..];
                }
                chunk = &chunk[1..];
            }
            byte => {
                let literal = if byte == b'\\' {
                    chunk = &chunk[1..];
                    *chunk.first().ok_or(BadPattern)?
                } else {
                    byte
                };
                if !failed {
                    failed = literal != name[0];
                    name = &name[1..];
                }
                chunk = &chunk[1..];
            }
        }
    }
    Ok((!failed, if failed { b"" } else { name }))
}

/// One end of a range within brackets.
fn range_end(mut chunk: &[u8]) -> Result<(u32, &[u8]), BadPattern> {
    if matches!(chunk.first(), None | Some(b'-' | b']')) {
        return Err(BadPattern);
    }
    if chunk[0] == b'\\' {
        chunk = &chunk[1..];
        if chunk.is_empty() {
            return Err(BadPattern);
        }
    }
    let (character, width) = decode(chunk);
    let rest = &chunk[width..];
    if rest.is_empty() { Err(BadPattern) } else { Ok((character, rest)) }
}

/// The first character and its width; a byte that is not UTF-8 is U+FFFD.
fn decode(bytes: &[u8]) -> (u32, usize) {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or((0xFFFD, 1), |character| (u32::from(character), character.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "d/a.yaml", false),
            ("d/*", "d/a.yaml", true),
            ("d/*", "d/e/a.yaml", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*b", "a*b", true),
            ("*x*y", "axbxcy", true),
            ("a*", "a", true),
            ("[!a]", "!", true),
            ("ab[e-g]", "abf", true),
            ("*/b*/x", "a/bb/x", true),
            ("?", "é", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(expected), "{pattern} on {name}");
        }
        for pattern in ["[", "[a", "[]a]", "[a-]", "a\\", "[-]", "[x-]", "a[", "[^", "[^bc", "*["] {
            assert_eq!(matches(pattern, "a"), Err(BadPattern), "{pattern}");
        }
    }
}
