//! What an evaluation may cost.
//!
//! Expressions and what they are about come from people who need not mean well: loops inside of loops multiply, and
//! texts and lists can be doubled again and again. So an expression is rewritten after it was checked: every turn of a
//! loop, and everything that makes larger values out of smaller ones, is charged for, and an evaluation that has used
//! up its budget ends. The charges are made by functions of ours, which find the budget in the thread.

use std::cell::{Cell, RefCell};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr};
use cel::common::types::{CelBool, CelBytes, CelInt, CelString, DYN_TYPE, INT_TYPE, LIST_TYPE, STRING_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

/// What is said of an evaluation that cost too much; the words are those of cel-go.
pub(super) const EXCEEDED: &str = "operation cancelled: actual cost limit exceeded";

/// What an evaluation may cost: about a byte each.
const BUDGET: u64 = 32 * 1024 * 1024;
/// What a call costs at least.
const CALL: u64 = 256;
/// What a value costs beside its bytes.
const VALUE: u64 = 16;
/// What it costs to compile a regular expression.
const REGEX: u64 = 256 * 1024;
/// Memory for one regular expression.
const REGEX_SIZE: usize = 1024 * 1024;
/// How deep values are measured: deeper ones cannot be made by JSON.
const DEPTH: u32 = 256;

const SPEND: &str = "@spend";
const SPEND_TURN: &str = "@spendTurn";
const JOIN: &str = "@join";
const REPLACE: &str = "@replace";
const MATCHES: &str = "@matches";

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Result<'b, 'v> = std::result::Result<CowVal<'b, 'v>, ExecutionError>;
type Charged = std::result::Result<(), ExecutionError>;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static COMPILED: RefCell<Option<(String, Regex)>> = const { RefCell::new(None) };
}

/// Evaluates something with a full budget; `None` when it was not enough.
pub(super) fn limited<T>(evaluate: impl FnOnce() -> T) -> Option<T> {
    let mut left = BUDGET;
    limited_to(&mut left, evaluate)
}

/// Evaluates something with what is left of a budget; `None` when it was not enough.
pub(super) fn limited_to<T>(left: &mut u64, evaluate: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(*left);
    let result = evaluate();
    *left = LEFT.get();
    (*left > 0).then_some(result)
}

/// The functions that charge.
pub(super) fn declare(env: &mut Env) -> std::result::Result<(), DeclarationError> {
    env.add_overload(SPEND, "spend", vec![DYN_TYPE], spend)?;
    env.add_overload(SPEND_TURN, "spend_turn", vec![DYN_TYPE, DYN_TYPE], spend_turn)?;
    env.add_member_overload(JOIN, "metered_join", LIST_TYPE, vec![], join)?;
    env.add_member_overload(JOIN, "metered_join_with", LIST_TYPE, vec![STRING_TYPE], join)?;
    let texts = || vec![STRING_TYPE, STRING_TYPE];
    env.add_member_overload(REPLACE, "metered_replace", STRING_TYPE, texts(), replace)?;
    let some = vec![STRING_TYPE, STRING_TYPE, INT_TYPE];
    env.add_member_overload(REPLACE, "metered_replace_some", STRING_TYPE, some, replace)?;
    env.add_member_overload(MATCHES, "metered_matches_member", STRING_TYPE, vec![STRING_TYPE], matches)?;
    env.add_overload(MATCHES, "metered_matches", texts(), matches)
}

/// Rewrites an expression so that it is charged for.
pub(super) fn meter(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => meter_call(call),
        Expr::Comprehension(comprehension) => {
            for part in [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ] {
                meter(part);
            }
            meter_turns(comprehension);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(meter_part),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Struct(fields) => fields.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Select(select) => meter(&mut select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
    let grows = match &expression.expr {
        // What a loop adds to its result is charged for where it is made.
        Expr::Call(call) if call.func_name == "_+_" => !call.args.first().is_some_and(is_result),
        Expr::Call(call) => matches!(call.func_name.as_str(), "split" | "base64.encode" | "strings.quote"),
        _ => false,
    };
    if grows {
        charge_for(expression, None);
    }
}

fn meter_call(call: &mut CallExpr) {
    call.target.iter_mut().for_each(|target| meter(target));
    call.args.iter_mut().for_each(meter);
    let renamed = match (call.func_name.as_str(), call.target.is_some(), call.args.len()) {
        ("join", true, 0 | 1) => JOIN,
        ("replace", true, 2 | 3) => REPLACE,
        ("matches", true, 1) | ("matches", false, 2) => MATCHES,
        _ => return,
    };
    renamed.clone_into(&mut call.func_name);
}

/// A part of a new value: it is copied.
fn meter_part(part: &mut IdedExpr) {
    meter(part);
    if !matches!(part.expr, Expr::Literal(_)) {
        charge_for(part, None);
    }
}

fn meter_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => meter_part(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            meter_part(&mut entry.key);
            meter_part(&mut entry.value);
        }
    }
}

/// Charges for each turn. The parts that belong to the loop itself stay as they are: it is known by its shape. A loop
/// that goes on after an error does so as long as its condition allows, so that is charged for as well.
fn meter_turns(comprehension: &mut ComprehensionExpr) {
    if !matches!(comprehension.loop_cond.expr, Expr::Literal(_)) {
        charge_for(&mut comprehension.loop_cond, None);
    }
    let item = comprehension.iter_var.clone();
    let Expr::Call(step) = &mut comprehension.loop_step.expr else { return };
    let computed = match step.func_name.as_str() {
        "_?_:_" => step.args.first_mut(),
        "_&&_" | "_||_" => step.args.get_mut(1),
        "_+_" => match step.args.get_mut(1).map(|added| &mut added.expr) {
            Some(Expr::List(added)) => added.elements.first_mut(),
            _ => None,
        },
        _ => None,
    };
    if let Some(computed) = computed {
        charge_for(computed, Some(item));
    }
}

fn is_result(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name.starts_with('@'))
}

/// Puts a call around an expression that charges for its value, and for the item of the loop.
fn charge_for(expression: &mut IdedExpr, item: Option<String>) {
    let id = expression.id;
    let inner = std::mem::replace(&mut expression.expr, Expr::Unspecified);
    let mut args = vec![IdedExpr { id, expr: inner }];
    let func_name = match item {
        Some(item) => {
            args.push(IdedExpr { id, expr: Expr::Ident(item) });
            SPEND_TURN
        }
        None => SPEND,
    };
    expression.expr = Expr::Call(CallExpr { func_name: func_name.to_owned(), target: None, args });
}

fn charge(cost: u64) -> Charged {
    let left = LEFT.get().saturating_sub(cost);
    LEFT.set(left);
    if left == 0 { Err(ExecutionError::function_error("cost", EXCEEDED)) } else { Ok(()) }
}

/// Charges for a value by its size.
fn charge_value(value: &dyn Val, depth: u32) -> Charged {
    if depth > DEPTH {
        return charge(u64::MAX);
    }
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return charge(VALUE + text.inner().len() as u64);
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return charge(VALUE + bytes.inner().len() as u64);
    }
    charge(VALUE)?;
    let Some(iterable) = value.as_iterable() else { return Ok(()) };
    let is_list = value.get_type().name() == LIST_TYPE.name();
    let mut items = iterable.iter();
    while let Some(item) = items.next() {
        charge_value(item, depth + 1)?;
        if !is_list && let Some(Ok(member)) = value.as_indexer().map(|members| members.get(item)) {
            charge_value(member.as_ref(), depth + 1)?;
        }
    }
    Ok(())
}

fn spend<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [value] = super::library::take(arguments)?;
    charge(CALL)?;
    charge_value(value.as_ref(), 0)?;
    Ok(value)
}

fn spend_turn<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [value, item] = super::library::take(arguments)?;
    charge(CALL)?;
    charge_value(item.as_ref(), 0)?;
    charge_value(value.as_ref(), 0)?;
    Ok(value)
}

fn join<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let Some((list, separator)) = arguments.split_first() else {
        return Err(ExecutionError::invalid_argument_count(1, 0));
    };
    let separator =
        separator.first().map(|separator| text(separator.as_ref())).transpose()?.unwrap_or_default();
    let mut parts = Vec::new();
    for item in super::library::elements(list.as_ref())? {
        let part = text(item)?;
        charge(VALUE + (part.len() + separator.len()) as u64)?;
        parts.push(part);
    }
    Ok(CowVal::owned(CelString::from(parts.join(separator))))
}

fn replace<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [this, from, to, ..] = arguments.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(3, arguments.len()));
    };
    let (this, from, to) = (text(this.as_ref())?, text(from.as_ref())?, text(to.as_ref())?);
    let limit = arguments.get(3).and_then(|limit| limit.as_ref().downcast_ref::<CelInt>());
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(*limit.inner()).unwrap_or(usize::MAX));
    charge(CALL + this.len() as u64)?;
    let found = this.matches(from).take(limit).count() as u64;
    charge(found.saturating_mul(to.len() as u64))?;
    Ok(CowVal::owned(CelString::from(this.replacen(from, to, limit))))
}

fn matches<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [this, pattern] = super::library::take(arguments)?;
    let (this, pattern) = (text(this.as_ref())?, text(pattern.as_ref())?);
    charge(CALL + this.len() as u64)?;
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.as_ref().is_none_or(|(known, _)| known != pattern) {
            charge(REGEX)?;
            let regex = RegexBuilder::new(pattern).size_limit(REGEX_SIZE).build().map_err(|error| {
                ExecutionError::function_error("matches", format!("'{pattern}' not a valid regex:\n{error}"))
            })?;
            *compiled = Some((pattern.to_owned(), regex));
        }
        let found = compiled.as_ref().is_some_and(|(_, regex)| regex.is_match(this));
        Ok(CowVal::owned(CelBool::from(found)))
    })
}

fn text(value: &dyn Val) -> std::result::Result<&str, ExecutionError> {
    let text = value.downcast_ref::<CelString<'_>>();
    let other = || ExecutionError::no_such_overload("string", vec![value.get_type().name().to_owned()]);
    text.map(|text| text.inner()).ok_or_else(other)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Map, Value, json};

    use crate::{Error, Expression};

    fn evaluate(text: &str, request: Value) -> Result<bool, String> {
        let expression = Expression::parse_checked(text, &["req"]).map_err(|error| error.to_string())?;
        let variables = Map::from_iter([("req".to_owned(), request)]);
        expression.evaluate_bool_with_doubles(&variables).map_err(|error| match error {
            Error::Evaluate { reason, .. } => reason,
            other => other.to_string(),
        })
    }

    #[test]
    fn bombs_end_soon_and_take_little() {
        let many: Vec<u32> = (0..20_000).collect();
        let long = "x".repeat(1_000_000);
        let doubled = format!("['0123456789']{}.size() > 0", ".map(a, a + a)".repeat(60));
        let nested = format!("[1]{}.size() > 0", ".map(a, [a, a, a, a, a, a, a, a])".repeat(40));
        let members = format!("[{{'a': 1}}]{}.size() > 0", ".map(a, {'a': a, 'b': a, 'c': a})".repeat(60));
        let sum = format!("({}).size() > 0", vec!["req.long"; 100].join(" + "));
        let copies = format!("[{}].size() > 0", vec!["req.long"; 1200].join(", "));
        for text in [
            "req.many.all(a, req.many.all(b, req.many.all(c, true)))",
            "req.many.all(a, req.many.all(b, b >= 0.0))",
            "req.many.exists(a, req.many.exists(b, b < 0.0 || req.missing))",
            "req.many.map(a, req.many.map(b, b)).size() > 0",
            "req.many.filter(a, req.many.filter(b, true).size() > 0).size() > 0",
            "req.many.exists_one(a, req.many.exists_one(b, a == b))",
            "req.many.exists(a, req.long.matches('x{' + string(int(a) % 900) + '}y'))",
            "req.long.replace('', req.long).size() > 0",
            "req.long.replace('x', req.long, -1).size() > 0",
            "req.many.map(a, 'x').join(req.long).size() > 0",
            "req.many.all(a, req.long.split('').size() > 0)",
            &doubled,
            &nested,
            &members,
            &sum,
            &copies,
        ] {
            let started = Instant::now();
            let result = evaluate(text, json!({"many": many, "long": long}));
            let shown = &text[..text.len().min(80)];
            assert_eq!(result, Err(super::EXCEEDED.to_owned()), "{shown}");
            assert!(started.elapsed() < Duration::from_secs(60), "{shown}: {:?}", started.elapsed());
        }
    }

    #[test]
    fn what_is_nested_deep_is_refused_or_evaluated() {
        for text in [
            vec!["req.a"; 2000].join(" + "),
            format!("req{}", ".a".repeat(4000)),
            format!("{}true", "!".repeat(4000)),
            format!("{}req.a", "-".repeat(4000)),
            format!("[1]{}", ".map(a, a)".repeat(1000)),
            format!("{}true", "true ? true : ".repeat(1000)),
            vec!["req.a"; 2000].join(" && "),
            format!("{}1{}", "(".repeat(4000), ")".repeat(4000)),
            format!("{}1{}", "[".repeat(99), "]".repeat(99)),
        ] {
            // The stack holds; some chains are not deep once they are parsed.
            let _ = evaluate(&text, json!({"a": true}));
        }
        let deep = format!("[1]{}.size() == 1", ".map(a, a)".repeat(1000));
        assert!(evaluate(&deep, json!({})).unwrap_err().contains("nested deeper than 250 levels"));
        let long = vec!["req.a == 'x'"; 100].join(" || ");
        assert_eq!(evaluate(&long, json!({"a": "x"})), Ok(true));
        let sum = format!("({}).size() == 100", vec!["req.a"; 100].join(" + "));
        assert_eq!(evaluate(&sum, json!({"a": "x"})), Ok(true));
    }

    #[test]
    fn honest_expressions_are_not_in_the_way() {
        let commits: Vec<Value> = (0..2000)
            .map(|number| json!({"id": number, "modified": ["apps/a.yaml", "infra/b.yaml", format!("x/{number}")]}))
            .collect();
        let request = json!({"ref": "refs/heads/main", "commits": commits});
        for (text, expected) in [
            ("req.commits.exists(c, c.modified.exists(f, f == 'x/1999'))", true),
            ("req.commits.exists(c, c.modified.exists(f, f.matches('^y/')))", false),
            ("req.commits.map(c, c.modified).size() == 2000", true),
            ("req.commits.filter(c, c.id == 7.0).size() == 1", true),
            ("req.commits.exists_one(c, c.id == 7.0)", true),
            ("req.ref.replace('refs/heads/', '') == 'main'", true),
            ("req.ref.split('/').join('-') == 'refs-heads-main'", true),
            ("['a', 'b'].join() == 'ab'", true),
            ("'aXbXc'.replace('X', '', 1) == 'abXc'", true),
            ("'abc'.replace('', '-') == '-a-b-c-'", true),
            ("matches(req.ref, 'main$') && req.ref.matches('^refs')", true),
            ("[string(req.ref)] + ['x'] == [string(req.ref), 'x']", true),
            ("{'a': req.ref}.a == req.ref", true),
        ] {
            assert_eq!(evaluate(text, request.clone()), Ok(expected), "{text}");
        }
        assert!(evaluate("req.ref.matches('(')", request).unwrap_err().contains("not a valid regex"));
    }

    #[test]
    fn an_error_that_another_branch_hides_is_still_the_end() {
        let many: Vec<u32> = (0..20_000).collect();
        let text = "req.many.all(a, req.many.all(b, b >= 0.0)) || true";
        assert_eq!(evaluate(text, json!({"many": many})), Err(super::EXCEEDED.to_owned()));
    }
}
