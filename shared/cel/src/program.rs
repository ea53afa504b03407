//! Expressions that are checked against the types of their variables before they are used.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr};
use cel::common::value::Val;
use cel::objects::{Key, OptionalValue};
use cel::{Context, DeclarationError, Env, ExecutionError, IdedExpr, ParseErrors, Value};

use crate::check::{self, Overloads, Type};
use crate::cost::{self, Extent};
use crate::{budget, library, limits};

/// What evaluating one expression may cost: about what Kubernetes lets it do.
const BUDGET: u64 = 128 * 1024 * 1024;

/// The functions that expressions may use.
pub struct Dialect {
    environment: Arc<Env>,
    added: Overloads,
}

impl Dialect {
    /// The usual functions and those that `extend` adds; `added` are the types of the added ones.
    pub fn new(
        extend: impl FnOnce(&mut Env) -> Result<(), DeclarationError>,
        added: Overloads,
    ) -> Result<Self, DeclarationError> {
        let mut environment = library::environment();
        extend(&mut environment)?;
        Ok(Self { environment: Arc::new(environment), added })
    }

    /// Parses and checks an expression. The error is cel-go's text, with the place marked.
    pub fn compile(&self, text: &str, variables: &[(&str, Type)]) -> Result<Program, String> {
        let (mut parsed, info, depth) = crate::parse(&self.environment, text)?;
        let qualified: Vec<&str> =
            variables.iter().map(|(name, _)| *name).filter(|name| name.contains('.')).collect();
        if !qualified.is_empty() {
            qualify(&mut parsed, &qualified);
        }
        let checked = || check::type_with(&parsed, variables, self.added);
        let result = limits::evaluating(depth, checked)?.map_err(|(id, why)| {
            let start = info.offset_for(id).map_or(0, |(start, _)| start as usize);
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            marked(text, line, column, &why)
        })?;
        library::redirect(&mut parsed);
        budget::meter(&mut parsed);
        Ok(Program { parsed, depth, result, environment: self.environment.clone() })
    }
}

impl Dialect {
    /// What evaluating an expression may cost at most, when its variables are as large as `extent` lets them be.
    ///
    /// The numbers are cel-go's: servers refuse rules by them before they are ever evaluated.
    pub fn cost(&self, text: &str, variables: &[(&str, Type)], extent: &Extent) -> Result<u64, String> {
        let (parsed, _, depth) = crate::parse(&self.environment, text)?;
        limits::evaluating(depth, || {
            let types = check::types_of(&parsed, variables, self.added)?;
            Ok(cost::most(&parsed, &types, extent))
        })?
    }
}

/// Makes `a.b` one name where that is the name of a variable.
fn qualify(expression: &mut IdedExpr, names: &[&str]) {
    if let Expr::Select(select) = &expression.expr
        && let Expr::Ident(operand) = &select.operand.expr
    {
        let full = format!("{operand}.{}", select.field);
        if names.contains(&full.as_str()) {
            expression.expr = Expr::Ident(full);
            return;
        }
    }
    let each = |inner: &mut IdedExpr| qualify(inner, names);
    match &mut expression.expr {
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                each(target);
            }
            call.args.iter_mut().for_each(each);
        }
        Expr::Comprehension(comprehension) => {
            each(&mut comprehension.iter_range);
            each(&mut comprehension.accu_init);
            each(&mut comprehension.loop_cond);
            each(&mut comprehension.loop_step);
            each(&mut comprehension.result);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(each),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    each(&mut entry.key);
                    each(&mut entry.value);
                }
            }
        }
        Expr::Select(select) => each(&mut select.operand),
        Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// What is wrong with a text, in cel-go's words, with the places marked.
pub(crate) fn parse_errors(text: &str, errors: &ParseErrors) -> String {
    let all = errors.errors.iter().map(|error| {
        let (line, column) = (error.pos.0.max(1) as usize, error.pos.1.max(1) as usize);
        // Its parser names what it wants itself, ours all that could follow.
        let why = match error.msg.split_once("expecting {<EOF>,") {
            Some((before, _)) => format!("{before}expecting <EOF>"),
            None => error.msg.clone(),
        };
        marked(text, line, column, &why)
    });
    all.collect::<Vec<_>>().join("\n")
}

fn marked(text: &str, line: usize, column: usize, why: &str) -> String {
    if text.is_empty() {
        // There is nothing to show, and no first column.
        return format!("ERROR: <input>:1:0: {why}");
    }
    let source = text.lines().nth(line - 1).unwrap_or_default();
    format!("ERROR: <input>:{line}:{column}: {why}\n | {source}\n | {}^", ".".repeat(column - 1))
}

/// A checked expression.
pub struct Program {
    parsed: IdedExpr,
    depth: usize,
    result: Type,
    environment: Arc<Env>,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
    /// Anything else.
    Other(Value),
}

impl Program {
    /// The type that the value will have.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Whether the expression depends on a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.parsed.references().has_variable(variable)
    }

    /// Evaluates the expression. Errors are in cel-go's words.
    pub fn evaluate(&self, variables: &[(&str, Value)]) -> Result<Outcome, String> {
        let mut budget = BUDGET;
        self.evaluate_with(variables, Vec::new(), &mut budget)
    }

    /// Evaluates the expression as [`Program::evaluate`] does, with variables of other kinds beside the usual ones, and
    /// takes what it costs, about a byte each, from `budget`.
    pub fn evaluate_with(
        &self,
        variables: &[(&str, Value)],
        others: Vec<(&str, Box<dyn Val>)>,
        budget: &mut u64,
    ) -> Result<Outcome, String> {
        limits::check_rounds(&self.parsed, variables)?;
        let mut context = Context::with_env(self.environment.clone());
        for (name, value) in variables {
            context.add_variable_from_value(*name, value.clone());
        }
        for (name, value) in others {
            context.add_variable_as_val(name, value);
        }
        let (own, depth) = (BUDGET.min(*budget), self.depth);
        let mut left = own;
        let outcome = {
            let left = &mut left;
            limits::evaluating(depth, move || budget::limited_to(left, || context.resolve(&self.parsed)))?
        };
        *budget -= own - left;
        match outcome.ok_or_else(|| budget::EXCEEDED.to_owned())? {
            Ok(Value::Bool(value)) => Ok(Outcome::Bool(value)),
            Ok(Value::String(text)) => Ok(Outcome::Text(text.to_string())),
            Ok(other) => Ok(Outcome::Other(other)),
            Err(error) => Err(words(&error)),
        }
    }
}

fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::NoSuchOverload(_) => "no such overload".to_owned(),
        ExecutionError::FunctionError { function, message } => match function.as_str() {
            to @ ("int" | "uint" | "double") if message.starts_with("string parse error") => {
                format!("type conversion error from 'string' to '{to}'")
            }
            "duration" => "type conversion error from 'string' to 'google.protobuf.Duration'".to_owned(),
            "timestamp" if !message.contains("out of range") => {
                "type conversion error from 'string' to 'google.protobuf.Timestamp'".to_owned()
            }
            _ => message.clone(),
        },
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("index out of bounds: {index}"),
        other => other.to_string(),
    }
}

impl Type {
    /// The value of JSON that is declared to be of this type. Objects show their declared fields only.
    pub fn value(&self, v: &serde_json::Value) -> Value {
        match (self, v) {
            (Type::Object(fields), serde_json::Value::Object(members)) => {
                let members: HashMap<Key, Value> = members
                    .iter()
                    .filter_map(|(name, v)| {
                        let name = escape(name);
                        let value = fields.get(&name)?.value(v);
                        Some((Key::String(Arc::new(name)), value))
                    })
                    .collect();
                Value::Map(members.into())
            }
            (Type::Map(_, kind), serde_json::Value::Object(members)) => {
                let members: HashMap<Key, Value> = members
                    .iter()
                    .map(|(name, v)| (Key::String(Arc::new(name.clone())), kind.value(v)))
                    .collect();
                Value::Map(members.into())
            }
            (Type::List(kind), serde_json::Value::Array(items)) => {
                Value::List(Arc::new(items.iter().map(|item| kind.value(item)).collect()))
            }
            (Type::Simple(name @ ("timestamp" | "duration" | "bytes")), serde_json::Value::String(text)) => {
                read(name, text).unwrap_or_else(|| Value::String(Arc::new(text.clone())))
            }
            (Type::Simple("double"), serde_json::Value::Number(number)) => {
                Value::Float(number.as_f64().unwrap_or(f64::NAN))
            }
            (_, v) => crate::to_cel(v, crate::Numbers::Typed),
        }
    }
}

/// A time, a duration or bytes, which JSON has as texts.
fn read(kind: &str, text: &str) -> Option<Value> {
    static READERS: LazyLock<HashMap<&str, IdedExpr>> = LazyLock::new(|| {
        let readers = [
            ("timestamp", "timestamp(text)"),
            ("duration", "duration(text)"),
            ("bytes", "base64.decode(text)"),
        ];
        let parsed = |(kind, reader)| {
            let (mut parsed, _, _) = crate::parse(crate::environment(), reader).ok()?;
            library::redirect(&mut parsed);
            Some((kind, parsed))
        };
        readers.into_iter().filter_map(parsed).collect()
    });
    // A day is the time at which it begins.
    let is_day = kind == "timestamp" && text.len() == 10;
    let text = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let mut context = Context::with_env(crate::environment().clone());
    context.add_variable_from_value("text", Value::String(Arc::new(text)));
    context.resolve(READERS.get(kind)?).ok()
}

/// A value that expressions see as an optional one.
pub fn optional(value: Option<Value>) -> Value {
    let value = match value {
        Some(value) => OptionalValue::of(value),
        None => OptionalValue::none(),
    };
    Value::Opaque(Arc::new(value))
}

/// A value with the given members.
pub fn members(members: &[(String, Value)]) -> Value {
    let members: HashMap<Key, Value> =
        members.iter().map(|(name, v)| (Key::String(Arc::new(name.clone())), v.clone())).collect();
    Value::Map(members.into())
}

/// The words of the language that no member is called by.
pub const RESERVED: [&str; 18] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
];

/// The name by which expressions read a member whose own name is no identifier or is a word of the language.
pub fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    let name = name.replace("__", "__underscores__");
    name.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn dialect() -> Dialect {
        Dialect::new(|_| Ok(()), &[]).unwrap()
    }

    fn refused(text: &str, kind: Type) -> String {
        dialect().compile(text, &[("self", kind)]).map(|_| ()).unwrap_err()
    }

    #[test]
    fn what_does_not_compile_is_marked() {
        assert_eq!(
            refused("self + 1", Type::Simple("string")),
            "ERROR: <input>:1:6: found no matching overload for '_+_' applied to '(string, int)'\n | self + 1\n | .....^"
        );
        assert_eq!(
            refused("unknown == 1", Type::Dyn),
            "ERROR: <input>:1:1: undeclared reference to 'unknown' (in container '')\n | unknown == 1\n | ^"
        );
        let object = Type::Object(Arc::new(BTreeMap::from([("a".to_owned(), Type::Bool)])));
        assert!(refused("self.b", object).contains("undefined field 'b'"));
    }

    #[test]
    fn values_by_their_types() {
        let fields = BTreeMap::from([
            ("a__dash__b".to_owned(), Type::Simple("int")),
            ("l".to_owned(), Type::List(Box::new(Type::Simple("string")))),
        ]);
        let kind = Type::Object(Arc::new(fields));
        let program = dialect()
            .compile("self.a__dash__b > 1 && self.l.all(x, x != '')", &[("self", kind.clone())])
            .unwrap();
        let outcome = |v| program.evaluate(&[("self", kind.value(&v))]);
        assert_eq!(outcome(json!({"a-b": 2, "l": ["x"]})), Ok(Outcome::Bool(true)));
        assert_eq!(outcome(json!({"a-b": 1, "l": ["x"]})), Ok(Outcome::Bool(false)));
        assert_eq!(outcome(json!({"l": []})), Err("no such key: a__dash__b".to_owned()));
        assert!(program.uses("self"));
    }

    #[test]
    fn what_doubles_ends_with_the_budget() {
        let program = dialect().compile("self + self", &[("self", Type::Simple("string"))]).unwrap();
        let mut text = Value::String(Arc::new("0123456789abcdef".to_owned()));
        let mut budget = 64 << 20;
        let last = loop {
            match program.evaluate_with(&[("self", text.clone())], Vec::new(), &mut budget) {
                Ok(Outcome::Text(doubled)) => text = Value::String(Arc::new(doubled)),
                other => break other,
            }
        };
        assert_eq!(last, Err("operation cancelled: actual cost limit exceeded".to_owned()));
        assert_eq!(budget, 0);
        let loops = format!("self{}.size() > 0", ".map(a, a + a)".repeat(40));
        let strings = Type::List(Box::new(Type::Simple("string")));
        let program = dialect().compile(&loops, &[("self", strings.clone())]).unwrap();
        let outcome = program.evaluate(&[("self", strings.value(&json!(["0123456789"])))]);
        assert_eq!(outcome, Err("operation cancelled: actual cost limit exceeded".to_owned()));
    }

    #[test]
    fn texts_of_times_and_bytes_are_read() {
        let holds = |kind: &'static str, text: &str, rule: &str| {
            let kind = Type::Simple(kind);
            let program = dialect().compile(rule, &[("self", kind.clone())]).unwrap();
            program.evaluate(&[("self", kind.value(&json!(text)))])
        };
        let later = "self > timestamp('2020-01-01T00:00:00Z')";
        assert_eq!(holds("timestamp", "2021-01-01T00:00:00Z", later), Ok(Outcome::Bool(true)));
        assert_eq!(holds("timestamp", "2019-12-31", later), Ok(Outcome::Bool(false)));
        assert_eq!(holds("duration", "90m", "self > duration('1h')"), Ok(Outcome::Bool(true)));
        assert_eq!(holds("bytes", "eA==", "self == b'x'"), Ok(Outcome::Bool(true)));
        assert_eq!(holds("timestamp", "yesterday", later), Err("no such overload".to_owned()));
    }

    #[test]
    fn deep_expressions_have_room_on_small_stacks() {
        let compiled = |text: String| {
            let work = move || {
                let dialect = Dialect::new(|_| Ok(()), &[]).unwrap();
                dialect.compile(&text, &[]).and_then(|program| program.evaluate(&[]))
            };
            std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap()
        };
        let sum = format!("1{} == 231", " + 1".repeat(230));
        assert_eq!(compiled(sum), Ok(Outcome::Bool(true)));
        assert!(compiled(format!("1{}", " + 1".repeat(3_000))).unwrap_err().contains("nested deeper"));
    }
}
