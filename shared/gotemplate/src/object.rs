//! Values that the embedder brings: structs with fields and methods.

use std::any::Any;
use std::sync::Arc;

use crate::function::Method;
use crate::text::Text;
use crate::value::Value;

/// A Go struct, or a pointer to one, that templates can print, look into and call.
pub trait Object: Send + Sync + 'static {
    /// The type's name as `%T` prints it; a leading `*` makes it a pointer.
    fn type_name(&self) -> &'static str;

    /// The fields that templates may read, in the order of declaration.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// The fields in JSON, when their names there differ or some are left out.
    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        self.fields()
    }

    /// The fields that printing shows, those that Go does not export included.
    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        self.fields()
    }

    /// One of the fields; override it when building all of them is not cheap.
    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The names of fields that Go does not export: reading one is an error of its own.
    fn hidden_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// The methods; they win over fields of the same name.
    fn methods(&self) -> &'static [Method] {
        &[]
    }

    /// What the type's `String()` method gives, if it has one: used wherever Go prints the value.
    fn text(&self) -> Option<Text> {
        None
    }

    /// What a `String()` method of the pointer type gives: printed when the value is reached through a pointer.
    fn address_text(&self) -> Option<Text> {
        None
    }

    /// What `deepCopy` makes of the value, when it is not the value itself.
    fn copied(&self) -> Option<Arc<dyn Object>> {
        None
    }

    /// How `%#v` prints it, when it has a `GoString` method.
    fn go_text(&self) -> Option<Text> {
        None
    }

    /// The text that the value has in JSON when it is no plain struct, such as a time's.
    fn json_text(&self) -> Option<Text> {
        None
    }

    /// Whether `eq` and `deepEqual` find the two the same.
    fn equals(&self, other: &dyn Object) -> bool;

    /// For reading the value back in functions of the embedder's own.
    fn as_any(&self) -> &dyn Any;
}
