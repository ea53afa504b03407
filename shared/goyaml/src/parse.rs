//! Events to node trees.

use std::collections::HashMap;

use crate::error::Error;
use crate::node::{Kind, Node, Style, tag};
use crate::resolve::{Rules, Scalar, resolve, short_tag};
use crate::syntax::parser::{Event, EventComments, EventKind, Parser};
use crate::syntax::token::ScalarStyle;
use crate::syntax::{Dialect, input};

/// Reads all documents of a stream, as go-yaml v3 does, comments included.
///
/// Each result is a [`Kind::Document`]. A stream without documents gives none.
pub fn parse(bytes: &[u8]) -> Result<Vec<Node>, Error> {
    let input = input::decode(bytes);
    let mut builder = Builder::new(&input, Dialect::V3);
    let mut documents = Vec::new();
    while let Some(document) = builder.document()? {
        documents.push(document);
    }
    Ok(documents)
}

/// Reads the first document of a stream; what comes after it is not looked at.
///
/// Fails with [`Error::Empty`] when there is none.
pub fn parse_one(bytes: &[u8]) -> Result<Node, Error> {
    parse_first(bytes, Dialect::V3)?.ok_or(Error::Empty)
}

/// The first document as `dialect` reads it, `None` when there is none.
pub(crate) fn parse_first(bytes: &[u8], dialect: Dialect) -> Result<Option<Node>, Error> {
    let input = input::decode(bytes);
    Builder::new(&input, dialect).document()
}

/// Builds nodes from events.
struct Builder<'a> {
    parser: Parser<'a>,
    dialect: Dialect,
    event: Option<Event>,
    /// The anchors defined so far.
    anchors: HashMap<String, ()>,
    /// The children of the open collections. They go to their parent all at once, so that its list is never enlarged:
    /// lists that grow leave holes in the memory.
    open: Vec<Node>,
}

impl<'a> Builder<'a> {
    fn new(input: &'a input::Input<'_>, dialect: Dialect) -> Builder<'a> {
        Builder {
            parser: Parser::new(input, dialect),
            dialect,
            event: None,
            anchors: HashMap::new(),
            open: Vec::new(),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Error> {
        let mut start = self.next()?;
        if start.kind == EventKind::StreamStart {
            start = self.next()?;
        }
        if start.kind != EventKind::DocumentStart {
            return Ok(None);
        }
        if self.dialect == Dialect::V2 {
            self.anchors.clear();
        }
        let mut document = Node::new(Kind::Document, "");
        locate(&mut document, &start);
        attach(&mut document, start.comments);
        document.content.push(self.node()?);
        let end = self.next()?;
        if let Some(comments) = end.comments {
            document.set_foot_comment(comments.foot);
        }
        Ok(Some(document))
    }

    fn node(&mut self) -> Result<Node, Error> {
        let event = self.next()?;
        match event.kind {
            EventKind::Scalar => self.scalar(event),
            EventKind::Alias => self.alias(event),
            EventKind::SequenceStart => self.sequence(event),
            _ => self.mapping(event),
        }
    }

    fn alias(&mut self, event: Event) -> Result<Node, Error> {
        if !self.anchors.contains_key(&event.value) {
            return Err(Error::UnknownAnchor(event.value));
        }
        let mut node = Node::new(Kind::Alias, "");
        locate(&mut node, &event);
        node.value = event.value.as_str().into();
        attach(&mut node, event.comments);
        Ok(node)
    }

    fn scalar(&mut self, event: Event) -> Result<Node, Error> {
        let style = match event.style {
            ScalarStyle::Plain => Style::PLAIN,
            ScalarStyle::SingleQuoted => Style::SINGLE_QUOTED,
            ScalarStyle::DoubleQuoted => Style::DOUBLE_QUOTED,
            ScalarStyle::Literal => Style::LITERAL,
            ScalarStyle::Folded => Style::FOLDED,
        };
        let mut node = Node::new(Kind::Scalar, "");
        locate(&mut node, &event);
        node.style = style;
        node.value = event.value.as_str().into();
        self.set_properties(&mut node, event.properties);
        if node.tag().is_empty() {
            node.set_tag(match self.dialect {
                _ if !style.is_plain() => tag::STR,
                Dialect::V2 => "",
                Dialect::V3 if node.value == "<<" => tag::MERGE,
                Dialect::V3 => resolve(Rules::V3, "", &node.value).unwrap_or(Scalar::String).tag(),
            });
        }
        attach(&mut node, event.comments);
        Ok(node)
    }

    fn sequence(&mut self, event: Event) -> Result<Node, Error> {
        let mut node = self.collection(event, Kind::Sequence, tag::SEQ);
        let start = self.open.len();
        while self.peek()? != EventKind::SequenceEnd {
            let item = self.node()?;
            self.open.push(item);
        }
        node.content = self.open.drain(start..).collect();
        let end = self.next()?.comments.map(|comments| *comments).unwrap_or_default();
        node.set_line_comment(end.line);
        node.set_foot_comment(end.foot);
        Ok(node)
    }

    fn mapping(&mut self, event: Event) -> Result<Node, Error> {
        let block = !event.flow;
        let mut node = self.collection(event, Kind::Mapping, tag::MAP);
        let start = self.open.len();
        while self.peek()? != EventKind::MappingEnd {
            let mut key = self.node()?;
            if block && !key.foot_comment().is_empty() {
                // A foot comment that a key brings with it is about the entry before.
                let count = self.open.len();
                if count > start + 1 {
                    let foot = key.foot_comment().to_owned();
                    self.open[count - 2].set_foot_comment(foot);
                    key.set_foot_comment("");
                }
            }
            let mut value = self.node()?;
            if key.foot_comment().is_empty() && !value.foot_comment().is_empty() {
                key.set_foot_comment(value.foot_comment().to_owned());
                value.set_foot_comment("");
            }
            self.open.push(key);
            self.open.push(value);
        }
        node.content = self.open.drain(start..).collect();
        let mut end = self.next()?.comments.map(|comments| *comments).unwrap_or_default();
        if block && !end.foot.is_empty() && node.content.len() > 1 {
            let last_key = node.content.len() - 2;
            node.content[last_key].set_foot_comment(std::mem::take(&mut end.foot));
        }
        node.set_line_comment(end.line);
        node.set_foot_comment(end.foot);
        Ok(node)
    }

    fn collection(&mut self, event: Event, kind: Kind, default_tag: &'static str) -> Node {
        let mut node = Node::new(kind, "");
        locate(&mut node, &event);
        if event.flow {
            node.style = Style::FLOW;
        }
        self.set_properties(&mut node, event.properties);
        if node.tag().is_empty() {
            node.set_tag(default_tag);
        }
        attach(&mut node, event.comments);
        node
    }

    fn set_properties(
        &mut self,
        node: &mut Node,
        properties: Option<Box<crate::syntax::parser::Properties>>,
    ) {
        let Some(properties) = properties else { return };
        if properties.tag == "!" {
            // go-yaml v3 forgets this tag, for v2 it makes a string.
            if self.dialect == Dialect::V2 {
                node.set_tag("!");
            }
        } else if !properties.tag.is_empty() {
            node.set_tag(&short_tag(&properties.tag));
            node.style = node.style.with(Style::TAGGED);
        }
        if let Some(anchor) = properties.anchor {
            node.set_anchor(anchor.clone());
            self.anchors.insert(anchor, ());
        }
    }

    fn peek(&mut self) -> Result<EventKind, Error> {
        if let Some(event) = &self.event {
            return Ok(event.kind);
        }
        let event = self.next()?;
        let kind = event.kind;
        self.event = Some(event);
        Ok(kind)
    }

    fn next(&mut self) -> Result<Event, Error> {
        match self.event.take() {
            Some(event) => Ok(event),
            None => self.parser.next().map_err(|error| error.told_by(self.dialect)),
        }
    }
}

fn locate(node: &mut Node, event: &Event) {
    node.line = event.start.line + 1;
    node.column = event.start.column + 1;
}

fn attach(node: &mut Node, comments: Option<Box<EventComments>>) {
    if let Some(comments) = comments {
        node.set_head_comment(comments.head);
        node.set_line_comment(comments.line);
        node.set_foot_comment(comments.foot);
    }
}
