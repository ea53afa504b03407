//! The tree of a template, and how error messages print its nodes.

use std::fmt;
use std::sync::Arc;

use super::literal::Number;
use crate::function::Function;
use crate::quote::quote;
use crate::text::Text;
use crate::value::Value;

/// The text that a tree was parsed from, for positions in errors.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Text,
    pub(crate) text: Text,
}

impl Source {
    /// `name:line:column`, lines from 1, columns in bytes from 0.
    pub(crate) fn location(&self, position: usize) -> String {
        let before = &self.text[..position.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{}:{line}:{column}", self.name)
    }
}

/// One named template.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) name: Text,
    pub(crate) source: Arc<Source>,
    pub(crate) root: NodeList,
    /// How deep control structures and parentheses nest.
    pub(crate) nesting: usize,
}

impl Tree {
    /// Whether the body is nothing but space and comments, so that it replaces no other.
    pub(crate) fn is_blank(&self) -> bool {
        self.root
            .0
            .iter()
            .all(|node| matches!(node, Node::Text { text, .. } if crate::sprig::trim_space(text).is_empty()))
    }
}

impl Drop for Tree {
    /// A tree nested thousands of levels deep is dropped on a stack that is large enough.
    fn drop(&mut self) {
        if self.nesting > 100 {
            let root = std::mem::take(&mut self.root);
            stacker::grow(self.nesting * 4096 + (1 << 20), move || drop(root));
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct NodeList(pub(crate) Vec<Node>);

/// What stands between actions, and the actions.
#[derive(Debug)]
pub(crate) enum Node {
    Text { position: usize, text: Text },
    Action { position: usize, pipe: Pipe },
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    Template { position: usize, name: Text, pipe: Option<Pipe> },
    Break { position: usize },
    Continue { position: usize },
}

impl Node {
    pub(crate) fn position(&self) -> usize {
        match self {
            Node::Text { position, .. }
            | Node::Action { position, .. }
            | Node::Template { position, .. }
            | Node::Break { position }
            | Node::Continue { position } => *position,
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => branch.pipe.position,
        }
    }
}

/// `if`, `with` or `range` with its bodies.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: NodeList,
    pub(crate) otherwise: Option<NodeList>,
}

/// Commands joined by `|`, and the variables that take the result.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) position: usize,
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) commands: Vec<Command>,
}

/// Operands separated by spaces.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) position: usize,
    pub(crate) operands: Vec<Operand>,
}

/// A term, possibly followed by fields.
#[derive(Debug)]
pub(crate) enum Operand {
    Dot { position: usize },
    Nil { position: usize },
    Bool { position: usize, value: bool },
    Number { position: usize, number: Box<Number> },
    String { position: usize, literal: Text, value: Value },
    Field { position: usize, names: Vec<Box<str>> },
    Variable { position: usize, name: Arc<str>, names: Vec<Box<str>> },
    Chain { position: usize, base: Box<Operand>, names: Vec<Box<str>> },
    Identifier { position: usize, name: Box<str>, callee: Callee },
    Pipe(Box<Pipe>),
}

impl Operand {
    pub(crate) fn position(&self) -> usize {
        match self {
            Operand::Dot { position }
            | Operand::Nil { position }
            | Operand::Bool { position, .. }
            | Operand::Number { position, .. }
            | Operand::String { position, .. }
            | Operand::Field { position, .. }
            | Operand::Variable { position, .. }
            | Operand::Chain { position, .. }
            | Operand::Identifier { position, .. } => *position,
            Operand::Pipe(pipe) => pipe.position,
        }
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

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Text { text, .. } => write!(f, "{text}"),
            Node::Action { pipe, .. } => write!(f, "{{{{{pipe}}}}}"),
            Node::If(branch) => branch.show("if", f),
            Node::With(branch) => branch.show("with", f),
            Node::Range(branch) => branch.show("range", f),
            Node::Template { name, pipe, .. } => {
                write!(f, "{{{{template {}", String::from_utf8_lossy(&quote(name)))?;
                if let Some(pipe) = pipe {
                    write!(f, " {pipe}")?;
                }
                f.write_str("}}")
            }
            Node::Break { .. } => f.write_str("{{break}}"),
            Node::Continue { .. } => f.write_str("{{continue}}"),
        }
    }
}

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|node| node.fmt(f))
    }
}

impl Branch {
    fn show(&self, keyword: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{{keyword} {}}}}}{}", self.pipe, self.body)?;
        if let Some(otherwise) = &self.otherwise {
            write!(f, "{{{{else}}}}{otherwise}")?;
        }
        f.write_str("{{end}}")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            if at > 0 {
                f.write_str(" | ")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, operand) in self.operands.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            match operand {
                Operand::Pipe(pipe) => write!(f, "({pipe})")?,
                other => other.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[Box<str>]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match self {
            Operand::Dot { .. } => f.write_str("."),
            Operand::Nil { .. } => f.write_str("nil"),
            Operand::Bool { value, .. } => write!(f, "{value}"),
            Operand::Number { number, .. } => f.write_str(&number.text),
            Operand::String { literal, .. } => write!(f, "{literal}"),
            Operand::Field { names, .. } => fields(f, names),
            Operand::Variable { name, names, .. } => {
                f.write_str(name)?;
                fields(f, names)
            }
            Operand::Chain { base, names, .. } => {
                match &**base {
                    Operand::Pipe(pipe) => write!(f, "({pipe})")?,
                    other => other.fmt(f)?,
                }
                fields(f, names)
            }
            Operand::Identifier { name, .. } => f.write_str(name),
            Operand::Pipe(pipe) => pipe.fmt(f),
        }
    }
}
