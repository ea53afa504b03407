//! The functions of the language itself: they see whether a value came out of an interface.

use super::argument::Signature;
use super::compare::{equal, less, less_or_equal};
use super::escape::{html, javascript, url_query};
use super::reflected::Reflected;
use super::{At, State, printable};
use crate::collection::List;
use crate::error::Error;
use crate::format::{sprint, sprintf, sprintln};
use crate::parse::{Builtin, Operand};
use crate::text::Text;
use crate::types::{Type, UintType};
use crate::value::Value;

impl<'t> State<'t, '_> {
    pub(super) fn call_builtin(
        &mut self,
        dot: &Reflected,
        builtin: Builtin,
        name: &str,
        shown: At<'t>,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        self.check_count(signature(builtin), name, arguments.len(), last.is_some())?;
        if matches!(builtin, Builtin::And | Builtin::Or) {
            return self.and_or(dot, builtin == Builtin::Or, arguments, last);
        }
        let callee = match (builtin, arguments.first()) {
            (Builtin::Call, Some(first)) => self.shown(first),
            (Builtin::Call, None) => match last.as_ref().map(|value| &value.value) {
                Some(Value::String(text)) => text.to_str_lossy().into_owned(),
                _ => last.as_ref().map(|value| format!("<{} Value>", value.type_name())).unwrap_or_default(),
            },
            _ => String::new(),
        };
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for (at, argument) in arguments.iter().enumerate() {
            if builtin == Builtin::Printf && at == 0 {
                values.push(self.format_text(dot, argument)?);
            } else {
                values.push(self.builtin_argument(dot, argument)?);
            }
        }
        if let Some(last) = last {
            if builtin == Builtin::Printf && values.is_empty() {
                values.push(Reflected::concrete(self.validated(last, Type::String)?));
            } else {
                values.push(last);
            }
        }
        let result = match builtin {
            Builtin::Call => return self.call_value(&callee, shown, &values),
            Builtin::Index => index(&values[0], &values[1..]),
            Builtin::Slice => slice(&values[0], &values[1..]),
            Builtin::Len => length(&values[0]),
            Builtin::Not => Ok(Value::Bool(!values[0].value.is_true())),
            Builtin::Eq => equal(&values[0], &values[1..]).map(Value::Bool),
            Builtin::Ne => equal(&values[0], &values[1..]).map(|equal| Value::Bool(!equal)),
            Builtin::Lt => less(&values[0], &values[1]).map(Value::Bool),
            Builtin::Le => less_or_equal(&values[0], &values[1]).map(Value::Bool),
            Builtin::Gt => less_or_equal(&values[0], &values[1]).map(|not| Value::Bool(!not)),
            Builtin::Ge => less(&values[0], &values[1]).map(|not| Value::Bool(!not)),
            Builtin::Print
            | Builtin::Println
            | Builtin::Printf
            | Builtin::Html
            | Builtin::Js
            | Builtin::UrlQuery => {
                let left = self.session.remaining_memory();
                let fits = values.iter().try_for_each(|value| value.value.check_text_size(left));
                let printed = fits.map(|()| print(builtin, &values));
                printed.and_then(|printed| {
                    self.session.charge(printed.len()).map(|()| Value::String(Text::from(printed)))
                })
            }
            Builtin::And | Builtin::Or => Ok(Value::Nil),
        };
        result.map(Reflected::concrete).map_err(|error| {
            self.at = shown;
            self.error_caused_by(&format!("error calling {name}: "), error)
        })
    }

    fn and_or(
        &mut self,
        dot: &Reflected,
        is_or: bool,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        let mut value = Reflected::missing();
        for argument in arguments {
            value = self.builtin_argument(dot, argument)?;
            if value.value.is_true() == is_or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn builtin_argument(&mut self, dot: &Reflected, operand: &'t Operand) -> Result<Reflected, Error> {
        self.untyped_operand(dot, operand)
    }

    /// The first operand of `printf`, which has to be a string.
    fn format_text(&mut self, dot: &Reflected, operand: &'t Operand) -> Result<Reflected, Error> {
        self.at = At::Operand(operand);
        match operand {
            Operand::String { value, .. } => Ok(Reflected::concrete(Value::String(value.clone()))),
            Operand::Nil { .. } => Err(self.error("cannot assign nil to string")),
            Operand::Bool { .. } | Operand::Number { .. } => {
                Err(self.error(format!("expected string; found {}", self.shown(operand))))
            }
            _ => {
                let value = self.untyped_operand(dot, operand)?;
                self.validated(value, Type::String).map(Reflected::concrete)
            }
        }
    }

    /// `call f a b`.
    fn call_value(&mut self, callee: &str, shown: At<'t>, values: &[Reflected]) -> Result<Reflected, Error> {
        let failed = |state: &mut Self, message: String| {
            state.at = shown;
            Err(state.error_caused_by("error calling call: ", Error::new(message)))
        };
        let function = match &values[0].value {
            Value::Nil => return failed(self, "call of nil".to_owned()),
            Value::Function(function) => function.clone(),
            other => return failed(self, format!("non-function {callee} of type {}", other.type_name())),
        };
        let given = values.len() - 1;
        let wanted = function.parameters.len();
        if function.variadic.is_some() && given < wanted {
            return failed(
                self,
                format!("wrong number of args for {callee}: got {given} want at least {wanted}"),
            );
        }
        if function.variadic.is_none() && given != wanted {
            return failed(self, format!("wrong number of args for {callee}: got {given} want {wanted}"));
        }
        let mut arguments = Vec::with_capacity(given);
        for (at, value) in values[1..].iter().enumerate() {
            let expected = function.parameters.get(at).copied().or(function.variadic).unwrap_or(Type::Any);
            match prepared(&value.value, expected) {
                Ok(value) => arguments.push(value),
                Err(error) => return failed(self, format!("arg {at}: {error}")),
            }
        }
        self.call_body(&function, "call", shown, &arguments)
    }
}

fn signature(builtin: Builtin) -> Signature<'static> {
    match builtin {
        Builtin::Len | Builtin::Not => Signature { fixed: &[Type::Any], variadic: None },
        Builtin::Ge | Builtin::Gt | Builtin::Le | Builtin::Lt | Builtin::Ne => {
            Signature { fixed: &[Type::Any, Type::Any], variadic: None }
        }
        Builtin::Html | Builtin::Js | Builtin::Print | Builtin::Println | Builtin::UrlQuery => {
            Signature { fixed: &[], variadic: Some(Type::Any) }
        }
        _ => Signature { fixed: &[Type::Any], variadic: Some(Type::Any) },
    }
}

fn print(builtin: Builtin, values: &[Reflected]) -> Vec<u8> {
    let plain: Vec<Value> = values.iter().map(|value| value.value.clone()).collect();
    match builtin {
        Builtin::Print => sprint(&plain),
        Builtin::Println => sprintln(&plain),
        Builtin::Printf => match plain.split_first() {
            Some((Value::String(format), operands)) => sprintf(format, operands),
            _ => Vec::new(),
        },
        _ => {
            let operands: Vec<Value> = values
                .iter()
                .map(|value| {
                    printable(&Reflected::concrete(value.value.clone()))
                        .unwrap_or_else(|| Value::from("<no value>"))
                })
                .collect();
            let text = sprint(&operands);
            match builtin {
                Builtin::Html => html(&text),
                Builtin::Js => javascript(&text),
                _ => url_query(&text),
            }
        }
    }
}

fn index(item: &Reflected, indexes: &[Reflected]) -> Result<Value, Error> {
    if matches!(item.value, Value::Nil) {
        return Err(Error::new("index of untyped nil"));
    }
    let mut item = item.dereferenced();
    for index in indexes {
        item = match &item {
            Value::Nil => return Err(Error::new("index of nil pointer")),
            Value::String(text) | Value::Bytes(text) => {
                let at = position(&index.value, text.len())?;
                match text.get(at) {
                    Some(byte) => Value::Uint(u64::from(*byte), UintType::Uint8),
                    None => {
                        return Err(Error::new(if matches!(item, Value::String(_)) {
                            "reflect: string index out of range"
                        } else {
                            "reflect: slice index out of range"
                        }));
                    }
                }
            }
            Value::List(list) => {
                let at = position(&index.value, list.len())?;
                list.get(at).ok_or_else(|| Error::new("reflect: slice index out of range"))?
            }
            Value::Map(map) => match prepared(&index.value, Type::String)? {
                Value::String(key) => map.get(&key).unwrap_or_else(|| Value::zero_of(map.map_type().element)),
                _ => Value::Nil,
            },
            other => return Err(Error::new(format!("can't index item of type {}", other.type_name()))),
        };
        item = Reflected::concrete(item).dereferenced();
    }
    Ok(item)
}

fn slice(item: &Reflected, indexes: &[Reflected]) -> Result<Value, Error> {
    if matches!(item.value, Value::Nil) {
        return Err(Error::new("slice of untyped nil"));
    }
    if indexes.len() > 3 {
        return Err(Error::new(format!("too many slice indexes: {}", indexes.len())));
    }
    let item = item.dereferenced();
    let length = match &item {
        Value::String(_) if indexes.len() == 3 => return Err(Error::new("cannot 3-index slice a string")),
        Value::String(text) | Value::Bytes(text) => text.len(),
        Value::List(list) => list.len(),
        other => return Err(Error::new(format!("can't slice item of type {}", other.type_name()))),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(&index.value, length)?;
    }
    let [start, end, capacity] = bounds;
    if start > end {
        return Err(Error::new(format!("invalid slice index: {start} > {end}")));
    }
    if indexes.len() == 3 && end > capacity {
        return Err(Error::new(format!("invalid slice index: {end} > {capacity}")));
    }
    Ok(match &item {
        Value::String(text) => Value::String(Text::from(&text[start..end])),
        Value::Bytes(text) => Value::Bytes(Text::from(&text[start..end])),
        Value::List(list) => {
            Value::List(List::with_type(list.list_type(), list.to_vec()[start..end].to_vec()))
        }
        _ => Value::Nil,
    })
}

fn length(item: &Reflected) -> Result<Value, Error> {
    let length = match item.dereferenced() {
        Value::Nil if item.interface => return Err(Error::new("len of nil pointer")),
        Value::Nil => return Err(Error::new("reflect: call of reflect.Value.Type on zero Value")),
        Value::String(text) | Value::Bytes(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(Error::new(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::int(length as i64))
}

fn position(index: &Value, length: usize) -> Result<usize, Error> {
    let (at, fits) = match index {
        Value::Int(at, _) => (at.to_string(), usize::try_from(*at).ok()),
        Value::Uint(at, _) => ((*at as i64).to_string(), usize::try_from(*at as i64).ok()),
        Value::Nil => return Err(Error::new("cannot index slice/array with nil")),
        other => return Err(Error::new(format!("cannot index slice/array with type {}", other.type_name()))),
    };
    fits.filter(|at| *at <= length).ok_or_else(|| Error::new(format!("index out of range: {at}")))
}

/// A value for a map key or for an argument of `call`.
fn prepared(value: &Value, expected: Type) -> Result<Value, Error> {
    if matches!(value, Value::Nil) {
        if !expected.can_be_nil() {
            return Err(Error::new(format!("value is nil; should be of type {expected}")));
        }
        return Ok(Value::zero_of(expected));
    }
    if value.go_type().assignable_to(expected) {
        return Ok(value.clone());
    }
    match (value, expected) {
        (Value::Int(number, _), Type::Int(int)) => Ok(Value::Int(*number, int)),
        (Value::Int(number, _), Type::Uint(uint)) => Ok(Value::Uint(*number as u64, uint)),
        (Value::Uint(number, _), Type::Int(int)) => Ok(Value::Int(*number as i64, int)),
        (Value::Uint(number, _), Type::Uint(uint)) => Ok(Value::Uint(*number, uint)),
        _ => Err(Error::new(format!("value has type {}; should be {expected}", value.type_name()))),
    }
}
