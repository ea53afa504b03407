//! Character classes and case mappings as Go has them.

#[rustfmt::skip]
mod cases;
#[rustfmt::skip]
mod tables;

use cases::{TO_LOWER, TO_TITLE, TO_UPPER};
use tables::{DIGIT, LETTER, LOWER, NUMBER, PRINT, PUNCTUATION, TITLE, UPPER};

/// Go's `unicode.IsPrint`.
pub fn is_print(rune: char) -> bool {
    if rune.is_ascii() { matches!(rune, ' '..='~') } else { contains(PRINT, rune) }
}

/// Go's `unicode.IsLetter`.
pub fn is_letter(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_alphabetic() } else { contains(LETTER, rune) }
}

/// Go's `unicode.IsDigit`.
pub fn is_digit(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_digit() } else { contains(DIGIT, rune) }
}

/// Go's `unicode.IsNumber`.
pub fn is_number(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_digit() } else { contains(NUMBER, rune) }
}

/// Go's `unicode.IsUpper`.
pub fn is_upper(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_uppercase() } else { contains(UPPER, rune) }
}

/// Go's `unicode.IsLower`.
pub fn is_lower(rune: char) -> bool {
    if rune.is_ascii() { rune.is_ascii_lowercase() } else { contains(LOWER, rune) }
}

/// Go's `unicode.IsTitle`.
pub fn is_title(rune: char) -> bool {
    !rune.is_ascii() && contains(TITLE, rune)
}

/// Go's `unicode.IsPunct`.
pub fn is_punctuation(rune: char) -> bool {
    contains(PUNCTUATION, rune)
}

/// Go's `unicode.IsSpace`.
pub fn is_space(rune: char) -> bool {
    matches!(
        rune,
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Go's `unicode.ToUpper`.
pub fn to_upper(rune: char) -> char {
    if rune.is_ascii() { rune.to_ascii_uppercase() } else { mapped(TO_UPPER, rune) }
}

/// Go's `unicode.ToLower`.
pub fn to_lower(rune: char) -> char {
    if rune.is_ascii() { rune.to_ascii_lowercase() } else { mapped(TO_LOWER, rune) }
}

/// Go's `unicode.ToTitle`.
pub fn to_title(rune: char) -> char {
    if rune.is_ascii() { rune.to_ascii_uppercase() } else { mapped(TO_TITLE, rune) }
}

fn contains(table: &[(u32, u32)], rune: char) -> bool {
    let code = u32::from(rune);
    let after = table.partition_point(|(first, _)| *first <= code);
    after > 0 && code <= table[after - 1].1
}

fn mapped(table: &[(u32, u32, u32, i32)], rune: char) -> char {
    let code = u32::from(rune);
    let after = table.partition_point(|(first, ..)| *first <= code);
    // Runs of step 2 of different differences interleave, so look a few runs back.
    for (first, last, step, difference) in table[..after].iter().rev().take(4) {
        if code <= *last && (code - first) % step == 0 {
            return code.checked_add_signed(*difference).and_then(char::from_u32).unwrap_or(rune);
        }
    }
    rune
}
