//! The static types of expressions, for those that must be certain to be true or false before they
//! are used.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

/// Functions with their overloads.
pub type Overloads = &'static [(&'static str, &'static [&'static str])];

/// Overloads: name, and `arguments->result` where capital letters stand for any one type. A name
/// that starts with a dot is called on its first argument.
const OVERLOADS: Overloads = &[
    ("!_", &["bool->bool"]),
    ("_&&_", &["bool,bool->bool"]),
    ("_||_", &["bool,bool->bool"]),
    ("@not_strictly_false", &["bool->bool"]),
    ("_?_:_", &["bool,A,A->A"]),
    ("_==_", &["A,A->bool"]),
    ("_!=_", &["A,A->bool"]),
    ("@in", &["A,list(A)->bool", "A,map(A,B)->bool"]),
    (
        "_+_",
        &[
            "int,int->int",
            "uint,uint->uint",
            "double,double->double",
            "string,string->string",
            "bytes,bytes->bytes",
            "list(A),list(A)->list(A)",
            "timestamp,duration->timestamp",
            "duration,timestamp->timestamp",
            "duration,duration->duration",
        ],
    ),
    (
        "_-_",
        &[
            "int,int->int",
            "uint,uint->uint",
            "double,double->double",
            "timestamp,timestamp->duration",
            "timestamp,duration->timestamp",
            "duration,duration->duration",
        ],
    ),
    ("_*_", &["int,int->int", "uint,uint->uint", "double,double->double"]),
    ("_/_", &["int,int->int", "uint,uint->uint", "double,double->double"]),
    ("_%_", &["int,int->int", "uint,uint->uint"]),
    ("-_", &["int->int", "double->double"]),
    (
        "_[_]",
        &[
            "list(A),int->A",
            "map(A,B),A->B",
            "optional(list(A)),int->optional(A)",
            "optional(map(A,B)),A->optional(B)",
        ],
    ),
    (
        "_[?_]",
        &[
            "list(A),int->optional(A)",
            "map(A,B),A->optional(B)",
            "optional(list(A)),int->optional(A)",
            "optional(map(A,B)),A->optional(B)",
        ],
    ),
    ("size", &["string->int", "bytes->int", "list(A)->int", "map(A,B)->int"]),
    (".size", &["string->int", "bytes->int", "list(A)->int", "map(A,B)->int"]),
    ("dyn", &["A->dyn"]),
    ("type", &["A->type"]),
    ("bool", &["bool->bool", "string->bool"]),
    ("int", &["int->int", "uint->int", "double->int", "string->int", "timestamp->int", "duration->int"]),
    ("uint", &["uint->uint", "int->uint", "double->uint", "string->uint"]),
    ("double", &["double->double", "int->double", "uint->double", "string->double"]),
    (
        "string",
        &[
            "string->string",
            "bool->string",
            "int->string",
            "uint->string",
            "double->string",
            "bytes->string",
            "timestamp->string",
            "duration->string",
        ],
    ),
    ("bytes", &["bytes->bytes", "string->bytes"]),
    ("timestamp", &["timestamp->timestamp", "string->timestamp", "int->timestamp"]),
    ("duration", &["duration->duration", "string->duration"]),
    ("matches", &["string,string->bool"]),
    (".matches", &["string,string->bool"]),
    (".contains", &["string,string->bool"]),
    (".startsWith", &["string,string->bool"]),
    (".endsWith", &["string,string->bool"]),
    (".getFullYear", TIMESTAMP_PART),
    (".getMonth", TIMESTAMP_PART),
    (".getDate", TIMESTAMP_PART),
    (".getDayOfMonth", TIMESTAMP_PART),
    (".getDayOfWeek", TIMESTAMP_PART),
    (".getDayOfYear", TIMESTAMP_PART),
    (".getHours", TIME_PART),
    (".getMinutes", TIME_PART),
    (".getSeconds", TIME_PART),
    (".getMilliseconds", TIME_PART),
    (".charAt", &["string,int->string"]),
    (".indexOf", &["string,string->int", "string,string,int->int"]),
    (".lastIndexOf", &["string,string->int", "string,string,int->int"]),
    (".join", &["list(string)->string", "list(string),string->string"]),
    (".lowerAscii", &["string->string"]),
    (".upperAscii", &["string->string"]),
    (".replace", &["string,string,string->string", "string,string,string,int->string"]),
    (".split", &["string,string->list(string)", "string,string,int->list(string)"]),
    (".substring", &["string,int->string", "string,int,int->string"]),
    (".trim", &["string->string"]),
    (".reverse", &["string->string"]),
    (".format", &["string,list(dyn)->string"]),
    ("strings.quote", &["string->string"]),
    ("base64.encode", &["bytes->string"]),
    ("base64.decode", &["string->bytes"]),
    ("sets.contains", &["list(A),list(A)->bool"]),
    ("sets.equivalent", &["list(A),list(A)->bool"]),
    ("sets.intersects", &["list(A),list(A)->bool"]),
    ("optional.of", &["A->optional(A)"]),
    ("optional.ofNonZeroValue", &["A->optional(A)"]),
    ("optional.none", &["->optional(dyn)"]),
    (".hasValue", &["optional(A)->bool"]),
    (".value", &["optional(A)->A"]),
    (".or", &["optional(A),optional(A)->optional(A)"]),
    (".orValue", &["optional(A),A->A"]),
    (".first", &["list(A)->optional(A)"]),
    (".last", &["list(A)->optional(A)"]),
];

const TIMESTAMP_PART: &[&str] = &["timestamp->int", "timestamp,string->int"];
const TIME_PART: &[&str] = &["timestamp->int", "timestamp,string->int", "duration->int"];

/// Types that can be ordered, each with itself, and numbers with each other.
const ORDERED: [&str; 8] = ["bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"];
const NUMBERS: [&str; 3] = ["int", "uint", "double"];

/// The type of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// True or false.
    Bool,
    /// Known only when it is evaluated.
    Dyn,
    /// A list of items of one type.
    List(Box<Type>),
    /// A map from keys of one type to values of one type.
    Map(Box<Type>, Box<Type>),
    /// A value that may be missing.
    Optional(Box<Type>),
    /// Any other type, by its name.
    Simple(&'static str),
    /// An object with these fields and no others.
    Object(Arc<BTreeMap<String, Type>>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Dyn => f.write_str("dyn"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(value) => write!(f, "optional_type({value})"),
            Self::Simple(name) => f.write_str(name),
            Self::Object(_) => f.write_str("object"),
        }
    }
}

/// The type of an expression in which `names` are maps of anything; an error when it cannot have
/// one.
pub(super) fn type_of(expression: &IdedExpr, names: &[&str]) -> Result<Type, String> {
    let map = Type::Map(Box::new(Type::Simple("string")), Box::new(Type::Dyn));
    let scope = names.iter().map(|name| ((*name).to_owned(), map.clone())).collect();
    Checker { scope, added: &[], failed_at: None, types: Types::new() }.check(expression)
}

/// The type of an expression about variables of these types, with functions beside the usual ones; an error says where
/// the expression is wrong.
pub(super) fn type_with(
    expression: &IdedExpr,
    variables: &[(&str, Type)],
    added: Overloads,
) -> Result<Type, (u64, String)> {
    let scope = variables.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    let mut checker = Checker { scope, added, failed_at: None, types: Types::new() };
    checker.check(expression).map_err(|why| (checker.failed_at.unwrap_or(expression.id), why))
}

/// The types of all parts of an expression, by the places of the parts in memory.
pub(super) type Types = HashMap<usize, Type>;

/// The types of all parts of an expression that has a type. What only names a group of functions has none.
pub(super) fn types_of(
    expression: &IdedExpr,
    variables: &[(&str, Type)],
    added: Overloads,
) -> Result<Types, String> {
    let scope = variables.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    let mut checker = Checker { scope, added, failed_at: None, types: Types::new() };
    checker.check(expression)?;
    Ok(checker.types)
}

/// The place of a part of an expression in memory.
pub(super) fn place(part: &IdedExpr) -> usize {
    std::ptr::from_ref(part).addr()
}

struct Checker {
    scope: Vec<(String, Type)>,
    added: Overloads,
    /// The innermost expression that is wrong.
    failed_at: Option<u64>,
    types: Types,
}

impl Checker {
    fn check(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        let checked = self.check_kind(expression);
        match &checked {
            Ok(found) => {
                self.types.insert(place(expression), found.clone());
            }
            Err(_) => {
                self.failed_at.get_or_insert(expression.id);
            }
        }
        checked
    }

    fn check_kind(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.identifier(name),
            Expr::Select(select) => {
                let operand = self.check(&select.operand)?;
                let field = field_type(&operand, &select.field)?;
                Ok(if select.test { Type::Bool } else { field })
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let items =
                    list.elements.iter().map(|item| self.check(item)).collect::<Result<Vec<_>, _>>()?;
                Ok(Type::List(Box::new(one_type(items)?)))
            }
            Expr::Map(map) => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err("a map has an entry without a key".to_owned());
                    };
                    keys.push(self.check(&entry.key)?);
                    values.push(self.check(&entry.value)?);
                }
                Ok(Type::Map(Box::new(one_type(keys)?), Box::new(one_type(values)?)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(object) => Err(format!("undeclared reference to '{}'", object.type_name)),
            Expr::Unspecified => Err("the expression is empty".to_owned()),
        }
    }

    fn identifier(&self, name: &str) -> Result<Type, String> {
        if let Some((_, kind)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(kind.clone());
        }
        let is_type =
            ORDERED.contains(&name) || matches!(name, "list" | "map" | "null_type" | "type" | "dyn");
        if is_type {
            return Ok(Type::Simple("type"));
        }
        Err(format!("undeclared reference to '{name}' (in container '')"))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Type, String> {
        if call.func_name == "_?._" {
            let operand = self.check(&call.args[0])?;
            let inner = match operand {
                Type::Optional(inner) => *inner,
                other => other,
            };
            let name = match call.args.get(1).map(|name| &name.expr) {
                Some(Expr::Literal(LiteralValue::String(name))) => name.to_string(),
                _ => String::new(),
            };
            let field = field_type(&inner, &name)?;
            return Ok(Type::Optional(Box::new(field)));
        }
        let mut arguments = Vec::new();
        let mut name = call.func_name.clone();
        if let Some(target) = &call.target {
            match &target.expr {
                Expr::Ident(namespace) if overloads(self.added, &format!("{namespace}.{name}")).is_some() => {
                    name = format!("{namespace}.{name}");
                }
                _ => {
                    arguments.push(self.check(target)?);
                    name = format!(".{name}");
                }
            }
        }
        for argument in &call.args {
            arguments.push(self.check(argument)?);
        }
        let known = name.as_str();
        if matches!(known, "_<_" | "_<=_" | "_>_" | "_>=_") {
            return ordering(known, &arguments);
        }
        let overloads = overloads(self.added, known)
            .ok_or_else(|| format!("undeclared reference to '{}' (in container '')", call.func_name))?;
        resolve(known, &overloads, &arguments)
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Result<Type, String> {
        let item = match self.check(&comprehension.iter_range)? {
            Type::List(item) => *item,
            Type::Map(key, _) => *key,
            Type::Dyn => Type::Dyn,
            other => {
                return Err(format!("expression of type '{other}' cannot be range of a comprehension"));
            }
        };
        let accumulator = self.check(&comprehension.accu_init)?;
        let depth = self.scope.len();
        self.scope.push((comprehension.accu_var.clone(), accumulator));
        self.scope.push((comprehension.iter_var.clone(), item));
        if let Some(second) = &comprehension.iter_var2 {
            self.scope.push((second.clone(), Type::Dyn));
        }
        self.check(&comprehension.loop_cond)?;
        let step = self.check(&comprehension.loop_step)?;
        self.scope.truncate(depth);
        self.scope.push((comprehension.accu_var.clone(), step));
        let result = self.check(&comprehension.result);
        self.scope.truncate(depth);
        result
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Simple("bytes"),
        LiteralValue::Double(_) => Type::Simple("double"),
        LiteralValue::Int(_) => Type::Simple("int"),
        LiteralValue::Null => Type::Simple("null"),
        LiteralValue::String(_) => Type::Simple("string"),
        LiteralValue::UInt(_) => Type::Simple("uint"),
    }
}

fn field_type(operand: &Type, field: &str) -> Result<Type, String> {
    match operand {
        Type::Map(_, value) => Ok((**value).clone()),
        Type::Dyn => Ok(Type::Dyn),
        Type::Object(fields) => {
            fields.get(field).cloned().ok_or_else(|| format!("undefined field '{field}'"))
        }
        Type::Optional(inner) => Ok(Type::Optional(Box::new(field_type(inner, field)?))),
        other => Err(format!("type '{other}' does not support field selection")),
    }
}

/// The type that all items have; mixing is an error.
fn one_type(types: Vec<Type>) -> Result<Type, String> {
    let mut types = types.into_iter();
    let Some(first) = types.next() else { return Ok(Type::Dyn) };
    match types.find(|other| *other != first) {
        Some(other) => Err(format!("expected type '{first}' but found '{other}'")),
        None => Ok(first),
    }
}

fn overloads(added: Overloads, name: &str) -> Option<Vec<&'static str>> {
    let found: Vec<_> = OVERLOADS
        .iter()
        .chain(added)
        .filter(|(known, _)| *known == name)
        .flat_map(|(_, all)| *all)
        .copied()
        .collect();
    (!found.is_empty()).then_some(found)
}

fn ordering(name: &str, arguments: &[Type]) -> Result<Type, String> {
    let same = ORDERED.iter().map(|kind| (*kind, *kind));
    let mixed = NUMBERS.iter().flat_map(|a| NUMBERS.iter().map(|b| (*a, *b)));
    let fits = same.chain(mixed).any(|(a, b)| fits(&[a, b], arguments).is_some());
    if fits { Ok(Type::Bool) } else { Err(no_overload(name, arguments)) }
}

/// The result of the overloads that fit; dyn when they do not agree.
fn resolve(name: &str, overloads: &[&'static str], arguments: &[Type]) -> Result<Type, String> {
    let mut results = Vec::new();
    for overload in overloads {
        let (parameters, result) = overload.split_once("->").unwrap_or((overload, "dyn"));
        let parameters = split(parameters);
        if let Some(bindings) = fits(&parameters, arguments) {
            results.push(instantiate(result, &bindings));
        }
    }
    let mut results = results.into_iter();
    let first = results.next().ok_or_else(|| no_overload(name, arguments))?;
    Ok(if results.all(|other| other == first) { first } else { Type::Dyn })
}

fn no_overload(name: &str, arguments: &[Type]) -> String {
    let mut arguments: Vec<String> = arguments.iter().map(Type::to_string).collect();
    let Some(method) = name.strip_prefix('.').filter(|_| !arguments.is_empty()) else {
        return format!("found no matching overload for '{name}' applied to '({})'", arguments.join(", "));
    };
    let target = arguments.remove(0);
    format!("found no matching overload for '{method}' applied to '{target}.({})'", arguments.join(", "))
}

type Bindings = HashMap<&'static str, Type>;

/// What the letters of the parameters stand for, if the arguments fit.
fn fits(parameters: &[&'static str], arguments: &[Type]) -> Option<Bindings> {
    if parameters.len() != arguments.len() {
        return None;
    }
    let mut bindings = Bindings::new();
    let fits = parameters
        .iter()
        .zip(arguments)
        .all(|(parameter, argument)| unify(parameter, argument, &mut bindings));
    fits.then_some(bindings)
}

fn unify(parameter: &'static str, argument: &Type, bindings: &mut Bindings) -> bool {
    if matches!(parameter, "A" | "B") {
        return match bindings.get(parameter) {
            Some(bound) if assignable(bound, argument) => {
                if is_less_specific(argument, bound) {
                    bindings.insert(parameter, argument.clone());
                }
                true
            }
            Some(_) => false,
            None => {
                bindings.insert(parameter, argument.clone());
                true
            }
        };
    }
    if *argument == Type::Dyn || parameter == "dyn" {
        for letter in ["A", "B"] {
            if parameter.contains(letter) {
                bindings.entry(letter).or_insert(Type::Dyn);
            }
        }
        return true;
    }
    match (parameter.split_once('('), argument) {
        (None, Type::Bool) => parameter == "bool",
        (None, Type::Simple(name)) => parameter == *name,
        (Some((outer, inner)), _) => {
            let inner = split(inner.strip_suffix(')').unwrap_or(inner));
            match (outer, argument, inner.as_slice()) {
                ("list", Type::List(item), [parameter]) => unify(parameter, item, bindings),
                ("optional", Type::Optional(value), [parameter]) => unify(parameter, value, bindings),
                ("map", Type::Map(key, value), [first, second]) => {
                    unify(first, key, bindings) && unify(second, value, bindings)
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether a type says less than another one, or as much.
fn is_less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn, _) => true,
        (_, Type::Dyn) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => is_less_specific(a, b),
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            is_less_specific(key, other_key) && is_less_specific(value, other_value)
        }
        (a, b) => a == b,
    }
}

fn assignable(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => assignable(a, b),
        (Type::Map(a, x), Type::Map(b, y)) => assignable(a, b) && assignable(x, y),
        _ => a == b,
    }
}

fn instantiate(pattern: &'static str, bindings: &Bindings) -> Type {
    if let Some((outer, inner)) = pattern.split_once('(') {
        let inner = split(inner.strip_suffix(')').unwrap_or(inner));
        let part =
            |index: usize| Box::new(inner.get(index).map_or(Type::Dyn, |part| instantiate(part, bindings)));
        return match outer {
            "list" => Type::List(part(0)),
            "optional" => Type::Optional(part(0)),
            _ => Type::Map(part(0), part(1)),
        };
    }
    match pattern {
        "A" | "B" => bindings.get(pattern).cloned().unwrap_or(Type::Dyn),
        "bool" => Type::Bool,
        "dyn" => Type::Dyn,
        name => Type::Simple(name),
    }
}

/// Splits at the commas outside of parentheses.
fn split(list: &'static str) -> Vec<&'static str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < list.len() {
        parts.push(&list[start..]);
    }
    parts
}
