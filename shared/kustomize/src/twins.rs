//! Nodes that kustomize has in several places: what is written to one of them is written to all.
//!
//! A label that kustomize adds to an object, its template and its selector is one node with three parents. When an
//! overlay changes one of the three, with a label, a patch or a replacement, the others change along with it. Trees here
//! own their nodes; such nodes carry the same number instead, and [`spread`] brings them in line after a change.

use fluxide_goyaml::node::{Kind, Node};
use std::collections::HashMap;

/// Set in the number of a node that was written to.
const WRITTEN: u32 = 1 << 31;

/// The numbers given to nodes of a tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Twins {
    given: u32,
    /// Whether a number may be that of several nodes.
    pub(crate) exist: bool,
}

impl Twins {
    /// The first of some new numbers.
    pub(crate) fn take(&mut self, count: usize) -> u32 {
        let first = self.given + 1;
        self.given += count as u32;
        first
    }
}

/// Makes `new` what is written to where `old` is.
pub(crate) fn inherit(old: &Node, new: &mut Node) {
    if old.twin() != 0 {
        new.set_twin(old.twin() | WRITTEN);
    }
}

/// Notes that a node was written to.
pub(crate) fn note_write(node: &mut Node) {
    if node.twin() != 0 {
        node.set_twin(node.twin() | WRITTEN);
    }
}

/// Makes a copy a tree of its own.
pub(crate) fn separate(node: &mut Node) {
    if node.twin() != 0 {
        node.set_twin(0);
    }
    node.content.iter_mut().for_each(separate);
}

/// Writes to all twins what was written to one.
pub(crate) fn spread(root: &mut Node) {
    let mut written = HashMap::new();
    collect(root, &mut written);
    if !written.is_empty() {
        copy(root, &written);
    }
}

fn collect(node: &mut Node, written: &mut HashMap<u32, Node>) {
    if node.twin() & WRITTEN != 0 {
        node.set_twin(node.twin() & !WRITTEN);
        written.insert(node.twin(), node.clone());
    }
    if node.kind != Kind::Scalar {
        node.content.iter_mut().for_each(|child| collect(child, written));
    }
}

fn copy(node: &mut Node, written: &HashMap<u32, Node>) {
    if node.twin() != 0
        && let Some(twin) = written.get(&node.twin())
    {
        *node = twin.clone();
        return;
    }
    if node.kind != Kind::Scalar {
        node.content.iter_mut().for_each(|child| copy(child, written));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_one_is_written_to_all() {
        let twin = |text: &str| {
            let mut node = Node::string(text);
            node.set_twin(1);
            node
        };
        let mut root = Node::mapping([("a", twin("old")), ("b", twin("old")), ("c", Node::string("old"))]);
        let mut new = Node::string("new");
        inherit(&root.content[1], &mut new);
        root.content[1] = new;
        spread(&mut root);
        let texts: Vec<_> = root.pairs().map(|(_, value)| value.value.as_str()).collect();
        assert_eq!(texts, ["new", "new", "old"]);
        assert_eq!(root.content[1].twin(), 1);
    }
}
