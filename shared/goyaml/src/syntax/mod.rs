//! From bytes to events: reader, scanner and parser of the YAML 1.1 dialect that go-yaml v2 and v3 share.

pub(crate) mod comments;
pub(crate) mod input;
pub(crate) mod parser;
pub(crate) mod scalars;
pub(crate) mod scanner;
pub(crate) mod token;

/// Which go-yaml is imitated where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// go-yaml v2: no comments, the problem's line in errors.
    V2,
    /// go-yaml v3: comments are kept, the context's line in errors.
    V3,
}

/// The deepest nesting of collections that is read; go-yaml allows 10,000. Everything that walks a tree does so
/// recursively, and JSON that is nested deeper than 128 is refused by most of what it would be sent to.
pub(crate) const MAX_DEPTH: usize = 200;

/// A syntax error before it is known how its line is told.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub stage: Stage,
    pub problem: String,
    /// Where it went wrong, counted from 0.
    pub line: u32,
    /// Where the thing began in which it went wrong, counted from 0.
    pub context_line: u32,
}

/// Which stage found a syntax error; the line is told differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Reader,
    Scanner,
    Parser,
}

impl SyntaxError {
    /// The error with the line number that `dialect` prints.
    pub fn told_by(self, dialect: Dialect) -> crate::Error {
        let scanner = u32::from(self.stage == Stage::Scanner);
        let line = match dialect {
            Dialect::V3 if self.context_line != 0 => self.context_line + scanner,
            Dialect::V3 if self.line != 0 => self.line + scanner,
            Dialect::V2 if self.line != 0 => self.line + scanner,
            Dialect::V2 => self.context_line,
            Dialect::V3 => 0,
        };
        crate::Error::Syntax { line: (line != 0).then_some(line), problem: self.problem }
    }
}
