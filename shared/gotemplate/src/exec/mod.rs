//! The executor: walks a tree, evaluates pipelines, writes output.

mod argument;
mod builtin;
mod compare;
mod escape;
mod field;
mod reflected;

use crate::error::Error;
use crate::format::{display, write_value};
use crate::parse::{
    Branch, Command, Id, Invocation, Node, Number, Operand, Pipe, Run, Show, Source, Span, Tree,
};
use crate::session::Session;
use crate::template::Templates;
use crate::types::IntType;
use crate::value::Value;
use fluxide_gotext::quote;
use reflected::Reflected;

/// Executes a template with the given data, appending to the output.
pub(crate) fn execute(
    templates: &Templates,
    tree: &Tree,
    data: &Value,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    stacker::maybe_grow(256 * 1024, 2 << 20, || {
        let dot = Reflected::concrete(data.clone());
        State::new(templates, tree, dot.clone(), session, out).run(&dot)
    })
}

/// What a node asks of the loop around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// The node that is being evaluated: an error names its position and shows it.
#[derive(Clone, Copy)]
enum At<'t> {
    Start,
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Operand(&'t Operand),
}

/// The execution of one template.
struct State<'t, 's> {
    templates: &'t Templates,
    tree: &'t Tree,
    source: &'t Source,
    at: At<'t>,
    variables: Vec<(&'t [u8], Reflected)>,
    session: &'s mut Session,
    out: &'s mut Vec<u8>,
}

impl<'t, 's> State<'t, 's> {
    fn new(
        templates: &'t Templates,
        tree: &'t Tree,
        dot: Reflected,
        session: &'s mut Session,
        out: &'s mut Vec<u8>,
    ) -> State<'t, 's> {
        State {
            templates,
            tree,
            source: &tree.source,
            at: At::Start,
            variables: vec![(b"$", dot)],
            session,
            out,
        }
    }

    fn run(&mut self, dot: &Reflected) -> Result<(), Error> {
        self.session.depth += 1;
        let result = if self.session.depth > self.session.max_depth().saturating_add(1) {
            Err(self.limit(Error::limit(format!(
                "exceeded maximum template depth ({})",
                self.session.max_depth()
            ))))
        } else {
            self.walk_list(dot, self.tree.root).map(|_| ())
        };
        self.session.depth -= 1;
        result
    }

    fn walk_list(&mut self, dot: &Reflected, list: Run<Node>) -> Result<Flow, Error> {
        for node in &self.source[list] {
            let flow = self.walk(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn walk(&mut self, dot: &Reflected, node: &'t Node) -> Result<Flow, Error> {
        self.at = At::Node(node);
        self.step()?;
        match node {
            Node::Text { span } => self.write(self.source.bytes(*span))?,
            Node::Action { pipe, .. } => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.at = At::Node(node);
                    self.print(&value)?;
                }
            }
            Node::If(branch) => {
                return stacker::maybe_grow(128 * 1024, 1 << 20, || self.walk_branch(dot, *branch, false));
            }
            Node::With(branch) => {
                return stacker::maybe_grow(128 * 1024, 1 << 20, || self.walk_branch(dot, *branch, true));
            }
            Node::Range(branch) => {
                let mark = self.variables.len();
                let branch = &self.source[*branch];
                let result = stacker::maybe_grow(128 * 1024, 1 << 20, || self.walk_range(dot, branch));
                self.variables.truncate(mark);
                return result;
            }
            Node::Template(invocation) => self.walk_template(dot, *invocation)?,
            Node::Break { .. } => return Ok(Flow::Break),
            Node::Continue { .. } => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn walk_branch(&mut self, dot: &Reflected, branch: Id<Branch>, sets_dot: bool) -> Result<Flow, Error> {
        let mark = self.variables.len();
        let branch = &self.source[branch];
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.value.is_true() {
            self.walk_list(if sets_dot { &value } else { dot }, branch.body)
        } else if let Some(otherwise) = branch.otherwise {
            self.walk_list(dot, otherwise)
        } else {
            Ok(Flow::Next)
        };
        self.variables.truncate(mark);
        flow
    }

    fn walk_range(&mut self, dot: &Reflected, branch: &'t Branch) -> Result<Flow, Error> {
        let value = self.pipeline(dot, &branch.pipe)?;
        let mut ran = false;
        match value.dereferenced() {
            Value::Nil => {}
            value @ (Value::Int(..) | Value::Uint(..)) => {
                if self.source[branch.pipe.variables].len() > 1 {
                    return Err(self.error(format!(
                        "can't use {} to iterate over more than one variable",
                        display(&value)
                    )));
                }
                let (count, make): (u64, fn(u64, &Value) -> Value) = match value {
                    Value::Uint(count, _) => (count, |at, like| match like {
                        Value::Uint(_, uint) => Value::Uint(at, *uint),
                        _ => Value::int(at as i64),
                    }),
                    Value::Int(count, _) => (u64::try_from(count).unwrap_or(0), |at, like| match like {
                        Value::Int(_, int) => Value::Int(at as i64, *int),
                        _ => Value::int(at as i64),
                    }),
                    _ => (0, |_, _| Value::Nil),
                };
                for at in 0..count {
                    ran = true;
                    if self.iteration(branch, Reflected::missing(), Reflected::concrete(make(at, &value)))?
                        == Flow::Break
                    {
                        break;
                    }
                }
            }
            Value::List(list) => {
                let mut at = 0;
                while let Some(item) = list.get(at) {
                    ran = true;
                    let index = Reflected::concrete(Value::int(at as i64));
                    if self.iteration(branch, index, Reflected::element(item, list.list_type().element))?
                        == Flow::Break
                    {
                        break;
                    }
                    at += 1;
                }
            }
            value @ Value::Bytes(_) => {
                for (at, item) in value.elements().unwrap_or_default().into_iter().enumerate() {
                    ran = true;
                    if self.iteration(
                        branch,
                        Reflected::concrete(Value::int(at as i64)),
                        Reflected::concrete(item),
                    )? == Flow::Break
                    {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.entries() {
                    ran = true;
                    let key = Reflected::concrete(Value::String(key));
                    if self.iteration(branch, key, Reflected::element(item, map.map_type().element))?
                        == Flow::Break
                    {
                        break;
                    }
                }
            }
            other => {
                return Err(self.error(format!("range can't iterate over {}", display(&other))));
            }
        }
        match branch.otherwise {
            Some(otherwise) if !ran => self.walk_list(dot, otherwise),
            _ => Ok(Flow::Next),
        }
    }

    fn iteration(&mut self, branch: &'t Branch, index: Reflected, element: Reflected) -> Result<Flow, Error> {
        self.step()?;
        let mark = self.variables.len();
        match &self.source[branch.pipe.variables] {
            [] => {}
            [only] if branch.pipe.assigns => self.assign(*only, element.clone())?,
            [first, second] if branch.pipe.assigns => {
                self.assign(*first, index)?;
                self.assign(*second, element.clone())?;
            }
            [_] => self.set_top(1, element.clone()),
            _ => {
                self.set_top(1, element.clone());
                self.set_top(2, index);
            }
        }
        let flow = self.walk_list(&element, branch.body)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn set_top(&mut self, from_top: usize, value: Reflected) {
        if let Some(at) = self.variables.len().checked_sub(from_top) {
            self.variables[at].1 = value;
        }
    }

    fn walk_template(&mut self, dot: &Reflected, invocation: Id<Invocation>) -> Result<(), Error> {
        let Invocation { name, pipe, .. } = &self.source[invocation];
        let Some(tree) = self.templates.lookup(name) else {
            return Err(self.error(format!("template {} not defined", String::from_utf8_lossy(&quote(name)))));
        };
        // The limit of Go, with its words; a smaller one of the session has its own.
        if self.session.depth > self.session.max_depth() {
            return Err(self.error(format!("exceeded maximum template depth ({})", self.session.max_depth())));
        }
        let data = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Reflected::missing(),
        };
        let (templates, session, out) = (self.templates, &mut *self.session, &mut *self.out);
        stacker::maybe_grow(256 * 1024, 2 << 20, move || {
            State::new(templates, &tree, data.clone(), session, out).run(&data)
        })
    }

    fn pipeline(&mut self, dot: &Reflected, pipe: &'t Pipe) -> Result<Reflected, Error> {
        self.at = At::Pipe(pipe);
        let mut value = None;
        for command in &self.source[pipe.commands] {
            // What an interface holds is taken out after each command.
            value = Some(self.command(dot, command, value)?.unwrapped());
        }
        let value = value.unwrap_or_else(Reflected::missing);
        for name in &self.source[pipe.variables] {
            if pipe.assigns {
                self.assign(*name, value.clone())?;
            } else {
                self.variables.push((self.source.bytes(*name), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &Reflected,
        command: &'t Command,
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        self.step()?;
        let operands = &self.source[command.operands];
        let (first, rest) = (&operands[0], &operands[1..]);
        match first {
            Operand::Field { path, .. } => {
                self.at = At::Operand(first);
                self.field_chain(dot, dot.clone(), first, *path, rest, last)
            }
            Operand::Chain { base, path, .. } => self.chain(dot, first, *base, *path, rest, last),
            Operand::Identifier { name, callee, .. } => {
                self.at = At::Operand(first);
                self.call_function(dot, callee, *name, At::Command(command), rest, last)
            }
            Operand::Pipe { pipe, .. } => {
                self.no_arguments(first, rest, last.as_ref())?;
                let pipe = &self.source[*pipe];
                stacker::maybe_grow(128 * 1024, 1 << 20, || self.pipeline(dot, pipe))
            }
            Operand::Variable { name, path, .. } => {
                self.at = At::Operand(first);
                let value = self.variable(*name)?;
                if path.length == 0 {
                    self.no_arguments(first, rest, last.as_ref())?;
                    return Ok(value);
                }
                self.field_chain(dot, value, first, *path, rest, last)
            }
            literal => {
                self.at = At::Operand(literal);
                self.no_arguments(first, rest, last.as_ref())?;
                match literal {
                    Operand::Bool { value, .. } => Ok(Reflected::concrete(Value::Bool(*value))),
                    Operand::Dot { .. } => Ok(dot.clone()),
                    Operand::Number { number, .. } => self.constant(&self.source[*number]),
                    Operand::String { value, .. } => Ok(Reflected::concrete(Value::String(value.clone()))),
                    _ => Err(self.error("nil is not a command")),
                }
            }
        }
    }

    fn no_arguments(&self, first: &Operand, rest: &[Operand], last: Option<&Reflected>) -> Result<(), Error> {
        if rest.is_empty() && last.is_none() {
            return Ok(());
        }
        Err(self.error(format!("can't give argument to non-function {}", self.shown(first))))
    }

    /// A number whose type only its notation tells.
    fn constant(&mut self, number: &Number) -> Result<Reflected, Error> {
        if let Some((real, imaginary)) = number.complex {
            return Ok(Reflected::concrete(Value::Complex(real, imaginary)));
        }
        let text = number.text.as_str();
        let is_hex = text.len() > 2
            && (text.starts_with("0x") || text.starts_with("0X"))
            && !text.contains(['p', 'P']);
        if let Some(float) = number.float
            && !is_hex
            && !text.starts_with('\'')
            && text.contains(['.', 'e', 'E', 'p', 'P'])
        {
            return Ok(Reflected::concrete(Value::Float(float)));
        }
        match number.int {
            Some(int) => Ok(Reflected::concrete(Value::Int(int, IntType::Int))),
            None if number.uint.is_some() => Err(self.error(format!("{text} overflows int"))),
            None => Ok(Reflected::missing()),
        }
    }

    fn variable(&self, name: Span) -> Result<Reflected, Error> {
        let bytes = self.source.bytes(name);
        match self.variables.iter().rev().find(|(known, _)| *known == bytes) {
            Some((_, value)) => Ok(value.clone()),
            None => Err(self.error(format!("undefined variable: {}", self.source.word(name)))),
        }
    }

    fn assign(&mut self, name: Span, value: Reflected) -> Result<(), Error> {
        let bytes = self.source.bytes(name);
        match self.variables.iter_mut().rev().find(|(known, _)| *known == bytes) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => Err(self.error(format!("undefined variable: {}", self.source.word(name)))),
        }
    }

    fn print(&mut self, value: &Reflected) -> Result<(), Error> {
        let before = self.out.len();
        match printable(value) {
            Some(value) => {
                let left = self.session.remaining_memory();
                value.check_text_size(left).map_err(|error| self.limit(error))?;
                write_value(self.out, &value);
            }
            None if value.interface => self.out.extend_from_slice(b"<nil>"),
            None => self.out.extend_from_slice(b"<no value>"),
        }
        let written = self.out.len() - before;
        self.session.written(written).map_err(|error| self.limit(error))
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.session.written(text.len()).map_err(|error| self.limit(error))?;
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn step(&mut self) -> Result<(), Error> {
        self.session.step().map_err(|error| self.limit(error))
    }

    fn limit(&self, error: Error) -> Error {
        self.error_caused_by("", error)
    }

    fn error(&self, message: impl AsRef<[u8]>) -> Error {
        Error::execution(self.located(message.as_ref()), None)
    }

    fn error_caused_by(&self, prefix: &str, cause: Error) -> Error {
        let message = [prefix.as_bytes(), cause.text()].concat();
        Error::execution(self.located(&message), Some(cause))
    }

    /// A part of the template as error messages print it.
    fn shown<T: Show>(&self, part: &T) -> String {
        self.source.show(part)
    }

    fn located(&self, message: &[u8]) -> Vec<u8> {
        let (position, context) = match self.at {
            At::Start => return [b"template: ", &*self.tree.name, b": ", message].concat(),
            At::Node(node) => (self.source.position_of(node), self.shown(node)),
            At::Pipe(pipe) => (pipe.position as usize, self.shown(pipe)),
            At::Command(command) => (command.position as usize, self.shown(command)),
            At::Operand(operand) => (operand.position(), self.shown(operand)),
        };
        let location = self.source.location(position);
        let name = quote(&self.tree.name);
        [
            b"template: ",
            location.as_bytes(),
            b": executing ",
            &name,
            b" at <",
            context.as_bytes(),
            b">: ",
            message,
        ]
        .concat()
    }
}

/// The value as printing wants it: a pointer without a `String` method is followed. `None` is no value.
fn printable(value: &Reflected) -> Option<Value> {
    match &value.value {
        Value::Nil => None,
        Value::Object(object) if value.addressable && object.address_text().is_some() => {
            object.address_text().map(Value::String)
        }
        Value::Object(object) if object.type_name().starts_with('*') && object.text().is_none() => {
            Some(value.dereferenced())
        }
        other => Some(other.clone()),
    }
}
