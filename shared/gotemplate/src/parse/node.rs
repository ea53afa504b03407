//! The trees of a template text, and how error messages print their nodes.
//!
//! All trees of one text share one [`Source`]: the elements of each kind lie in one list there, and refer to each other
//! and to the text by number. So a tree of thousands of nodes is a handful of allocations.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Index;
use std::sync::Arc;

use super::literal::Number;
use crate::function::Function;
use crate::text::Text;
use fluxide_gotext::quote;

/// A template text and what it was parsed into.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Text,
    pub(crate) text: Text,
    pub(crate) nodes: Vec<Node>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) invocations: Vec<Invocation>,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) commands: Vec<Command>,
    pub(crate) operands: Vec<Operand>,
    pub(crate) variables: Vec<Span>,
    pub(crate) numbers: Vec<Number>,
}

impl Source {
    pub(crate) fn new(name: Text, text: Text) -> Source {
        let actions = (text.len() / BYTES_PER_ACTION).min(MOST_FORESEEN);
        Source {
            name,
            text,
            // Text and actions alternate; few commands and operands are too many for most actions.
            nodes: Vec::with_capacity(2 * actions + 1),
            branches: Vec::new(),
            invocations: Vec::new(),
            pipes: Vec::new(),
            commands: Vec::with_capacity(actions),
            operands: Vec::with_capacity(2 * actions),
            variables: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Gives back what the lists do not need.
    pub(crate) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.branches.shrink_to_fit();
        self.invocations.shrink_to_fit();
        self.pipes.shrink_to_fit();
        self.commands.shrink_to_fit();
        self.operands.shrink_to_fit();
        self.variables.shrink_to_fit();
        self.numbers.shrink_to_fit();
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..(span.start + span.length) as usize).unwrap_or_default()
    }

    /// A word of the template language, which is UTF-8.
    pub(crate) fn word(&self, span: Span) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or("\u{fffd}")
    }

    /// `name:line:column`, lines from 1, columns in bytes from 0.
    pub(crate) fn location(&self, position: usize) -> String {
        let before = &self.text[..position.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{}:{line}:{column}", self.name)
    }

    pub(crate) fn position_of(&self, node: &Node) -> usize {
        (match node {
            Node::Text { span } => span.start,
            Node::Action { position, .. } | Node::Break { position } | Node::Continue { position } => {
                *position
            }
            Node::Template(at) => self[*at].position,
            Node::If(at) | Node::With(at) | Node::Range(at) => self[*at].pipe.position,
        }) as usize
    }

    /// Whether a body is nothing but space and comments, so that it replaces no other.
    pub(crate) fn is_blank(&self, body: Run<Node>) -> bool {
        self[body]
            .iter()
            .all(|node| matches!(node, Node::Text { span } if crate::sprig::trim_space(self.bytes(*span)).is_empty()))
    }

    /// The element as error messages print it.
    pub(crate) fn show<T: Show>(&self, item: &T) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = item.show(self, &mut out);
        out
    }
}

/// About how much text there is for each action in charts.
const BYTES_PER_ACTION: usize = 64;
/// Room is not made for more actions than this before they are there.
const MOST_FORESEEN: usize = 1 << 14;

/// A stretch of the text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// The number of an element in its list.
pub(crate) struct Id<T>(u32, PhantomData<fn() -> T>);

/// Elements that lie one after the other in their list.
pub(crate) struct Run<T> {
    start: u32,
    length: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Adds an element to its list.
    pub(crate) fn add(list: &mut Vec<T>, item: T) -> Id<T> {
        list.push(item);
        Id(list.len() as u32 - 1, PhantomData)
    }
}

impl<T> Run<T> {
    /// Moves elements to the end of their list.
    pub(crate) fn add(list: &mut Vec<T>, items: impl Iterator<Item = T>) -> Run<T> {
        let start = list.len();
        list.extend(items);
        Run { start: start as u32, length: (list.len() - start) as u32, of: PhantomData }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.length == 0
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Id<T> {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> Clone for Run<T> {
    fn clone(&self) -> Run<T> {
        *self
    }
}

impl<T> Copy for Run<T> {}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}..{}", self.start, self.start + self.length)
    }
}

/// The list of a source that holds elements of a kind.
pub(crate) trait Element: Sized {
    fn list(source: &Source) -> &[Self];
}

macro_rules! elements {
    ($($kind:ty => $list:ident),* $(,)?) => {
        $(impl Element for $kind {
            fn list(source: &Source) -> &[Self] {
                &source.$list
            }
        })*
    };
}

elements! {
    Node => nodes,
    Branch => branches,
    Invocation => invocations,
    Pipe => pipes,
    Command => commands,
    Operand => operands,
    Span => variables,
    Number => numbers,
}

impl<T: Element> Index<Id<T>> for Source {
    type Output = T;

    fn index(&self, id: Id<T>) -> &T {
        &T::list(self)[id.0 as usize]
    }
}

impl<T: Element> Index<Run<T>> for Source {
    type Output = [T];

    fn index(&self, run: Run<T>) -> &[T] {
        &T::list(self)[run.start as usize..(run.start + run.length) as usize]
    }
}

/// One named template.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) name: Text,
    pub(crate) source: Arc<Source>,
    pub(crate) root: Run<Node>,
}

impl Tree {
    /// See [`Source::is_blank`].
    pub(crate) fn is_blank(&self) -> bool {
        self.source.is_blank(self.root)
    }
}

/// What stands between actions, and the actions.
#[derive(Debug)]
pub(crate) enum Node {
    Text { span: Span },
    Action { position: u32, pipe: Pipe },
    If(Id<Branch>),
    With(Id<Branch>),
    Range(Id<Branch>),
    Template(Id<Invocation>),
    Break { position: u32 },
    Continue { position: u32 },
}

/// `if`, `with` or `range` with its bodies.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Run<Node>,
    pub(crate) otherwise: Option<Run<Node>>,
}

/// `template` with the name that it calls.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) position: u32,
    pub(crate) name: Text,
    pub(crate) pipe: Option<Pipe>,
}

/// Commands joined by `|`, and the variables that take the result.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) position: u32,
    pub(crate) assigns: bool,
    pub(crate) variables: Run<Span>,
    pub(crate) commands: Run<Command>,
}

/// Operands separated by spaces.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) position: u32,
    pub(crate) operands: Run<Operand>,
}

/// A term, possibly followed by fields. A path of fields is kept as its text: `.a.b`.
#[derive(Debug)]
pub(crate) enum Operand {
    Dot { position: u32 },
    Nil { position: u32 },
    Bool { position: u32, value: bool },
    Number { position: u32, number: Id<Number> },
    String { position: u32, literal: Span, value: Text },
    Field { position: u32, path: Span },
    Variable { position: u32, name: Span, path: Span },
    Chain { position: u32, base: Id<Operand>, path: Span },
    Identifier { position: u32, name: Span, callee: Callee },
    Pipe { position: u32, pipe: Id<Pipe> },
}

impl Operand {
    pub(crate) fn position(&self) -> usize {
        (match self {
            Operand::Dot { position }
            | Operand::Nil { position }
            | Operand::Bool { position, .. }
            | Operand::Number { position, .. }
            | Operand::String { position, .. }
            | Operand::Field { position, .. }
            | Operand::Variable { position, .. }
            | Operand::Chain { position, .. }
            | Operand::Identifier { position, .. }
            | Operand::Pipe { position, .. } => *position,
        }) as usize
    }
}

/// What an identifier calls, found when the template is parsed.
#[derive(Clone, Debug)]
pub(crate) enum Callee {
    Function(Arc<Function>),
    Builtin(Builtin),
}

/// The functions of the language itself, which see how a value was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    And,
    Call,
    Html,
    Index,
    Slice,
    Js,
    Len,
    Not,
    Or,
    Print,
    Printf,
    Println,
    UrlQuery,
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
    Ne,
}

impl Builtin {
    pub(crate) fn of_name(name: &str) -> Option<Builtin> {
        Some(match name {
            "and" => Builtin::And,
            "call" => Builtin::Call,
            "html" => Builtin::Html,
            "index" => Builtin::Index,
            "slice" => Builtin::Slice,
            "js" => Builtin::Js,
            "len" => Builtin::Len,
            "not" => Builtin::Not,
            "or" => Builtin::Or,
            "print" => Builtin::Print,
            "printf" => Builtin::Printf,
            "println" => Builtin::Println,
            "urlquery" => Builtin::UrlQuery,
            "eq" => Builtin::Eq,
            "ge" => Builtin::Ge,
            "gt" => Builtin::Gt,
            "le" => Builtin::Le,
            "lt" => Builtin::Lt,
            "ne" => Builtin::Ne,
            _ => return None,
        })
    }
}

/// What error messages print.
pub(crate) trait Show {
    fn show(&self, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result;
}

impl Show for Node {
    fn show(&self, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Node::Text { span } => out.write_str(&String::from_utf8_lossy(source.bytes(*span))),
            Node::Action { pipe, .. } => {
                out.write_str("{{")?;
                pipe.show(source, out)?;
                out.write_str("}}")
            }
            Node::If(branch) => source[*branch].show("if", source, out),
            Node::With(branch) => source[*branch].show("with", source, out),
            Node::Range(branch) => source[*branch].show("range", source, out),
            Node::Template(invocation) => {
                let Invocation { name, pipe, .. } = &source[*invocation];
                write!(out, "{{{{template {}", String::from_utf8_lossy(&quote(name)))?;
                if let Some(pipe) = pipe {
                    out.write_str(" ")?;
                    pipe.show(source, out)?;
                }
                out.write_str("}}")
            }
            Node::Break { .. } => out.write_str("{{break}}"),
            Node::Continue { .. } => out.write_str("{{continue}}"),
        }
    }
}

impl Branch {
    fn show(&self, keyword: &str, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result {
        stacker::maybe_grow(64 * 1024, 1 << 20, || {
            write!(out, "{{{{{keyword} ")?;
            self.pipe.show(source, out)?;
            out.write_str("}}")?;
            source[self.body].iter().try_for_each(|node| node.show(source, out))?;
            if let Some(otherwise) = self.otherwise {
                out.write_str("{{else}}")?;
                source[otherwise].iter().try_for_each(|node| node.show(source, out))?;
            }
            out.write_str("{{end}}")
        })
    }
}

impl Show for Pipe {
    fn show(&self, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result {
        if !self.variables.is_empty() {
            let names: Vec<&str> = source[self.variables].iter().map(|name| source.word(*name)).collect();
            write!(out, "{} {} ", names.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (at, command) in source[self.commands].iter().enumerate() {
            if at > 0 {
                out.write_str(" | ")?;
            }
            command.show(source, out)?;
        }
        Ok(())
    }
}

impl Show for Command {
    fn show(&self, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result {
        for (at, operand) in source[self.operands].iter().enumerate() {
            if at > 0 {
                out.write_str(" ")?;
            }
            operand.show_as_part(source, out)?;
        }
        Ok(())
    }
}

impl Operand {
    /// Parentheses are shown around what is part of something else.
    fn show_as_part(&self, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Operand::Pipe { pipe, .. } => stacker::maybe_grow(64 * 1024, 1 << 20, || {
                out.write_str("(")?;
                source[*pipe].show(source, out)?;
                out.write_str(")")
            }),
            other => other.show(source, out),
        }
    }
}

impl Show for Operand {
    fn show(&self, source: &Source, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Operand::Dot { .. } => out.write_str("."),
            Operand::Nil { .. } => out.write_str("nil"),
            Operand::Bool { value, .. } => write!(out, "{value}"),
            Operand::Number { number, .. } => out.write_str(&source[*number].text),
            Operand::String { literal, .. } => {
                out.write_str(&String::from_utf8_lossy(source.bytes(*literal)))
            }
            Operand::Field { path, .. } => out.write_str(source.word(*path)),
            Operand::Variable { name, path, .. } => {
                out.write_str(source.word(*name))?;
                out.write_str(source.word(*path))
            }
            Operand::Chain { base, path, .. } => {
                source[*base].show_as_part(source, out)?;
                out.write_str(source.word(*path))
            }
            Operand::Identifier { name, .. } => out.write_str(source.word(*name)),
            Operand::Pipe { pipe, .. } => source[*pipe].show(source, out),
        }
    }
}
