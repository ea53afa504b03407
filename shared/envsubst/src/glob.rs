//! Trimming by glob patterns: `*` is any run (slashes too), `?` one character, `[a-z]` and `[^a]`
//! classes, `\c` a literal character.

/// A pattern that is not a glob; it trims nothing.
struct BadPattern;

/// Cuts off the prefix that matches: the shortest of at least one byte, or the longest.
pub(crate) fn trim_prefix<'a>(value: &'a [u8], pattern: &[u8], longest: bool) -> &'a [u8] {
    let mut shortest = None;
    for end in (1..=value.len()).rev() {
        match matches(pattern, &value[..end]) {
            Err(BadPattern) => return value,
            Ok(true) if longest => return &value[end..],
            Ok(true) => shortest = Some(end),
            Ok(false) => {}
        }
    }
    &value[shortest.unwrap_or(0)..]
}

/// Cuts off the suffix that matches. The pattern is reversed character by character to match the
/// reversed value, so that classes and escapes do not work in it.
pub(crate) fn trim_suffix(value: &str, pattern: &str, longest: bool) -> Vec<u8> {
    let (value, pattern) = (reverse(value.as_bytes()), reverse(pattern.as_bytes()));
    reverse(trim_prefix(&value, &pattern, longest))
}

/// Reverses the order of characters; bytes that are no character stay single.
fn reverse(bytes: &[u8]) -> Vec<u8> {
    let mut reversed = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks().collect::<Vec<_>>().into_iter().rev() {
        for byte in chunk.invalid().iter().rev() {
            reversed.push(*byte);
        }
        for c in chunk.valid().chars().rev() {
            reversed.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    reversed
}

fn matches(mut pattern: &[u8], mut name: &[u8]) -> Result<bool, BadPattern> {
    'pattern: while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(true);
        }
        if let Some(left) = match_chunk(chunk, name)?
            && (left.is_empty() || !pattern.is_empty())
        {
            name = left;
            continue;
        }
        if star {
            for start in 1..=name.len() {
                if let Some(left) = match_chunk(chunk, &name[start..])? {
                    if pattern.is_empty() && !left.is_empty() {
                        continue;
                    }
                    name = left;
                    continue 'pattern;
                }
            }
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Leading stars, the pattern up to the next one, and the rest.
fn next_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let pattern = &pattern[stars..];
    let mut in_class = false;
    let mut end = 0;
    while end < pattern.len() {
        match pattern[end] {
            b'\\' if end + 1 < pattern.len() => end += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        end += 1;
    }
    (stars > 0, &pattern[..end], &pattern[end..])
}

/// Matches a chunk without stars at the start of a name and returns what is left of the name.
fn match_chunk<'a>(mut chunk: &[u8], mut name: &'a [u8]) -> Result<Option<&'a [u8]>, BadPattern> {
    while let Some((&first, rest)) = chunk.split_first() {
        if name.is_empty() {
            return Ok(None);
        }
        match first {
            b'[' => {
                let (c, size) = first_character(name);
                name = &name[size..];
                let (found, after) = match_class(rest, c)?;
                if !found {
                    return Ok(None);
                }
                chunk = after;
            }
            b'?' => {
                name = &name[first_character(name).1..];
                chunk = rest;
            }
            _ => {
                let (literal, after) = match first {
                    b'\\' => rest.split_first().ok_or(BadPattern)?,
                    _ => (&first, rest),
                };
                if *literal != name[0] {
                    return Ok(None);
                }
                name = &name[1..];
                chunk = after;
            }
        }
    }
    Ok(Some(name))
}

/// Matches a character against a class (after its `[`) and returns what follows the class.
fn match_class(mut class: &[u8], c: u32) -> Result<(bool, &[u8]), BadPattern> {
    let negated = *class.first().ok_or(BadPattern)? == b'^';
    if negated {
        class = &class[1..];
    }
    let mut found = false;
    let mut ranges = 0;
    loop {
        if ranges > 0 && class.first() == Some(&b']') {
            return Ok((found != negated, &class[1..]));
        }
        let (low, rest) = class_character(class)?;
        let (high, rest) = match rest.first() {
            Some(b'-') => class_character(&rest[1..])?,
            _ => (low, rest),
        };
        found |= (low..=high).contains(&c);
        class = rest;
        ranges += 1;
    }
}

fn class_character(class: &[u8]) -> Result<(u32, &[u8]), BadPattern> {
    let class = match class.first() {
        None | Some(b'-' | b']') => return Err(BadPattern),
        Some(b'\\') => &class[1..],
        Some(_) => class,
    };
    if class.is_empty() {
        return Err(BadPattern);
    }
    let (c, size) = first_character(class);
    if class.len() == size {
        return Err(BadPattern);
    }
    Ok((c, &class[size..]))
}

/// The first character and its size; a byte that is no character counts as U+FFFD.
fn first_character(bytes: &[u8]) -> (u32, usize) {
    let prefix = &bytes[..bytes.len().min(4)];
    let valid = prefix.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default();
    match valid.chars().next() {
        Some(c) => (u32::from(c), c.len_utf8()),
        None => (0xFFFD, 1),
    }
}
