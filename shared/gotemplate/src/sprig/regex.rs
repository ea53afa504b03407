//! Regular expressions.

use std::sync::Arc;

use super::argument::{INT, STRING, integer, text};
use crate::List;
use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::regexp::{Regexp, quote_meta};
use crate::text::Text;
use crate::types::STRINGS;
use crate::value::Value;

/// What an expression that cannot be read gives.
#[derive(Clone, Copy)]
enum Bad {
    /// The text that `MustCompile` panics with.
    Panic,
    /// The error of `Compile`.
    Error,
}

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "regexMatch",
        Function::new(&[STRING, STRING], |call, a| {
            Ok(Value::Bool(
                compile(call, text(a, 0), Bad::Error).is_ok_and(|regexp| regexp.is_match(text(a, 1))),
            ))
        }),
    );
    functions.insert(
        "mustRegexMatch",
        Function::new(&[STRING, STRING], |call, a| {
            Ok(Value::Bool(compile(call, text(a, 0), Bad::Error)?.is_match(text(a, 1))))
        }),
    );
    for (prefix, bad) in [("regex", Bad::Panic), ("mustRegex", Bad::Error)] {
        functions.insert(
            &format!("{prefix}Find"),
            Function::new(&[STRING, STRING], move |call, a| {
                Ok(Value::string(compile(call, text(a, 0), bad)?.find(text(a, 1)).unwrap_or_default()))
            }),
        );
        functions.insert(
            &format!("{prefix}FindAll"),
            Function::new(&[STRING, STRING, INT], move |call, a| find_all(call, a, bad)),
        );
        functions.insert(
            &format!("{prefix}Split"),
            Function::new(&[STRING, STRING, INT], move |call, a| split(call, a, bad)),
        );
        functions.insert(
            &format!("{prefix}ReplaceAll"),
            Function::new(&[STRING, STRING, STRING], move |call, a| replace(call, a, bad, false)),
        );
        functions.insert(
            &format!("{prefix}ReplaceAllLiteral"),
            Function::new(&[STRING, STRING, STRING], move |call, a| replace(call, a, bad, true)),
        );
    }
    functions
        .insert("regexQuoteMeta", Function::new(&[STRING], |_, a| Ok(Value::string(quote_meta(text(a, 0))))));
}

/// Compiles an expression once for each session.
fn compile(call: &mut Call<'_>, pattern: &[u8], bad: Bad) -> Result<Arc<Regexp>, Error> {
    if let Some(known) = call.session.regexes.get(pattern) {
        return Ok(known.clone());
    }
    call.session.charge_steps(pattern.len().saturating_mul(100))?;
    let compiled = match bad {
        Bad::Panic => Regexp::must_compile(pattern),
        Bad::Error => Regexp::compile(pattern),
    };
    let regexp = Arc::new(compiled.map_err(Error::new)?);
    if call.session.regexes.len() < 1000 {
        call.session.regexes.insert(Text::from(pattern), regexp.clone());
    }
    Ok(regexp)
}

fn find_all(call: &mut Call<'_>, arguments: &[Value], bad: Bad) -> Result<Value, Error> {
    let subject = text(arguments, 1);
    let spans = compile(call, text(arguments, 0), bad)?.find_spans(subject, integer(arguments, 2));
    call.charge(spans.len().saturating_mul(40))?;
    if spans.is_empty() {
        return Ok(Value::List(List::nil(&STRINGS)));
    }
    Ok(Value::strings(spans.into_iter().map(|(from, to)| Text::from(&subject[from..to]))))
}

fn split(call: &mut Call<'_>, arguments: &[Value], bad: Bad) -> Result<Value, Error> {
    let regexp = compile(call, text(arguments, 0), bad)?;
    let Some(pieces) = regexp.split(text(arguments, 1), integer(arguments, 2)) else {
        return Ok(Value::List(List::nil(&STRINGS)));
    };
    call.charge(pieces.len().saturating_mul(40))?;
    Ok(Value::strings(pieces.into_iter().map(Text::from)))
}

fn replace(call: &mut Call<'_>, arguments: &[Value], bad: Bad, literal: bool) -> Result<Value, Error> {
    let regexp = compile(call, text(arguments, 0), bad)?;
    let (subject, replacement) = (text(arguments, 1), text(arguments, 2));
    // A template may repeat a group of the subject for each of its bytes.
    let matches = regexp.find_spans(subject, -1).len();
    let longest = replacement.len().saturating_add(if literal {
        0
    } else {
        memchr::memchr_iter(b'$', replacement).count().saturating_mul(subject.len())
    });
    let bound = matches.saturating_mul(longest);
    if bound > 64 << 20 {
        call.charge(bound)?;
    }
    let out = regexp.replace_all(subject, replacement, literal);
    call.charge(out.len())?;
    Ok(Value::string(out))
}
