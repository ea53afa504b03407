//! Anchors, aliases and merge keys: what they refer to, and trees without them.

use std::collections::HashMap;

use crate::error::Error;
use crate::node::{Kind, Node, tag};

/// Replaces every alias by a copy of what it refers to, resolves merge keys (`<<`) and drops the anchors.
///
/// This is what kustomize does to everything it reads: a mapping's own keys win over merged ones, and earlier entries
/// of a list of mappings win over later ones. Fails on an anchor that contains itself, on what cannot be merged, and
/// when the copies would outgrow the text ([`Error::ExcessiveAliasing`]).
pub fn resolve(node: &mut Node) -> Result<(), Error> {
    let mut resolver = Resolver::default();
    resolver.resolve(node)
}

#[derive(Default)]
struct Resolver {
    /// The latest definition of each anchor; `None` while it is being read.
    anchors: HashMap<String, Option<Node>>,
    budget: AliasBudget,
}

impl Resolver {
    fn resolve(&mut self, node: &mut Node) -> Result<(), Error> {
        self.budget.count(1, 0)?;
        let anchor = node.anchor().to_owned();
        if !anchor.is_empty() {
            node.set_anchor("");
            self.anchors.insert(anchor.clone(), None);
        }
        match node.kind {
            Kind::Scalar => {}
            Kind::Alias => *node = self.target(&node.value)?,
            Kind::Mapping => {
                let merged = self.take_merged(node)?;
                merge(node, merged);
                self.resolve_children(node)?;
            }
            Kind::Sequence | Kind::Document => self.resolve_children(node)?,
        }
        if !anchor.is_empty() {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        Ok(())
    }

    fn resolve_children(&mut self, node: &mut Node) -> Result<(), Error> {
        node.content.iter_mut().try_for_each(|child| self.resolve(child))
    }

    /// A copy of what an alias refers to.
    fn target(&mut self, anchor: &str) -> Result<Node, Error> {
        match self.anchors.get(anchor) {
            Some(Some(target)) => {
                let size = tree_size(target);
                self.budget.count(size, size)?;
                Ok(target.clone())
            }
            Some(None) => Err(Error::RecursiveAnchor(anchor.to_owned())),
            None => Err(Error::UnknownAnchor(anchor.to_owned())),
        }
    }

    /// Removes the merge key and returns the mappings behind it, weakest first.
    fn take_merged(&mut self, node: &mut Node) -> Result<Vec<Node>, Error> {
        let mut merge_keys = node.pairs().filter(|(key, _)| key.tag() == tag::MERGE);
        let value = merge_keys.next().map(|(_, value)| value.clone());
        if merge_keys.next().is_some() {
            return Err(Error::Merge("duplicate merge key"));
        }
        drop(merge_keys);
        let merged = match &value {
            Some(value) => self.mappings(value)?,
            None => Vec::new(),
        };
        // kustomize removes the first key with this text, quoted or not.
        node.remove("<<");
        Ok(merged)
    }

    fn mappings(&mut self, value: &Node) -> Result<Vec<Node>, Error> {
        match value.kind {
            Kind::Mapping => Ok(vec![value.clone()]),
            Kind::Alias => {
                let target = self.target(&value.value)?;
                if target.kind != Kind::Mapping {
                    return Err(Error::Merge("invalid map merge: received alias for a non-map value"));
                }
                Ok(vec![target])
            }
            Kind::Sequence => {
                let mut mappings = Vec::new();
                for item in value.content.iter().rev() {
                    if item.kind == Kind::Sequence {
                        return Err(Error::Merge("invalid map merge: received a nested sequence"));
                    }
                    mappings.extend(self.mappings(item)?);
                }
                Ok(mappings)
            }
            Kind::Scalar | Kind::Document => {
                Err(Error::Merge("map merge requires map or sequence of maps as the value"))
            }
        }
    }
}

/// Merges mappings into `node`, weakest first; own entries win.
fn merge(node: &mut Node, merged: Vec<Node>) {
    if !merged.is_empty() {
        let own = node.position_index();
        let mut added: HashMap<String, usize> = HashMap::new();
        for mapping in merged {
            for (key, value) in mapping.into_pairs() {
                let name = key_name(&key).to_owned();
                if own.contains_key(&name) {
                    continue;
                }
                match added.get(&name) {
                    Some(&at) => {
                        node.content[at] = key;
                        node.content[at + 1] = value;
                    }
                    None => {
                        added.insert(name, node.content.len());
                        node.content.push(key);
                        node.content.push(value);
                    }
                }
            }
        }
    }
    // A null key has no name to kustomize, so it does not find the key again and adds it a second time.
    let nulls: Vec<Node> = node
        .pairs()
        .filter(|(key, _)| key.is_null() && !key.value.is_empty())
        .flat_map(|(key, value)| [key.clone(), value.clone()])
        .collect();
    node.content.extend(nulls);
}

fn key_name(key: &Node) -> &str {
    if key.is_null() { "" } else { &key.value }
}

impl Node {
    /// Where each key's text is first found.
    fn position_index(&self) -> HashMap<String, usize> {
        let mut index = HashMap::new();
        for (at, (key, _)) in self.pairs().enumerate() {
            index.entry(key.value.to_string()).or_insert(at * 2);
        }
        index
    }
}

fn tree_size(node: &Node) -> usize {
    1 + node.content.iter().map(tree_size).sum::<usize>()
}

/// Counts decoded nodes and how many of them came from aliases, within go-yaml's limits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AliasBudget {
    decoded: usize,
    from_aliases: usize,
}

impl AliasBudget {
    pub fn count(&mut self, decoded: usize, from_aliases: usize) -> Result<(), Error> {
        self.decoded += decoded;
        self.from_aliases += from_aliases;
        let share = self.from_aliases as f64 / self.decoded as f64;
        if self.from_aliases > 100 && self.decoded > 1000 && share > allowed_share(self.decoded) {
            return Err(Error::ExcessiveAliasing);
        }
        Ok(())
    }
}

/// The share of nodes that may come from aliases: 99 % in small documents, 10 % in huge ones.
fn allowed_share(decoded: usize) -> f64 {
    const LOW: usize = 400_000;
    const HIGH: usize = 4_000_000;
    match decoded {
        0..=LOW => 0.99,
        HIGH.. => 0.10,
        _ => 0.99 - 0.89 * ((decoded - LOW) as f64 / (HIGH - LOW) as f64),
    }
}

/// What each alias of a tree refers to, by the place of the alias.
#[derive(Default)]
pub(crate) struct AliasTargets<'a> {
    targets: HashMap<*const Node, &'a Node>,
}

impl<'a> AliasTargets<'a> {
    /// Finds the targets of all aliases below `root`, in the order of the text.
    pub fn of(root: &'a Node) -> AliasTargets<'a> {
        let mut targets = HashMap::new();
        collect(root, &mut HashMap::new(), &mut targets);
        AliasTargets { targets }
    }

    /// The node itself, or what it refers to when it is an alias.
    pub fn through<'n>(&self, node: &'n Node) -> &'n Node
    where
        'a: 'n,
    {
        match node.kind {
            Kind::Alias => self.get(node).unwrap_or(node),
            _ => node,
        }
    }

    pub fn get(&self, alias: &Node) -> Result<&'a Node, Error> {
        let target = self.targets.get(&std::ptr::from_ref(alias));
        target.copied().ok_or_else(|| Error::UnknownAnchor(alias.value.to_string()))
    }
}

fn collect<'a>(
    node: &'a Node,
    anchors: &mut HashMap<&'a str, &'a Node>,
    targets: &mut HashMap<*const Node, &'a Node>,
) {
    if !node.anchor().is_empty() {
        anchors.insert(node.anchor(), node);
    }
    if node.kind == Kind::Alias
        && let Some(target) = anchors.get(node.value.as_str())
    {
        targets.insert(node, target);
    }
    for child in &node.content {
        collect(child, anchors, targets);
    }
}
