//! The order in which go-yaml v2 writes the keys of a map: `item9` before `item10`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The entries of a map in natural order.
///
/// The order is not transitive for some sets of keys (`z9`, `z10`, `z1a`), so the standard sort cannot be used; here
/// the result is at least always the same.
pub(crate) fn sorted<V>(map: &BTreeMap<String, V>) -> Vec<(&str, &V)> {
    let mut entries: Vec<(&str, &V)> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    sort(&mut entries);
    entries
}

/// Brings entries that are in bytewise order into natural order.
pub(crate) fn sort<V: Copy>(entries: &mut [(&str, V)]) {
    if entries.windows(2).any(|pair| compare(pair[0].0, pair[1].0) == Ordering::Greater) {
        merge_sort(entries);
    }
}

fn merge_sort<V>(entries: &mut [(&str, V)])
where
    V: Copy,
{
    if entries.len() < 20 {
        for at in 1..entries.len() {
            let mut to = at;
            while to > 0 && compare(entries[to - 1].0, entries[to].0) == Ordering::Greater {
                entries.swap(to - 1, to);
                to -= 1;
            }
        }
        return;
    }
    let middle = entries.len() / 2;
    merge_sort(&mut entries[..middle]);
    merge_sort(&mut entries[middle..]);
    let left = entries[..middle].to_vec();
    let right = entries[middle..].to_vec();
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    for slot in entries.iter_mut() {
        let take_right = match (l.peek(), r.peek()) {
            (Some(left), Some(right)) => compare(left.0, right.0) == Ordering::Greater,
            (left, _) => left.is_none(),
        };
        if let Some(next) = if take_right { r.next() } else { l.next() } {
            *slot = *next;
        }
    }
}

/// Compares two keys.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let same = common_prefix(a, b);
    let (rest_a, rest_b) = (&a[same..], &b[same..]);
    let (Some(first_a), Some(first_b)) = (rest_a.chars().next(), rest_b.chars().next()) else {
        return rest_a.len().cmp(&rest_b.len());
    };
    match (first_a.is_alphabetic(), first_b.is_alphabetic()) {
        (true, true) => return first_a.cmp(&first_b),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut start = 0;
    if first_a == '0' || first_b == '0' {
        // Inside a number that began before, zeros count.
        let digits = a[..same].bytes().rev().take_while(u8::is_ascii_digit);
        start = i64::from(digits.into_iter().any(|digit| digit != b'0'));
    }
    let (value_a, length_a) = number(rest_a, start);
    let (value_b, length_b) = number(rest_b, start);
    value_a.cmp(&value_b).then(length_a.cmp(&length_b)).then(first_a.cmp(&first_b))
}

/// The length of what both texts begin with, in whole characters.
fn common_prefix(a: &str, b: &str) -> usize {
    let mut length = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    while !a.is_char_boundary(length) {
        length -= 1;
    }
    length
}

/// The value of the digits at the start, appended to `start`, and their count. Overflow wraps.
fn number(text: &str, start: i64) -> (i64, usize) {
    let mut value = start;
    let mut count = 0;
    for digit in text.bytes().take_while(u8::is_ascii_digit) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        count += 1;
    }
    (value, count)
}
