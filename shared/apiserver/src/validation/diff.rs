//! Unified diffs of two texts, with the matching that Kubernetes' error texts show.
//!
//! The algorithm is Ratcliff and Obershelp's, as Python's difflib and its ports have it: the longest common block first,
//! then both sides of it; in long texts, lines that occur very often do not start a block.

use std::collections::HashMap;
use std::ops::Range;

const CONTEXT: usize = 3;
const LONG_TEXT: usize = 200;

/// The unified diff from `old` to `new`, without file names.
pub(crate) fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut out = String::new();
    for group in groups(changes(&old, &new)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        out.push_str(&format!(
            "@@ -{} +{} @@\n",
            span(first.old.start, last.old.end),
            span(first.new.start, last.new.end)
        ));
        for change in &group {
            if change.equal {
                lines(&mut out, ' ', &old[change.old.clone()]);
            } else {
                lines(&mut out, '-', &old[change.old.clone()]);
                lines(&mut out, '+', &new[change.new.clone()]);
            }
        }
    }
    out
}

fn lines(out: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        out.push(sign);
        out.push_str(line);
        out.push('\n');
    }
}

fn span(start: usize, end: usize) -> String {
    match end - start {
        1 => (start + 1).to_string(),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    }
}

#[derive(Debug, Clone)]
struct Change {
    equal: bool,
    old: Range<usize>,
    new: Range<usize>,
}

/// Equal and unequal stretches in turn, over the whole of both texts.
fn changes(old: &[&str], new: &[&str]) -> Vec<Change> {
    let mut blocks = matching_blocks(old, new);
    blocks.push((old.len(), new.len(), 0));
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    for (at_old, at_new, length) in blocks {
        if i < at_old || j < at_new {
            out.push(Change { equal: false, old: i..at_old, new: j..at_new });
        }
        (i, j) = (at_old + length, at_new + length);
        if length > 0 {
            out.push(Change { equal: true, old: at_old..i, new: at_new..j });
        }
    }
    out
}

/// The changes with up to three equal lines around them, in groups.
fn groups(mut changes: Vec<Change>) -> Vec<Vec<Change>> {
    if let Some(first) = changes.first_mut()
        && first.equal
    {
        first.old.start = first.old.start.max(first.old.end.saturating_sub(CONTEXT));
        first.new.start = first.new.start.max(first.new.end.saturating_sub(CONTEXT));
    }
    if let Some(last) = changes.last_mut()
        && last.equal
    {
        last.old.end = last.old.end.min(last.old.start + CONTEXT);
        last.new.end = last.new.end.min(last.new.start + CONTEXT);
    }
    let mut out = Vec::new();
    let mut group: Vec<Change> = Vec::new();
    for mut change in changes {
        if change.equal && change.old.len() > 2 * CONTEXT {
            let (old_end, new_end) = (change.old.start + CONTEXT, change.new.start + CONTEXT);
            group.push(Change {
                equal: true,
                old: change.old.start..old_end,
                new: change.new.start..new_end,
            });
            out.push(std::mem::take(&mut group));
            change.old.start = change.old.end - CONTEXT;
            change.new.start = change.new.end - CONTEXT;
        }
        group.push(change);
    }
    out.push(group);
    out.retain(|group| group.iter().any(|change| !change.equal));
    out
}

/// Common blocks as (start in old, start in new, length), in order, adjacent ones joined.
fn matching_blocks(old: &[&str], new: &[&str]) -> Vec<(usize, usize, usize)> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(index);
    }
    if new.len() >= LONG_TEXT {
        let most = new.len() / 100 + 1;
        places.retain(|_, found| found.len() <= most);
    }
    let mut found = Vec::new();
    let mut open = vec![(0..old.len(), 0..new.len())];
    while let Some((in_old, in_new)) = open.pop() {
        let (i, j, length) = longest(old, new, &places, &in_old, &in_new);
        if length == 0 {
            continue;
        }
        found.push((i, j, length));
        open.push((in_old.start..i, in_new.start..j));
        open.push((i + length..in_old.end, j + length..in_new.end));
    }
    found.sort_unstable();
    let mut joined: Vec<(usize, usize, usize)> = Vec::new();
    for (i, j, length) in found {
        match joined.last_mut() {
            Some((at_old, at_new, before)) if *at_old + *before == i && *at_new + *before == j => {
                *before += length;
            }
            _ => joined.push((i, j, length)),
        }
    }
    joined
}

fn longest(
    old: &[&str],
    new: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    in_old: &Range<usize>,
    in_new: &Range<usize>,
) -> (usize, usize, usize) {
    let (mut best_i, mut best_j, mut best) = (in_old.start, in_new.start, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for i in in_old.clone() {
        let mut here = HashMap::new();
        for &j in places.get(old[i]).into_iter().flatten() {
            if j < in_new.start {
                continue;
            }
            if j >= in_new.end {
                break;
            }
            let length = j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            here.insert(j, length);
            if length > best {
                (best_i, best_j, best) = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = here;
    }
    while best_i > in_old.start && best_j > in_new.start && old[best_i - 1] == new[best_j - 1] {
        (best_i, best_j, best) = (best_i - 1, best_j - 1, best + 1);
    }
    while best_i + best < in_old.end && best_j + best < in_new.end && old[best_i + best] == new[best_j + best]
    {
        best += 1;
    }
    (best_i, best_j, best)
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn hunks() {
        assert_eq!(unified("a\nb\nc", "a\nx\nc"), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        assert_eq!(unified("a", "a"), "");
        let numbers: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let old = numbers.join("\n");
        let new = old.replacen("2\n", "two\n", 1).replace("18", "eighteen");
        assert_eq!(
            unified(&old, &new),
            "@@ -1,6 +1,6 @@\n 0\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -16,5 +16,5 @@\n 15\n 16\n 17\n-18\n+eighteen\n 19\n"
        );
    }
}
