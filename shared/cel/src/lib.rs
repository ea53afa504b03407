//! Expressions in the Common Expression Language, with the library that Flux offers: optional
//! values, strings, encoders, sets, and comparison of numbers of different types.

mod budget;
mod check;
mod cost;
mod cost_calls;
mod library;
mod limits;
mod program;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cel::common::ast::SourceInfo;
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, IdedExpr};
use serde_json::Map;

pub use cel::Value;
pub use check::{Overloads, Type};
pub use cost::Extent;
pub use program::{Dialect, Outcome, Program, RESERVED, escape, members, optional};

/// Why an expression cannot be used or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not CEL.
    #[error("failed to parse the CEL expression '{expression}': {reason}")]
    Parse {
        /// The expression.
        expression: String,
        /// Where and why.
        reason: String,
    },
    /// Its evaluation failed.
    #[error("failed to evaluate the CEL expression '{expression}': {reason}")]
    Evaluate {
        /// The expression.
        expression: String,
        /// Why.
        reason: String,
    },
    /// It is not true or false.
    #[error("failed to evaluate CEL expression as boolean: '{0}'")]
    NotBoolean(String),
    /// It is not text.
    #[error("failed to evaluate CEL expression as string: '{0}'")]
    NotString(String),
    /// Checked before use, it is not certain to be of the type that is needed.
    #[error("CEL expression output type mismatch: expected {expected}, got {found}")]
    Type {
        /// The type that is needed.
        expected: &'static str,
        /// Its own.
        found: String,
    },
    /// Its value cannot be written as JSON.
    #[error("failed to convert the value of the CEL expression '{0}'")]
    NotJson(String),
}

/// A parsed expression.
pub struct Expression {
    text: String,
    parsed: IdedExpr,
    depth: usize,
}

impl Expression {
    /// Parses an expression. Names and types are not checked.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let failed = |reason: String| Error::Parse { expression: text.to_owned(), reason };
        let (parsed, _, depth) = parse(environment(), text).map_err(failed)?;
        Ok(Self::prepared(text, parsed, depth))
    }

    /// Parses an expression about `names`, which are maps of anything, and makes sure that it can
    /// only be true or false.
    pub fn parse_checked(text: &str, names: &[&str]) -> Result<Self, Error> {
        Self::parse_typed(text, names, Some(("bool", check::Type::Bool)))
    }

    /// Parses an expression about `names` as [`Expression::parse_checked`] does, and makes sure that
    /// it can only be text.
    pub fn parse_checked_string(text: &str, names: &[&str]) -> Result<Self, Error> {
        Self::parse_typed(text, names, Some(("string", check::Type::Simple("string"))))
    }

    /// Parses an expression about `names`, which are maps of anything, with a value of any type.
    pub fn parse_checked_any(text: &str, names: &[&str]) -> Result<Self, Error> {
        Self::parse_typed(text, names, None)
    }

    fn parse_typed(
        text: &str,
        names: &[&str],
        expected: Option<(&'static str, check::Type)>,
    ) -> Result<Self, Error> {
        let failed = |reason: String| Error::Parse { expression: text.to_owned(), reason };
        let (parsed, _, depth) = parse(environment(), text).map_err(failed)?;
        let checked = limits::evaluating(depth, || check::type_of(&parsed, names)).map_err(failed)?;
        let found = checked.map_err(|reason| Error::Parse {
            expression: text.to_owned(),
            reason: format!("ERROR: {reason}"),
        })?;
        match expected {
            Some((expected, kind)) if found != kind => {
                Err(Error::Type { expected, found: found.to_string() })
            }
            _ => Ok(Self::prepared(text, parsed, depth)),
        }
    }

    fn prepared(text: &str, mut parsed: IdedExpr, depth: usize) -> Self {
        library::redirect(&mut parsed);
        budget::meter(&mut parsed);
        Self { text: text.to_owned(), parsed, depth }
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates the expression, which must be true or false. Each member of `variables` is a
    /// variable.
    pub fn evaluate_bool(&self, variables: &Map<String, serde_json::Value>) -> Result<bool, Error> {
        self.boolean(self.evaluate(variables, Numbers::Typed)?)
    }

    /// Evaluates the expression as [`Expression::evaluate_bool`] does, but with all numbers of the
    /// variables as floating point, as in protobuf's `Struct`.
    pub fn evaluate_bool_with_doubles(
        &self,
        variables: &Map<String, serde_json::Value>,
    ) -> Result<bool, Error> {
        self.boolean(self.evaluate(variables, Numbers::Doubles)?)
    }

    fn boolean(&self, value: Value) -> Result<bool, Error> {
        match value {
            Value::Bool(value) => Ok(value),
            _ => Err(Error::NotBoolean(self.text.clone())),
        }
    }

    /// Evaluates the expression, which must be text.
    pub fn evaluate_string(&self, variables: &Map<String, serde_json::Value>) -> Result<String, Error> {
        match self.evaluate(variables, Numbers::Typed)? {
            Value::String(value) => Ok(value.to_string()),
            _ => Err(Error::NotString(self.text.clone())),
        }
    }

    /// Evaluates the expression to a JSON value.
    pub fn evaluate_json(
        &self,
        variables: &Map<String, serde_json::Value>,
    ) -> Result<serde_json::Value, Error> {
        let value = self.evaluate(variables, Numbers::Doubles)?;
        value.json().map_err(|_| Error::NotJson(self.text.clone()))
    }

    fn evaluate(&self, variables: &Map<String, serde_json::Value>, numbers: Numbers) -> Result<Value, Error> {
        let mut context = Context::with_env(environment().clone());
        for (name, value) in variables {
            context.add_variable_from_value(name.as_str(), to_cel(value, numbers));
        }
        let failed = |reason: String| Error::Evaluate { expression: self.text.clone(), reason };
        limits::evaluating(self.depth, || budget::limited(|| context.resolve(&self.parsed)))
            .map_err(failed)?
            .ok_or_else(|| failed(budget::EXCEEDED.to_owned()))?
            .map_err(|error| failed(self.reason(&error)))
    }
}

impl Expression {
    /// Why an evaluation failed, in cel-go's words.
    fn reason(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
            ExecutionError::UndeclaredReference(name) => {
                format!("no such attribute(s): {}", self.attribute(name))
            }
            other => other.to_string(),
        }
    }

    /// A variable with the fields that the expression selects of it where it is mentioned first.
    fn attribute(&self, variable: &str) -> String {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mentions = self.text.match_indices(variable).find(|(start, _)| {
            let (before, after) = (&self.text[..*start], &self.text[start + variable.len()..]);
            !before.ends_with(|c| is_word(c) || c == '.') && !after.starts_with(is_word)
        });
        let mut attribute = variable.to_owned();
        let Some((start, _)) = mentions else { return attribute };
        let mut rest = &self.text[start + variable.len()..];
        while let Some(after) = rest.strip_prefix(".?").or_else(|| rest.strip_prefix('.')) {
            let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
            // Functions are no fields.
            if end == 0 || after[end..].starts_with('(') {
                break;
            }
            attribute.push('.');
            attribute.push_str(&after[..end]);
            rest = &after[end..];
        }
        attribute
    }
}

/// The tree of an expression with the places of its parts, and how deep it is. The error is in cel-go's words.
fn parse(environment: &Env, text: &str) -> Result<(IdedExpr, SourceInfo, usize), String> {
    limits::check_text(text)?;
    let parsed = || environment.parser().parse_with_source_info(text);
    let (parsed, places) =
        limits::parsing(text, parsed)?.map_err(|errors| program::parse_errors(text, &errors))?;
    let depth = limits::check(&parsed)?;
    Ok((parsed, places, depth))
}

/// What JSON numbers become.
#[derive(Clone, Copy, PartialEq)]
enum Numbers {
    /// Integers stay integers.
    Typed,
    /// All are floating point, as in protobuf's `Struct`.
    Doubles,
}

fn to_cel(value: &serde_json::Value, numbers: Numbers) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) if numbers == Numbers::Typed => Value::Int(integer),
            _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => {
            Value::List(Arc::new(items.iter().map(|item| to_cel(item, numbers)).collect()))
        }
        serde_json::Value::Object(members) => {
            let members: HashMap<Key, Value> = members
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value, numbers)))
                .collect();
            Value::Map(members.into())
        }
    }
}

fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| Arc::new(library::environment()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variables(value: serde_json::Value) -> Map<String, serde_json::Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_field_of_unknown_type_is_neither_true_nor_text() {
        let error = |parsed: Result<Expression, Error>| parsed.map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            error(Expression::parse_checked("req.ready", &["req"])),
            "CEL expression output type mismatch: expected bool, got dyn"
        );
        assert_eq!(
            error(Expression::parse_checked_string("event.reason", &["event"])),
            "CEL expression output type mismatch: expected string, got dyn"
        );
        assert!(Expression::parse_checked("req.ready == true", &["req"]).is_ok());
        assert!(Expression::parse_checked_string("event.reason + '/x'", &["event"]).is_ok());
        assert!(Expression::parse_checked_any("claims.sub", &["claims"]).is_ok());
        assert!(Expression::parse_checked_any("other.sub", &["claims"]).is_err());
    }

    #[test]
    fn values_become_json() {
        let expression = Expression::parse_checked_any("claims.groups.split(',')", &["claims"]).unwrap();
        let value = expression.evaluate_json(&variables(json!({"claims": {"groups": "a,b"}})));
        assert_eq!(value.unwrap(), json!(["a", "b"]));
    }

    #[test]
    fn what_is_no_expression_is_reported_with_its_place() {
        let error = Expression::parse("this is not cel").map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            error,
            "failed to parse the CEL expression 'this is not cel': ERROR: <input>:1:6: Syntax error: mismatched input 'is' expecting <EOF>\n | this is not cel\n | .....^"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let reason = |text: &str| {
            let expression = Expression::parse(text).unwrap();
            let error = expression.evaluate_bool(&variables(json!({"dep": {}}))).unwrap_err().to_string();
            error.rsplit_once("': ").unwrap().1.to_owned()
        };
        assert_eq!(reason("dep.nonsense.field == 1"), "no such key: nonsense");
        assert_eq!(reason("status.?phase.orValue('') == 'x'"), "no such attribute(s): status.phase");
        assert_eq!(reason("dep.status == status.a.b"), "no such key: status");
        assert_eq!(reason("mystatus == status"), "no such attribute(s): mystatus");
    }
}
