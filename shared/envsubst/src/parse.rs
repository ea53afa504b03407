//! The parser: a text becomes literal parts and expressions.

use crate::{Error, MAX_DEPTH};

/// A part of a text.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// Literal text.
    Text(String),
    /// `${...}`
    Expression(Expression),
}

/// `${variable operator arguments}`
#[derive(Debug, PartialEq)]
pub(crate) struct Expression {
    pub variable: String,
    /// Empty for the plain `${variable}`.
    pub operator: String,
    pub arguments: Vec<Part>,
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Vec<Part>, Error> {
    let mut parser = Parser { rest: text, depth: 0 };
    let mut parts = Vec::new();
    while !parser.rest.is_empty() {
        if parser.take("${") {
            parts.push(Part::Expression(parser.expression()?));
        } else {
            parts.push(Part::Text(parser.text(Escapes::Dollar, |_| true)));
        }
    }
    Ok(parts)
}

/// Which escapes a literal text knows.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    None,
    /// `$$`
    Dollar,
    /// `$$`, `\/` and `\\`
    All,
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    /// Literal text up to the next expression or a character that is not accepted.
    fn text(&mut self, escapes: Escapes, accept: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(next) = self.peek() {
            if self.rest.starts_with("${") {
                break;
            }
            let is_escape = (escapes != Escapes::None && self.rest.starts_with("$$"))
                || (escapes == Escapes::All
                    && (self.rest.starts_with(r"\/") || self.rest.starts_with(r"\\")));
            if is_escape {
                self.rest = &self.rest[1..];
            } else if !accept(next) {
                break;
            }
            let Some(literal) = self.peek() else { break };
            text.push(literal);
            self.rest = &self.rest[literal.len_utf8()..];
        }
        text
    }

    /// What follows `${`, closing brace included.
    fn expression(&mut self) -> Result<Expression, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        let expression = if self.take("#") { self.length() } else { self.named() };
        self.depth -= 1;
        expression
    }

    fn length(&mut self) -> Result<Expression, Error> {
        let variable = self.take_while(is_name_character);
        if variable.is_empty() {
            return Err(Error::BadSubstitution);
        }
        self.close()?;
        Ok(Expression { variable, operator: "#".to_owned(), arguments: Vec::new() })
    }

    fn named(&mut self) -> Result<Expression, Error> {
        let variable = self.take_while(is_name_character);
        if variable.is_empty() {
            return Err(Error::VariableName);
        }
        let rest = self.rest;
        let (operator, arguments) = match self.peek() {
            Some(':') if rest[1..].starts_with(['=', '-', '?', '+']) => self.default_value(2)?,
            Some('=') => self.default_value(1)?,
            Some(':') => self.substring()?,
            Some(',' | '^') => self.letter_case()?,
            Some('/') => self.replacement()?,
            Some(quantity @ ('#' | '%')) => self.trimming(quantity)?,
            _ if self.take("}") => (String::new(), Vec::new()),
            _ => return Err(Error::MissingClosingBrace),
        };
        Ok(Expression { variable, operator, arguments })
    }

    fn operator(&mut self, length: usize) -> String {
        let (operator, rest) = self.rest.split_at(length);
        self.rest = rest;
        operator.to_owned()
    }

    fn default_value(&mut self, length: usize) -> Result<(String, Vec<Part>), Error> {
        let operator = self.operator(length);
        let mut arguments = Vec::new();
        while !self.take("}") {
            arguments.push(self.argument(Escapes::None, |c| c != '}')?);
        }
        Ok((operator, arguments))
    }

    fn substring(&mut self) -> Result<(String, Vec<Part>), Error> {
        let operator = self.operator(1);
        // Upstream loses its place after a colon at the end or before a character beyond ASCII.
        if !self.peek().is_some_and(|next| next.is_ascii()) {
            return Err(Error::BadSubstitution);
        }
        let mut arguments = vec![self.argument(Escapes::None, |c| c != ':' && c != '}')?];
        if self.take("}") {
            return Ok((operator, arguments));
        }
        if self.take_while(|c| c == ':').is_empty() {
            return Err(Error::BadSubstitution);
        }
        arguments.push(self.argument(Escapes::None, |c| c != '}')?);
        self.close()?;
        Ok((operator, arguments))
    }

    fn letter_case(&mut self) -> Result<(String, Vec<Part>), Error> {
        let length = if self.rest[1..].starts_with([',', '^']) { 2 } else { 1 };
        let operator = self.operator(length);
        self.close()?;
        Ok((operator, Vec::new()))
    }

    fn replacement(&mut self) -> Result<(String, Vec<Part>), Error> {
        let length = if self.rest[1..].starts_with(['/', '#', '%']) { 2 } else { 1 };
        let operator = self.operator(length);
        let mut arguments = vec![self.argument(Escapes::All, |c| c != '/')?];
        if self.take_while(|c| c == '/').is_empty() {
            return Err(Error::BadSubstitution);
        }
        if self.take("}") {
            return Ok((operator, arguments));
        }
        arguments.push(self.argument(Escapes::All, |c| c != '}')?);
        self.close()?;
        Ok((operator, arguments))
    }

    fn trimming(&mut self, quantity: char) -> Result<(String, Vec<Part>), Error> {
        let length = if self.rest[1..].starts_with(quantity) { 2 } else { 1 };
        let operator = self.operator(length);
        let arguments = vec![self.argument(Escapes::None, |c| c != '}')?];
        self.close()?;
        Ok((operator, arguments))
    }

    /// One argument: a nested expression, or at least one literal character.
    fn argument(&mut self, escapes: Escapes, accept: impl Fn(char) -> bool) -> Result<Part, Error> {
        if self.take("${") {
            return Ok(Part::Expression(self.expression()?));
        }
        let before = self.rest.len();
        let text = self.text(escapes, accept);
        if self.rest.len() == before { Err(Error::Argument) } else { Ok(Part::Text(text)) }
    }

    fn close(&mut self) -> Result<(), Error> {
        if self.take("}") { Ok(()) } else { Err(Error::BadSubstitution) }
    }
}

fn is_name_character(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}
