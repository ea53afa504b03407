//! Fields, keys and methods: `.a.b`, `$x.a`, `(pipeline).a`.

use super::reflected::Reflected;
use super::{At, State};
use crate::error::Error;
use crate::parse::{Id, Operand, Span};
use crate::template::MissingKey;
use crate::value::Value;

impl<'t> State<'t, '_> {
    /// `(pipeline).a.b` and `function.a.b`.
    pub(super) fn chain(
        &mut self,
        dot: &Reflected,
        node: &'t Operand,
        base: Id<Operand>,
        path: Span,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        self.at = At::Operand(node);
        let base = &self.source[base];
        if matches!(base, Operand::Nil { .. }) {
            return Err(self.error(format!("indirection through explicit nil in {}", self.shown(node))));
        }
        let receiver = stacker::maybe_grow(128 * 1024, 1 << 20, || self.untyped_operand(dot, base))?;
        self.field_chain(dot, receiver, node, path, arguments, last)
    }

    /// Walks a path such as `.a.b` from the receiver; only the last name may be called with arguments.
    pub(super) fn field_chain(
        &mut self,
        dot: &Reflected,
        mut receiver: Reflected,
        node: &'t Operand,
        path: Span,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        let Some(mut rest) = self.source.word(path).strip_prefix('.') else { return Ok(receiver) };
        while let Some((name, behind)) = rest.split_once('.') {
            receiver = self.field(dot, &receiver, node, name, &[], None)?;
            rest = behind;
        }
        self.field(dot, &receiver, node, rest, arguments, last)
    }

    fn field(
        &mut self,
        dot: &Reflected,
        receiver: &Reflected,
        node: &'t Operand,
        name: &'t str,
        arguments: &'t [Operand],
        last: Option<Reflected>,
    ) -> Result<Reflected, Error> {
        if !receiver.is_valid() {
            if self.templates.missing_key() == MissingKey::Error {
                return Err(self.error(format!("nil data; no entry for key {}", go_quoted(name))));
            }
            return Ok(Reflected::missing());
        }
        if matches!(receiver.value, Value::Nil) {
            return Err(self.error(format!("nil pointer evaluating {}.{name}", receiver.type_name())));
        }
        if let Some(method) = receiver.value.method(name) {
            return self.call_method(dot, &receiver.value, method, node, arguments, last);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        match &receiver.value {
            Value::Object(object) => {
                if let Some(value) = object.field(name) {
                    if has_arguments {
                        return Err(
                            self.error(format!("{name} has arguments but cannot be invoked as function"))
                        );
                    }
                    return Ok(Reflected::field(
                        value,
                        receiver.addressable || object.type_name().starts_with('*'),
                    ));
                }
                if object.hidden_fields().contains(&name) {
                    return Err(self.error(format!(
                        "{name} is an unexported field of struct type {}",
                        receiver.type_name()
                    )));
                }
            }
            Value::Map(map) => {
                if has_arguments {
                    return Err(self.error(format!("{name} is not a method but has arguments")));
                }
                let element = map.map_type().element;
                return match map.get(name) {
                    Some(value) => Ok(Reflected::element(value, element)),
                    None => match self.templates.missing_key() {
                        MissingKey::Invalid => Ok(Reflected::missing()),
                        MissingKey::Zero => Ok(Reflected::element(Value::zero_of(element), element)),
                        MissingKey::Error => {
                            Err(self.error(format!("map has no entry for key {}", go_quoted(name))))
                        }
                    },
                };
            }
            _ => {}
        }
        Err(self.error(format!("can't evaluate field {name} in type {}", receiver.type_name())))
    }
}

fn go_quoted(name: &str) -> String {
    String::from_utf8_lossy(&fluxide_gotext::quote(name.as_bytes())).into_owned()
}
