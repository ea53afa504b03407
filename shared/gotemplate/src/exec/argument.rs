//! Calls: how many arguments, of which types, and what they evaluate to.

use super::reflected::Reflected;
use super::{At, State};
use crate::collection::{List, Map};
use crate::error::Error;
use crate::function::{Call, Function, Method};
use crate::parse::{Callee, Operand, Span};
use crate::types::Type;
use crate::value::Value;

/// The parameters of a call.
#[derive(Clone, Copy)]
pub(super) struct Signature<'a> {
    pub(super) fixed: &'a [Type],
    pub(super) variadic: Option<Type>,
}

impl<'t> State<'t, '_> {
    /// Calls what an identifier names.
    pub(super) fn call_function(
        &mut self,
        dot: &Reflected,
        callee: &'t Callee,
        name: Span,
        shown: At<'t>,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        let name = self.source.word(name);
        match callee {
            Callee::Builtin(builtin) => self.call_builtin(dot, *builtin, name, shown, arguments, last),
            Callee::Function(function) => {
                let signature = Signature { fixed: &function.parameters, variadic: function.variadic };
                let values = self.arguments(dot, signature, name, arguments, last)?;
                self.call_body(function, name, shown, &values)
            }
        }
    }

    /// Calls a method of the receiver.
    pub(super) fn call_method(
        &mut self,
        dot: &Reflected,
        receiver: &Value,
        method: &'static Method,
        node: &'t Operand,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        let signature = Signature { fixed: method.parameters, variadic: method.variadic };
        if let Some(refusal) = method.refusal {
            self.check_count(signature, method.name, arguments.len(), last.is_some())?;
            return Err(self.error(refusal));
        }
        let values = self.arguments(dot, signature, method.name, arguments, last)?;
        let mut call = Call { session: self.session, templates: self.templates };
        match (method.body)(&mut call, receiver, &values) {
            Ok(value) => Ok(Reflected::concrete(value)),
            Err(error) => {
                self.at = At::Operand(node);
                Err(self.error_caused_by(&format!("error calling {}: ", method.name), error))
            }
        }
    }

    /// Runs a function's body on checked arguments.
    pub(super) fn call_body(
        &mut self,
        function: &Function,
        name: &str,
        shown: At<'t>,
        values: &[Value],
    ) -> Result<Reflected, Error> {
        let mut call = Call { session: self.session, templates: self.templates };
        match (function.body)(&mut call, values) {
            Ok(value) => Ok(Reflected::concrete(value)),
            Err(error) => {
                self.at = shown;
                Err(self.error_caused_by(&format!("error calling {name}: "), error))
            }
        }
    }

    fn arguments(
        &mut self,
        dot: &Reflected,
        signature: Signature<'_>,
        name: &str,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Vec<Value>, Error> {
        self.check_count(signature, name, arguments.len(), last.is_some())?;
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for (at, argument) in arguments.iter().enumerate() {
            let expected = parameter(signature, at);
            values.push(self.argument(dot, expected, argument)?);
        }
        if let Some(last) = last {
            let expected = parameter(signature, arguments.len());
            values.push(self.validated(last, expected)?);
        }
        Ok(values)
    }

    pub(super) fn check_count(
        &self,
        signature: Signature<'_>,
        name: &str,
        arguments: usize,
        piped: bool,
    ) -> Result<(), Error> {
        let given = arguments + usize::from(piped);
        let wanted = signature.fixed.len();
        if signature.variadic.is_some() {
            if given < wanted {
                return Err(self.error(format!(
                    "wrong number of args for {name}: want at least {wanted} got {arguments}"
                )));
            }
        } else if given != wanted {
            return Err(self.error(format!("wrong number of args for {name}: want {wanted} got {given}")));
        }
        Ok(())
    }

    /// Evaluates an operand for a parameter of the given type.
    fn argument(&mut self, dot: &Reflected, expected: Type, operand: &'t Operand) -> Result<Value, Error> {
        self.at = At::Operand(operand);
        match operand {
            Operand::Dot { .. } => return self.validated(dot.clone(), expected),
            Operand::Nil { .. } => {
                if expected.can_be_nil() {
                    return Ok(Value::zero_of(expected));
                }
                return Err(self.error(format!("cannot assign nil to {expected}")));
            }
            Operand::Field { .. }
            | Operand::Variable { .. }
            | Operand::Pipe { .. }
            | Operand::Identifier { .. }
            | Operand::Chain { .. } => {
                let value = self.untyped_operand(dot, operand)?;
                return self.validated(value, expected);
            }
            _ => {}
        }
        let number = match operand {
            Operand::Number { number, .. } => Some(&self.source[*number]),
            _ => None,
        };
        match (expected, operand) {
            (Type::Any, _) => self.untyped_operand(dot, operand).map(|value| value.value),
            (Type::Bool, Operand::Bool { value, .. }) => Ok(Value::Bool(*value)),
            (Type::Bool, _) => Err(self.error(format!("expected bool; found {}", self.shown(operand)))),
            (Type::String, Operand::String { value, .. }) => Ok(Value::String(value.clone())),
            (Type::String, _) => Err(self.error(format!("expected string; found {}", self.shown(operand)))),
            (Type::Int(int), _) => match number.and_then(|number| number.int) {
                Some(number) => Ok(Value::Int(number, int)),
                None => Err(self.error(format!("expected integer; found {}", self.shown(operand)))),
            },
            (Type::Uint(uint), _) => match number.and_then(|number| number.uint) {
                Some(number) => Ok(Value::Uint(number, uint)),
                None => Err(self.error(format!("expected unsigned integer; found {}", self.shown(operand)))),
            },
            (Type::Float, _) => match number.and_then(|number| number.float) {
                Some(number) => Ok(Value::Float(number)),
                None => Err(self.error(format!("expected float; found {}", self.shown(operand)))),
            },
            _ => Err(self.error(format!("can't handle {} for arg of type {expected}", self.shown(operand)))),
        }
    }

    /// Evaluates an operand where any type will do.
    pub(super) fn untyped_operand(
        &mut self,
        dot: &Reflected,
        operand: &'t Operand,
    ) -> Result<Reflected, Error> {
        self.at = At::Operand(operand);
        match operand {
            Operand::Dot { .. } => Ok(dot.clone()),
            Operand::Nil { .. } => Ok(Reflected::missing()),
            Operand::Bool { value, .. } => Ok(Reflected::concrete(Value::Bool(*value))),
            Operand::Number { number, .. } => self.constant(&self.source[*number]),
            Operand::String { value, .. } => Ok(Reflected::concrete(Value::String(value.clone()))),
            Operand::Field { path, .. } => self.field_chain(dot, dot.clone(), operand, *path, &[], None),
            Operand::Variable { name, path, .. } => {
                let value = self.variable(*name)?;
                self.field_chain(dot, value, operand, *path, &[], None)
            }
            Operand::Pipe { pipe, .. } => {
                let pipe = &self.source[*pipe];
                stacker::maybe_grow(128 * 1024, 1 << 20, || self.pipeline(dot, pipe))
            }
            Operand::Identifier { name, callee, .. } => {
                self.call_function(dot, callee, *name, At::Operand(operand), &[], None)
            }
            Operand::Chain { base, path, .. } => self.chain(dot, operand, *base, *path, &[], None),
        }
    }

    /// Checks that a value can be given to a parameter, and makes it the parameter's type.
    pub(super) fn validated(&self, value: Reflected, expected: Type) -> Result<Value, Error> {
        if !value.is_valid() {
            if expected.can_be_nil() {
                return Ok(Value::zero_of(expected));
            }
            return Err(self.error(format!("invalid value; expected {expected}")));
        }
        if expected == Type::Any {
            return Ok(value.value);
        }
        if matches!(value.value, Value::Nil) {
            return Err(
                self.error(format!("wrong type for value; expected {expected}; got {}", value.type_name()))
            );
        }
        let actual = value.value.go_type();
        if actual.assignable_to(expected) {
            return Ok(retyped(value.value, expected));
        }
        if let (Type::Object(pointer), Type::Object(wanted)) = (actual, expected)
            && pointer.strip_prefix('*') == Some(wanted)
        {
            return Ok(value.value);
        }
        Err(self.error(format!("wrong type for value; expected {expected}; got {actual}")))
    }
}

fn parameter(signature: Signature<'_>, at: usize) -> Type {
    signature.fixed.get(at).copied().or(signature.variadic).unwrap_or(Type::Any)
}

/// The value under the parameter's type: a named map or slice loses its name.
fn retyped(value: Value, expected: Type) -> Value {
    match (value, expected) {
        (Value::Map(map), Type::Map(map_type)) => Value::Map(Map::retyped(&map, map_type)),
        (Value::List(list), Type::List(list_type)) => Value::List(List::retyped(&list, list_type)),
        (value, _) => value,
    }
}
