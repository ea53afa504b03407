//! A value together with how it was reached, which Go's reflection remembers and its error texts show.

use std::any::Any;
use std::sync::Arc;

use crate::function::Method;
use crate::object::Object;
use crate::text::Text;
use crate::types::Type;
use crate::value::Value;

/// Go's `reflect.Value`: no value at all, a value of a concrete type, or an `interface {}` that holds one or nil.
#[derive(Clone, Debug)]
pub(super) struct Reflected {
    pub(super) value: Value,
    /// Read from a map or slice of `interface {}`, and not unwrapped since.
    pub(super) interface: bool,
    /// A field of a struct that was reached through a pointer: methods of its pointer type apply.
    pub(super) addressable: bool,
}

impl Reflected {
    /// No value.
    pub(super) fn missing() -> Reflected {
        Reflected { value: Value::Nil, interface: false, addressable: false }
    }

    /// A value of its own type; nil is no value.
    pub(super) fn concrete(value: Value) -> Reflected {
        Reflected { value, interface: false, addressable: false }
    }

    /// An element of a collection with the given element type.
    pub(super) fn element(value: Value, element: Type) -> Reflected {
        Reflected { value, interface: element == Type::Any, addressable: false }
    }

    /// A field of an object.
    pub(super) fn field(value: Value, addressable: bool) -> Reflected {
        Reflected { value, interface: false, addressable }
    }

    /// The same without the interface around it.
    pub(super) fn unwrapped(self) -> Reflected {
        Reflected { interface: false, ..self }
    }

    /// Whether there is a value, a nil interface included.
    pub(super) fn is_valid(&self) -> bool {
        self.interface || !matches!(self.value, Value::Nil)
    }

    /// The static type, as error texts name it.
    pub(super) fn type_name(&self) -> String {
        if self.interface { "interface {}".to_owned() } else { self.value.type_name() }
    }

    /// The value that interfaces and pointers lead to.
    pub(super) fn dereferenced(&self) -> Value {
        match &self.value {
            Value::Object(object) if object.type_name().starts_with('*') => {
                Value::Object(Arc::new(Pointed(object.clone())))
            }
            other => other.clone(),
        }
    }
}

/// The struct that a pointer points at.
struct Pointed(Arc<dyn Object>);

impl Object for Pointed {
    fn type_name(&self) -> &'static str {
        &self.0.type_name()[1..]
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.0.fields()
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.0.field(name)
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        self.0.all_fields()
    }

    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        self.0.json_fields()
    }

    fn hidden_fields(&self) -> &'static [&'static str] {
        self.0.hidden_fields()
    }

    fn methods(&self) -> &'static [Method] {
        self.0.methods()
    }

    fn text(&self) -> Option<Text> {
        self.0.text()
    }

    fn json_text(&self) -> Option<Text> {
        self.0.json_text()
    }

    fn equals(&self, other: &dyn Object) -> bool {
        self.0.equals(other)
    }

    fn as_any(&self) -> &dyn Any {
        self.0.as_any()
    }
}
