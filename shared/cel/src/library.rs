//! The functions that expressions can use beside the standard ones.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelOptional, CelString, CelTimestamp, CelUInt,
    DYN_TYPE, LIST_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, extensions};

/// What `string()` is called after parsing, so that it prints numbers and times as Go does.
const STRING: &str = "@string";

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Result<'b, 'v> = std::result::Result<CowVal<'b, 'v>, ExecutionError>;

/// The environment of all expressions.
pub(super) fn environment() -> Env {
    let mut env = Env::stdlib().with_optional_support(true);
    env.set_error_on_duplicate_map_keys(false);
    let added = [
        crate::budget::declare(&mut env),
        env.add_extension(extensions::strings),
        env.add_extension(extensions::encoders),
        env.add_overload(STRING, "any_to_string", vec![DYN_TYPE], to_string),
        env.add_overload("sets.contains", "set_contains", vec![LIST_TYPE, LIST_TYPE], contains),
        env.add_overload("sets.intersects", "set_intersects", vec![LIST_TYPE, LIST_TYPE], intersects),
        env.add_overload("sets.equivalent", "set_equivalent", vec![LIST_TYPE, LIST_TYPE], equivalent),
        env.add_member_overload("first", "list_first", LIST_TYPE, vec![], first),
        env.add_member_overload("last", "list_last", LIST_TYPE, vec![], last),
    ];
    if let Some(error) = added.into_iter().find_map(std::result::Result::err) {
        unreachable!("the library does not collide with the standard one: {error}");
    }
    env
}

/// Points calls of `string` to ours.
pub(super) fn redirect(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            if call.func_name == "string" && call.target.is_none() && call.args.len() == 1 {
                STRING.clone_into(&mut call.func_name);
            }
            call.target.iter_mut().for_each(|target| redirect(target));
            call.args.iter_mut().for_each(redirect);
        }
        Expr::Comprehension(comprehension) => {
            let parts = [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ];
            parts.into_iter().for_each(redirect);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(redirect),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| redirect_entry(&mut entry.expr)),
        Expr::Struct(fields) => fields.entries.iter_mut().for_each(|entry| redirect_entry(&mut entry.expr)),
        Expr::Select(select) => redirect(&mut select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn redirect_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => redirect(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            redirect(&mut entry.key);
            redirect(&mut entry.value);
        }
    }
}

fn to_string<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [argument] = take(arguments)?;
    let value = argument.as_ref();
    let text = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        text.inner().to_owned()
    } else if let Some(value) = value.downcast_ref::<CelBool>() {
        value.inner().to_string()
    } else if let Some(value) = value.downcast_ref::<CelInt>() {
        value.inner().to_string()
    } else if let Some(value) = value.downcast_ref::<CelUInt>() {
        value.inner().to_string()
    } else if let Some(value) = value.downcast_ref::<CelDouble>() {
        fluxide_goyaml::number::format_float(*value.inner())
    } else if let Some(value) = value.downcast_ref::<CelTimestamp>() {
        go_time(&value.inner().to_rfc3339())
    } else if let Some(value) = value.downcast_ref::<CelDuration>() {
        let nanoseconds = value.inner().num_nanoseconds();
        let nanoseconds =
            nanoseconds.ok_or_else(|| ExecutionError::function_error("string", "out of range"))?;
        go_seconds(nanoseconds)
    } else if let Some(value) = value.downcast_ref::<CelBytes<'_>>() {
        let text = std::str::from_utf8(value.inner());
        text.map_err(|error| ExecutionError::function_error("string", error))?.to_owned()
    } else {
        return Err(ExecutionError::no_such_overload("string", vec![value.get_type().name().to_owned()]));
    };
    Ok(CowVal::owned(CelString::from(text)))
}

/// RFC 3339 with as many decimals as needed, and `Z` for UTC.
fn go_time(rfc3339: &str) -> String {
    let text = match rfc3339.strip_suffix("+00:00") {
        Some(local) => format!("{local}Z"),
        None => rfc3339.to_owned(),
    };
    let Some((before, after)) = text.split_once('.') else { return text };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (digits, zone) = after.split_at(end);
    match digits.trim_end_matches('0') {
        "" => format!("{before}{zone}"),
        digits => format!("{before}.{digits}{zone}"),
    }
}

fn go_seconds(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) =
        (nanoseconds.unsigned_abs() / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    match rest {
        0 => format!("{sign}{seconds}s"),
        rest => format!("{sign}{seconds}.{}s", format!("{rest:09}").trim_end_matches('0')),
    }
}

fn contains<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [list, sublist] = take(arguments)?;
    let (list, sublist) = (elements(list.as_ref())?, elements(sublist.as_ref())?);
    truth(is_subset(&sublist, &list))
}

fn intersects<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [a, b] = take(arguments)?;
    let (a, b) = (elements(a.as_ref())?, elements(b.as_ref())?);
    truth(a.iter().any(|item| b.iter().any(|other| item.equals(*other))))
}

fn equivalent<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [a, b] = take(arguments)?;
    let (a, b) = (elements(a.as_ref())?, elements(b.as_ref())?);
    truth(is_subset(&a, &b) && is_subset(&b, &a))
}

fn is_subset(subset: &[&dyn Val], set: &[&dyn Val]) -> bool {
    subset.iter().all(|item| set.iter().any(|other| item.equals(*other)))
}

fn first<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [list] = take(arguments)?;
    let found = elements(list.as_ref())?.first().map(|item| item.clone_as_boxed());
    Ok(CowVal::owned(CelOptional::from(found)))
}

fn last<'b, 'v>(arguments: Arguments<'b, 'v>) -> Result<'b, 'v> {
    let [list] = take(arguments)?;
    let found = elements(list.as_ref())?.last().map(|item| item.clone_as_boxed());
    Ok(CowVal::owned(CelOptional::from(found)))
}

fn truth<'b, 'v>(value: bool) -> Result<'b, 'v> {
    Ok(CowVal::owned(CelBool::from(value)))
}

pub(super) fn elements<'a, 'v>(
    list: &'a (dyn Val + 'v),
) -> std::result::Result<Vec<&'a (dyn Val + 'v)>, ExecutionError> {
    let iterable = list
        .as_iterable()
        .ok_or_else(|| ExecutionError::no_such_overload("list", vec![list.get_type().name().to_owned()]))?;
    let mut items = iterable.iter();
    let mut elements = Vec::new();
    while let Some(item) = items.next() {
        elements.push(item);
    }
    Ok(elements)
}

pub(super) fn take<'b, 'v, const N: usize>(
    arguments: Arguments<'b, 'v>,
) -> std::result::Result<[CowVal<'b, 'v>; N], ExecutionError> {
    arguments
        .try_into()
        .map_err(|arguments: Vec<_>| ExecutionError::invalid_argument_count(N, arguments.len()))
}
