//! The parser, token for token Go's, because error messages show where it stood.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::lexer::{Lexer, Token, TokenKind};
use super::literal::Number;
use super::node::{Branch, Builtin, Callee, Command, Node, NodeList, Operand, Pipe, Source, Tree};
use crate::error::Error;
use crate::function::Functions;
use crate::quote::{quote, unquote};
use crate::text::Text;
use crate::value::Value;

const MAX_PARENTHESES: usize = 10_000;
/// Go has no such bound; a template that nests deeper is an attack on the stack.
const MAX_NESTING: usize = 10_000;

/// Parses a text into the template of the given name and those it defines.
pub(crate) fn parse(
    name: &Text,
    text: Text,
    functions: &Functions,
) -> Result<HashMap<Text, Arc<Tree>>, Error> {
    let source = Arc::new(Source { name: name.clone(), text: text.clone() });
    let mut parser = Parser {
        lexer: Lexer::new(&text),
        functions,
        source,
        trees: HashMap::new(),
        state: State::new(name.clone()),
        nesting: 0,
    };
    parser.parse_file()?;
    Ok(parser.trees)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    functions: &'s Functions,
    source: Arc<Source>,
    trees: HashMap<Text, Arc<Tree>>,
    state: State<'s>,
    nesting: usize,
}

/// What belongs to the one tree that is being parsed.
struct State<'s> {
    name: Text,
    tokens: [Token<'s>; 3],
    peeked: usize,
    variables: Vec<Arc<str>>,
    action_line: usize,
    ranges: usize,
    parentheses: usize,
    deepest: usize,
}

impl State<'_> {
    fn new(name: Text) -> Self {
        let nothing =
            Token { kind: TokenKind::Error, position: 0, value: Cow::Borrowed(b"".as_slice()), line: 0 };
        State {
            name,
            tokens: [nothing.clone(), nothing.clone(), nothing],
            peeked: 0,
            variables: vec![Arc::from("$")],
            action_line: 0,
            ranges: 0,
            parentheses: 0,
            deepest: 0,
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
        let mut root = Vec::new();
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
                Item::Node(node) => root.push(node),
                Item::End => return Err(self.error("unexpected {{end}}")),
                Item::Else => return Err(self.error("unexpected {{else}}")),
            }
        }
        self.add_tree(NodeList(root))
    }

    fn parse_definition(&mut self) -> Result<(), Error> {
        let outer = mem::replace(&mut self.state, State::new(Text::from("definition")));
        let token = self.next_non_space();
        if !matches!(token.kind, TokenKind::String | TokenKind::RawString) {
            return Err(self.unexpected(&token, "define clause"));
        }
        self.state.name = self.unquoted(&token)?;
        self.expect(TokenKind::RightDelimiter, "define clause")?;
        let (list, end) = self.item_list()?;
        if matches!(end, Item::Else) {
            return Err(self.error("unexpected {{else}} in define clause"));
        }
        self.add_tree(list)?;
        self.state = outer;
        Ok(())
    }

    fn add_tree(&mut self, root: NodeList) -> Result<(), Error> {
        let name = self.state.name.clone();
        let tree =
            Tree { name: name.clone(), source: self.source.clone(), root, nesting: self.state.deepest };
        match self.trees.get(&name) {
            Some(existing) if !existing.is_blank() => {
                if !tree.is_blank() {
                    let shown = String::from_utf8_lossy(&quote(&name)).into_owned();
                    return Err(self.error(&format!("template: multiple definition of template {shown}")));
                }
            }
            _ => {
                self.trees.insert(name, Arc::new(tree));
            }
        }
        Ok(())
    }

    /// Nodes up to `end` or `else`.
    fn item_list(&mut self) -> Result<(NodeList, Item), Error> {
        let mut nodes = Vec::new();
        while self.peek_non_space().kind != TokenKind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                end => return Ok((NodeList(nodes), end)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        match token.kind {
            TokenKind::Text => {
                Ok(Item::Node(Node::Text { position: token.position, text: Text::from(&*token.value) }))
            }
            TokenKind::LeftDelimiter => {
                self.state.action_line = token.line;
                let item = self.action()?;
                self.state.action_line = 0;
                Ok(item)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        Ok(Item::Node(match token.kind {
            TokenKind::Block => self.block()?,
            TokenKind::Break => self.loop_exit("break", Node::Break { position: token.position })?,
            TokenKind::Continue => self.loop_exit("continue", Node::Continue { position: token.position })?,
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
            TokenKind::If => Node::If(Box::new(self.control("if")?)),
            TokenKind::Range => Node::Range(Box::new(self.control("range")?)),
            TokenKind::With => Node::With(Box::new(self.control("with")?)),
            TokenKind::Template => self.template()?,
            _ => {
                self.back_up();
                let position = self.peek().position;
                Node::Action { position, pipe: self.pipeline("command", TokenKind::RightDelimiter)? }
            }
        }))
    }

    fn loop_exit(&mut self, keyword: &str, node: Node) -> Result<Node, Error> {
        let token = self.next_non_space();
        if token.kind != TokenKind::RightDelimiter {
            return Err(self.unexpected(&token, &format!("{{{{{keyword}}}}}")));
        }
        if self.state.ranges == 0 {
            return Err(self.error(&format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
        }
        Ok(node)
    }

    fn control(&mut self, keyword: &'static str) -> Result<Branch, Error> {
        self.enter()?;
        let branch = stacker::maybe_grow(64 * 1024, 1 << 20, || self.control_parts(keyword))?;
        self.nesting -= 1;
        Ok(branch)
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
                    Some(Node::If(Box::new(self.control("if")?)))
                }
                ("with", TokenKind::With) => {
                    self.next();
                    Some(Node::With(Box::new(self.control("with")?)))
                }
                _ => None,
            };
            otherwise = Some(match chained {
                Some(node) => NodeList(vec![node]),
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
        let name = self.template_name(&token, "block clause")?;
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
        Ok(Node::Template { position: token.position, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Result<Node, Error> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "template clause")?;
        let mut pipe = None;
        if self.next_non_space().kind != TokenKind::RightDelimiter {
            self.back_up();
            pipe = Some(self.pipeline("template clause", TokenKind::RightDelimiter)?);
        }
        Ok(Node::Template { position: token.position, name, pipe })
    }

    fn template_name(&mut self, token: &Token<'s>, context: &str) -> Result<Text, Error> {
        match token.kind {
            TokenKind::String | TokenKind::RawString => self.unquoted(token),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn pipeline(&mut self, context: &str, end: TokenKind) -> Result<Pipe, Error> {
        let position = self.peek_non_space().position;
        let mut pipe = Pipe { position, assigns: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
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
                    pipe.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(self.error(&format!("missing value for {context}")));
        }
        for (at, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.operands.first(),
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
        Ok(pipe)
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), Error> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != TokenKind::Variable {
                return Ok(());
            }
            self.next();
            // A space may follow that has to be pushed back if this is no declaration.
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                TokenKind::Assign | TokenKind::Declare => {
                    pipe.assigns = next.kind == TokenKind::Assign;
                    self.next_non_space();
                    self.declare(pipe, &variable);
                    return Ok(());
                }
                TokenKind::Char if *next.value == *b"," => {
                    self.next_non_space();
                    self.declare(pipe, &variable);
                    if context == "range" && pipe.variables.len() < 2 {
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
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, token: &Token<'s>) {
        let name: Arc<str> = Arc::from(String::from_utf8_lossy(&token.value).as_ref());
        pipe.variables.push(name.clone());
        self.state.variables.push(name);
    }

    fn command(&mut self) -> Result<Command, Error> {
        let mut command = Command { position: self.peek_non_space().position, operands: Vec::new() };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                command.operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::RightDelimiter | TokenKind::RightParenthesis => self.back_up(),
                TokenKind::PipeSign => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if command.operands.is_empty() {
            return Err(self.error("empty command"));
        }
        Ok(command)
    }

    fn operand(&mut self) -> Result<Option<Operand>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != TokenKind::Field {
            return Ok(Some(term));
        }
        let position = self.peek().position;
        let mut names: Vec<Box<str>> = Vec::new();
        while self.peek().kind == TokenKind::Field {
            let field = self.next();
            names.push(String::from_utf8_lossy(&field.value[1..]).into_owned().into_boxed_str());
        }
        Ok(Some(match term {
            Operand::Field { names: mut own, .. } => {
                own.append(&mut names);
                Operand::Field { position, names: own }
            }
            Operand::Variable { name, names: mut own, .. } => {
                own.append(&mut names);
                Operand::Variable { position, name, names: own }
            }
            literal @ (Operand::Bool { .. }
            | Operand::String { .. }
            | Operand::Number { .. }
            | Operand::Nil { .. }
            | Operand::Dot { .. }) => {
                let shown = String::from_utf8_lossy(&quote(literal.to_string().as_bytes())).into_owned();
                return Err(self.error(&format!("unexpected . after term {shown}")));
            }
            base => Operand::Chain { position, base: Box::new(base), names },
        }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Error> {
        let token = self.next_non_space();
        let position = token.position;
        Ok(Some(match token.kind {
            TokenKind::Identifier => {
                let name = String::from_utf8_lossy(&token.value).into_owned();
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
                Operand::Identifier { position, name: name.into_boxed_str(), callee }
            }
            TokenKind::Dot => Operand::Dot { position },
            TokenKind::Nil => Operand::Nil { position },
            TokenKind::Variable => {
                let text = String::from_utf8_lossy(&token.value);
                match self.state.variables.iter().find(|known| ***known == *text) {
                    Some(name) => Operand::Variable { position, name: name.clone(), names: Vec::new() },
                    None => {
                        let shown = String::from_utf8_lossy(&quote(text.as_bytes())).into_owned();
                        return Err(self.error(&format!("undefined variable {shown}")));
                    }
                }
            }
            TokenKind::Field => Operand::Field {
                position,
                names: vec![String::from_utf8_lossy(&token.value[1..]).into_owned().into_boxed_str()],
            },
            TokenKind::Bool => Operand::Bool { position, value: *token.value == *b"true" },
            TokenKind::CharConstant | TokenKind::Complex | TokenKind::Number => {
                let number = match token.kind {
                    TokenKind::CharConstant => Number::of_character(&token.value),
                    TokenKind::Complex => Number::of_complex(&token.value),
                    _ => Number::of_number(&token.value),
                };
                Operand::Number {
                    position,
                    number: Box::new(number.map_err(|message| self.error(&message))?),
                }
            }
            TokenKind::LeftParenthesis => {
                if self.state.parentheses >= MAX_PARENTHESES {
                    return Err(self.error("max expression depth exceeded"));
                }
                self.state.parentheses += 1;
                self.state.deepest = self.state.deepest.max(self.state.parentheses + self.nesting);
                let pipe = stacker::maybe_grow(64 * 1024, 1 << 20, || {
                    self.pipeline("parenthesized pipeline", TokenKind::RightParenthesis)
                })?;
                self.state.parentheses -= 1;
                Operand::Pipe(Box::new(pipe))
            }
            TokenKind::String | TokenKind::RawString => {
                let value = self.unquoted(&token)?;
                Operand::String { position, literal: Text::from(&*token.value), value: Value::String(value) }
            }
            _ => {
                self.back_up();
                return Ok(None);
            }
        }))
    }

    fn unquoted(&mut self, token: &Token<'s>) -> Result<Text, Error> {
        unquote(&token.value).map(Text::from).ok_or_else(|| self.error("invalid syntax"))
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.nesting += 1;
        self.state.deepest = self.state.deepest.max(self.nesting + self.state.parentheses);
        if self.nesting > MAX_NESTING {
            return Err(self.error("max nesting depth of control structures exceeded"));
        }
        Ok(())
    }

    fn next(&mut self) -> Token<'s> {
        if self.state.peeked > 0 {
            self.state.peeked -= 1;
        } else {
            self.state.tokens[0] = self.lexer.next_token();
        }
        self.state.tokens[self.state.peeked].clone()
    }

    fn back_up(&mut self) {
        self.state.peeked += 1;
    }

    fn back_up_2(&mut self, first: Token<'s>) {
        self.state.tokens[1] = first;
        self.state.peeked = 2;
    }

    fn back_up_3(&mut self, first: Token<'s>, second: Token<'s>) {
        self.state.tokens[1] = second;
        self.state.tokens[2] = first;
        self.state.peeked = 3;
    }

    fn peek(&mut self) -> Token<'s> {
        if self.state.peeked == 0 {
            self.state.peeked = 1;
            self.state.tokens[0] = self.lexer.next_token();
        }
        self.state.tokens[self.state.peeked - 1].clone()
    }

    fn next_non_space(&mut self) -> Token<'s> {
        loop {
            let token = self.next();
            if token.kind != TokenKind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token<'s> {
        let token = self.next_non_space();
        self.back_up();
        token
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Result<(), Error> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(()) } else { Err(self.unexpected(&token, context)) }
    }

    fn unexpected(&self, token: &Token<'s>, context: &str) -> Error {
        let shown = token.describe();
        if token.kind == TokenKind::Error {
            let mut extra = String::new();
            let line = self.state.action_line;
            if line != 0 && line != token.line {
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
        Error::new(format!("template: {}:{}: {message}", self.source.name, self.state.tokens[0].line))
    }
}
