//! From template text to a tree.

mod lexer;
mod literal;
mod node;
mod parser;

pub(crate) use literal::Number;
pub(crate) use node::{
    Branch, Builtin, Callee, Command, Id, Invocation, Node, Operand, Pipe, Run, Show, Source, Span, Tree,
};
pub(crate) use parser::parse;
