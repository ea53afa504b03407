//! Metadata in formats without nesting: `age__list_0__map_enc=...`.

use crate::document::{Entry, Value};
use crate::metadata::MetadataError;

/// The tree that flattened keys describe.
pub fn unflatten<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Entry>, MetadataError> {
    let mut root = Tree::Map(Vec::new());
    for (key, value) in pairs {
        let steps = steps(key);
        insert(&mut root, &steps, value)
            .map_err(|problem| MetadataError::Flat { key: key.to_owned(), problem })?;
    }
    match finish(root)? {
        Value::Map(entries) => Ok(entries),
        _ => Ok(Vec::new()),
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

enum Tree {
    Leaf(String),
    Map(Vec<(String, Tree)>),
    List(Vec<(usize, Tree)>),
}

fn steps(key: &str) -> Vec<Step<'_>> {
    let mut found = Vec::new();
    let mut rest = key;
    let mut first = true;
    loop {
        let end =
            [rest.find("__map_"), rest.find("__list_")].into_iter().flatten().filter(|at| *at > 0).min();
        let (this, next) = match end {
            Some(at) => (&rest[..at], Some(&rest[at + 2..])),
            None => (rest, None),
        };
        let step = if first {
            Step::Key(this)
        } else if let Some(index) = this.strip_prefix("list_").and_then(|index| index.parse().ok()) {
            Step::Index(index)
        } else {
            Step::Key(this.strip_prefix("map_").unwrap_or(this))
        };
        found.push(step);
        first = false;
        match next {
            Some(next) => rest = next,
            None => return found,
        }
    }
}

fn insert(tree: &mut Tree, steps: &[Step<'_>], value: &str) -> Result<(), &'static str> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    let fresh = || match rest.first() {
        None => Tree::Leaf(value.to_owned()),
        Some(Step::Key(_)) => Tree::Map(Vec::new()),
        Some(Step::Index(_)) => Tree::List(Vec::new()),
    };
    let (child, existed) = match (tree, step) {
        (Tree::Map(entries), Step::Key(key)) => {
            let position = entries.iter().position(|(known, _)| known == key);
            let at = position.unwrap_or_else(|| {
                entries.push(((*key).to_owned(), fresh()));
                entries.len() - 1
            });
            (&mut entries[at].1, position.is_some())
        }
        (Tree::List(items), Step::Index(index)) => {
            let position = items.iter().position(|(known, _)| known == index);
            let at = position.unwrap_or_else(|| {
                items.push((*index, fresh()));
                items.len() - 1
            });
            (&mut items[at].1, position.is_some())
        }
        _ => return Err("it is a list in one place and a mapping in another"),
    };
    if rest.is_empty() {
        return if existed { Err("it is there twice") } else { Ok(()) };
    }
    insert(child, rest, value)
}

fn finish(tree: Tree) -> Result<Value, MetadataError> {
    Ok(match tree {
        Tree::Leaf(text) => Value::String(text),
        Tree::Map(entries) => {
            let entries = entries.into_iter().map(|(key, tree)| Ok(Entry::Pair(key, finish(tree)?)));
            Value::Map(entries.collect::<Result<_, MetadataError>>()?)
        }
        Tree::List(mut items) => {
            items.sort_by_key(|(index, _)| *index);
            if items.iter().enumerate().any(|(wanted, (index, _))| wanted != *index) {
                return Err(MetadataError::Flat { key: "list".to_owned(), problem: "an item is missing" });
            }
            Value::List(items.into_iter().map(|(_, tree)| finish(tree)).collect::<Result<_, _>>()?)
        }
    })
}
