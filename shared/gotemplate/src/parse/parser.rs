//! The parser, token for token Go's, because error messages show where it stood.

mod tokens;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::lexer::{Lexer, Token, TokenKind};
use super::literal::Number;
use super::node::{
    Branch, Builtin, Callee, Command, Id, Invocation, Node, Operand, Pipe, Run, Source, Span, Tree,
};
use crate::error::Error;
use crate::function::Functions;
use crate::text::Text;
use fluxide_gotext::{quote, unquote};

const MAX_PARENTHESES: usize = 10_000;
/// Go has no such bound; a template that nests deeper is an attack on the stack.
const MAX_NESTING: usize = 10_000;

/// Parses a text into the template of the given name and those it defines.
pub(crate) fn parse(
    name: &Text,
    text: Text,
    functions: &Functions,
) -> Result<HashMap<Text, Arc<Tree>>, Error> {
    if u32::try_from(text.len()).is_err() {
        return Err(Error::new(format!("template: {name}:1: template is larger than 4 GiB")));
    }
    let mut parser = Parser {
        lexer: Lexer::new(&text),
        functions,
        source: Source::new(name.clone(), text.clone()),
        trees: HashMap::new(),
        state: State::new(name.clone()),
        nesting: 0,
        nodes: Vec::new(),
        commands: Vec::new(),
        operands: Vec::new(),
        variables: Vec::new(),
    };
    parser.parse_file()?;
    let mut source = parser.source;
    source.shrink();
    let source = Arc::new(source);
    let tree = |(name, root): (Text, Run<Node>)| {
        (name.clone(), Arc::new(Tree { name, source: source.clone(), root }))
    };
    Ok(parser.trees.into_iter().map(tree).collect())
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    functions: &'s Functions,
    source: Source,
    trees: HashMap<Text, Run<Node>>,
    state: State<'s>,
    nesting: usize,
    /// What belongs to elements that are not complete yet, those of the innermost one last.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    operands: Vec<Operand>,
    variables: Vec<Span>,
}

/// What belongs to the one tree that is being parsed.
struct State<'s> {
    name: Text,
    tokens: [Token; 3],
    peeked: usize,
    variables: Vec<&'s [u8]>,
    /// The left delimiter of the action that is being parsed.
    action: Option<Token>,
    ranges: usize,
    parentheses: usize,
}

impl State<'_> {
    fn new(name: Text) -> Self {
        let nothing = Token { kind: TokenKind::Error, position: 0, length: 0 };
        State {
            name,
            tokens: [nothing; 3],
            peeked: 0,
            variables: vec![b"$"],
            action: None,
            ranges: 0,
            parentheses: 0,
        }
    }
}

/// A node, or what ends a list of nodes.
enum Item {
    Node(Node),
    End,
    Else,
}

impl<'s> Parser<'s> {
    fn parse_file(&mut self) -> Result<(), Error> {
        while self.peek().kind != TokenKind::Eof {
            if self.peek().kind == TokenKind::LeftDelimiter {
                let delimiter = self.next();
                if self.next_non_space().kind == TokenKind::Define {
                    self.parse_definition()?;
                    continue;
                }
                self.back_up_2(delimiter);
            }
            match self.text_or_action()? {
                Item::Node(node) => self.nodes.push(node),
                Item::End => return Err(self.error("unexpected {{end}}")),
                Item::Else => return Err(self.error("unexpected {{else}}")),
            }
        }
        let root = self.finish_nodes(0);
        self.add_tree(root)
    }

    fn parse_definition(&mut self) -> Result<(), Error> {
        let outer = mem::replace(&mut self.state, State::new(Text::from("definition")));
        let token = self.next_non_space();
        if !matches!(token.kind, TokenKind::String | TokenKind::RawString) {
            return Err(self.unexpected(token, "define clause"));
        }
        self.state.name = self.unquoted(token)?;
        self.expect(TokenKind::RightDelimiter, "define clause")?;
        let (list, end) = self.item_list()?;
        if matches!(end, Item::Else) {
            return Err(self.error("unexpected {{else}} in define clause"));
        }
        self.add_tree(list)?;
        self.state = outer;
        Ok(())
    }

    fn add_tree(&mut self, root: Run<Node>) -> Result<(), Error> {
        let name = self.state.name.clone();
        match self.trees.get(&name) {
            Some(existing) if !self.source.is_blank(*existing) => {
                if !self.source.is_blank(root) {
                    let shown = String::from_utf8_lossy(&quote(&name)).into_owned();
                    return Err(self.error(&format!("template: multiple definition of template {shown}")));
                }
            }
            _ => {
                self.trees.insert(name, root);
            }
        }
        Ok(())
    }

    /// Nodes up to `end` or `else`.
    fn item_list(&mut self) -> Result<(Run<Node>, Item), Error> {
        let mark = self.nodes.len();
        while self.peek_non_space().kind != TokenKind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => self.nodes.push(node),
                end => return Ok((self.finish_nodes(mark), end)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    /// Puts the nodes since the mark where they stay.
    fn finish_nodes(&mut self, mark: usize) -> Run<Node> {
        Run::add(&mut self.source.nodes, self.nodes.drain(mark..))
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        match token.kind {
            TokenKind::Text => Ok(Item::Node(Node::Text { span: span(token) })),
            TokenKind::LeftDelimiter => {
                self.state.action = Some(token);
                let item = self.action()?;
                self.state.action = None;
                Ok(item)
            }
            _ => Err(self.unexpected(token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        Ok(Item::Node(match token.kind {
            TokenKind::Block => self.block()?,
            TokenKind::Break => self.loop_exit("break", Node::Break { position: position(token) })?,
            TokenKind::Continue => {
                self.loop_exit("continue", Node::Continue { position: position(token) })?
            }
            TokenKind::Else => {
                if !matches!(self.peek_non_space().kind, TokenKind::If | TokenKind::With) {
                    self.expect(TokenKind::RightDelimiter, "else")?;
                }
                return Ok(Item::Else);
            }
            TokenKind::End => {
                self.expect(TokenKind::RightDelimiter, "end")?;
                return Ok(Item::End);
            }
            TokenKind::If => Node::If(self.control("if")?),
            TokenKind::Range => Node::Range(self.control("range")?),
            TokenKind::With => Node::With(self.control("with")?),
            TokenKind::Template => self.template()?,
            _ => {
                self.back_up();
                let position = position(self.peek());
                Node::Action { position, pipe: self.pipeline("command", TokenKind::RightDelimiter)? }
            }
        }))
    }

    fn loop_exit(&mut self, keyword: &str, node: Node) -> Result<Node, Error> {
        let token = self.next_non_space();
        if token.kind != TokenKind::RightDelimiter {
            return Err(self.unexpected(token, &format!("{{{{{keyword}}}}}")));
        }
        if self.state.ranges == 0 {
            return Err(self.error(&format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
        }
        Ok(node)
    }

    fn control(&mut self, keyword: &'static str) -> Result<Id<Branch>, Error> {
        self.enter()?;
        let branch = stacker::maybe_grow(64 * 1024, 1 << 20, || self.control_parts(keyword))?;
        self.nesting -= 1;
        Ok(Id::add(&mut self.source.branches, branch))
    }

    fn control_parts(&mut self, keyword: &'static str) -> Result<Branch, Error> {
        let variables = self.state.variables.len();
        let pipe = self.pipeline(keyword, TokenKind::RightDelimiter)?;
        if keyword == "range" {
            self.state.ranges += 1;
        }
        let (body, end) = self.item_list()?;
        if keyword == "range" {
            self.state.ranges -= 1;
        }
        let mut otherwise = None;
        if matches!(end, Item::Else) {
            // `else if` and `else with` nest, and share the `end`.
            let chained = match (keyword, self.peek().kind) {
                ("if", TokenKind::If) => {
                    self.next();
                    Some(Node::If(self.control("if")?))
                }
                ("with", TokenKind::With) => {
                    self.next();
                    Some(Node::With(self.control("with")?))
                }
                _ => None,
            };
            otherwise = Some(match chained {
                Some(node) => Run::add(&mut self.source.nodes, std::iter::once(node)),
                None => {
                    let (list, end) = self.item_list()?;
                    if matches!(end, Item::Else) {
                        return Err(self.error("expected end; found {{else}}"));
                    }
                    list
                }
            });
        }
        self.state.variables.truncate(variables);
        Ok(Branch { pipe, body, otherwise })
    }

    fn block(&mut self) -> Result<Node, Error> {
        let token = self.next_non_space();
        let name = self.template_name(token, "block clause")?;
        let pipe = self.pipeline("block clause", TokenKind::RightDelimiter)?;
        self.enter()?;
        let outer = mem::replace(&mut self.state, State::new(name.clone()));
        let (list, end) = stacker::maybe_grow(64 * 1024, 1 << 20, || self.item_list())?;
        if matches!(end, Item::Else) {
            return Err(self.error("unexpected {{else}} in block clause"));
        }
        self.add_tree(list)?;
        self.state = outer;
        self.nesting -= 1;
        Ok(self.invocation(token, name, Some(pipe)))
    }

    fn template(&mut self) -> Result<Node, Error> {
        let token = self.next_non_space();
        let name = self.template_name(token, "template clause")?;
        let mut pipe = None;
        if self.next_non_space().kind != TokenKind::RightDelimiter {
            self.back_up();
            pipe = Some(self.pipeline("template clause", TokenKind::RightDelimiter)?);
        }
        Ok(self.invocation(token, name, pipe))
    }

    fn invocation(&mut self, token: Token, name: Text, pipe: Option<Pipe>) -> Node {
        let invocation = Invocation { position: position(token), name, pipe };
        Node::Template(Id::add(&mut self.source.invocations, invocation))
    }

    fn template_name(&mut self, token: Token, context: &str) -> Result<Text, Error> {
        match token.kind {
            TokenKind::String | TokenKind::RawString => self.unquoted(token),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn pipeline(&mut self, context: &str, end: TokenKind) -> Result<Pipe, Error> {
        let position = position(self.peek_non_space());
        let (commands, variables) = (self.commands.len(), self.variables.len());
        let assigns = self.declarations(context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                TokenKind::Bool
                | TokenKind::CharConstant
                | TokenKind::Complex
                | TokenKind::Dot
                | TokenKind::Field
                | TokenKind::Identifier
                | TokenKind::Number
                | TokenKind::Nil
                | TokenKind::RawString
                | TokenKind::String
                | TokenKind::Variable
                | TokenKind::LeftParenthesis => {
                    self.back_up();
                    let command = self.command()?;
                    self.commands.push(command);
                }
                _ => return Err(self.unexpected(token, context)),
            }
        }
        if self.commands.len() == commands {
            return Err(self.error(&format!("missing value for {context}")));
        }
        for (at, command) in self.commands[commands..].iter().enumerate().skip(1) {
            if matches!(
                self.source[command.operands].first(),
                Some(
                    Operand::Bool { .. }
                        | Operand::Dot { .. }
                        | Operand::Nil { .. }
                        | Operand::Number { .. }
                        | Operand::String { .. }
                )
            ) {
                return Err(self.error(&format!("non executable command in pipeline stage {}", at + 1)));
            }
        }
        Ok(Pipe {
            position,
            assigns,
            variables: Run::add(&mut self.source.variables, self.variables.drain(variables..)),
            commands: Run::add(&mut self.source.commands, self.commands.drain(commands..)),
        })
    }

    /// The variables before `:=` or `=`; says whether it is the latter.
    fn declarations(&mut self, context: &str) -> Result<bool, Error> {
        let mark = self.variables.len();
        loop {
            let variable = self.peek_non_space();
            if variable.kind != TokenKind::Variable {
                return Ok(false);
            }
            self.next();
            // A space may follow that has to be pushed back if this is no declaration.
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                TokenKind::Assign | TokenKind::Declare => {
                    self.next_non_space();
                    self.declare(variable);
                    return Ok(next.kind == TokenKind::Assign);
                }
                TokenKind::Char if self.lexer.value(next) == b"," => {
                    self.next_non_space();
                    self.declare(variable);
                    if context == "range" && self.variables.len() - mark < 2 {
                        match self.peek_non_space().kind {
                            TokenKind::Variable | TokenKind::RightDelimiter | TokenKind::RightParenthesis => {
                                continue;
                            }
                            _ => return Err(self.error("range can only initialize variables")),
                        }
                    }
                    return Err(self.error(&format!("too many declarations in {context}")));
                }
                _ => {
                    if after.kind == TokenKind::Space {
                        self.back_up_3(variable, after);
                    } else {
                        self.back_up_2(variable);
                    }
                    return Ok(false);
                }
            }
        }
    }

    fn declare(&mut self, token: Token) {
        self.variables.push(span(token));
        self.state.variables.push(self.lexer.value(token));
    }

    fn command(&mut self) -> Result<Command, Error> {
        let position = position(self.peek_non_space());
        let mark = self.operands.len();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                self.operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::RightDelimiter | TokenKind::RightParenthesis => self.back_up(),
                TokenKind::PipeSign => {}
                _ => return Err(self.unexpected(token, "operand")),
            }
            break;
        }
        if self.operands.len() == mark {
            return Err(self.error("empty command"));
        }
        let operands = Run::add(&mut self.source.operands, self.operands.drain(mark..));
        Ok(Command { position, operands })
    }

    fn operand(&mut self) -> Result<Option<Operand>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != TokenKind::Field {
            return Ok(Some(term));
        }
        let position = position(self.peek());
        // Fields follow each other without a space, so that the path is one stretch of the text.
        let mut path = Span { start: position, length: 0 };
        while self.peek().kind == TokenKind::Field {
            path.length += self.next().length;
        }
        Ok(Some(match term {
            Operand::Field { path: own, .. } => {
                path = Span { start: own.start, length: own.length + path.length };
                Operand::Field { position, path }
            }
            Operand::Variable { name, .. } => Operand::Variable { position, name, path },
            literal @ (Operand::Bool { .. }
            | Operand::String { .. }
            | Operand::Number { .. }
            | Operand::Nil { .. }
            | Operand::Dot { .. }) => {
                let shown = quote(self.source.show(&literal).as_bytes());
                let shown = String::from_utf8_lossy(&shown).into_owned();
                return Err(self.error(&format!("unexpected . after term {shown}")));
            }
            base => Operand::Chain { position, base: Id::add(&mut self.source.operands, base), path },
        }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Error> {
        let token = self.next_non_space();
        let (position, value) = (position(token), self.lexer.value(token));
        Ok(Some(match token.kind {
            TokenKind::Identifier => {
                let name = String::from_utf8_lossy(value);
                let callee = match self.functions.get(&name) {
                    Some(function) => Callee::Function(function.clone()),
                    None => match Builtin::of_name(&name) {
                        Some(builtin) => Callee::Builtin(builtin),
                        None => {
                            let shown = String::from_utf8_lossy(&quote(name.as_bytes())).into_owned();
                            return Err(self.error(&format!("function {shown} not defined")));
                        }
                    },
                };
                Operand::Identifier { position, name: span(token), callee }
            }
            TokenKind::Dot => Operand::Dot { position },
            TokenKind::Nil => Operand::Nil { position },
            TokenKind::Variable => {
                if !self.state.variables.contains(&value) {
                    let shown = String::from_utf8_lossy(&quote(value)).into_owned();
                    return Err(self.error(&format!("undefined variable {shown}")));
                }
                Operand::Variable { position, name: span(token), path: Span::default() }
            }
            TokenKind::Field => Operand::Field { position, path: span(token) },
            TokenKind::Bool => Operand::Bool { position, value: value == b"true" },
            TokenKind::CharConstant | TokenKind::Complex | TokenKind::Number => {
                let number = match token.kind {
                    TokenKind::CharConstant => Number::of_character(value),
                    TokenKind::Complex => Number::of_complex(value),
                    _ => Number::of_number(value),
                };
                let number = number.map_err(|message| self.error(&message))?;
                Operand::Number { position, number: Id::add(&mut self.source.numbers, number) }
            }
            TokenKind::LeftParenthesis => {
                if self.state.parentheses >= MAX_PARENTHESES {
                    return Err(self.error("max expression depth exceeded"));
                }
                self.state.parentheses += 1;
                let pipe = stacker::maybe_grow(64 * 1024, 1 << 20, || {
                    self.pipeline("parenthesized pipeline", TokenKind::RightParenthesis)
                })?;
                self.state.parentheses -= 1;
                Operand::Pipe { position: pipe.position, pipe: Id::add(&mut self.source.pipes, pipe) }
            }
            TokenKind::String | TokenKind::RawString => {
                Operand::String { position, literal: span(token), value: self.unquoted(token)? }
            }
            _ => {
                self.back_up();
                return Ok(None);
            }
        }))
    }

    fn unquoted(&mut self, token: Token) -> Result<Text, Error> {
        let value = self.lexer.value(token);
        // Almost all strings have nothing that is escaped or left out.
        let plain = match value {
            [b'`', body @ .., b'`'] => memchr::memchr(b'\r', body).is_none().then_some(body),
            [b'"', body @ .., b'"'] => {
                let plain =
                    memchr::memchr2(b'\\', b'\n', body).is_none() && std::str::from_utf8(body).is_ok();
                plain.then_some(body)
            }
            _ => None,
        };
        if let Some(body) = plain {
            return Ok(Text::from(body));
        }
        unquote(value).map(Text::from).ok_or_else(|| self.error("invalid syntax"))
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.error("max nesting depth of control structures exceeded"));
        }
        Ok(())
    }

    fn unexpected(&self, token: Token, context: &str) -> Error {
        let shown = self.lexer.describe(token);
        if token.kind == TokenKind::Error {
            let mut extra = String::new();
            let started = self.state.action.map(|action| self.lexer.line(action));
            if let Some(line) = started.filter(|line| *line != self.lexer.line(token)) {
                extra = format!(" in action started at {}:{line}", self.source.name);
                // "unclosed action in action" would say it twice.
                if shown.ends_with(" action") {
                    extra.drain(.." in action".len());
                }
            }
            return self.error(&format!("{shown}{extra}"));
        }
        self.error(&format!("unexpected {shown} in {context}"))
    }

    fn error(&self, message: &str) -> Error {
        Error::new(format!(
            "template: {}:{}: {message}",
            self.source.name,
            self.lexer.line(self.state.tokens[0])
        ))
    }
}

fn position(token: Token) -> u32 {
    token.position
}

fn span(token: Token) -> Span {
    Span { start: token.position, length: token.length }
}
