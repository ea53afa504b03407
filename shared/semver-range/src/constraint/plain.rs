//! Reads usual constraints without the regular expressions, which take longer to compile than all else of a small chart.
//! What does not read as plainly is theirs to judge.

use super::{OPERATORS, Operand};

/// The comparators of an alternative, where each ends at a space, a comma or the end.
pub(super) fn read(alternative: &str) -> Option<Vec<Operand<'_>>> {
    let mut operands = Vec::new();
    let mut rest = skip_space(alternative);
    loop {
        let (operand, after) = read_operand(rest)?;
        operands.push(operand);
        rest = skip_space(after);
        if rest.is_empty() {
            return Some(operands);
        }
        if let Some(next) = rest.strip_prefix(',') {
            rest = skip_space(next);
        } else if rest.len() == after.len() {
            return None;
        }
    }
}

fn read_operand(text: &str) -> Option<(Operand<'_>, &str)> {
    let operator = OPERATORS.into_iter().find(|operator| text.starts_with(operator))?;
    let start = skip_space(&text[operator.len()..]);
    let (major, mut rest) = split(start.strip_prefix('v').unwrap_or(start), is_number)?;
    let mut numbers = [major, "", ""];
    for number in &mut numbers[1..] {
        let Some((digits, after)) = rest.strip_prefix('.').and_then(|rest| split(rest, is_number)) else {
            break;
        };
        *number = &rest[..1 + digits.len()];
        rest = after;
    }
    let mut prerelease = "";
    if let Some(identifiers) = rest.strip_prefix('-') {
        let after = skip_identifiers(identifiers)?;
        prerelease = &rest[..rest.len() - after.len()];
        rest = after;
    }
    if let Some(identifiers) = rest.strip_prefix('+') {
        rest = skip_identifiers(identifiers)?;
    }
    let original = &start[..start.len() - rest.len()];
    Some((Operand { operator, original, numbers, prerelease }, rest))
}

/// Skips identifiers with dots between them, at least one.
fn skip_identifiers(text: &str) -> Option<&str> {
    let is_identifier = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let (_, mut rest) = split(text, is_identifier)?;
    while let Some(after) = rest.strip_prefix('.') {
        (_, rest) = split(after, is_identifier)?;
    }
    Some(rest)
}

/// Splits after the bytes that belong, of which there has to be one.
fn split(text: &str, belongs: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let length = text.bytes().take_while(|byte| belongs(*byte)).count();
    (length > 0).then(|| text.split_at(length))
}

fn is_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'x' | b'X' | b'*')
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches(['\t', '\n', '\x0c', '\r', ' '])
}
