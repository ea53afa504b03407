//! Merging lists by key. The order of the steps is visible in the result, so it is kyaml's, step by step.

use super::{DIRECTIVE, Directive, MergeError, Merger, Outcome, Patch, parse_directive};
use crate::node::{self, NodeError};
use crate::schema::Schema;
use fluxide_goyaml::node::{Kind, Node, Style};
use std::collections::HashSet;

impl<'s> Merger<'s> {
    pub(super) fn merge_list(
        &self,
        target: Option<&mut Node>,
        patch: Patch<'_>,
        schema: Schema<'s>,
        keys: &[&str],
    ) -> Result<Outcome, MergeError> {
        let Some(target) = target else {
            let Patch::Given(patch) = patch else { return Ok(Outcome::Nothing) };
            return self.adopt_list(patch, schema, keys);
        };
        match patch {
            Patch::Absent => self.fold(target, Items::Absent, schema, keys)?,
            Patch::Itself => match take_list_directive(target)? {
                Directive::Delete => return Ok(Outcome::Nothing),
                Directive::Merge | Directive::Replace => self.fold(target, Items::Itself, schema, keys)?,
            },
            Patch::Given(patch) if node::is_null(patch) => return Ok(Outcome::Nothing),
            Patch::Given(patch) => match take_list_directive(patch)? {
                Directive::Delete => return Ok(Outcome::Nothing),
                Directive::Replace => return self.adopt_list(patch, schema, keys),
                Directive::Merge => self.fold(target, Items::Given(patch), schema, keys)?,
            },
        }
        Ok(Outcome::InPlace)
    }

    fn adopt_list(&self, patch: &mut Node, schema: Schema<'s>, keys: &[&str]) -> Result<Outcome, MergeError> {
        let mut node = std::mem::replace(patch, Node::sequence([]));
        self.fold(&mut node, Items::Itself, schema, keys)?;
        node.style = Style::PLAIN;
        Ok(Outcome::Replaced(node))
    }

    fn fold(
        &self,
        target: &mut Node,
        mut patch: Items<'_>,
        schema: Schema<'s>,
        keys: &[&str],
    ) -> Result<(), MergeError> {
        let primitive = keys.is_empty();
        let keys: &[&str] = if primitive { &[""] } else { keys };
        let mut tuples = {
            let patch = match &patch {
                Items::Given(patch) => Some(&**patch),
                _ => None,
            };
            if primitive { texts(patch, target) } else { tuples(patch, target, keys) }
        };
        if tuples.is_empty() {
            return Ok(());
        }
        if keys.len() > 1 {
            unite(&mut tuples);
        }
        let used = used_keys(&tuples, keys);
        let item_schema = self.schemas.items(schema);
        let mut added: Vec<Added> = Vec::new();
        let mut selector = Selector::new(&used, &tuples[0], keys);
        for tuple in &tuples {
            selector = Selector::new(&used, tuple, keys);
            match self.merge_item(target, &mut patch, item_schema, &selector, keys.len() > 1)? {
                Some(item) => {
                    place(&mut added, &target.content, item, &selector.keys, &selector.values)?;
                }
                None => remove(&mut target.content, &mut added, &selector)?,
            }
        }
        append_rest(&mut added, target, &selector.keys)?;
        target.content = collect(added, std::mem::take(&mut target.content));
        Ok(())
    }

    /// Merges the items that a tuple selects; `None` when nothing remains.
    fn merge_item(
        &self,
        target: &mut Node,
        patch: &mut Items<'_>,
        schema: Option<Schema<'s>>,
        selector: &Selector<'_>,
        repeats: bool,
    ) -> Result<Option<Added>, MergeError> {
        let at = selector.find(&target.content);
        let mut clone;
        let patch = match patch {
            Items::Absent => Patch::Absent,
            Items::Itself => Patch::Itself,
            Items::Given(patch) => match selector.find(&patch.content) {
                // Tuples can repeat when there are several keys, and the item is then needed again.
                Some(at) if repeats => {
                    clone = patch.content[at].clone();
                    patch.content[at].remove(DIRECTIVE);
                    Patch::Given(&mut clone)
                }
                Some(at) => Patch::Given(&mut patch.content[at]),
                None => Patch::Absent,
            },
        };
        let old = at.map(|at| &mut target.content[at]);
        let mut item = match (self.merge(old, patch, schema)?, at) {
            (Outcome::Replaced(node), _) => Added::New(node),
            (Outcome::InPlace, Some(at)) => Added::Old(at),
            _ => return Ok(None),
        };
        let node = match &mut item {
            Added::New(node) => node,
            Added::Old(at) => &mut target.content[*at],
        };
        if node::is_empty_map(node) {
            return Ok(None);
        }
        for (key, value) in selector.keys.iter().zip(&selector.values) {
            if !key.is_empty() && !value.is_empty() && node.get(key).is_none() {
                node::set_field(node, key, node::untagged(*value))?;
            }
        }
        Ok(Some(item))
    }
}

enum Items<'p> {
    Absent,
    Itself,
    Given(&'p mut Node),
}

/// An item of the result: new, or the one at a position of the old list.
enum Added {
    Old(usize),
    New(Node),
}

impl Added {
    fn node<'a>(&'a self, old: &'a [Node]) -> &'a Node {
        match self {
            Added::Old(at) => &old[*at],
            Added::New(node) => node,
        }
    }
}

/// Keys and the values an item must have under them.
struct Selector<'k> {
    keys: Vec<&'k str>,
    values: Vec<&'k str>,
}

impl<'k> Selector<'k> {
    /// Leaves out the keys that no tuple uses.
    fn new(used: &[bool], tuple: &'k [String], keys: &[&'k str]) -> Selector<'k> {
        let kept = || (0..keys.len()).filter(|i| used[*i]);
        Selector {
            keys: kept().map(|i| keys[i]).collect(),
            values: kept().map(|i| tuple[i].as_str()).collect(),
        }
    }

    /// The first item whose fields equal the values that are not empty.
    fn find(&self, items: &[Node]) -> Option<usize> {
        if self.keys[0].is_empty() {
            return items.iter().position(|item| item.value == self.values[0]);
        }
        let all_empty = self.values.iter().all(|value| value.is_empty());
        items.iter().position(|item| {
            item.kind == Kind::Mapping
                && self.keys.iter().zip(&self.values).all(|(key, value)| {
                    (value.is_empty() && !all_empty) || item.get(key).is_some_and(|node| node.value == *value)
                })
        })
    }
}

/// What an item is to a key and value: dropped, kept as it is, or matched.
enum Fate {
    Drop,
    Keep,
    Match,
}

/// Whether an item matches; an empty value matches any, and keys beyond the values match if the one before did.
fn fate(item: &Node, keys: &[&str], values: &[&str]) -> Result<Fate, NodeError> {
    if node::is_empty_map(item) {
        return Ok(Fate::Drop);
    }
    let by_field = !keys[0].is_empty() && values.first().is_some_and(|value| !value.is_empty());
    if item.kind != Kind::Mapping && by_field {
        return Ok(Fate::Keep);
    }
    let mut matched = false;
    for (i, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(i) {
            matched = if key.is_empty() {
                node::expect_kind(item, Kind::Scalar)?;
                item.value == *value
            } else {
                node::expect_kind(item, Kind::Mapping)?;
                item.get(key).is_some_and(|node| value.is_empty() || node.value == *value)
            };
        }
        if !matched {
            return Ok(if values.is_empty() { Fate::Drop } else { Fate::Keep });
        }
    }
    Ok(Fate::Match)
}

/// Puts an item in place of every match, or at the end.
fn place(
    added: &mut Vec<Added>,
    old: &[Node],
    item: Added,
    keys: &[&str],
    values: &[&str],
) -> Result<(), NodeError> {
    let mut kept = Vec::with_capacity(added.len() + 1);
    let mut matches = Vec::new();
    for entry in added.drain(..) {
        match fate(entry.node(old), keys, values)? {
            Fate::Drop => continue,
            Fate::Keep => {}
            Fate::Match => matches.push(kept.len()),
        }
        kept.push(entry);
    }
    match matches.split_last() {
        Some((last, others)) => {
            for at in others {
                kept[*at] = match &item {
                    Added::Old(old) => Added::Old(*old),
                    Added::New(node) => Added::New(node.clone()),
                };
            }
            kept[*last] = item;
        }
        None if node::is_null(item.node(old)) => {}
        None => kept.push(item),
    }
    *added = kept;
    Ok(())
}

/// Removes every match from the old list, whose positions in the result move along.
fn remove(items: &mut Vec<Node>, added: &mut [Added], selector: &Selector<'_>) -> Result<(), NodeError> {
    let mut moved = Vec::with_capacity(items.len());
    let mut kept = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        match fate(&item, &selector.keys, &selector.values)? {
            Fate::Keep => {
                moved.push(Ok(kept.len()));
                kept.push(item);
            }
            Fate::Drop | Fate::Match => moved.push(Err(item)),
        }
    }
    for entry in added.iter_mut() {
        if let Added::Old(at) = entry {
            *entry = match &moved[*at] {
                Ok(new) => Added::Old(*new),
                Err(item) => Added::New(item.clone()),
            };
        }
    }
    *items = kept;
    Ok(())
}

/// Adds what is left of the old list to the merged items.
fn append_rest(added: &mut Vec<Added>, target: &Node, keys: &[&str]) -> Result<(), NodeError> {
    let old = &target.content;
    for (at, item) in old.iter().enumerate() {
        if keys[0].is_empty() {
            place(added, old, Added::Old(at), &[""], &[item.value.as_str()])?;
            continue;
        }
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let field = if node::is_null(item) {
                None
            } else {
                node::expect_kind(item, Kind::Mapping)?;
                item.get(key)
            };
            match field {
                Some(field) => values.push(field.value.as_str()),
                None => added.push(Added::Old(at)),
            }
        }
        if keys.len() > 1 {
            let mut kept = Vec::with_capacity(added.len());
            for entry in added.drain(..) {
                if let Fate::Keep = fate(entry.node(old), keys, &values)? {
                    kept.push(entry);
                }
            }
            *added = kept;
        }
        place(added, old, Added::Old(at), keys, &values)?;
    }
    Ok(())
}

fn collect(added: Vec<Added>, old: Vec<Node>) -> Vec<Node> {
    let mut uses = vec![0usize; old.len()];
    for entry in &added {
        if let Added::Old(at) = entry {
            uses[*at] += 1;
        }
    }
    let mut old: Vec<Option<Node>> = old.into_iter().map(Some).collect();
    added
        .into_iter()
        .filter_map(|entry| match entry {
            Added::New(node) => Some(node),
            Added::Old(at) => {
                uses[at] -= 1;
                if uses[at] == 0 { old[at].take() } else { old[at].clone() }
            }
        })
        .collect()
}

/// The values of the keys of every item, those of the patch first, without repeats.
fn tuples(patch: Option<&Node>, target: &Node, keys: &[&str]) -> Vec<Vec<String>> {
    let mut seen = HashSet::new();
    let items = patch.into_iter().chain([target]).flat_map(|list| &list.content);
    items
        .map(|item| {
            keys.iter()
                .map(|key| match item.get(key) {
                    Some(field) if !node::is_null_or_empty(field) => field.value.to_string(),
                    _ => String::new(),
                })
                .collect::<Vec<String>>()
        })
        .filter(|tuple| seen.insert(tuple.clone()))
        .collect()
}

/// The same for lists of scalars: the texts.
fn texts(patch: Option<&Node>, target: &Node) -> Vec<Vec<String>> {
    let mut seen = HashSet::new();
    let items = patch.into_iter().chain([target]).flat_map(|list| &list.content);
    items.filter(|item| seen.insert(item.value.as_str())).map(|item| vec![item.value.to_string()]).collect()
}

/// Makes tuples one that agree somewhere and contradict each other nowhere.
fn unite(tuples: &mut [Vec<String>]) {
    // Tuples without any empty value either are the same or contradict each other.
    if tuples.iter().all(|tuple| tuple.iter().all(|value| !value.is_empty())) {
        return;
    }
    for i in 0..tuples.len() {
        // The left tuple is the one from before this round, even when the round changes it.
        let left = tuples[i].clone();
        for j in 0..tuples.len() {
            if let Some(union) = union(&left, &tuples[j]) {
                tuples[i].clone_from(&union);
                tuples[j] = union;
            }
        }
    }
}

fn union(left: &[String], right: &[String]) -> Option<Vec<String>> {
    let mut agrees = false;
    let mut result = Vec::with_capacity(left.len());
    for (l, r) in left.iter().zip(right) {
        if l == r {
            agrees = true;
        } else if !l.is_empty() && !r.is_empty() {
            return None;
        }
        result.push(if l.is_empty() { r.clone() } else { l.clone() });
    }
    agrees.then_some(result)
}

/// Which keys have a value in any tuple; all of them when none has.
fn used_keys(tuples: &[Vec<String>], keys: &[&str]) -> Vec<bool> {
    let used: Vec<bool> = (0..keys.len()).map(|i| tuples.iter().any(|tuple| !tuple[i].is_empty())).collect();
    if used.contains(&true) { used } else { vec![true; keys.len()] }
}

/// Reads and removes the item of a list that is nothing but `$patch`.
fn take_list_directive(patch: &mut Node) -> Result<Directive, MergeError> {
    let found = patch.content.iter().find(|item| item.kind == Kind::Mapping && item.get(DIRECTIVE).is_some());
    let Some(item) = found.filter(|item| item.content.len() <= 2) else { return Ok(Directive::Merge) };
    let text = item.get(DIRECTIVE).map(|value| value.value.clone()).unwrap_or_default();
    let directive = parse_directive(&text)?;
    let mut kept = Vec::with_capacity(patch.content.len());
    for item in patch.content.drain(..) {
        if let Fate::Keep = fate(&item, &[DIRECTIVE], &[&text])? {
            kept.push(item);
        }
    }
    patch.content = kept;
    Ok(directive)
}
