//! Bounds on expressions, which come from whoever may write a manifest.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// The longest expression.
const MAX_LENGTH: usize = 16 * 1024;
/// The deepest nesting of an expression.
const MAX_DEPTH: usize = 100;
/// How many loops may be inside of each other: their costs multiply.
const MAX_LOOPS: usize = 3;

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

/// Checks a parsed expression.
pub(super) fn check(expression: &IdedExpr) -> Result<(), String> {
    let mut pending = vec![(expression, 0)];
    while let Some((expression, loops)) = pending.pop() {
        if loops > MAX_LOOPS {
            return Err(format!("more than {MAX_LOOPS} loops are inside of each other"));
        }
        let mut add = |inner, loops| pending.push((inner, loops));
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
    Ok(())
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
