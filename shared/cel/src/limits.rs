//! Bounds on expressions, which come from whoever may write a manifest.

use cel::Value;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::Key;

/// The longest expression.
const MAX_LENGTH: usize = 16 * 1024;
/// The deepest nesting of an expression.
const MAX_DEPTH: usize = 100;
/// The deepest tree of an expression, which long chains make as well.
const MAX_TREE: usize = 250;
/// Trees up to this depth need no room of their own.
const SHALLOW: usize = 20;
/// Texts up to this length cannot be deep.
const SHORT: usize = 100;
/// Room for the deepest: only what is used of it is taken.
const STACK: usize = 256 * 1024 * 1024;
/// How many loops may be inside of each other: their costs multiply.
const MAX_LOOPS: usize = 8;
/// How often the loops of one evaluation may go round altogether.
const MAX_ROUNDS: u64 = 1_000_000;

/// Checks an expression before it is parsed.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("the expression is longer than {MAX_LENGTH} bytes"));
    }
    let mut depth: usize = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("the expression is nested deeper than {MAX_DEPTH} levels"));
        }
    }
    Ok(())
}

/// Parses a text with room for what it may be nested.
pub(super) fn parsing<T: Send>(text: &str, parse: impl FnOnce() -> T + Send) -> Result<T, String> {
    if text.len() <= SHORT { Ok(parse()) } else { with_room(parse) }
}

/// Evaluates a tree of a depth with room for it.
pub(super) fn evaluating<T: Send>(depth: usize, evaluate: impl FnOnce() -> T + Send) -> Result<T, String> {
    if depth <= SHALLOW { Ok(evaluate()) } else { with_room(evaluate) }
}

fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("cel".to_owned()).stack_size(STACK);
        let started =
            thread.spawn_scoped(scope, work).map_err(|error| format!("no thread for it: {error}"))?;
        started.join().map_err(|_| "it could not be worked on".to_owned())
    })
}

/// Checks a parsed expression. Returns how deep it is.
pub(super) fn check(expression: &IdedExpr) -> Result<usize, String> {
    let mut pending = vec![(expression, 0, 1)];
    let mut deepest = 0;
    while let Some((expression, loops, depth)) = pending.pop() {
        deepest = deepest.max(depth);
        if depth > MAX_TREE {
            return Err(format!("the expression is nested deeper than {MAX_TREE} levels"));
        }
        if loops > MAX_LOOPS {
            return Err(format!("more than {MAX_LOOPS} loops are inside of each other"));
        }
        let mut add = |inner, loops| pending.push((inner, loops, depth + 1));
        match &expression.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| add(target, loops));
                call.args.iter().for_each(|argument| add(argument, loops));
            }
            Expr::Comprehension(comprehension) => {
                add(&comprehension.iter_range, loops);
                add(&comprehension.accu_init, loops);
                add(&comprehension.loop_cond, loops + 1);
                add(&comprehension.loop_step, loops + 1);
                add(&comprehension.result, loops);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| add(element, loops)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| add_entry(&entry.expr, loops, &mut add)),
            Expr::Struct(fields) => {
                fields.entries.iter().for_each(|entry| add_entry(&entry.expr, loops, &mut add));
            }
            Expr::Select(select) => add(&select.operand, loops),
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }
    Ok(deepest)
}

fn add_entry<'a>(entry: &'a EntryExpr, loops: usize, add: &mut impl FnMut(&'a IdedExpr, usize)) {
    match entry {
        EntryExpr::StructField(field) => add(&field.value, loops),
        EntryExpr::MapEntry(entry) => {
            add(&entry.key, loops);
            add(&entry.value, loops);
        }
    }
}

/// Refuses an evaluation whose loops would go round too often for these variables.
pub(super) fn check_rounds(expression: &IdedExpr, variables: &[(&str, Value)]) -> Result<(), String> {
    let mut rounds = Rounds { variables, widest: None };
    if rounds.of(expression) > MAX_ROUNDS {
        return Err("operation cancelled: actual cost limit exceeded".to_owned());
    }
    Ok(())
}

/// Bounds how often loops go round, from the sizes of what they go through.
struct Rounds<'a> {
    variables: &'a [(&'a str, Value)],
    /// The size of the largest collection of all variables, once it was needed.
    widest: Option<u64>,
}

impl Rounds<'_> {
    fn of(&mut self, expression: &IdedExpr) -> u64 {
        match &expression.expr {
            Expr::Call(call) => {
                let parts = call.target.iter().map(|target| &**target).chain(&call.args);
                parts.fold(0, |sum: u64, part| sum.saturating_add(self.of(part)))
            }
            Expr::Comprehension(comprehension) => {
                let each = self
                    .of(&comprehension.loop_step)
                    .saturating_add(self.of(&comprehension.loop_cond))
                    .saturating_add(1);
                let size = self.size(&comprehension.iter_range);
                self.of(&comprehension.iter_range)
                    .saturating_add(size.saturating_mul(each))
                    .saturating_add(self.of(&comprehension.result))
            }
            Expr::List(list) => {
                list.elements.iter().fold(0, |sum: u64, part| sum.saturating_add(self.of(part)))
            }
            Expr::Select(select) => self.of(&select.operand),
            Expr::Map(map) => map.entries.iter().fold(0, |sum: u64, entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => sum.saturating_add(self.of(&entry.value)),
                EntryExpr::StructField(_) => sum,
            }),
            Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        }
    }

    /// How many items a loop goes through; the most that any may have where that is not known.
    fn size(&mut self, range: &IdedExpr) -> u64 {
        if let Expr::List(list) = &range.expr {
            return list.elements.len() as u64;
        }
        if let Some(found) = self.value(range) {
            return length(found);
        }
        let variables = self.variables;
        *self
            .widest
            .get_or_insert_with(|| variables.iter().map(|(_, value)| widest(value)).max().unwrap_or(0))
    }

    fn value(&self, expression: &IdedExpr) -> Option<&Value> {
        match &expression.expr {
            Expr::Ident(name) => {
                self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            Expr::Select(select) => match self.value(&select.operand)? {
                Value::Map(map) => map.map.get(&Key::String(select.field.clone().into())),
                _ => None,
            },
            _ => None,
        }
    }
}

fn length(value: &Value) -> u64 {
    match value {
        Value::List(items) => items.len() as u64,
        Value::Map(map) => map.map.len() as u64,
        _ => 0,
    }
}

fn widest(value: &Value) -> u64 {
    let below = match value {
        Value::List(items) => items.iter().map(widest).max(),
        Value::Map(map) => map.map.values().map(widest).max(),
        Value::String(text) => Some(text.len() as u64),
        _ => None,
    };
    length(value).max(below.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn rounds(text: &str, items: usize) -> Result<(), String> {
        let list = Value::List(Arc::new(vec![Value::Int(1); items]));
        let parsed = cel::Env::stdlib().parser().parse(text).unwrap();
        check_rounds(&parsed, &[("l", list)])
    }

    #[test]
    fn nested_loops_over_long_lists_are_refused() {
        assert!(rounds("l.all(x, x > 0)", 100_000).is_ok());
        assert!(rounds("l.all(x, l.all(y, x == y))", 500).is_ok());
        assert!(rounds("l.all(x, l.all(y, x == y))", 5_000).is_err());
        assert!(rounds("l.all(x, l.all(y, l.all(z, x == y && y == z)))", 500).is_err());
        assert!(rounds("[1, 2].all(x, l.exists(y, x == y))", 100_000).is_ok());
        assert!(rounds("l.map(x, x + 1).all(y, l.exists(z, z == y))", 5_000).is_err());
    }
}
