//! `wrap` and `abbrev`, which count bytes.

/// Breaks text at spaces so that lines are no longer than `width`; long words are cut or left whole.
pub(super) fn wrap(text: &[u8], width: i64, separator: &[u8], cuts_words: bool) -> Vec<u8> {
    let separator = if separator.is_empty() { b"\n".as_slice() } else { separator };
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut offset = 0;
    while text.len() - offset > width {
        if text[offset] == b' ' {
            offset += 1;
            continue;
        }
        let window = &text[offset..offset + width + 1];
        if let Some(space) = window.iter().rposition(|byte| *byte == b' ') {
            out.extend_from_slice(&window[..space]);
            out.extend_from_slice(separator);
            offset += space + 1;
        } else if cuts_words {
            out.extend_from_slice(&window[..width]);
            out.extend_from_slice(separator);
            offset += width;
        } else {
            match text[offset + width..].iter().position(|byte| *byte == b' ') {
                Some(space) => {
                    let space = offset + width + space;
                    out.extend_from_slice(&text[offset..space]);
                    out.extend_from_slice(separator);
                    offset = space + 1;
                }
                None => {
                    out.extend_from_slice(&text[offset..]);
                    offset = text.len();
                }
            }
        }
    }
    out.extend_from_slice(&text[offset..]);
    out
}

/// Shortens text to `width` bytes around `offset`, with `...` for what is left out.
pub(super) fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let length = text.len() as i64;
    if length <= width {
        return text.to_vec();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return [&text[..(width - 3) as usize], b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < length {
        let rest = abbreviate(&text[offset as usize..], 0, width - 3);
        return [b"...".as_slice(), &rest].concat();
    }
    [b"...", &text[(length - (width - 3)) as usize..]].concat()
}
