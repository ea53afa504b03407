//! The YAML node tree: what a document says and how it says it (styles, tags, comments, anchors).

pub mod tag;

use std::fmt;

use tag::Tag;

/// The text of a scalar. Short ones, which most are, need no memory beside the node.
pub type Text = compact_str::CompactString;

/// What a [`Node`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A whole document; its one child is the root node.
    Document,
    /// A mapping; `content` holds keys and values in turn.
    Mapping,
    /// A sequence.
    Sequence,
    /// A scalar; its text is in `value`.
    Scalar,
    /// `*name`; the name of the anchor is in `value`.
    Alias,
}

/// How a [`Node`] is written: a set of flags. Plain block style is the empty set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Style(u8);

impl Style {
    /// Plain scalar, block collection, tag not shown.
    pub const PLAIN: Style = Style(0);
    /// The tag was given in the text and is to be written.
    pub const TAGGED: Style = Style(1);
    /// A double-quoted scalar.
    pub const DOUBLE_QUOTED: Style = Style(2);
    /// A single-quoted scalar.
    pub const SINGLE_QUOTED: Style = Style(4);
    /// A literal block scalar (`|`).
    pub const LITERAL: Style = Style(8);
    /// A folded block scalar (`>`).
    pub const FOLDED: Style = Style(16);
    /// A collection in flow style (`{}` or `[]`).
    pub const FLOW: Style = Style(32);
    /// Every flag of a quoted or block scalar.
    pub const QUOTED_OR_BLOCK: Style = Style(2 | 4 | 8 | 16);

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Style) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    pub const fn intersects(self, other: Style) -> bool {
        self.0 & other.0 != 0
    }

    /// The flags of both.
    pub const fn with(self, other: Style) -> Style {
        Style(self.0 | other.0)
    }

    /// The flags of `self` that are not in `other`.
    pub const fn without(self, other: Style) -> Style {
        Style(self.0 & !other.0)
    }

    /// Whether no flag is set.
    pub const fn is_plain(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 6] = ["Tagged", "DoubleQuoted", "SingleQuoted", "Literal", "Folded", "Flow"];
        let set: Vec<&str> =
            (0..6).filter(|bit| self.0 & (1 << bit) != 0).map(|bit| NAMES[bit as usize]).collect();
        write!(f, "Style({})", set.join("|"))
    }
}

/// One node of a YAML document, as go-yaml v3 models it.
///
/// Duplicate keys of a mapping are kept; look-ups answer with the first. An alias carries only the name of its anchor;
/// [`crate::alias::resolve`] replaces aliases (and merge keys) by what they refer to.
#[derive(Clone, PartialEq)]
pub struct Node {
    /// What the node is.
    pub kind: Kind,
    /// How it is written.
    pub style: Style,
    tag: Tag,
    /// The text of a scalar, or the anchor name of an alias.
    pub value: Text,
    /// Children: the root of a document, the items of a sequence, keys and values in turn of a mapping.
    pub content: Vec<Node>,
    /// The line on which it starts, from 1; 0 when it was not parsed.
    pub line: u32,
    /// The column on which it starts, from 1; 0 when it was not parsed.
    pub column: u32,
    rare: Option<Box<Rare>>,
}

/// What few nodes have; kept apart so that a node stays small.
#[derive(Clone, Default, PartialEq)]
struct Rare {
    /// The tag, when it is none of the standard ones.
    tag: String,
    anchor: String,
    head_comment: String,
    line_comment: String,
    foot_comment: String,
    twin: u32,
}

impl Node {
    /// A node of a kind and tag (see [`Node::tag`]) with nothing in it.
    pub fn new(kind: Kind, tag: &str) -> Node {
        let mut node = Node {
            kind,
            style: Style::PLAIN,
            tag: Tag::None,
            value: Text::default(),
            content: Vec::new(),
            line: 0,
            column: 0,
            rare: None,
        };
        node.set_tag(tag);
        node
    }

    /// A scalar with a tag (short form, such as [`tag::INT`]); an empty tag leaves it to the text.
    pub fn scalar(tag: &str, value: impl Into<Text>) -> Node {
        let mut node = Node::new(Kind::Scalar, tag);
        node.value = value.into();
        node
    }

    /// A string scalar; the encoder quotes it when the plain text would be read as something else.
    pub fn string(value: impl Into<Text>) -> Node {
        Node::scalar(tag::STR, value)
    }

    /// An integer scalar.
    pub fn int(value: i64) -> Node {
        Node::scalar(tag::INT, value.to_string())
    }

    /// A boolean scalar.
    pub fn bool(value: bool) -> Node {
        Node::scalar(tag::BOOL, if value { "true" } else { "false" })
    }

    /// A null scalar, written `null`.
    pub fn null() -> Node {
        Node::scalar(tag::NULL, "null")
    }

    /// A mapping of the given pairs in their order.
    pub fn mapping<K: Into<Node>>(pairs: impl IntoIterator<Item = (K, Node)>) -> Node {
        let mut node = Node::new(Kind::Mapping, tag::MAP);
        for (key, value) in pairs {
            node.content.push(key.into());
            node.content.push(value);
        }
        node
    }

    /// A mapping without entries.
    pub fn empty_mapping() -> Node {
        Node::new(Kind::Mapping, tag::MAP)
    }

    /// A sequence of the given items.
    pub fn sequence(items: impl IntoIterator<Item = Node>) -> Node {
        let mut node = Node::new(Kind::Sequence, tag::SEQ);
        node.content.extend(items);
        node
    }

    /// A document around `root`.
    pub fn document(root: Node) -> Node {
        let mut node = Node::new(Kind::Document, "");
        node.line = root.line;
        node.column = root.column;
        node.content.push(root);
        node
    }

    /// The root node of a document; any other node is its own root.
    pub fn root(&self) -> &Node {
        match (self.kind, self.content.first()) {
            (Kind::Document, Some(root)) => root,
            _ => self,
        }
    }

    /// [`Node::root`], to change it.
    pub fn root_mut(&mut self) -> &mut Node {
        if self.kind == Kind::Document && !self.content.is_empty() { &mut self.content[0] } else { self }
    }

    /// [`Node::root`], by value; comments of the document itself are lost.
    pub fn into_root(mut self) -> Node {
        if self.kind == Kind::Document && !self.content.is_empty() {
            self.content.swap_remove(0)
        } else {
            self
        }
    }

    /// The tag in short form (`!!str`); empty when it is to be found out from the text.
    pub fn tag(&self) -> &str {
        match (self.tag, &self.rare) {
            (Tag::Other, Some(rare)) => &rare.tag,
            (tag, _) => tag.text(),
        }
    }

    /// Sets the tag, given in short form; empty leaves it to the text.
    pub fn set_tag(&mut self, tag: &str) {
        self.tag = Tag::of(tag);
        if self.tag == Tag::Other {
            self.set_rare(tag.to_owned(), |rare| &mut rare.tag);
        } else if let Some(rare) = &mut self.rare {
            rare.tag.clear();
        }
    }

    /// Whether this is a mapping.
    pub fn is_mapping(&self) -> bool {
        self.kind == Kind::Mapping
    }

    /// Whether this is a sequence.
    pub fn is_sequence(&self) -> bool {
        self.kind == Kind::Sequence
    }

    /// Whether this is a scalar.
    pub fn is_scalar(&self) -> bool {
        self.kind == Kind::Scalar
    }

    /// Whether this is a null scalar.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Scalar && self.tag == Tag::Null
    }

    /// Whether this is null, or a mapping or sequence without entries.
    pub fn is_null_or_empty(&self) -> bool {
        match self.kind {
            Kind::Mapping | Kind::Sequence | Kind::Document => self.content.is_empty(),
            Kind::Scalar => self.tag == Tag::Null,
            Kind::Alias => false,
        }
    }

    /// The text of a scalar, whatever its tag.
    pub fn as_text(&self) -> Option<&str> {
        (self.kind == Kind::Scalar).then_some(self.value.as_str())
    }

    /// The text of a scalar with tag `!!str`.
    pub fn as_str(&self) -> Option<&str> {
        (self.kind == Kind::Scalar && self.tag == Tag::Str).then_some(self.value.as_str())
    }

    /// Keys and values of a mapping, in order; nothing for any other kind.
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = (&Node, &Node)> + ExactSizeIterator {
        let content: &[Node] = if self.kind == Kind::Mapping { &self.content } else { &[] };
        content.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// [`Node::pairs`], to change keys and values.
    pub fn pairs_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (&mut Node, &mut Node)> + ExactSizeIterator {
        let content: &mut [Node] = if self.kind == Kind::Mapping { &mut self.content } else { &mut [] };
        content.chunks_exact_mut(2).map(|pair| {
            let (key, value) = pair.split_at_mut(1);
            (&mut key[0], &mut value[0])
        })
    }

    /// The keys and values of a mapping, by value.
    pub fn into_pairs(self) -> Vec<(Node, Node)> {
        let mut pairs = Vec::with_capacity(self.content.len() / 2);
        if self.kind == Kind::Mapping {
            let mut content = self.content.into_iter();
            while let (Some(key), Some(value)) = (content.next(), content.next()) {
                pairs.push((key, value));
            }
        }
        pairs
    }

    /// The items of a sequence; nothing for any other kind.
    pub fn items(&self) -> &[Node] {
        if self.kind == Kind::Sequence { &self.content } else { &[] }
    }

    /// The items of a sequence, to change them.
    pub fn items_mut(&mut self) -> &mut [Node] {
        if self.kind == Kind::Sequence { &mut self.content } else { &mut [] }
    }

    /// The position in `content` of the first key with this text. The value follows it.
    pub fn position(&self, key: &str) -> Option<usize> {
        if self.kind != Kind::Mapping {
            return None;
        }
        self.content
            .chunks_exact(2)
            .position(|pair| pair[0].value == key && pair[0].kind == Kind::Scalar)
            .map(|i| i * 2)
    }

    /// The value of the first entry with this key; `None` when absent or this is no mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.position(key).and_then(|at| self.content.get(at + 1))
    }

    /// [`Node::get`], to change the value.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.position(key).and_then(|at| self.content.get_mut(at + 1))
    }

    /// The text of the scalar under `key`, whatever its tag; null counts as absent.
    pub fn get_text(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|node| !node.is_null()).and_then(Node::as_text)
    }

    /// Sets the value of the first entry with this key, or appends an entry. Returns the old value.
    /// On anything but a mapping it does nothing and gives `value` back.
    pub fn set(&mut self, key: &str, value: Node) -> Option<Node> {
        if self.kind != Kind::Mapping {
            return Some(value);
        }
        match self.get_mut(key) {
            Some(slot) => Some(std::mem::replace(slot, value)),
            None => {
                self.content.push(Node::string(key));
                self.content.push(value);
                None
            }
        }
    }

    /// The value under `key`, appended as `default()` when it is absent; `None` when this is no mapping.
    pub fn get_or_insert_with(&mut self, key: &str, default: impl FnOnce() -> Node) -> Option<&mut Node> {
        if self.kind != Kind::Mapping {
            return None;
        }
        let at = match self.position(key) {
            Some(at) => at,
            None => {
                self.content.push(Node::string(key));
                self.content.push(default());
                self.content.len() - 2
            }
        };
        self.content.get_mut(at + 1)
    }

    /// Removes the first entry with this key and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.position(key)?;
        let value = self.content.remove(at + 1);
        self.content.remove(at);
        Some(value)
    }

    /// Walks down mapping keys (and sequence indices written as numbers).
    pub fn walk<S: AsRef<str>>(&self, path: &[S]) -> Option<&Node> {
        let mut node = self.root();
        for step in path {
            let step = step.as_ref();
            node = match node.kind {
                Kind::Mapping => node.get(step)?,
                Kind::Sequence => node.content.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// [`Node::walk`], to change what is there.
    pub fn walk_mut<S: AsRef<str>>(&mut self, path: &[S]) -> Option<&mut Node> {
        let mut node = self.root_mut();
        for step in path {
            let step = step.as_ref();
            node = match node.kind {
                Kind::Mapping => node.get_mut(step)?,
                Kind::Sequence => node.content.get_mut(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The anchor defined on this node, without `&`; empty when there is none.
    pub fn anchor(&self) -> &str {
        self.rare.as_ref().map_or("", |rare| &rare.anchor)
    }

    /// Comment lines above the node, each with its `#`; empty when there are none.
    pub fn head_comment(&self) -> &str {
        self.rare.as_ref().map_or("", |rare| &rare.head_comment)
    }

    /// The comment at the end of the node's line.
    pub fn line_comment(&self) -> &str {
        self.rare.as_ref().map_or("", |rare| &rare.line_comment)
    }

    /// Comment lines below the node, separated from what follows by an empty line.
    pub fn foot_comment(&self) -> &str {
        self.rare.as_ref().map_or("", |rare| &rare.foot_comment)
    }

    /// Sets the anchor; empty removes it.
    pub fn set_anchor(&mut self, anchor: impl Into<String>) {
        self.set_rare(anchor.into(), |rare| &mut rare.anchor);
    }

    /// Sets the comment above the node; empty removes it.
    pub fn set_head_comment(&mut self, comment: impl Into<String>) {
        self.set_rare(comment.into(), |rare| &mut rare.head_comment);
    }

    /// Sets the comment at the end of the node's line; empty removes it.
    pub fn set_line_comment(&mut self, comment: impl Into<String>) {
        self.set_rare(comment.into(), |rare| &mut rare.line_comment);
    }

    /// Sets the comment below the node; empty removes it.
    pub fn set_foot_comment(&mut self, comment: impl Into<String>) {
        self.set_rare(comment.into(), |rare| &mut rare.foot_comment);
    }

    /// The number of the node that this one stands for, where the Go ecosystem has one node in several places of a tree;
    /// 0 for a node that is in one place only.
    pub fn twin(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.twin)
    }

    /// Says which node this one stands for; 0 for none but itself.
    pub fn set_twin(&mut self, twin: u32) {
        if twin != self.twin() {
            self.rare.get_or_insert_with(Box::default).twin = twin;
        }
    }

    /// Whether the node itself has a comment.
    pub fn has_comments(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| {
            !(rare.head_comment.is_empty() && rare.line_comment.is_empty() && rare.foot_comment.is_empty())
        })
    }

    /// Removes all comments of this node and everything below it.
    pub fn clear_comments(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.head_comment.clear();
            rare.line_comment.clear();
            rare.foot_comment.clear();
            rare.twin = 0;
            if **rare == Rare::default() {
                self.rare = None;
            }
        }
        self.content.iter_mut().for_each(Node::clear_comments);
    }

    fn set_rare(&mut self, text: String, field: impl FnOnce(&mut Rare) -> &mut String) {
        if text.is_empty() && self.rare.is_none() {
            return;
        }
        *field(self.rare.get_or_insert_with(Box::default)) = text;
    }
}

impl From<&str> for Node {
    fn from(value: &str) -> Node {
        Node::string(value)
    }
}

impl From<Text> for Node {
    fn from(value: Text) -> Node {
        Node::string(value)
    }
}

impl From<String> for Node {
    fn from(value: String) -> Node {
        Node::string(value)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Node");
        out.field("kind", &self.kind).field("tag", &self.tag());
        if !self.style.is_plain() {
            out.field("style", &self.style);
        }
        if !self.value.is_empty() {
            out.field("value", &self.value);
        }
        for (name, text) in [
            ("anchor", self.anchor()),
            ("head_comment", self.head_comment()),
            ("line_comment", self.line_comment()),
            ("foot_comment", self.foot_comment()),
        ] {
            if !text.is_empty() {
                out.field(name, &text);
            }
        }
        if !self.content.is_empty() {
            out.field("content", &self.content);
        }
        out.finish()
    }
}
