//! The parser: tokens to events, with the comments that belong to each.

mod flow;

use super::scanner::Scanner;
use super::token::{CommentPlace, Mark, ScalarStyle, Token, TokenKind};
use super::{Dialect, Stage, SyntaxError, input::Input};

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias,
    Scalar,
    SequenceStart,
    SequenceEnd,
    MappingStart,
    MappingEnd,
}

/// One step of a document.
#[derive(Debug)]
pub(crate) struct Event {
    pub kind: EventKind,
    pub style: ScalarStyle,
    /// Whether a collection is in flow style.
    pub flow: bool,
    /// Where it starts.
    pub start: Mark,
    /// The text of a scalar or the name of an alias.
    pub value: String,
    pub properties: Option<Box<Properties>>,
    pub comments: Option<Box<EventComments>>,
}

/// The anchor and tag of a node.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub anchor: Option<String>,
    pub tag: String,
}

/// The comments of an event.
#[derive(Debug, Default)]
pub(crate) struct EventComments {
    pub head: String,
    pub line: String,
    pub foot: String,
}

impl EventComments {
    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.line.is_empty() && self.foot.is_empty()
    }
}

#[derive(Clone, Copy)]
enum State {
    StreamStart,
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirst,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingFirst,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequenceEntry,
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// Turns tokens into events on demand.
pub(crate) struct Parser<'a> {
    scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    /// Where the open collections began.
    marks: Vec<Mark>,
    tag_directives: Vec<(String, String)>,
    comments: EventComments,
    /// The comment between `-` and the block collection that is its item.
    stem: String,
}

type Parse<T> = Result<T, SyntaxError>;

impl<'a> Parser<'a> {
    pub fn new(input: &'a Input<'_>, dialect: Dialect) -> Parser<'a> {
        Parser {
            scanner: Scanner::new(input, dialect),
            state: State::StreamStart,
            states: Vec::new(),
            marks: Vec::new(),
            tag_directives: Vec::new(),
            comments: EventComments::default(),
            stem: String::new(),
        }
    }

    /// Whether the text of block scalars is left out from here on: they are large, and not everybody wants them.
    pub fn discard_block_scalars(&mut self, discard: bool) {
        self.scanner.discards_block_scalars = discard;
    }

    /// The next event. After the end of the stream it stays there.
    pub fn next(&mut self) -> Parse<Event> {
        match self.state {
            State::StreamStart => {
                let mark = self.peek()?.start;
                self.scanner.skip_token();
                self.state = State::ImplicitDocumentStart;
                Ok(event(EventKind::StreamStart, mark))
            }
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirst => self.block_sequence_entry(true),
            State::BlockSequenceEntry => self.block_sequence_entry(false),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingFirst => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_pair_value(),
            State::FlowPairEnd => {
                let mark = self.peek()?.start;
                self.state = State::FlowSequenceEntry;
                Ok(event(EventKind::MappingEnd, mark))
            }
            State::FlowMappingFirst => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => Ok(event(EventKind::StreamEnd, Mark::default())),
        }
    }

    /// The next token. The comments before it are collected on the way.
    fn peek(&mut self) -> Parse<&mut Token> {
        self.scanner.peek()?;
        if self.scanner.has_comments() {
            self.collect_comments();
        }
        self.scanner.peek()
    }

    fn collect_comments(&mut self) {
        let pending = &mut self.comments;
        self.scanner.take_comments(|token, comment| {
            let target = match comment.place {
                // An end has no head: the comment is kept for the token after it.
                CommentPlace::Head if token.kind == TokenKind::BlockEnd => return false,
                CommentPlace::Head => &mut pending.head,
                CommentPlace::Line => &mut pending.line,
                CommentPlace::Foot => &mut pending.foot,
            };
            if !target.is_empty() {
                target.push('\n');
            }
            target.push_str(&comment.text);
            true
        });
    }

    fn peek_kind(&mut self) -> Parse<(TokenKind, Mark)> {
        self.peek().map(|token| (token.kind, token.start))
    }

    fn pop_state(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    fn take_event_comments(&mut self) -> Option<Box<EventComments>> {
        self.stem.clear();
        if self.comments.is_empty() {
            return None;
        }
        Some(Box::new(std::mem::take(&mut self.comments)))
    }

    fn document_start(&mut self, implicit: bool) -> Parse<Event> {
        let (mut kind, mut mark) = self.peek_kind()?;
        if !implicit {
            while kind == TokenKind::DocumentEnd {
                self.scanner.skip_token();
                (kind, mark) = self.peek_kind()?;
            }
        }
        if kind == TokenKind::StreamEnd {
            self.state = State::End;
            self.scanner.skip_token();
            return Ok(event(EventKind::StreamEnd, mark));
        }
        let explicit =
            matches!(kind, TokenKind::VersionDirective | TokenKind::TagDirective | TokenKind::DocumentStart);
        let mut start = event(EventKind::DocumentStart, mark);
        if implicit && !explicit {
            self.directives()?;
            self.states.push(State::DocumentEnd);
            self.state = State::BlockNode;
            let head = self.split_document_head();
            if !head.is_empty() {
                start.comments = Some(Box::new(EventComments { head, ..EventComments::default() }));
            }
        } else {
            self.directives()?;
            let (kind, mark) = self.peek_kind()?;
            if kind != TokenKind::DocumentStart {
                return Err(parser_error("did not find expected <document start>", mark));
            }
            self.states.push(State::DocumentEnd);
            self.state = State::DocumentContent;
            self.scanner.skip_token();
        }
        Ok(start)
    }

    /// Of the comment at the top, the part before the last empty line belongs to the document.
    fn split_document_head(&mut self) -> String {
        let head = &mut self.comments.head;
        let bytes = head.as_bytes();
        for at in (1..bytes.len()).rev() {
            if bytes[at] != b'\n' {
                continue;
            }
            let end = match at {
                _ if at == bytes.len() - 1 => at,
                _ if bytes[at - 1] == b'\n' => at - 1,
                _ => continue,
            };
            let rest = head.split_off(at + 1);
            head.truncate(end);
            return std::mem::replace(head, rest);
        }
        String::new()
    }

    fn document_content(&mut self) -> Parse<Event> {
        let (kind, mark) = self.peek_kind()?;
        if matches!(
            kind,
            TokenKind::VersionDirective
                | TokenKind::TagDirective
                | TokenKind::DocumentStart
                | TokenKind::DocumentEnd
                | TokenKind::StreamEnd
        ) {
            self.pop_state();
            return Ok(empty_scalar(mark));
        }
        self.node(true, false)
    }

    fn document_end(&mut self) -> Parse<Event> {
        let (kind, mark) = self.peek_kind()?;
        if kind == TokenKind::DocumentEnd {
            self.scanner.skip_token();
        }
        self.tag_directives.clear();
        self.state = State::DocumentStart;
        let mut end = event(EventKind::DocumentEnd, mark);
        end.comments = self.take_event_comments();
        if let Some(comments) = &mut end.comments
            && comments.foot.is_empty()
        {
            comments.foot = std::mem::take(&mut comments.head);
        }
        Ok(end)
    }

    fn node(&mut self, block: bool, indentless_sequence: bool) -> Parse<Event> {
        let (mut kind, mut mark) = self.peek_kind()?;
        if kind == TokenKind::Alias {
            self.pop_state();
            let comments = self.take_event_comments();
            let token = self.scanner.take_token()?;
            return Ok(Event { value: token.value, comments, ..event(EventKind::Alias, mark) });
        }

        let start = mark;
        let mut anchor = None;
        let mut tag = None;
        while kind == TokenKind::Anchor && anchor.is_none() || kind == TokenKind::Tag && tag.is_none() {
            let token = self.scanner.take_token()?;
            if kind == TokenKind::Anchor {
                anchor = Some(token.value);
            } else {
                tag = Some(self.resolve_tag(token, start)?);
            }
            (kind, mark) = self.peek_kind()?;
        }
        let has_properties = anchor.is_some() || tag.is_some();
        let properties =
            has_properties.then(|| Box::new(Properties { anchor, tag: tag.unwrap_or_default() }));

        let (event_kind, flow, state) = match kind {
            TokenKind::BlockEntry if indentless_sequence => {
                self.state = State::IndentlessSequenceEntry;
                return Ok(Event { properties, ..event(EventKind::SequenceStart, start) });
            }
            TokenKind::Scalar => {
                self.pop_state();
                let comments = self.take_event_comments();
                let token = self.scanner.take_token()?;
                return Ok(Event {
                    style: token.style,
                    value: token.value,
                    properties,
                    comments,
                    ..event(EventKind::Scalar, start)
                });
            }
            TokenKind::FlowSequenceStart => (EventKind::SequenceStart, true, State::FlowSequenceFirst),
            TokenKind::FlowMappingStart => (EventKind::MappingStart, true, State::FlowMappingFirst),
            TokenKind::BlockSequenceStart if block => {
                (EventKind::SequenceStart, false, State::BlockSequenceFirst)
            }
            TokenKind::BlockMappingStart if block => {
                (EventKind::MappingStart, false, State::BlockMappingFirst)
            }
            _ if has_properties => {
                self.pop_state();
                return Ok(Event { properties, ..empty_scalar(start) });
            }
            _ => return Err(parser_error_in("did not find expected node content", mark, start)),
        };
        self.state = state;
        let comments = if flow {
            self.take_event_comments()
        } else {
            let head = std::mem::take(&mut self.stem);
            (!head.is_empty()).then(|| Box::new(EventComments { head, ..EventComments::default() }))
        };
        Ok(Event { flow, properties, comments, ..event(event_kind, start) })
    }

    fn resolve_tag(&self, token: Token, start: Mark) -> Parse<String> {
        let suffix = token.suffix.unwrap_or_default();
        if token.value.is_empty() {
            return Ok(suffix.into());
        }
        match self.tag_directives.iter().find(|(handle, _)| *handle == token.value) {
            Some((_, prefix)) => Ok(format!("{prefix}{suffix}")),
            None => Err(parser_error_in("found undefined tag handle", token.start, start)),
        }
    }

    fn block_sequence_entry(&mut self, first: bool) -> Parse<Event> {
        if first {
            self.open_collection()?;
        }
        let (kind, mark) = self.peek_kind()?;
        match kind {
            TokenKind::BlockEntry => {
                let end = self.skip_block_entry()?;
                let (kind, _) = self.peek_kind()?;
                if matches!(kind, TokenKind::BlockEntry | TokenKind::BlockEnd) {
                    self.state = State::BlockSequenceEntry;
                    Ok(empty_scalar(end))
                } else {
                    self.states.push(State::BlockSequenceEntry);
                    self.node(true, false)
                }
            }
            TokenKind::BlockEnd => {
                self.pop_state();
                self.marks.pop();
                self.scanner.skip_token();
                Ok(event(EventKind::SequenceEnd, mark))
            }
            _ => Err(self.collection_error("did not find expected '-' indicator", mark)),
        }
    }

    fn indentless_sequence_entry(&mut self) -> Parse<Event> {
        let (kind, mark) = self.peek_kind()?;
        if kind != TokenKind::BlockEntry {
            self.pop_state();
            return Ok(event(EventKind::SequenceEnd, mark));
        }
        let end = self.skip_block_entry()?;
        let (kind, _) = self.peek_kind()?;
        if matches!(kind, TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd) {
            self.state = State::IndentlessSequenceEntry;
            Ok(empty_scalar(end))
        } else {
            self.states.push(State::IndentlessSequenceEntry);
            self.node(true, false)
        }
    }

    /// Consumes `-`. A comment before it that is followed by a block collection is the head of that collection.
    fn skip_block_entry(&mut self) -> Parse<Mark> {
        let stem = self.comments.head.len();
        let token = self.scanner.take_token()?;
        if stem > 0 {
            let (kind, _) = self.peek_kind()?;
            if matches!(kind, TokenKind::BlockSequenceStart | TokenKind::BlockMappingStart) {
                let head = &mut self.comments.head;
                let rest = if head.len() == stem { String::new() } else { head.split_off(stem + 1) };
                head.truncate(stem);
                self.stem = std::mem::replace(head, rest);
            }
        }
        Ok(token.end)
    }

    fn block_mapping_key(&mut self, first: bool) -> Parse<Event> {
        if first {
            self.open_collection()?;
        }
        let (kind, mark) = self.peek_kind()?;
        match kind {
            TokenKind::Key => {
                let end = self.scanner.take_token()?.end;
                let (kind, _) = self.peek_kind()?;
                if matches!(kind, TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd) {
                    self.state = State::BlockMappingValue;
                    Ok(empty_scalar(end))
                } else {
                    self.states.push(State::BlockMappingValue);
                    self.node(true, true)
                }
            }
            TokenKind::BlockEnd => {
                self.pop_state();
                self.marks.pop();
                let comments = self.take_event_comments();
                self.scanner.skip_token();
                Ok(Event { comments, ..event(EventKind::MappingEnd, mark) })
            }
            _ => Err(self.collection_error("did not find expected key", mark)),
        }
    }

    fn block_mapping_value(&mut self) -> Parse<Event> {
        let (kind, mark) = self.peek_kind()?;
        if kind != TokenKind::Value {
            self.state = State::BlockMappingKey;
            return Ok(empty_scalar(mark));
        }
        let end = self.scanner.take_token()?.end;
        let (kind, _) = self.peek_kind()?;
        if matches!(kind, TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd) {
            self.state = State::BlockMappingKey;
            Ok(empty_scalar(end))
        } else {
            self.states.push(State::BlockMappingKey);
            self.node(true, true)
        }
    }

    fn open_collection(&mut self) -> Parse<()> {
        let mark = self.peek()?.start;
        self.marks.push(mark);
        self.scanner.skip_token();
        Ok(())
    }

    fn collection_error(&mut self, problem: &str, mark: Mark) -> SyntaxError {
        parser_error_in(problem, mark, self.marks.pop().unwrap_or_default())
    }

    fn directives(&mut self) -> Parse<()> {
        let mut version = false;
        loop {
            let (kind, mark) = self.peek_kind()?;
            match kind {
                TokenKind::VersionDirective => {
                    if version {
                        return Err(parser_error("found duplicate %YAML directive", mark));
                    }
                    if self.scanner.take_token()?.value != "1.1" {
                        return Err(parser_error("found incompatible YAML document", mark));
                    }
                    version = true;
                }
                TokenKind::TagDirective => {
                    let token = self.scanner.take_token()?;
                    if self.tag_directives.iter().any(|(handle, _)| *handle == token.value) {
                        return Err(parser_error("found duplicate %TAG directive", mark));
                    }
                    self.tag_directives.push((token.value, token.suffix.unwrap_or_default().into()));
                }
                _ => break,
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.tag_directives.iter().any(|(known, _)| known == handle) {
                self.tag_directives.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        Ok(())
    }
}

fn event(kind: EventKind, start: Mark) -> Event {
    Event {
        kind,
        style: ScalarStyle::Plain,
        flow: false,
        start,
        value: String::new(),
        properties: None,
        comments: None,
    }
}

/// A value that is left out.
fn empty_scalar(mark: Mark) -> Event {
    event(EventKind::Scalar, mark)
}

fn parser_error(problem: &str, at: Mark) -> SyntaxError {
    parser_error_in(problem, at, Mark::default())
}

fn parser_error_in(problem: &str, at: Mark, context: Mark) -> SyntaxError {
    SyntaxError {
        stage: Stage::Parser,
        problem: problem.to_owned(),
        line: at.line,
        context_line: context.line,
    }
}
