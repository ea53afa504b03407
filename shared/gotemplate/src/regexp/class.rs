//! Escapes and named classes of regular expressions.

use super::syntax::failure;
use crate::text::{decode_rune, is_invalid_rune};

pub(super) fn class_character<'p>(text: &'p [u8], whole: &[u8]) -> Result<(u32, &'p [u8]), String> {
    if text.is_empty() {
        return Err(failure("missing closing ]", whole));
    }
    if text[0] == b'\\' {
        let (code, width) = character_escape(text)?;
        return Ok((code, &text[width..]));
    }
    let (rune, width) = decode_rune(text);
    if is_invalid_rune(rune, width) {
        return Err(failure("invalid UTF-8", text));
    }
    Ok((u32::from(rune), &text[width..]))
}

/// `\n`, `\x41`, `\101`, `\.` and the like: the code point and the width.
pub(super) fn character_escape(text: &[u8]) -> Result<(u32, usize), String> {
    if text.len() < 2 {
        return Err(failure("trailing backslash at end of expression", b""));
    }
    let (rune, width) = decode_rune(&text[1..]);
    let mut at = 1 + width;
    let simple = match rune {
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        _ => None,
    };
    if let Some(code) = simple {
        return Ok((code, at));
    }
    let is_octal = |at: usize| text.get(at).filter(|byte| (b'0'..=b'7').contains(byte));
    match rune {
        '0'..='7' if rune == '0' || is_octal(at).is_some() => {
            let mut code = u32::from(rune) - u32::from('0');
            for _ in 0..2 {
                let Some(digit) = is_octal(at) else { break };
                code = code * 8 + u32::from(digit - b'0');
                at += 1;
            }
            return Ok((code, at));
        }
        'x' => {
            if let Some(code) = hexadecimal(text, &mut at) {
                return Ok((code, at));
            }
        }
        rune if rune.is_ascii() && !rune.is_ascii_alphanumeric() => return Ok((u32::from(rune), at)),
        _ => {}
    }
    Err(failure("invalid escape sequence", &text[..at]))
}

/// What follows `\x`; on failure `at` is behind what was looked at.
pub(super) fn hexadecimal(text: &[u8], at: &mut usize) -> Option<u32> {
    let next = |at: &mut usize| {
        let (rune, width) = decode_rune(text.get(*at..)?);
        *at += width;
        (width > 0).then_some(rune)
    };
    let first = next(at)?;
    if first != '{' {
        let high = first.to_digit(16);
        let low = next(at)?.to_digit(16);
        return Some(high? * 16 + low?);
    }
    let mut code = 0;
    let mut digits = 0;
    loop {
        let rune = next(at)?;
        if rune == '}' {
            return (digits > 0).then_some(code);
        }
        code = code * 16 + rune.to_digit(16)?;
        if code > 0x10ffff {
            return None;
        }
        digits += 1;
    }
}

/// `\d`, `\pL`, `\p{Greek}` and their negations, as class items of the target syntax, and the width.
pub(super) fn class_escape(text: &[u8]) -> Result<Option<(String, usize)>, String> {
    if text.len() < 2 || text[0] != b'\\' {
        return Ok(None);
    }
    let perl = match text[1] {
        b'd' => r"0-9",
        b'D' => r"\x{0}-/:-\x{10ffff}",
        b's' => r"\t\n\f\r ",
        b'S' => r"\x{0}-\x{8}\x{b}\x{e}-\x{1f}!-\x{10ffff}",
        b'w' => r"0-9A-Za-z_",
        b'W' => r"\x{0}-/:-@\[-\^`\{-\x{10ffff}",
        b'p' | b'P' => return unicode_class(text).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((perl.to_owned(), 2)))
}

pub(super) fn unicode_class(text: &[u8]) -> Result<(String, usize), String> {
    let mut negated = text[1] == b'P';
    let (rune, width) = decode_rune(&text[2..]);
    let (name, end) = if rune == '{' && width == 1 {
        let end = memchr::memchr(b'}', text).ok_or_else(|| failure("invalid character class range", text))?;
        (&text[3..end], end + 1)
    } else {
        (&text[2..2 + width], 2 + width)
    };
    let unknown = || failure("invalid character class range", &text[..end]);
    let mut name = std::str::from_utf8(name).map_err(|_| failure("invalid UTF-8", name))?;
    if let Some(rest) = name.strip_prefix('^') {
        negated = !negated;
        name = rest;
    }
    let escape = if negated { 'P' } else { 'p' };
    let class = match name {
        "Any" => "Any".to_owned(),
        _ if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphabetic() || c == '_') => {
            return Err(unknown());
        }
        _ => ["gc", "sc"]
            .iter()
            .map(|property| format!("{property}={name}"))
            .find(|class| regex::bytes::Regex::new(&format!("\\p{{{class}}}")).is_ok())
            .ok_or_else(unknown)?,
    };
    Ok((format!("\\{escape}{{{class}}}"), end))
}

/// `alpha` of `[:alpha:]`.
pub(super) fn posix_class(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"alnum" => r"0-9A-Za-z",
        b"^alnum" => r"\x{0}-/:-@\[-`\{-\x{10ffff}",
        b"alpha" => r"A-Za-z",
        b"^alpha" => r"\x{0}-@\[-`\{-\x{10ffff}",
        b"ascii" => r"\x{0}-\x{7f}",
        b"^ascii" => r"\x{80}-\x{10ffff}",
        b"blank" => r"\t ",
        b"^blank" => r"\x{0}-\x{8}\n-\x{1f}!-\x{10ffff}",
        b"cntrl" => r"\x{0}-\x{1f}\x{7f}",
        b"^cntrl" => r" -\x{7e}\x{80}-\x{10ffff}",
        b"digit" => r"0-9",
        b"^digit" => r"\x{0}-/:-\x{10ffff}",
        b"graph" => r"!-\x{7e}",
        b"^graph" => r"\x{0}- \x{7f}-\x{10ffff}",
        b"lower" => r"a-z",
        b"^lower" => r"\x{0}-`\{-\x{10ffff}",
        b"print" => r" -\x{7e}",
        b"^print" => r"\x{0}-\x{1f}\x{7f}-\x{10ffff}",
        b"punct" => r"!-/:-@\[-`\{-\x{7e}",
        b"^punct" => r"\x{0}- 0-9A-Za-z\x{7f}-\x{10ffff}",
        b"space" => r"\t\n\x{b}\f\r ",
        b"^space" => r"\x{0}-\x{8}\x{e}-\x{1f}!-\x{10ffff}",
        b"upper" => r"A-Z",
        b"^upper" => r"\x{0}-@\[-\x{10ffff}",
        b"word" => r"0-9A-Za-z_",
        b"^word" => r"\x{0}-/:-@\[-\^`\{-\x{10ffff}",
        b"xdigit" => r"0-9A-Fa-f",
        b"^xdigit" => r"\x{0}-/:-@G-`g-\x{10ffff}",
        _ => return None,
    })
}
