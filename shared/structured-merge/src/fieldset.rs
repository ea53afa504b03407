//! Sets of fields, and their `fieldsV1` JSON form.

use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::path::{Path, PathElement, PathElementError};
use crate::schema::TypeRef;

/// How deep a `fieldsV1` document may nest.
const MAX_DEPTH: usize = 500;

/// A set of fields of an object.
///
/// A field and the fields below it are members independently: owning `.spec` says nothing about `.spec.replicas`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    element: PathElement,
    member: bool,
    children: FieldSet,
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of these paths.
    pub fn of(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut set = Self::new();
        for path in paths {
            set.insert(&path.0);
        }
        set
    }

    /// Adds a field. The root of the object is no field: an empty path adds nothing.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.node_mut(first);
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert(rest);
        }
    }

    /// Whether the set has no members.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| !node.member && node.children.is_empty())
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| usize::from(node.member) + node.children.len()).sum()
    }

    /// Whether the field at `path` is a member.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.has_element(last),
            [first, rest @ ..] => self.below(first).is_some_and(|children| children.has(rest)),
        }
    }

    /// Whether the direct child `element` is a member.
    pub fn has_element(&self, element: &PathElement) -> bool {
        self.find(element).is_some_and(|node| node.member)
    }

    /// The set of the fields below `element`, when there are any.
    pub fn below(&self, element: &PathElement) -> Option<&FieldSet> {
        self.find(element).map(|node| &node.children).filter(|children| !children.is_empty())
    }

    /// The direct children: element, whether it is a member itself, and what is below it.
    pub fn children(&self) -> impl Iterator<Item = (&PathElement, bool, &FieldSet)> {
        self.nodes.iter().map(|node| (&node.element, node.member, &node.children))
    }

    /// The members of either set.
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => Some(Node {
                element: left.element.clone(),
                member: left.member || right.member,
                children: left.children.union(&right.children),
            }),
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        })
    }

    /// The members of both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => Some(Node {
                element: left.element.clone(),
                member: left.member && right.member,
                children: left.children.intersection(&right.children),
            }),
            _ => None,
        })
    }

    /// The members of this set that are not members of the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => Some(Node {
                element: left.element.clone(),
                member: left.member && !right.member,
                children: left.children.difference(&right.children),
            }),
            (Some(left), None) => Some(left.clone()),
            (None, _) => None,
        })
    }

    /// The members of this set that neither are members of the other nor lie below one.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.zip(other, |left, right| match (left, right) {
            (Some(_), Some(right)) if right.member => None,
            (Some(left), Some(right)) => Some(Node {
                element: left.element.clone(),
                member: left.member,
                children: left.children.recursive_difference(&right.children),
            }),
            (Some(left), None) => Some(left.clone()),
            (None, _) => None,
        })
    }

    /// The members that have no members below them.
    pub fn leaves(&self) -> Self {
        let nodes = self
            .nodes
            .iter()
            .map(|node| Node {
                element: node.element.clone(),
                member: node.member && node.children.is_empty(),
                children: node.children.leaves(),
            })
            .filter(Node::is_used)
            .collect();
        Self { nodes }
    }

    /// This set plus every declared struct field on the way to a member.
    pub fn with_named_fields(&self, ty: Option<TypeRef<'_>>) -> Self {
        let atom = ty.map(|ty| ty.atom());
        let map = atom.as_ref().and_then(|atom| atom.map());
        let list = atom.as_ref().and_then(|atom| atom.list());
        let nodes = self
            .nodes
            .iter()
            .map(|node| {
                let (declared, child) = match &node.element {
                    PathElement::Field(name) => {
                        let declared = map.as_ref().is_some_and(|map| map.field(name).is_some());
                        (declared, map.as_ref().and_then(|map| map.member_type(name)))
                    }
                    PathElement::Key(_) => (false, list.as_ref().map(|list| list.element())),
                    _ => (false, None),
                };
                Node {
                    element: node.element.clone(),
                    member: node.member || (declared && !node.children.is_empty()),
                    children: node.children.with_named_fields(child),
                }
            })
            .collect();
        Self { nodes }
    }

    /// The members, parents before children, each level's own members first.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    /// Reads the `fieldsV1` form.
    pub fn from_json(value: &Value) -> Result<Self, FieldSetError> {
        Ok(read(value, 0)?.0)
    }

    /// The `fieldsV1` form.
    pub fn to_json(&self) -> Value {
        Value::Object(self.contents(false))
    }

    /// The bytes of the `fieldsV1` form in the order of Kubernetes: numbers in keys sort by amount.
    pub fn to_json_text(&self) -> String {
        let mut out = String::new();
        self.write_contents(false, &mut out);
        out
    }

    fn zip(&self, other: &Self, combine: impl Fn(Option<&Node>, Option<&Node>) -> Option<Node>) -> Self {
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        let (mut left, mut right) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        loop {
            let combined = match (left.peek(), right.peek()) {
                (None, None) => return Self { nodes },
                (Some(_), None) => combine(left.next(), None),
                (None, Some(_)) => combine(None, right.next()),
                (Some(l), Some(r)) => match l.element.cmp(&r.element) {
                    std::cmp::Ordering::Less => combine(left.next(), None),
                    std::cmp::Ordering::Greater => combine(None, right.next()),
                    std::cmp::Ordering::Equal => combine(left.next(), right.next()),
                },
            };
            nodes.extend(combined.filter(Node::is_used));
        }
    }

    fn find(&self, element: &PathElement) -> Option<&Node> {
        let position = self.nodes.binary_search_by(|node| node.element.cmp(element)).ok()?;
        self.nodes.get(position)
    }

    fn node_mut(&mut self, element: &PathElement) -> &mut Node {
        let position = match self.nodes.binary_search_by(|node| node.element.cmp(element)) {
            Ok(position) => position,
            Err(position) => {
                let node = Node { element: element.clone(), member: false, children: Self::new() };
                self.nodes.insert(position, node);
                position
            }
        };
        &mut self.nodes[position]
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Path>) {
        for node in self.nodes.iter().filter(|node| node.member) {
            prefix.push(node.element.clone());
            out.push(Path(prefix.clone()));
            prefix.pop();
        }
        for node in &self.nodes {
            prefix.push(node.element.clone());
            node.children.collect_paths(prefix, out);
            prefix.pop();
        }
    }

    fn contents(&self, with_self: bool) -> Map<String, Value> {
        let mut members = Map::new();
        if with_self && !self.nodes.is_empty() {
            members.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for node in &self.nodes {
            members.insert(node.element.serialised(), Value::Object(node.children.contents(node.member)));
        }
        members
    }

    fn write_contents(&self, with_self: bool, out: &mut String) {
        out.push('{');
        if with_self && !self.nodes.is_empty() {
            out.push_str("\".\":{}");
        }
        for node in &self.nodes {
            if !out.ends_with('{') {
                out.push(',');
            }
            out.push_str(&Value::from(node.element.serialised()).to_string());
            out.push(':');
            node.children.write_contents(node.member, out);
        }
        out.push('}');
    }
}

impl Node {
    fn is_used(&self) -> bool {
        self.member || !self.children.is_empty()
    }
}

/// One path a line.
impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, path) in self.paths().iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            path.fmt(f)?;
        }
        Ok(())
    }
}

/// Why a `fieldsV1` value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldSetError {
    /// Something else than an object.
    #[error("fieldsV1 must be an object of objects, got {0}")]
    NotAnObject(&'static str),
    /// A member name that is no path element.
    #[error(transparent)]
    Element(#[from] PathElementError),
    /// Nested deeper than any object may be.
    #[error("fieldsV1 nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// The set below a value, and whether the value itself is a member of its parent.
fn read(value: &Value, depth: usize) -> Result<(FieldSet, bool), FieldSetError> {
    if depth > MAX_DEPTH {
        return Err(FieldSetError::TooDeep);
    }
    let members = match value {
        Value::Object(members) => members,
        Value::Null => return Ok((FieldSet::new(), true)),
        other => return Err(FieldSetError::NotAnObject(crate::go_format::type_name(other))),
    };
    let mut set = FieldSet::new();
    let (mut member, mut leaf) = (false, true);
    for (name, below) in members {
        if name == "." {
            member = true;
            continue;
        }
        let Some(element) = PathElement::parse(name)? else { continue };
        leaf = false;
        let (children, is_member) = read(below, depth + 1)?;
        let node = set.node_mut(&element);
        node.member |= is_member;
        node.children = children;
    }
    Ok((set, member || leaf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(text: Value) -> FieldSet {
        FieldSet::from_json(&text).unwrap()
    }

    #[test]
    fn json_round_trip() {
        let text = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:tags": {"v:\"x\"": {}}}});
        assert_eq!(set(text.clone()).to_json(), text);
        assert_eq!(set(text.clone()).len(), 3);
        assert!(FieldSet::from_json(&json!({"f:a": 1})).is_err());
        assert!(FieldSet::from_json(&json!([])).is_err());
        assert_eq!(set(json!({"f:a": {"z:later": {}}})), set(json!({"f:a": {}})));
    }

    #[test]
    fn text_orders_numbers_by_amount() {
        let set = set(json!({"k:{\"p\":443}": {}, "k:{\"p\":80}": {".": {}, "f:p": {}}}));
        assert_eq!(set.to_json_text(), r#"{"k:{\"p\":80}":{".":{},"f:p":{}},"k:{\"p\":443}":{}}"#);
    }

    #[test]
    fn set_operations() {
        let a = set(json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}));
        let b = set(json!({"f:a": {"f:b": {}}, "f:e": {}}));
        assert_eq!(
            a.union(&b).to_json(),
            json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}, "f:e": {}})
        );
        assert_eq!(a.intersection(&b).to_json(), json!({"f:a": {"f:b": {}}}));
        assert_eq!(a.difference(&b).to_json(), json!({"f:a": {".": {}, "f:c": {}}, "f:d": {}}));
        assert_eq!(b.difference(&a).to_json(), json!({"f:e": {}}));
        let whole = set(json!({"f:a": {}}));
        assert_eq!(a.recursive_difference(&whole).to_json(), json!({"f:d": {}}));
        assert_eq!(a.difference(&whole).to_json(), json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}));
        assert_eq!(a.leaves().to_json(), json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}));
    }

    #[test]
    fn deep_input_is_refused() {
        let mut value = json!({});
        for _ in 0..MAX_DEPTH + 2 {
            value = json!({"f:a": value});
        }
        assert_eq!(FieldSet::from_json(&value), Err(FieldSetError::TooDeep));
    }
}
