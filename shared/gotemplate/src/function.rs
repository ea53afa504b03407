//! Functions and methods that templates can call.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::session::Session;
use crate::template::Templates;
use crate::text::Text;
use crate::types::Type;
use crate::value::Value;

/// A function with the parameter types that Go checks before the call.
pub struct Function {
    pub(crate) parameters: Vec<Type>,
    pub(crate) variadic: Option<Type>,
    pub(crate) body: Body,
}

/// What a function does: its arguments were checked against the parameter types.
pub type Body = Box<dyn Fn(&mut Call<'_>, &[Value]) -> Result<Value, Error> + Send + Sync>;

impl Function {
    /// A function of fixed arity.
    pub fn new(
        parameters: &[Type],
        body: impl Fn(&mut Call<'_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Function {
        Function { parameters: parameters.to_vec(), variadic: None, body: Box::new(body) }
    }

    /// A function that takes any number of further arguments of one type after the fixed ones.
    pub fn variadic(
        parameters: &[Type],
        rest: Type,
        body: impl Fn(&mut Call<'_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Function {
        Function { parameters: parameters.to_vec(), variadic: Some(rest), body: Box::new(body) }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("parameters", &self.parameters)
            .field("variadic", &self.variadic)
            .finish_non_exhaustive()
    }
}

/// A method of a named type or of an object; the receiver is handed to it apart from the arguments.
#[derive(Debug)]
pub struct Method {
    /// The exported name.
    pub name: &'static str,
    /// The types of the fixed parameters.
    pub parameters: &'static [Type],
    /// The type of further arguments.
    pub variadic: Option<Type>,
    /// Why Go will not call it from a template, for a method of more results than a value and an error.
    pub refusal: Option<&'static str>,
    /// What it does.
    pub body: MethodBody,
}

/// What a method does, given the receiver and the checked arguments.
pub type MethodBody = fn(&mut Call<'_>, &Value, &[Value]) -> Result<Value, Error>;

/// A set of functions by name. Cloning shares the functions.
#[derive(Clone, Debug, Default)]
pub struct Functions(Arc<FxHashMap<String, Arc<Function>>>);

impl Functions {
    /// No functions but those built into the language.
    pub fn new() -> Functions {
        Functions::default()
    }

    /// Adds a function or replaces it.
    pub fn insert(&mut self, name: &str, function: Function) {
        Arc::make_mut(&mut self.0).insert(name.to_owned(), Arc::new(function));
    }

    /// Makes one function known under another name.
    pub fn alias(&mut self, name: &str, existing: &str) {
        if let Some(function) = self.0.get(existing).cloned() {
            Arc::make_mut(&mut self.0).insert(name.to_owned(), function);
        }
    }

    /// Takes a function away.
    pub fn remove(&mut self, name: &str) {
        Arc::make_mut(&mut self.0).remove(name);
    }

    /// The function of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Function>> {
        self.0.get(name)
    }

    /// The names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What a function can reach while it runs.
pub struct Call<'a> {
    /// The limits, the clock, the random source and the embedder's services.
    pub session: &'a mut Session,
    pub(crate) templates: &'a Templates,
}

impl Call<'_> {
    /// The set of templates that the calling template belongs to.
    pub fn templates(&self) -> &Templates {
        self.templates
    }

    /// Executes an associated template and returns its output.
    pub fn execute(&mut self, name: &[u8], data: &Value) -> Result<Text, Error> {
        self.templates.execute_text(name, data, self.session)
    }

    /// Counts memory that the function is about to use against the session's limit.
    pub fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.session.charge(bytes)
    }

    /// Refuses values whose text would not fit into what is left of the session's memory.
    pub(crate) fn check_text(&self, values: &[Value]) -> Result<(), Error> {
        let left = self.session.remaining_memory();
        values.iter().try_for_each(|value| value.check_text_size(left))
    }
}
