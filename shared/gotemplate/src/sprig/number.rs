//! Numbers.

use super::argument::{ANY, INT, STRING, integer, item, text};
use super::convert::{to_float, to_int};
use super::decimal::Decimal;
use crate::List;
use crate::error::Error;
use crate::format::display;
use crate::function::{Call, Function, Functions};
use crate::number::{NumberError, parse_int};
use crate::types::{INTS, Type};
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    functions.insert("atoi", Function::new(&[STRING], |_, a| Ok(Value::int(saturating_int(text(a, 0), 10)))));
    functions.insert("int", Function::new(&[ANY], |_, a| Ok(Value::int(to_int(item(a, 0))))));
    functions.insert("int64", Function::new(&[ANY], |_, a| Ok(Value::int64(to_int(item(a, 0))))));
    functions.insert("float64", Function::new(&[ANY], |_, a| Ok(Value::Float(to_float(item(a, 0))))));
    functions.insert(
        "toDecimal",
        Function::new(&[ANY], |_, a| Ok(Value::int64(parse_int(&display(item(a, 0)), 8).unwrap_or(0)))),
    );
    functions
        .insert("add1", Function::new(&[ANY], |_, a| Ok(Value::int64(to_int(item(a, 0)).wrapping_add(1)))));
    functions.insert(
        "add",
        Function::variadic(&[], ANY, |_, a| {
            Ok(Value::int64(a.iter().map(to_int).fold(0, i64::wrapping_add)))
        }),
    );
    functions.insert(
        "sub",
        Function::new(&[ANY, ANY], |_, a| {
            Ok(Value::int64(to_int(item(a, 0)).wrapping_sub(to_int(item(a, 1)))))
        }),
    );
    functions.insert("div", Function::new(&[ANY, ANY], |_, a| divide(a, i64::wrapping_div)));
    functions.insert("mod", Function::new(&[ANY, ANY], |_, a| divide(a, i64::wrapping_rem)));
    functions.insert(
        "mul",
        Function::variadic(&[ANY], ANY, |_, a| {
            Ok(Value::int64(a.iter().map(to_int).fold(1, i64::wrapping_mul)))
        }),
    );
    functions.insert(
        "max",
        Function::variadic(&[ANY], ANY, |_, a| Ok(Value::int64(a.iter().map(to_int).max().unwrap_or(0)))),
    );
    functions.alias("biggest", "max");
    functions.insert(
        "min",
        Function::variadic(&[ANY], ANY, |_, a| Ok(Value::int64(a.iter().map(to_int).min().unwrap_or(0)))),
    );
    functions.insert(
        "maxf",
        Function::variadic(&[ANY], ANY, |_, a| {
            Ok(Value::Float(a.iter().map(to_float).reduce(go_max).unwrap_or(0.0)))
        }),
    );
    functions.insert(
        "minf",
        Function::variadic(&[ANY], ANY, |_, a| {
            Ok(Value::Float(a.iter().map(to_float).reduce(go_min).unwrap_or(0.0)))
        }),
    );
    functions.insert("ceil", Function::new(&[ANY], |_, a| Ok(Value::Float(to_float(item(a, 0)).ceil()))));
    functions.insert("floor", Function::new(&[ANY], |_, a| Ok(Value::Float(to_float(item(a, 0)).floor()))));
    functions.insert("round", Function::variadic(&[ANY, INT], Type::Float, |_, a| Ok(round(a))));
    functions.insert(
        "add1f",
        Function::new(&[ANY], |_, a| {
            Ok(Value::Float(
                Decimal::from_float(to_float(item(a, 0)))?.add(&Decimal::from_float(1.0)?).to_float(),
            ))
        }),
    );
    functions.insert("addf", Function::variadic(&[], ANY, |_, a| fold_decimals(0.0, a, |x, y| Ok(x.add(y)))));
    functions.insert(
        "subf",
        Function::variadic(&[ANY], ANY, |_, a| {
            fold_decimals(to_float(item(a, 0)), &a[1..], |x, y| Ok(x.subtract(y)))
        }),
    );
    functions.insert(
        "mulf",
        Function::variadic(&[ANY], ANY, |_, a| {
            fold_decimals(to_float(item(a, 0)), &a[1..], |x, y| Ok(x.multiply(y)))
        }),
    );
    functions.insert(
        "divf",
        Function::variadic(&[ANY], ANY, |_, a| fold_decimals(to_float(item(a, 0)), &a[1..], Decimal::divide)),
    );
    functions.insert(
        "until",
        Function::new(&[INT], |call, a| {
            let count = integer(a, 0);
            integers(call, 0, count, if count < 0 { -1 } else { 1 })
        }),
    );
    functions.insert(
        "untilStep",
        Function::new(&[INT, INT, INT], |call, a| {
            integers(call, integer(a, 0), integer(a, 1), integer(a, 2))
        }),
    );
    functions.insert("seq", Function::variadic(&[], INT, seq));
}

fn saturating_int(text: &[u8], base: u32) -> i64 {
    match parse_int(text, base) {
        Ok(number) => number,
        Err(NumberError::Syntax) => 0,
        Err(NumberError::Range) if text.starts_with(b"-") => i64::MIN,
        Err(NumberError::Range) => i64::MAX,
    }
}

fn divide(arguments: &[Value], operation: fn(i64, i64) -> i64) -> Result<Value, Error> {
    let divisor = to_int(item(arguments, 1));
    if divisor == 0 {
        return Err(Error::new("runtime error: integer divide by zero"));
    }
    Ok(Value::int64(operation(to_int(item(arguments, 0)), divisor)))
}

/// `math.Max`: infinity wins over NaN, NaN over the rest, and 0 over -0.
fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

fn round(arguments: &[Value]) -> Value {
    let threshold = match arguments.get(2) {
        Some(Value::Float(threshold)) => *threshold,
        _ => 0.5,
    };
    let power = power_of_ten(integer(arguments, 1));
    let digit = power * to_float(item(arguments, 0));
    // The fraction of an infinity is NaN, which is not at or above any threshold.
    let fraction = if digit.is_infinite() { f64::NAN } else { digit.fract() };
    let rounded = if fraction >= threshold { digit.ceil() } else { digit.floor() };
    Value::Float(rounded / power)
}

/// `math.Pow(10, n)`, exactly rounded where a float can be.
fn power_of_ten(exponent: i64) -> f64 {
    if exponent > 308 {
        f64::INFINITY
    } else if exponent < -324 {
        0.0
    } else {
        format!("1e{exponent}").parse().unwrap_or(f64::NAN)
    }
}

fn fold_decimals(
    first: f64,
    rest: &[Value],
    operation: impl Fn(&Decimal, &Decimal) -> Result<Decimal, Error>,
) -> Result<Value, Error> {
    let mut total = Decimal::from_float(first)?;
    for value in rest {
        total = operation(&total, &Decimal::from_float(to_float(value))?)?;
    }
    Ok(Value::Float(total.to_float()))
}

fn steps(call: &mut Call<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Error> {
    let distance = i128::from(stop) - i128::from(start);
    if distance == 0 || step == 0 || (distance < 0) != (step < 0) {
        return Ok(Vec::new());
    }
    let count = (distance.unsigned_abs()).div_ceil(u128::from(step.unsigned_abs()));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    call.charge(count.saturating_mul(size_of::<Value>()))?;
    Ok((0..count as i64).map(|at| start.wrapping_add(at.wrapping_mul(step))).collect())
}

fn integers(call: &mut Call<'_>, start: i64, stop: i64, step: i64) -> Result<Value, Error> {
    let numbers = steps(call, start, stop, step)?;
    Ok(Value::List(List::with_type(&INTS, numbers.into_iter().map(Value::int).collect())))
}

fn seq(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let (start, stop, step) = match arguments.len() {
        1 => {
            let end = integer(arguments, 0);
            let direction = if end < 1 { -1 } else { 1 };
            (1, end.wrapping_add(direction), direction)
        }
        2 => {
            let (start, end) = (integer(arguments, 0), integer(arguments, 1));
            let direction = if end < start { -1 } else { 1 };
            (start, end.wrapping_add(direction), direction)
        }
        3 => {
            let (start, step, end) = (integer(arguments, 0), integer(arguments, 1), integer(arguments, 2));
            if end < start && step > 0 {
                return Ok(Value::from(""));
            }
            (start, end.wrapping_add(if end < start { -1 } else { 1 }), step)
        }
        _ => return Ok(Value::from("")),
    };
    let numbers: Vec<String> = steps(call, start, stop, step)?.iter().map(i64::to_string).collect();
    Ok(Value::from(numbers.join(" ")))
}
