//! What differs between two objects, for people: one paragraph for each place, with what is there and
//! what would be.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The width of the paper.
const WIDTH: usize = 80;

/// What stands between columns.
const SEPARATOR: &str = "   ";

/// Fields that tell the items of a list apart.
const IDENTIFIERS: [&str; 4] = ["name", "key", "id", "manager"];

/// Fields that people want to see first, together.
const ORDERS: [&[&str]; 8] = [
    &["name", "networks"],
    &["name", "url", "version"],
    &["jobs", "resources"],
    &["name", "type", "source"],
    &["configuration", "variables"],
    &["auth", "templates"],
    &["key"],
    &["id"],
];

/// From how many items on any other field is taken for an identifier when its values are unique.
const MANY: usize = 3;

/// More lines times lines than this are not compared one by one.
const MOST_COMPARISONS: usize = 4_000_000;

/// The differences between two objects as text; empty when there are none.
pub fn report(from: &Value, to: &Value) -> String {
    let mut changes = Vec::new();
    compare(&mut Vec::new(), from, to, &mut changes);
    let mut text = String::new();
    for change in changes {
        let path = if change.path.is_empty() { "(root level)".to_owned() } else { change.path.join(".") };
        let blocks: Vec<String> = change.details.iter().map(Detail::to_text).collect();
        let _ = write!(text, "\n{path}\n");
        text.push_str(&side_by_side(0, &blocks));
    }
    text.push('\n');
    text
}

/// What differs at one place.
struct Change {
    path: Vec<String>,
    details: Vec<Detail>,
}

enum Detail {
    /// Items of a list or members of a map.
    Added(Value),
    Removed(Value),
    Modified(Value, Value),
    /// The same items in another order.
    Moved(Vec<String>, Vec<String>),
}

fn compare(path: &mut Vec<String>, from: &Value, to: &Value, changes: &mut Vec<Change>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => compare_maps(path, from, to, changes),
        (Value::Array(from), Value::Array(to)) => compare_lists(path, from, to, changes),
        (from, to) if from == to => {}
        (from, to) => changes
            .push(Change { path: path.clone(), details: vec![Detail::Modified(from.clone(), to.clone())] }),
    }
}

fn compare_maps(
    path: &mut Vec<String>,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let only_in = |one: &Map<String, Value>, other: &Map<String, Value>| -> Map<String, Value> {
        let members = one.iter().filter(|(key, _)| !other.contains_key(*key));
        members.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let (removed, added) = (only_in(from, to), only_in(to, from));
    let mut details = Vec::new();
    if !removed.is_empty() {
        details.push(Detail::Removed(removed.into()));
    }
    if !added.is_empty() {
        details.push(Detail::Added(added.into()));
    }
    if !details.is_empty() {
        changes.push(Change { path: path.clone(), details });
    }
    for (key, value) in from {
        if let Some(other) = to.get(key) {
            path.push(key.clone());
            compare(path, value, other, changes);
            path.pop();
        }
    }
}

fn compare_lists(path: &mut Vec<String>, from: &[Value], to: &[Value], changes: &mut Vec<Change>) {
    if let Some(identifier) = identifier(from, to) {
        return compare_named(path, identifier, from, to, changes);
    }
    if let ([from], [to]) = (from, to) {
        path.push("0".to_owned());
        compare(path, from, to, changes);
        path.pop();
        return;
    }
    let count = |list: &[Value], item: &Value| list.iter().filter(|other| *other == item).count();
    let surplus = |one: &[Value], other: &[Value]| -> Vec<Value> {
        let mut surplus: Vec<Value> = Vec::new();
        for item in one {
            let (here, there) = (count(one, item), count(other, item));
            if there == 0 {
                surplus.push(item.clone());
            } else if here > there && !surplus.contains(item) {
                surplus.extend(std::iter::repeat_n(item.clone(), here - there));
            }
        }
        surplus
    };
    let common = |one: &[Value], other: &[Value]| -> Vec<String> {
        one.iter().filter(|item| other.contains(item)).map(in_a_row).collect()
    };
    let (before, after) = (common(from, to), common(to, from));
    let moved = (before.len() == after.len() && before != after).then_some((before, after));
    push_list_change(path, moved, surplus(from, to), surplus(to, from), changes);
}

fn compare_named(
    path: &mut Vec<String>,
    identifier: &str,
    from: &[Value],
    to: &[Value],
    changes: &mut Vec<Change>,
) {
    let name = |item: &Value| scalar(&item[identifier]);
    let find = |list: &[Value], wanted: &str| list.iter().find(|item| name(item) == wanted).cloned();
    let missing_in = |one: &[Value], other: &[Value]| -> Vec<Value> {
        one.iter().filter(|item| find(other, &name(item)).is_none()).cloned().collect()
    };
    let names = |one: &[Value], other: &[Value]| -> Vec<String> {
        one.iter().map(name).filter(|name| find(other, name).is_some()).collect()
    };
    let (before, after) = (names(from, to), names(to, from));
    let moved = (before != after).then_some((before, after));
    push_list_change(path, moved, missing_in(from, to), missing_in(to, from), changes);
    for item in from {
        let name = name(item);
        if let Some(other) = find(to, &name) {
            path.push(name);
            compare(path, item, &other, changes);
            path.pop();
        }
    }
}

fn push_list_change(
    path: &[String],
    moved: Option<(Vec<String>, Vec<String>)>,
    removed: Vec<Value>,
    added: Vec<Value>,
    changes: &mut Vec<Change>,
) {
    let mut details: Vec<Detail> =
        moved.map(|(before, after)| Detail::Moved(before, after)).into_iter().collect();
    if !removed.is_empty() {
        details.push(Detail::Removed(removed.into()));
    }
    if !added.is_empty() {
        details.push(Detail::Added(added.into()));
    }
    if !details.is_empty() {
        changes.push(Change { path: path.to_vec(), details });
    }
}

/// The field whose values tell the items of both lists apart.
fn identifier<'a>(from: &'a [Value], to: &[Value]) -> Option<&'a str> {
    let is_unique = |list: &[Value], field: &str, only_text: bool| {
        let values: BTreeSet<String> = list
            .iter()
            .filter_map(|item| item.get(field))
            .filter(|value| !only_text || value.is_string())
            .map(scalar)
            .collect();
        !list.is_empty() && values.len() == list.len()
    };
    let usual =
        IDENTIFIERS.into_iter().find(|field| is_unique(from, field, false) && is_unique(to, field, false));
    usual.or_else(|| {
        let fields = from.first()?.as_object()?.keys().map(String::as_str);
        let all_maps = from.iter().chain(to).all(Value::is_object);
        fields
            .filter(|_| all_maps && from.len() > MANY && from.len() == to.len())
            .find(|field| is_unique(from, field, true) && is_unique(to, field, true))
    })
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        Value::Object(_) | Value::Array(_) => String::new(),
        other => other.to_string(),
    }
}

/// An item of a list as one of several in a row.
fn in_a_row(item: &Value) -> String {
    let text = scalar(item);
    if text.is_empty() { yaml(item) } else { text }
}

impl Detail {
    fn to_text(&self) -> String {
        match self {
            Self::Added(entries) => {
                let head = format!("+ {} added:\n", count_entries(entries));
                head + &side_by_side(2, &[restructured(entries).to_yaml()])
            }
            Self::Removed(entries) => {
                let head = format!("- {} removed:\n", count_entries(entries));
                head + &side_by_side(0, &[restructured(entries).to_yaml()])
            }
            Self::Moved(before, after) => {
                let separator = ", ";
                let width = |items: &[String]| {
                    items.iter().map(|item| width(item)).sum::<usize>() + separator.len() * (items.len() - 1)
                };
                let rows = if width(before).max(width(after)) < WIDTH / 2 {
                    format!("- {}\n+ {}\n", before.join(separator), after.join(separator))
                } else {
                    columns(" ", 2, &[before.join("\n"), after.join("\n")])
                };
                format!("⇆ order changed\n{rows}")
            }
            Self::Modified(Value::String(from), Value::String(to)) => text_change(from, to),
            Self::Modified(from, to) => {
                let (before, after) = (type_name(from), type_name(to));
                let head = if before == after {
                    "± value change\n".to_owned()
                } else {
                    format!("± type change from {before} to {after}\n")
                };
                let shown = |value: &Value| match value {
                    Value::Null => "<nil>".to_owned(),
                    value => yaml(value).trim_end_matches('\n').to_owned(),
                };
                head + &hanging("- ", &shown(from)) + &hanging("+ ", &shown(to))
            }
        }
    }
}

fn count_entries(entries: &Value) -> String {
    match entries {
        Value::Array(items) => plural(items.len(), "list entry", "list entries"),
        entries => plural(entries.as_object().map_or(0, Map::len), "map entry", "map entries"),
    }
}

fn plural(amount: usize, one: &str, more: &str) -> String {
    const WORDS: [&str; 13] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    let number = WORDS.get(amount).map_or_else(|| amount.to_string(), |word| (*word).to_owned());
    format!("{number} {}", if amount == 1 { one } else { more })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

fn text_change(from: &str, to: &str) -> String {
    let spaces = [' ', '\n'];
    if from.trim_matches(spaces) == to.trim_matches(spaces) {
        let visible = |text: &str| text.replace('\n', "↵\n").replace(' ', "·");
        let blocks = [hanging("- ", &visible(from)), hanging("+ ", &visible(to))];
        return "± whitespace only change\n".to_owned() + &side_by_side(0, &blocks);
    }
    if !from.contains('\n') && !to.contains('\n') {
        return "± value change\n".to_owned() + &hanging("- ", from) + &hanging("+ ", to);
    }
    let (mut inserts, mut deletions) = (0, 0);
    let mut rows = String::new();
    for (removed, added) in line_changes(from, to) {
        inserts += usize::from(!added.is_empty());
        deletions += usize::from(!removed.is_empty());
        for (prefix, lines) in [("- ", removed), ("+ ", added)] {
            for line in lines {
                let _ = writeln!(rows, "{prefix}{line}");
            }
        }
    }
    format!(
        "± value change in multiline text ({}, {})\n{rows}\n",
        plural(inserts, "insert", "inserts"),
        plural(deletions, "deletion", "deletions")
    )
}

/// Lines that are removed and added, by the places where that happens.
fn line_changes<'a>(from: &'a str, to: &'a str) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let head = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let tail = from[head..].iter().rev().zip(to[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (from, to) = (&from[head..from.len() - tail], &to[head..to.len() - tail]);
    if from.len().saturating_mul(to.len()) > MOST_COMPARISONS {
        return vec![(from.to_vec(), to.to_vec())];
    }
    // The length of the longest common part of what begins at each pair of lines.
    let columns = to.len() + 1;
    let mut common = vec![0_u32; (from.len() + 1) * columns];
    for row in (0..from.len()).rev() {
        for column in (0..to.len()).rev() {
            common[row * columns + column] = if from[row] == to[column] {
                common[(row + 1) * columns + column + 1] + 1
            } else {
                common[(row + 1) * columns + column].max(common[row * columns + column + 1])
            };
        }
    }
    let mut changes = Vec::new();
    let mut current = (Vec::new(), Vec::new());
    let (mut row, mut column) = (0, 0);
    while row < from.len() || column < to.len() {
        if row < from.len() && column < to.len() && from[row] == to[column] {
            if !current.0.is_empty() || !current.1.is_empty() {
                changes.push(std::mem::take(&mut current));
            }
            (row, column) = (row + 1, column + 1);
        } else if column == to.len()
            || row < from.len() && common[(row + 1) * columns + column] >= common[row * columns + column + 1]
        {
            current.0.push(from[row]);
            row += 1;
        } else {
            current.1.push(to[column]);
            column += 1;
        }
    }
    if !current.0.is_empty() || !current.1.is_empty() {
        changes.push(current);
    }
    changes
}

/// Maps with the field first by which people know them, and small things before large ones.
fn restructured(value: &Value) -> Entries {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Entries)> =
                members.iter().map(|(key, value)| (key.clone(), restructured(value))).collect();
            let known = |order: &&[&str]| {
                order.iter().filter(|key| members.iter().any(|(name, _)| name == *key)).count()
            };
            let mut best: Option<&[&str]> = None;
            for order in ORDERS {
                if known(&order) > best.as_ref().map_or(0, &known) {
                    best = Some(order);
                }
            }
            if let Some(order) = best {
                members.sort_by_key(|(key, value)| {
                    let place = order.iter().position(|known| known == key);
                    (place.unwrap_or(order.len()), if place.is_some() { 0 } else { value.depth() })
                });
            }
            Entries::Map(members)
        }
        Value::Array(items) => Entries::List(items.iter().map(restructured).collect()),
        other => Entries::Scalar(other.clone()),
    }
}

/// A value whose maps have an order of their own.
enum Entries {
    Map(Vec<(String, Entries)>),
    List(Vec<Entries>),
    Scalar(Value),
}

impl Entries {
    fn depth(&self) -> usize {
        match self {
            Self::Map(members) => members.iter().map(|(_, value)| value.depth() + 1).max().unwrap_or(0),
            Self::List(items) => items.iter().map(|value| value.depth() + 1).max().unwrap_or(0),
            Self::Scalar(_) => 0,
        }
    }

    fn plain(value: &Value) -> Self {
        match value {
            Value::Object(members) => {
                Self::Map(members.iter().map(|(key, value)| (key.clone(), Self::plain(value))).collect())
            }
            Value::Array(items) => Self::List(items.iter().map(Self::plain).collect()),
            other => Self::Scalar(other.clone()),
        }
    }

    fn to_yaml(&self) -> String {
        let mut text = String::new();
        self.write("", false, &mut text);
        text
    }

    /// Writes YAML; `hangs` when the first line has begun already.
    fn write(&self, prefix: &str, hangs: bool, text: &mut String) {
        match self {
            Self::Map(members) if members.is_empty() => text.push_str("{}\n"),
            Self::List(items) if items.is_empty() => text.push_str("[]\n"),
            Self::Map(members) => {
                let deeper = format!("{prefix}  ");
                for (index, (key, value)) in members.iter().enumerate() {
                    if !hangs || index > 0 {
                        text.push_str(prefix);
                    }
                    let _ = write!(text, "{key}:");
                    match value {
                        Self::Map(members) if !members.is_empty() => {
                            text.push('\n');
                            value.write(&deeper, false, text);
                        }
                        Self::List(items) if !items.is_empty() => {
                            text.push('\n');
                            value.write(prefix, false, text);
                        }
                        value => {
                            text.push(' ');
                            value.write(&deeper, false, text);
                        }
                    }
                }
            }
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if !hangs || index > 0 {
                        text.push_str(prefix);
                    }
                    text.push_str("- ");
                    item.write(&format!("{prefix}  "), true, text);
                }
            }
            Self::Scalar(Value::String(value)) if value.contains('\n') => {
                text.push_str("|\n");
                for line in value.split('\n') {
                    let _ = writeln!(text, "{prefix}{line}");
                }
            }
            Self::Scalar(value) => {
                let needs_quotes = value.as_str().is_some_and(|value| {
                    matches!(value, "true" | "false" | "null")
                        || value.starts_with('-')
                        || value.contains([' ', '*', '&', ':', ','])
                });
                let shown = scalar(value);
                let _ = if needs_quotes { writeln!(text, "{shown:?}") } else { writeln!(text, "{shown}") };
            }
        }
    }
}

fn yaml(value: &Value) -> String {
    Entries::plain(value).to_yaml()
}

/// Text with a prefix before its first line, and as much space before the others.
fn hanging(prefix: &str, text: &str) -> String {
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        let _ = if index == 0 { writeln!(out, "{prefix}{line}") } else { writeln!(out, "  {line}") };
    }
    out
}

/// Blocks next to each other if there is room, else one below the other.
fn side_by_side(indent: usize, blocks: &[String]) -> String {
    let widest = |block: &String| block.split('\n').map(width).max().unwrap_or(0);
    let total =
        indent + SEPARATOR.len() * blocks.len().saturating_sub(1) + blocks.iter().map(widest).sum::<usize>();
    if total <= WIDTH {
        return columns(SEPARATOR, indent, blocks);
    }
    let mut text = String::new();
    for line in blocks.iter().flat_map(|block| block.split('\n')) {
        let _ = writeln!(text, "{}{line}", " ".repeat(indent));
    }
    text
}

fn columns(separator: &str, indent: usize, blocks: &[String]) -> String {
    let blocks: Vec<Vec<&str>> = blocks.iter().map(|block| block.split('\n').collect()).collect();
    let rows = blocks.iter().map(Vec::len).max().unwrap_or(0);
    let lines: Vec<String> = (0..rows)
        .map(|row| {
            let cells: Vec<String> = blocks
                .iter()
                .map(|block| {
                    let line = block.get(row).copied().unwrap_or_default();
                    let widest = block.iter().map(|line| width(line)).max().unwrap_or(0);
                    format!("{}{line}{}", " ".repeat(indent), " ".repeat(widest - width(line)))
                })
                .collect();
            cells.join(separator).trim_end_matches(' ').to_owned()
        })
        .collect();
    lines.join("\n")
}

fn width(line: &str) -> usize {
    line.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_original_does() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diffs");
        let read =
            |name: &str, what: &str| std::fs::read_to_string(format!("{directory}/{name}.{what}")).unwrap();
        let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let mut count = 0;
        let mut wrong = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".expected") else { continue };
            count += 1;
            let expected = read(name, "expected");
            let actual = report(&parse(read(name, "from.json")), &parse(read(name, "to.json")));
            if actual != expected {
                wrong.push(format!("{name}: expected\n{expected}\ngot\n{actual}"));
            }
        }
        assert!(count > 20);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
